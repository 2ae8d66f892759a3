package pgddl

// A Publication is CREATE PUBLICATION.
type Publication struct {
	Name      string // without quotes
	AllTables bool
	Options   []Option
}

// A PublicationMember is ALTER PUBLICATION … ADD TABLE or TABLES IN SCHEMA.
type PublicationMember struct {
	Publication string // without quotes
	Table       string // as written, "" for a schema
	Schema      string // without quotes, "" for a table
}

// A Subscription is CREATE SUBSCRIPTION. Its connection may hold a password.
type Subscription struct {
	Name         string // without quotes
	Connection   string
	Publications []string // without quotes
	Options      []Option
}

// Option is the value of an option, or "".
func (s *Subscription) Option(name string) string { return optionValue(s.Options, name) }

// ParsePublication reads one CREATE PUBLICATION.
func ParsePublication(stmt string) (*Publication, error) {
	c := first(stmt)
	p := &Publication{}
	c.want("create", "publication")
	p.Name = c.name()
	p.AllTables = c.take("for", "all", "tables")
	if c.take("with") {
		p.Options = c.definition()
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return p, nil
}

// ParsePublicationMember reads one ALTER PUBLICATION … ADD.
func ParsePublicationMember(stmt string) (*PublicationMember, error) {
	c := first(stmt)
	m := &PublicationMember{}
	c.want("alter", "publication")
	m.Publication = c.name()
	c.want("add")
	if c.take("tables", "in", "schema") {
		m.Schema = c.name()
	} else {
		c.want("table")
		c.take("only")
		m.Table = c.qualified()
		if c.has("(") {
			c.brackets()
		}
		if c.take("where") {
			c.brackets()
		}
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return m, nil
}

// ParseSubscription reads one CREATE SUBSCRIPTION.
func ParseSubscription(stmt string) (*Subscription, error) {
	c := first(stmt)
	s := &Subscription{}
	c.want("create", "subscription")
	s.Name = c.name()
	c.want("connection")
	s.Connection = c.string()
	c.want("publication")
	s.Publications = append(s.Publications, c.name())
	for c.take(",") {
		s.Publications = append(s.Publications, c.name())
	}
	if c.take("with") {
		s.Options = c.definition()
	}
	if err := c.only(); err != nil {
		return nil, err
	}
	return s, nil
}
