package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
)

// A comparison is one run under way.
type comparison struct {
	opts     Options
	ends     [2]*end // source and target
	encoding string  // of the rows
	pairs    []*pair // longest first
}

// A pair is a table of either end or of both.
type pair struct {
	key
	data     [2]*catalog.TableData // nil where the table is not, or not readable
	columns  []string              // to compare, in the source's order
	problems []string
	digest   [2]*copyproto.Digest
	// root is the partitioned table whose rows are compared as a whole: which
	// partition a row is in depends on the server. nil for most tables.
	root *catalog.Relation
}

// open opens both ends.
func (c *comparison) open(ctx context.Context) error {
	c.opts.Progress.Phase("catalog")
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range c.ends {
		opts := catalog.Options{Select: c.opts.Select, NoPrivileges: true, NoComments: true}
		if i == 1 {
			opts.AllowNoMatch, opts.Select.StrictNames = true, false
		}
		g.Go(func() error { return e.open(ctx, opts) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.encoding = copyEncoding(c.ends[0].encoding, c.ends[1].encoding)
	return nil
}

func (c *comparison) close() {
	for _, e := range c.ends {
		e.close()
	}
}

// match pairs the tables of both ends.
func (c *comparison) match() {
	var bytes int64
	for _, k := range union(c.ends[0].tables, c.ends[1].tables) {
		p := &pair{key: k}
		for i, e := range c.ends {
			switch it := e.tables[k]; {
			case it == nil:
			case it.data == nil:
				p.problems = append(p.problems, e.name+": "+it.reason)
			default:
				p.data[i] = it.data
			}
		}
		p.matchColumns()
		p.findRoot()
		c.pairs = append(c.pairs, p)
		bytes += p.bytes()
	}
	slices.SortStableFunc(c.pairs, func(a, b *pair) int { return cmp.Compare(b.bytes(), a.bytes()) })
	c.opts.Progress.Expect(len(c.pairs), bytes)
}

// union returns the keys of both maps, sorted.
func union(a, b map[key]*item) []key {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.SortedFunc(maps.Keys(all), func(x, y key) int {
		return cmp.Or(strings.Compare(x.schema, y.schema), strings.Compare(x.name, y.name))
	})
}

// matchColumns decides which columns to compare, and reports those that only
// one end has.
func (p *pair) matchColumns() {
	source, target := p.data[0], p.data[1]
	switch {
	case source == nil && target == nil:
	case target == nil:
		p.columns = source.Columns
	case source == nil:
		p.columns = target.Columns
	default:
		only := func(what string, of, in []string) {
			var names []string
			for _, name := range of {
				if !slices.Contains(in, name) {
					names = append(names, name)
				}
			}
			switch len(names) {
			case 0:
			case 1:
				p.problems = append(p.problems, fmt.Sprintf("column %s %s", quote.Idents(names), what))
			default:
				p.problems = append(p.problems, fmt.Sprintf("columns %s %s", quote.Idents(names), what))
			}
		}
		only("missing in target", source.Columns, target.Columns)
		only("missing in source", target.Columns, source.Columns)
		for _, name := range source.Columns {
			if slices.Contains(target.Columns, name) {
				p.columns = append(p.columns, name)
			}
		}
	}
}

// findRoot looks whether the rows' partition depends on the server. Then the
// columns are read in the order of the topmost table, alike in every partition.
func (p *pair) findRoot() {
	for _, d := range p.data {
		if p.root == nil && d != nil {
			p.root = d.Root
		}
	}
	if p.root == nil {
		return
	}
	order := p.root.CopyColumns()
	slices.SortFunc(p.columns, func(a, b string) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
}

// add puts a partition's rows to those of the whole table.
func (t *Table) add(p *pair) {
	if len(p.problems) > 0 {
		t.Problem = strings.Join(append([]string{t.Problem}, p.problems...), "; ")
		t.Problem = strings.TrimPrefix(t.Problem, "; ")
	}
	for i, sum := range []**copyproto.Digest{&t.Source, &t.Target} {
		if p.digest[i] == nil {
			continue
		}
		if *sum == nil {
			*sum = &copyproto.Digest{}
		}
		**sum = (*sum).Add(*p.digest[i])
	}
}

// bytes is how long the table takes, roughly.
func (p *pair) bytes() int64 {
	var pages int64
	for _, d := range p.data {
		if d != nil {
			pages = max(pages, d.Pages)
		}
	}
	return pages * 8192
}

func (p *pair) String() string { return quote.Qualified(p.schema, p.name) }

// readAll reads all tables, each at both ends at once, on as many connections
// as there are jobs.
func (c *comparison) readAll(ctx context.Context) error {
	c.opts.Progress.Phase("compare")
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for job := range min(c.opts.Jobs, len(c.pairs)) {
		readers := [2]*reader{{end: c.ends[0]}, {end: c.ends[1]}}
		if job == 0 {
			for i, e := range c.ends {
				readers[i].conn, e.first = e.first, nil
			}
		}
		g.Go(func() error {
			defer readers[0].close()
			defer readers[1].close()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(c.pairs) {
					return nil
				}
				if err := c.read(ctx, c.pairs[i], readers); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// read reads one table at both ends. What a server refuses is a problem of the
// table; an error ends the run.
func (c *comparison) read(ctx context.Context, p *pair, readers [2]*reader) (err error) {
	c.opts.Logger.Info("comparing table " + p.String())
	task := c.opts.Progress.StartSized("compare", p.String(), p.bytes())
	var refused, errs [2]error
	var wg sync.WaitGroup
	for i, r := range readers {
		if p.data[i] == nil {
			continue
		}
		m := &meter{}
		if i == 0 || p.data[0] == nil {
			m.task = task
		}
		wg.Go(func() { p.digest[i], refused[i], errs[i] = r.read(ctx, c.statement(p), c.opts.NoDigest, m) })
	}
	wg.Wait()
	for i, err := range refused {
		if err != nil {
			p.problems = append(p.problems, c.ends[i].name+": "+explain(err))
		}
	}
	err = errors.Join(errs[:]...)
	task.Done(cmp.Or(err, errors.Join(refused[:]...)))
	if err != nil {
		return fmt.Errorf("read table %s: %w", p, err)
	}
	return nil
}

// statement reads the table, at either end. The lock makes sure that the table
// can be read now: behind a session that waits to change it, which waits for
// our lock on it, reading would wait for ever.
func (c *comparison) statement(p *pair) string {
	d := p.data[0]
	if d == nil {
		d = p.data[1]
	}
	name, columns, byValue := p.String(), quote.Idents(p.columns), false
	if c.floatsByValue() {
		columns, byValue = valueColumns(d, p.columns)
	}
	sql := "ROLLBACK TO SAVEPOINT " + savepoint + "; LOCK TABLE ONLY " + name + " IN ACCESS SHARE MODE NOWAIT; "
	with := " TO STDOUT WITH (ENCODING " + quote.Literal(c.encoding) + ")"
	switch {
	case c.opts.NoDigest:
		return sql + "SELECT pg_catalog.count(*) FROM ONLY " + name + " " + d.Condition
	case d.Condition != "" || columns == "" || byValue:
		return sql + "COPY (SELECT " + columns + " FROM ONLY " + name + " " + d.Condition + ")" + with
	}
	return sql + "COPY " + name + " (" + columns + ")" + with
}

// floatsByValue reports whether the ends write floating-point numbers in
// different ways: before 12 with up to 17 digits, since then with as few as
// tell the number. Columns of those types are then compared by their bits;
// numbers inside arrays and rows are not, and may show as different.
func (c *comparison) floatsByValue() bool {
	return c.ends[0].version.AtLeast(12) != c.ends[1].version.AtLeast(12)
}

// valueColumns names columns for a query, floating-point ones by their bits.
func valueColumns(d *catalog.TableData, names []string) (list string, any bool) {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = quote.Ident(name)
		send := map[string]string{"real": "float4send", "double precision": "float8send"}[d.Table.ColumnType(name)]
		if send != "" {
			out[i], any = "pg_catalog."+send+"("+out[i]+")", true
		}
	}
	return strings.Join(out, ", "), any
}

// beating runs do while the snapshots' sessions are kept in use. Without those
// nobody could read the same data again, so their loss ends the run.
func (c *comparison) beating(ctx context.Context, do func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	beat, stop := context.WithCancel(ctx)
	for _, e := range c.ends {
		g.Go(func() error { return e.beat(beat) })
	}
	g.Go(func() error {
		defer stop()
		return do(ctx)
	})
	return g.Wait()
}

func (c *comparison) report() *Report {
	r := &Report{Snapshot: c.ends[0].snapshot.Name}
	whole := map[key]*Table{}
	for _, p := range c.pairs {
		if p.root != nil {
			k := key{p.root.Schema, p.root.Name}
			if whole[k] == nil {
				whole[k] = &Table{Schema: k.schema, Name: k.name}
			}
			whole[k].add(p)
			continue
		}
		source, target := p.digest[0], p.digest[1]
		t := Table{Schema: p.schema, Name: p.name, Source: source, Target: target, Problem: strings.Join(p.problems, "; ")}
		t.Equal = t.Problem == "" && source != nil && target != nil && *source == *target
		r.Tables = append(r.Tables, t)
	}
	for _, t := range whole {
		t.Equal = t.Problem == "" && t.Source != nil && t.Target != nil && *t.Source == *t.Target
		r.Tables = append(r.Tables, *t)
	}
	slices.SortFunc(r.Tables, func(a, b Table) int {
		return cmp.Or(strings.Compare(a.Schema, b.Schema), strings.Compare(a.Name, b.Name))
	})
	for _, k := range union(c.ends[0].sequences, c.ends[1].sequences) {
		s := Sequence{Schema: k.schema, Name: k.name}
		var problems []string
		for i, value := range []**SequenceValue{&s.Source, &s.Target} {
			switch it := c.ends[i].sequences[k]; {
			case it == nil:
			case it.data == nil:
				problems = append(problems, c.ends[i].name+": "+it.reason)
			default:
				last, called, _ := it.data.Position()
				*value = &SequenceValue{Last: last, Called: called}
			}
		}
		s.Problem = strings.Join(problems, "; ")
		s.Equal = s.Source != nil && s.Target != nil && *s.Source == *s.Target
		r.Sequences = append(r.Sequences, s)
	}
	return r
}
