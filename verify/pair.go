package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/progress"
)

// A pair is a table of either end or of both.
type pair struct {
	key
	items    [2]*item // nil where the table is not, or not readable
	columns  []string // to compare, in the source's order
	problems []string
	// countOnly says why only the numbers of rows can be compared; "" compares
	// the rows.
	countOnly string
	// format is that in which the rows of both ends are read and were recorded; ""
	// is text.
	format copyproto.Format
	stored []string // generated columns that both ends store: compared by themselves
	digest [2]*copyproto.Digest
	whole  [2]copyproto.Digest // with the stored columns, where there are any
	// root is the partitioned table whose rows are compared as a whole: which
	// partition a row is in depends on the server. nil for most tables.
	root *catalog.Relation
	unit *unit

	mu      sync.Mutex
	left    int // parts that are still to be read, of both ends
	refused [2]error
	unread  [2][]string    // what of the rows of an end cannot be read, and why
	task    *progress.Task // counts the rows of one end
	counted int            // which
}

// A unit is what a line of the report is about: a table, or the partitions of
// one whose rows are compared as a whole.
type unit struct {
	key
	pairs        []*pair
	engine       Engine    // "" for rows that are only counted
	engineReason string    // where it is not the run's
	earlier      time.Time // when an earlier run has found it equal; zero if none has
	mu           sync.Mutex
	left         int           // pairs that are still to be read
	elapsed      time.Duration // of all connections together
	rows         *RowDiff      // once somebody has looked for the rows that differ
}

// group makes units of the pairs.
func (c *comparison) group() {
	whole := map[key]*unit{}
	for _, p := range c.pairs {
		k := p.key
		if p.root != nil {
			k = key{p.root.Schema, p.root.Name}
			if it := p.items[0]; it != nil && it.data != nil && it.data.Root == p.root {
				k.schema = c.mapping.schema(k.schema)
			}
		}
		u := whole[k]
		if u == nil {
			u = &unit{key: k}
			whole[k] = u
		}
		p.unit = u
		u.pairs = append(u.pairs, p)
	}
	c.units = slices.SortedFunc(maps.Values(whole), func(a, b *unit) int { return compareKeys(a.key, b.key) })
	for _, u := range c.units {
		if u.pairs[0].root != nil {
			u.findStored()
		}
	}
}

// findStored finds the generated columns that both ends store. They are read
// with the others, so that values that have changed places are found.
func (p *pair) findStored() {
	source, target := p.items[0], p.items[1]
	if source == nil || target == nil || source.data == nil || target.data == nil || p.countOnly != "" || p.root != nil {
		return
	}
	there := target.data.Table.StoredColumns()
	for _, name := range source.data.Table.StoredColumns() {
		if slices.Contains(there, name) {
			p.stored = append(p.stored, name)
		}
	}
}

// findStored finds those of partitions that are compared as a whole: all of them,
// at both ends, have to have them.
func (u *unit) findStored() {
	var stored []string
	first := true
	for _, p := range u.pairs {
		for _, it := range p.items {
			if it == nil {
				continue
			}
			if it.data == nil || p.countOnly != "" {
				return
			}
			there := it.data.Table.StoredColumns()
			if first {
				stored, first = slices.Clone(there), false
			}
			stored = slices.DeleteFunc(stored, func(name string) bool { return !slices.Contains(there, name) })
		}
	}
	slices.Sort(stored) // alike in every partition
	for _, p := range u.pairs {
		p.stored = stored
	}
}

// compareStored compares the generated columns of rows that are equal otherwise.
func (u *unit) compareStored() {
	var whole [2]copyproto.Digest
	for _, p := range u.pairs {
		for i := range whole {
			whole[i] = whole[i].Add(p.whole[i])
		}
	}
	if stored := u.pairs[0].stored; len(stored) > 0 && u.equal() && whole[0] != whole[1] {
		u.pairs[0].problems = append(u.pairs[0].problems, "the values of stored generated columns differ: "+quote.Idents(stored))
	}
}

// all are the columns that are read.
func (p *pair) all() []string { return slices.Concat(p.columns, p.stored) }

// match pairs the tables of both ends.
func (c *comparison) match() {
	for _, k := range c.keys(c.ends[0].tables, c.ends[1].tables) {
		p := &pair{key: k}
		for i, e := range c.ends {
			switch it := e.tables[k]; {
			case it == nil:
			case it.reason == notPopulated && unpopulated(e, c.ends[1-i], k):
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
		p.findStored()
		c.pairs = append(c.pairs, p)
	}
	c.limitRoots()
	c.group()
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
	p.format = copyproto.Format(rec.Format)
	if p.format == copyproto.Binary {
		p.countOnly = c.limitBinary(p, rec)
		return
	}
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

// limitBinary says why rows that are recorded in the binary format can only be
// counted; "" if they can be compared.
func (c *comparison) limitBinary(p *pair, rec *recorded) string {
	source, target := c.ends[0].version.Major(), c.ends[1].version.Major()
	switch {
	case source != target && !rec.Portable:
		return fmt.Sprintf("the rows are recorded in the binary format of PostgreSQL %d, and the target is %d", source, target)
	case p.items[1] != nil && !slices.Equal(p.columns, rec.Columns):
		return "the rows are recorded in COPY's binary format, with other columns"
	}
	return ""
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
		switch {
		case p.countOnly != "":
		case !slices.Equal(f.columns, p.columns):
			p.countOnly = "the partitions have their columns in different orders"
		case f.format != p.format:
			p.countOnly = "the partitions are recorded in different formats"
		}
		if f.countOnly == "" {
			f.countOnly = p.countOnly
		}
	}
	for _, p := range c.pairs {
		if f := first[p.root]; p.root != nil && f != nil {
			p.countOnly, p.format = cmp.Or(p.countOnly, f.countOnly), f.format
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
	only := func(what string, of, in []string) {
		names := slices.DeleteFunc(slices.Clone(of), func(name string) bool { return slices.Contains(in, name) })
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
	p.columns = slices.DeleteFunc(slices.Clone(source), func(name string) bool { return !slices.Contains(target, name) })
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

// bytes is how long the table takes, roughly.
func (p *pair) bytes() int64 {
	var n int64
	for _, it := range p.items {
		switch {
		case it == nil:
		case it.recorded != nil:
			n = max(n, it.recorded.Bytes)
		default:
			n = max(n, it.size.Bytes)
		}
	}
	return n
}

func (p *pair) String() string { return quote.Qualified(p.schema, p.name) }

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
