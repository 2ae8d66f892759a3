package platform

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/golden"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// TestPlatforms plans what becomes of a customer's database at Azure when it
// goes to Neon, and restores it by the plan: from and to several versions,
// without an error. The plans are golden files.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]int{{14, 16}, {15, 17}, {16, 18}, {17, 15}, {18, 14}} {
		versions := pgtest.Versions(t)
		if !slices.Contains(versions, pair[0]) || !slices.Contains(versions, pair[1]) {
			continue
		}
		name := fmt.Sprintf("azure%d_neon%d", pair[0], pair[1])
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var az, ne *pgtest.Server
			var both sync.WaitGroup
			both.Go(func() { az = azure(t, pair[0]) })
			both.Go(func() { ne = neonServer(t, pair[1]) })
			both.Wait()
			detected(t, facts(t, az, "azadmin", "appdb"), facts(t, ne, "neondb_owner", "neondb"))

			hard, err := os.ReadFile(filepath.Join("testdata", "hard.sql"))
			if err != nil {
				t.Fatal(err)
			}
			az.ExecAs(t, "azadmin", "appdb", string(hard))
			if pair[0] >= 15 {
				az.Exec(t, "appdb", `GRANT SET ON PARAMETER log_statement TO app_rw; GRANT ALTER SYSTEM ON PARAMETER "my.Opt" TO app_owner WITH GRANT OPTION;
					GRANT SET ON PARAMETER log_statement TO azure_pg_admin`)
			}
			live := open(t, az.UserDSN("azadmin", "appdb"))
			now := *facts(t, az, "azadmin", "appdb")
			archived(t, az, live.Entries(), now, *facts(t, ne, "neondb_owner", "neondb"))
			// What the machine has of locales is not this test's business.
			now.Locale = Locale{Encoding: "UTF8", Provider: "libc", Collate: "C.UTF-8", CType: "C.UTF-8"}
			plan := restored(t, Input{
				Entries: live.Entries(), Source: now, Target: *facts(t, ne, "neondb_owner", "neondb"),
				Rules: Rules{ReadAllData: pair[0] == 14},
			}, live, ne, "neondb")
			golden.Check(t, name+".txt", number.ReplaceAllString(listing(plan), "${1}NUMBER"))
			if t.Failed() || pair[0] != 15 && pair[0] != 18 {
				return
			}
			// The roles are there now. An archive of PostgreSQL's own pg_dump knows
			// neither roles nor where it comes from.
			oracle := pgtest.Oracle(t)
			path := filepath.Join(pgtest.TempDir(t), "appdb")
			oracle.Dump(t, "-Fd", "-f", path, az.UserDSN("azadmin", "appdb"))
			r, err := archive.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			source := FromArchive(r.Header(), r.Manifest(), r.Entries())
			if source.Platform != AzureFlexible || source.Version/10000 != pair[0] || source.Database != "appdb" || source.User.Name != "azadmin" || len(source.Unread) != 1 {
				t.Errorf("facts %+v", source)
			}
			ne.ExecAs(t, "neondb_owner", "neondb", "CREATE DATABASE second TEMPLATE template0")
			restored(t, Input{Entries: r.Entries(), Source: *source, Target: *facts(t, ne, "neondb_owner", "second")}, restore.FromArchive(r), ne, "second")
			if a, b := owners(t, ne, "neondb"), owners(t, ne, "second"); a != b {
				t.Errorf("owners and privileges differ:\n%s\n%s", a, b)
			}
		})
	}
}

// archived compares the plan for an archive with that for its source. An archive
// knows all that matters but the name of the host, by which a pooler is
// recognised, and whether its source was written to since.
func archived(t *testing.T, az *pgtest.Server, entries []archive.Entry, now, target Facts) {
	t.Helper()
	cfg, err := pgx.ParseConfig(az.UserDSN("azadmin", "appdb"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "appdb")
	if _, err := dump.Run(t.Context(), cfg, dump.Options{Dir: path, Facts: Archived}); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	stored := FromArchive(r.Header(), r.Manifest(), r.Entries())
	if r.Manifest().Source.Platform != string(AzureFlexible) || stored.Time.IsZero() || stored.LSN == "" {
		t.Errorf("of the archive: %+v, %+v", r.Manifest().Source, stored)
	}
	want, got := listing(mustPlan(t, Input{Entries: entries, Source: now, Target: target})), listing(mustPlan(t, Input{Entries: entries, Source: *stored, Target: target}))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the plan for the archive is another one than that for its source, -source +archive:\n%s", d)
	}
	// What only targets are asked for.
	now.Available, now.Collations, now.Databases, now.Tablespaces, now.Wrappers, now.Objects, now.Parameters = nil, nil, nil, nil, nil, nil, map[string]Parameter{}
	now.MayCreate = false
	now.Host, now.Changes, now.Size, now.LSN, now.Time = "", -1, stored.Size, stored.LSN, stored.Time
	if d := cmp.Diff(now, *stored, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("-source +archive:\n%s", d)
	}
}

var number = regexp.MustCompile(`((?:LARGE OBJECT|BLOBS|BLOB METADATA) \.?(?:LARGE OBJECT )?)\d+`)

func detected(t *testing.T, az, ne *Facts) {
	t.Helper()
	if az.Platform != AzureFlexible || az.Privileged != "azure_pg_admin" || az.User.Superuser {
		t.Errorf("platform %q, privileged %q, user %+v", az.Platform, az.Privileged, az.User)
	}
	if len(az.CronJobs) != 2 || len(az.Unread) > 0 {
		t.Errorf("jobs %+v, unread %q", az.CronJobs, az.Unread)
	}
	if r := az.role("svc@contoso.com"); r == nil || len(r.Labels) != 1 || r.Labels[0].Provider != "pgaadauth" {
		t.Errorf("labels of %+v", r)
	}
	if r := az.role("app_rw"); r == nil || r.ConnLimit != 20 || r.ValidUntil != "2031-01-01 00:00:00+00" {
		t.Errorf("role %+v", r)
	}
	if len(az.Settings) != 3+1 { // three of the customer's, one of azuresu
		t.Errorf("settings %+v", az.Settings)
	}
	if ne.Platform != Neon || ne.Privileged != "neon_superuser" || ne.User.Superuser || len(ne.Objects) > 0 {
		t.Errorf("platform %q, privileged %q, objects %v", ne.Platform, ne.Privileged, ne.Objects)
	}
	if ne.Locale.Collate != "C.UTF-8" || (ne.Locale.Provider == "builtin") != (ne.Version >= 170000) {
		t.Errorf("locale %+v", ne.Locale)
	}
}

// restored makes a plan, follows it, and fails for every step that fails.
func restored(t *testing.T, in Input, src restore.Source, ne *pgtest.Server, database string) *Plan {
	t.Helper()
	blocked := mustPlan(t, in).Blocked()
	if len(blocked) != 1 || !strings.Contains(blocked[0], "--skip-extension postgres_fdw") {
		t.Errorf("blocked: %q", blocked)
	}
	in.Rules.SkipExtensions = []string{"postgres_fdw"}
	plan := mustPlan(t, in)
	entries, err := plan.Apply(in.Entries)
	if err != nil {
		t.Fatal(err)
	}
	known := map[int]bool{}
	for _, e := range entries {
		known[e.ID] = true
	}
	for _, e := range entries {
		for _, id := range e.After {
			if it := slices.IndexFunc(in.Entries, func(e archive.Entry) bool { return e.ID == id }); it >= 0 && !known[id] {
				t.Errorf("%s waits for %s, which is left out", describe(&e), describe(&in.Entries[it]))
			}
		}
	}
	dsn := ne.UserDSN("neondb_owner", database)
	prepare(t, dsn, plan)
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	report, err := restore.Run(t.Context(), cfg, planned{src, entries}, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Failed {
		t.Errorf("%s %s: %v\n%s", f.Kind, f.Name, f.Err, f.SQL)
	}
	if report.Rows != 1010 {
		t.Errorf("%d rows", report.Rows)
	}
	return plan
}

// owners lists what belongs to whom and who may do what with it.
func owners(t *testing.T, s *pgtest.Server, database string) string {
	t.Helper()
	return s.Text(t, database, `SELECT pg_catalog.string_agg(x, E'\n' ORDER BY x) FROM (
  SELECT 'relation ' || c.oid::pg_catalog.regclass || ' ' || pg_catalog.pg_get_userbyid(c.relowner) || ' ' || COALESCE(c.relacl::text, '')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_|^information_schema'
  UNION ALL SELECT 'function ' || p.oid::pg_catalog.regprocedure || ' ' || pg_catalog.pg_get_userbyid(p.proowner) || ' ' || COALESCE(p.proacl::text, '')
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('app', 'Sales Dept')
  UNION ALL SELECT 'schema ' || nspname || ' ' || pg_catalog.pg_get_userbyid(nspowner) || ' ' || COALESCE(nspacl::text, '') FROM pg_catalog.pg_namespace WHERE nspname IN ('app', 'Sales Dept')
  UNION ALL SELECT 'policy ' || polname || ' ' || ARRAY(SELECT COALESCE(r.rolname, 'PUBLIC')::text FROM pg_catalog.unnest(polroles) o LEFT JOIN pg_catalog.pg_roles r ON r.oid = o ORDER BY 1)::text FROM pg_catalog.pg_policy
  UNION ALL SELECT 'default ' || pg_catalog.pg_get_userbyid(defaclrole) || ' ' || defaclnamespace::pg_catalog.regnamespace || ' ' || defaclobjtype::text || ' ' || defaclacl::text
    FROM pg_catalog.pg_default_acl WHERE defaclrole <> 10
) AS q(x)`)
}
