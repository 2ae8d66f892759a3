package pgddl

// The kinds of a [Type].
const (
	ShellType     = "shell"
	BaseType      = "base" // written in C: only a superuser may create it
	EnumType      = "enum"
	RangeType     = "range"
	CompositeType = "composite"
	DomainType    = "domain"
)

// A Type is CREATE TYPE or CREATE DOMAIN.
type Type struct {
	Name      string // as written, with its schema
	Kind      string
	Options   []Option // of base and range types; names in lower case, values that are names as written
	Labels    []string // of an enum
	Columns   []Column // of a composite type
	Type      string   // of a domain: what it is based on, as written
	Collation string   // of a domain, as written
}

// ParseType reads the definition of a TYPE, SHELL TYPE or DOMAIN entry.
func ParseType(stmt string) (*Type, error) {
	c := first(stmt)
	t := &Type{}
	c.want("create")
	domain := c.take("domain")
	if !domain {
		c.want("type")
	}
	t.Name = c.qualified()
	switch {
	case domain:
		t.Kind = DomainType
		c.want("as")
		c.domain(t)
	case c.take("as", "enum"):
		t.Kind = EnumType
		if labels := c.within(c.brackets()); len(labels.tokens) > 0 {
			t.Labels = labels.strings()
			c.join(labels)
		}
	case c.take("as", "range"):
		t.Kind = RangeType
		t.Options = c.definition()
	case c.take("as"):
		t.Kind = CompositeType
		for _, tokens := range commas(c.brackets()) {
			item := c.within(tokens)
			t.Columns = append(t.Columns, item.column())
			c.join(item)
		}
	case c.has("("):
		t.Kind = BaseType
		t.Options = c.definition()
	default:
		t.Kind = ShellType
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return t, nil
}

// domain reads what follows AS.
func (c *cursor) domain(t *Type) {
	t.Type = c.until("collate", "constraint", "not", "null", "default", "check")
	if t.Type == "" {
		c.fail("a type")
	}
	for !c.ended() {
		if c.take("collate") {
			t.Collation = c.qualified()
		} else if c.has("(") {
			c.brackets()
		} else {
			c.at++
		}
	}
}
