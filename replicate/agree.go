package replicate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Signature is what a table of the source looked like for a while.
type Signature struct {
	Identity Identity `json:"identity"`
	Columns  []Column `json:"columns"`
}

// agree takes up that tables of the source were changed since the follow was started,
// where the target's were changed in the same way. Rows from before the change may be
// still to come; see Table.takes. A table that is the reason why the follow has failed
// and that is not the same at both ends is refused; another one may come to that.
func (c *control) agree(ctx context.Context) error {
	// What is changed after this position is no part of what is read.
	var at LSN
	if err := c.source.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text").Scan(&at); err != nil {
		return fmt.Errorf("read the position of the source: %w", err)
	}
	oids := make([]int64, len(c.Tables))
	for i := range c.Tables {
		oids[i] = int64(c.Tables[i].OID)
	}
	now, err := readByOID(ctx, c.source, oids)
	if err != nil {
		return err
	}
	there, _, err := targetTables(ctx, c.target, c.Tables)
	if err != nil {
		return err
	}
	tables, agreed := slices.Clone(c.Tables), 0
	for i := range tables {
		t, is := &tables[i], now[tables[i].OID]
		if len(changes(t, is)) == 0 {
			continue
		}
		if diffs := c.disagree(t, is, there[t.OID]); len(diffs) > 0 {
			if c.Engine == EngineNative || strings.Contains(c.Detail, "the definition of "+t.String()+" ") {
				return fmt.Errorf("the ends do not agree: %w", &SchemaError{Table: t.String(), Diffs: diffs})
			}
			continue
		}
		t.Was = append(slices.Clone(t.Was), Signature{t.Identity, t.Columns})
		t.Identity, t.Columns, t.Agreed = is.Identity, is.Columns, at
		agreed++
		c.log.Info("follow: table " + t.String() + " has changed in the same way at both ends")
	}
	if agreed == 0 {
		return nil
	}
	list, err := json.Marshal(tables)
	if err != nil {
		return err
	}
	// What was told of the changes is over.
	if err := setRecord(ctx, c.target, c.ID, `tables = $2::text::jsonb, warnings = coalesce((SELECT pg_catalog.jsonb_agg(w.text ORDER BY w.n)
  FROM pg_catalog.jsonb_array_elements_text(warnings) WITH ORDINALITY AS w(text, n) WHERE NOT pg_catalog.starts_with(w.text, 'the definition of ')), '[]')`, string(list)); err != nil {
		return err
	}
	c.Tables = tables
	return nil
}

// disagree tells what keeps the changes of a table of the source from being followed.
func (c *control) disagree(was, is *Table, there *targetTable) []string {
	var diffs []string
	add := func(format string, args ...any) { diffs = append(diffs, fmt.Sprintf(format, args...)) }
	switch {
	case is == nil:
		return []string{"was dropped on the source, or made anew, which cannot be followed: abort, and copy again"}
	case is.Schema != was.Schema || is.Name != was.Name:
		return []string{"was renamed to " + is.String() + " on the source, which cannot be followed: give it its name back"}
	case there == nil && was.Partitioned:
		return nil // its rows are in its partitions
	case there == nil:
		return []string{"is missing on the target"}
	}
	for _, n := range is.Columns {
		i := slices.IndexFunc(was.Columns, func(o Column) bool { return o.Name == n.Name })
		t, ok := there.columns[n.Name]
		switch {
		case !ok:
			add("has a column %s %s on the source, which the target's lacks: change the target's in the same way", quote.Ident(n.Name), n.Type)
		case t.generated:
			add("has a column %s on the source that the target computes", quote.Ident(n.Name))
		case !sameType(t.typ, n.Type):
			add("has a column %s that is %s on the source and %s on the target: change the target's in the same way", quote.Ident(n.Name), n.Type, t.typ)
		case i >= 0 && was.Columns[i].Type != n.Type && c.Engine == EngineNative:
			add("has a column %s that is %s on the source and was %s: a subscription may have brought rows before it was noticed, so that it cannot be followed: abort, and copy again", quote.Ident(n.Name), n.Type, was.Columns[i].Type)
		}
	}
	for _, o := range was.Columns {
		_, ok := there.columns[o.Name]
		if ok && !slices.ContainsFunc(is.Columns, func(n Column) bool { return n.Name == o.Name }) {
			add("has lost the column %s on the source, which the target's has: change the target's in the same way", quote.Ident(o.Name))
		}
	}
	return diffs
}

// sameType compares names of types, of which those of the user may be in another
// schema at the target.
func sameType(a, b string) bool {
	return a == b || a[strings.LastIndexByte(a, '.')+1:] == b[strings.LastIndexByte(b, '.')+1:]
}

// takes tells why a table as the source describes it, for a transaction that was
// committed at lsn, is not what is followed. Before the position at which both ends
// agreed it may be as it was earlier, or have had some of the later columns already:
// what the column holds in the rows from before is the same at both ends, the default.
// Each column must be of the same type on the target, though, lest a value is taken
// for one that has been converted.
func (t *Table) takes(m *msgRelation, lsn LSN, there *targetTable) []string {
	diffs := compare(t, m)
	if t.Agreed == 0 || lsn >= t.Agreed {
		return diffs
	}
	known := slices.Clone(t.Columns)
	earlier := len(diffs) == 0
	for _, was := range t.Was {
		w := *t
		w.Identity, w.Columns = was.Identity, was.Columns
		if len(compare(&w, m)) == 0 {
			earlier, known = true, was.Columns
		}
	}
	if !earlier && !t.within(m) {
		return diffs
	}
	diffs = nil
	for _, c := range m.columns {
		i := slices.IndexFunc(known, func(k Column) bool { return k.Name == c.name })
		if at, ok := there.columns[c.name]; !ok || i < 0 || !sameType(at.typ, known[i].Type) {
			diffs = append(diffs, fmt.Sprintf("had, when it was written to, a column %q that the target's does not have like that any more: give it back until the follow has passed %s", c.name, t.Agreed))
		}
	}
	return diffs
}

// within says that the table was the same but for columns that came later.
func (t *Table) within(m *msgRelation) bool {
	w := *t
	w.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(c Column) bool {
		return !slices.ContainsFunc(m.columns, func(n relationColumn) bool { return n.name == c.Name })
	})
	return len(compare(&w, m)) == 0
}
