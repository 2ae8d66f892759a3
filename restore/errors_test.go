package restore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// faulty makes an archive that a server of another version, which lacks its
// roles, cannot take as it is.
func faulty(t *testing.T) (dir, owner string) {
	t.Helper()
	s := pgtest.Start(t, 17)
	owner, reader := s.Role(t, ""), s.Role(t, "")
	from := s.Database(t)
	s.Exec(t, from, `CREATE TABLE exists_already (a int); INSERT INTO exists_already VALUES (1), (2);
		CREATE TABLE owned (a int UNIQUE); ALTER TABLE owned OWNER TO `+owner+`; GRANT SELECT ON owned TO `+reader+`;
		INSERT INTO owned SELECT generate_series(1, 10);
		CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
		CREATE TABLE late (a int REFERENCES owned (a)); INSERT INTO late VALUES (3);`)
	return dumpDir(t, s, from), owner
}

func TestErrorsAreListedAndTheRestGoesOn(t *testing.T) {
	dir, owner := faulty(t)
	s := pgtest.Start(t, 18)
	to := s.Database(t)
	s.Exec(t, to, "CREATE TABLE exists_already (a int); INSERT INTO exists_already VALUES (7);")
	report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{
		"TABLE public.exists_already 42P07",
		"TABLE public.owned 42704",
		"ACL TABLE public.owned 42704",
	}, failures(report)); d != "" {
		t.Errorf("failures (-want +got):\n%s", d)
	}
	if report.Complete() {
		t.Error("the report says that nothing failed")
	}
	if want := "ALTER TABLE public.owned OWNER TO " + owner + ";"; len(report.Failed) > 1 && report.Failed[1].SQL != want {
		t.Errorf("statement = %s, want %s", report.Failed[1].SQL, want)
	}
	for query, want := range map[string]string{
		"SELECT count(*) FROM exists_already": "3", // not emptied: this run did not create it
		"SELECT count(*) FROM owned":          "10",
		"SELECT f()":                          "1",
		"SELECT count(*) FROM pg_constraint WHERE contype IN ('u', 'f') AND connamespace = 'public'::regnamespace": "2",
	} {
		if got := s.Text(t, to, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestExitOnError(t *testing.T) {
	dir, _ := faulty(t)
	s := pgtest.Start(t, 18)
	to := s.Database(t)
	report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{ExitOnError: true})
	failed, ok := errors.AsType[*restore.StepError](err)
	if !ok || failed.Kind != "TABLE" || failed.Name != "public.owned" {
		t.Fatalf("err = %v, want the failure of table owned", err)
	}
	if len(report.Failed) != 1 || report.Failed[0] != failed {
		t.Errorf("failed = %v, want that one", report.Failed)
	}
	// The table is there without its owner; of what comes after it, nothing is.
	if got := s.Text(t, to, "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace"); got != "exists_already late owned" {
		t.Errorf("relations: %s", got)
	}
	if got := s.Text(t, to, "SELECT count(*) FROM owned"); got != "0" {
		t.Errorf("%s rows were loaded after the failure", got)
	}
}

func TestExitOnErrorInLoad(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := s.Database(t)
	s.Exec(t, from, "CREATE TABLE a (v int); CREATE TABLE b (v int); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); CREATE INDEX i ON b (v);")
	dir, to := dumpDir(t, s, from), s.Database(t)
	s.Exec(t, to, "CREATE TABLE a (v int CHECK (v > 1));")
	_, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{ExitOnError: true, DataOnly: true, Jobs: 1})
	failed, ok := errors.AsType[*restore.StepError](err)
	if !ok || failed.Kind != "TABLE DATA" || !strings.Contains(failed.Err.Error(), ".dat") || !strings.Contains(failed.SQL, "COPY public.") {
		t.Fatalf("err = %#v, want the failure of the first load, with its file and statement", err)
	}
}

// A definition that the server finds fault with is shown with the line.
func TestErrorLine(t *testing.T) {
	s := pgtest.Start(t, 18)
	src := entries{
		{ID: 1, Kind: "VIEW", Tag: "ü", Namespace: "public", Section: archive.SectionPreData, Create: "CREATE VIEW public.\"ü\" AS\n SELECT 'ü',\n  nothing;\n", Drop: "DROP VIEW public.\"ü\";\n", Owner: "nobody_at_all"},
		{ID: 2, Kind: "TABLE", Tag: "t", Namespace: "public", Section: archive.SectionPreData, Create: "CREATE TABLE public.t (a int); SELECT 1/0;"},
		{ID: 3, Kind: "TABLE", Tag: "u", Namespace: "public", Section: archive.SectionPreData, Create: "CREATE TABLE public.u (a int);", Tablespace: new("nowhere")},
	}
	to := s.Database(t)
	report, err := restore.Run(t.Context(), s.Config(t, to), src, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"VIEW public.ü 42703", "TABLE public.t 22012", "TABLE public.u 22023"}, failures(report)); d != "" {
		t.Fatalf("failures (-want +got):\n%s", d)
	}
	if got := report.Failed[0].Line; got != 3 {
		t.Errorf("line %d, want 3", got)
	}
	if got := s.Text(t, to, "SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"); got != "u" {
		t.Errorf("tables %q, want u: a definition is done as a whole, a table without its tablespace too", got)
	}
}

func TestTargetOutOfReach(t *testing.T) {
	s := pgtest.Start(t, 18)
	_, dir := small(t, s, "10")
	cfg := s.Config(t, "no_such_database")
	if _, err := restore.Run(context.Background(), cfg, open(t, dir), restore.Options{}); err == nil || !strings.Contains(err.Error(), "no_such_database") {
		t.Errorf("err = %v, want one that names the database", err)
	}
}

func TestCleanAndIfExists(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := kinds(t, s)
	dir, to := dumpDir(t, s, from), s.Database(t)
	run(t, s, to, dir, restore.Options{Clean: true, IfExists: true, Jobs: 3}) // nothing is there to be dropped
	same(t, s, from, to)
	run(t, s, to, dir, restore.Options{Clean: true, IfExists: true, Jobs: 3})
	same(t, s, from, to)
	run(t, s, to, dir, restore.Options{Clean: true, Jobs: 3})
	same(t, s, from, to)
}

func TestFiltersInPieces(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := kinds(t, s)
	dir := dumpDir(t, s, from)

	schema := s.Database(t)
	if report := run(t, s, schema, dir, restore.Options{SchemaOnly: true}); report.Rows != 0 {
		t.Errorf("%d rows of a schema", report.Rows)
	}
	o := pgtest.Oracle(t)
	if d := cmp.Diff(o.SchemaText(t, s.DSN(from)), o.SchemaText(t, s.DSN(schema))); d != "" {
		t.Errorf("schema differs (-source +copy):\n%s", d)
	}

	data := s.Database(t)
	run(t, s, data, dir, restore.Options{Sections: []archive.Section{archive.SectionPreData}})
	if report := run(t, s, data, dir, restore.Options{DataOnly: true, Jobs: 4}); report.Rows != 2360 {
		t.Errorf("%d rows, want 2360", report.Rows)
	}

	sections := s.Database(t)
	for _, section := range []archive.Section{archive.SectionPreData, archive.SectionData, archive.SectionPostData} {
		run(t, s, sections, dir, restore.Options{Sections: []archive.Section{section}})
	}
	same(t, s, from, sections)

	bare := s.Database(t)
	run(t, s, bare, dir, restore.Options{NoOwner: true, NoPrivileges: true, NoComments: true})
	flags := []string{"--no-owner", "--no-privileges", "--no-comments"}
	if d := cmp.Diff(o.SchemaText(t, s.DSN(from), flags...), o.SchemaText(t, s.DSN(bare), flags...)); d != "" {
		t.Errorf("schema differs (-source +copy):\n%s", d)
	}
	const left = `SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace AND (relowner <> 10 OR relacl IS NOT NULL))
		+ (SELECT count(*) FROM pg_description WHERE objoid = 'app'::regnamespace OR objoid = 'app.parent'::regclass)`
	if got := s.Text(t, bare, left); got != "0" {
		t.Errorf("%s objects have an owner, privileges or a comment", got)
	}
}

func TestRole(t *testing.T) {
	s := pgtest.Start(t, 18)
	_, dir := small(t, s, "10")
	role := s.Role(t, "")
	to := s.Database(t)
	s.Exec(t, to, "GRANT CREATE ON SCHEMA public TO "+role)
	run(t, s, to, dir, restore.Options{Role: role, NoOwner: true})
	if got := s.Text(t, to, "SELECT relowner::regrole FROM pg_class WHERE relname = 't'"); got != role {
		t.Errorf("the table is %s's, want %s's", got, role)
	}
}
