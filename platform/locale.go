package platform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/quote"
)

// normalLocale writes a locale of the operating system's library the same way
// whatever way it is spelled: en_US.UTF-8 and en_US.utf8 are one.
func normalLocale(s string) string {
	name, rest, _ := strings.Cut(s, ".")
	codeset, modifier, _ := strings.Cut(rest, "@")
	codeset = strings.ToLower(strings.ReplaceAll(codeset, "-", ""))
	if name == "POSIX" {
		name = "C"
	}
	if codeset != "" {
		name += "." + codeset
	}
	if modifier != "" {
		name += "@" + modifier
	}
	return name
}

// hasLocale says that the operating system of the target has a locale, as far
// as its collations tell.
func (p *planner) hasLocale(name string) bool {
	if p.locales == nil {
		p.locales = map[string]bool{"": true, "C": true}
		target := &p.in.Target
		for _, l := range []string{target.Locale.Collate, target.Locale.CType, target.Parameters["lc_messages"].Value, target.Parameters["lc_monetary"].Value} {
			p.locales[normalLocale(l)] = true
		}
		for _, c := range target.Collations {
			if c.Provider == "libc" {
				p.locales[normalLocale(c.Locale)] = true
			}
		}
	}
	return p.locales[normalLocale(name)]
}

// icu returns the collation of ICU that stands for a locale of the operating
// system, of those that the target has; "" if it has none.
func (p *planner) icu(locale string) *Collation {
	name, _, _ := strings.Cut(locale, ".")
	name, _, _ = strings.Cut(name, "@")
	language, region, _ := strings.Cut(name, "_")
	tries := []string{language + "-" + region + "-x-icu", language + "-x-icu", "unicode", "und-x-icu"}
	for _, try := range tries {
		for i := range p.in.Target.Collations {
			if c := &p.in.Target.Collations[i]; c.Schema == "pg_catalog" && c.Name == try && c.Provider == "icu" {
				return c
			}
		}
	}
	return nil
}

// planCollations gives COLLATE clauses that name a collation of the system that
// the target lacks another.
func (p *planner) planCollations(e *archive.Entry, it *Item) {
	if it.Verdict == Skip || !strings.Contains(strings.ToUpper(e.Create), "COLLAT") || len(p.in.Target.Collations) == 0 {
		return
	}
	sql := e.Create
	if it.SQL != "" {
		sql = it.SQL
	}
	missing := map[string]bool{}
	out, err := pgddl.ReplaceCollation(sql, func(name string) (string, bool) {
		parts, _, err := pgddl.Names(name)
		if err != nil || len(parts) == 2 && parts[0] != "pg_catalog" {
			return "", false // one of the customer's, which comes with its own entry
		}
		plain := parts[len(parts)-1]
		if plain == "default" || slices.ContainsFunc(p.in.Target.Collations, func(c Collation) bool { return c.Schema == "pg_catalog" && c.Name == plain }) {
			return "", false
		}
		if len(parts) == 1 && p.ownCollation(plain) {
			return "", false
		}
		c := p.icu(plain)
		if c == nil {
			missing[plain] = true
			return "", false
		}
		it.set(Rewrite, "collation %q, which the target does not have, becomes %q", plain, c.Name)
		it.warn("text sorts by the rules of ICU instead of those of the source's operating system")
		return "pg_catalog." + quote.Ident(c.Name), true
	})
	if err != nil {
		return // what cannot be read as SQL has no clause that could be changed; the target says so
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		it.set(Block, "needs collation %q, and the target has neither that nor one like it: change it at the source", name)
	}
	if out != sql {
		it.SQL = out
	}
}

// ownCollation says that a collation comes with an entry.
func (p *planner) ownCollation(name string) bool {
	return slices.ContainsFunc(p.in.Entries, func(e archive.Entry) bool { return e.Kind == "COLLATION" && e.Tag == name })
}

// planCollation gives a collation whose locale the target's operating system
// lacks the like of ICU.
func (p *planner) planCollation(e *archive.Entry, it *Item) {
	c, err := pgddl.ParseCollation(e.Create)
	if err != nil {
		it.warn("cannot read its locale: %v", err)
		return
	}
	switch c.Provider {
	case "builtin":
		if p.in.Target.Version < 170000 {
			it.set(Rewrite, "the target's version has no builtin collations")
			c.Provider, c.Locale = "libc", "C"
			it.SQL = c.String() + ";\n"
		}
		return
	case "libc", "":
	default:
		return
	}
	locale, ctype := c.Locale, ""
	if locale == "" {
		locale, ctype = c.Collate, c.Ctype
	}
	if p.hasLocale(locale) && p.hasLocale(ctype) || len(p.in.Target.Collations) == 0 {
		return
	}
	like := p.icu(locale)
	if like == nil {
		it.set(Block, "the target has neither the locale %q nor one like it: change it at the source", locale)
		return
	}
	c.Provider, c.Collate, c.Ctype = "icu", "", ""
	c.Locale = strings.TrimSuffix(like.Name, "-x-icu")
	if like.Name == "unicode" {
		c.Locale = "und"
	}
	it.SQL = c.String() + ";\n"
	it.set(Rewrite, "locale %q, which the target does not have, becomes ICU's %q", locale, c.Locale)
	it.warn("text sorts by the rules of ICU instead of those of the source's operating system")
}

// order names the way in which a database sorts text.
func (l Locale) order() string {
	switch l.Provider {
	case "icu":
		return "icu:" + l.Locale
	case "builtin":
		return "C" // code points, as all locales of the builtin provider
	}
	if n := normalLocale(l.Collate); n != "C.utf8" {
		return n
	}
	return "C"
}

func (l Locale) String() string {
	if l.Provider == "icu" || l.Provider == "builtin" {
		return fmt.Sprintf("%s (%s)", l.Locale, l.Provider)
	}
	return fmt.Sprintf("%s (%s)", l.Collate, l.Provider)
}

// planLocale warns of what a different order of text changes.
func (p *planner) planLocale() {
	src, dst := p.in.Source.Locale, p.in.Target.Locale
	if src.Encoding != "" && dst.Encoding != "" && src.Encoding != dst.Encoding {
		text := fmt.Sprintf("the source's encoding is %s, the target's %s: rows are converted on the way", src.Encoding, dst.Encoding)
		if src.Encoding == "SQL_ASCII" {
			text = fmt.Sprintf("the source's encoding is SQL_ASCII, which says nothing about bytes beyond ASCII: rows that are not %s are refused by the target", dst.Encoding)
		}
		p.note(Warn, "%s", text)
	}
	if src.Collate == "" || dst.Collate == "" {
		return
	}
	if a, b := normalLocale(src.CType), normalLocale(dst.CType); a != b && src.order() == dst.order() {
		p.note(Warn, "characters are classified by %s at the source and by %s at the target: upper(), lower() and classes in regular expressions may differ", src.CType, dst.CType)
	}
	if src.order() == dst.order() {
		return
	}
	p.note(Warn, "text sorts by %s at the source and by %s at the target: ORDER BY and comparisons of text give other results. "+
		"Indexes are built anew and are right; equality and uniqueness do not change", src, dst)
	for _, text := range p.sortedText() {
		p.note(Warn, "%s", text)
	}
}

// textTypes are the built-in types whose values are sorted by the database's
// locale.
var textTypes = []string{"text", "character varying", "character", "bpchar", "varchar", "citext"}

// isText says that a type of a column is sorted by a locale.
func (p *planner) isText(typ string, domains map[string]bool) bool {
	typ = strings.TrimSuffix(typ, "[]")
	if i := strings.IndexByte(typ, '('); i > 0 {
		typ = typ[:i]
	}
	if slices.Contains(textTypes, typ) || domains[typ] {
		return true
	}
	parts, _, err := pgddl.Names(typ)
	return err == nil && parts[len(parts)-1] == "citext"
}

// sortedText lists what sorts text by the database's locale: indexes, keys,
// exclusion and check constraints, range partitions.
func (p *planner) sortedText() []string {
	columns := map[string]map[string]bool{} // of tables, those that are text
	domains := map[string]bool{}
	tables := map[string]*pgddl.Table{}
	var ranges, indexes, keys, checks []string
	for i := range p.in.Entries {
		e := &p.in.Entries[i]
		if p.items[e.ID].Verdict == Skip {
			continue
		}
		switch e.Kind {
		case "DOMAIN":
			if t, err := pgddl.ParseType(e.Create); err == nil && t.Collation == "" && p.isText(t.Type, domains) {
				domains[t.Name] = true
			}
		case "TABLE", "FOREIGN TABLE":
			t, err := pgddl.ParseTable(e.Create)
			if err != nil {
				continue
			}
			tables[t.Name] = t
			columns[t.Name] = p.textColumns(t, columns, domains)
		}
	}
	for i := range p.in.Entries {
		e := &p.in.Entries[i]
		if p.items[e.ID].Verdict == Skip {
			continue
		}
		switch e.Kind {
		case "TABLE":
			name := quote.Qualified(e.Namespace, e.Tag)
			t := tables[name]
			if t == nil {
				continue
			}
			if by, ok := strings.CutPrefix(t.Partition, "RANGE "); ok && mentions(by, columns[name]) {
				ranges = append(ranges, describe(e)+" PARTITION BY "+t.Partition)
			}
			for _, c := range t.Constraints {
				if compares(c) && mentions(c, columns[name]) {
					checks = append(checks, describe(e)+": "+c)
				}
			}
		case "INDEX":
			x, err := pgddl.ParseIndex(e.Create)
			if err == nil && slices.ContainsFunc(x.Keys, func(k string) bool { return mentions(k, columns[x.Table]) }) && sorts(x.Method) {
				indexes = append(indexes, describe(e))
			}
		case "CONSTRAINT", "CHECK CONSTRAINT":
			c, err := pgddl.ParseConstraint(e.Create)
			if err != nil || !mentions(c.Definition, columns[c.Table]) {
				continue
			}
			if c.Kind != "CHECK" {
				keys = append(keys, describe(e))
			} else if compares(c.Definition) {
				checks = append(checks, describe(e)+": "+c.Definition)
			}
		}
	}
	var out []string
	for _, l := range []struct {
		list []string
		text string
	}{
		{ranges, "rows may belong to other partitions, or to none, where text is partitioned by range: "},
		{checks, "checks that compare text may let other rows pass: "},
		{keys, "keys and exclusion constraints on text; of these EXCLUDE with other operators than = may mean something else: "},
		{indexes, "indexes on text, which sort otherwise: "},
	} {
		if len(l.list) > 0 {
			out = append(out, l.text+strings.Join(l.list, "; "))
		}
	}
	return out
}

// sorts says that an access method depends on the order of values.
func sorts(method string) bool {
	return method == "btree" || method == "brin" || method == "gist" || method == "spgist" || method == ""
}

// compares says that an expression compares in a way that depends on an order.
func compares(expr string) bool {
	return strings.Contains(expr, "CHECK") && (strings.ContainsAny(expr, "<>") || strings.Contains(expr, "BETWEEN")) &&
		!strings.Contains(strings.ReplaceAll(expr, "<>", ""), "length(")
}

// textColumns returns the columns of a table that sort by the database's locale,
// those it inherits included.
func (p *planner) textColumns(t *pgddl.Table, known map[string]map[string]bool, domains map[string]bool) map[string]bool {
	out := map[string]bool{}
	for _, parent := range t.Inherits {
		for c := range known[parent] {
			out[c] = true
		}
	}
	for _, c := range t.Columns {
		if c.Type != "" && c.Collation == "" && p.isText(c.Type, domains) {
			out[c.Name] = true
		}
	}
	return out
}

// mentions says that an expression names one of the columns without a collation
// of its own.
func mentions(expr string, columns map[string]bool) bool {
	if len(columns) == 0 {
		return false
	}
	tokens, err := pgddl.Tokens(expr)
	if err != nil {
		return false
	}
	for i, t := range tokens {
		if t.Kind != pgddl.Word && t.Kind != pgddl.Quoted || !columns[t.Value] {
			continue
		}
		if i+1 < len(tokens) && tokens[i+1].Kind == pgddl.Word && tokens[i+1].Value == "collate" {
			continue
		}
		return true
	}
	return false
}
