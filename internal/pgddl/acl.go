package pgddl

import (
	"slices"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// An ACLItem is one statement of an ACL entry, and who says it.
type ACLItem struct {
	Grantor string // as whom it runs; "" for the object's owner
	Grant   *Grant
}

// ParseACL reads the definition of an ACL entry: GRANTs and REVOKEs, of which
// those of other grantors than the owner stand between SET SESSION
// AUTHORIZATION and RESET SESSION AUTHORIZATION.
func ParseACL(def string) ([]ACLItem, error) {
	list, err := statements(def)
	if err != nil {
		return nil, err
	}
	var items []ACLItem
	grantor, bracket := "", false
	for _, s := range list {
		c := &cursor{sql: def, tokens: s}
		switch {
		case c.take("set", "session", "authorization") && !bracket:
			bracket = true
			if c.token().Kind == String {
				grantor = c.string()
			} else {
				grantor = c.rolePlain()
			}
			if grantor == "" {
				c.fail("a role")
			}
		case bracket && c.take("reset", "session", "authorization"):
			bracket, grantor = false, ""
		default:
			items = append(items, ACLItem{grantor, c.grant(false)})
		}
		if err := c.only(); err != nil {
			return nil, err
		}
	}
	if bracket {
		return nil, shape(len(def), "RESET SESSION AUTHORIZATION")
	}
	return items, nil
}

// FormatACL writes the definition of an ACL entry, each statement with its
// semicolon and newline. No items give "".
func FormatACL(items []ACLItem) string {
	var b strings.Builder
	for i, item := range items {
		if item.Grantor != "" && (i == 0 || !sameItem(items[i-1], item)) {
			b.WriteString("SET SESSION AUTHORIZATION " + quote.Ident(item.Grantor) + ";\n")
		}
		b.WriteString(item.Grant.String() + ";\n")
		if item.Grantor != "" && (i+1 == len(items) || !sameItem(item, items[i+1])) {
			b.WriteString("RESET SESSION AUTHORIZATION;\n")
		}
	}
	return b.String()
}

// sameItem tells whether two statements come from one item of the catalog:
// the privileges of a grantee without and with grant option.
func sameItem(a, b ACLItem) bool {
	return a.Grantor == b.Grantor && !a.Grant.Revoke && !b.Grant.Revoke &&
		!a.Grant.WithGrantOption && b.Grant.WithGrantOption && slices.Equal(a.Grant.Grantees, b.Grant.Grantees) &&
		a.Grant.ObjectKind == b.Grant.ObjectKind && a.Grant.Object == b.Grant.Object
}

// A DefaultACL is one ALTER DEFAULT PRIVILEGES.
type DefaultACL struct {
	Role   string // whose objects
	Schema string // "" for all schemas
	Grant  *Grant
}

// ParseDefaultACL reads one ALTER DEFAULT PRIVILEGES.
func ParseDefaultACL(stmt string) (*DefaultACL, error) {
	c := first(stmt)
	d := c.defaultACL()
	if err := c.only(); err != nil {
		return nil, err
	}
	return d, nil
}

func (c *cursor) defaultACL() *DefaultACL {
	d := &DefaultACL{}
	c.want("alter", "default", "privileges", "for", "role")
	d.Role = c.rolePlain()
	if c.take("in", "schema") {
		d.Schema = c.name()
	}
	d.Grant = c.grant(true)
	return d
}

// ParseDefaultACLs reads the definition of a DEFAULT ACL entry, which may hold
// several statements.
func ParseDefaultACLs(def string) ([]*DefaultACL, error) {
	list, err := statements(def)
	if err != nil {
		return nil, err
	}
	var out []*DefaultACL
	for _, s := range list {
		c := &cursor{sql: def, tokens: s}
		out = append(out, c.defaultACL())
		if err := c.only(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// FormatDefaultACLs writes the definition of a DEFAULT ACL entry.
func FormatDefaultACLs(list []*DefaultACL) string {
	var b strings.Builder
	for _, d := range list {
		b.WriteString(d.String() + ";\n")
	}
	return b.String()
}

// String writes the statement.
func (d *DefaultACL) String() string {
	head := "ALTER DEFAULT PRIVILEGES FOR ROLE " + quote.Ident(d.Role) + " "
	if d.Schema != "" {
		head += "IN SCHEMA " + quote.Ident(d.Schema) + " "
	}
	return head + d.Grant.String()
}
