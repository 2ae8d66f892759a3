package copyproto

import (
	"context"
	"errors"
	"io"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
)

// Query is the Source of a COPY ... TO STDOUT statement.
type Query struct {
	Conn *pgconn.PgConn
	SQL  string
	// Format is the one that SQL asks for; "" is Text. Of Binary the rows are
	// handed on, without the stream's header and trailer.
	Format Format
}

// CopyTo implements Source. An error of w ends the connection too.
func (q Query) CopyTo(ctx context.Context, w io.Writer) (int64, error) {
	if q.Format != Binary {
		tag, err := pg.CopyOut(ctx, q.Conn, q.SQL, w)
		return tag.RowsAffected(), err
	}
	rows := NewTuples(w)
	tag, err := pg.CopyOut(ctx, q.Conn, q.SQL, rows)
	if err != nil {
		return tag.RowsAffected(), errors.Join(err, rows.Flush())
	}
	return tag.RowsAffected(), rows.End()
}

// Table is the Sink of a COPY ... FROM STDIN statement. SQL may hold other
// statements before that one.
type Table struct {
	Conn *pgconn.PgConn
	SQL  string
	// Progress, if not nil, is called with the rows and bytes of each message
	// that is sent, on a goroutine of its own.
	Progress func(rows, bytes int64)
}

// CopyFrom implements Sink. Cancelling ctx ends the connection too.
func (t Table) CopyFrom(ctx context.Context, r io.Reader) (int64, error) {
	if t.Progress != nil {
		r = meter{r, t.Progress}
	}
	tag, err := t.Conn.CopyFrom(ctx, r, t.SQL)
	return tag.RowsAffected(), err
}

type meter struct {
	r      io.Reader
	passed func(rows, bytes int64)
}

func (m meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n > 0 {
		m.passed(CountRows(p[:n]), int64(n))
	}
	return n, err
}
