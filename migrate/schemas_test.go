package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/golden"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/verify"
)

// A schema gets another name on the way: everything that names it is as it is
// when the schema is renamed at the target.
func TestMapSchema(t *testing.T) {
	t.Parallel()
	if !tested(t, 15, 17) {
		return
	}
	p := newPair(t, 15, 17)
	opts := options(nil)
	opts.Rules.Schemas = map[string]string{"app": "App New"}
	p.az.ExecAs(t, "azadmin", "appdb", "ALTER DATABASE appdb CONNECTION LIMIT 55")
	report, err := migrate.Run(t.Context(), p.source, p.target, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Failed {
		t.Errorf("%s %s: %v\n%s", f.Kind, f.Name, f.Err, f.SQL)
	}
	if !report.Complete || report.Verify == nil || !report.Verify.Equal() {
		t.Errorf("not complete: %+v", report)
	}
	rep, err := verify.Run(t.Context(), p.source, p.target, verify.Options{Rules: &opts.Rules, Levels: verify.AllLevels()})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range rep.Differences {
		if d.Expected == "" && (d.Level != verify.LevelSecurity || d.Schema == "App New" || d.Schema == "app") {
			t.Errorf("%+v", d)
		}
	}
	for _, table := range rep.Tables {
		if !table.Equal && table.Expected == "" {
			t.Errorf("%+v", table)
		}
	}
	if !slices.ContainsFunc(rep.Tables, func(t verify.Table) bool { return t.Schema == "App New" && t.Target != nil && t.Target.Rows > 0 }) {
		t.Errorf("no table of the schema was compared: %+v", rep.Tables)
	}
	if limit := p.ne.Text(t, "neondb", "SELECT datconnlimit::text FROM pg_database WHERE datname = 'neondb'"); limit != "55" {
		t.Errorf("%s connections are allowed", limit)
	}
	p.ne.ExecAs(t, "neondb_owner", "neondb", `ALTER SCHEMA "App New" RENAME TO app`)
	same := strings.NewReplacer(`"search_path=\"App New\""`, "search_path=app", `\"App New\"`, "app", `"App New"`, "app").Replace(list(t, p.ne, "neondb"))
	golden.Check(t, "listing17.txt", same)

	// What was in schema public becomes a schema of its own, and another one goes
	// into the target's public.
	p.ne.ExecAs(t, "neondb_owner", "neondb", "CREATE DATABASE second")
	p.target = config(t, p.ne.UserDSN("neondb_owner", "second"))
	opts.Rules.Schemas = map[string]string{"app": "public", "public": "was public"}
	report, err = migrate.Run(t.Context(), p.source, p.target, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Failed) > 0 || !report.Complete || !report.Verify.Equal() {
		t.Errorf("not complete: %+v", report)
	}
	rep, err = verify.Run(t.Context(), p.source, p.target, verify.Options{Rules: &opts.Rules})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range rep.Differences {
		if d.Expected == "" {
			t.Errorf("%+v", d)
		}
	}
}
