package migrate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/platform"
)

// hardDatabase is the database of testdata/hard.sql.
const hardDatabase = `crm "Prod"`

// A database whose roles, grants and objects are as hard to move as can be goes
// over with every owner, grantor, policy, membership and row, by the rules of the
// policy; and a failure at its very end leaves nothing behind.
func TestHard(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to int }{{15, 17}, {16, 18}} {
		if !tested(t, c.from, c.to) {
			continue
		}
		t.Run(fmt.Sprintf("%dto%d", c.from, c.to), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, c.from, c.to)
			loadHard(t, p)
			t.Run("rollback", func(t *testing.T) { hardRollback(t, p) })
			opts := options(nil)
			opts.Plan = hardPlan(t, p)
			report, err := migrate.Run(t.Context(), p.source, p.target, opts)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Failed {
				t.Errorf("%s %s: %v\n%s", f.Kind, f.Name, f.Err, f.SQL)
			}
			if !report.Complete || report.Verify == nil || !report.Verify.Equal() {
				t.Error("not complete")
			}
			same(t, rightsAt(t, p.az, hardDatabase, true), rightsAt(t, p.ne, "neondb", false))
			if n := p.ne.Text(t, "neondb", "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pghaul%') || ' ' || (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pghaul%')"); n != "0 0" {
				t.Errorf("roles and schemas that are left: %s", n)
			}
		})
	}
}

// loadHard runs the fixture.
func loadHard(t *testing.T, p *pair) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", "hard.sql"))
	if err != nil {
		t.Fatal(err)
	}
	for _, chunk := range strings.Split(string(script), "\n--@@ db=")[1:] {
		head, sql, _ := strings.Cut(chunk, "\n")
		db, _, _ := strings.Cut(head, " ")
		if db == "crm" {
			// The superuser of the platform looks for nothing outside pg_catalog.
			db, sql = hardDatabase, "SET search_path = public;\n"+sql
		}
		p.az.Exec(t, db, sql)
	}
	p.source = config(t, p.az.UserDSN("azadmin", hardDatabase))
}

// hardPlan leaves out what needs extensions that the target cannot create, and
// the event trigger, which Neon lets its owner create and a plain server does not.
func hardPlan(t *testing.T, p *pair) *platform.Plan {
	t.Helper()
	opts := options(nil)
	opts.Rules.SkipExtensions = append(opts.Rules.SkipExtensions, "pg_buffercache")
	plan, err := migrate.NewPlan(t.Context(), p.source, p.target, opts)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(plan.Items, func(it platform.Item) bool { return it.Kind == "EVENT TRIGGER" })
	if i < 0 {
		t.Fatal("there is no event trigger")
	}
	plan.Items[i].Verdict = platform.Skip
	return plan
}

// hardRollback has a run fail when everything but one privilege has been done,
// and takes it back.
func hardRollback(t *testing.T, p *pair) {
	start := before(t, p)
	opts := options(nil)
	opts.Plan = hardPlan(t, p)
	i := slices.IndexFunc(opts.Plan.Items, func(it platform.Item) bool { return it.Kind == "DEFAULT ACL" && it.Verdict != platform.Skip })
	opts.Plan.Items[i].SQL, opts.Plan.Items[i].Verdict = "SELECT 1/0;", platform.Rewrite
	report, err := migrate.Run(t.Context(), p.source, p.target, opts)
	if err == nil {
		t.Fatal("no error")
	}
	if report == nil || report.Rollback == nil {
		t.Fatalf("nothing was taken back: %v", err)
	}
	for _, r := range report.Rollback.Remains {
		t.Errorf("remains of the phase: %+v", r)
	}
	rollBack(t, p)
	same(t, start, before(t, p))
	if n := p.ne.Text(t, "neondb", "SELECT count(*) FROM pg_largeobject_metadata"); n != "0" {
		t.Errorf("%s large objects are left", n)
	}
}

// rightsQuery lists who owns what and has granted what to whom: kind and name,
// owner, grantor, grantee, privilege.
const rightsQuery = `WITH mine AS (SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|cron$|azure_ai$)'),
o AS (
  SELECT 'schema ' || nspname AS name, nspowner AS owner, coalesce(nspacl, acldefault('n', nspowner)) AS acl, 'pg_namespace'::regclass AS class, oid FROM pg_namespace WHERE oid IN (SELECT oid FROM mine)
  UNION ALL SELECT 'relation ' || oid::regclass || ' ' || relkind::text || relpersistence::text || relrowsecurity || relforcerowsecurity || coalesce(reloptions::text, ''), relowner,
    coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)), 'pg_class', oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM mine) AND relkind NOT IN ('i', 'I')
  UNION ALL SELECT 'routine ' || oid::regprocedure || ' ' || prosecdef || coalesce(proconfig::text, '') || md5(prosrc), proowner, coalesce(proacl, acldefault('f', proowner)), 'pg_proc', oid
    FROM pg_proc p WHERE pronamespace IN (SELECT oid FROM mine) AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND classid = 'pg_proc'::regclass AND deptype = 'i')
  UNION ALL SELECT 'type ' || oid::regtype, typowner, coalesce(typacl, acldefault('T', typowner)), 'pg_type', oid FROM pg_type
    WHERE typnamespace IN (SELECT oid FROM mine) AND (typtype IN ('e', 'd', 'r') OR typrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c'))
  UNION ALL SELECT 'large object ' || oid || ' ' || md5(lo_get(oid)), lomowner, coalesce(lomacl, acldefault('L', lomowner)), 'pg_largeobject', oid FROM pg_largeobject_metadata
  UNION ALL SELECT 'database', datdba, coalesce(datacl, acldefault('d', datdba)), 'pg_database', oid FROM pg_database WHERE datname = current_database()
  UNION ALL SELECT 'column ' || attrelid::regclass || '.' || attname, relowner, attacl, 'pg_class', attrelid FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace IN (SELECT oid FROM mine) AND attacl IS NOT NULL
  UNION ALL SELECT 'default ' || coalesce(nullif(defaclnamespace, 0)::regnamespace::text, '-') || ' ' || defaclobjtype::text, defaclrole, defaclacl, 'pg_default_acl', oid FROM pg_default_acl WHERE defaclrole <> 10
),
own AS (SELECT * FROM o WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = o.class AND objid = o.oid AND deptype = 'e')),
who AS (SELECT oid, rolname::text FROM pg_roles UNION ALL SELECT 0, '')
SELECT 'owner', name, w.rolname, '', '', '' FROM own JOIN who w ON w.oid = owner WHERE name NOT LIKE 'column %' AND name NOT LIKE 'default %'
UNION ALL SELECT 'grant', name, w.rolname, g.rolname, e.rolname, privilege_type || CASE WHEN is_grantable AND owner <> grantee THEN ' GRANT OPTION' ELSE '' END
  FROM own, aclexplode(acl) x, who w, who g, who e WHERE w.oid = owner AND g.oid = x.grantor AND e.oid = x.grantee AND privilege_type <> 'MAINTAIN'
UNION ALL SELECT 'policy', polname || ' on ' || polrelid::regclass || ' ' || polcmd::text || polpermissive, '', '', w.rolname, coalesce(pg_get_expr(polqual, polrelid), '') || ' / ' || coalesce(pg_get_expr(polwithcheck, polrelid), '')
  FROM pg_policy p, unnest(polroles) r JOIN who w ON w.oid = r WHERE NOT EXISTS (SELECT FROM pg_depend WHERE objid = polrelid AND deptype = 'e')
UNION ALL SELECT 'member', r.rolname, '', '', u.rolname, CASE WHEN m.admin_option THEN 'ADMIN' ELSE '' END || coalesce((to_jsonb(m)->>'inherit_option')::bool, u2.rolinherit) || coalesce(to_jsonb(m)->>'set_option', 'true')
  FROM pg_auth_members m JOIN who r ON r.oid = m.roleid JOIN who u ON u.oid = m.member JOIN pg_roles u2 ON u2.oid = m.member
  WHERE NOT (m.grantor = 10 AND m.admin_option AND coalesce(to_jsonb(m)->>'inherit_option' = 'false' AND to_jsonb(m)->>'set_option' = 'false', false))
UNION ALL SELECT 'role', '', '', '', rolname, concat_ws(' ', rolcanlogin, rolinherit, rolcreatedb, rolcreaterole, rolconnlimit, nullif(rolvaliduntil, 'infinity') AT TIME ZONE 'UTC') FROM pg_roles WHERE oid >= 16384
UNION ALL SELECT 'comment', pg_describe_object(classoid, objoid, objsubid), '', '', '', description FROM pg_description d
  WHERE objoid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = d.classoid AND objid = d.objoid AND deptype = 'e') AND classoid NOT IN ('pg_extension'::regclass, 'pg_event_trigger'::regclass)
UNION ALL SELECT 'setting', CASE setdatabase WHEN 0 THEN '' ELSE 'here' END, '', '', w.rolname, s FROM pg_db_role_setting JOIN who w ON w.oid = setrole, unnest(setconfig) s
  WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) AND setrole <> 10 AND s !~ '^(app.tenant|my.custom|default_tablespace|temp_tablespaces)='`

// rightsAt lists rights, those of the source as they are to be at the target.
func rightsAt(t *testing.T, s *pgtest.Server, db string, source bool) string {
	t.Helper()
	conn := s.Conn(t, db)
	if _, err := conn.Exec(t.Context(), "SET search_path = ''"); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), rightsQuery, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var r [6]string
	scan := []any{&r[0], &r[1], &r[2], &r[3], &r[4], &r[5]}
	if _, err := pgx.ForEachRow(rows, scan, func() error {
		if line, ok := mapRight(r, source); ok {
			lines = append(lines, line+"\n")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}

// mapRight maps the roles of a row of rightsQuery by the policy. ok is false for
// what is not to be there, or is the platform's own.
func mapRight(r [6]string, source bool) (line string, ok bool) {
	kind, name, owner, grantor, grantee, what := r[0], r[1], r[2], r[3], r[4], r[5]
	platforms := []string{"azuresu", "azure_pg_admin", "replication", "cloud_admin", "neon_superuser"}
	for _, gone := range []string{"public.buffers", "s.ft ", "policy platform_only"} {
		if strings.Contains(name, gone) {
			return "", false // needs what the target cannot have
		}
	}
	if source {
		mapped := func(role string) string {
			if role == "azadmin" {
				return "neondb_owner"
			}
			return role
		}
		owner, grantor, grantee = mapped(owner), mapped(grantor), mapped(grantee)
		if slices.Contains(platforms, grantor) {
			grantor = owner
		}
		if slices.Contains(platforms, owner) {
			if grantor == owner {
				grantor = "neondb_owner"
			}
			if grantee == owner {
				grantee = "neondb_owner"
			}
			owner = "neondb_owner"
		}
	}
	switch {
	case slices.Contains(platforms, grantee), slices.Contains(platforms, name),
		kind == "grant" && grantee == owner && owner == "neondb_owner", // says what is so anyway
		name == "schema public" && (kind == "owner" || grantee == "pg_database_owner"),
		kind == "role" && grantee == "neondb_owner",
		kind == "member" && grantee == "neondb_owner" && strings.HasPrefix(name, "pg_"),
		kind == "member" && (name == "pg_read_all_data" || strings.HasPrefix(grantee, "pg_")):
		return "", false
	case name == "schema public":
		owner, grantor = "", "" // the target's own owner
	}
	return strings.Join([]string{kind, name, owner, grantor, grantee, what}, " | "), true
}
