package verify

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgddl"
)

// A normalizer takes out of definitions what servers of different versions
// write in different ways about the same thing.
type normalizer struct {
	versions [2]pg.Version
	schemas  map[string]bool // of both ends
	// families are the members of operator families, and of the classes in them,
	// at each end.
	families [2]map[string][]string
}

// crosses reports whether a major lies between the ends: one of them is older.
func (n *normalizer) crosses(major int) bool {
	return n.versions[0].AtLeast(major) != n.versions[1].AtLeast(major)
}

// learn takes note of what the definitions of others depend on.
func (n *normalizer) learn(e *archive.Entry, end int) {
	switch e.Kind {
	case "SCHEMA":
		n.schemas[e.Tag] = true
	case "OPERATOR CLASS", "OPERATOR FAMILY":
		if n.families[end] == nil {
			n.families[end] = map[string][]string{}
		}
		f := family(e)
		n.families[end][f] = append(n.families[end][f], member.FindAllString(e.Create, -1)...)
	}
}

var (
	member      = regexp.MustCompile(`(?m)^\s*(?:OPERATOR|FUNCTION) \d+ .*?[^,;\s](?:\s*[,;]?)$`)
	storage     = regexp.MustCompile(`(?m)^\s*STORAGE .*$`)
	classFamily = regexp.MustCompile(` USING (\S+) FAMILY (.+) AS$`)
	ownFamily   = regexp.MustCompile(`^CREATE OPERATOR FAMILY (.+) USING (\S+);`)
	multirange  = regexp.MustCompile(`\n\s*multirange_type_name = [^\n]*?(,?)(\n)`)
	subscript   = regexp.MustCompile(`\n\s*SUBSCRIPT = raw_array_subscript_handler,?`)
	trailing    = regexp.MustCompile(`,(\s*\);)`)
)

// family names the operator family that an entry is or is in, with its access
// method.
func family(e *archive.Entry) string {
	first, _, _ := strings.Cut(e.Create, "\n")
	if e.Kind == "OPERATOR FAMILY" {
		if m := ownFamily.FindStringSubmatch(first); m != nil {
			return m[2] + " " + m[1]
		}
		return e.Tag
	}
	for line := range strings.Lines(e.Create) {
		if m := classFamily.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			return m[1] + " " + m[2]
		}
	}
	return e.Tag
}

// text is the definition of entries of an end for comparing: the tokens of
// their SQL.
func (n *normalizer) text(list []*archive.Entry, end int) string {
	texts := make([]string, len(list))
	for i, e := range list {
		sql := n.sql(e, end)
		if tokens, err := pgddl.Tokens(sql); err == nil {
			sql = n.words(sql, tokens)
		}
		if e.AccessMethod != nil {
			sql += "\naccess method " + *e.AccessMethod
		}
		texts[i] = sql
	}
	slices.Sort(texts)
	return strings.Join(texts, "\n")
}

// sql is the definition without clauses that one of the ends does not know.
func (n *normalizer) sql(e *archive.Entry, end int) string {
	sql := e.Create
	if !n.crosses(14) {
		return sql
	}
	switch e.Kind {
	case "TYPE":
		// Since 14 range types have multirange types, named after them if nobody
		// gives a name, and arrays of old name their way of subscripting.
		sql = multirange.ReplaceAllString(sql, "$2")
		sql = trailing.ReplaceAllString(subscript.ReplaceAllString(sql, ""), "$1")
	case "OPERATOR CLASS", "OPERATOR FAMILY":
		// Since 14 members that a class can do without belong to the family.
		members := slices.Clone(n.families[end][family(e)])
		for i, m := range members {
			members[i] = strings.Trim(m, " ,;\n")
		}
		slices.Sort(members)
		first, _, _ := strings.Cut(e.Create, ";")
		sql = storage.ReplaceAllString(member.ReplaceAllString(first, ""), "") + "\n" + strings.Join(members, "\n")
	}
	return sql
}

// words joins tokens, without the names of tables before those of columns where
// one of the ends leaves out what is not needed (since 16), and without IN
// before a procedure's parameters where one of them does (until 13).
func (n *normalizer) words(sql string, tokens []pgddl.Token) string {
	short, in := n.crosses(16), n.crosses(14)
	procedure := in && len(tokens) > 2 && slices.ContainsFunc(tokens[:3], func(t pgddl.Token) bool { return t.Value == "procedure" })
	isDot := func(i int) bool {
		return i >= 0 && i < len(tokens) && tokens[i].Kind == pgddl.Punct && tokens[i].Value == "."
	}
	isName := func(i int) bool {
		return i < len(tokens) && (tokens[i].Kind == pgddl.Word || tokens[i].Kind == pgddl.Quoted || tokens[i].Value == "*")
	}
	var b strings.Builder
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if short && isName(i) && isDot(i+1) && isName(i+2) && !isDot(i-1) && !n.schemas[t.Value] && t.Value != "pg_catalog" {
			if called := i+3 < len(tokens) && tokens[i+3].Value == "("; !called {
				i++ // and the dot
				continue
			}
		}
		if procedure && t.Kind == pgddl.Word && t.Value == "in" {
			continue
		}
		b.WriteString(sql[t.Start:t.End])
		b.WriteByte(' ')
	}
	return b.String()
}

// name is the name of an entry by which it is looked for at the other end.
func (n *normalizer) name(e *archive.Entry) string {
	if !n.crosses(14) || !strings.Contains(e.Tag, "PROCEDURE ") {
		return e.Tag
	}
	return strings.NewReplacer("(IN ", "(", ", IN ", ", ").Replace(e.Tag)
}
