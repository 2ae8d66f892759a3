package catalog

import (
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// An acl is an object's privileges and what they would be by default. nil
// items mean "the default"; an empty list is a real one that grants nothing.
type acl struct {
	items, base []string
	ownerOID    uint32
	prefix      string // of each statement: "ALTER DEFAULT PRIVILEGES … "
}

// An initPriv is a row of pg_init_privs: the privileges an object had when
// initdb ('i') or its extension's script ('e') made it.
type initPriv struct {
	kind  string
	items []string
}

func (l *loader) initPrivQuery() query {
	if l.opts.NoPrivileges {
		return query{}
	}
	return query{
		what: "initial privileges",
		sql: `SELECT p.classoid, p.objoid, p.objsubid, p.privtype::text, p.initprivs::text[]
FROM pg_catalog.pg_init_privs p ORDER BY 1, 2, 3`,
		scan: func(row pgx.Rows) error {
			var id ID
			var sub int32
			var p initPriv
			if err := row.Scan(&id.Class, &id.OID, &sub, &p.kind, &p.items); err != nil {
				return err
			}
			if l.initPriv[id] == nil {
				l.initPriv[id] = map[int32]initPriv{}
			}
			l.initPriv[id][sub] = p
			return nil
		},
	}
}

// withInitial replaces the default by the initial privileges, where there are
// any: the dump then holds what was changed since.
func (l *loader) withInitial(id ID, a acl) acl {
	p, ok := l.initPriv[id][0]
	if !ok {
		return a
	}
	if a.items == nil {
		a.items = a.base // ACL NULL means the default
	}
	a.base = p.items
	return a
}

// privileges are the letters of aclitem with their words, in the order in
// which pg_dump writes them, for each kind of object.
type privilege struct {
	letter byte
	word   string
}

var privilegesOf = map[string][]privilege{
	"TABLE": {
		{'r', "SELECT"},
		{'a', "INSERT"},
		{'x', "REFERENCES"},
		{'d', "DELETE"},
		{'t', "TRIGGER"},
		{'D', "TRUNCATE"},
		{'m', "MAINTAIN"},
		{'w', "UPDATE"},
	},
	"COLUMN":               {{'r', "SELECT"}, {'a', "INSERT"}, {'x', "REFERENCES"}, {'w', "UPDATE"}},
	"SEQUENCE":             {{'r', "SELECT"}, {'U', "USAGE"}, {'w', "UPDATE"}},
	"FUNCTION":             {{'X', "EXECUTE"}},
	"PROCEDURE":            {{'X', "EXECUTE"}},
	"LANGUAGE":             {{'U', "USAGE"}},
	"SCHEMA":               {{'C', "CREATE"}, {'U', "USAGE"}},
	"DATABASE":             {{'C', "CREATE"}, {'c', "CONNECT"}, {'T', "TEMPORARY"}},
	"TYPE":                 {{'U', "USAGE"}},
	"FOREIGN DATA WRAPPER": {{'U', "USAGE"}},
	"FOREIGN SERVER":       {{'U', "USAGE"}},
	"LARGE OBJECT":         {{'r', "SELECT"}, {'w', "UPDATE"}},
}

// grants writes the GRANTs and REVOKEs that turn base into items (reference
// §1.21). kind is the key of privilegesOf, on the words after ON, column a
// quoted column name or "". It returns "" if nothing is to be done.
func grants(kind, on, column, owner string, a acl) string {
	if a.items == nil {
		return ""
	}
	var first, second strings.Builder
	for _, item := range a.base {
		if slices.Contains(a.items, item) {
			continue
		}
		g := parseItem(strings.ReplaceAll(item, "*", ""), kind)
		if len(g.plain) > 0 {
			first.WriteString(a.prefix + "REVOKE " + g.words(g.plain, column) + " ON " + on + " FROM " + g.who() + ";\n")
		}
	}
	for _, item := range a.items {
		if slices.Contains(a.base, item) {
			continue
		}
		g := parseItem(item, kind)
		out := &second
		other := g.grantor != "" && g.grantor != owner
		if g.grantee == owner && g.grantor == owner {
			out = &first
		}
		if other {
			out.WriteString("SET SESSION AUTHORIZATION " + quote.Ident(g.grantor) + ";\n")
		}
		if len(g.plain) > 0 {
			out.WriteString(a.prefix + "GRANT " + g.words(g.plain, column) + " ON " + on + " TO " + g.who() + ";\n")
		}
		if len(g.option) > 0 {
			out.WriteString(a.prefix + "GRANT " + g.words(g.option, column) + " ON " + on + " TO " + g.who() + " WITH GRANT OPTION;\n")
		}
		if other {
			out.WriteString("RESET SESSION AUTHORIZATION;\n")
		}
	}
	return first.String() + second.String()
}

// A grant is one aclitem taken apart.
type grant struct {
	grantee, grantor string // "" is PUBLIC
	plain, option    []string
	all              bool // every privilege of the kind, alike with or without grant option
}

func (g grant) who() string {
	if g.grantee == "" {
		return "PUBLIC"
	}
	return quote.Ident(g.grantee)
}

func (g grant) words(list []string, column string) string {
	if g.all {
		list = []string{"ALL"}
	}
	if column == "" {
		return strings.Join(list, ",")
	}
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = w + "(" + column + ")"
	}
	return strings.Join(out, ",")
}

// parseItem takes "grantee=privileges/grantor" apart. Role names may be quoted.
func parseItem(item, kind string) grant {
	var g grant
	var rest string
	g.grantee, rest = aclName(item)
	rest = strings.TrimPrefix(rest, "=")
	letters, grantor, _ := strings.Cut(rest, "/")
	g.grantor, _ = aclName(grantor)
	full := [2]bool{true, true}
	for _, p := range privilegesOf[kind] {
		// MAINTAIN came with 17. A table of an older server lacks it, so that its
		// full set is written out: ALL would grant more on a newer target.
		i := strings.IndexByte(letters, p.letter)
		switch {
		case i < 0:
			full = [2]bool{}
		case i+1 < len(letters) && letters[i+1] == '*':
			g.option = append(g.option, p.word)
			full[0] = false
		default:
			g.plain = append(g.plain, p.word)
			full[1] = false
		}
	}
	g.all = full[0] || full[1]
	return g
}

// aclName reads a role name as aclitem writes it.
func aclName(s string) (name, rest string) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, "=/")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		return b.String(), s[i+1:]
	}
	return b.String(), ""
}

// aclSatellite adds an object's privileges as an entry of their own. name is
// the quoted name with its schema, tag the unqualified one.
func (l *loader) aclSatellite(m *Meta, kind, tag, name string, a acl) {
	if l.opts.NoPrivileges || !m.dumps(partACL) {
		return
	}
	word := kind
	sql := grants(kind, word+" "+name, "", m.Owner, a)
	if sql != "" {
		m.Satellites = append(m.Satellites, Satellite{Kind: "ACL", Tag: word + " " + tag, SQL: sql, Owner: m.Owner, Schema: m.Schema})
	}
}
