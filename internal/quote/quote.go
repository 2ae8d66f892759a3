// Package quote writes names and values into SQL the way pg_dump 18 does, so
// that texts of both compare equal.
package quote

import "strings"

// Ident quotes a name if it needs quotes: it is left bare only if it is all
// lower case letters, digits and underscores, does not begin with a digit, and
// is no key word.
func Ident(name string) string {
	if bare(name) {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func bare(name string) bool {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	_, key := keywords[name]
	return !key
}

// Qualified joins quoted names with dots, leaving out empty ones.
func Qualified(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		if n == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(Ident(n))
	}
	return b.String()
}

// Idents quotes each name and joins them with commas.
func Idents(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = Ident(n)
	}
	return strings.Join(q, ", ")
}

// Literal quotes a value for a session with standard_conforming_strings on.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Dollar quotes a function's body. The tag is empty where the body has no
// dollar sign before it, and grows from "_XXXXXXX" until the body does not
// hold its beginning.
func Dollar(body string) string {
	const suffix = "_XXXXXXX"
	tag := "$"
	for i := 0; strings.Contains(body, tag); i++ {
		tag += string(suffix[i%len(suffix)])
	}
	tag += "$"
	return tag + body + tag
}

// Comment makes a name safe inside a "--" comment line.
func Comment(name string) string {
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(name)
}
