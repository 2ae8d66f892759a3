package pgddl

// A Constraint is ALTER TABLE or DOMAIN … ADD CONSTRAINT.
type Constraint struct {
	Domain      bool
	Table       string // the table or domain, as written, with its schema
	Name        string // without quotes
	Kind        string // PRIMARY KEY, UNIQUE, FOREIGN KEY, CHECK, EXCLUDE, NOT NULL
	NotValid    bool
	NotEnforced bool
	Deferrable  bool
	UsingIndex  string   // without quotes
	Method      string   // of EXCLUDE USING method, without quotes
	References  string   // of a foreign key: the other table as written
	Definition  string   // as written, from Kind on
	More        []string // the statements after it
}

// ParseConstraint reads the definition of a CONSTRAINT, CHECK CONSTRAINT or FK
// CONSTRAINT entry.
func ParseConstraint(def string) (*Constraint, error) {
	c := first(def)
	k := &Constraint{}
	c.want("alter")
	switch {
	case c.take("domain"):
		k.Domain = true
	default:
		c.take("foreign")
		c.want("table")
		c.take("only")
	}
	k.Table = c.qualified()
	c.want("add", "constraint")
	k.Name = c.name()
	from := c.at
	k.Kind = c.oneOf("PRIMARY KEY", "UNIQUE", "FOREIGN KEY", "CHECK", "EXCLUDE", "NOT NULL")
	switch k.Kind {
	case "PRIMARY KEY", "UNIQUE":
		c.take("nulls", "not", "distinct")
		if c.take("using", "index") {
			k.UsingIndex = c.name()
		} else {
			c.brackets()
		}
	case "FOREIGN KEY":
		c.brackets()
		c.want("references")
		k.References = c.qualified()
		if c.has("(") {
			c.brackets()
		}
	case "CHECK":
		c.brackets()
	case "EXCLUDE":
		c.want("using")
		k.Method = c.name()
		c.brackets()
	case "NOT NULL":
		if !k.Domain {
			c.name()
		}
	default:
		c.fail("a kind of constraint")
	}
	for !c.ended() {
		c.constraintOption(k)
	}
	k.Definition = c.since(from)
	k.More = c.more()
	if c.err != nil {
		return nil, c.err
	}
	return k, nil
}

// constraintOption reads one of what may follow a constraint.
func (c *cursor) constraintOption(k *Constraint) {
	switch c.oneOf("INCLUDE", "WITH", "WHERE", "USING INDEX TABLESPACE", "MATCH", "ON DELETE", "ON UPDATE",
		"NOT DEFERRABLE", "NOT VALID", "NOT ENFORCED", "ENFORCED", "NO INHERIT", "DEFERRABLE", "INITIALLY DEFERRED", "INITIALLY IMMEDIATE") {
	case "INCLUDE", "WITH", "WHERE":
		c.brackets()
	case "USING INDEX TABLESPACE":
		c.name()
	case "MATCH":
		if c.oneOf("FULL", "PARTIAL", "SIMPLE") == "" {
			c.fail("FULL, PARTIAL or SIMPLE")
		}
	case "ON DELETE", "ON UPDATE":
		switch c.oneOf("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT") {
		case "SET NULL", "SET DEFAULT":
			if c.has("(") {
				c.brackets()
			}
		case "":
			c.fail("an action")
		}
	case "NOT VALID":
		k.NotValid = true
	case "NOT ENFORCED":
		k.NotEnforced = true
	case "DEFERRABLE":
		k.Deferrable = true
	case "":
		c.fail("an option of a constraint")
	}
}
