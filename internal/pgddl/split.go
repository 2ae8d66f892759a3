package pgddl

// Split returns the statements of a definition, each from its first to its
// last token: without the semicolon, and without comments around it. Bodies of
// SQL-standard functions (BEGIN ATOMIC … END) and of rules are not split.
func Split(sql string) ([]string, error) { return nil, ErrShape }

// Names takes the dotted name apart that a text begins with, such as the
// Object of a [Grant]: `public."T"` is ["public", "T"]. rest is the text after
// it, for instance the arguments of a function.
func Names(text string) (parts []string, rest string, err error) { return nil, "", ErrShape }
