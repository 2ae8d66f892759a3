package pgddl

import "github.com/pghaul/pghaul/internal/quote"

// An Extension is CREATE EXTENSION.
type Extension struct {
	Name, Schema, Version string // without quotes; "" where not given
	IfNotExists, Cascade  bool
}

// ParseExtension reads one CREATE EXTENSION.
func ParseExtension(stmt string) (*Extension, error) {
	c := first(stmt)
	e := &Extension{}
	c.want("create", "extension")
	e.IfNotExists = c.take("if", "not", "exists")
	e.Name = c.name()
	with := c.take("with")
	if c.take("schema") {
		e.Schema = c.name()
	}
	if c.take("version") {
		if c.token().Kind == String {
			e.Version = c.string()
		} else {
			e.Version = c.name()
		}
	}
	e.Cascade = c.take("cascade")
	if with && e.Schema == "" && e.Version == "" && !e.Cascade {
		c.fail("an option")
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return e, nil
}

// String writes the statement.
func (e *Extension) String() string {
	s := "CREATE EXTENSION "
	if e.IfNotExists {
		s += "IF NOT EXISTS "
	}
	s += quote.Ident(e.Name)
	if e.Schema != "" || e.Version != "" || e.Cascade {
		s += " WITH"
	}
	if e.Schema != "" {
		s += " SCHEMA " + quote.Ident(e.Schema)
	}
	if e.Version != "" {
		s += " VERSION " + quote.Literal(e.Version)
	}
	if e.Cascade {
		s += " CASCADE"
	}
	return s
}
