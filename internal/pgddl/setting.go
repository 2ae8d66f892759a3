package pgddl

import (
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Setting is ALTER DATABASE or ROLE … SET name TO value.
type Setting struct {
	Database, Role string // without quotes; either may be ""
	Name           string // without quotes, with its prefix: auto_explain.log_format
	Value          string // as written: literals with commas between
}

// ParseSetting reads one ALTER DATABASE or ROLE … SET.
func ParseSetting(stmt string) (*Setting, error) {
	c := first(stmt)
	s := &Setting{}
	c.want("alter")
	if c.take("database") {
		s.Database = c.name()
	} else {
		c.want("role")
		s.Role = c.rolePlain()
		if c.take("in", "database") {
			s.Database = c.name()
		}
	}
	c.want("set")
	from := c.at
	s.Name = strings.Join(c.names(), ".")
	c.at = from
	_, s.Value = c.setting()
	if err := c.only(); err != nil {
		return nil, err
	}
	return s, nil
}

// Values are the values without quotes.
func (s *Setting) Values() []string {
	tokens, err := Tokens(s.Value)
	if err != nil {
		return nil // not what ParseSetting gave
	}
	var list []string
	for _, part := range commas(tokens) {
		if len(part) == 1 && part[0].Kind != Number {
			list = append(list, part[0].Value)
		} else {
			list = append(list, span(s.Value, part))
		}
	}
	return list
}

// String writes the statement.
func (s *Setting) String() string {
	out := "ALTER DATABASE " + quote.Ident(s.Database)
	if s.Role != "" {
		out = "ALTER ROLE " + quote.Ident(s.Role)
		if s.Database != "" {
			out += " IN DATABASE " + quote.Ident(s.Database)
		}
	}
	return out + " SET " + quote.Ident(s.Name) + " TO " + s.Value
}
