package pgddl

import (
	"slices"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Policy is CREATE POLICY … ON … [AS …] [FOR …] [TO …] [USING …] [WITH CHECK …].
type Policy struct {
	Name  string // without quotes
	Table string // as written
	Head  string // as written up to TO
	Roles []Role // never empty after parsing; PUBLIC alone where there is no TO
	Tail  string // USING and WITH CHECK as written, or ""
}

// ParsePolicy reads one CREATE POLICY.
func ParsePolicy(stmt string) (*Policy, error) {
	c := first(stmt)
	p := &Policy{}
	c.want("create", "policy")
	p.Name = c.name()
	c.want("on")
	p.Table = c.qualified()
	if c.take("as") && c.oneOf("PERMISSIVE", "RESTRICTIVE") == "" {
		c.fail("PERMISSIVE or RESTRICTIVE")
	}
	if c.take("for") && c.oneOf("ALL", "SELECT", "INSERT", "UPDATE", "DELETE") == "" {
		c.fail("a command")
	}
	p.Head = c.since(0)
	p.Roles = []Role{{Public: true}}
	if c.take("to") {
		p.Roles = c.roles()
	}
	from := c.at
	if c.take("using") {
		c.brackets()
	}
	if c.take("with", "check") {
		c.brackets()
	}
	p.Tail = c.since(from)
	if err := c.only(); err != nil {
		return nil, err
	}
	return p, nil
}

// String writes the statement. PUBLIC alone is left out, as pg_dump does; an
// empty list of roles gives SQL that every server refuses, so that a policy
// never becomes one for everybody by accident.
func (p *Policy) String() string {
	s := p.Head
	if !slices.Equal(p.Roles, []Role{{Public: true}}) {
		s += " TO " + joinRoles(p.Roles)
	}
	if p.Tail != "" {
		s += " " + p.Tail
	}
	return s
}

// An Owner is ALTER … OWNER TO role.
type Owner struct {
	Head string // as written up to OWNER TO
	Role string // without quotes
}

// ParseOwner reads one ALTER … OWNER TO.
func ParseOwner(stmt string) (*Owner, error) {
	c := first(stmt)
	o := &Owner{}
	if !c.has("alter") {
		c.fail("ALTER")
	}
	for !c.ended() && !c.has("owner", "to") {
		if c.has("(") {
			c.brackets()
		} else {
			c.at++
		}
	}
	o.Head = c.since(0)
	c.want("owner", "to")
	o.Role = c.rolePlain()
	if err := c.only(); err != nil {
		return nil, err
	}
	return o, nil
}

// String writes the statement.
func (o *Owner) String() string { return o.Head + " OWNER TO " + quote.Ident(o.Role) }
