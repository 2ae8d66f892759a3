package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/progress"
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
	if m.hash.Partial() || d.Rows != n {
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

// A meter hashes rows and counts them. The task is told now and then: told
// about each row it would cost as much as the hash.
type meter struct {
	hash                       copyproto.Hasher
	task                       *progress.Task
	bytes, toldRows, toldBytes int64
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	m.bytes += int64(len(p))
	n, err := m.hash.Write(p)
	if m.bytes-m.toldBytes >= 1<<16 {
		m.tell()
	}
	return n, err
}

func (m *meter) tell() {
	rows := m.hash.Sum().Rows
	m.task.Add(rows-m.toldRows, m.bytes-m.toldBytes)
	m.toldRows, m.toldBytes = rows, m.bytes
}

// reset takes back what was counted.
func (m *meter) reset() {
	m.task.Add(-m.toldRows, -m.toldBytes)
	*m = meter{task: m.task}
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
