package pgddl

// An Extension is CREATE EXTENSION.
type Extension struct {
	Name, Schema, Version string // without quotes; "" where not given
	IfNotExists, Cascade  bool
}

// ParseExtension reads one CREATE EXTENSION.
func ParseExtension(stmt string) (*Extension, error) { return nil, ErrShape }

// String writes the statement.
func (e *Extension) String() string { return "" }
