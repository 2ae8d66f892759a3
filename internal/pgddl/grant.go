package pgddl

import (
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Role is a role in a statement.
type Role struct {
	Name   string // without quotes; "" for PUBLIC
	Public bool
}

// String is the role as SQL: PUBLIC or the quoted name.
func (r Role) String() string {
	if r.Public {
		return "PUBLIC"
	}
	return quote.Ident(r.Name)
}

func joinRoles(roles []Role) string {
	list := make([]string, len(roles))
	for i, r := range roles {
		list[i] = r.String()
	}
	return strings.Join(list, ", ")
}

// A Privilege is one privilege of a [Grant].
type Privilege struct {
	Name    string   // SELECT, ALL, "ALTER SYSTEM", …
	Columns []string // without quotes; nil for the whole object
}

// A Grant is one GRANT or REVOKE: of privileges on an object, or of membership
// in roles.
type Grant struct {
	Revoke          bool
	GrantOptionFor  bool        // REVOKE GRANT OPTION FOR …
	Privileges      []Privilege // none for a membership
	ObjectKind      string      // TABLE, FUNCTION, FOREIGN SERVER, …; in default privileges TABLES, FUNCTIONS, …; "" where the statement names none (a table)
	Object          string      // the text as written, with quotes, schema and arguments; "" in default privileges
	Members         []Role      // of a membership: the roles that are granted; the Grantees become their members
	Options         []Option    // of a membership: ADMIN, INHERIT, SET with OPTION, TRUE or FALSE
	OptionFor       string      // of a membership: REVOKE ADMIN|INHERIT|SET OPTION FOR …
	Grantees        []Role
	WithGrantOption bool
	GrantedBy       *Role
	Tail            string // CASCADE or RESTRICT of a REVOKE
}

// Membership tells whether the statement is about membership in roles.
func (g *Grant) Membership() bool { return len(g.Members) > 0 }

var (
	privilegeWords = []string{
		"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN", "USAGE", "CREATE",
		"CONNECT", "TEMPORARY", "TEMP", "EXECUTE", "SET", "ALTER SYSTEM", "ALL PRIVILEGES", "ALL",
	}
	objectKinds = []string{
		"FOREIGN DATA WRAPPER", "FOREIGN SERVER", "LARGE OBJECT", "TABLE", "SEQUENCE", "DATABASE", "DOMAIN", "FUNCTION",
		"PROCEDURE", "ROUTINE", "LANGUAGE", "PARAMETER", "SCHEMA", "TABLESPACE", "TYPE",
	}
	defaultKinds = []string{"TABLES", "SEQUENCES", "FUNCTIONS", "ROUTINES", "TYPES", "SCHEMAS", "LARGE OBJECTS"}
)

// ParseGrant reads one GRANT or REVOKE.
func ParseGrant(stmt string) (*Grant, error) {
	c := first(stmt)
	g := c.grant(false)
	if err := c.only(); err != nil {
		return nil, err
	}
	return g, nil
}

// grant reads a statement, or what follows the head of ALTER DEFAULT
// PRIVILEGES.
func (c *cursor) grant(isDefault bool) *Grant {
	g := &Grant{}
	switch {
	case c.take("revoke"):
		g.Revoke = true
		if c.take("grant", "option", "for") {
			g.GrantOptionFor = true
		}
	default:
		c.want("grant")
	}
	if !isDefault && !g.GrantOptionFor && !c.onObject() {
		c.membership(g)
		return g
	}
	g.Privileges = c.privileges()
	c.want("on")
	if isDefault {
		g.ObjectKind = c.oneOf(defaultKinds...)
		if g.ObjectKind == "" {
			c.fail("a kind of objects")
		}
	} else {
		c.object(g)
	}
	c.grantees(g)
	if !g.Revoke {
		g.WithGrantOption = c.take("with", "grant", "option")
	}
	c.grantTail(g)
	return g
}

// onObject tells whether ON comes before TO or FROM: only privileges have it.
func (c *cursor) onObject() bool {
	ahead := *c
	ahead.until("on", "to", "from")
	return ahead.has("on")
}

func (c *cursor) privileges() []Privilege {
	var list []Privilege
	for {
		p := Privilege{Name: c.oneOf(privilegeWords...)}
		switch p.Name {
		case "":
			c.fail("a privilege")
			return nil
		case "ALL PRIVILEGES":
			p.Name = "ALL"
		}
		if c.has("(") {
			columns := c.within(c.brackets())
			p.Columns = append(p.Columns, columns.name())
			for columns.take(",") {
				p.Columns = append(p.Columns, columns.name())
			}
			c.join(columns)
		}
		list = append(list, p)
		if !c.take(",") {
			return list
		}
	}
}

// join takes over the error of a part, which must be at its end.
func (c *cursor) join(part *cursor) {
	part.end()
	if c.err == nil {
		c.err = part.err
	}
}

// object reads the kind and name of what is granted on.
func (c *cursor) object(g *Grant) {
	at := c.at
	g.ObjectKind = c.oneOf(objectKinds...)
	if c.has("to") || c.has("from") { // a table whose name is the word
		c.at, g.ObjectKind = at, ""
	}
	from := c.at
	if g.ObjectKind == "LARGE OBJECT" {
		if c.token().Kind != Number {
			c.fail("the number of a large object")
		}
		c.at++
	} else {
		c.names()
	}
	switch g.ObjectKind {
	case "FUNCTION", "PROCEDURE", "ROUTINE":
		c.brackets()
	}
	g.Object = c.since(from)
}

func (c *cursor) grantees(g *Grant) {
	if g.Revoke {
		c.want("from")
	} else {
		c.want("to")
	}
	g.Grantees = c.roles()
}

func (c *cursor) grantTail(g *Grant) {
	if c.take("granted", "by") {
		g.GrantedBy = &Role{Name: c.rolePlain()}
	}
	if g.Revoke {
		g.Tail = c.oneOf("CASCADE", "RESTRICT")
	}
}

func (c *cursor) membership(g *Grant) {
	if g.Revoke {
		for _, o := range []string{"ADMIN", "INHERIT", "SET"} {
			if c.take(fold(o), "option", "for") {
				g.OptionFor = o
			}
		}
	}
	g.Members = []Role{{Name: c.rolePlain()}}
	for c.take(",") {
		g.Members = append(g.Members, Role{Name: c.rolePlain()})
	}
	c.grantees(g)
	if !g.Revoke && c.take("with") {
		for {
			o := Option{Name: c.oneOf("ADMIN", "INHERIT", "SET"), Value: c.oneOf("OPTION", "TRUE", "FALSE")}
			if o.Name == "" || o.Value == "" {
				c.fail("an option of a membership")
				return
			}
			g.Options = append(g.Options, o)
			if !c.take(",") {
				break
			}
		}
	}
	c.grantTail(g)
}

// String writes the statement. An empty list of grantees gives SQL that every
// server refuses.
func (g *Grant) String() string {
	var b strings.Builder
	to := " TO "
	if g.Revoke {
		b.WriteString("REVOKE ")
		to = " FROM "
	} else {
		b.WriteString("GRANT ")
	}
	if g.Membership() {
		if g.OptionFor != "" {
			b.WriteString(g.OptionFor + " OPTION FOR ")
		}
		b.WriteString(joinRoles(g.Members))
	} else {
		if g.GrantOptionFor {
			b.WriteString("GRANT OPTION FOR ")
		}
		for i, p := range g.Privileges {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(p.Name)
			if p.Columns != nil {
				b.WriteString("(" + quote.Idents(p.Columns) + ")")
			}
		}
		b.WriteString(" ON " + strings.TrimSpace(g.ObjectKind+" "+g.Object))
	}
	b.WriteString(to + joinRoles(g.Grantees))
	for i, o := range g.Options {
		b.WriteString([]string{" WITH ", ", "}[min(i, 1)] + o.Name + " " + o.Value)
	}
	if g.WithGrantOption {
		b.WriteString(" WITH GRANT OPTION")
	}
	if g.GrantedBy != nil {
		b.WriteString(" GRANTED BY " + g.GrantedBy.String())
	}
	if g.Tail != "" {
		b.WriteString(" " + g.Tail)
	}
	return b.String()
}
