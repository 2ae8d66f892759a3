package verify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
)

// Rows that differ are found by reading both ends again. Every row falls into a
// bucket by the hash of its key's text, never by the key's place in the order of
// a collation, which differs between servers. In a first pass the buckets are
// summed up; in later ones the hashes of the rows in buckets that differ are
// compared. Memory is bounded by taking no more buckets at a time than there is
// room for.
const (
	buckets = 1 << 16
	// roomForRows is how many rows' hashes of one end are held at once.
	roomForRows = 1 << 20
	// roomForText is how many bytes of rows of one end are held at once.
	roomForText = 32 << 20
	// maxPasses is how often both ends are read for the hashes of rows; what is
	// beyond is not counted.
	maxPasses = 8
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
	conns   [2]*pgx.Conn
	report  *RowDiff
	// actions are what to do about rows, by the hash of their key, to repair the
	// target; nil if nobody wants to.
	actions map[uint64]action
	partial bool // there was no room for all of them
}

// An action is what is to be done about the rows of a key.
type action struct {
	insert, remove int32
	change         bool
}

// drillDown looks for the rows in which tables differ.
func (c *comparison) drillDown(ctx context.Context) error {
	if c.opts.MaxRows <= 0 && c.opts.Repair == nil {
		return nil
	}
	units := map[key][]*pair{}
	for _, p := range c.pairs {
		k := p.key
		if p.root != nil {
			k = key{p.root.Schema, p.root.Name}
		}
		units[k] = append(units[k], p)
	}
	for i := range c.report.Tables {
		t := &c.report.Tables[i]
		pairs := units[key{t.Schema, t.Name}]
		if t.Equal || t.Expected != "" || t.CountOnly != "" || t.Source == nil || t.Target == nil || *t.Source == *t.Target || !c.readable(pairs) {
			continue
		}
		d := &drill{c: c, pairs: pairs, columns: pairs[0].columns, report: &RowDiff{Rows: []Row{}}}
		c.opts.Logger.Info("looking for the rows that differ in table " + pairs[0].String())
		task := c.opts.Progress.Start("compare", "rows of "+pairs[0].String())
		err := d.run(ctx)
		task.Done(err)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			d.report.Problem = explain(err)
		}
		t.Rows = d.report
	}
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

func (d *drill) run(ctx context.Context) (err error) {
	for i, e := range d.c.ends {
		if e.rec != nil {
			continue
		}
		if d.conns[i], err = e.connect(ctx); err != nil {
			return err
		}
		defer pg.Close(d.conns[i])
	}
	if err := d.findKey(ctx); err != nil {
		return err
	}
	for _, n := range d.key {
		d.report.Key = append(d.report.Key, d.columns[n])
	}
	sums, err := d.sums(ctx)
	if err != nil {
		return err
	}
	if d.c.opts.Repair != nil {
		d.actions = map[uint64]action{}
	}
	if err := d.search(ctx, sums); err != nil {
		return err
	}
	if d.c.opts.Repair != nil {
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
	for i, conn := range d.conns {
		for _, p := range d.pairs {
			if conn == nil || p.items[i] == nil || d.key != nil {
				continue
			}
			rows, err := conn.Query(ctx, keyQuery, p.items[i].data.Table.ID.OID)
			if err != nil {
				return fmt.Errorf("read keys: %w", err)
			}
			keys, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
			if err != nil {
				return fmt.Errorf("read keys: %w", err)
			}
			for _, names := range keys {
				var key []int
				for _, name := range names {
					if n := slices.Index(d.columns, name); n >= 0 {
						key = append(key, n)
					}
				}
				if len(key) == len(names) && len(key) > 0 {
					d.key = key
					break
				}
			}
		}
	}
	return nil
}

// each reads all rows of an end, of the columns that are compared, without
// their newlines.
func (d *drill) each(ctx context.Context, end int, do func(row []byte)) error {
	for _, p := range d.pairs {
		it := p.items[end]
		if it == nil {
			continue
		}
		handle := do
		if f := d.c.rewriters(p, end); f != nil {
			handle = (&rewriting{columns: f, do: do}).row
		}
		out := io.Writer(&splitter{do: handle})
		var err error
		switch {
		case it.recorded != nil:
			if !slices.Equal(it.recorded.Columns, d.columns) {
				out = &splitter{do: (&projection{all: it.recorded.Columns, want: d.columns, w: out}).row}
			}
			_, err = d.c.ends[end].rec.read(ctx, it.recorded, out)
		default:
			_, err = copyproto.Query{Conn: d.conns[end].PgConn(), SQL: d.c.statement(p, it, p.columns)}.CopyTo(ctx, out)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.c.ends[end].name, err)
		}
	}
	return nil
}

// keyHash is the hash of a row's key.
func (d *drill) keyHash(row []byte) uint64 {
	if d.key == nil {
		return xxhash.Sum64(row)
	}
	if len(d.key) == 1 && d.key[0] == 0 {
		first, _, _ := bytes.Cut(row, []byte{'\t'})
		return xxhash.Sum64(first)
	}
	h := xxhash.New()
	fields := bytes.Split(row, []byte{'\t'})
	for _, n := range d.key {
		if n < len(fields) {
			_, _ = h.Write(fields[n])
		}
		_, _ = h.Write([]byte{'\t'})
	}
	return h.Sum64()
}

func bucketOf(hash uint64) int { return int(hash >> 48) }

// A bucket sums up the rows whose keys' hashes begin alike.
type bucket struct {
	hash        uint64 // the rows' hashes, added up
	rows, bytes int64
}

// sums fills the buckets of both ends.
func (d *drill) sums(ctx context.Context) (sums [2][]bucket, err error) {
	g, ctx := errgroup.WithContext(ctx)
	for i := range sums {
		sums[i] = make([]bucket, buckets)
		g.Go(func() error {
			return d.each(ctx, i, func(row []byte) {
				b := &sums[i][bucketOf(d.keyHash(row))]
				b.hash += xxhash.Sum64(row)
				b.rows++
				b.bytes += int64(len(row))
			})
		})
	}
	return sums, g.Wait()
}

// An entry is a row of a bucket that differs.
type entry struct {
	key, hash uint64
	text      []byte // nil where there is no room for it
}

// search compares the rows of the buckets that differ.
func (d *drill) search(ctx context.Context, sums [2][]bucket) error {
	var todo []int
	var text int64
	for n := range buckets {
		if s, t := sums[0][n], sums[1][n]; s.hash != t.hash || s.rows != t.rows {
			todo = append(todo, n)
			text += max(s.bytes, t.bytes)
		}
	}
	keep := text <= roomForText
	for pass := 0; len(todo) > 0; pass++ {
		if pass == maxPasses {
			d.report.AtLeast = true
			return nil
		}
		take, rows := make([]bool, buckets), int64(0)
		n := 0
		for ; n < len(todo); n++ {
			more := max(sums[0][todo[n]].rows, sums[1][todo[n]].rows)
			if n > 0 && rows+more > roomForRows {
				break
			}
			rows += more
			take[todo[n]] = true
		}
		todo = todo[n:]
		found, err := d.collect(ctx, take, keep)
		if err != nil {
			return err
		}
		shown, err := d.compare(ctx, found, keep)
		if err != nil {
			return err
		}
		d.report.Rows = append(d.report.Rows, shown...)
	}
	return nil
}

// collect reads the rows of some buckets of both ends, sorted by the hashes of
// their keys.
func (d *drill) collect(ctx context.Context, take []bool, keep bool) (found [2][]entry, err error) {
	g, ctx := errgroup.WithContext(ctx)
	for i := range found {
		g.Go(func() error {
			err := d.each(ctx, i, func(row []byte) {
				k := d.keyHash(row)
				if !take[bucketOf(k)] {
					return
				}
				e := entry{key: k, hash: xxhash.Sum64(row)}
				if keep {
					e.text = bytes.Clone(row)
				}
				found[i] = append(found[i], e)
			})
			slices.SortFunc(found[i], func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.hash, b.hash)) })
			return err
		})
	}
	return found, g.Wait()
}

// compare counts the differences among rows and returns some of them.
func (d *drill) compare(ctx context.Context, found [2][]entry, keep bool) ([]Row, error) {
	type change struct{ source, target *entry }
	var show []change
	source, target := found[0], found[1]
	for len(source) > 0 || len(target) > 0 {
		k := uint64(0)
		switch {
		case len(source) == 0:
			k = target[0].key
		case len(target) == 0:
			k = source[0].key
		default:
			k = min(source[0].key, target[0].key)
		}
		s, t := only(&source, k), only(&target, k)
		s, t = withoutCommon(s, t)
		for i := range max(len(s), len(t)) {
			var x change
			a := d.actions[k]
			if i < len(s) {
				x.source = &s[i]
			}
			if i < len(t) {
				x.target = &t[i]
			}
			switch {
			case x.target == nil:
				d.report.Missing++
				a.insert++
			case x.source == nil:
				d.report.Extra++
				a.remove++
			default:
				d.report.Changed++
				a.change = true
			}
			if d.actions != nil {
				if _, known := d.actions[k]; known || len(d.actions) < roomForRows {
					d.actions[k] = a
				} else {
					d.partial = true
				}
			}
			if len(d.report.Rows)+len(show) < d.c.opts.MaxRows {
				show = append(show, x)
			}
		}
	}
	if !keep && len(show) > 0 {
		wanted := map[uint64]bool{}
		for _, x := range show {
			wanted[cmp.Or(x.source, x.target).key] = true
		}
		texts, err := d.fetch(ctx, wanted)
		if err != nil {
			return nil, err
		}
		for _, x := range show {
			if x.source != nil {
				x.source.text = texts[0][[2]uint64{x.source.key, x.source.hash}]
			}
			if x.target != nil {
				x.target.text = texts[1][[2]uint64{x.target.key, x.target.hash}]
			}
		}
	}
	var rows []Row
	for _, x := range show {
		rows = append(rows, d.row(x.source, x.target))
	}
	return rows, nil
}

// only takes the entries of a key from the beginning of a list.
func only(list *[]entry, k uint64) []entry {
	n := 0
	for n < len(*list) && (*list)[n].key == k {
		n++
	}
	out := (*list)[:n]
	*list = (*list)[n:]
	return out
}

// withoutCommon takes the rows out that both have.
func withoutCommon(s, t []entry) (left, right []entry) {
	for len(s) > 0 && len(t) > 0 {
		switch {
		case s[0].hash == t[0].hash:
			s, t = s[1:], t[1:]
		case s[0].hash < t[0].hash:
			left, s = append(left, s[0]), s[1:]
		default:
			right, t = append(right, t[0]), t[1:]
		}
	}
	return append(left, s...), append(right, t...)
}

// fetch reads the rows of some keys again, to show them.
func (d *drill) fetch(ctx context.Context, wanted map[uint64]bool) (texts [2]map[[2]uint64][]byte, err error) {
	g, ctx := errgroup.WithContext(ctx)
	for i := range texts {
		texts[i] = map[[2]uint64][]byte{}
		room := roomForText
		g.Go(func() error {
			return d.each(ctx, i, func(row []byte) {
				if k := d.keyHash(row); wanted[k] && len(row) <= room {
					room -= len(row)
					texts[i][[2]uint64{k, xxhash.Sum64(row)}] = bytes.Clone(row)
				}
			})
		})
	}
	return texts, g.Wait()
}

// row describes a row that is at one end only, or that both have in different
// states.
func (d *drill) row(source, target *entry) Row {
	r := Row{Status: status(source != nil, target != nil), Key: []Value{}}
	var fields [2][][]byte
	for i, e := range []*entry{source, target} {
		if e != nil && e.text != nil {
			fields[i] = bytes.Split(e.text, []byte{'\t'})
		}
	}
	have := fields[0]
	if have == nil {
		have = fields[1]
	}
	if have == nil { // a row that there is no room for
		return r
	}
	if d.key == nil {
		for n := range d.columns {
			r.Key = append(r.Key, d.value(have, n))
		}
		return r
	}
	for _, n := range d.key {
		r.Key = append(r.Key, d.value(have, n))
	}
	if fields[0] == nil || fields[1] == nil {
		return r
	}
	for n, name := range d.columns {
		if n < len(fields[0]) && n < len(fields[1]) && !bytes.Equal(fields[0][n], fields[1][n]) {
			r.Columns = append(r.Columns, ColumnDiff{Name: name, Source: d.value(fields[0], n), Target: d.value(fields[1], n)})
		}
	}
	return r
}

// maxShown is how many bytes of a value are shown.
const maxShown = 200

// value is a field for showing.
func (d *drill) value(fields [][]byte, n int) Value {
	if n >= len(fields) {
		return nil
	}
	if d.c.opts.Mask {
		masked := "***"
		return &masked
	}
	text, null := unescape(fields[n])
	if null {
		return nil
	}
	if len(text) > maxShown {
		text = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:maxShown], ""), len(text))
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	return &text
}

// unescape reads a field of COPY text.
func unescape(field []byte) (text string, isNull bool) {
	if bytes.Equal(field, null) {
		return "", true
	}
	if bytes.IndexByte(field, '\\') < 0 {
		return string(field), false
	}
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c == '\\' && i+1 < len(field) {
			i++
			c = field[i]
			if n := strings.IndexByte("bfnrtv", c); n >= 0 {
				c = "\b\f\n\r\t\v"[n]
			}
		}
		out = append(out, c)
	}
	return string(out), false
}
