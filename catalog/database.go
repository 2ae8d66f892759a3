package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A DatabaseObject is the entry that recreates the database itself; it is in
// every archive and restored only on request.
type DatabaseObject struct {
	Meta
	acl                           acl
	encoding, provider            string
	collate, ctype, locale, rules *string
	tablespace                    string
	limit                         int
	template                      bool
	settings                      []string
	roleSettings                  []databaseRoleSetting
}

type databaseRoleSetting struct{ role, setting string }

func (l *loader) databaseQuery() query {
	return query{
		what: "the database",
		sql: `SELECT d.oid, d.datname, d.datdba, pg_catalog.pg_encoding_to_char(d.encoding),
  ` + l.since(15, "d.datlocprovider::text", "'c'") + `, d.datcollate, d.datctype,
  ` + l.since(17, "d.datlocale", l.since(15, "d.daticulocale", "NULL")) + `, ` + l.since(16, "d.daticurules", "NULL") + `,
  t.spcname, d.datconnlimit, d.datistemplate, d.datacl::text[], pg_catalog.acldefault('d', d.datdba)::text[],
  ARRAY(SELECT pg_catalog.unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = 0 AND s.setdatabase = d.oid),
  ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, pg_catalog.unnest(s.setconfig) AS u(item) WHERE s.setdatabase = d.oid ORDER BY r.rolname),
  ARRAY(SELECT u.item FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, pg_catalog.unnest(s.setconfig) AS u(item) WHERE s.setdatabase = d.oid ORDER BY r.rolname),
  pg_catalog.current_setting('lc_monetary')
FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
WHERE d.datname = pg_catalog.current_database()`,
		scan: func(row pgx.Rows) error {
			var oid, owner uint32
			var roles, settings []string
			var tablespace *string
			d := &DatabaseObject{}
			if err := row.Scan(&oid, &d.Name, &owner, &d.encoding, &d.provider, &d.collate, &d.ctype, &d.locale, &d.rules,
				&tablespace, &d.limit, &d.template, &d.acl.items, &d.acl.base, &d.settings, &roles, &settings, &l.db.LCMonetary); err != nil {
				return err
			}
			if tablespace != nil {
				d.tablespace = *tablespace
			}
			for i, r := range roles {
				d.roleSettings = append(d.roleSettings, databaseRoleSetting{r, settings[i]})
			}
			d.Kind, d.Section, d.Owner = "DATABASE", PreData, l.role(owner)
			d.want, d.has = partAll, partACL
			l.add(d, ID{classDatabase, oid}, rankDatabase)
			l.db.Name, l.db.Encoding = d.Name, d.encoding
			return nil
		},
	}
}

// Create implements Object.
func (d *DatabaseObject) Create() string {
	var s sqlText
	s.add("CREATE DATABASE ", quote.Ident(d.Name), " WITH TEMPLATE = template0")
	if d.encoding != "" {
		s.add(" ENCODING = ", quote.Literal(d.encoding))
	}
	provider, locale := "libc", ""
	switch d.provider {
	case "i":
		provider, locale = "icu", " ICU_LOCALE = "
	case "b":
		provider, locale = "builtin", " BUILTIN_LOCALE = "
	}
	s.add(" LOCALE_PROVIDER = ", provider)
	value := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	if c := value(d.collate); c != "" && c == value(d.ctype) {
		s.add(" LOCALE = ", quote.Literal(c))
	} else {
		if c != "" {
			s.add(" LC_COLLATE = ", quote.Literal(c))
		}
		if t := value(d.ctype); t != "" {
			s.add(" LC_CTYPE = ", quote.Literal(t))
		}
	}
	if v := value(d.locale); v != "" && locale != "" {
		s.add(locale, quote.Literal(v))
	}
	if v := value(d.rules); v != "" {
		s.add(" ICU_RULES = ", quote.Literal(v))
	}
	if d.tablespace != "" && d.tablespace != "pg_default" {
		s.add(" TABLESPACE = ", quote.Ident(d.tablespace))
	}
	s.add(";\n")
	return s.String()
}

// Drop implements Object.
func (d *DatabaseObject) Drop() string { return "DROP DATABASE " + quote.Ident(d.Name) + ";\n" }

// Properties returns what is set after connecting to the new database, and the
// SQL that undoes what would keep it from being dropped.
func (d *DatabaseObject) Properties() (create, drop string) {
	var s sqlText
	if d.limit >= 0 {
		s.add("ALTER DATABASE ", quote.Ident(d.Name), " CONNECTION LIMIT = ", strconv.Itoa(d.limit), ";\n")
	}
	if d.template {
		s.add("ALTER DATABASE ", quote.Ident(d.Name), " IS_TEMPLATE = true;\n")
		drop = "UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = " + quote.Literal(d.Name) + ";\n"
	}
	for _, set := range d.settings {
		s.add("ALTER DATABASE ", quote.Ident(d.Name), " ", settingSQL(set), ";\n")
	}
	for _, rs := range d.roleSettings {
		s.add("ALTER ROLE ", quote.Ident(rs.role), " IN DATABASE ", quote.Ident(d.Name), " ", settingSQL(rs.setting), ";\n")
	}
	return s.String(), drop
}

// listSettings are the settings whose value is a list of identifiers
// (GUC_LIST_QUOTE): each element is quoted by itself.
var listSettings = map[string]bool{
	"local_preload_libraries": true, "oauth_validator_libraries": true, "output_plugin_libraries": true,
	"search_path": true, "session_preload_libraries": true, "shared_preload_libraries": true,
	"temp_tablespaces": true, "unix_socket_directories": true,
}

// settingSQL writes "name=value" of a setconfig or proconfig as SET.
func settingSQL(item string) string {
	name, value, _ := strings.Cut(item, "=")
	out := "SET " + quote.Ident(name) + " TO "
	if !listSettings[strings.ToLower(name)] {
		return out + quote.Literal(value)
	}
	elements := splitIdentifiers(value)
	if len(elements) == 0 {
		return out + "''"
	}
	for i, e := range elements {
		if i > 0 {
			out += ", "
		}
		out += quote.Literal(e)
	}
	return out
}

// splitIdentifiers splits a list as the server's SplitGUCList does: commas
// separate, double quotes protect, case is kept.
func splitIdentifiers(list string) []string {
	var out []string
	rest := strings.TrimSpace(list)
	for rest != "" {
		var e string
		if rest[0] == '"' {
			var b strings.Builder
			i := 1
			for ; i < len(rest); i++ {
				if rest[i] == '"' {
					if i+1 < len(rest) && rest[i+1] == '"' {
						i++
					} else {
						break
					}
				}
				b.WriteByte(rest[i])
			}
			e, rest = b.String(), rest[min(i+1, len(rest)):]
			_, rest, _ = strings.Cut(rest, ",")
		} else {
			e, rest, _ = strings.Cut(rest, ",")
			e = strings.TrimSpace(e)
		}
		out = append(out, e)
		rest = strings.TrimSpace(rest)
	}
	return out
}

func (l *loader) sharedCommentQuery() query {
	return query{
		what: "database comment",
		sql: `SELECT d.oid, s.description FROM pg_catalog.pg_database d
JOIN pg_catalog.pg_shdescription s ON s.objoid = d.oid AND s.classoid = 'pg_catalog.pg_database'::regclass
WHERE d.datname = pg_catalog.current_database()`,
		scan: func(row pgx.Rows) error {
			var oid uint32
			var text string
			if err := row.Scan(&oid, &text); err != nil {
				return err
			}
			if o := l.byID[ID{classDatabase, oid}]; o != nil && !l.opts.NoComments {
				m := o.Info()
				m.Satellites = append(m.Satellites, Satellite{
					Kind: "COMMENT", Tag: "DATABASE " + quote.Ident(m.Name), Owner: m.Owner,
					SQL: fmt.Sprintf("COMMENT ON DATABASE %s IS %s;\n", quote.Ident(m.Name), quote.Literal(text)),
				})
			}
			return nil
		},
	}
}
