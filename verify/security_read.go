package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A grant is one privilege of one grantee.
type grant struct {
	grantee, grantor string // grantee "" is PUBLIC
	privilege        string
	option           bool
}

// A guarded object is one with an owner, privileges or other properties that
// decide who may do what.
type guarded struct {
	entryKey
	owner  string // "" for none of its own
	grants []grant
	// properties are by name, such as "row-level security": "forced".
	properties map[string]string
	roles      []string // of a policy; "" is PUBLIC
}

// An authority is everything about security that an end has.
type authority struct {
	objects map[entryKey]*guarded
	// defaults are default privileges: the owner is the role whose objects get
	// them, the name says of which kind.
	defaults []*guarded
	roles    map[string]bool // that are used
	database facts           // how the database stores and sorts text
}

const notOfExtension = `NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.objid = t.oid AND x.deptype = 'e' AND x.classid = '%s'::pg_catalog.regclass)`

// ofUser is the condition on a schema's name for objects of users.
const ofUser = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

// objectQueries list objects with owner and privileges: kind, schema, name,
// owner, ACL, the type of its default ACL, properties.
func objectQueries() []string {
	ext := func(class string) string { return fmt.Sprintf(notOfExtension, class) }
	return []string{
		`SELECT CASE t.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'TABLE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'FOREIGN TABLE' END,
  n.nspname::text, t.relname::text, t.relowner, t.relacl, CASE t.relkind WHEN 'S' THEN 's' ELSE 'r' END,
  ARRAY[CASE WHEN t.relrowsecurity THEN 'row-level security=enabled' END, CASE WHEN t.relforcerowsecurity THEN 'row-level security for the owner=enabled' END]
  || ARRAY(SELECT o FROM pg_catalog.unnest(t.reloptions) o WHERE o ~ '^(security_|check_option)' ORDER BY o COLLATE "C")
FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND ` + ofUser + ` AND ` + ext("pg_catalog.pg_class"),
		`SELECT CASE t.prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
  n.nspname::text, t.proname || '(' || pg_catalog.oidvectortypes(t.proargtypes) || ')', t.proowner, t.proacl, 'f',
  ARRAY[CASE WHEN t.prosecdef THEN 'security=definer' END, CASE WHEN t.proleakproof THEN 'leakproof=yes' END,
    CASE WHEN t.prosecdef THEN 'settings=' || COALESCE((SELECT pg_catalog.string_agg(s, ', ' ORDER BY s COLLATE "C") FROM pg_catalog.unnest(t.proconfig) s), 'none') END]
FROM pg_catalog.pg_proc t JOIN pg_catalog.pg_namespace n ON n.oid = t.pronamespace WHERE ` + ofUser + ` AND ` + ext("pg_catalog.pg_proc"),
		`SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname::text, t.typname::text, t.typowner, t.typacl, 'T', '{}'::text[]
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE ` + ofUser + ` AND t.typisdefined AND t.typtype IN ('b', 'd', 'e', 'r', 'c') AND (t.typtype <> 'c' OR c.relkind = 'c')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) AND ` + ext("pg_catalog.pg_type"),
		`SELECT 'SCHEMA', '', n.nspname::text, n.nspowner, n.nspacl, 'n', '{}'::text[]
FROM (SELECT * FROM pg_catalog.pg_namespace t WHERE ` + ext("pg_catalog.pg_namespace") + `) n WHERE ` + ofUser,
		`SELECT 'PROCEDURAL LANGUAGE', '', t.lanname::text, t.lanowner, t.lanacl, 'l', '{}'::text[]
FROM pg_catalog.pg_language t WHERE t.lanispl AND ` + ext("pg_catalog.pg_language"),
		`SELECT 'FOREIGN DATA WRAPPER', '', t.fdwname::text, t.fdwowner, t.fdwacl, 'F', '{}'::text[]
FROM pg_catalog.pg_foreign_data_wrapper t WHERE ` + ext("pg_catalog.pg_foreign_data_wrapper"),
		`SELECT 'SERVER', '', t.srvname::text, t.srvowner, t.srvacl, 'S', '{}'::text[]
FROM pg_catalog.pg_foreign_server t WHERE ` + ext("pg_catalog.pg_foreign_server"),
		`SELECT 'LARGE OBJECT', '', t.oid::text, t.lomowner, t.lomacl, 'L', '{}'::text[] FROM pg_catalog.pg_largeobject_metadata t`,
		`SELECT 'COLUMN', n.nspname::text, t.relname || '.' || a.attname, 0::oid, a.attacl, 'c', '{}'::text[]
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class t ON t.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND ` + ofUser + ` AND ` + ext("pg_catalog.pg_class"),
	}
}

const defaultACLQuery = `SELECT pg_catalog.pg_get_userbyid(t.defaclrole)::text, COALESCE(n.nspname, '')::text, t.defaclobjtype::text,
  COALESCE(CASE WHEN x.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(x.grantee) END, '')::text, COALESCE(pg_catalog.pg_get_userbyid(x.grantor), '')::text,
  COALESCE(x.privilege_type, ''), COALESCE(x.is_grantable, false)
FROM pg_catalog.pg_default_acl t LEFT JOIN pg_catalog.pg_namespace n ON n.oid = t.defaclnamespace LEFT JOIN LATERAL pg_catalog.aclexplode(t.defaclacl) x ON true`

const securityPolicyQuery = `SELECT n.nspname::text, t.relname::text, p.polname::text, p.polcmd::text, p.polpermissive,
  ARRAY(SELECT CASE WHEN r = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(r)::text END FROM pg_catalog.unnest(p.polroles) r),
  COALESCE(pg_catalog.pg_get_expr(p.polqual, p.polrelid), ''), COALESCE(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class t ON t.oid = p.polrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace`

const labelQuery = `SELECT l.objtype, COALESCE(n.nspname, '')::text, l.objname, l.provider, l.label
FROM pg_catalog.pg_seclabels l LEFT JOIN pg_catalog.pg_namespace n ON n.oid = l.objnamespace
WHERE l.objtype NOT IN ('role', 'database', 'tablespace')`

// readAuthority reads everything about security but roles and memberships.
func (e *end) readAuthority(ctx context.Context) (*authority, error) {
	var a *authority
	err := e.with(ctx, func(conn *pgx.Conn) error {
		a = &authority{objects: map[entryKey]*guarded{}, roles: map[string]bool{}}
		for _, read := range []func(context.Context, *pgx.Conn) error{a.readObjects, a.readDefaults, a.readPolicies, a.readLabels, a.readDatabase} {
			if err := read(ctx, conn); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
		return nil
	})
	return a, err
}

func (a *authority) use(roles ...string) {
	for _, r := range roles {
		if r != "" {
			a.roles[r] = true
		}
	}
}

func (a *authority) object(k entryKey) *guarded {
	o := a.objects[k]
	if o == nil {
		o = &guarded{entryKey: k, properties: map[string]string{}}
		a.objects[k] = o
	}
	return o
}

func (a *authority) readObjects(ctx context.Context, conn *pgx.Conn) error {
	query := `WITH o(kind, nsp, name, owner, acl, acltype, props) AS (` + strings.Join(objectQueries(), "\nUNION ALL\n") + `)
SELECT o.kind, o.nsp, o.name, CASE WHEN o.owner = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(o.owner)::text END, o.props,
  COALESCE(CASE WHEN x.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(x.grantee) END, '')::text, COALESCE(pg_catalog.pg_get_userbyid(x.grantor), '')::text,
  COALESCE(x.privilege_type, ''), COALESCE(x.is_grantable, false)
FROM o LEFT JOIN LATERAL pg_catalog.aclexplode(COALESCE(o.acl, CASE WHEN o.acltype <> 'c' THEN pg_catalog.acldefault(o.acltype::"char", o.owner) END)) x ON true`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("read privileges: %w", err)
	}
	var k entryKey
	var owner string
	var properties []*string
	var g grant
	if _, err := pgx.ForEachRow(rows, []any{&k.kind, &k.schema, &k.name, &owner, &properties, &g.grantee, &g.grantor, &g.privilege, &g.option}, func() error {
		o := a.object(k)
		o.owner = owner
		for _, p := range properties {
			if p != nil {
				name, value, _ := strings.Cut(*p, "=")
				o.properties[name] = value
			}
		}
		if g.privilege != "" {
			o.grants = append(o.grants, g)
		}
		a.use(owner, g.grantee)
		return nil
	}); err != nil {
		return fmt.Errorf("read privileges: %w", err)
	}
	return nil
}

func (a *authority) readDefaults(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, defaultACLQuery)
	if err != nil {
		return fmt.Errorf("read default privileges: %w", err)
	}
	var role, schema, kind string
	var g grant
	kinds := map[string]string{"r": "tables", "S": "sequences", "f": "functions", "T": "types", "n": "schemas", "L": "large objects"}
	if _, err := pgx.ForEachRow(rows, []any{&role, &schema, &kind, &g.grantee, &g.grantor, &g.privilege, &g.option}, func() error {
		i := slices.IndexFunc(a.defaults, func(d *guarded) bool { return d.owner == role && d.schema == schema && d.name == kinds[kind] })
		if i < 0 {
			i = len(a.defaults)
			a.defaults = append(a.defaults, &guarded{entryKey: entryKey{"DEFAULT PRIVILEGES", schema, kinds[kind]}, owner: role})
		}
		if g.privilege != "" {
			a.defaults[i].grants = append(a.defaults[i].grants, g)
		}
		a.use(role, g.grantee)
		return nil
	}); err != nil {
		return fmt.Errorf("read default privileges: %w", err)
	}
	return nil
}

func (a *authority) readPolicies(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, securityPolicyQuery)
	if err != nil {
		return fmt.Errorf("read policies: %w", err)
	}
	var schema, table, name, command, using, check string
	var permissive bool
	var roles []string
	commands := map[string]string{"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "*": "ALL"}
	if _, err := pgx.ForEachRow(rows, []any{&schema, &table, &name, &command, &permissive, &roles, &using, &check}, func() error {
		o := a.object(entryKey{"POLICY", schema, table + " " + name})
		o.roles = slices.Clone(roles)
		o.properties["for"] = commands[command]
		o.properties["using"], o.properties["with check"] = using, check
		if !permissive {
			o.properties["as"] = "restrictive"
		}
		a.use(roles...)
		return nil
	}); err != nil {
		return fmt.Errorf("read policies: %w", err)
	}
	return nil
}

func (a *authority) readLabels(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, labelQuery)
	if err != nil {
		return fmt.Errorf("read security labels: %w", err)
	}
	var kind, schema, name, provider, label string
	if _, err := pgx.ForEachRow(rows, []any{&kind, &schema, &name, &provider, &label}, func() error {
		a.object(entryKey{"SECURITY LABEL", schema, kind + " " + name}).properties[provider] = label
		return nil
	}); err != nil {
		return fmt.Errorf("read security labels: %w", err)
	}
	return nil
}

// databaseQuery reads what some versions do not have as JSON.
const databaseQuery = `SELECT pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text,
  CASE coalesce(j.j->>'datlocprovider', 'c') WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE j.j->>'datlocprovider' END,
  coalesce(j.j->>'datlocale', j.j->>'daticulocale', ''), coalesce(j.j->>'daticurules', '')
FROM pg_catalog.pg_database d, LATERAL (SELECT pg_catalog.to_jsonb(d) AS j) j WHERE d.datname = current_database()`

func (a *authority) readDatabase(ctx context.Context, conn *pgx.Conn) error {
	labels := []string{"encoding", "LC_COLLATE", "LC_CTYPE", "locale provider", "locale", "ICU rules"}
	values := make([]string, len(labels))
	into := make([]any, len(labels))
	for i := range values {
		into[i] = &values[i]
	}
	if err := conn.QueryRow(ctx, databaseQuery).Scan(into...); err != nil {
		return fmt.Errorf("read the database's locale: %w", err)
	}
	a.database = facts{}
	for i, label := range labels {
		if values[i] != "" {
			a.database[label] = values[i]
		}
	}
	return nil
}
