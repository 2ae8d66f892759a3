package ui

import "regexp"

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

// Redact blots out what could be a password in a text that a user or a server
// had a hand in. It rather takes too much than too little.
func Redact(s string) string {
	for _, p := range secret {
		s = p.re.ReplaceAllString(s, p.with)
	}
	return s
}
