package pgddl

import (
	"fmt"
	"slices"
)

// CopyColumns reads the columns of "COPY schema.table (a, b) FROM stdin;". A
// table without columns has none.
func CopyColumns(sql string) (columns []string, err error) {
	tokens, err := Tokens(sql)
	if err != nil {
		return nil, err
	}
	isPunct := func(t Token, text string) bool { return t.Kind == Punct && t.Value == text }
	open := slices.IndexFunc(tokens, func(t Token) bool { return isPunct(t, "(") })
	if open < 0 {
		return nil, nil
	}
	for i, t := range tokens[open+1:] {
		switch {
		case i%2 == 0 && (t.Kind == Word || t.Kind == Quoted):
			columns = append(columns, t.Value)
		case i%2 == 1 && isPunct(t, ")"):
			return columns, nil
		case i%2 == 0 || !isPunct(t, ","):
			return nil, fmt.Errorf("unknown form of COPY: %.100q", sql)
		}
	}
	return nil, fmt.Errorf("unknown form of COPY: %.100q", sql)
}
