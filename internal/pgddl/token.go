package pgddl

import "strings"

// A Kind is what a [Token] is.
type Kind int

// The kinds of tokens.
const (
	Word   Kind = iota + 1 // a key word or a name without quotes
	Quoted                 // a name in double quotes
	String                 // '…', E'…', $tag$…$tag$, B'…', X'…', N'…'
	Number                 // 1, 1.5e3, 0x1F
	Param                  // $1
	Op                     // an operator, also of one character such as = or *
	Punct                  // ( ) [ ] , ; . .. : :: :=
)

// A Token is one token of SQL. Comments and white space are none.
type Token struct {
	Kind  Kind
	Value string // a Word folded to lower case, the name or string without quotes and escapes, else the text
	Start int    // byte offsets in the SQL: the text is sql[Start:End]
	End   int
}

// Tokens takes SQL apart. It fails with [ErrShape] for what is not SQL (an
// unfinished string or comment, a stray byte) and for U&'…' and U&"…", which
// no dump holds.
func Tokens(sql string) ([]Token, error) {
	l := lexer{sql: sql}
	for l.blank() {
		start := l.at
		kind, value := l.next()
		if l.err != nil {
			break
		}
		l.tokens = append(l.tokens, Token{kind, value, start, l.at})
	}
	if l.err != nil {
		return nil, l.err
	}
	return l.tokens, nil
}

type lexer struct {
	sql    string
	at     int
	tokens []Token
	err    error
}

func (l *lexer) fail(want string) (Kind, string) {
	if l.err == nil {
		l.err = shape(l.at, want)
	}
	return 0, ""
}

// peek is the byte n places on, 0 after the end. SQL holds no zero bytes.
func (l *lexer) peek(n int) byte {
	if l.at+n < len(l.sql) {
		return l.sql[l.at+n]
	}
	return 0
}

// blank skips white space and comments and tells whether a token follows.
func (l *lexer) blank() bool {
	for l.at < len(l.sql) {
		switch c := l.sql[l.at]; {
		case isSpace(c):
			l.at++
		case c == '-' && l.peek(1) == '-':
			end := strings.IndexAny(l.sql[l.at:], "\r\n")
			if end < 0 {
				end = len(l.sql) - l.at
			}
			l.at += end
		case c == '/' && l.peek(1) == '*':
			if !l.comment() {
				l.fail("the end of a comment")
				return false
			}
		default:
			return true
		}
	}
	return false
}

// comment skips a comment and those nested in it.
func (l *lexer) comment() bool {
	depth := 0
	for i := l.at; i+1 < len(l.sql); {
		switch l.sql[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				l.at = i
				return true
			}
		default:
			i++
		}
	}
	return false
}

func (l *lexer) next() (Kind, string) {
	c := l.sql[l.at]
	switch {
	case isNameStart(c):
		return l.word()
	case c == '"':
		return l.quoted()
	case c == '\'':
		l.at++
		return l.text(false)
	case isDigit(c), c == '.' && isDigit(l.peek(1)):
		return l.number()
	case c == '$':
		return l.dollar()
	case strings.IndexByte("()[],;", c) >= 0:
		return l.punct(1)
	case c == '.':
		if l.peek(1) == '.' {
			return l.punct(2)
		}
		return l.punct(1)
	case c == ':':
		if n := l.peek(1); n == ':' || n == '=' {
			return l.punct(2)
		}
		return l.punct(1)
	case isOperator(c):
		return l.operator()
	}
	return l.fail("SQL")
}

func (l *lexer) punct(n int) (Kind, string) {
	l.at += n
	return Punct, l.sql[l.at-n : l.at]
}

// word reads a name or key word, or a string with a letter before it.
func (l *lexer) word() (Kind, string) {
	if l.peek(1) == '\'' {
		switch l.sql[l.at] {
		case 'e', 'E':
			l.at += 2
			return l.text(true)
		case 'b', 'B', 'x', 'X', 'n', 'N':
			l.at += 2
			return l.text(false)
		}
	}
	if c := l.sql[l.at]; (c == 'u' || c == 'U') && l.peek(1) == '&' && (l.peek(2) == '\'' || l.peek(2) == '"') {
		return l.fail("a string or name without U&")
	}
	start := l.at
	for l.at < len(l.sql) && isName(l.sql[l.at]) {
		l.at++
	}
	return Word, fold(l.sql[start:l.at])
}

func (l *lexer) quoted() (Kind, string) {
	var b strings.Builder
	for i := l.at + 1; i < len(l.sql); i++ {
		if l.sql[i] != '"' {
			b.WriteByte(l.sql[i])
			continue
		}
		if i+1 < len(l.sql) && l.sql[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		if b.Len() == 0 {
			return l.fail("a name that is not empty")
		}
		l.at = i + 1
		return Quoted, b.String()
	}
	return l.fail("the end of a name in quotes")
}

// dollar reads $1 or $tag$…$tag$.
func (l *lexer) dollar() (Kind, string) {
	start := l.at
	if isDigit(l.peek(1)) {
		for l.at++; l.at < len(l.sql) && isDigit(l.sql[l.at]); {
			l.at++
		}
		return Param, l.sql[start:l.at]
	}
	n := 1
	for c := l.peek(n); isNameStart(c) || n > 1 && isDigit(c); c = l.peek(n) {
		n++
	}
	if l.peek(n) != '$' {
		return l.fail("a string or parameter after a dollar sign")
	}
	tag := l.sql[l.at : l.at+n+1]
	body, _, ok := strings.Cut(l.sql[l.at+len(tag):], tag)
	if !ok {
		return l.fail("the end of a string in dollar quotes")
	}
	l.at += 2*len(tag) + len(body)
	return String, body
}

func (l *lexer) number() (Kind, string) {
	start := l.at
	digits := func(in string) {
		for l.at < len(l.sql) && strings.IndexByte(in, l.sql[l.at]) >= 0 {
			l.at++
		}
	}
	const decimal = "0123456789_"
	if l.sql[l.at] == '0' && strings.IndexByte("xXoObB", l.peek(1)) >= 0 && isHex(l.peek(2)) {
		l.at += 2
		digits(decimal + "abcdefABCDEF")
		return Number, l.sql[start:l.at]
	}
	digits(decimal)
	if l.peek(0) == '.' && l.peek(1) != '.' { // "1..10" is a range of two numbers
		l.at++
		digits(decimal)
	}
	if c := l.peek(0); c == 'e' || c == 'E' {
		sign := 0
		if s := l.peek(1); s == '+' || s == '-' {
			sign = 1
		}
		if isDigit(l.peek(1 + sign)) {
			l.at += 1 + sign
			digits(decimal)
		}
	}
	return Number, l.sql[start:l.at]
}

// operator reads the longest operator. One of several characters ends in + or
// - only if it holds a character that no standard operator has.
func (l *lexer) operator() (Kind, string) {
	n := 0
	for isOperator(l.peek(n)) {
		if two := l.sql[l.at+n:]; n > 0 && (strings.HasPrefix(two, "--") || strings.HasPrefix(two, "/*")) {
			break
		}
		n++
	}
	op := l.sql[l.at : l.at+n]
	if !strings.ContainsAny(op, "~!@#%^&|`?") {
		for n > 1 && (op[n-1] == '+' || op[n-1] == '-') {
			n--
		}
	}
	l.at += n
	return Op, op[:n]
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isName(c byte) bool { return isNameStart(c) || isDigit(c) || c == '$' }

func isOperator(c byte) bool { return c != 0 && strings.IndexByte("~!@#^&|`?+-*/%<>=", c) >= 0 }

// fold makes ASCII letters small, as servers do with names in UTF-8.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
