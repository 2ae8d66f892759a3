package verify

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
)

// A RowDiff tells in which rows a table differs.
type RowDiff struct {
	// Key are the columns that identify a row: those of the primary key or of a
	// unique one without nulls. Without such a key, rows are compared as wholes,
	// and none is Changed.
	Key []string `json:"key"`
	// Missing rows are in the source only, Extra ones in the target only, and
	// Changed ones have the same key and other values.
	Missing int64 `json:"missing"`
	Extra   int64 `json:"extra"`
	Changed int64 `json:"changed"`
	// AtLeast says that there were too many to count them all.
	AtLeast bool `json:"at_least,omitempty"`
	// Rows are the first that were found, at most Options.MaxRows.
	Rows []Row `json:"rows"`
	// Problem says why rows could not be looked for; "" if they could.
	Problem string `json:"problem,omitempty"`
}

// A Row is one that is not the same at both ends.
type Row struct {
	Status Status `json:"status"`
	// Key are its values in the columns of RowDiff.Key; without a key those of all
	// columns.
	Key []Value `json:"key"`
	// Columns are the ones whose values differ, with those of both ends.
	Columns []ColumnDiff `json:"columns,omitempty"`
}

// A Value is one as text; nil is NULL.
type Value *string

// A ColumnDiff is a column whose values differ.
type ColumnDiff struct {
	Name   string `json:"name"`
	Source Value  `json:"source"`
	Target Value  `json:"target"`
}

// A drill looks for the rows in which one table differs.
type drill struct {
	c       *comparison
	pairs   []*pair // one, or the partitions that are compared as a whole
	columns []string
	key     []int // of columns; nil compares rows as wholes
	// push lets the servers sum up the buckets and pick the rows of those that
	// differ, by hashes of their own; filter is the condition on the rows to read.
	push   bool
	filter string
	report *RowDiff
	// actions are what to do about rows, by the hash of their key, to repair the
	// target; nil if nobody wants to.
	actions map[uint64]action
	partial bool // there was no room for all of them
}

// An action is what is to be done about the rows of a key.
type action struct {
	insert, remove int32
	change         bool
	// replace says that an end has several rows of the key, which is not unique
	// there: those of the target go, and the source's come.
	replace bool
}

// drillDown looks for the rows in which tables differ, where that has not been
// done.
func (c *comparison) drillDown(ctx context.Context) error {
	if c.opts.MaxRows <= 0 && c.opts.Repair == nil {
		return nil
	}
	for i, u := range c.units { // in the order of the report's tables
		t := &c.report.Tables[i]
		if t.Equal || t.Expected != "" || t.CountOnly != "" || t.Source == nil || t.Target == nil || *t.Source == *t.Target || !c.readable(u.pairs) {
			continue
		}
		if u.rows == nil {
			if err := c.drill(ctx, u, false); err != nil {
				return err
			}
		}
		t.Rows = u.rows
	}
	return nil
}

// drillPushed looks for rows where the servers' digests differ. It reports
// whether it has found some: only then it is certain that there are.
func (c *comparison) drillPushed(ctx context.Context, u *unit) (bool, error) {
	if !c.readable(u.pairs) || slices.ContainsFunc(u.pairs, func(p *pair) bool { return p.described().Condition != "" }) {
		return false, nil
	}
	if err := c.drill(ctx, u, true); err != nil {
		return false, err
	}
	if u.rows.Missing+u.rows.Extra+u.rows.Changed == 0 {
		u.rows = nil // nothing has been written to the repair, either
	}
	return u.rows != nil, nil
}

// drill looks for the rows in which a unit differs.
func (c *comparison) drill(ctx context.Context, u *unit, push bool) error {
	d := &drill{c: c, pairs: u.pairs, columns: u.pairs[0].columns, push: push, report: &RowDiff{Rows: []Row{}}}
	c.opts.Logger.Info("looking for the rows that differ in table " + u.pairs[0].String())
	task := c.opts.Progress.Start("compare", "rows of "+u.pairs[0].String())
	err := d.run(ctx)
	task.Done(err)
	if err != nil && (ctx.Err() != nil || fatal(err)) {
		return err
	}
	if err != nil {
		d.report.Problem = explain(err)
	}
	u.rows = d.report
	return nil
}

// readable reports whether the rows of both ends can be read again.
func (c *comparison) readable(pairs []*pair) bool {
	for _, p := range pairs {
		if len(p.columns) != len(pairs[0].columns) || !slices.Equal(p.columns, pairs[0].columns) {
			return false
		}
		for _, it := range p.items {
			if it != nil && it.recorded != nil && it.recorded.entry == nil {
				return false
			}
		}
	}
	return len(pairs) > 0
}

func (d *drill) run(ctx context.Context) error {
	if err := d.findKey(ctx); err != nil {
		return err
	}
	for _, n := range d.key {
		d.report.Key = append(d.report.Key, d.columns[n])
	}
	sum := d.sums
	if d.push {
		sum = d.pushedSums
	}
	sums, err := sum(ctx)
	if err != nil {
		return err
	}
	binary := d.pairs[0].format == copyproto.Binary
	if d.c.opts.Repair != nil && !binary {
		d.actions = map[uint64]action{}
	}
	if err := d.search(ctx, sums); err != nil {
		return err
	}
	switch {
	case d.c.opts.Repair == nil:
	case binary:
		d.c.repair.printf("\n-- %s differs, but its rows were compared in COPY's binary format, which gives no statements.\n", quote.Comment(d.pairs[0].String()))
	case len(d.actions) > 0:
		return d.repair(ctx)
	}
	return nil
}

const keyQuery = `SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts ORDER BY k.n)
FROM pg_catalog.pg_index i
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) AND NOT a.attnotnull)
ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid`

// findKey finds columns that identify rows, at an end that is a database.
func (d *drill) findKey(ctx context.Context) error {
	for i, e := range d.c.ends {
		for _, p := range d.pairs {
			if e.rec != nil || p.items[i] == nil || d.key != nil {
				continue
			}
			var keys [][]string
			err := e.with(ctx, func(conn *pgx.Conn) error {
				rows, err := conn.Query(ctx, keyQuery, p.items[i].data.Table.ID.OID)
				if err == nil {
					keys, err = pgx.CollectRows(rows, pgx.RowTo[[]string])
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("read keys: %w", err)
			}
			d.key = d.usable(keys)
		}
	}
	return nil
}

// usable are the positions of the columns of the first key all of whose columns
// are compared; nil if there is none.
func (d *drill) usable(keys [][]string) []int {
	for _, names := range keys {
		var key []int
		for _, name := range names {
			if n := slices.Index(d.columns, name); n >= 0 {
				key = append(key, n)
			}
		}
		if len(key) == len(names) && len(key) > 0 {
			return key
		}
	}
	return nil
}

// each reads all rows of an end, of the columns that are compared, without
// their newlines. If the connection is lost it begins again, by calling begin.
func (d *drill) each(ctx context.Context, end int, begin func(), do func(row []byte)) error {
	e := d.c.ends[end]
	read := func(conn *pgx.Conn) error {
		begin()
		for _, p := range d.pairs {
			if it := p.items[end]; it != nil {
				if err := d.rows(ctx, conn, p, end, do); err != nil {
					return fmt.Errorf("%s: %w", e.name, err)
				}
			}
		}
		return nil
	}
	if e.rec != nil {
		return read(nil)
	}
	return e.with(ctx, read)
}

// rows reads the rows of one table of an end.
func (d *drill) rows(ctx context.Context, conn *pgx.Conn, p *pair, side int, do func(row []byte)) error {
	it := p.items[side]
	if f := d.c.rewriters(p, side); f != nil {
		do = (&rewriting{columns: f[:len(d.columns)], do: do}).row
	}
	out := io.Writer(&splitter{do: do})
	end := func() error { return nil }
	if p.format == copyproto.Binary {
		t := &tuples{do: do}
		for _, name := range p.columns {
			t.types = append(t.types, p.described().Table.ColumnType(name))
		}
		out, end = t, t.end
	}
	if it.recorded == nil {
		_, err := copyproto.Query{Conn: conn.PgConn(), SQL: begin(it) + d.c.copyStatement(p, it, p.columns, d.filter, p.format), Format: p.format}.CopyTo(ctx, out)
		return cmp.Or(err, end())
	}
	if !slices.Equal(it.recorded.Columns, d.columns) {
		out = &splitter{do: (&projection{all: it.recorded.Columns, want: d.columns, w: out}).row}
	}
	_, err := d.c.ends[side].rec.read(ctx, it.recorded, out)
	return cmp.Or(err, end())
}
