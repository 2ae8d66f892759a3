package pgddl

import (
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Wrapper is CREATE FOREIGN DATA WRAPPER.
type Wrapper struct {
	Name               string // without quotes
	Handler, Validator string // as written, "" for none
	Options            []Option
}

// A Server is CREATE SERVER.
type Server struct {
	Name, Type, Version, Wrapper string // without quotes
	Options                      []Option
}

// A UserMapping is CREATE USER MAPPING. Its options may hold a password.
type UserMapping struct {
	Role    Role
	Server  string // without quotes
	Options []Option
}

// ParseWrapper reads one CREATE FOREIGN DATA WRAPPER.
func ParseWrapper(stmt string) (*Wrapper, error) {
	c := first(stmt)
	w := &Wrapper{}
	c.want("create", "foreign", "data", "wrapper")
	w.Name = c.name()
	if c.take("handler") {
		w.Handler = c.qualified()
	}
	if c.take("validator") {
		w.Validator = c.qualified()
	}
	w.Options = c.foreignOptions()
	if err := c.only(); err != nil {
		return nil, err
	}
	return w, nil
}

// ParseServer reads one CREATE SERVER.
func ParseServer(stmt string) (*Server, error) {
	c := first(stmt)
	s := &Server{}
	c.want("create", "server")
	s.Name = c.name()
	if c.take("type") {
		s.Type = c.string()
	}
	if c.take("version") {
		s.Version = c.string()
	}
	c.want("foreign", "data", "wrapper")
	s.Wrapper = c.name()
	s.Options = c.foreignOptions()
	if err := c.only(); err != nil {
		return nil, err
	}
	return s, nil
}

// ParseUserMapping reads one CREATE USER MAPPING.
func ParseUserMapping(stmt string) (*UserMapping, error) {
	c := first(stmt)
	u := &UserMapping{}
	c.want("create", "user", "mapping", "for")
	u.Role = c.role()
	c.want("server")
	u.Server = c.name()
	u.Options = c.foreignOptions()
	if err := c.only(); err != nil {
		return nil, err
	}
	return u, nil
}

// String writes the statement.
func (u *UserMapping) String() string {
	role := u.Role.String()
	if u.Role.Public {
		role = "public" // so pg_dump writes it here
	}
	s := "CREATE USER MAPPING FOR " + role + " SERVER " + quote.Ident(u.Server)
	if len(u.Options) == 0 {
		return s
	}
	list := make([]string, len(u.Options))
	for i, o := range u.Options {
		list[i] = quote.Ident(o.Name) + " " + literal(o.Value)
	}
	return s + " OPTIONS (\n    " + strings.Join(list, ",\n    ") + "\n)"
}
