package pgddl

import "strings"

// A Column is a column of a [Table] or of a composite [Type].
type Column struct {
	Name      string // without quotes
	Type      string // as written; "" in a table of a type
	Collation string // as written, "" where it has the type's
}

// A Table is CREATE [UNLOGGED] [FOREIGN] TABLE.
type Table struct {
	Unlogged, Foreign bool
	Name              string // as written, with its schema
	OfType            string // as written, of a table of a type
	PartitionOf       string // as written; only pg_dump before 11 makes partitions at once, others attach them later
	Bound             string // with PartitionOf: FOR VALUES … or DEFAULT
	Columns           []Column
	Constraints       []string // those of the table, as written
	Inherits          []string // as written
	Partition         string   // what follows PARTITION BY, for instance `RANGE (name COLLATE "C")`
	Server            string   // of a foreign table, without quotes
	More              []string // the statements after it (ALTER TABLE …)
}

// ParseTable reads the definition of a TABLE or FOREIGN TABLE entry.
func ParseTable(def string) (*Table, error) {
	c := first(def)
	t := &Table{}
	c.want("create")
	t.Unlogged = c.take("unlogged")
	t.Foreign = c.take("foreign")
	c.want("table")
	t.Name = c.qualified()
	switch {
	case c.take("of"):
		t.OfType = c.qualified()
	case c.take("partition", "of"):
		t.PartitionOf = c.qualified()
	}
	if c.has("(") {
		c.tableItems(t)
	} else if t.OfType == "" && t.PartitionOf == "" {
		c.fail("columns")
	}
	if t.PartitionOf != "" {
		t.Bound = c.bound()
	}
	if c.take("inherits") {
		for _, p := range commas(c.brackets()) {
			t.Inherits = append(t.Inherits, span(c.sql, p))
		}
	}
	if c.take("partition", "by") {
		from := c.at
		c.name()
		c.brackets()
		t.Partition = c.since(from)
	}
	if t.Foreign {
		c.want("server")
		t.Server = c.name()
	}
	if c.take("with") {
		c.brackets()
	}
	if c.take("options") {
		c.brackets()
	}
	t.More = c.more()
	if c.err != nil {
		return nil, c.err
	}
	return t, nil
}

// bound reads the bound of a partition.
func (c *cursor) bound() string {
	from := c.at
	if !c.take("default") {
		c.want("for", "values")
		switch {
		case c.take("in"), c.take("with"):
			c.brackets()
		default:
			c.want("from")
			c.brackets()
			c.want("to")
			c.brackets()
		}
	}
	return c.since(from)
}

// tableItems reads the columns and constraints of a table.
func (c *cursor) tableItems(t *Table) {
	for _, tokens := range commas(c.brackets()) {
		item := c.within(tokens)
		if item.has("constraint") || item.has("check") || item.has("not", "null") {
			t.Constraints = append(t.Constraints, span(c.sql, tokens))
			continue
		}
		if item.has("like") {
			item.fail("a column") // the name would have quotes
		}
		t.Columns = append(t.Columns, item.column())
		c.join(item)
	}
}

// column reads a column's name and type, and goes over what follows.
func (c *cursor) column() Column {
	col := Column{Name: c.name()}
	if !c.take("with", "options") {
		col.Type = c.until("default", "generated", "constraint", "not", "null", "collate", "check", "options")
	}
	for !c.ended() {
		if c.take("collate") {
			col.Collation = c.qualified()
		} else if c.has("(") {
			c.brackets()
		} else {
			c.at++
		}
	}
	return col
}

// Logged returns the definition of a TABLE or SEQUENCE entry without UNLOGGED
// (of an identity column's sequence too). What is logged comes back unchanged.
func Logged(def string) (string, error) {
	list, err := statements(def)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	done := 0
	for _, s := range list {
		c := &cursor{sql: def, tokens: s}
		switch {
		case c.take("create", "unlogged"):
		case c.has("alter", "table") && c.identityUnlogged():
		default:
			continue
		}
		b.WriteString(def[done:s[c.at-2].End]) // the word and the space before it go
		done = s[c.at-1].End
	}
	return b.String() + def[done:], nil
}

// identityUnlogged reads up to the UNLOGGED of ADD GENERATED … AS IDENTITY (…).
func (c *cursor) identityUnlogged() bool {
	c.until("generated")
	c.take("generated")
	if !c.take("always") && !c.take("by", "default") {
		return false
	}
	if !c.take("as", "identity", "(", "sequence", "name") {
		return false
	}
	c.names()
	return c.take("unlogged")
}
