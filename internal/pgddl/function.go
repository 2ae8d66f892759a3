package pgddl

// A Function is CREATE [OR REPLACE] FUNCTION or PROCEDURE.
type Function struct {
	Procedure       bool
	Name            string // as written, with its schema
	Args, Returns   string // as written; Args without the parentheses
	Language        string // without quotes
	SecurityDefiner bool
	Leakproof       bool
	Settings        []string // "name TO value" as written
	Library         string   // of AS 'library', 'symbol'
	Body            string   // the source text, or the symbol; of an SQL-standard function the text from BEGIN ATOMIC or RETURN on
	Standard        bool     // the body is an SQL-standard one, which the server parses when it is created
	More            []string // the statements after it (ALTER … DEPENDS ON EXTENSION)
}

// ParseFunction reads the definition of a FUNCTION or PROCEDURE entry.
func ParseFunction(def string) (*Function, error) { return nil, ErrShape }

// WithoutLeakproof returns the definition of a FUNCTION entry without the word
// LEAKPROOF, which only a superuser may say.
func WithoutLeakproof(def string) (string, error) { return "", ErrShape }
