package pgddl

// An Option is one option of a statement: NAME = value, or NAME 'value'.
type Option struct {
	Name    string // as the statement has it; upper case for CREATE DATABASE
	Value   string // without quotes
	Literal bool   // the value is a string
}

// A Database is CREATE DATABASE.
type Database struct {
	Name    string // without quotes
	Options []Option
}

// Option is the value of an option, or "".
func (d *Database) Option(name string) string { return "" }

// ParseDatabase reads one CREATE DATABASE.
func ParseDatabase(stmt string) (*Database, error) { return nil, ErrShape }

// String writes the statement.
func (d *Database) String() string { return "" }

// A DatabaseOption is ALTER DATABASE … name = value: CONNECTION LIMIT,
// IS_TEMPLATE, ALLOW_CONNECTIONS.
type DatabaseOption struct {
	Database string // without quotes
	Option   Option
}

// ParseDatabaseOption reads one ALTER DATABASE with an option.
func ParseDatabaseOption(stmt string) (*DatabaseOption, error) { return nil, ErrShape }

// String writes the statement.
func (d *DatabaseOption) String() string { return "" }
