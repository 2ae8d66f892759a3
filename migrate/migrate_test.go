package migrate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/golden"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/platform"
)

// A pair is an Azure-like source and a Neon-like target, each seen by the
// customer's role.
type pair struct {
	az, ne         *pgtest.Server
	source, target *pgx.ConnConfig
}

func newPair(t *testing.T, from, to int) *pair {
	t.Helper()
	p := &pair{}
	if from == 15 {
		p.az = pgtest.Azure(t)
	} else {
		p.az = pgtest.Private(t, from, pgtest.Options{InitUser: "azuresu"})
		pgtest.RunChunks(t, p.az, filepath.Join("..", "testdata", "sql", "azure_sim.sql"))
	}
	if to == 17 {
		p.ne = pgtest.Neon(t)
	} else {
		opts := pgtest.Options{InitUser: "cloud_admin", Locale: "C.UTF-8"}
		if to > 17 {
			opts.LocaleProvider = "builtin"
		}
		p.ne = pgtest.Private(t, to, opts)
		pgtest.RunChunks(t, p.ne, filepath.Join("..", "testdata", "sql", "neon_sim.sql"))
	}
	p.source, p.target = config(t, p.az.UserDSN("azadmin", "appdb")), config(t, p.ne.UserDSN("neondb_owner", "neondb"))
	return p
}

func config(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// options are those by which the fixture can be moved: the target has
// postgres_fdw for superusers only.
func options(secrets map[string]string) migrate.Options {
	return migrate.Options{
		Rules: platform.Rules{SkipExtensions: []string{"postgres_fdw"}},
		Secrets: func(role, password string) error {
			if secrets != nil {
				secrets[role] = password
			}
			return nil
		},
	}
}

// listing is all that decides who may do what in a database, and its rows.
const listing = `SELECT line FROM (
SELECT 1 AS n, 'role ' || rolname || ' ' || concat_ws(' ', CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolinherit THEN 'INHERIT' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
    CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolconnlimit >= 0 THEN 'LIMIT ' || rolconnlimit END, 'UNTIL ' || (rolvaliduntil AT TIME ZONE 'UTC')::text, rolconfig::text) AS line
  FROM pg_roles WHERE rolname !~ '^pg_' AND rolname NOT IN ('cloud_admin', 'neon_superuser')
UNION ALL SELECT 2, 'member ' || m.member::regrole || ' of ' || m.roleid::regrole || CASE WHEN m.admin_option THEN ' ADMIN' ELSE '' END || coalesce(' ' || (to_jsonb(m) - 'oid' - 'roleid' - 'member' - 'grantor' - 'admin_option')::text, '')
  FROM pg_auth_members m WHERE m.member::regrole::text NOT IN ('pg_monitor', 'neon_superuser') AND m.roleid::regrole::text <> 'neon_superuser'
    AND NOT (m.grantor = 10 AND m.member = 'neondb_owner'::regrole)
UNION ALL SELECT 3, 'database ' || datdba::regrole || ' ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(datacl) a), '-') FROM pg_database WHERE datname = current_database()
UNION ALL SELECT 4, 'setting ' || coalesce(nullif(setrole, 0)::regrole::text, '-') || ' ' || CASE WHEN setdatabase <> 0 THEN 'here' ELSE 'everywhere' END || ' ' || s FROM pg_db_role_setting, unnest(setconfig) s
  WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
UNION ALL SELECT 5, 'schema ' || nspname || ' ' || nspowner::regrole || ' ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(nspacl) a), '-') FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'
UNION ALL SELECT 6, 'relation ' || c.oid::regclass || ' ' || relkind::text || relpersistence::text || ' ' || relowner::regrole || ' ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(relacl) a), '-')
    || CASE WHEN relrowsecurity THEN ' RLS' ELSE '' END || coalesce(' ' || reloptions::text, '')
  FROM pg_class c WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)') AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
UNION ALL SELECT 7, 'column ' || attrelid::regclass || '.' || attname || ' ' || attacl::text FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid >= 16384
UNION ALL SELECT 8, 'function ' || p.oid::regprocedure || ' ' || proowner::regrole || ' ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(proacl) a), '-') || CASE WHEN prosecdef THEN ' DEFINER' ELSE '' END || coalesce(' ' || proconfig::text, '')
  FROM pg_proc p WHERE p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
UNION ALL SELECT 9, 'policy ' || polname || ' on ' || polrelid::regclass || ' to ' || (SELECT string_agg(r::regrole::text, ', ') FROM unnest(polroles) r) FROM pg_policy
UNION ALL SELECT 10, 'default ' || defaclrole::regrole || ' ' || coalesce(nullif(defaclnamespace, 0)::regnamespace::text, '-') || ' ' || defaclobjtype::text || ' ' || (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(defaclacl) a) FROM pg_default_acl WHERE defaclrole <> 10
UNION ALL SELECT 11, 'extension ' || extname || ' ' || extnamespace::regnamespace FROM pg_extension
UNION ALL SELECT 12, 'publication ' || pubname || ' ' || pubowner::regrole || ' ' || (SELECT string_agg(prrelid::regclass::text, ' ') FROM pg_publication_rel WHERE prpubid = p.oid) || '' FROM pg_publication p
UNION ALL SELECT 13, 'large object ' || lomowner::regrole || ' ' || coalesce((SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(lomacl) a), '-') || ' ' || convert_from(lo_get(oid), 'UTF8') || ' ' || coalesce(obj_description(oid, 'pg_largeobject'), '') FROM pg_largeobject_metadata
UNION ALL SELECT 14, 'rows ' || count(*) || ' ' || sum(hashtext(c::text)) FROM app.customer c
UNION ALL SELECT 15, 'region ' || coalesce(region, '-') || ' ' || n FROM app.mv_region
UNION ALL SELECT 16, 'sequence ' || last_value FROM app.customer_id_seq
) q ORDER BY n, line COLLATE "C"`

func list(t *testing.T, s *pgtest.Server, db string) string {
	t.Helper()
	conn := s.Conn(t, db)
	if _, err := conn.Exec(t.Context(), "SET search_path = ''"); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), listing, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n") + "\n"
}

// Everything of Azure goes to Neon without an error, and belongs to whom it
// should.
func TestAzureToNeon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to int
		hard     bool // with names and rights that are harder
	}{{14, 16, true}, {15, 17, false}, {16, 18, true}, {17, 14, true}} {
		if !tested(t, c.from, c.to) {
			continue
		}
		t.Run(fmt.Sprintf("%dto%d", c.from, c.to), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, c.from, c.to)
			if c.hard {
				hard, err := os.ReadFile(filepath.Join("..", "platform", "testdata", "hard.sql"))
				if err != nil {
					t.Fatal(err)
				}
				p.az.ExecAs(t, "azadmin", "appdb", string(hard))
			}
			secrets := map[string]string{}
			report, err := migrate.Run(t.Context(), p.source, p.target, options(secrets))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Failed {
				t.Errorf("%s %s: %v\n%s", f.Kind, f.Name, f.Err, f.SQL)
			}
			if !report.Complete || report.Verify == nil || !report.Verify.Equal() {
				text, _ := json.MarshalIndent(report, "", " ")
				t.Errorf("not complete: %s", text)
			}
			got := list(t, p.ne, "neondb")
			if strings.Contains(got, "pghaul") {
				t.Errorf("something of the run is left:\n%s", got)
			}
			if !c.hard {
				golden.Check(t, fmt.Sprintf("listing%d.txt", c.to), got)
			}
			owners := func(s *pgtest.Server, db string) string {
				return s.Text(t, db, ownersQuery)
			}
			same(t, mapped.Replace(owners(p.az, "appdb")), owners(p.ne, "neondb"))
			for _, role := range []string{"app_rw", "App.Reader", "svc@contoso.com"} {
				if len(secrets[role]) < 24 {
					t.Errorf("no password for %s: %q", role, secrets[role])
				}
			}
			text, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			for role, secret := range secrets {
				if strings.Contains(string(text), secret) {
					t.Errorf("the report has the password of %s", role)
				}
			}
		})
	}
}

// mapped gives what belongs to the platform and to the admin to the target's user.
var mapped = strings.NewReplacer("azadmin", "neondb_owner", "azure_pg_admin", "neondb_owner", "azuresu", "neondb_owner")

// ownersQuery lists who owns the customer's objects, and who is a member of whom
// but for the two ends' own users.
const ownersQuery = `SELECT string_agg(line, E'\n' ORDER BY line COLLATE "C") || E'\n' FROM (
SELECT 'relation ' || n.nspname || '.' || relname || ' ' || relowner::regrole AS line FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE nspname NOT IN ('cron', 'azure_ai', 'information_schema') AND nspname !~ '^pg_' AND relname <> 'app_ft' AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
UNION ALL SELECT 'schema ' || nspname || ' ' || nspowner::regrole FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public|cron|azure_ai)'
UNION ALL SELECT 'function ' || n.nspname || '.' || proname || ' ' || proowner::regrole FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
  WHERE p.oid >= 16384 AND nspname NOT IN ('cron', 'pg_catalog') AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
UNION ALL SELECT 'type ' || n.nspname || '.' || typname || ' ' || typowner::regrole FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
  WHERE typtype IN ('e', 'd') AND nspname !~ '^(pg_|information_schema)'
UNION ALL SELECT DISTINCT 'member ' || m.member::regrole || ' of ' || m.roleid::regrole || CASE WHEN bool_or(m.admin_option) THEN ' ADMIN' ELSE '' END FROM pg_auth_members m
  WHERE m.member::regrole::text NOT IN ('azadmin', 'neondb_owner', 'azure_pg_admin', 'replication', 'neon_superuser', 'pg_monitor') AND m.roleid::regrole::text <> 'pg_read_all_data' GROUP BY m.member, m.roleid
) q`

// tested says whether the versions that tests are narrowed to have all of these.
func tested(t *testing.T, majors ...int) bool {
	for _, m := range majors {
		found := false
		for _, v := range pgtest.Versions(t) {
			found = found || v == m
		}
		if !found {
			return false
		}
	}
	return true
}
