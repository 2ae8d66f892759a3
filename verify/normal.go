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

// equal reports whether entries of both ends define the same.
func (n *normalizer) equal(source, target []*archive.Entry) bool {
	return slices.EqualFunc(n.wordings(source, 0), n.wordings(target, 1), n.alike)
}

// wordings are the definitions of entries of an end in words, in an order that
// is the same at the other end.
func (n *normalizer) wordings(list []*archive.Entry, end int) [][]word {
	out := make([][]word, len(list))
	for i, e := range list {
		out[i] = n.words(n.sql(e, end))
		if e.AccessMethod != nil {
			out[i] = append(out[i], word{text: "access method " + *e.AccessMethod})
		}
	}
	if len(out) > 1 {
		slices.SortFunc(out, func(a, b []word) int { return strings.Compare(n.unqualified(a), n.unqualified(b)) })
	}
	return out
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

// A word is a token of SQL as it is spelled.
type word struct {
	text string
	name bool // may name something
}

// words are the words of SQL, without IN before a procedure's parameters where
// one of the ends writes it (until 13).
func (n *normalizer) words(sql string) []word {
	tokens, err := pgddl.Tokens(sql)
	if err != nil {
		return []word{{text: sql}}
	}
	procedure := n.crosses(14) && len(tokens) > 2 && slices.ContainsFunc(tokens[:3], func(t pgddl.Token) bool { return t.Value == "procedure" })
	out := make([]word, 0, len(tokens))
	for _, t := range tokens {
		if procedure && t.Kind == pgddl.Word && t.Value == "in" {
			continue
		}
		out = append(out, word{sql[t.Start:t.End], t.Kind == pgddl.Word || t.Kind == pgddl.Quoted || t.Value == "*"})
	}
	return out
}

// qualified reports whether a word may be the name of a table that stands before
// one of a column.
func (n *normalizer) qualified(words []word, i int) bool {
	name := func(i int) bool { return i < len(words) && words[i].name }
	dot := func(i int) bool { return i >= 0 && i < len(words) && words[i].text == "." }
	if !name(i) || !dot(i+1) || !name(i+2) || dot(i-1) {
		return false
	}
	schema := strings.ReplaceAll(strings.Trim(words[i].text, `"`), `""`, `"`)
	called := i+3 < len(words) && words[i+3].text == "("
	return !called && !n.schemas[schema] && schema != "pg_catalog"
}

// unqualified joins words, without the names of tables before those of columns.
func (n *normalizer) unqualified(words []word) string {
	var b strings.Builder
	for i := 0; i < len(words); i++ {
		if n.qualified(words, i) {
			i += 2
		}
		b.WriteString(words[i].text)
		b.WriteByte(' ')
	}
	return b.String()
}

// alike reports whether the words of both ends are the same. Servers before 16
// write the name of a table before that of a column where later ones leave it
// out because there is but one table. Where the later one writes it, too, it has
// to be the same.
func (n *normalizer) alike(source, target []word) bool {
	if !n.crosses(16) {
		return slices.Equal(source, target)
	}
	older, newer := source, target
	if n.versions[0].AtLeast(16) {
		older, newer = target, source
	}
	i := 0
	for j, w := range newer {
		if written := j+1 < len(newer) && newer[j+1].text == "."; !written && n.qualified(older, i) {
			i += 2
		}
		if i >= len(older) || older[i] != w {
			return false
		}
		i++
	}
	return i == len(older)
}

// same reports whether two expressions of the ends are the same.
func (n *normalizer) same(source, target string) bool {
	return source == target || n.alike(n.words(source), n.words(target))
}

// name is the name of an entry by which it is looked for at the other end.
func (n *normalizer) name(e *archive.Entry) string {
	if !n.crosses(14) || !strings.Contains(e.Tag, "PROCEDURE ") {
		return e.Tag
	}
	return strings.NewReplacer("(IN ", "(", ", IN ", ", ").Replace(e.Tag)
}
