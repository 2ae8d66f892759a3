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
	Options []Option // names in lower case, values that are names as written
	More    []string // the statements after it (ADD MAPPING)
}

// An EventTrigger is CREATE EVENT TRIGGER.
type EventTrigger struct {
	Name     string // without quotes
	Event    string
	Tags     []string
	Function string   // as written, without ()
	More     []string // the statements after it (ENABLE, DISABLE)
}

// A Tablespace is CREATE TABLESPACE.
type Tablespace struct {
	Name, Owner, Location string // without quotes; Owner "" where not given
}

// ParseAccessMethod reads one CREATE ACCESS METHOD.
func ParseAccessMethod(stmt string) (*AccessMethod, error) {
	c := first(stmt)
	m := &AccessMethod{}
	c.want("create", "access", "method")
	m.Name = c.name()
	c.want("type")
	if m.Type = c.oneOf("INDEX", "TABLE"); m.Type == "" {
		c.fail("INDEX or TABLE")
	}
	c.want("handler")
	m.Handler = c.qualified()
	if err := c.only(); err != nil {
		return nil, err
	}
	return m, nil
}

// ParseLanguage reads one CREATE LANGUAGE.
func ParseLanguage(stmt string) (*Language, error) {
	c := first(stmt)
	l := &Language{}
	c.want("create")
	l.OrReplace = c.take("or", "replace")
	l.Trusted = c.take("trusted")
	c.take("procedural")
	c.want("language")
	l.Name = c.name()
	if c.take("handler") {
		l.Handler = c.qualified()
	}
	if c.take("inline") {
		l.Inline = c.qualified()
	}
	if c.take("validator") {
		l.Validator = c.qualified()
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return l, nil
}

// ParseCast reads one CREATE CAST.
func ParseCast(stmt string) (*Cast, error) {
	c := first(stmt)
	k := &Cast{}
	c.want("create", "cast")
	types := c.within(c.brackets())
	k.Source = types.until("as")
	types.want("as")
	k.Target = types.until()
	if k.Source == "" || k.Target == "" {
		types.fail("a type")
	}
	c.join(types)
	switch c.oneOf("WITHOUT FUNCTION", "WITH INOUT", "WITH FUNCTION") {
	case "WITHOUT FUNCTION":
	case "WITH INOUT":
		k.InOut = true
	case "WITH FUNCTION":
		from := c.at
		c.names()
		c.brackets()
		k.Function = c.since(from)
	default:
		c.fail("WITH or WITHOUT FUNCTION")
	}
	if c.take("as") {
		if k.Context = c.oneOf("ASSIGNMENT", "IMPLICIT"); k.Context == "" {
			c.fail("ASSIGNMENT or IMPLICIT")
		}
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return k, nil
}

// ParseOperatorClass reads the definition of an OPERATOR CLASS or OPERATOR
// FAMILY entry. Their members are not told apart.
func ParseOperatorClass(def string) (*OperatorClass, error) {
	c := first(def)
	o := &OperatorClass{}
	c.want("create", "operator")
	if c.take("family") {
		o.Family = true
	} else {
		c.want("class")
	}
	o.Name = c.qualified()
	if !o.Family {
		o.Default = c.take("default")
		c.want("for", "type")
		o.Type = c.until("using")
	}
	c.want("using")
	o.Method = c.name()
	if !o.Family {
		if c.take("family") {
			c.names()
		}
		c.want("as")
		if c.until() == "" {
			c.fail("a member")
		}
	}
	c.more()
	if c.err != nil {
		return nil, c.err
	}
	return o, nil
}

// ParseTextSearch reads the definition of an entry of text search.
func ParseTextSearch(def string) (*TextSearch, error) {
	c := first(def)
	t := &TextSearch{}
	c.want("create", "text", "search")
	if t.Kind = c.oneOf("PARSER", "TEMPLATE", "DICTIONARY", "CONFIGURATION"); t.Kind == "" {
		c.fail("a kind of text search")
	}
	t.Name = c.qualified()
	t.Options = c.definition()
	t.More = c.more()
	if c.err != nil {
		return nil, c.err
	}
	return t, nil
}

// ParseEventTrigger reads the definition of an EVENT TRIGGER entry.
func ParseEventTrigger(def string) (*EventTrigger, error) {
	c := first(def)
	e := &EventTrigger{}
	c.want("create", "event", "trigger")
	e.Name = c.name()
	c.want("on")
	e.Event = c.name()
	if c.take("when", "tag", "in") {
		tags := c.within(c.brackets())
		e.Tags = tags.strings()
		c.join(tags)
	}
	c.want("execute")
	if !c.take("procedure") { // as pg_dump wrote it before 11
		c.want("function")
	}
	e.Function = c.qualified()
	c.want("(", ")")
	e.More = c.more()
	if c.err != nil {
		return nil, c.err
	}
	return e, nil
}

// ParseTablespace reads one CREATE TABLESPACE.
func ParseTablespace(stmt string) (*Tablespace, error) {
	c := first(stmt)
	t := &Tablespace{}
	c.want("create", "tablespace")
	t.Name = c.name()
	if c.take("owner") {
		t.Owner = c.rolePlain()
	}
	c.want("location")
	t.Location = c.string()
	if err := c.only(); err != nil {
		return nil, err
	}
	return t, nil
}
