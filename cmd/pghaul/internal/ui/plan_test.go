package ui

import (
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/golden"
	"github.com/pghaul/pghaul/platform"
)

// samplePlan has something of everything.
func samplePlan() *platform.Plan {
	p := &platform.Plan{
		Source: platform.Facts{
			Platform: platform.AzureFlexible, Version: 150008, Host: "shop.postgres.database.azure.com", Database: "appdb",
			User: platform.Role{Name: "azadmin"},
		},
		Target: platform.Facts{
			Platform: platform.Neon, Version: 170010, Host: "ep-cool-name-a1b2c3.eu-central-1.aws.neon.tech", Database: "neondb",
			User: platform.Role{Name: "neondb_owner"},
		},
		Estimate:   platform.Estimate{Bytes: 12_300_000_000, Seconds: 600},
		CronScript: "SELECT cron.schedule_in_database('a');\nSELECT cron.schedule_in_database('b');\n",
		Roles: []platform.RoleItem{
			{From: "app owner", To: "app owner", Verdict: platform.Keep, Role: platform.Role{Login: true}},
			{From: "app_rw", To: "app_rw", Verdict: platform.Keep, Warnings: []string{"REPLICATION is left out"}},
			{From: "azadmin", To: "neondb_owner", Verdict: platform.Map, Exists: true, Reason: "the source's admin becomes the target's"},
			{From: "azuresu", Verdict: platform.Skip, Reason: "belongs to Azure"},
			{From: "pg_monitor", To: "pg_monitor", Verdict: platform.Keep, Exists: true, Reason: "the target has its own"},
			{From: "neon_superuser", Verdict: platform.Block, Reason: "a name that Neon keeps for itself: give the role another with --role-map"},
		},
		Memberships: []platform.MembershipItem{
			{Membership: platform.Membership{Role: "app_rw", Member: "app owner"}, Verdict: platform.Keep},
			{Membership: platform.Membership{Role: "pg_read_all_data", Member: "app_rw"}, Verdict: platform.Skip, Reason: "cannot be granted"},
			{Membership: platform.Membership{Role: "pg_monitor", Member: "azuresu"}, Verdict: platform.Skip, Reason: "the platform's"},
		},
		Settings: []platform.SettingItem{
			{Setting: platform.Setting{Role: "app_rw", Name: "search_path"}, Verdict: platform.Keep},
			{Setting: platform.Setting{Name: "azure.foo"}, Verdict: platform.Skip, Reason: "the target has no such setting"},
		},
		Extensions: []platform.ExtensionItem{
			{Name: "plpgsql", Source: "1.0", Target: "1.0", Verdict: platform.Keep, Exists: true},
			{Name: "pgcrypto", Source: "1.3", Target: "1.3", Verdict: platform.Keep},
			{Name: "vector", Source: "0.8.2", Target: "0.8.0", Verdict: platform.Warn, Warnings: []string{"the target's version is older"}},
			{Name: "azure", Verdict: platform.Skip, Reason: "belongs to Azure"},
			{Name: "age", Verdict: platform.Block, Reason: "the target does not have it: --skip-extension age leaves it out with what needs it", Dependents: []string{"table graph.v", "table graph.e"}},
		},
		Drops: []platform.Drop{{Object: platform.Object{Kind: "table", Schema: "app", Name: "t"}, SQL: "DROP TABLE app.t"}},
		Notes: []platform.Note{
			{Verdict: platform.Warn, Text: "text sorts in another way at the target"},
			{Verdict: platform.Block, Text: "the target has objects already: --clean"},
		},
		Items: []platform.Item{
			{Kind: "SCHEMA", Name: "app", Verdict: platform.Keep},
			{Kind: "EXTENSION", Name: "azure", Verdict: platform.Skip, Reason: "belongs to Azure"},
			{Kind: "COMMENT", Name: "EXTENSION azure", Verdict: platform.Skip, Reason: "needs extension azure, which is skipped"},
			{Kind: "EXTENSION", Name: "age", Verdict: platform.Block, Reason: "the target does not have it"},
			{Kind: "TABLE", Schema: "graph", Name: "v", Verdict: platform.Block, Reason: "needs extension age, which blocks; owner azadmin becomes neondb_owner"},
			{Kind: "TABLE", Schema: "app", Name: "odd", Verdict: platform.Block, Reason: "its type cannot be had there: change it"},
			{Kind: "TABLE", Schema: "app", Name: "orders", Verdict: platform.Map, Reason: "owner azadmin becomes neondb_owner"},
			{Kind: "TABLE DATA", Schema: "app", Name: "orders", Verdict: platform.Keep},
			{Kind: "FUNCTION", Schema: "app", Name: "leaky(integer)", Verdict: platform.Rewrite, Reason: "LEAKPROOF is left out", Warnings: []string{"plans may be slower"}},
			{Kind: "TABLE", Schema: "app", Name: "cache", Verdict: platform.Warn, Reason: "unlogged: its rows vanish when the server sleeps"},
			{Kind: "DEFAULT ACL", Schema: "app", Name: "DEFAULT PRIVILEGES FOR TABLES", Verdict: platform.Map, Reason: "grants to azure_pg_admin are left out"},
			{Kind: "USER MAPPING", Name: "USER MAPPING app SERVER other", Verdict: platform.Skip, Reason: "it\x1b[31m hides"},
		},
	}
	for range 50 {
		p.Items = append(p.Items, platform.Item{
			Kind: "ACL", Schema: "pg_catalog", Name: "FUNCTION pg_stat_reset(name text)", Verdict: platform.Skip, Reason: "belongs to the system",
		})
	}
	return p
}

func TestPlan(t *testing.T) {
	for name, style := range map[string]PlanStyle{
		"plan-80": {Width: 80}, "plan-140": {Width: 140}, "plan-all": {Width: 100, All: true}, "plan-brief": {Width: 80, Brief: true},
	} {
		var b strings.Builder
		if err := WritePlan(&b, samplePlan(), style); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, name, b.String())
		for line := range strings.Lines(b.String()) {
			if n := columns(strings.TrimSuffix(line, "\n")); n > style.Width {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
			if strings.ContainsAny(line, "\x00\x1b") {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
	if list := samplePlan().Blocked(); len(list) != 4 {
		t.Errorf("%q block, want a note, a role, an extension and a table", list)
	}
}

// An empty plan is short.
func TestEmptyPlan(t *testing.T) {
	var b strings.Builder
	p := &platform.Plan{Source: platform.Facts{Platform: platform.Plain, Version: 160000}, Target: platform.Facts{Platform: platform.Plain, Version: 170000}}
	if err := WritePlan(&b, p, PlanStyle{Width: 80}); err != nil {
		t.Fatal(err)
	}
	want := "Source       PostgreSQL 16\nTarget       PostgreSQL 17\nObjects      0 kept\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
