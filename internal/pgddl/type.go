package pgddl

// The kinds of a [Type].
const (
	ShellType     = "shell"
	BaseType      = "base" // written in C: only a superuser may create it
	EnumType      = "enum"
	RangeType     = "range"
	CompositeType = "composite"
	DomainType    = "domain"
)

// A Type is CREATE TYPE or CREATE DOMAIN.
type Type struct {
	Name      string // as written, with its schema
	Kind      string
	Options   []Option // of base and range types; Value as written
	Labels    []string // of an enum
	Columns   []Column // of a composite type
	Type      string   // of a domain: what it is based on, as written
	Collation string   // of a domain, as written
}

// ParseType reads the definition of a TYPE, SHELL TYPE or DOMAIN entry.
func ParseType(stmt string) (*Type, error) { return nil, ErrShape }
