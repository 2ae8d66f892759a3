package pgddl

import "strings"

// An Option is one option of a statement: NAME = value, or NAME 'value'.
type Option struct {
	Name    string // without quotes; upper case for CREATE DATABASE and memberships
	Value   string // without quotes
	Literal bool   // the value is a string
}

func optionValue(list []Option, name string) string {
	for _, o := range list {
		if strings.EqualFold(o.Name, name) {
			return o.Value
		}
	}
	return ""
}

// foreignOptions reads OPTIONS (name 'value', …), if it comes next.
func (c *cursor) foreignOptions() []Option {
	if !c.take("options") {
		return nil
	}
	if c.has("(", ")") {
		c.fail("an option")
	}
	var list []Option
	for _, tokens := range commas(c.brackets()) {
		o := c.within(tokens)
		list = append(list, Option{Name: o.anyName(), Value: o.string(), Literal: true})
		c.join(o)
	}
	return list
}

// anyName reads a name that may also be a reserved word, as those of options.
func (c *cursor) anyName() string {
	t := c.token()
	if t.Kind != Word && t.Kind != Quoted {
		c.fail("a name")
		return ""
	}
	c.at++
	return t.Value
}

// definition reads ( name = value, name, … ). Values are single tokens without
// quotes, or else text as written.
func (c *cursor) definition() []Option {
	var list []Option
	for _, tokens := range commas(c.brackets()) {
		o := c.within(tokens)
		opt := Option{Name: o.anyName()}
		if o.take("=") {
			from := o.at
			t := o.token()
			if t.Kind == 0 {
				o.fail("a value")
			}
			o.at = len(o.tokens)
			opt.Value = o.since(from)
			if len(tokens) == from+1 && (t.Kind == String || t.Kind == Quoted) {
				opt.Value, opt.Literal = t.Value, t.Kind == String
			}
		}
		c.join(o)
		list = append(list, opt)
	}
	return list
}
