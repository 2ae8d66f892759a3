package dump

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
)

// Tables up to smallTable bytes on the source are read several in one message,
// of up to smallSum bytes of tables: each of their own would cost a round trip,
// which is most of what they take on a far server. The statements are no longer
// than smallText, the part of a message that an audit keeps.
const (
	smallTable = 256 << 10
	smallSum   = 4 << 20
	smallText  = 4000
)

// gather makes one job of several small tables.
func (r *run) gather(jobs []job) []job {
	if r.opts.Inserts != nil {
		return jobs
	}
	var out []job
	var group job
	text := 0
	flush := func() {
		switch len(group.small) {
		case 0:
		case 1:
			out = append(out, job{table: group.small[0], cost: group.cost})
		default:
			out = append(out, group)
		}
		group, text = job{}, 0
	}
	for _, j := range jobs {
		if j.table == nil || j.where != "" || j.table.left > 1 || j.table.bytes > smallTable || j.table.data.Foreign() {
			out = append(out, j)
			continue
		}
		n := len(r.smallSQL(j.table))
		if text+n > smallText || group.cost+j.cost > smallSum {
			flush()
		}
		group.small = append(group.small, j.table)
		group.cost += j.cost
		text += n
	}
	flush()
	return out
}

func (r *run) smallSQL(t *table) string {
	return lockRows(t.data) + copyTo(t.data, "", r.format(t.data)) + "\n"
}

// smallTables reads several tables in one round trip. After an error the rest
// is read one by one, which tells the table that is to blame from its neighbours
// and tries again where a connection was lost.
func (r *run) smallTables(ctx context.Context, tables []*table) error {
	s := &smallWriter{r: r, tables: tables}
	err := r.copySmall(ctx, s)
	if err == nil || s.err != nil || ctx.Err() != nil {
		return err
	}
	if lost(err) {
		r.log.Warn("connection lost, reading again", "object", tables[s.done].data.QualifiedName(), "error", err)
		r.retried()
	}
	for _, t := range tables[s.done:] {
		if err := r.work(ctx, job{table: t}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) copySmall(ctx context.Context, s *smallWriter) error {
	conn, err := r.pool.get(ctx)
	if err != nil {
		return err
	}
	var sql strings.Builder
	for _, t := range s.tables {
		sql.WriteString(r.smallSQL(t))
	}
	err = pg.CopyOutEach(ctx, conn.PgConn(), sql.String(), s, s.end)
	if err == nil && s.done < len(s.tables) {
		s.err = fmt.Errorf("the server sent %d tables of %d", s.done, len(s.tables))
		err = s.err
	}
	if err != nil {
		d := s.tables[min(s.done, len(s.tables)-1)].data
		err = errors.Join(r.dumped(conn, d, err), s.abort())
		pg.Close(conn) // its transaction is spoilt
	}
	r.pool.put(conn)
	return err
}

// A smallWriter takes the rows of one table after the other.
type smallWriter struct {
	r      *run
	tables []*table
	done   int
	w      *rowWriter             // of the table after those that are done, nil before it begins
	binary *copyproto.TupleWriter // before w if its rows are in the binary format
	err    error                  // not of the server or the connection
}

func (s *smallWriter) begin() error {
	switch {
	case s.w != nil:
		return nil
	case s.done == len(s.tables):
		return errors.New("the server sent more tables than were asked for")
	}
	t := s.tables[s.done]
	if err := t.start(s.r); err != nil {
		return err
	}
	f := s.r.format(t.data)
	if s.w = newRowWriter(t.file.Part(0), f, t.task); f == copyproto.Binary {
		s.binary = copyproto.NewTuples(s.w)
	}
	return nil
}

// Write implements io.Writer.
func (s *smallWriter) Write(p []byte) (n int, err error) {
	switch s.err = s.begin(); {
	case s.err != nil:
	case s.binary != nil:
		n, s.err = s.binary.Write(p)
	default:
		n, s.err = s.w.Write(p)
	}
	return n, s.err
}

// end completes a table of which the server says that it has sent so many rows.
func (s *smallWriter) end(rows int64) error {
	s.err = s.finish(rows)
	return s.err
}

func (s *smallWriter) finish(rows int64) error {
	if err := s.begin(); err != nil {
		return err
	}
	if s.binary != nil {
		if err := s.binary.End(); err != nil {
			return err
		}
	}
	if err := s.w.end(rows); err != nil {
		return err
	}
	if err := s.w.part.Close(); err != nil {
		return err
	}
	w := s.w
	s.w, s.binary = nil, nil
	s.done++
	return s.tables[s.done-1].done(s.r, w)
}

// abort takes back what came of a table that is not done.
func (s *smallWriter) abort() error {
	if s.w == nil {
		return nil
	}
	s.w.task.Add(-s.w.rows, -s.w.bytes)
	return s.w.part.Abort()
}
