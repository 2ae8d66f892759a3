package ui

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns a text whose control characters are shown and not obeyed:
// names and messages come from databases and archives of others, and a terminal
// takes orders. Newlines and tabs stay. So do bytes that are no UTF-8, but for
// those that some terminals obey.
func Visible(s string) string {
	obeyed := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	if utf8.ValidString(s) && strings.IndexFunc(s, obeyed) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1 && s[0] < 0xa0:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[0]), 16))
		case obeyed(r):
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
