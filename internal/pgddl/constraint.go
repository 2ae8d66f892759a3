package pgddl

// A Constraint is ALTER TABLE or DOMAIN … ADD CONSTRAINT.
type Constraint struct {
	Domain      bool
	Table       string // of the table or domain, as written, with its schema
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
func ParseConstraint(def string) (*Constraint, error) { return nil, ErrShape }
