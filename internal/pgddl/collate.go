package pgddl

import (
	"slices"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// ReplaceCollation rewrites each COLLATE clause of any SQL, and the collation
// of a range type, for which f returns a new name. f gets the name quoted as
// pg_dump does, with its schema if it has one, and must return it alike.
// Strings, dollar quotes (bodies of functions) and comments are left alone.
func ReplaceCollation(sql string, f func(name string) (string, bool)) (string, error) {
	list, err := statements(sql)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	done := 0
	for _, s := range list {
		c := &cursor{sql: sql, tokens: s}
		ranges := c.has("create", "type")
		for c.toCollation(ranges) {
			from := c.at
			names := c.names()
			if c.err != nil {
				return "", c.err
			}
			if to, ok := f(quote.Qualified(names...)); ok {
				b.WriteString(sql[done:s[from].Start])
				done = s[c.at-1].End
				if s[from].Start == s[from-1].End { // a name in quotes needs no blanks beside it, its successor may
					b.WriteByte(' ')
				}
				b.WriteString(to)
				if done < len(sql) && !isSpace(sql[done]) && strings.IndexByte(",);", sql[done]) < 0 {
					b.WriteByte(' ')
				}
			}
		}
	}
	return b.String() + sql[done:], nil
}

// toCollation goes to the next name of a collation.
func (c *cursor) toCollation(ranges bool) bool {
	for ; !c.ended(); c.at++ {
		if c.at > 0 && c.tokens[c.at-1].is(".") {
			continue // a name
		}
		if c.take("collate") || ranges && c.take("collation", "=") {
			return true
		}
	}
	return false
}

// Collations are the names that ReplaceCollation would offer, each once, in
// the order of the text.
func Collations(sql string) ([]string, error) {
	var list []string
	_, err := ReplaceCollation(sql, func(name string) (string, bool) {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
		return "", false
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
