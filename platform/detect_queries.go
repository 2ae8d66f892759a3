package platform

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// queries returns what Detect asks a server of a major version. None of them
// can fail for want of a right.
func (f *Facts) queries(major int, seen *signs, all bool) []query {
	list := []query{
		// The first holds for the batch: names come out qualified, dates as ISO.
		{sql: `SELECT pg_catalog.set_config('search_path', '', true), pg_catalog.set_config('DateStyle', 'ISO', true)`},
		f.databaseQuery(major, seen, all),
		f.signsQuery(seen),
		f.rolesQuery(),
		f.membershipsQuery(major),
		f.settingsQuery(),
		f.extensionsQuery(),
		f.membersQuery(),
		names(&f.Databases, `SELECT datname::text FROM pg_catalog.pg_database ORDER BY 1`),
	}
	if major >= 15 {
		list = append(list, f.parameterGrantsQuery())
	}
	if !all {
		return append(list, f.parametersQuery(`WHERE name = 'cron.database_name'`))
	}
	return append(list,
		f.availableQuery(major),
		f.parametersQuery(""),
		f.collationsQuery(major),
		names(&f.Tablespaces, `SELECT spcname::text FROM pg_catalog.pg_tablespace ORDER BY 1`),
		names(&f.Wrappers, `SELECT fdwname::text FROM pg_catalog.pg_foreign_data_wrapper
WHERE pg_catalog.has_foreign_data_wrapper_privilege(oid, 'USAGE') ORDER BY 1`),
		f.objectsQuery(),
	)
}

// names reads one column.
func names(to *[]string, sql string) query {
	return query{sql: sql, row: func(rows pgx.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		*to = append(*to, name)
		return nil
	}}
}

// templateOwner is who owns what no customer does.
const templateOwner = `COALESCE((SELECT pg_catalog.pg_get_userbyid(t.datdba)::text FROM pg_catalog.pg_database t WHERE t.datname = 'template0'), '')`

// databaseQuery reads about the database itself. Its size is exact if all facts
// are wanted, and else what the catalog has of it: the server looks at each file
// for the exact one, which takes as long as all the rest where there are many.
func (f *Facts) databaseQuery(major int, seen *signs, all bool) query {
	size := `(SELECT sum(c.relpages::bigint) FROM pg_catalog.pg_class c WHERE c.relpages > 0) * pg_catalog.current_setting('block_size')::bigint`
	if all {
		size = `CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) ELSE -1 END`
	}
	provider, locale := `'c'`, `''`
	switch {
	case major >= 17:
		provider, locale = "d.datlocprovider", "COALESCE(d.datlocale, '')"
	case major >= 15:
		provider, locale = "d.datlocprovider", "COALESCE(d.daticulocale, '')"
	}
	sql := `SELECT pg_catalog.current_setting('server_version_num')::int, d.datname::text, CURRENT_USER::text,
  pg_catalog.pg_get_userbyid(d.datdba)::text, d.datacl::text[], d.datconnlimit, pg_catalog.pg_encoding_to_char(d.encoding)::text,
  ` + provider + `::text, d.datcollate::text, d.datctype::text, ` + locale + `::text,
  ` + size + `,
  CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()::text ELSE pg_catalog.pg_current_wal_lsn()::text END,
  pg_catalog.now(),
  pg_catalog.has_database_privilege(d.oid, 'CREATE'),
  COALESCE((SELECT pg_catalog.bool_or(a.grantee = 0 AND a.privilege_type = 'CREATE') FROM pg_catalog.pg_namespace n,
    pg_catalog.aclexplode(COALESCE(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a WHERE n.nspname = 'public'), false),
  COALESCE((SELECT s.tup_inserted + s.tup_updated + s.tup_deleted FROM pg_catalog.pg_stat_database s WHERE s.datid = d.oid), -1),
  ` + templateOwner + `
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`
	return query{sql: sql, row: func(rows pgx.Rows) error {
		var p string
		var lsn *string
		var now time.Time
		err := rows.Scan(&f.Version, &f.Database, &f.User.Name, &f.Owner, &f.ACL, &f.ConnLimit, &f.Locale.Encoding,
			&p, &f.Locale.Collate, &f.Locale.CType, &f.Locale.Locale,
			&f.Size, &lsn, &now, &f.MayCreate, &f.PublicCreate, &f.Changes, &seen.owner)
		if lsn != nil {
			f.LSN = *lsn
		}
		f.Time = now.UTC()
		f.Locale.Provider = providers[p]
		return err
	}}
}

// providers are the letters of pg_collation and pg_database.
var providers = map[string]string{"c": "libc", "i": "icu", "b": "builtin", "d": "default"}

func (f *Facts) signsQuery(seen *signs) query {
	var b strings.Builder
	for i, name := range signSettings {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("COALESCE(pg_catalog.current_setting('" + name + "', true), '')")
	}
	return query{sql: "SELECT ARRAY[" + b.String() + "]::text[]", row: func(rows pgx.Rows) error {
		var values []string
		if err := rows.Scan(&values); err != nil {
			return err
		}
		seen.settings = map[string]string{}
		for i, v := range values {
			seen.settings[signSettings[i]] = v
		}
		return nil
	}}
}

// rolesQuery reads all roles but those of subscriptions that follow a database of the
// server, which are made and dropped by package replicate.
func (f *Facts) rolesQuery() query {
	return query{
		sql: `SELECT r.rolname::text, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls,
  r.rolconnlimit, CASE WHEN r.rolvaliduntil = 'infinity' THEN '' ELSE COALESCE((r.rolvaliduntil AT TIME ZONE 'UTC')::text || '+00', '') END,
  COALESCE(pg_catalog.shobj_description(r.oid, 'pg_authid'), ''),
  ARRAY(SELECT l.provider FROM pg_catalog.pg_shseclabel l WHERE l.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND l.objoid = r.oid ORDER BY l.provider),
  ARRAY(SELECT l.label FROM pg_catalog.pg_shseclabel l WHERE l.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND l.objoid = r.oid ORDER BY l.provider)
FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pghaul_[0-9a-f]{8}$' ORDER BY r.rolname::text COLLATE "C"`,
		row: func(rows pgx.Rows) error {
			var r Role
			var names, labels []string
			err := rows.Scan(&r.Name, &r.Superuser, &r.Inherit, &r.CreateRole, &r.CreateDB, &r.Login, &r.Replication, &r.BypassRLS,
				&r.ConnLimit, &r.ValidUntil, &r.Comment, &names, &labels)
			if err != nil {
				return err
			}
			for i := range names {
				r.Labels = append(r.Labels, Label{Provider: names[i], Label: labels[i]})
			}
			f.Roles = append(f.Roles, r)
			return nil
		},
	}
}

func (f *Facts) membershipsQuery(major int) query {
	options := "m.rolinherit, true"
	if major >= 16 {
		options = "a.inherit_option, a.set_option"
	}
	return query{
		sql: `SELECT r.rolname::text, m.rolname::text, COALESCE(g.rolname, '')::text, a.admin_option, ` + options + `
FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantor
ORDER BY r.rolname::text COLLATE "C", m.rolname::text COLLATE "C", g.rolname::text COLLATE "C"`,
		row: func(rows pgx.Rows) error {
			var m Membership
			if err := rows.Scan(&m.Role, &m.Member, &m.Grantor, &m.Admin, &m.Inherit, &m.Set); err != nil {
				return err
			}
			f.Memberships = append(f.Memberships, m)
			return nil
		},
	}
}

func (f *Facts) settingsQuery() query {
	return query{
		sql: `SELECT COALESCE(d.datname, '')::text, COALESCE(r.rolname, '')::text, c.setting
FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS c(setting, n)
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
WHERE (s.setdatabase = 0 OR d.datname = pg_catalog.current_database()) AND (s.setrole = 0 OR r.oid IS NOT NULL)
ORDER BY d.datname::text COLLATE "C" NULLS FIRST, r.rolname::text COLLATE "C" NULLS FIRST, c.n`,
		row: func(rows pgx.Rows) error {
			var s Setting
			var text string
			if err := rows.Scan(&s.Database, &s.Role, &text); err != nil {
				return err
			}
			s.Name, s.Value, _ = strings.Cut(text, "=")
			f.Settings = append(f.Settings, s)
			return nil
		},
	}
}

func (f *Facts) extensionsQuery() query {
	return query{
		sql: `SELECT e.extname::text, e.extversion, n.nspname::text, pg_catalog.pg_get_userbyid(e.extowner)::text,
  ARRAY(SELECT s.nspname::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace s ON s.oid = d.objid
    WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    AND d.refobjid = e.oid AND d.deptype = 'e' ORDER BY 1)
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY e.extname::text COLLATE "C"`,
		row: func(rows pgx.Rows) error {
			var e Extension
			if err := rows.Scan(&e.Name, &e.Version, &e.Schema, &e.Owner, &e.Schemas); err != nil {
				return err
			}
			f.Extensions = append(f.Extensions, e)
			return nil
		},
	}
}

// membersQuery reads the members of extensions that have privileges of their
// own, which stand in an archive without the member itself.
func (f *Facts) membersQuery() query {
	return query{
		sql: `SELECT x.extname::text, 'relation', n.nspname::text, c.relname::text
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid JOIN pg_catalog.pg_class c ON c.oid = d.objid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
UNION ALL
SELECT DISTINCT x.extname::text, 'function', n.nspname::text, p.proname::text
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid JOIN pg_catalog.pg_proc p ON p.oid = d.objid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  AND p.proacl IS NOT NULL
ORDER BY 1, 2, 3, 4`,
		row: func(rows pgx.Rows) error {
			var extension string
			var o Object
			if err := rows.Scan(&extension, &o.Kind, &o.Schema, &o.Name); err != nil {
				return err
			}
			for i := range f.Extensions {
				if f.Extensions[i].Name == extension {
					f.Extensions[i].Members = append(f.Extensions[i].Members, o)
				}
			}
			return nil
		},
	}
}

func (f *Facts) availableQuery(major int) query {
	trusted := "false"
	if major >= 13 {
		trusted = "v.trusted"
	}
	return query{
		sql: `SELECT v.name::text, v.version, v.version = a.default_version, v.superuser, ` + trusted + `, COALESCE(v.requires::text[], '{}')
FROM pg_catalog.pg_available_extension_versions v JOIN pg_catalog.pg_available_extensions a ON a.name = v.name
ORDER BY v.name::text COLLATE "C", v.version COLLATE "C"`,
		row: func(rows pgx.Rows) error {
			var a Available
			if err := rows.Scan(&a.Name, &a.Version, &a.Default, &a.Superuser, &a.Trusted, &a.Requires); err != nil {
				return err
			}
			f.Available = append(f.Available, a)
			return nil
		},
	}
}

func (f *Facts) parametersQuery(where string) query {
	return query{
		sql: `SELECT name, COALESCE(setting, ''), context FROM pg_catalog.pg_settings ` + where,
		row: func(rows pgx.Rows) error {
			var name string
			var p Parameter
			if err := rows.Scan(&name, &p.Value, &p.Context); err != nil {
				return err
			}
			f.Parameters[name] = p
			return nil
		},
	}
}

// parameterGrantsQuery reads what is not the first superuser's from the start.
func (f *Facts) parameterGrantsQuery() query {
	return query{
		sql: `SELECT p.parname, COALESCE(r.rolname, '')::text, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_parameter_acl p CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE a.grantee = 0 OR NOT r.rolsuper
ORDER BY p.parname COLLATE "C", r.rolname::text COLLATE "C" NULLS FIRST, a.privilege_type`,
		row: func(rows pgx.Rows) error {
			var g ParameterGrant
			if err := rows.Scan(&g.Parameter, &g.Role, &g.Privilege, &g.Grantable); err != nil {
				return err
			}
			f.ParameterGrants = append(f.ParameterGrants, g)
			return nil
		},
	}
}

func (f *Facts) collationsQuery(major int) query {
	locale := "COALESCE(c.collcollate, '')"
	switch {
	case major >= 17:
		locale = "COALESCE(c.colllocale, c.collcollate, '')"
	case major >= 15:
		locale = "COALESCE(c.colliculocale, c.collcollate, '')"
	}
	return query{
		sql: `SELECT n.nspname::text, c.collname::text, c.collprovider::text, ` + locale + `::text
FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
WHERE c.collencoding IN (-1, (SELECT d.encoding FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))`,
		row: func(rows pgx.Rows) error {
			var c Collation
			if err := rows.Scan(&c.Schema, &c.Name, &c.Provider, &c.Locale); err != nil {
				return err
			}
			c.Provider = providers[c.Provider]
			f.Collations = append(f.Collations, c)
			return nil
		},
	}
}

// objectsQuery lists what is neither the system's nor an extension's. Names of
// functions are as archives have them, with the types of their arguments.
func (f *Facts) objectsQuery() query {
	return query{
		sql: `WITH member AS (
  SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
  WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
), schema AS (
  SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
)
SELECT 'schema', '', s.nspname::text FROM schema s WHERE s.nspname <> 'public'
  AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND m.objid = s.oid)
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table'
    WHEN 'c' THEN 'type' ELSE 'table' END, s.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN schema s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
  AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
    AND d.deptype IN ('i', 'a') AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND c.relkind = 'S')
  AND NOT EXISTS (SELECT FROM member m JOIN pg_catalog.pg_type t ON t.oid = m.objid
    WHERE m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.typrelid = c.oid)
UNION ALL
SELECT CASE WHEN t.typtype = 'd' THEN 'domain' ELSE 'type' END, s.nspname::text, t.typname::text
FROM pg_catalog.pg_type t JOIN schema s ON s.oid = t.typnamespace
WHERE t.typtype IN ('b', 'd', 'e', 'r', 'p') AND t.typrelid = 0
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
  AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND m.objid = t.oid)
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, s.nspname::text,
  pg_catalog.quote_ident(p.proname) || '(' || COALESCE((SELECT pg_catalog.string_agg(pg_catalog.format_type(a.t, NULL), ', ' ORDER BY a.n)
    FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a(t, n)), '') || ')'
FROM pg_catalog.pg_proc p JOIN schema s ON s.oid = p.pronamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL
SELECT 'collation', s.nspname::text, x.collname::text FROM pg_catalog.pg_collation x JOIN schema s ON s.oid = x.collnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_collation'::pg_catalog.regclass AND m.objid = x.oid)
UNION ALL
SELECT 'operator', s.nspname::text, x.oprname::text || ' (' || CASE x.oprleft WHEN 0 THEN 'NONE' ELSE pg_catalog.format_type(x.oprleft, NULL) END || ', ' || CASE x.oprright WHEN 0 THEN 'NONE' ELSE pg_catalog.format_type(x.oprright, NULL) END || ')' FROM pg_catalog.pg_operator x JOIN schema s ON s.oid = x.oprnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND m.objid = x.oid)
UNION ALL
SELECT 'text search configuration', s.nspname::text, x.cfgname::text FROM pg_catalog.pg_ts_config x JOIN schema s ON s.oid = x.cfgnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_ts_config'::pg_catalog.regclass AND m.objid = x.oid)
UNION ALL
SELECT 'text search dictionary', s.nspname::text, x.dictname::text FROM pg_catalog.pg_ts_dict x JOIN schema s ON s.oid = x.dictnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_ts_dict'::pg_catalog.regclass AND m.objid = x.oid)
UNION ALL
SELECT 'event trigger', '', x.evtname::text FROM pg_catalog.pg_event_trigger x JOIN pg_catalog.pg_roles r ON r.oid = x.evtowner
WHERE (NOT r.rolsuper OR pg_catalog.current_setting('is_superuser') = 'on') -- others are the platform's
  AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AND m.objid = x.oid)
UNION ALL
SELECT 'publication', '', x.pubname::text FROM pg_catalog.pg_publication x
UNION ALL
SELECT 'server', '', x.srvname::text FROM pg_catalog.pg_foreign_server x
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_catalog.pg_foreign_server'::pg_catalog.regclass AND m.objid = x.oid)
UNION ALL
SELECT 'large object', '', x.oid::text FROM pg_catalog.pg_largeobject_metadata x
ORDER BY 1, 2, 3`,
		row: func(rows pgx.Rows) error {
			var o Object
			if err := rows.Scan(&o.Kind, &o.Schema, &o.Name); err != nil {
				return err
			}
			f.Objects = append(f.Objects, o)
			return nil
		},
	}
}
