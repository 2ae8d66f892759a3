package catalog

import (
	"context"
	"fmt"
	"strings"
)

// A Selection says which objects of a database to take, with psql's patterns.
// The zero Selection takes all.
type Selection struct {
	Schemas, ExcludeSchemas       []string // -n, -N
	Tables, ExcludeTables         []string // -t, -T
	Extensions, ExcludeExtensions []string // -e, --exclude-extension
	ExcludeTableData              []string
	// The same with the partitions and inheritance children of what matches.
	TablesAndChildren, ExcludeTablesAndChildren, ExcludeTableDataAndChildren []string
	// ForeignData are patterns of foreign servers: the rows of their tables are
	// read through them.
	ForeignData []string
	// SchemaOnly takes no rows and DataOnly no definitions.
	SchemaOnly, DataOnly bool
	// SequenceData takes the positions of sequences even with SchemaOnly.
	SequenceData bool
	// Statistics takes what the planner knows of tables and indexes, too, and
	// StatisticsOnly nothing else.
	Statistics, StatisticsOnly bool
	// NoUnloggedData takes no rows of unlogged tables.
	NoUnloggedData bool
	// LargeObjects takes them even where Schemas or Tables would leave them out;
	// NoLargeObjects leaves them out.
	LargeObjects, NoLargeObjects bool
	// StrictNames fails when a pattern matches nothing.
	StrictNames bool
}

// everything reports whether objects outside schemas are taken: true unless
// something was named to be included (pg_dump's include_everything).
func (s Selection) everything() bool {
	return len(s.Schemas) == 0 && !s.onlyTables() && len(s.Extensions) == 0
}

// onlyTables reports whether tables were named to be included.
func (s Selection) onlyTables() bool { return len(s.Tables)+len(s.TablesAndChildren) > 0 }

// data reports whether rows are taken.
func (s Selection) data() bool { return !s.SchemaOnly && !s.StatisticsOnly }

// selected holds the OIDs a Selection's patterns stand for.
type selected struct {
	schemas, notSchemas, tables, notTables, exts, notExts, notData, foreign map[uint32]bool
}

// expand turns the patterns into OIDs. A table pattern without a schema means
// what is visible in the role's own search path, so that is put back for the
// time of the queries.
func (l *loader) expand(ctx context.Context) error {
	const (
		schemas    = "SELECT n.oid FROM pg_catalog.pg_namespace n WHERE true"
		tables     = "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p')"
		extensions = "SELECT e.oid FROM pg_catalog.pg_extension e WHERE true"
		servers    = "SELECT s.oid FROM pg_catalog.pg_foreign_server s WHERE true"
	)
	sel := l.opts.Select
	var queries []query
	var missed []string
	for _, w := range []struct {
		into                 *map[uint32]bool
		option, base, column string
		kind                 patternKind
		patterns             []string
	}{
		{&l.sel.schemas, "-n", schemas, "n.nspname", included, sel.Schemas},
		{&l.sel.notSchemas, "-N", schemas, "n.nspname", 0, sel.ExcludeSchemas},
		{&l.sel.tables, "-t", tables, "c.relname", ofTables | included, sel.Tables},
		{&l.sel.tables, "--table-and-children", tables, "c.relname", ofTables | included | andChildren, sel.TablesAndChildren},
		{&l.sel.notTables, "-T", tables, "c.relname", ofTables, sel.ExcludeTables},
		{&l.sel.notTables, "--exclude-table-and-children", tables, "c.relname", ofTables | andChildren, sel.ExcludeTablesAndChildren},
		{&l.sel.notData, "--exclude-table-data", tables, "c.relname", ofTables, sel.ExcludeTableData},
		{&l.sel.notData, "--exclude-table-data-and-children", tables, "c.relname", ofTables | andChildren, sel.ExcludeTableDataAndChildren},
		{&l.sel.exts, "-e", extensions, "e.extname", included, sel.Extensions},
		{&l.sel.notExts, "--exclude-extension", extensions, "e.extname", 0, sel.ExcludeExtensions},
		{&l.sel.foreign, "--include-foreign-data", servers, "s.srvname", included, sel.ForeignData},
	} {
		if *w.into == nil {
			*w.into = map[uint32]bool{}
		}
		for _, p := range w.patterns {
			names, err := splitPattern(p)
			if err != nil {
				return err
			}
			sql, args, err := matchPattern(w.base, w.column, w.kind&ofTables != 0, names, l.db.Name, p)
			if err != nil {
				return err
			}
			if w.kind&andChildren != 0 {
				sql = withChildren(sql)
			}
			found, set, what := 0, *w.into, w.option+" "+p
			queries = append(queries, query{
				what: "matches of " + what, sql: sql + " ORDER BY 1", args: args,
				scan: scanOID(func(oid uint32) { found++; set[oid] = true }),
				done: func() {
					if found == 0 && w.kind&included != 0 && sel.StrictNames {
						missed = append(missed, what)
					}
				},
			})
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
		"-n": {len(sel.Schemas), len(l.sel.schemas)}, "-t": {len(sel.Tables) + len(sel.TablesAndChildren), len(l.sel.tables)},
		"-e": {len(sel.Extensions), len(l.sel.exts)}, "--include-foreign-data": {len(sel.ForeignData), len(l.sel.foreign)},
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
	return sql, args, nil
}

// patternKind says what a pattern stands for.
type patternKind int

const (
	ofTables patternKind = 1 << iota
	included             // as opposed to excluded: it should match something
	andChildren
)

// withChildren adds the partitions and inheritance children of what a query
// finds, at every level.
func withChildren(sql string) string {
	return "WITH RECURSIVE tree AS (" + sql + ` UNION
SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid) SELECT tree.oid FROM tree`
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

// selectSchema is the rule for schemas.
func (l *loader) selectSchema(s *Schema) {
	switch {
	case l.opts.Select.onlyTables():
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
	case l.opts.Select.onlyTables():
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
