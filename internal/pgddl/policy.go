package pgddl

// A Policy is CREATE POLICY … ON … [AS …] [FOR …] [TO …] [USING …] [WITH CHECK …].
type Policy struct {
	Name  string // without quotes
	Table string // as written
	Head  string // as written up to TO
	Roles []Role // never empty after parsing; PUBLIC alone where there is no TO
	Tail  string // USING and WITH CHECK as written, or ""
}

// ParsePolicy reads one CREATE POLICY.
func ParsePolicy(stmt string) (*Policy, error) { return nil, ErrShape }

// String writes the statement. PUBLIC alone is left out, as pg_dump does; an
// empty list of roles gives SQL that every server refuses, so that a policy
// never becomes one for everybody by accident.
func (p *Policy) String() string { return "" }

// An Owner is ALTER … OWNER TO role.
type Owner struct {
	Head string // as written up to OWNER TO
	Role string // without quotes
}

// ParseOwner reads one ALTER … OWNER TO.
func ParseOwner(stmt string) (*Owner, error) { return nil, ErrShape }

// String writes the statement.
func (o *Owner) String() string { return "" }
