package pgddl

import "github.com/pghaul/pghaul/internal/quote"

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
func ParseCollation(stmt string) (*Collation, error) {
	c := first(stmt)
	k := &Collation{Provider: "libc", Deterministic: true}
	c.want("create", "collation")
	k.Name = c.qualified()
	at := c.at
	for _, o := range c.definition() {
		switch o.Name {
		case "provider":
			if k.Provider = o.Value; k.Provider == "" {
				c.at = at
				c.fail("a provider")
			}
		case "locale":
			k.Locale = o.Value
		case "lc_collate":
			k.Collate = o.Value
		case "lc_ctype":
			k.Ctype = o.Value
		case "rules":
			k.Rules = o.Value
		case "deterministic":
			k.Deterministic = o.Value != "false"
		case "version": // only for pg_upgrade
		default:
			c.at = at
			c.fail("options of a collation")
		}
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return k, nil
}

// String writes the statement.
func (k *Collation) String() string {
	s := "CREATE COLLATION " + k.Name + " (provider = " + k.Provider
	if !k.Deterministic {
		s += ", deterministic = false"
	}
	if k.Locale != "" {
		s += ", locale = " + quote.Literal(k.Locale)
	}
	if k.Collate != "" {
		s += ", lc_collate = " + quote.Literal(k.Collate)
	}
	if k.Ctype != "" {
		s += ", lc_ctype = " + quote.Literal(k.Ctype)
	}
	if k.Rules != "" {
		s += ", rules = " + quote.Literal(k.Rules)
	}
	return s + ")"
}
