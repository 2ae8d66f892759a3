package pgddl

// An AccessMethod is CREATE ACCESS METHOD.
type AccessMethod struct {
	Name    string // without quotes
	Type    string // INDEX or TABLE
	Handler string // as written
}

// A Language is CREATE [OR REPLACE] [TRUSTED] [PROCEDURAL] LANGUAGE.
type Language struct {
	Name                       string // without quotes
	OrReplace, Trusted         bool
	Handler, Inline, Validator string // as written, "" for none
}

// A Cast is CREATE CAST.
type Cast struct {
	Source, Target string // types as written
	Function       string // as written with its arguments; "" for WITHOUT FUNCTION and WITH INOUT
	InOut          bool
	Context        string // ASSIGNMENT, IMPLICIT or ""
}

// An OperatorClass is CREATE OPERATOR CLASS or FAMILY.
type OperatorClass struct {
	Family  bool
	Name    string // as written, with its schema
	Default bool
	Type    string // as written, of a class
	Method  string // without quotes
}

// A TextSearch is CREATE TEXT SEARCH PARSER, TEMPLATE, DICTIONARY or CONFIGURATION.
type TextSearch struct {
	Kind    string   // PARSER, TEMPLATE, DICTIONARY, CONFIGURATION
	Name    string   // as written, with its schema
	Options []Option // Value as written
}

// An EventTrigger is CREATE EVENT TRIGGER.
type EventTrigger struct {
	Name     string // without quotes
	Event    string
	Tags     []string
	Function string // as written, without ()
	More     []string
}

// A Tablespace is CREATE TABLESPACE.
type Tablespace struct {
	Name, Owner, Location string // without quotes
}

// ParseAccessMethod reads one CREATE ACCESS METHOD.
func ParseAccessMethod(stmt string) (*AccessMethod, error) { return nil, ErrShape }

// ParseLanguage reads one CREATE LANGUAGE.
func ParseLanguage(stmt string) (*Language, error) { return nil, ErrShape }

// ParseCast reads one CREATE CAST.
func ParseCast(stmt string) (*Cast, error) { return nil, ErrShape }

// ParseOperatorClass reads the definition of an OPERATOR CLASS or OPERATOR
// FAMILY entry.
func ParseOperatorClass(def string) (*OperatorClass, error) { return nil, ErrShape }

// ParseTextSearch reads the definition of an entry of text search.
func ParseTextSearch(def string) (*TextSearch, error) { return nil, ErrShape }

// ParseEventTrigger reads the definition of an EVENT TRIGGER entry.
func ParseEventTrigger(def string) (*EventTrigger, error) { return nil, ErrShape }

// ParseTablespace reads one CREATE TABLESPACE.
func ParseTablespace(stmt string) (*Tablespace, error) { return nil, ErrShape }
