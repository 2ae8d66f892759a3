package pgddl

// A Role is a role in a statement.
type Role struct {
	Name   string // without quotes; "" for PUBLIC
	Public bool
}

// String is the role as SQL: PUBLIC or the quoted name.
func (r Role) String() string { return "" }

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

// ParseGrant reads one GRANT or REVOKE.
func ParseGrant(stmt string) (*Grant, error) { return nil, ErrShape }

// String writes the statement. An empty list of grantees gives SQL that every
// server refuses.
func (g *Grant) String() string { return "" }
