// Package redact blots secrets out of texts that are shown, logged or written
// to reports. It rather takes too much than too little.
package redact

import (
	"regexp"
	"strings"
)

// Mask stands where a secret was.
const Mask = "***"

// secret finds what could be a password: in the user part of a URL, as a
// parameter of a connection string or a URL, as an option in SQL.
var secret = []struct {
	re   *regexp.Regexp
	with string
}{
	// Up to the last @ before the host ends: passwords hold @ unescaped at times.
	{regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://[^:/?#\s@]*):[^\s]*@`), `${1}:***@`},
	{regexp.MustCompile(`(?i)((?:password|passwd|pwd|passphrase|secret|client_key|server_key)\s*=\s*)('(?:[^'\\]|\\.|'')*'?|[^\s&'"]+)`), `${1}***`},
	{regexp.MustCompile(`(?i)(password\s+)[eE]?'(?:[^'\\]|\\.|'')*'?`), `${1}'***'`},
}

// Text blots out what could be a password in a text that a user or a server had
// a hand in.
func Text(s string) string {
	for _, p := range secret {
		s = p.re.ReplaceAllString(s, p.with)
	}
	return s
}

// secretWords are parts of the names of options and settings whose values are
// secrets.
var secretWords = []string{
	"password", "passwd", "passphrase", "passcode", "passfile", "secret", "token", "credential",
	"private_key", "access_key", "account_key", "api_key", "apikey", "sslkey",
}

// SQL blots out the secrets of a statement, which need not be complete: the
// literal after PASSWORD, after an option or setting whose name says that its
// value is a secret, after CONNECTION of a subscription, and what Text finds in
// all the rest, such as connection strings in the bodies of functions.
func SQL(sql string) string {
	var b strings.Builder
	// naming is whether the last word names a secret, apart from "=" and the
	// like that may stand before the value.
	naming := false
	for at := 0; at < len(sql); {
		kind, end := next(sql, at)
		text := sql[at:end]
		switch kind {
		case blank:
			b.WriteString(text)
		case word:
			naming = namesSecret(text)
			b.WriteString(text)
		case literal:
			if naming {
				text = "'" + Mask + "'"
			}
			naming = false
			b.WriteString(text)
		default:
			naming = naming && (text == "=" || text == ":")
			b.WriteString(text)
		}
		at = end
	}
	return Text(b.String())
}

func namesSecret(word string) bool {
	word = strings.ToLower(word)
	if word == "connection" {
		return true
	}
	for _, part := range secretWords {
		if strings.Contains(word, part) {
			return true
		}
	}
	return false
}

type kind int

const (
	blank   kind = iota // white space and comments
	word                // a name, quoted or not, or a key word
	literal             // a string
	other               // one byte of anything else
)

// next is the token of SQL that begins at a place and where it ends. What has
// no end in the text goes to its end. Strings are read as with
// standard_conforming_strings, as all our sessions have it.
func next(s string, at int) (kind, int) {
	rest := s[at:]
	switch c := rest[0]; {
	case strings.IndexByte(" \t\r\n\v\f", c) >= 0:
		return blank, at + 1
	case strings.HasPrefix(rest, "--"):
		return blank, at + after(rest, "\n", 2)
	case strings.HasPrefix(rest, "/*"):
		return blank, at + comment(rest)
	case c == '\'':
		return literal, at + quoted(rest, 0, false)
	case len(rest) > 1 && rest[1] == '\'' && strings.IndexByte("eEbBxXnN", c) >= 0:
		return literal, at + quoted(rest, 1, c == 'e' || c == 'E')
	case len(rest) > 2 && (c == 'u' || c == 'U') && rest[1] == '&' && rest[2] == '\'':
		return literal, at + quoted(rest, 2, false)
	case c == '"':
		return word, at + quoted(rest, 0, false)
	case c == '$':
		if tag := dollarTag(rest); tag != "" {
			return literal, at + after(rest, tag, len(tag))
		}
		return other, at + 1
	case nameByte(c):
		n := 1
		for n < len(rest) && (nameByte(rest[n]) || rest[n] >= '0' && rest[n] <= '9' || rest[n] == '$') {
			n++
		}
		return word, at + n
	}
	return other, at + 1
}

func nameByte(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 }

// after is the place behind the first mark from a place on.
func after(s, mark string, from int) int {
	if i := strings.Index(s[from:], mark); i >= 0 {
		return from + i + len(mark)
	}
	return len(s)
}

// comment is the length of the comment s begins with; comments nest.
func comment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// quoted is the length of the quoted text whose first quote is at open.
func quoted(s string, open int, escapes bool) int {
	q := s[open]
	for i := open + 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == q && i+1 < len(s) && s[i+1] == q:
			i++
		case s[i] == q:
			return i + 1
		}
	}
	return len(s)
}

// dollarTag is the opening tag of a dollar-quoted string, "" if s begins with
// none.
func dollarTag(s string) string {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '$':
			return s[:i+1]
		case nameByte(c), i > 1 && c >= '0' && c <= '9':
		default:
			return ""
		}
	}
	return ""
}
