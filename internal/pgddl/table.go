package pgddl

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
	Columns           []Column
	Constraints       []string // those of the table, as written
	Inherits          []string // as written
	Partition         string   // what follows PARTITION BY, for instance `RANGE (name COLLATE "C")`
	Server            string   // of a foreign table, without quotes
	More              []string // the statements after it (ALTER TABLE …)
}

// ParseTable reads the definition of a TABLE or FOREIGN TABLE entry.
func ParseTable(def string) (*Table, error) { return nil, ErrShape }

// Logged returns the definition of a TABLE or SEQUENCE entry without UNLOGGED
// (of an identity column's sequence too). What is logged comes back unchanged.
func Logged(def string) (string, error) { return "", ErrShape }
