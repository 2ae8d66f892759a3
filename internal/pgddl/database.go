package pgddl

import (
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Database is CREATE DATABASE.
type Database struct {
	Name    string // without quotes
	Options []Option
}

// Option is the value of an option, or "".
func (d *Database) Option(name string) string { return optionValue(d.Options, name) }

var databaseOptions = []string{
	"TEMPLATE", "ENCODING", "STRATEGY", "LOCALE_PROVIDER", "LOCALE", "LC_COLLATE", "LC_CTYPE", "BUILTIN_LOCALE", "ICU_LOCALE", "ICU_RULES",
	"COLLATION_VERSION", "OWNER", "TABLESPACE", "ALLOW_CONNECTIONS", "CONNECTION LIMIT", "IS_TEMPLATE", "OID",
}

// ParseDatabase reads one CREATE DATABASE.
func ParseDatabase(stmt string) (*Database, error) {
	c := first(stmt)
	d := &Database{}
	c.want("create", "database")
	d.Name = c.name()
	if c.take("with") && c.ended() {
		c.fail("an option")
	}
	for !c.ended() {
		d.Options = append(d.Options, c.databaseOption())
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return d, nil
}

// databaseOption reads NAME [=] value.
func (c *cursor) databaseOption() Option {
	o := Option{Name: c.oneOf(databaseOptions...)}
	if o.Name == "" {
		c.fail("an option of a database")
	}
	c.take("=")
	from := c.at
	switch t := c.token(); {
	case t.Kind == String:
		o.Value, o.Literal = c.string(), true
	case t.Kind == Number, t.is("true", "false", "default", "on"):
		c.at++
		o.Value = c.since(from)
	case t.is("-"):
		c.at++
		if c.token().Kind != Number {
			c.fail("a number")
		}
		c.at++
		o.Value = c.since(from)
	default:
		o.Value = c.name()
	}
	return o
}

// String writes the option. What is neither a string nor a number or switch is
// a name.
func (o Option) String() string {
	value := o.Value
	switch {
	case o.Literal:
		value = quote.Literal(o.Value)
	case o.Value == "true", o.Value == "false", o.Value == "default", o.Value == "on":
	case o.Value != "" && (isDigit(o.Value[0]) || o.Value[0] == '-') && strings.Trim(o.Value, "-0123456789") == "":
	default:
		value = quote.Ident(o.Value)
	}
	return o.Name + " = " + value
}

// String writes the statement.
func (d *Database) String() string {
	s := "CREATE DATABASE " + quote.Ident(d.Name)
	for i, o := range d.Options {
		s += []string{" WITH ", " "}[min(i, 1)] + o.String()
	}
	return s
}

// A DatabaseOption is ALTER DATABASE … name = value: CONNECTION LIMIT,
// IS_TEMPLATE, ALLOW_CONNECTIONS.
type DatabaseOption struct {
	Database string // without quotes
	Option   Option
}

// ParseDatabaseOption reads one ALTER DATABASE with an option.
func ParseDatabaseOption(stmt string) (*DatabaseOption, error) {
	c := first(stmt)
	d := &DatabaseOption{}
	c.want("alter", "database")
	d.Database = c.name()
	c.take("with")
	d.Option = c.databaseOption()
	if err := c.only(); err != nil {
		return nil, err
	}
	return d, nil
}

// String writes the statement.
func (d *DatabaseOption) String() string {
	return "ALTER DATABASE " + quote.Ident(d.Database) + " " + d.Option.String()
}
