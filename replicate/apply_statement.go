package replicate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// An applyTable is a table as the source has last described it, joined with the
// target's.
type applyTable struct {
	table   *Table
	target  *targetTable
	columns []relationColumn
	full    bool   // every row is found by all its columns
	name    string // on the target, quoted; with ONLY where it is needed
}

func newApplyTable(m *msgRelation, t *Table, target *targetTable) *applyTable {
	r := &applyTable{table: t, target: target, columns: m.columns, full: m.identity == IdentityFull, name: t.Target()}
	if !target.partitioned {
		r.name = "ONLY " + r.name
	}
	return r
}

// A statement is a change written for the target: SQL with parameters.
type statement struct {
	sql    strings.Builder
	values [][]byte
}

// param adds a parameter and returns how the SQL names it.
func (s *statement) param(v value) string {
	text := v.text
	if v.kind == valueNull {
		text = nil
	} else if text == nil {
		text = []byte{} // which is not NULL
	}
	s.values = append(s.values, text)
	return "$" + strconv.Itoa(len(s.values))
}

// insert writes a new row.
func (r *applyTable) insert(row tuple) (*statement, error) {
	if err := r.whole(row); err != nil {
		return nil, err
	}
	s := &statement{}
	s.sql.WriteString("INSERT INTO " + r.table.Target())
	if len(row) == 0 {
		s.sql.WriteString(" DEFAULT VALUES")
		return s, nil
	}
	s.sql.WriteString(" (" + r.columnList() + ") OVERRIDING SYSTEM VALUE VALUES (")
	for i, v := range row {
		if i > 0 {
			s.sql.WriteString(", ")
		}
		s.sql.WriteString(s.param(v))
	}
	s.sql.WriteByte(')')
	return s, nil
}

// whole checks that a row has a value for each column.
func (r *applyTable) whole(row tuple) error {
	for i, v := range row {
		if v.kind == valueUnchanged {
			return fmt.Errorf("the source has not sent the column %q of a row of %s", r.columns[i].name, r.table)
		}
	}
	return nil
}

func (r *applyTable) columnList() string {
	names := make([]string, len(r.columns))
	for i, c := range r.columns {
		names[i] = c.name
	}
	return quote.Idents(names)
}

// update writes a row anew. old is its key or its columns before, nil if the key
// has not changed.
func (r *applyTable) update(old, row tuple) (*statement, error) {
	find := old
	if find == nil {
		if r.full {
			return nil, fmt.Errorf("the source has not sent the old row of an update of %s", r.table)
		}
		find = row
	}
	var set []int
	replace := false
	for i, v := range row {
		c := r.columns[i]
		switch {
		case v.kind == valueUnchanged:
			continue
		case old == nil && c.flags&1 != 0:
			continue // the key is what it was
		}
		if r.target.columns[c.name].always {
			known := old != nil && (r.full || c.flags&1 != 0)
			if known && same(old[i], v) {
				continue
			}
			replace = true
		}
		set = append(set, i)
	}
	s := &statement{}
	switch {
	case replace:
		return s, r.replace(s, find, row)
	case len(set) == 0: // nothing to write, but the row must be there
		s.sql.WriteString("SELECT FROM " + r.name)
		return s, r.where(s, find)
	}
	s.sql.WriteString("UPDATE " + r.name + " SET ")
	for n, i := range set {
		if n > 0 {
			s.sql.WriteString(", ")
		}
		s.sql.WriteString(quote.Ident(r.columns[i].name) + " = " + s.param(row[i]))
	}
	return s, r.where(s, find)
}

func same(a, b value) bool { return a.kind == b.kind && string(a.text) == string(b.text) }

// replace writes an update as the end of a row and the making of another, for
// columns that only an INSERT can set.
func (r *applyTable) replace(s *statement, find, row tuple) error {
	s.sql.WriteString("WITH pghaul_old AS (DELETE FROM " + r.name)
	if err := r.where(s, find); err != nil {
		return err
	}
	s.sql.WriteString(" RETURNING *) INSERT INTO " + r.table.Target() + " (" + r.columnList() + ") OVERRIDING SYSTEM VALUE SELECT ")
	for i, v := range row {
		if i > 0 {
			s.sql.WriteString(", ")
		}
		name := r.columns[i].name
		if v.kind == valueUnchanged {
			s.sql.WriteString("pghaul_old." + quote.Ident(name))
		} else {
			s.sql.WriteString(s.param(v) + "::" + r.target.columns[name].typ)
		}
	}
	s.sql.WriteString(" FROM pghaul_old")
	return nil
}

// delete removes a row.
func (r *applyTable) delete(old tuple) (*statement, error) {
	s := &statement{}
	s.sql.WriteString("DELETE FROM " + r.name)
	return s, r.where(s, old)
}

// where finds one row, by its key or, in tables without one, by all its columns.
func (r *applyTable) where(s *statement, find tuple) error {
	if r.full {
		return r.whereRow(s, find)
	}
	s.sql.WriteString(" WHERE ")
	n := 0
	for i, c := range r.columns {
		if c.flags&1 == 0 {
			continue
		}
		if n++; n > 1 {
			s.sql.WriteString(" AND ")
		}
		if find[i].kind != valueText {
			return fmt.Errorf("the source has not sent the key column %q of a row of %s", c.name, r.table)
		}
		s.sql.WriteString(quote.Ident(c.name) + " = " + s.param(find[i]))
		if column := r.target.columns[c.name]; column.composite {
			s.sql.WriteString("::" + column.typ)
		}
	}
	if n == 0 {
		return fmt.Errorf("%s has no replica identity", r.table)
	}
	return nil
}

// whereRow finds one of the rows that have just these values.
func (r *applyTable) whereRow(s *statement, find tuple) error {
	if err := r.whole(find); err != nil {
		return err
	}
	var tests, order []string
	for i, c := range r.columns {
		name := quote.Ident(c.name)
		text := "pg_catalog.format('%s', " + name + ") = "
		if find[i].kind == valueNull {
			tests = append(tests, nullTest(name))
			continue
		}
		switch r.target.columns[c.name].equal {
		case byValue:
			tests = append(tests, name+" = "+s.param(find[i]))
		case byValueFirst:
			p := s.param(find[i])
			tests = append(tests, name+" = "+p)
			order = append(order, text+s.param(find[i])+`::pg_catalog.text COLLATE pg_catalog."C" DESC`)
		case byText:
			// format writes the empty text for NULL, too.
			tests = append(tests, "NOT ("+nullTest(name)+")", text+s.param(find[i])+`::pg_catalog.text COLLATE pg_catalog."C"`)
		}
	}
	condition := ""
	if len(tests) > 0 {
		condition = " WHERE " + strings.Join(tests, " AND ")
	}
	if len(order) > 0 {
		condition += " ORDER BY " + strings.Join(order, ", ")
	}
	if r.target.partitioned {
		s.sql.WriteString(" WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM " + r.name + condition + " LIMIT 1)")
	} else {
		s.sql.WriteString(" WHERE ctid = (SELECT ctid FROM " + r.name + condition + " LIMIT 1)")
	}
	return nil
}

// nullTest is true of NULL alone: of a row type IS NULL is true if all its fields
// are NULL as well.
func nullTest(name string) string { return name + " IS NOT DISTINCT FROM NULL" }

// truncate empties tables together. Tables that the source's CASCADE has reached
// are among them, so the target needs none.
func truncate(list []*applyTable, flags byte) *statement {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = r.name
	}
	s := &statement{}
	s.sql.WriteString("TRUNCATE " + strings.Join(names, ", "))
	if flags&truncateIdentity != 0 {
		s.sql.WriteString(" RESTART IDENTITY")
	}
	return s
}

// row writes the key of a row, or all of it where there is no key, for an error.
func (r *applyTable) row(t tuple) string {
	var b strings.Builder
	for i, c := range r.columns {
		if i >= len(t) || c.flags&1 == 0 && r.hasKey() {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if b.Len() > maxRowText {
			b.WriteString("…")
			break
		}
		switch t[i].kind {
		case valueNull:
			fmt.Fprintf(&b, "%s = NULL", c.name)
		case valueUnchanged:
			fmt.Fprintf(&b, "%s not sent", c.name)
		default:
			text := t[i].text
			if len(text) > maxValueText {
				text = append(text[:maxValueText:maxValueText], "…"...)
			}
			fmt.Fprintf(&b, "%s = %q", c.name, text)
		}
	}
	return "(" + b.String() + ")"
}

// What an error tells of a row at most, in bytes.
const (
	maxRowText   = 1000
	maxValueText = 200
)

func (r *applyTable) hasKey() bool {
	for _, c := range r.columns {
		if c.flags&1 != 0 {
			return true
		}
	}
	return false
}
