package platform

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// TestArchiveToNeon restores an archive of PostgreSQL's own pg_dump, which knows
// neither roles nor where it came from.
func TestArchiveToNeon(t *testing.T) {
	t.Parallel()
	oracle := pgtest.Oracle(t)
	az, ne := azure(t, 15), neonServer(t, 17)
	path := filepath.Join(pgtest.TempDir(t), "appdb")
	oracle.Dump(t, "-Fd", "-f", path, az.UserDSN("azadmin", "appdb"))
	r, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	source := FromArchive(r.Header(), r.Manifest(), r.Entries())
	if source.Platform != AzureFlexible || source.Version/10000 != 15 || source.Database != "appdb" || source.User.Name != "azadmin" || len(source.Unread) != 1 {
		t.Errorf("facts %+v", source)
	}
	in := Input{Entries: r.Entries(), Source: *source, Target: *facts(t, ne, "neondb_owner", "neondb"), Rules: Rules{SkipExtensions: []string{"postgres_fdw"}}}
	plan := mustPlan(t, in)
	entries, err := plan.Apply(in.Entries)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Settings {
		if s.Setting.Name == "search_path" && s.Setting.Value != "app, public" {
			t.Errorf("setting %+v", s)
		}
	}
	dsn := ne.UserDSN("neondb_owner", "neondb")
	prepare(t, dsn, plan)
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	report, err := restore.Run(t.Context(), cfg, planned{restore.FromArchive(r), entries}, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Failed {
		t.Errorf("%s %s: %v\n%s", f.Kind, f.Name, f.Err, f.SQL)
	}
	got := ne.Text(t, "neondb", `SELECT pg_catalog.string_agg(c.relname || ' ' || pg_catalog.pg_get_userbyid(c.relowner), ', ' ORDER BY c.relname) FROM pg_catalog.pg_class c
		WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace IN ('public'::pg_catalog.regnamespace, 'app'::pg_catalog.regnamespace)`)
	want := "audit app_owner, audit_default app_owner, cache app_owner, customer app_owner, mv_region app_owner, owned_by_platform_role neondb_owner, v_customer app_owner"
	if got != want {
		t.Errorf("owners %s", strings.ReplaceAll(got, ", ", "\n"))
	}
}
