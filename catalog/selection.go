package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Selection says which objects of a database to take, with psql's patterns
// (reference §5.1). The zero Selection takes all.
type Selection struct {
	Schemas, ExcludeSchemas       []string // -n, -N
	Tables, ExcludeTables         []string // -t, -T
	Extensions, ExcludeExtensions []string // -e, --exclude-extension
	ExcludeTableData              []string
	SchemaOnly, DataOnly          bool
	// LargeObjects takes them even where Schemas or Tables would leave them out;
	// NoLargeObjects leaves them out.
	LargeObjects, NoLargeObjects bool
	// StrictNames fails when a pattern matches nothing.
	StrictNames bool
}

// everything reports whether objects outside schemas are taken: true unless
// something was named to be included (pg_dump's include_everything).
func (s Selection) everything() bool {
	return len(s.Schemas) == 0 && len(s.Tables) == 0 && len(s.Extensions) == 0
}

// data reports whether rows are taken.
func (s Selection) data() bool { return !s.SchemaOnly }

// selected holds the OIDs a Selection's patterns stand for.
type selected struct {
	schemas, notSchemas, tables, notTables, exts, notExts, notData map[uint32]bool
}

// expand turns the patterns into OIDs. A table pattern without a schema means
// what is visible in the role's own search path, so that is put back for the
// time of the queries (reference §3.1).
func (l *loader) expand(ctx context.Context) error {
	const (
		schemas    = "SELECT n.oid FROM pg_catalog.pg_namespace n WHERE true"
		tables     = "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p')"
		extensions = "SELECT e.oid FROM pg_catalog.pg_extension e WHERE true"
	)
	sel := l.opts.Select
	var queries []query
	var missed []string
	want := func(into *map[uint32]bool, option, base, column string, table, include bool, patterns []string) error {
		*into = map[uint32]bool{}
		for _, p := range patterns {
			names, err := splitPattern(p)
			if err != nil {
				return err
			}
			sql, args, err := matchPattern(base, column, table, names, l.db.Name, p)
			if err != nil {
				return err
			}
			found := 0
			set := *into
			queries = append(queries,
				query{what: "matches of " + option + " " + p, sql: sql, args: args, scan: func(row pgx.Rows) error {
					var oid uint32
					found++
					err := row.Scan(&oid)
					set[oid] = true
					return err
				}},
				query{what: "matches", sql: "SELECT 1", scan: func(pgx.Rows) error {
					if found == 0 && include && sel.StrictNames {
						missed = append(missed, option+" "+p)
					}
					return nil
				}})
		}
		return nil
	}
	for _, w := range []struct {
		into         *map[uint32]bool
		option, base string
		column       string
		table        bool
		include      bool
		patterns     []string
	}{
		{&l.sel.schemas, "-n", schemas, "n.nspname", false, true, sel.Schemas},
		{&l.sel.notSchemas, "-N", schemas, "n.nspname", false, false, sel.ExcludeSchemas},
		{&l.sel.tables, "-t", tables, "c.relname", true, true, sel.Tables},
		{&l.sel.notTables, "-T", tables, "c.relname", true, false, sel.ExcludeTables},
		{&l.sel.notData, "--exclude-table-data", tables, "c.relname", true, false, sel.ExcludeTableData},
		{&l.sel.exts, "-e", extensions, "e.extname", false, true, sel.Extensions},
		{&l.sel.notExts, "--exclude-extension", extensions, "e.extname", false, false, sel.ExcludeExtensions},
	} {
		if err := want(w.into, w.option, w.base, w.column, w.table, w.include, w.patterns); err != nil {
			return err
		}
	}
	if len(queries) == 0 {
		return nil
	}
	queries = append([]query{{what: "search_path", sql: "RESET search_path"}}, queries...)
	queries = append(queries, query{what: "search_path", sql: "SELECT pg_catalog.set_config('search_path', '', false)"})
	if err := l.run(ctx, queries...); err != nil {
		return err
	}
	if len(missed) > 0 {
		return fmt.Errorf("no matching objects were found for: %s", strings.Join(missed, ", "))
	}
	for option, n := range map[string][2]int{
		"-n": {len(sel.Schemas), len(l.sel.schemas)}, "-t": {len(sel.Tables), len(l.sel.tables)}, "-e": {len(sel.Extensions), len(l.sel.exts)},
	} {
		if n[0] > 0 && n[1] == 0 && !l.opts.AllowNoMatch {
			return fmt.Errorf("no object matches the patterns of %s", option)
		}
	}
	return nil
}

// matchPattern adds the conditions of one pattern to a query.
func matchPattern(base, column string, table bool, names []string, database, pattern string) (string, []any, error) {
	sql, args := base, []any{}
	cond := func(column, regex string) {
		if regex == "^(.*)$" {
			return
		}
		args = append(args, regex)
		sql += fmt.Sprintf(" AND %s OPERATOR(pg_catalog.~) $%d::pg_catalog.text COLLATE pg_catalog.default", column, len(args))
	}
	switch {
	case len(names) == 1:
		cond(column, names[0])
		if table {
			sql += " AND pg_catalog.pg_table_is_visible(c.oid)"
		}
	case table && len(names) == 2:
		cond(column, names[1])
		cond("n.nspname", names[0])
	case table && len(names) == 3 || !table && len(names) == 2 && column == "n.nspname":
		if want := "^(" + escapeRegex(database) + ")$"; names[0] != want {
			return "", nil, fmt.Errorf("pattern %q names another database than %q; a dump is of one database", pattern, database)
		}
		return matchPattern(base, column, table, names[1:], database, pattern)
	default:
		return "", nil, fmt.Errorf("pattern %q has too many dotted names", pattern)
	}
	return sql + " ORDER BY 1", args, nil
}

// splitPattern turns a psql pattern into anchored regular expressions, one for
// each dotted name: letters are folded unless quoted, * and ? are wildcards,
// the rest of the regular expression syntax passes through, and inside double
// quotes everything is literal.
func splitPattern(pattern string) ([]string, error) {
	var out []string
	var b strings.Builder
	quoted := false
	r := []rune(pattern)
	for i := 0; i < len(r); i++ {
		c := r[i]
		switch {
		case c == '"' && quoted && i+1 < len(r) && r[i+1] == '"':
			b.WriteRune('"')
			i++
		case c == '"':
			quoted = !quoted
		case c == '$', quoted && strings.ContainsRune(`|*+?()[]{}.^\`, c):
			b.WriteRune('\\')
			b.WriteRune(c)
		case quoted:
			b.WriteRune(c)
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteByte('.')
		case c == '.':
			out = append(out, "^("+b.String()+")$")
			b.Reset()
		case c == '[' && i+1 < len(r) && r[i+1] == ']':
			b.WriteString(`\[`) // array types' names
		default:
			b.WriteString(strings.ToLower(string(c)))
		}
	}
	if quoted {
		return nil, fmt.Errorf("pattern %q has an unclosed double quote", pattern)
	}
	return append(out, "^("+b.String()+")$"), nil
}

func escapeRegex(s string) string {
	var b strings.Builder
	for _, c := range s {
		if strings.ContainsRune(`$|*+?()[]{}.^\`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func pick(yes bool) parts {
	if yes {
		return partAll
	}
	return 0
}

// selectExtension is the rule for extensions: those of initdb keep their
// members' privileges only.
func (l *loader) selectExtension(e *Extension) {
	switch {
	case e.ID.OID < firstUserOID:
		e.want = partACL
	case len(l.opts.Select.Extensions) > 0:
		e.want = pick(l.sel.exts[e.ID.OID])
	default:
		e.want = pick(l.opts.Select.everything())
	}
	if e.ID.OID >= firstUserOID && l.sel.notExts[e.ID.OID] {
		e.want = 0
	}
	e.contains = e.want
}

// selectSchema is the rule for schemas (reference §1.0).
func (l *loader) selectSchema(s *Schema) {
	switch {
	case len(l.opts.Select.Tables) > 0:
		s.want = 0
	case len(l.opts.Select.Schemas) > 0:
		s.want = pick(l.sel.schemas[s.ID.OID])
	case s.Name == "pg_catalog":
		s.want = partACL
	case strings.HasPrefix(s.Name, "pg_") || s.Name == "information_schema":
		s.want = 0
	case s.Name == "public":
		s.create = false
		s.want = partAll
		if s.acl.ownerOID == rolePgDatabaseOwner {
			s.want &^= partDefinition
		}
		s.contains = partAll
	default:
		s.want = partAll
	}
	if s.create {
		s.contains = s.want
	}
	if l.sel.notSchemas[s.ID.OID] {
		s.want, s.contains = 0, 0
	}
	l.memberOfExtension(s)
}

// memberOfExtension limits an extension's member to its privileges and makes
// it depend on the extension. It reports whether the object is a member.
func (l *loader) memberOfExtension(o Object) bool {
	m := o.Info()
	e := l.members[m.ID]
	if e == nil {
		return false
	}
	m.dependOn(e.DumpID)
	m.want = e.contains & partACL
	return true
}

// selectInSchema is the rule for objects that follow their schema, or, without
// one, are taken when nothing was named to be included.
func (l *loader) selectInSchema(o Object, schema uint32) {
	if l.memberOfExtension(o) {
		return
	}
	if schema == 0 {
		o.Info().want = pick(l.opts.Select.everything())
	} else if s := l.schemas[schema]; s != nil {
		o.Info().want = s.contains
	}
}

func (l *loader) selectRelation(r *Relation) {
	if l.memberOfExtension(r) {
		return
	}
	switch {
	case len(l.opts.Select.Tables) > 0:
		r.want = pick(l.sel.tables[r.ID.OID])
	default:
		if s := l.schemas[r.schemaOID]; s != nil {
			r.want = s.contains
		}
	}
	if l.sel.notTables[r.ID.OID] {
		r.want = 0
	}
}
