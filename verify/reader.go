package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
)

// A reader is one worker's connection to one end, opened when it is needed.
type reader struct {
	end  *end
	conn *pgx.Conn
}

func (r *reader) close() {
	if r.conn != nil {
		pg.Close(r.conn)
		r.conn = nil
	}
}

// read runs a statement that reads a table. If the connection is lost meanwhile
// it is run once more on a fresh one, which sees the same snapshot. refused is
// why this table could not be read; err is why no table can.
func (r *reader) read(ctx context.Context, sql string, count bool, m *meter) (d *copyproto.Digest, refused, err error) {
	const attempts = 2
	for try := 1; ; try++ {
		if r.conn == nil {
			if r.conn, err = r.end.connect(ctx); err != nil {
				return nil, nil, err
			}
		}
		if count {
			d, err = r.count(ctx, sql, m)
		} else {
			d, err = r.digest(ctx, sql, m)
		}
		if err == nil {
			return d, nil, nil
		}
		m.reset()
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("%s: %w", r.end.name, err)
		}
		if !r.conn.IsClosed() {
			return nil, err, nil
		}
		r.close()
		if try == attempts {
			return nil, err, nil
		}
		r.end.log.Warn(r.end.name+": connection lost, reading again", "error", err)
	}
}

func (r *reader) digest(ctx context.Context, sql string, m *meter) (*copyproto.Digest, error) {
	n, err := copyproto.Query{Conn: r.conn.PgConn(), SQL: sql}.CopyTo(ctx, m)
	if err != nil {
		return nil, err
	}
	d := m.hash.Sum()
	if m.partial() || d.Rows != n {
		return nil, fmt.Errorf("the server sent %d rows and counted %d", d.Rows, n)
	}
	m.tell()
	return &d, nil
}

func (r *reader) count(ctx context.Context, sql string, m *meter) (*copyproto.Digest, error) {
	results, err := r.conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	// Those of ROLLBACK and LOCK come first.
	n, err := strconv.ParseInt(string(results[len(results)-1].Rows[0][0]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read the number of rows: %w", err)
	}
	m.task.Add(n, 0)
	return &copyproto.Digest{Rows: n}, nil
}

// explain puts a server's refusal into one line.
func explain(err error) string {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err.Error()
	}
	text := pe.Message
	switch {
	case pe.Code == "55P03":
		text += ": another session waits to change the table; run again when it is done"
	case pe.Hint != "":
		text += " (" + pe.Hint + ")"
	}
	return text + " (SQLSTATE " + pe.Code + ")"
}

// readRecorded reads a table's rows from the archive. Damage is a problem of
// that table.
func (c *comparison) readRecorded(ctx context.Context, t *recorded, p *pair, m *meter) (d *copyproto.Digest, refused, err error) {
	out := io.Writer(m)
	if !slices.Equal(t.Columns, p.columns) {
		out = &splitter{do: (&projection{all: t.Columns, want: p.columns, w: m}).row}
	}
	n, err := c.ends[0].rec.read(ctx, t, out)
	switch {
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("source: %w", context.Cause(ctx))
	case err != nil:
		return nil, err, nil
	case m.partial() || m.hash.Sum().Rows != n:
		return nil, errors.New("the data ends inside a row"), nil
	}
	m.tell()
	sum := m.hash.Sum()
	return &sum, nil, nil
}
