package verify_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// guardedSQL has owners, privileges and policies of the roles app and reader.
func guardedSQL(app, reader string) string {
	return strings.NewReplacer("$app", app, "$reader", reader).Replace(`
CREATE SCHEMA s AUTHORIZATION $app; CREATE TABLE s.t (id int PRIMARY KEY, v text); ALTER TABLE s.t OWNER TO $app;
GRANT USAGE ON SCHEMA s TO $reader; GRANT SELECT (id), UPDATE (v) ON s.t TO $reader; GRANT SELECT ON s.t TO PUBLIC;
ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; ALTER TABLE s.t FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON s.t AS RESTRICTIVE FOR UPDATE TO $reader USING (id > 0) WITH CHECK ((SELECT count(*) FROM s.t x WHERE x.id = t.id) > 0);
CREATE VIEW s.w WITH (security_barrier) AS SELECT id FROM s.t;
CREATE FUNCTION s.f(a int, b text) RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = s AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION s.f(int, text) FROM PUBLIC; GRANT EXECUTE ON FUNCTION s.f(int, text) TO $reader WITH GRANT OPTION;
CREATE TABLE s.t2 (id int); CREATE POLICY other ON s.t2 TO $reader USING (true); CREATE POLICY gone ON s.t2 USING (id > 0); CREATE VIEW s.w2 AS SELECT id FROM s.t2;
CREATE FUNCTION s.g(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; CREATE FUNCTION s.h(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT EXECUTE ON FUNCTION s.h(int) TO $reader WITH GRANT OPTION; CREATE TYPE s.e AS ENUM ('a'); CREATE SEQUENCE s.q; GRANT USAGE ON SEQUENCE s.q TO $reader;
ALTER DEFAULT PRIVILEGES FOR ROLE $app IN SCHEMA s GRANT SELECT ON TABLES TO $reader;
SELECT lo_from_bytea(4711, 'x'); GRANT SELECT ON LARGE OBJECT 4711 TO $reader;`)
}

func securityLines(r *verify.Report) []string {
	out := []string{}
	for _, d := range r.Differences {
		line := fmt.Sprintf("%s %s.%s %s: %s -> %s", d.Kind, d.Schema, d.Name, d.Status, d.Source, d.Target)
		if d.Expected != "" {
			line += " (" + d.Expected + ")"
		}
		out = append(out, line)
	}
	return out
}

var securityOnly = []verify.Level{verify.LevelSecurity}

func TestSecurity(t *testing.T) {
	t.Parallel()
	s := newest(t)
	app, reader := s.Role(t, "NOLOGIN"), s.Role(t, "LOGIN CONNECTION LIMIT 5")
	source, base := two(t, s, guardedSQL(app, reader))
	s.Exec(t, "postgres", fmt.Sprintf("GRANT %s TO %s", app, reader))
	r := compare(t, s.Config(t, source), s.Config(t, base), verify.Options{Levels: securityOnly})
	if lines := securityLines(r); len(lines) > 0 || r.Levels[0].Compared < 14 {
		t.Errorf("%d compared: %s", r.Levels[0].Compared, strings.Join(lines, "\n"))
	}
	names := strings.NewReplacer("$app", app, "$reader", reader)
	target := s.DatabaseFrom(t, base)
	var changes, want []string
	for _, tt := range [][2]string{
		{"REVOKE UPDATE (v) ON s.t FROM $reader", "COLUMN s.t.v different: privileges of $reader: UPDATE -> "},
		{"GRANT INSERT (id) ON s.t2 TO $reader", "COLUMN s.t2.id different:  -> privileges of $reader: INSERT"},
		{
			"ALTER DEFAULT PRIVILEGES FOR ROLE $app IN SCHEMA s GRANT SELECT ON TABLES TO PUBLIC",
			"DEFAULT PRIVILEGES s.$app for tables different:  -> privileges of PUBLIC: SELECT",
		},
		{"ALTER FUNCTION s.f(int, text) RESET search_path", "FUNCTION s.f(integer, text) different: settings: search_path=s -> settings: none"},
		{"ALTER FUNCTION s.g(int) SECURITY INVOKER", "FUNCTION s.g(integer) different: security: definer\nsettings: none -> "},
		{
			"REVOKE GRANT OPTION FOR EXECUTE ON FUNCTION s.h(int) FROM $reader",
			"FUNCTION s.h(integer) different: privileges of $reader: EXECUTE with grant option -> privileges of $reader: EXECUTE",
		},
		{"REVOKE SELECT ON LARGE OBJECT 4711 FROM $reader", "LARGE OBJECT .4711 different: privileges of $reader: SELECT -> "},
		{"ALTER POLICY other ON s.t2 TO PUBLIC", "POLICY s.t2 other different: to: $reader -> to: PUBLIC"},
		{"DROP POLICY gone ON s.t2", "POLICY s.t2 gone missing in target: for: ALL\nto: PUBLIC\nusing: (id > 0) -> "},
		{"ALTER POLICY own ON s.t USING (id > 1)", "POLICY s.t own different: using: (id > 0) -> using: (id > 1)"},
		{
			"CREATE SCHEMA open; GRANT ALL ON SCHEMA open TO PUBLIC",
			"SCHEMA .open missing in source:  -> owner: " + s.Superuser + "\nprivileges of PUBLIC: CREATE, USAGE\nprivileges of the owner: CREATE, USAGE",
		},
		{"REVOKE ALL ON SEQUENCE s.q FROM $reader", "SEQUENCE s.q different: privileges of $reader: USAGE -> "},
		{
			"ALTER TABLE s.t NO FORCE ROW LEVEL SECURITY; REVOKE SELECT ON s.t FROM PUBLIC",
			"TABLE s.t different: privileges of PUBLIC: SELECT\nrow-level security for the owner: enabled -> ",
		},
		{"ALTER TABLE s.t2 OWNER TO $reader", "TABLE s.t2 different: owner: " + s.Superuser + " -> owner: $reader"},
		{"ALTER TYPE s.e OWNER TO $app", "TYPE s.e different: owner: " + s.Superuser + " -> owner: $app"},
		{"ALTER VIEW s.w RESET (security_barrier)", "VIEW s.w different: security_barrier: true -> "},
		{"ALTER VIEW s.w2 SET (security_barrier)", "VIEW s.w2 different:  -> security_barrier: true"},
	} {
		changes, want = append(changes, names.Replace(tt[0])), append(want, names.Replace(tt[1]))
	}
	s.Exec(t, target, strings.Join(changes, ";\n"))
	r = compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Levels: securityOnly})
	got := securityLines(r)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || r.Equal() || r.Levels[0].Different != len(want) {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Roles that only the target knows are told, if they have a say in its objects;
// so is how the databases sort text.
func TestSecurityExtra(t *testing.T) {
	t.Parallel()
	s := newest(t)
	d := pgtest.Private(t, s.Major, pgtest.Options{Template: true})
	source, target := s.Database(t), "other"
	d.Exec(t, "postgres", "CREATE DATABASE other TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	s.Exec(t, source, "CREATE TABLE a (x int)")
	d.Exec(t, target, "CREATE TABLE a (x int); CREATE ROLE stranger LOGIN BYPASSRLS; CREATE ROLE bystander; CREATE ROLE owner; GRANT SELECT ON a TO stranger; CREATE SCHEMA more AUTHORIZATION owner")
	r := compare(t, s.Config(t, source), d.Config(t, target), verify.Options{Levels: securityOnly})
	var got []string
	for _, x := range r.Differences {
		switch x.Kind {
		case "ROLE":
			got = append(got, x.Name+" "+string(x.Status)+": "+x.Target+x.Expected)
		case "DATABASE":
			if !strings.Contains(x.Source, "encoding: UTF8") || !strings.Contains(x.Target, "encoding: LATIN1") || x.Expected == "" {
				t.Errorf("database: %+v", x)
			}
			got = append(got, "database")
		case "TABLE":
			got = append(got, x.Name+": "+x.Target)
		}
	}
	want := []string{
		"database", "owner missing in source: inherit: yes", "stranger missing in source: bypassrls: yes\ninherit: yes\nlogin: yes",
		"a: privileges of stranger: SELECT",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r = compare(t, s.Config(t, source), d.Config(t, target), verify.Options{Levels: securityOnly, IgnoreExtra: true})
	for _, x := range r.Differences {
		if x.Kind == "ROLE" {
			t.Errorf("extra ones are to be ignored: %+v", x)
		}
	}
}

// Between servers of different versions, where roles are of different names:
// what the plan maps is equal, what it leaves out is expected.
func TestSecurityMapped(t *testing.T) {
	t.Parallel()
	s, d := oldest(t), newest(t)
	app, reader, gone := s.Role(t, "CREATEDB"), s.Role(t, "LOGIN"), s.Role(t, "")
	app2, reader2 := "new_"+app, "new_"+reader
	for _, r := range []string{app2 + " CREATEDB", reader2 + " LOGIN"} {
		d.Exec(t, "postgres", "CREATE ROLE "+r)
	}
	t.Cleanup(func() {
		if err := d.Server.Exec(context.Background(), "postgres", "DROP ROLE "+app2+"; DROP ROLE "+reader2); err != nil {
			t.Error(err)
		}
	})
	from, to := s.Database(t), d.Database(t)
	s.Exec(t, from, guardedSQL(app, reader)+"GRANT "+app+" TO "+reader+"; GRANT ALL ON s.t TO "+gone)
	d.Exec(t, to, guardedSQL(app2, reader2)+"GRANT "+app2+" TO "+reader2)
	plan := &platform.Plan{
		Target: platform.Facts{User: platform.Role{Name: d.Superuser, Superuser: true}},
		Roles: []platform.RoleItem{
			{From: app, To: app2, Role: platform.Role{Name: app2, Inherit: true, CreateDB: true, ConnLimit: -1}, Verdict: platform.Map},
			{From: reader, To: reader2, Role: platform.Role{Name: reader2, Inherit: true, Login: true, ConnLimit: -1}, Verdict: platform.Map},
			{From: gone, Verdict: platform.Skip, Reason: "nobody needs it", Role: platform.Role{Name: gone, Inherit: true, ConnLimit: -1}},
		},
		Memberships: []platform.MembershipItem{{Membership: platform.Membership{Role: app2, Member: reader2, Inherit: true, Set: true}, Verdict: platform.Map}},
	}
	run := func() *verify.Report {
		t.Helper()
		return compare(t, s.Config(t, from), d.Config(t, to), verify.Options{Levels: securityOnly, Plan: plan})
	}
	r := run()
	want := []string{
		"ROLE ." + gone + " missing in target: inherit: yes ->  (nobody needs it)",
	}
	var got []string
	for _, line := range securityLines(r) {
		if strings.Contains(line, "since PostgreSQL 15 schema public") || strings.Contains(line, "(privileges of roles that are left out at the target)") {
			continue
		}
		got = append(got, line)
	}
	expected := 2 // the role, and what it was granted
	if s.Major < 15 && d.Major >= 15 {
		expected++ // schema public
	}
	if diff := cmp.Diff(want, got); diff != "" || !r.Equal() || r.Levels[0].Expected != expected {
		t.Errorf("(-want +got):\n%s\n%s", diff, strings.Join(securityLines(r), "\n"))
	}
	d.Exec(t, to, "ALTER ROLE "+app2+" NOCREATEDB; REVOKE "+app2+" FROM "+reader2)
	r = run()
	got = nil
	for _, x := range r.Differences {
		if x.Expected == "" {
			got = append(got, x.Kind+" "+x.Name+" "+string(x.Status))
		}
	}
	if diff := cmp.Diff([]string{"MEMBERSHIP " + reader2 + " in " + app2 + " missing in target", "ROLE " + app2 + " different"}, got); diff != "" {
		t.Error(diff)
	}
}

// An index or statistics that are missing are found.
func TestIndexesAndStatistics(t *testing.T) {
	t.Parallel()
	s, d := oldest(t), newest(t)
	from, to := s.Database(t), d.Database(t)
	s.Exec(t, from, `CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT i, 'v' || i FROM generate_series(1, 100) i; INSERT INTO a VALUES (101, 'v1');
		CREATE INDEX by_v ON a (lower(v)) WHERE v > 'a'; CREATE TABLE empty (x int); ANALYZE`)
	archived(t, s, from, d, to, dump.Options{})
	options := verify.Options{Levels: []verify.Level{verify.LevelIndexes, verify.LevelStatistics}}
	r := compare(t, s.Config(t, from), d.Config(t, to), options)
	var lines []string
	for _, x := range r.Differences {
		lines = append(lines, fmt.Sprintf("%s %s %s", x.Level, x.Name, x.Status))
	}
	if d := cmp.Diff([]string{"statistics a missing in target"}, lines); d != "" {
		t.Error(d)
	}
	d.Exec(t, to, "ANALYZE; CREATE INDEX more ON a (v)")
	conn := d.Conn(t, to)
	if _, err := conn.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY broken ON a (upper(v))"); err == nil {
		t.Fatal("the index is unique")
	}
	d.Exec(t, to, "DROP INDEX by_v")
	r = compare(t, s.Config(t, from), d.Config(t, to), options)
	lines = nil
	for _, x := range r.Differences {
		lines = append(lines, fmt.Sprintf("%s %s %s %v", x.Level, x.Name, x.Status, strings.Contains(x.Target, "not valid")))
	}
	want := []string{"indexes broken missing in source true", "indexes by_v missing in target false", "indexes more missing in source false"}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
}

// The policy of two platforms is what is expected of a target, without a plan
// that somebody has kept.
func TestRules(t *testing.T) {
	t.Parallel()
	s, d := pgtest.Azure(t), pgtest.Neon(t)
	dir := filepath.Join(t.TempDir(), "dump")
	cfg := s.Config(t, "appdb")
	if _, err := dump.Run(t.Context(), cfg, dump.Options{Dir: dir, NoSync: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := restore.Run(t.Context(), d.Config(t, "neondb"), restore.FromArchive(openArchive(t, dir)), restore.Options{NoOwner: true, NoPrivileges: true}); err != nil {
		t.Fatal(err)
	}
	plain := compare(t, cfg, d.Config(t, "neondb"), verify.Options{Levels: verify.DefaultLevels()})
	ruled := compare(t, cfg, d.Config(t, "neondb"), verify.Options{Levels: verify.DefaultLevels(), Rules: &platform.Rules{}})
	if plain.Levels[0].Expected >= ruled.Levels[0].Expected || plain.Levels[0].Different <= ruled.Levels[0].Different {
		t.Errorf("without a plan %+v, with it %+v", plain.Levels[0], ruled.Levels[0])
	}
	// What needs roles is missing, as none were made; no secret is told.
	lines := strings.Join(append(schemaLines(ruled, false), differences(ruled)...), "\n")
	if !strings.Contains(lines, "POLICY app.customer p_read: missing in target") || !strings.Contains(lines, "USER MAPPING app_rw SERVER other: missing in target") ||
		strings.Contains(lines, "fdw-Sim") || ruled.Levels[0].Different != 2 {
		t.Errorf("%d differ:\n%s", ruled.Levels[0].Different, lines)
	}
}
