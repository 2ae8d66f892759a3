package platform

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
)

func notes(p *Plan, v Verdict) string {
	var out []string
	for _, n := range p.Notes {
		if n.Verdict == v {
			out = append(out, n.Text)
		}
	}
	return strings.Join(out, "\n")
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		role    Role
		change  func(*Input)
		verdict Verdict
		to      string
		got     Role // attributes at the target
		says    string
	}{
		{name: "as it is", role: Role{Inherit: true, Login: true, CreateDB: true, CreateRole: true, ConnLimit: 3, ValidUntil: "2031-01-01 00:00:00+00"}, verdict: Keep, to: "r", got: Role{Inherit: true, Login: true, CreateDB: true, CreateRole: true, ConnLimit: 3, ValidUntil: "2031-01-01 00:00:00+00"}},
		{name: "superuser", role: Role{Superuser: true}, verdict: Keep, to: "r", says: "without SUPERUSER"},
		{name: "replication from 16 on", role: Role{Replication: true, BypassRLS: true}, verdict: Keep, to: "r", got: Role{Replication: true, BypassRLS: true}},
		{name: "replication before 16", role: Role{Replication: true, BypassRLS: true}, change: func(in *Input) { in.Target.Version = 150000 }, verdict: Keep, to: "r", says: "without REPLICATION"},
		{name: "what the user lacks", role: Role{BypassRLS: true}, change: func(in *Input) { in.Target.User.BypassRLS = false }, verdict: Keep, to: "r", says: "does not have it itself"},
		{name: "by the map", role: Role{Login: true}, change: func(in *Input) { in.Rules.Roles = map[string]string{"r": "other"} }, verdict: Map, to: "other", got: Role{Login: true}, says: "role map"},
		{name: "no login", role: Role{Login: true}, change: func(in *Input) { in.Rules.NoLogin = true }, verdict: Keep, to: "r", says: "--no-login"},
		{name: "Entra", role: Role{Login: true, Labels: []Label{{"pgaadauth", "aadauth,oid=1"}}}, verdict: Keep, to: "r", got: Role{Login: true}, says: "Entra"},
		{name: "comment", role: Role{Comment: "x"}, verdict: Keep, to: "r", says: "comment"},
		{name: "not created", role: Role{Login: true}, change: func(in *Input) { in.Rules.NoRoles = true }, verdict: Skip, to: "r", got: Role{Login: true}, says: "--no-roles"},
		{name: "map to a platform's name", role: Role{}, change: func(in *Input) { in.Rules.Roles = map[string]string{"r": "zenith_admin"} }, verdict: Block, to: "zenith_admin", says: "keeps for itself"},
		{name: "long name", role: Role{}, change: func(in *Input) { in.Rules.Roles = map[string]string{"r": strings.Repeat("x", 64)} }, verdict: Block, to: strings.Repeat("x", 64), says: "63 bytes"},
		{name: "there already", role: Role{Login: true}, change: func(in *Input) { in.Target.Roles = append(in.Target.Roles, Role{Name: "r", CreateDB: true}) }, verdict: Keep, to: "r", got: Role{Login: true}, says: "no LOGIN, CREATEDB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := azureInput()
			c.role.Name = "r"
			in.Source.Roles = append(in.Source.Roles, c.role)
			if c.change != nil {
				c.change(&in)
			}
			p := mustPlan(t, in)
			it := p.Roles[len(p.Roles)-1]
			c.got.Name = c.to
			if d := cmp.Diff(c.got, it.Role); it.Verdict != c.verdict || it.To != c.to || d != "" && c.verdict != Block {
				t.Errorf("%s to %q: %s", it.Verdict, it.To, d)
			}
			if said := it.Reason + strings.Join(it.Warnings, "; "); !strings.Contains(said, c.says) {
				t.Errorf("says %q, want %q", said, c.says)
			}
		})
	}
}

func TestRolesThatAreNeeded(t *testing.T) {
	t.Parallel()
	in := azureInput()
	in.Rules.NoRoles = true
	in.Entries = []archive.Entry{{ID: 1, Kind: "SCHEMA", Tag: "app", Owner: "app_owner", Create: "CREATE SCHEMA app;\n", Drop: "DROP SCHEMA app;\n"}}
	blocked := strings.Join(mustPlan(t, in).Blocked(), "\n")
	if !strings.Contains(blocked, `role "app_owner"`) || strings.Contains(blocked, "app_rw") {
		t.Error(blocked)
	}
	in.Target.Roles = append(in.Target.Roles, Role{Name: "app_owner"})
	if blocked := strings.Join(mustPlan(t, in).Blocked(), "\n"); !strings.Contains(blocked, "GRANT app_owner TO neondb_owner") {
		t.Errorf("an owner nobody may become: %s", blocked)
	}
	in.Target.Memberships = append(in.Target.Memberships, Membership{Role: "app_owner", Member: "neondb_owner", Admin: true})
	if blocked := mustPlan(t, in).Blocked(); len(blocked) > 0 {
		t.Error(blocked)
	}
	in = azureInput()
	in.Target.User.CreateRole = false
	if blocked := strings.Join(mustPlan(t, in).Blocked(), "\n"); !strings.Contains(blocked, "may not create roles") {
		t.Error(blocked)
	}
	in = azureInput()
	for i := range 500 {
		in.Source.Roles = append(in.Source.Roles, Role{Name: "r" + strings.Repeat("x", i%50) + string(rune('a'+i/50))})
	}
	if blocked := strings.Join(mustPlan(t, in).Blocked(), "\n"); !strings.Contains(blocked, "allows 500") {
		t.Error(blocked)
	}
}

func TestMemberships(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		m       Membership
		change  func(*Input)
		verdict Verdict
		got     Membership
		says    string
	}{
		{name: "customer", m: Membership{Role: "app_rw", Member: "App.Reader", Grantor: "azadmin", Admin: true, Set: true}, verdict: Keep, got: Membership{Role: "app_rw", Member: "App.Reader", Admin: true, Set: true}},
		{name: "admin", m: Membership{Role: "app_rw", Member: "azadmin", Set: true}, verdict: Map, got: Membership{Role: "app_rw", Member: "neondb_owner", Set: true}},
		{name: "pg_monitor", m: Membership{Role: "pg_monitor", Member: "app_rw", Set: true}, verdict: Keep, got: Membership{Role: "pg_monitor", Member: "app_rw", Set: true}},
		{name: "pg_read_all_data", m: Membership{Role: "pg_read_all_data", Member: "app_rw", Set: true}, verdict: Skip, says: "may not grant"},
		{name: "pg_read_all_data instead", m: Membership{Role: "pg_read_all_data", Member: "app_rw", Set: true}, change: func(in *Input) { in.Rules.ReadAllData = true }, verdict: Skip, says: "--read-all-data"},
		{name: "azure_pg_admin", m: Membership{Role: "azure_pg_admin", Member: "app_rw", Set: true}, verdict: Skip, says: "trusted at the source only"},
		{name: "bookkeeping", m: Membership{Role: "app_rw", Member: "azadmin", Grantor: "azuresu", Admin: true}, change: func(in *Input) { in.Source.Version = 160000 }, verdict: Skip, says: "note of who created"},
		{name: "member of the admin", m: Membership{Role: "azadmin", Member: "app_rw", Set: true}, verdict: Skip, says: "would hand out"},
		{name: "options before 16", m: Membership{Role: "app_rw", Member: "App.Reader", Inherit: true}, change: func(in *Input) { in.Source.Version, in.Target.Version = 160000, 150000 }, verdict: Warn, got: Membership{Role: "app_rw", Member: "App.Reader", Inherit: true, Set: true}, says: "SET is false"},
		{name: "one after the mapping", m: Membership{Role: "app_owner", Member: "App.Reader", Inherit: true, Set: true}, change: func(in *Input) { in.Rules.Roles = map[string]string{"App.Reader": "app_rw"} }, verdict: Skip, says: "same as another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := azureInput()
			in.Source.Memberships = append(in.Source.Memberships, c.m)
			if c.change != nil {
				c.change(&in)
			}
			p := mustPlan(t, in)
			it := p.Memberships[len(p.Memberships)-1]
			if it.Verdict != c.verdict || c.verdict != Skip && it.Membership != c.got || !strings.Contains(it.Reason, c.says) {
				t.Errorf("%+v", it)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s       Setting
		verdict Verdict
		got     Setting
	}{
		{Setting{"appdb", "", "work_mem", "1MB"}, Map, Setting{"neondb", "", "work_mem", "1MB"}},
		{Setting{"", "app_rw", "work_mem", "1MB"}, Keep, Setting{"", "app_rw", "work_mem", "1MB"}},
		{Setting{"", "azadmin", "work_mem", "1MB"}, Map, Setting{"", "neondb_owner", "work_mem", "1MB"}},
		{Setting{"", "azuresu", "work_mem", "1MB"}, Skip, Setting{}},
		{Setting{"", "app_rw", "role", "azadmin"}, Map, Setting{"", "app_rw", "role", "neondb_owner"}},
		{Setting{"", "app_rw", "role", "azure_pg_admin"}, Skip, Setting{}},
		{Setting{"", "app_rw", "log_min_duration_statement", "1"}, Skip, Setting{}},
		{Setting{"", "app_rw", "max_connections", "1"}, Skip, Setting{}},
		{Setting{"", "app_rw", "new_in_19", "1"}, Skip, Setting{}},
		{Setting{"", "app_rw", "pgaudit.log", "1"}, Skip, Setting{}},
		{Setting{"", "app_rw", "app.tenant", "1"}, Skip, Setting{}},
		{Setting{"", "app_rw", "temp_tablespaces", "temptblspace"}, Skip, Setting{}},
		{Setting{"", "app_rw", "lc_monetary", "xx_YY.utf8"}, Skip, Setting{}},
		{Setting{"", "app_rw", "lc_monetary", "C"}, Keep, Setting{"", "app_rw", "lc_monetary", "C"}},
	} {
		in := azureInput()
		in.Source.Settings = []Setting{c.s}
		it := mustPlan(t, in).Settings[0]
		if it.Verdict != c.verdict || c.verdict != Skip && it.Setting != c.got || c.verdict == Skip && it.Reason == "" {
			t.Errorf("%+v: %+v", c.s, it)
		}
	}
}

func TestExtensionVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		x       Extension
		verdict Verdict
		says    string
	}{
		{Extension{Name: "pgcrypto", Version: "1.3"}, Keep, ""},
		{Extension{Name: "pgcrypto", Version: "1.10"}, Warn, "older"},
		{Extension{Name: "pgcrypto", Version: "1.2"}, Keep, ""},
		{Extension{Name: "orafce", Version: "1"}, Skip, "does not have it"},
		{Extension{Name: "pg_cron", Version: "1"}, Skip, "script"},
	} {
		in := azureInput()
		in.Source.Extensions = []Extension{c.x}
		it := mustPlan(t, in).Extensions[0]
		if it.Verdict != c.verdict || !strings.Contains(it.Reason+strings.Join(it.Warnings, ""), c.says) {
			t.Errorf("%+v: %+v", c.x, it)
		}
	}
	in := azureInput()
	in.Target.MayCreate = false
	in.Source.Extensions = []Extension{{Name: "pgcrypto"}}
	if it := mustPlan(t, in).Extensions[0]; it.Verdict != Skip || !strings.Contains(it.Reason, "may not create") {
		t.Errorf("%+v", it)
	}
}

func TestLocale(t *testing.T) {
	t.Parallel()
	in := azureInput()
	in.Entries = []archive.Entry{
		{Kind: "DOMAIN", Namespace: "app", Tag: "d", Create: "CREATE DOMAIN app.d AS text;\n"},
		{Kind: "TABLE", Namespace: "app", Tag: "t", Create: "CREATE TABLE app.t (\n    a text,\n    b integer,\n    c text COLLATE pg_catalog.\"C\",\n    d app.d,\n    CONSTRAINT k CHECK ((a > 'x'::text)),\n    CONSTRAINT l CHECK ((b > 1))\n);\n"},
		{Kind: "TABLE", Namespace: "app", Tag: "r", Create: "CREATE TABLE app.r (\n    a character varying(10)\n)\nPARTITION BY RANGE (a);\n"},
		{Kind: "TABLE", Namespace: "app", Tag: "s", Create: "CREATE TABLE app.s (\n    a text\n)\nPARTITION BY RANGE (a COLLATE \"C\");\n"},
		{Kind: "INDEX", Namespace: "app", Tag: "yes1", Create: "CREATE INDEX yes1 ON app.t USING btree (b, a);\n"},
		{Kind: "INDEX", Namespace: "app", Tag: "yes2", Create: "CREATE INDEX yes2 ON app.t USING btree (lower((d)::text));\n"},
		{Kind: "INDEX", Namespace: "app", Tag: "no1", Create: "CREATE INDEX no1 ON app.t USING btree (b);\n"},
		{Kind: "INDEX", Namespace: "app", Tag: "no2", Create: "CREATE INDEX no2 ON app.t USING btree (c, a COLLATE \"C\");\n"},
		{Kind: "INDEX", Namespace: "app", Tag: "no3", Create: "CREATE INDEX no3 ON app.t USING hash (a);\n"},
		{Kind: "CONSTRAINT", Namespace: "app", Tag: "t u", Create: "ALTER TABLE ONLY app.t\n    ADD CONSTRAINT u UNIQUE (a);\n"},
		{Kind: "CONSTRAINT", Namespace: "app", Tag: "t v", Create: "ALTER TABLE ONLY app.t\n    ADD CONSTRAINT v UNIQUE (b);\n"},
	}
	for i := range in.Entries {
		in.Entries[i].ID = i + 1
	}
	text := notes(mustPlan(t, in), Warn)
	for _, want := range []string{"sorts by en_US.utf8 (libc) at the source and by C.UTF-8 (builtin)", "app.r PARTITION BY RANGE (a)", "CHECK ((a > 'x'::text))", "index app.yes1; index app.yes2", "constraint app.t u"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, not := range []string{"no1", "no2", "no3", "app.s", "t v", "b > 1"} {
		if strings.Contains(text, not) {
			t.Errorf("%q in\n%s", not, text)
		}
	}
	in.Source.Locale = Locale{Encoding: "UTF8", Provider: "libc", Collate: "C.UTF-8", CType: "C.utf8"}
	if text := notes(mustPlan(t, in), Warn); strings.Contains(text, "sorts") {
		t.Error(text)
	}
	in.Source.Locale.Encoding = "LATIN1"
	if text := notes(mustPlan(t, in), Warn); !strings.Contains(text, "converted") {
		t.Error(text)
	}
}

func TestCollisions(t *testing.T) {
	t.Parallel()
	in := azureInput()
	in.Entries = []archive.Entry{
		{ID: 1, Kind: "SCHEMA", Tag: "app", Owner: "app_owner", Create: "CREATE SCHEMA app;\n", Drop: "x"},
		{ID: 2, Kind: "TABLE", Namespace: "app", Tag: "t", Create: "CREATE TABLE app.t ();\n"},
		{ID: 3, Kind: "FUNCTION", Namespace: "app", Tag: "f(integer)", Create: "CREATE FUNCTION app.f(a integer) RETURNS integer\n    LANGUAGE sql\n    AS $$SELECT 1$$;\n"},
	}
	in.Target.Objects = []Object{{"function", "app", "f(integer)"}, {"schema", "", "app"}, {"view", "app", "t"}, {"schema", "", "neon_migration"}, {"table", "neon_migration", "x"}}
	if blocked := strings.Join(mustPlan(t, in).Blocked(), ""); !strings.Contains(blocked, "function app.f(integer), schema app, view app.t") || strings.Contains(blocked, "neon") {
		t.Error(blocked)
	}
	in.Rules.Collision = Ignore
	if blocked := strings.Join(mustPlan(t, in).Blocked(), ""); !strings.Contains(blocked, "function app.f(integer), view app.t") {
		t.Error(blocked)
	}
	in.Rules.Collision = Clean
	p := mustPlan(t, in)
	want := []Drop{
		{Object{"view", "app", "t"}, "DROP VIEW IF EXISTS app.t CASCADE;\n"},
		{Object{"function", "app", "f(integer)"}, "DROP FUNCTION IF EXISTS app.f(integer) CASCADE;\n"},
		{Object{"schema", "", "app"}, "DROP SCHEMA IF EXISTS app;\n"},
	}
	if d := cmp.Diff(want, p.Drops); d != "" || len(p.Blocked()) > 0 {
		t.Error(d, p.Blocked())
	}
	in.Target.Objects = append(in.Target.Objects, Object{"table", "app", "stays"})
	p = mustPlan(t, in)
	if len(p.Drops) != 2 || strings.Contains(p.Drops[0].SQL, "CASCADE") || p.Items[0].SQL != "CREATE SCHEMA IF NOT EXISTS app;\n" {
		t.Errorf("%+v %+v", p.Drops, p.Items[0])
	}
	// Of the whole database: a server takes its user mappings along, but no table.
	in.Entries = append(in.Entries,
		archive.Entry{ID: 4, Kind: "SERVER", Tag: "far", Owner: "app_owner", Create: "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;\n", Drop: "x"},
		archive.Entry{ID: 5, Kind: "PUBLICATION", Tag: "pub", Owner: "app_owner", Create: "CREATE PUBLICATION pub WITH (publish = 'insert, update, delete, truncate');\n", Drop: "x"},
		archive.Entry{ID: 6, Kind: "EVENT TRIGGER", Tag: "ev", Owner: "app_owner", Create: "CREATE EVENT TRIGGER ev ON ddl_command_end\n   EXECUTE FUNCTION app.f();\n", Drop: "x"},
	)
	in.Target.Objects = []Object{{"event trigger", "", "ev"}, {"publication", "", "pub"}, {"server", "", "far"}, {"table", "app", "stays"}}
	want = []Drop{
		{Object{"event trigger", "", "ev"}, "DROP EVENT TRIGGER IF EXISTS ev;\n"},
		{Object{"publication", "", "pub"}, "DROP PUBLICATION IF EXISTS pub;\n"},
		{Object{"server", "", "far"}, "DROP SERVER IF EXISTS far CASCADE;\n"},
	}
	if d := cmp.Diff(want, mustPlan(t, in).Drops); d != "" {
		t.Error(d)
	}
	in.Target.Objects = append(in.Target.Objects, Object{"foreign table", "app", "stays too"})
	if p = mustPlan(t, in); len(p.Drops) != 3 || strings.Contains(p.Drops[2].SQL, "CASCADE") {
		t.Errorf("%+v", p.Drops)
	}
	// Large objects are told apart by their numbers, of which an entry lists many.
	in.Entries = append(in.Entries[:3], archive.Entry{ID: 7, Kind: "BLOB METADATA", Tag: "LARGE OBJECTS 5..7", Create: "5\n7\n"}, archive.Entry{ID: 8, Kind: "BLOB", Tag: "9"})
	in.Target.Objects = []Object{{"large object", "", "5"}, {"large object", "", "6"}, {"large object", "", "9"}}
	want = []Drop{{
		Object{"large objects", "", "5 to 9"}, "SELECT pg_catalog.count(pg_catalog.lo_unlink(l.oid)) FROM pg_catalog.pg_largeobject_metadata l WHERE l.oid IN (5, 9);\n",
	}}
	if d := cmp.Diff(want, mustPlan(t, in).Drops); d != "" {
		t.Error(d)
	}
	in.Rules.Collision = Ignore
	if blocked := strings.Join(mustPlan(t, in).Blocked(), ""); !strings.Contains(blocked, "(large object 5, large object 9)") {
		t.Error(blocked)
	}
	in.Entries = in.Entries[:3]
	in.Rules.Collision, in.Target.Objects = Ignore, []Object{{"table", "other", "x"}, {"schema", "", "app"}}
	p = mustPlan(t, in)
	if len(p.Blocked()) > 0 || p.Items[0].SQL != "CREATE SCHEMA IF NOT EXISTS app;\n" {
		t.Errorf("%q %+v", p.Blocked(), p.Items[0])
	}
}

// What the role map names has to be there, or it was mistyped.
func TestRoleMapNames(t *testing.T) {
	t.Parallel()
	in := azureInput()
	in.Rules.Roles = map[string]string{"app_rw": "one", "App_RW": "two", "nobody": "three"}
	blocked := mustPlan(t, in).Blocked()
	if len(blocked) != 2 || !strings.Contains(blocked[0], `"App_RW"`) || !strings.Contains(blocked[1], `"nobody"`) {
		t.Errorf("%q", blocked)
	}
	in.Source.Roles, in.Source.Memberships = nil, nil // of an archive without any
	if blocked := mustPlan(t, in).Blocked(); len(blocked) > 0 {
		t.Errorf("%q", blocked)
	}
}

// Privileges on parameters are told, but for those that the target has, those of
// the platform's roles and those of roles that stay behind.
func TestParameterGrants(t *testing.T) {
	t.Parallel()
	in := azureInput()
	in.Rules.Roles = map[string]string{"app_rw": "App"}
	in.Source.ParameterGrants = []ParameterGrant{
		{Parameter: "log_statement", Role: "app_rw", Privilege: "SET", Grantable: true},
		{Parameter: "my.opt", Privilege: "ALTER SYSTEM"},
		{Parameter: "work_mem", Role: "azure_pg_admin", Privilege: "ALTER SYSTEM"},
		{Parameter: "work_mem", Role: "app_owner", Privilege: "SET"},
		{Parameter: "work_mem", Role: "azuresu", Privilege: "SET"},
	}
	in.Target.ParameterGrants = []ParameterGrant{{Parameter: "work_mem", Privilege: "SET"}, {Parameter: "log_statement", Role: "App", Privilege: "SET"}}
	want := `can: GRANT SET ON PARAMETER log_statement TO "App" WITH GRANT OPTION; GRANT ALTER SYSTEM ON PARAMETER my.opt TO PUBLIC`
	if text := notes(mustPlan(t, in), Warn); !strings.HasSuffix(text, want) && !strings.Contains(text, want+"\n") {
		t.Error(text)
	}
	in.Source.ParameterGrants = in.Source.ParameterGrants[2:]
	if text := notes(mustPlan(t, in), Warn); strings.Contains(text, "PARAMETER") {
		t.Error(text)
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	in := azureInput()
	in.Source.Database, in.Target.Database = "azure_sys", "postgres"
	in.Target.Host = "ep-cool-name-123-pooler.eu.aws.neon.tech"
	in.Target.Parameters["neon.max_cluster_size"] = Parameter{Value: "100"}
	in.Source.CronJobs = []CronJob{{ID: 4, Schedule: "@daily", Command: "SELECT 'x'", Database: "azure_sys", User: "azadmin"}}
	in.Source.Unread = []string{"something"}
	p := mustPlan(t, in)
	blocked, warned := notes(p, Block), notes(p, Warn)
	for _, want := range []string{`"azure_sys" belongs to Azure`, `"postgres" belongs to Neon`, "1024 MB, and the target may grow to 100 MB"} {
		if !strings.Contains(blocked, want) {
			t.Errorf("no %q in\n%s", want, blocked)
		}
	}
	for _, want := range []string{"ep-cool-name-123.eu.aws.neon.tech is used", "at the target: 1; the plan", "something"} {
		if !strings.Contains(warned, want) {
			t.Errorf("no %q in\n%s", want, warned)
		}
	}
	if want := "SELECT cron.schedule_in_database('job 4', '@daily', 'SELECT ''x''', 'postgres', 'neondb_owner', false);\n"; !strings.HasSuffix(p.CronScript, want) {
		t.Error(p.CronScript)
	}
	if p.Estimate.Bytes != 1<<30 || p.Estimate.Seconds < 10 {
		t.Errorf("%+v", p.Estimate)
	}
	if _, err := p.Apply(nil); err == nil {
		t.Error("a plan that blocks was applied")
	}
	if b := p.Blocked(); len(b) != 3 {
		t.Errorf("%q", b)
	}
	in.Source.Platform = "nowhere"
	if _, err := NewPlan(in); err == nil || !strings.Contains(err.Error(), "azure, azure-single, neon, postgres") {
		t.Error(err)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"ep-cool-name-123-pooler.eu.aws.neon.tech": "ep-cool-name-123.eu.aws.neon.tech",
		"ep-cool-name-123.eu.aws.neon.tech":        "ep-cool-name-123.eu.aws.neon.tech",
		"my-pooler.example.com":                    "my-pooler.example.com",
		"ep-x-pooler":                              "ep-x",
	} {
		got, changed := Neon.DirectHost(host)
		if got != want || changed != (host != want) {
			t.Errorf("%s: %s %v", host, got, changed)
		}
	}
	if OfHost("A.Postgres.Database.Azure.com") != AzureFlexible || OfHost("x.eu.aws.neon.tech") != Neon || OfHost("localhost") != Plain {
		t.Error("hosts")
	}
	if _, err := ParseName("oracle"); err == nil {
		t.Error("a platform nobody knows")
	}
}

// TestApplyEdges leaves entries out in the middle of a chain.
func TestApplyEdges(t *testing.T) {
	t.Parallel()
	in := azureInput()
	in.Entries = []archive.Entry{
		{ID: 1, Kind: "SCHEMA", Tag: "app", Owner: "app_owner", Create: "CREATE SCHEMA app;\n", Drop: "x"},
		{ID: 2, Kind: "EXTENSION", Tag: "azure", Create: "CREATE EXTENSION IF NOT EXISTS azure WITH SCHEMA app;\n", After: []int{1}},
		{ID: 3, Kind: "COMMENT", Tag: "EXTENSION azure", After: []int{2}},
		{ID: 4, Kind: "ROW SECURITY", Namespace: "app", Tag: "t", Create: "ALTER TABLE app.t ENABLE ROW LEVEL SECURITY;\n", After: []int{3, 1, 99}},
	}
	out, err := mustPlan(t, in).Apply(in.Entries)
	if err != nil || len(out) != 2 {
		t.Fatalf("%v %+v", err, out)
	}
	if d := cmp.Diff([]int{1, 99}, out[1].After); d != "" {
		t.Error(d)
	}
	if _, err := mustPlan(t, in).Apply(append(in.Entries, archive.Entry{ID: 5, Kind: "TABLE", Tag: "new"})); err == nil {
		t.Error("an entry that the plan does not know")
	}
}
