package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/replicate"
	"github.com/pghaul/pghaul/verify"
)

// The ways in which a cut-over compares rows.
const (
	verifyAuto = "auto" // as many tables as there is time for
	verifyFull = "full" // all, or it is not handed over
	verifyNone = "none"
)

// A rowCheck compares the rows of followed tables behind the fence: the smallest
// tables first, so that as many as possible are compared, in groups of which each is
// likely to be done in the time that is left.
type rowCheck struct {
	mode           string
	rehearsal      bool // it is only measured how far it gets
	source, target *pgx.ConnConfig
	log            *slog.Logger

	unready error // why the tables are not known
	tables  []sizedTable
	rules   *platform.Rules   // where schemas have other names at the target, nil otherwise
	renamed map[string]string // those names
	done    *rowsChecked      // nil until it has begun
}

// A sizedTable is one that has rows of its own.
type sizedTable struct {
	schema, name string // at the source
	bytes        int64
}

func (t *sizedTable) String() string { return name(t.schema, t.name) }

// rowsChecked is what has come of a rowCheck.
type rowsChecked struct {
	compared    []verify.Table
	notCompared []notCompared
	different   []verify.Table // with their rows, if there was time to look for them
	rows, bytes int64          // of those compared, at the source
	time        time.Duration
	whole       time.Duration // a guess at what all tables would have taken
}

// A notCompared is a table that was left out, and why.
type notCompared struct {
	sizedTable
	why string
}

const sizesQuery = `WITH RECURSIVE t AS (
  SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY ($1::int8[]::oid[])
  UNION SELECT i.inhrelid FROM t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
) SELECT n.nspname::text, c.relname::text, pg_catalog.pg_table_size(c.oid)
FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' ORDER BY 3, 1, 2`

// prepare reads which tables there are, before anybody has to wait for it. What
// keeps it from that is told when rows are to be compared, if it comes to that.
func (v *rowCheck) prepare(ctx context.Context, opts replicate.Options, back bool) {
	v.unready = func() error {
		if back {
			var err error
			if opts, err = replicate.ReverseOptions(ctx, opts); err != nil {
				return err
			}
		}
		f, err := replicate.Attach(ctx, opts)
		if err != nil {
			return err
		}
		v.source, v.target, v.log = opts.Source, opts.Target, opts.Logger
		oids := make([]int64, len(f.Tables))
		v.renamed = map[string]string{}
		for i := range f.Tables {
			t := &f.Tables[i]
			oids[i] = int64(t.OID)
			if t.TargetSchema != "" && t.TargetSchema != t.Schema {
				v.renamed[t.Schema] = t.TargetSchema
			}
		}
		if len(v.renamed) > 0 {
			v.rules = &platform.Rules{Schemas: v.renamed}
		}
		conn, err := pg.Connect(ctx, v.source, pg.ReadCatalog, pg.Options{Application: "pghaul control", Encoding: "UTF8"})
		if err != nil {
			return fmt.Errorf("connect to the source: %w", err)
		}
		defer pg.Close(conn)
		rows, err := conn.Query(ctx, sizesQuery, oids)
		if err == nil {
			v.tables, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t sizedTable, err error) {
				return t, row.Scan(&t.schema, &t.name, &t.bytes)
			})
		}
		if err != nil {
			return fmt.Errorf("read the sizes of tables: %w", err)
		}
		return nil
	}()
}

// tableWeight is what a table costs besides its rows, in bytes.
const tableWeight = 64 << 10

func (t *sizedTable) weight() float64 { return float64(t.bytes + tableWeight) }

// run compares until ctx ends. An error says that it must not be handed over.
func (v *rowCheck) run(ctx context.Context) error {
	if v.unready != nil {
		return v.unready
	}
	began := time.Now()
	v.done = new(rowsChecked)
	left := v.tables
	p := pace{rate: 20 << 20}
	for len(left) > 0 && ctx.Err() == nil {
		n := len(left)
		if deadline, limited := ctx.Deadline(); limited && (v.mode == verifyAuto || v.rehearsal) {
			if n = p.next(left, time.Until(deadline)); n == 0 {
				break
			}
		}
		begin := time.Now()
		if err := v.compare(ctx, left[:n]); err != nil {
			if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				break
			}
			return err
		}
		p.saw(left[:n], time.Since(begin))
		left = left[n:]
		if len(v.done.different) > 0 && !v.rehearsal {
			break
		}
	}
	v.done.time = time.Since(began)
	v.done.whole = v.done.time + p.takes(left)
	if v.rehearsal {
		v.done.different = nil // it is written to
	}
	v.leaveOut(left)
	return v.verdict(ctx)
}

func (v *rowCheck) leaveOut(left []sizedTable) {
	why := "there was no time for it"
	if len(v.done.different) > 0 {
		why = "others differ"
	}
	for _, t := range left {
		v.done.notCompared = append(v.done.notCompared, notCompared{t, why})
	}
}

// verdict says whether it may be handed over.
func (v *rowCheck) verdict(ctx context.Context) error {
	switch {
	case len(v.done.different) > 0:
		v.lookForRows(ctx)
		names := make([]string, len(v.done.different))
		for i, t := range v.done.different {
			names[i] = name(t.Schema, t.Name)
		}
		return errors.New("rows at the target are not those of the source, in " + few(names))
	case v.rehearsal || v.mode != verifyFull || len(v.done.notCompared) == 0:
		return nil
	}
	t := v.done.notCompared[0]
	err := fmt.Errorf("%d of %d tables could not be compared, and --verify=full wants all: %s: %s", len(v.done.notCompared), len(v.tables), &t.sizedTable, t.why)
	if ctx.Err() != nil {
		return errors.Join(err, replicate.ErrMaxDowntime)
	}
	return err
}

// compare compares some tables.
func (v *rowCheck) compare(ctx context.Context, tables []sizedTable) error {
	r, err := verify.Run(ctx, v.source, v.target, v.options(tables, 0))
	if err != nil {
		return err
	}
	found := v.found(r)
	for _, t := range tables {
		f := found[t.String()]
		switch {
		case f == nil:
			v.done.notCompared = append(v.done.notCompared, notCompared{t, "it is not there any more"})
			continue
		case f.Unread():
			v.done.notCompared = append(v.done.notCompared, notCompared{t, f.Problem})
			continue
		case !f.Equal && f.Expected == "":
			v.done.different = append(v.done.different, *f)
		}
		v.done.compared = append(v.done.compared, *f)
		v.done.bytes += t.bytes
		if f.Source != nil {
			v.done.rows += f.Source.Rows
		}
	}
	return nil
}

// lookForRows finds which rows differ, if that can be done in time.
func (v *rowCheck) lookForRows(ctx context.Context) {
	var tables []sizedTable
	for _, t := range v.done.different {
		tables = append(tables, sizedTable{schema: t.Schema, name: t.Name})
	}
	r, err := verify.Run(ctx, v.source, v.target, v.options(tables, 10))
	if err != nil {
		return
	}
	found := v.found(r)
	for i := range v.done.different {
		d := &v.done.different[i]
		if t := found[name(d.Schema, d.Name)]; t != nil {
			d.Rows = t.Rows
		}
	}
}

// found finds tables of a comparison, which calls them as the target does, by their
// names at the source, and gives them these.
func (v *rowCheck) found(r *verify.Report) map[string]*verify.Table {
	there := map[string]*verify.Table{}
	for i := range r.Tables {
		there[name(r.Tables[i].Schema, r.Tables[i].Name)] = &r.Tables[i]
	}
	found := map[string]*verify.Table{}
	for i := range v.tables {
		t := &v.tables[i]
		schema := t.schema
		if to := v.renamed[schema]; to != "" {
			schema = to
		}
		if f := there[name(schema, t.name)]; f != nil {
			f.Schema = t.schema
			found[t.String()] = f
		}
	}
	return found
}

func (v *rowCheck) options(tables []sizedTable, maxRows int) verify.Options {
	return verify.Options{
		Select: catalog.Selection{Tables: v.patterns(tables)}, Levels: []verify.Level{verify.LevelDigest}, MaxRows: maxRows,
		Rules: v.rules, Logger: v.log,
	}
}

// patterns name tables as they are at both ends, one pattern a schema.
func (v *rowCheck) patterns(tables []sizedTable) []string {
	quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	names := map[string][]string{}
	var order []string
	for _, t := range tables {
		if names[t.schema] == nil {
			order = append(order, t.schema)
		}
		names[t.schema] = append(names[t.schema], quoted(t.name))
	}
	var list []string
	for _, schema := range order {
		both := quoted(schema)
		if to := v.renamed[schema]; to != "" {
			both = "(" + both + "|" + quoted(to) + ")"
		}
		list = append(list, both+".("+strings.Join(names[schema], "|")+")")
	}
	return list
}

// A pace tells how many tables can be compared in a time.
type pace struct {
	rate float64 // bytes a second, a modest guess until enough bytes were compared
}

// measurable is from how much on a time tells more than that of connecting.
const measurable = 32 << 20

// next is how many of the tables, which are sorted by size, to compare next: not as
// many as would go into the time that is left, because a group that is not ready in
// time was compared in vain; but one, if it alone goes.
func (p *pace) next(tables []sizedTable, left time.Duration) int {
	room := p.rate * left.Seconds()
	sum := 0.0
	for i := range tables {
		if sum += tables[i].weight(); sum > room/2 {
			if i == 0 && sum <= room*0.8 {
				return 1
			}
			return i
		}
	}
	return len(tables)
}

// saw learns from a group that was compared.
func (p *pace) saw(tables []sizedTable, took time.Duration) {
	sum := 0.0
	for i := range tables {
		sum += tables[i].weight()
	}
	seen := sum / max(took.Seconds(), 0.001)
	if sum >= measurable || seen > p.rate {
		p.rate = seen
	}
}

func (p *pace) takes(tables []sizedTable) time.Duration {
	sum := 0.0
	for i := range tables {
		sum += tables[i].weight()
	}
	return time.Duration(sum / p.rate * float64(time.Second))
}
