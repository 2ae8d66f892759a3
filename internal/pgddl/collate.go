package pgddl

// ReplaceCollation rewrites each COLLATE clause of any SQL, and the collation
// of a range type, for which f returns a new name. f gets the name quoted as
// pg_dump does, with its schema if it has one, and must return it alike.
// Strings, dollar quotes (bodies of functions) and comments are left alone.
func ReplaceCollation(sql string, f func(name string) (string, bool)) (string, error) {
	return "", ErrShape
}

// Collations are the names that ReplaceCollation would offer, each once, in
// the order of the text.
func Collations(sql string) ([]string, error) { return nil, ErrShape }
