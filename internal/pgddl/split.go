package pgddl

// Split returns the statements of a definition, each from its first to its
// last token: without the semicolon, and without comments around it. Bodies of
// SQL-standard functions (BEGIN ATOMIC … END) and of rules are not split.
func Split(sql string) ([]string, error) {
	list, err := statements(sql)
	if err != nil {
		return nil, err
	}
	return texts(sql, list), nil
}

func texts(sql string, list [][]Token) []string {
	var out []string
	for _, s := range list {
		out = append(out, span(sql, s))
	}
	return out
}

// span is the text from the first to the last of some tokens.
func span(sql string, tokens []Token) string {
	if len(tokens) == 0 {
		return ""
	}
	return sql[tokens[0].Start:tokens[len(tokens)-1].End]
}

// statements are the tokens of each statement, without semicolons.
func statements(sql string) ([][]Token, error) {
	tokens, err := Tokens(sql)
	if err != nil {
		return nil, err
	}
	var list [][]Token
	start, depth, atomic := 0, 0, 0
	for i, t := range tokens {
		switch {
		case t.is("(", "["):
			depth++
		case t.is(")", "]"):
			depth--
			if depth < 0 {
				return nil, shape(t.Start, "an opening bracket before a closing one")
			}
		case t.is("begin") && atomic == 0 && i+1 < len(tokens) && tokens[i+1].is("atomic") && tokens[start].is("create"):
			atomic = 1
		case atomic > 0 && t.is("case"):
			atomic++
		case atomic > 0 && t.is("end"):
			atomic--
		case t.is(";") && depth == 0 && atomic == 0:
			if i > start {
				list = append(list, tokens[start:i:i])
			}
			start = i + 1
		}
	}
	if depth > 0 || atomic > 0 {
		return nil, shape(len(sql), "the end of a statement")
	}
	if start < len(tokens) {
		list = append(list, tokens[start:])
	}
	return list, nil
}

// is tells whether the token is one of these key words (in lower case),
// operators or marks.
func (t Token) is(words ...string) bool {
	if t.Kind != Word && t.Kind != Op && t.Kind != Punct {
		return false
	}
	for _, w := range words {
		if t.Value == w {
			return true
		}
	}
	return false
}

// Names takes the dotted name apart that a text begins with, such as the
// Object of a [Grant]: `public."T"` is ["public", "T"]. rest is the text after
// it, for instance the arguments of a function.
func Names(text string) (parts []string, rest string, err error) {
	tokens, err := Tokens(text)
	if err != nil {
		return nil, "", err
	}
	c := cursor{sql: text, tokens: tokens}
	parts = c.names()
	if c.err != nil {
		return nil, "", c.err
	}
	return parts, text[tokens[c.at-1].End:], nil
}
