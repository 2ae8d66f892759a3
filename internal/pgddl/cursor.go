package pgddl

import (
	"strings"
)

// A cursor reads the tokens of one statement. Its first error stays; what is
// read after it means nothing.
type cursor struct {
	sql    string
	tokens []Token   // of the statement
	rest   [][]Token // the statements after it
	at     int
	err    error
}

// first begins to read the first statement of a definition.
func first(sql string) *cursor {
	c := &cursor{sql: sql}
	list, err := statements(sql)
	switch {
	case err != nil:
		c.err = err
	case len(list) == 0:
		c.err = shape(0, "a statement")
	default:
		c.tokens, c.rest = list[0], list[1:]
	}
	return c
}

// within reads some tokens of the statement apart.
func (c *cursor) within(tokens []Token) *cursor { return &cursor{sql: c.sql, tokens: tokens} }

func (c *cursor) fail(want string) {
	if c.err != nil {
		return
	}
	at := len(c.sql)
	if c.at < len(c.tokens) {
		at = c.tokens[c.at].Start
	}
	c.err = shape(at, want)
}

// more ends the statement and returns those after it.
func (c *cursor) more() []string {
	c.end()
	return texts(c.sql, c.rest)
}

// only ends the statement, which must be the only one.
func (c *cursor) only() error {
	c.end()
	if len(c.rest) > 0 && c.err == nil {
		c.err = shape(c.rest[0][0].Start, "a single statement")
	}
	return c.err
}

func (c *cursor) end() {
	if !c.ended() {
		c.fail("the end of the statement")
	}
}

// ended tells whether nothing more can be read, also for an error.
func (c *cursor) ended() bool { return c.err != nil || c.at >= len(c.tokens) }

func (c *cursor) token() Token {
	if c.ended() {
		return Token{}
	}
	return c.tokens[c.at]
}

// has tells whether key words (in lower case), operators or marks come next.
func (c *cursor) has(words ...string) bool {
	if c.err != nil || c.at+len(words) > len(c.tokens) {
		return false
	}
	for i, w := range words {
		if !c.tokens[c.at+i].is(w) {
			return false
		}
	}
	return true
}

// take reads words if they come next.
func (c *cursor) take(words ...string) bool {
	if !c.has(words...) {
		return false
	}
	c.at += len(words)
	return true
}

// want reads words that must come next.
func (c *cursor) want(words ...string) {
	if !c.take(words...) {
		c.fail(strings.ToUpper(strings.Join(words, " ")))
	}
}

// oneOf reads the first of some phrases that comes next, in upper case, or
// nothing. Longer phrases go before shorter ones with the same beginning.
func (c *cursor) oneOf(phrases ...string) string {
	for _, p := range phrases {
		if c.take(strings.Split(fold(p), " ")...) {
			return p
		}
	}
	return ""
}

// isName tells whether a token can be a name: servers of no version take
// reserved words for one.
func (t Token) isName() bool {
	return t.Kind == Quoted || t.Kind == Word && !reserved[t.Value]
}

// name reads a name without its quotes.
func (c *cursor) name() string {
	t := c.token()
	if !t.isName() {
		c.fail("a name")
		return ""
	}
	c.at++
	return t.Value
}

// names reads a dotted name.
func (c *cursor) names() []string {
	list := []string{c.name()}
	for c.take(".") {
		list = append(list, c.name())
	}
	return list
}

// qualified reads a dotted name and returns it as written.
func (c *cursor) qualified() string {
	from := c.at
	c.names()
	return c.since(from)
}

// since is the text from a token up to the one before the next.
func (c *cursor) since(from int) string {
	if c.err != nil || from >= c.at {
		return ""
	}
	return span(c.sql, c.tokens[from:c.at])
}

// brackets reads "( … )" and returns what is between.
func (c *cursor) brackets() []Token {
	c.want("(")
	from := c.at
	for depth := 1; !c.ended(); c.at++ {
		switch {
		case c.has("("), c.has("["):
			depth++
		case c.has(")"), c.has("]"):
			depth--
		}
		if depth == 0 {
			c.at++
			return c.tokens[from : c.at-1]
		}
	}
	c.fail("a closing bracket")
	return nil
}

// inner reads "( … )" and returns the text between.
func (c *cursor) inner() string { return span(c.sql, c.brackets()) }

// until reads up to one of some key words outside of brackets, or the end. A
// word after a dot is a name.
func (c *cursor) until(words ...string) string {
	from := c.at
	for !c.ended() {
		t := c.token()
		switch {
		case t.Kind == Word && t.is(words...) && (c.at == 0 || !c.tokens[c.at-1].is(".")):
			return c.since(from)
		case t.is("("):
			c.brackets()
		default:
			c.at++
		}
	}
	return c.since(from)
}

// string reads a string's value.
func (c *cursor) string() string {
	t := c.token()
	if t.Kind != String {
		c.fail("a string")
		return ""
	}
	c.at++
	return t.Value
}

// strings reads strings with commas between.
func (c *cursor) strings() []string {
	list := []string{c.string()}
	for c.take(",") {
		list = append(list, c.string())
	}
	return list
}

// role reads the name of a role.
func (c *cursor) role() Role {
	name := c.name()
	if c.err != nil {
		return Role{}
	}
	if name == "public" { // no role can have this name, and quotes do not change what it means
		return Role{Public: true}
	}
	return Role{Name: name}
}

// rolePlain reads a role that cannot be PUBLIC.
func (c *cursor) rolePlain() string {
	at := c.at
	r := c.role()
	if r.Public {
		c.at = at
		c.fail("a role")
	}
	return r.Name
}

// roles reads roles with commas between.
func (c *cursor) roles() []Role {
	list := []Role{c.role()}
	for c.take(",") {
		list = append(list, c.role())
	}
	return list
}

// commas splits tokens at the commas outside of brackets.
func commas(tokens []Token) [][]Token {
	if len(tokens) == 0 {
		return nil
	}
	var list [][]Token
	start, depth := 0, 0
	for i, t := range tokens {
		switch {
		case t.is("(", "["):
			depth++
		case t.is(")", "]"):
			depth--
		case t.is(",") && depth == 0:
			list = append(list, tokens[start:i])
			start = i + 1
		}
	}
	return append(list, tokens[start:])
}

// reserved are the words that no version from 10 on takes for a name. Words
// that became reserved since (system_user) may stand bare in old archives.
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(`all analyse analyze and any array as asc asymmetric both case cast check collate
column constraint create current_catalog current_date current_role current_time current_timestamp current_user default
deferrable desc distinct do else end except false fetch for foreign from grant group having in initially intersect into
lateral leading limit localtime localtimestamp not null offset on only or order placing primary references returning
select session_user some symmetric table then to trailing true union unique user using variadic when where window with`) {
		m[w] = true
	}
	return m
}()
