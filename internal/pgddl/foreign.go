package pgddl

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
func ParseWrapper(stmt string) (*Wrapper, error) { return nil, ErrShape }

// ParseServer reads one CREATE SERVER.
func ParseServer(stmt string) (*Server, error) { return nil, ErrShape }

// ParseUserMapping reads one CREATE USER MAPPING.
func ParseUserMapping(stmt string) (*UserMapping, error) { return nil, ErrShape }

// String writes the statement as pg_dump does.
func (u *UserMapping) String() string { return "" }
