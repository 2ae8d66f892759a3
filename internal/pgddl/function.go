package pgddl

import "strings"

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
func ParseFunction(def string) (*Function, error) {
	c := first(def)
	f, _ := c.function()
	f.More = c.more()
	if c.err != nil {
		return nil, c.err
	}
	return f, nil
}

// WithoutLeakproof returns the definition of a FUNCTION entry without the word
// LEAKPROOF, which only a superuser may say.
func WithoutLeakproof(def string) (string, error) {
	c := first(def)
	_, leakproof := c.function()
	c.end()
	switch {
	case c.err != nil:
		return "", c.err
	case leakproof == 0:
		return def, nil
	}
	return def[:c.tokens[leakproof-1].End] + def[c.tokens[leakproof].End:], nil
}

// function also returns the place of LEAKPROOF, 0 if there is none.
func (c *cursor) function() (f *Function, leakproof int) {
	f = &Function{}
	c.want("create")
	c.take("or", "replace")
	if c.take("procedure") {
		f.Procedure = true
	} else {
		c.want("function")
	}
	f.Name = c.qualified()
	f.Args = c.inner()
	if c.take("returns") {
		f.Returns = c.until("language")
	}
	c.want("language")
	if c.token().Kind == String { // as pg_dump wrote it long ago
		f.Language = c.string()
	} else {
		f.Language = c.name()
	}
	for !c.ended() {
		at := c.at
		switch c.oneOf(functionOptions...) {
		case "TRANSFORM":
			c.transforms()
		case "SECURITY DEFINER", "EXTERNAL SECURITY DEFINER":
			f.SecurityDefiner = true
		case "LEAKPROOF":
			f.Leakproof, leakproof = true, at
		case "COST", "ROWS":
			if c.token().Kind != Number {
				c.fail("a number")
			}
			c.at++
		case "SUPPORT":
			c.qualified()
		case "PARALLEL":
			if c.oneOf("SAFE", "RESTRICTED", "UNSAFE") == "" {
				c.fail("SAFE, RESTRICTED or UNSAFE")
			}
		case "SET":
			name, value := c.setting()
			f.Settings = append(f.Settings, name+" TO "+value)
		case "AS":
			f.Body = c.string()
			if c.take(",") {
				f.Library, f.Body = f.Body, c.string()
			}
			return f, leakproof
		case "RETURN", "BEGIN ATOMIC":
			c.at = len(c.tokens)
			f.Body, f.Standard = c.since(at), true
			return f, leakproof
		case "":
			c.fail("an option of a function")
		}
	}
	c.fail("the body of a function")
	return f, leakproof
}

var functionOptions = []string{
	"TRANSFORM", "WINDOW", "IMMUTABLE", "STABLE", "VOLATILE", "STRICT", "CALLED ON NULL INPUT", "RETURNS NULL ON NULL INPUT",
	"SECURITY DEFINER", "SECURITY INVOKER", "EXTERNAL SECURITY DEFINER", "EXTERNAL SECURITY INVOKER", "LEAKPROOF", "NOT LEAKPROOF",
	"COST", "ROWS", "SUPPORT", "PARALLEL", "SET", "AS", "RETURN", "BEGIN ATOMIC",
}

// transforms reads FOR TYPE …, FOR TYPE …
func (c *cursor) transforms() {
	var stop []string
	for _, o := range functionOptions {
		word, _, _ := strings.Cut(o, " ")
		stop = append(stop, fold(word))
	}
	c.want("for", "type")
	if c.until(stop...) == "" {
		c.fail("a type")
	}
}

// setting reads "name TO value" after SET. The name comes as written.
func (c *cursor) setting() (name, value string) {
	name = c.qualified()
	if !c.take("=") {
		c.want("to")
	}
	from := c.at
	for {
		switch t := c.token(); {
		case t.Kind == String, t.Kind == Number, t.isName(), t.is("true", "false", "on"):
			c.at++
		case t.is("-", "+") && c.at+1 < len(c.tokens) && c.tokens[c.at+1].Kind == Number:
			c.at += 2
		default:
			c.fail("a value")
		}
		if !c.take(",") {
			return name, c.since(from)
		}
	}
}
