package pgddl

// A Label is SECURITY LABEL FOR provider ON … IS ….
type Label struct {
	Provider string // without quotes
	On       string // the kind and name as written
	Text     string // "" also for NULL
}

// A Comment is COMMENT ON … IS ….
type Comment struct {
	On   string // the kind and name as written
	Text string // "" also for NULL
}

// ParseLabel reads one SECURITY LABEL. The entry of a table may hold several,
// for its columns too.
func ParseLabel(stmt string) (*Label, error) {
	c := first(stmt)
	l := &Label{}
	c.want("security", "label", "for")
	if c.token().Kind == String {
		l.Provider = c.string()
	} else {
		l.Provider = c.name()
	}
	l.On, l.Text = c.onIs()
	if err := c.only(); err != nil {
		return nil, err
	}
	return l, nil
}

// ParseComment reads one COMMENT.
func ParseComment(stmt string) (*Comment, error) {
	c := first(stmt)
	m := &Comment{}
	c.want("comment")
	m.On, m.Text = c.onIs()
	if err := c.only(); err != nil {
		return nil, err
	}
	return m, nil
}

// onIs reads ON … IS 'text'.
func (c *cursor) onIs() (on, text string) {
	c.want("on")
	on = c.until("is")
	if on == "" {
		c.fail("an object")
	}
	c.want("is")
	if !c.take("null") {
		text = c.string()
	}
	return on, text
}
