package pgddl

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pghaul/pghaul/internal/quote"
)

// text reads a string after its first quote, with backslash escapes or
// without. Parts on lines of their own are one string.
func (l *lexer) text(escapes bool) (Kind, string) {
	var b strings.Builder
	for l.at < len(l.sql) {
		c := l.sql[l.at]
		l.at++
		switch {
		case c == '\'' && l.peek(0) == '\'':
			b.WriteByte(c)
			l.at++
		case c == '\'':
			if !l.continued() {
				return String, b.String()
			}
		case c == '\\' && escapes:
			l.escape(&b)
		default:
			b.WriteByte(c)
		}
	}
	return l.fail("the end of a string")
}

// continued skips to the next part of a string, if there is one after white
// space with a line's end.
func (l *lexer) continued() bool {
	i := l.at
	for i < len(l.sql) && isSpace(l.sql[i]) {
		i++
	}
	if i < len(l.sql) && l.sql[i] == '\'' && strings.ContainsAny(l.sql[l.at:i], "\r\n") {
		l.at = i + 1
		return true
	}
	return false
}

// escape reads what follows a backslash.
func (l *lexer) escape(b *strings.Builder) {
	if l.at >= len(l.sql) {
		return // the string has no end
	}
	c := l.sql[l.at]
	l.at++
	number := func(least, most, base int) (uint64, bool) {
		n := 0
		for n < most && isHex(l.peek(n)) && (base == 16 || l.peek(n) < '8') {
			n++
		}
		if n < least {
			return 0, false
		}
		v, err := strconv.ParseUint(l.sql[l.at:l.at+n], base, 32)
		l.at += n
		return v, err == nil
	}
	if i := strings.IndexByte("bfnrt", c); i >= 0 {
		b.WriteByte("\b\f\n\r\t"[i])
		return
	}
	switch c {
	case '0', '1', '2', '3', '4', '5', '6', '7':
		l.at--
		v, _ := number(1, 3, 8)
		b.WriteByte(byte(v))
	case 'x':
		if v, ok := number(1, 2, 16); ok {
			b.WriteByte(byte(v))
			return
		}
		b.WriteByte(c)
	case 'u', 'U':
		digits := 4
		if c == 'U' {
			digits = 8
		}
		v, ok := number(digits, digits, 16)
		if !ok || v > utf8.MaxRune {
			l.fail("a Unicode escape")
			return
		}
		b.WriteRune(rune(v)) //nolint:gosec // at most MaxRune
	default:
		b.WriteByte(c)
	}
}

// literal quotes a value as the server's quote_literal does, which says E
// before a string with a backslash.
func literal(s string) string {
	if strings.Contains(s, `\`) {
		return "E" + quote.Literal(strings.ReplaceAll(s, `\`, `\\`))
	}
	return quote.Literal(s)
}
