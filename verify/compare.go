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
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/progress"
)

// A comparison is one run under way.
type comparison struct {
	opts     Options
	ends     [2]*end // source and target
	levels   []Level
	encoding string  // of the rows
	pairs    []*pair // longest first
	mapping  *mapping
	report   *Report
	repair   *script // of the statements that repair the target; nil for none
	unlisted int     // differences of a level that the report has no room for
}

// A pair is a table of either end or of both.
type pair struct {
	key
	items    [2]*item // nil where the table is not, or not readable
	columns  []string // to compare, in the source's order
	problems []string
	// countOnly says why only the numbers of rows can be compared; "" compares
	// the rows.
	countOnly string
	digest    [2]*copyproto.Digest
	// root is the partitioned table whose rows are compared as a whole: which
	// partition a row is in depends on the server. nil for most tables.
	root *catalog.Relation
}

// open opens both ends.
func (c *comparison) open(ctx context.Context) error {
	c.opts.Progress.Phase("catalog")
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range c.ends {
		define := c.has(LevelSchema) || c.opts.Rules != nil && c.opts.Plan == nil
		opts := catalog.Options{Select: c.opts.Select, NoPrivileges: true, NoComments: !define}
		if i == 1 {
			opts.AllowNoMatch, opts.Select.StrictNames = true, false
		}
		g.Go(func() error { return e.open(ctx, opts, define) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.encoding = copyEncoding(c.ends[0].encoding, c.ends[1].encoding)
	if c.ends[0].rec != nil {
		c.encoding = recordedEncoding(c.ends[0].encoding)
	}
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
	for _, k := range c.keys(c.ends[0].tables, c.ends[1].tables) {
		p := &pair{key: k}
		for i, e := range c.ends {
			switch it := e.tables[k]; {
			case it == nil:
			case it.view && it.reason != "" && unpopulated(e, c.ends[1-i], k):
			case it.reason != "":
				p.problems = append(p.problems, e.name+": "+it.reason)
			default:
				p.items[i] = it
			}
		}
		if p.items == [2]*item{} && len(p.problems) == 0 {
			continue // a materialized view that neither end has populated
		}
		p.matchColumns()
		p.findRoot()
		c.limit(p)
		c.pairs = append(c.pairs, p)
		bytes += p.bytes()
	}
	c.limitRoots()
	slices.SortStableFunc(c.pairs, func(a, b *pair) int { return cmp.Compare(b.bytes(), a.bytes()) })
	c.opts.Progress.Expect(len(c.pairs), bytes)
}

// unpopulated reports whether a materialized view is without contents at both
// ends.
func unpopulated(a, b *end, k key) bool {
	return a.tables[k].reason == notPopulated && b.tables[k] != nil && b.tables[k].reason == notPopulated
}

// limit finds out whether more than the rows' number can be compared.
func (c *comparison) limit(p *pair) {
	source, target := p.items[0], p.items[1]
	if !c.has(LevelDigest) {
		p.countOnly = "that is all that was asked for"
		return
	}
	if source == nil || source.recorded == nil {
		return
	}
	rec := source.recorded
	switch {
	case rec.digest == nil && rec.entry == nil:
		p.countOnly = "the rows are recorded as INSERT statements"
	case target != nil && len(p.columns) < len(rec.Columns) && rec.entry == nil:
		p.countOnly = "the digest is of all columns"
	case c.ends[1].foreignMoney && target != nil && slices.ContainsFunc(p.columns, func(name string) bool {
		return target.data.Table.ColumnType(name) == "money"
	}):
		p.countOnly = fmt.Sprintf("the target lacks the locale %s, by which the source writes values of type money", c.ends[0].rec.source.LCMonetary)
	}
}

// limitRoots does so for tables whose partitions are added up: their columns
// must have been recorded in one order.
func (c *comparison) limitRoots() {
	first := map[*catalog.Relation]*pair{}
	for _, p := range c.pairs {
		if p.root == nil || p.items[0] == nil || p.items[0].recorded == nil {
			continue
		}
		f := first[p.root]
		if f == nil {
			first[p.root] = p
			continue
		}
		if p.countOnly == "" && !slices.Equal(f.columns, p.columns) {
			p.countOnly = "the partitions have their columns in different orders"
		}
		if f.countOnly == "" {
			f.countOnly = p.countOnly
		}
	}
	for _, p := range c.pairs {
		if f := first[p.root]; p.root != nil && f != nil && p.countOnly == "" {
			p.countOnly = f.countOnly
		}
	}
}

// keys returns what is to be compared, sorted.
func (c *comparison) keys(source, target map[key]*item) []key {
	all := maps.Clone(source)
	if !c.opts.IgnoreExtra {
		maps.Copy(all, target)
	}
	return sortedKeys(all)
}

func compareKeys(a, b key) int {
	return cmp.Or(strings.Compare(a.schema, b.schema), strings.Compare(a.name, b.name))
}

// matchColumns decides which columns to compare, and reports those that only
// one end has.
func (p *pair) matchColumns() {
	if p.items[0] == nil || p.items[1] == nil {
		for _, it := range p.items {
			if it != nil {
				p.columns = it.columns()
			}
		}
		return
	}
	source, target := p.items[0].columns(), p.items[1].columns()
	{
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
		only("missing in target", source, target)
		only("missing in source", target, source)
		for _, name := range source {
			if slices.Contains(target, name) {
				p.columns = append(p.columns, name)
			}
		}
	}
}

// findRoot looks whether the rows' partition depends on the server. Then the
// columns are read in the order of the topmost table, alike in every partition.
func (p *pair) findRoot() {
	for _, it := range p.items {
		if p.root == nil && it != nil && it.data != nil {
			p.root = it.data.Root
		}
	}
	if p.root == nil || p.items[0] != nil && p.items[0].recorded != nil {
		return
	}
	order := p.root.CopyColumns()
	slices.SortFunc(p.columns, func(a, b string) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
}

// add puts a partition's rows to those of the whole table.
func (t *Table) add(p *pair, countsOnly bool) {
	if len(p.problems) > 0 {
		t.Problem = strings.Join(append([]string{t.Problem}, p.problems...), "; ")
		t.Problem = strings.TrimPrefix(t.Problem, "; ")
	}
	if t.CountOnly == "" && !countsOnly {
		t.CountOnly = p.countOnly
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
	var n int64
	for _, it := range p.items {
		switch {
		case it == nil:
		case it.recorded != nil:
			n = max(n, it.recorded.Bytes)
		default:
			n = max(n, it.data.Pages*8192)
		}
	}
	return n
}

func (p *pair) String() string { return quote.Qualified(p.schema, p.name) }

// readAll reads all tables, each at both ends at once, on as many connections
// as there are jobs.
func (c *comparison) readAll(ctx context.Context) error {
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

// described is the table's definition, the source's if there is one; nil if
// neither end has it.
func (p *pair) described() *catalog.TableData {
	for _, it := range p.items {
		if it != nil && it.data != nil {
			return it.data
		}
	}
	return nil
}

// read reads one table at both ends. What a server refuses is a problem of the
// table; an error ends the run.
func (c *comparison) read(ctx context.Context, p *pair, readers [2]*reader) (err error) {
	c.opts.Logger.Info("comparing table " + p.String())
	task := c.opts.Progress.StartSized("compare", p.String(), p.bytes())
	var refused, errs [2]error
	var wg sync.WaitGroup
	counted := false // by the task
	for i, it := range p.items {
		if it == nil {
			continue
		}
		if c.known(p, i) {
			continue
		}
		var of *progress.Task
		if !counted {
			of, counted = task, true
		}
		wg.Go(func() {
			m := newMeter(of, c.rewriters(p, i))
			if it.recorded != nil {
				p.digest[i], refused[i], errs[i] = c.readRecorded(ctx, it.recorded, p, m)
			} else {
				p.digest[i], refused[i], errs[i] = readers[i].read(ctx, c.statement(p, it, p.columns), p.countOnly != "", m)
			}
		})
	}
	wg.Wait()
	if errors.Join(errs[:]...) == nil && errors.Join(refused[:]...) == nil {
		refused, errs = c.readStored(ctx, p, readers)
	}
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

// readStored compares the generated columns that both ends store, if all else is
// equal. They are read with the others, so that values that have changed places
// are found.
func (c *comparison) readStored(ctx context.Context, p *pair, readers [2]*reader) (refused, errs [2]error) {
	if p.countOnly != "" || len(p.problems) > 0 || p.root != nil || p.digest[0] == nil || p.digest[1] == nil || *p.digest[0] != *p.digest[1] {
		return refused, errs
	}
	var stored []string
	if source, target := p.items[0].data, p.items[1].data; source != nil && target != nil {
		there := target.Table.StoredColumns()
		stored = slices.DeleteFunc(source.Table.StoredColumns(), func(name string) bool { return !slices.Contains(there, name) })
	}
	if len(stored) == 0 {
		return refused, errs
	}
	all := &pair{key: p.key, items: p.items, columns: append(slices.Clone(p.columns), stored...)}
	var digests [2]*copyproto.Digest
	var wg sync.WaitGroup
	for i, it := range p.items {
		wg.Go(func() {
			m := newMeter(nil, c.rewriters(all, i))
			digests[i], refused[i], errs[i] = readers[i].read(ctx, c.statement(p, it, all.columns), false, m)
		})
	}
	wg.Wait()
	if digests[0] != nil && digests[1] != nil && *digests[0] != *digests[1] {
		p.problems = append(p.problems, "the values of stored generated columns differ: "+quote.Idents(stored))
	}
	return refused, errs
}

// known takes what was recorded of a table's rows if that is enough.
func (c *comparison) known(p *pair, i int) bool {
	rec := p.items[i].recorded
	switch {
	case rec == nil:
		return false
	case p.countOnly != "" && rec.Rows >= 0:
		p.digest[i] = &copyproto.Digest{Rows: rec.Rows}
		return true
	case p.countOnly == "" && rec.digest != nil && len(p.columns) == len(rec.Columns):
		p.digest[i] = rec.digest
		return true
	}
	return false
}

// statement reads the table of an end. The lock makes sure that the table can
// be read now: behind a session that waits to change it, which waits for our
// lock on it, reading would wait for ever.
func (c *comparison) statement(p *pair, it *item, names []string) string {
	name, columns, condition := it.data.Table.QualifiedName(), quote.Idents(names), p.described().Condition
	sql := "ROLLBACK TO SAVEPOINT " + savepoint + "; "
	if !it.view { // LOCK takes none
		sql += "LOCK TABLE ONLY " + name + " IN ACCESS SHARE MODE NOWAIT; "
	}
	with := " TO STDOUT WITH (ENCODING " + quote.Literal(c.encoding) + ")"
	switch {
	case p.countOnly != "":
		return sql + "SELECT pg_catalog.count(*) FROM ONLY " + name + " " + condition
	case condition != "" || columns == "" || it.view || len(names) != len(p.columns):
		return sql + "COPY (SELECT " + columns + " FROM ONLY " + name + " " + condition + ")" + with
	}
	return sql + "COPY " + name + " (" + columns + ")" + with
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

// compare works on one level after the other.
func (c *comparison) compare(ctx context.Context) error {
	if err := c.plan(ctx); err != nil {
		return err
	}
	c.beginRepair()
	for _, l := range c.levels {
		began := time.Now()
		c.opts.Progress.Phase(l.phase())
		before := len(c.report.Differences)
		work := map[Level]func(context.Context) (int, error){
			LevelSchema: c.schema, LevelCounts: c.rows, LevelDigest: c.rows, LevelSequences: c.sequences,
			LevelLargeObjects: c.largeObjects,
			LevelIndexes:      c.indexes, LevelSecurity: c.security, LevelStatistics: c.statistics,
		}[l]
		n, err := work(ctx)
		if err != nil {
			return fmt.Errorf("compare %s: %w", l, err)
		}
		s := Summary{Level: l, Compared: n, Different: c.unlisted, Elapsed: time.Since(began)}
		c.unlisted = 0
		for _, d := range c.report.Differences[before:] {
			s.count(false, d.Expected)
		}
		if l == LevelSequences {
			for _, q := range c.report.Sequences {
				s.count(q.Equal, q.Expected)
			}
		}
		if l == LevelCounts || l == LevelDigest {
			for _, t := range c.report.Tables {
				s.count(t.Equal, t.Expected)
			}
		}
		c.report.Levels = append(c.report.Levels, s)
	}
	return c.endRepair()
}

// count counts an object that was compared.
func (s *Summary) count(equal bool, expected string) {
	switch {
	case equal:
	case expected != "":
		s.Expected++
	default:
		s.Different++
	}
}

// phase is the name of the level's phase for whoever hears of the progress.
func (l Level) phase() string {
	if l == LevelCounts || l == LevelDigest {
		return "compare"
	}
	return string(l)
}

// differ reports differences.
func (c *comparison) differ(list ...Difference) {
	c.report.Differences = append(c.report.Differences, list...)
}

// rows compares the tables' rows.
func (c *comparison) rows(ctx context.Context) (int, error) {
	c.match()
	if err := c.readAll(ctx); err != nil {
		return 0, err
	}
	r := c.report
	whole := map[key]*Table{}
	for _, p := range c.pairs {
		if p.root != nil {
			k := key{p.root.Schema, p.root.Name}
			if whole[k] == nil {
				whole[k] = &Table{Schema: k.schema, Name: k.name}
			}
			whole[k].add(p, !c.has(LevelDigest))
			continue
		}
		source, target := p.digest[0], p.digest[1]
		t := Table{Schema: p.schema, Name: p.name, Source: source, Target: target, Problem: strings.Join(p.problems, "; ")}
		if c.has(LevelDigest) {
			t.CountOnly = p.countOnly
		}
		t.Expected = c.expected(p)
		r.Tables = append(r.Tables, t)
	}
	for _, t := range whole {
		r.Tables = append(r.Tables, *t)
	}
	slices.SortFunc(r.Tables, func(a, b Table) int {
		return cmp.Or(strings.Compare(a.Schema, b.Schema), strings.Compare(a.Name, b.Name))
	})
	for i := range r.Tables {
		t := &r.Tables[i]
		t.Equal = t.Problem == "" && t.Source != nil && t.Target != nil && *t.Source == *t.Target
		if t.Equal {
			t.Expected = ""
		}
	}
	return len(r.Tables), c.drillDown(ctx)
}

// expected says why a table is at one end only; "" if there is no reason.
func (c *comparison) expected(p *pair) string {
	if rec := c.ends[0].rec; rec != nil && p.items[0] == nil && rec.empty[p.key] {
		return "the archive has no rows of it"
	}
	switch {
	case p.items[0] != nil && p.items[1] != nil && p.items[0].view && p.items[1].view && len(p.problems) == 0:
		return "a restore refreshes materialized views; the source's may be older than what it reads"
	case p.items[0] == nil:
		return c.mapping.own("TABLE", p.schema, p.name)
	case p.items[1] != nil:
		return ""
	}
	name := p.items[0].tableName()
	return cmp.Or(c.mapping.skipped("TABLE DATA", name.schema, name.name), c.mapping.skipped("TABLE", name.schema, name.name))
}

// sequences compares where sequences stand.
func (c *comparison) sequences(context.Context) (int, error) {
	for _, k := range c.keys(c.ends[0].sequences, c.ends[1].sequences) {
		s := Sequence{Schema: k.schema, Name: k.name}
		var problems []string
		for i, value := range []**SequenceValue{&s.Source, &s.Target} {
			switch it := c.ends[i].sequences[k]; {
			case it == nil:
			case it.position == nil:
				problems = append(problems, c.ends[i].name+": "+it.reason)
			default:
				*value = it.position
			}
		}
		s.Problem = strings.Join(problems, "; ")
		s.Equal = s.Source != nil && s.Target != nil && *s.Source == *s.Target
		if s.Target == nil {
			s.Expected = cmp.Or(c.mapping.skipped("SEQUENCE SET", k.schema, k.name), c.mapping.skipped("SEQUENCE", k.schema, k.name))
		} else if s.Source == nil {
			s.Expected = c.mapping.own("SEQUENCE", k.schema, k.name)
		}
		c.report.Sequences = append(c.report.Sequences, s)
	}
	return len(c.report.Sequences), nil
}
