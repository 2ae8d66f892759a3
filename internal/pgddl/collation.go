package pgddl

// A Collation is CREATE COLLATION.
type Collation struct {
	Name           string // as written, with its schema
	Provider       string // libc, icu, builtin
	Locale         string // of all of it
	Collate, Ctype string // of libc where they differ
	Rules          string // of icu
	Deterministic  bool
}

// ParseCollation reads one CREATE COLLATION.
func ParseCollation(stmt string) (*Collation, error) { return nil, ErrShape }

// String writes the statement.
func (c *Collation) String() string { return "" }
