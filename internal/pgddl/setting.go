package pgddl

// A Setting is ALTER DATABASE or ROLE … SET name TO value.
type Setting struct {
	Database, Role string // without quotes; either may be ""
	Name           string // without quotes
	Value          string // as written: literals with commas between
}

// ParseSetting reads one ALTER DATABASE or ROLE … SET.
func ParseSetting(stmt string) (*Setting, error) { return nil, ErrShape }

// Values are the values without quotes.
func (s *Setting) Values() []string { return nil }

// String writes the statement.
func (s *Setting) String() string { return "" }
