package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/internal/sched"
	"github.com/pghaul/pghaul/progress"
)

// A part is a piece of work for one connection: a table's rows at one end, or
// those in a range of its blocks.
type part struct {
	pair  *pair
	end   int
	where string // TID range; "" for all rows
	bytes int64  // roughly
}

// partSize is the least that is worth a part of its own, in bytes, where
// Options.PartSize does not say otherwise.
const partSize = 64 << 20

// leastPart is the least that is worth a part of its own, in bytes.
func (c *comparison) leastPart() int64 {
	if c.opts.PartSize > 0 {
		return c.opts.PartSize
	}
	return partSize
}

// readAll reads the rows of units, at both ends at once, each on as many
// connections as there are jobs. The longest parts come first: none is left for
// one connection while others have nothing to do.
func (c *comparison) readAll(ctx context.Context, units []*unit) error {
	var parts [2][]part
	var bytes int64
	tables := 0
	for _, u := range units {
		u.left = len(u.pairs)
		for _, p := range u.pairs {
			p.begin()
			tables++
			bytes += p.bytes()
			for i := range p.items {
				parts[i] = append(parts[i], c.parts(p, i)...)
			}
		}
	}
	c.opts.Progress.Expect(tables, bytes)
	for _, u := range units {
		for _, p := range u.pairs {
			if p.left == 0 {
				p.start(c)
				c.end(p, nil)
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, list := range parts {
		nodes := make([]sched.Node, len(list))
		for i, x := range list {
			nodes[i].Cost = x.bytes
		}
		g.Go(func() error {
			return sched.Run(ctx, c.opts.Jobs, nodes, func(ctx context.Context, i, _ int) error { return c.read(ctx, list[i]) })
		})
	}
	return g.Wait()
}

// begin forgets what was read of a table.
func (p *pair) begin() {
	p.left, p.refused, p.task, p.counted = 0, [2]error{}, nil, -1
	p.digest, p.whole, p.unread = [2]*copyproto.Digest{}, [2]copyproto.Digest{}, [2][]string{}
}

// parts cuts what is to be read of a table at one end.
func (c *comparison) parts(p *pair, end int) []part {
	it := p.items[end]
	if it == nil || c.known(p, end) {
		return nil
	}
	ranges := []string{""}
	if it.data != nil && p.described().Condition == "" {
		ranges = catalog.TIDRanges(it.size, c.opts.Jobs, c.leastPart(), c.ends[end].version)
	}
	if p.counted < 0 {
		p.counted = end
	}
	p.left += len(ranges)
	p.digest[end] = new(copyproto.Digest)
	out := make([]part, len(ranges))
	for i, where := range ranges {
		out[i] = part{pair: p, end: end, where: where, bytes: p.bytes() / int64(len(ranges))}
	}
	return out
}

// start tells of a table when its first part begins.
func (p *pair) start(c *comparison) *progress.Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.task == nil {
		c.opts.Logger.Info("comparing table " + p.String())
		p.task = c.opts.Progress.StartSized("compare", p.String(), p.bytes())
	}
	return p.task
}

// read reads one part. What a server refuses is a problem of the table; an error
// ends the run.
func (c *comparison) read(ctx context.Context, x part) error {
	p := x.pair
	began := time.Now()
	task := p.start(c)
	if p.counted != x.end {
		task = nil
	}
	var sum, whole copyproto.Digest
	var err error
	switch it := p.items[x.end]; {
	case p.given(x.end):
	case it.recorded != nil:
		sum, err = c.readRecorded(ctx, it.recorded, p, newMeter(task, p.format, c.rewriters(p, x.end), -1))
	default:
		sum, whole, err = c.readTable(ctx, x, task)
	}
	if fatal(err) {
		task.Done(err)
		return fmt.Errorf("read table %s: %w", p, err)
	}
	p.done(c, x.end, sum, whole, began, err)
	return nil
}

// given reports whether a table of an end has been given up.
func (p *pair) given(end int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused[end] != nil
}

// done adds a part that was read, and after the last closes the account.
func (p *pair) done(c *comparison, end int, sum, whole copyproto.Digest, began time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.refused[end], p.digest[end] = err, nil
	}
	if p.digest[end] != nil {
		*p.digest[end] = p.digest[end].Add(sum)
		p.whole[end] = p.whole[end].Add(whole)
	}
	p.unit.took(time.Since(began))
	if p.left--; p.left > 0 {
		return
	}
	if p.unit.engine != EnginePush { // what it fails at is streamed
		for i, err := range p.refused {
			if err != nil && (!errors.Is(err, copyproto.ErrNeedsBinary) || p.format == copyproto.Binary) {
				p.problems = append(p.problems, c.ends[i].name+": "+explain(err))
			}
			for _, text := range p.unread[i] {
				p.problems = append(p.problems, c.ends[i].name+": "+text)
			}
		}
	}
	c.end(p, errors.Join(p.refused[:]...))
}

// end tells that a table has been read, and notes a unit that is equal.
func (c *comparison) end(p *pair, err error) {
	p.unit.mu.Lock()
	if p.unit.left--; p.unit.left == 0 {
		if p.unit.engine != EnginePush { // which has digested them with the others
			p.unit.compareStored()
		}
		c.note(p.unit)
	}
	p.unit.mu.Unlock()
	p.task.Done(err)
}

// took adds up how long connections have worked on a unit.
func (u *unit) took(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.elapsed += d
}

// readTable reads one part of a database's table. whole is the digest with the
// stored columns.
func (c *comparison) readTable(ctx context.Context, x part, task *progress.Task) (sum, whole copyproto.Digest, err error) {
	p, it := x.pair, x.pair.items[x.end]
	switch from := fromTable(p, it, x.where); {
	case p.countOnly != "":
		sum, err = c.ask(ctx, x, task, "SELECT pg_catalog.count(*), 0, 0"+from)
	case p.unit.engine == EnginePush:
		sum, err = c.ask(ctx, x, task, pushStatement(p.all(), from))
	default:
		prefix := -1
		if len(p.stored) > 0 {
			prefix = len(p.columns)
		}
		m := newMeter(task, p.format, c.rewriters(p, x.end), prefix)
		var tooLong []string
		err = c.ends[x.end].with(ctx, func(conn *pgx.Conn) (err error) {
			m.reset()
			tooLong, err = c.readRows(ctx, conn, x, m)
			return err
		})
		p.cannot(x.end, tooLong)
		if err != nil {
			m.reset()
			return sum, whole, err
		}
		sum, whole = m.hash.Sum(), m.whole.Sum()
	}
	return sum, whole, err
}

// ask has the server count or digest the rows of a part.
func (c *comparison) ask(ctx context.Context, x part, task *progress.Task, sql string) (sum copyproto.Digest, err error) {
	err = c.ends[x.end].with(ctx, func(conn *pgx.Conn) (err error) {
		sum, err = pushed(ctx, conn.PgConn(), begin(x.pair.items[x.end])+sql)
		return err
	})
	if err == nil {
		task.Add(sum.Rows, x.bytes)
	}
	return sum, err
}

// begin is what comes before a statement that reads a table. The lock makes sure
// that the table can be read now: behind a session that waits to change it, which
// waits for our lock on it, reading would wait for ever.
func begin(it *item) string {
	if it.view { // LOCK takes none
		return undo + "; "
	}
	return undo + "; LOCK TABLE ONLY " + it.data.Table.QualifiedName() + " IN ACCESS SHARE MODE NOWAIT; "
}

// fromTable is the FROM clause for the rows of a table, or of a TID range of it.
func fromTable(p *pair, it *item, where string) string {
	from := " FROM ONLY " + it.data.Table.QualifiedName() + " " + p.described().Condition
	if where != "" {
		from += "WHERE " + where
	}
	return from
}

// copyStatement reads rows in a format.
func (c *comparison) copyStatement(p *pair, it *item, names []string, where string, f copyproto.Format) string {
	with := " TO STDOUT WITH (ENCODING " + quote.Literal(c.encoding) + ")"
	if f == copyproto.Binary {
		with = " TO STDOUT WITH (ENCODING " + quote.Literal(c.encoding) + ", FORMAT binary)"
	}
	columns := quote.Idents(names)
	if where != "" || p.described().Condition != "" || columns == "" || it.view || len(names) != len(p.columns) {
		return "COPY (SELECT " + columns + fromTable(p, it, where) + ")" + with
	}
	return "COPY " + it.data.Table.QualifiedName() + " (" + columns + ")" + with
}

// cannot notes what of a part at one end cannot be read.
func (p *pair) cannot(end int, problems []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unread[end] = append(p.unread[end], problems...)
}

// complete checks that all of the rows have come that a server has sent.
func (m *meter) complete(n int64) error {
	if rows := m.hash.Sum().Rows; m.partial() || rows != n {
		return fmt.Errorf("the server sent %d rows and counted %d", rows, n)
	}
	m.tell()
	return nil
}

// readRecorded reads a table's rows from the archive. Damage is a problem of
// that table.
func (c *comparison) readRecorded(ctx context.Context, t *recorded, p *pair, m *meter) (sum copyproto.Digest, err error) {
	out := io.Writer(m)
	if !slices.Equal(t.Columns, p.columns) {
		out = &splitter{do: (&projection{all: t.Columns, want: p.columns, w: m}).row}
	}
	n, err := c.ends[0].rec.read(ctx, t, out)
	switch {
	case ctx.Err() != nil:
		return sum, &endError{fmt.Errorf("source: %w", context.Cause(ctx))}
	case err != nil:
	case m.partial() || m.hash.Sum().Rows != n:
		err = errors.New("the data ends inside a row")
	}
	if err != nil {
		m.reset()
		return sum, err
	}
	m.tell()
	return m.hash.Sum(), nil
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
