package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// corpus are databases with objects of every kind.
func corpus(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("../dump/testdata/*.sql")
	if err != nil || len(files) == 0 {
		tb.Fatal("no corpus", err)
	}
	return append(files, pgtest.Sample(tb, "shop.sql"))
}

// load runs a file of the corpus. "--@since N" on a line of its own leaves what
// follows it to servers of N and later, at the end of a line that line.
func load(tb testing.TB, s *pgtest.Server, db, file string) {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	take := true
	for line := range strings.Lines(string(text)) {
		statement, condition, found := strings.Cut(line, "--@since ")
		n, _ := strconv.Atoi(strings.TrimSpace(condition))
		if found && statement == "" {
			take = s.Major >= n
		} else if take && s.Major >= n {
			b.WriteString(statement + "\n")
		}
	}
	s.Exec(tb, db, b.String())
}

// schemaLines are the differences of definitions.
func schemaLines(r *verify.Report, expected bool) []string {
	var out []string
	for _, d := range r.Differences {
		if (d.Expected != "") != expected {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s %s.%s: %s %s\n--source\n%s\n--target\n%s", d.Level, d.Kind, d.Schema, d.Name, d.Status, d.Expected, d.Source, d.Target))
	}
	return out
}

// What a dump restores is the same by definition, whatever the versions are.
func TestSchemaEqual(t *testing.T) {
	t.Parallel()
	files := corpus(t)
	few := slices.DeleteFunc(slices.Clone(files), func(f string) bool {
		return !slices.Contains([]string{"views.sql", "functions.sql", "types.sql"}, filepath.Base(f))
	})
	for _, tt := range []struct {
		from, to int
		files    []string
	}{{13, 18, files}, {15, 17, few}, {18, 18, few[:1]}} {
		for _, file := range tt.files {
			t.Run(fmt.Sprintf("%d to %d/%s", tt.from, tt.to, filepath.Base(file)), func(t *testing.T) {
				for _, m := range []int{tt.from, tt.to} {
					if !slices.Contains(pgtest.Versions(t), m) {
						t.Skipf("PGHAUL_TEST_VERSIONS leaves out %d", m)
					}
				}
				s, d := pgtest.Start(t, tt.from), pgtest.Start(t, tt.to)
				from, to := s.Database(t), d.Database(t)
				load(t, s, from, file)
				archived(t, s, from, d, to, dump.Options{})
				r := compare(t, s.Config(t, from), d.Config(t, to), verify.Options{Levels: []verify.Level{verify.LevelSchema}})
				if lines := schemaLines(r, false); len(lines) > 0 || !r.Equal() || r.Levels[0].Compared == 0 {
					t.Errorf("%d compared:\n%s", r.Levels[0].Compared, strings.Join(lines, "\n"))
				}
			})
		}
	}
}

// A change of anything is found, by the object's name, also between versions.
func TestSchemaDifferent(t *testing.T) {
	t.Parallel()
	const sql = `CREATE TABLE a (id int PRIMARY KEY, v text NOT NULL DEFAULT 'x', CONSTRAINT short CHECK (length(v) < 9));
		CREATE INDEX by_v ON a (v); CREATE VIEW w AS SELECT a.id, a.v FROM a WHERE a.id > 1; CREATE SCHEMA s2; CREATE TABLE s2.a (id int, v text);
		CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE p(x int) LANGUAGE sql AS '';
		CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t1 BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION trig();
		CREATE SEQUENCE q; CREATE TYPE e AS ENUM ('a', 'b'); COMMENT ON TABLE a IS 'one'; ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON a USING (id > 0);
		CREATE TYPE span AS RANGE (subtype = int); CREATE VIEW both_v AS SELECT x.id FROM a x JOIN s2.a y ON x.id = y.id WHERE x.v = 'k';
		CREATE POLICY other ON a USING (EXISTS (SELECT FROM s2.a o WHERE o.id = a.id))`
	s, d := oldest(t), newest(t)
	from, base := s.Database(t), d.Database(t)
	s.Exec(t, from, sql)
	archived(t, s, from, d, base, dump.Options{})
	for i, tt := range []struct {
		changes string
		want    []string
	}{
		{"ALTER TABLE a ALTER v DROP DEFAULT", []string{"TABLE public.a different"}},
		{"GRANT SELECT ON a TO PUBLIC", nil},
		{
			`ALTER TABLE a ALTER v DROP NOT NULL; DROP INDEX by_v; CREATE INDEX by_v ON a (v DESC);
			CREATE OR REPLACE VIEW w AS SELECT a.id, a.v FROM a WHERE a.id > 2; COMMENT ON TABLE a IS 'two';
			CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE VIEW more AS SELECT 1;
			CREATE OR REPLACE PROCEDURE p(x int) LANGUAGE sql AS 'SELECT 1'; ALTER TABLE a DISABLE ROW LEVEL SECURITY`,
			[]string{
				"COMMENT public.TABLE a different", "FUNCTION public.f(integer) different", "INDEX public.by_v different", "PROCEDURE public.p(integer) different",
				"ROW SECURITY public.a missing in target", "TABLE public.a different", "VIEW public.more missing in source", "VIEW public.w different",
			},
		},
		{
			`ALTER TABLE a DROP CONSTRAINT short; DROP INDEX by_v; CREATE OR REPLACE VIEW w AS SELECT a.id, a.v FROM s2.a WHERE a.id > 1;
			ALTER TABLE a DISABLE TRIGGER t1; ALTER SEQUENCE q INCREMENT 2; ALTER TYPE e ADD VALUE 'c'; ALTER POLICY own ON a USING (id > 1)`,
			[]string{
				"INDEX public.by_v missing in target", "POLICY public.a own different", "SEQUENCE public.q different", "TABLE public.a different",
				"TRIGGER public.a t1 different", "TYPE public.e different", "VIEW public.w different",
			},
		},
		{ // the same words but for the table that a column is of
			`CREATE OR REPLACE VIEW both_v AS SELECT x.id FROM a x JOIN s2.a y ON x.id = y.id WHERE y.v = 'k';
			ALTER POLICY other ON a USING (EXISTS (SELECT FROM s2.a o WHERE o.id = o.id))`,
			[]string{"POLICY public.a other different", "VIEW public.both_v different"},
		},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			to := d.DatabaseFrom(t, base)
			d.Exec(t, to, tt.changes)
			r := compare(t, s.Config(t, from), d.Config(t, to), verify.Options{Levels: []verify.Level{verify.LevelSchema}})
			var got []string
			for _, x := range r.Differences {
				got = append(got, fmt.Sprintf("%s %s.%s %s", x.Kind, x.Schema, x.Name, x.Status))
				if x.Source == x.Target || (x.Source == "") != (x.Status == verify.MissingInSource) {
					t.Errorf("%q and %q are said to differ", x.Source, x.Target)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || r.Equal() != (tt.want == nil) {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The definitions of an archive compare with the database it became, those of
// an old pg_dump's archive too.
func TestSchemaOfArchive(t *testing.T) {
	t.Parallel()
	o := pgtest.OracleOf(t, 15)
	if !slices.Contains(pgtest.Versions(t), 15) {
		t.Skip("PGHAUL_TEST_VERSIONS leaves out 15")
	}
	s, d := pgtest.Start(t, 15), newest(t)
	from, to := s.Database(t), d.Database(t)
	load(t, s, from, "../dump/testdata/views.sql")
	s.Exec(t, from, "SELECT lo_from_bytea(77, 'seventy-seven'), lo_from_bytea(78, decode(repeat('ab', 2000000), 'hex'))")
	path := filepath.Join(pgtest.TempDir(t), "dump")
	o.Dump(t, "-Fc", "-f", path, "-d", s.DSN(from))
	r := openArchive(t, path)
	if report, err := restore.Run(t.Context(), d.Config(t, to), restore.FromArchive(r), restore.Options{}); err != nil || !report.Complete() {
		t.Fatalf("restore: %v, %+v", err, report)
	}
	report, err := verify.FromArchive(t.Context(), r, d.Config(t, to), verify.Options{})
	if err != nil || !report.Equal() {
		t.Fatalf("%v\n%s\n%s", err, strings.Join(schemaLines(report, false), "\n"), strings.Join(differences(report), "\n"))
	}
	if got := report.LargeObjects.Source; got != report.LargeObjects.Target || got != (verify.LargeObjects{Count: 2, Bytes: 2000013}) {
		t.Errorf("large objects: %+v", report.LargeObjects)
	}
	d.Exec(t, to, "DROP VIEW plain_v CASCADE; SELECT lo_put(77, 0, 'S')")
	if report, err = verify.FromArchive(t.Context(), r, d.Config(t, to), verify.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := report.Levels[0].Different; got != 4 { // the view, its comments, and one upon it
		t.Errorf("%d definitions differ:\n%s", got, strings.Join(schemaLines(report, false), "\n"))
	}
}

func TestLargeObjects(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		role := s.Role(t, "LOGIN")
		source, target := two(t, s, `SELECT lo_from_bytea(oid, convert_to('object ' || oid, 'UTF8')) FROM generate_series(50001::oid::int, 50450) oid;
			SELECT lo_from_bytea(7, decode(repeat('00ff', 1500000), 'hex')), lo_from_bytea(8, ''), lo_from_bytea(9, decode(repeat('aa', 1048576), 'hex'))`)
		options := verify.Options{Levels: []verify.Level{verify.LevelLargeObjects}}
		r := compare(t, s.Config(t, source), s.Config(t, target), options)
		if !r.Equal() || r.LargeObjects.Source != r.LargeObjects.Target || r.LargeObjects.Source.Count != 453 || r.Levels[0].Compared != 453 {
			t.Fatalf("%+v %+v", r.LargeObjects, r.Differences)
		}
		s.Exec(t, target, "SELECT lo_put(7, 2999999, 'x'), lo_unlink(50002), lo_from_bytea(60000, 'more'), lo_put(8, 0, 'no longer empty')")
		r = compare(t, s.Config(t, source), s.Config(t, target), options)
		var got []string
		for _, d := range r.Differences {
			got = append(got, d.Name+" "+string(d.Status))
		}
		want := []string{"7 different", "8 different", "50002 missing in target", "60000 missing in source"}
		if diff := cmp.Diff(want, got); diff != "" || r.Equal() {
			t.Error(diff)
		}
		// What the role may not read is a problem of that object.
		s.Exec(t, source, "GRANT SELECT ON LARGE OBJECT 7 TO "+role)
		cfg := s.Config(t, source)
		cfg.User = role
		r = compare(t, cfg, s.Config(t, target), options)
		if len(r.Differences) != 101 || r.Differences[0].Name != "7" || !strings.HasPrefix(r.Differences[1].Source, "permission denied for large object 8") ||
			r.Differences[100].Name != "and 354 more" || r.Levels[0].Different != 454 {
			t.Errorf("%d differences: %+v", len(r.Differences), r.Differences[:2])
		}
		s.Exec(t, source, "DROP OWNED BY "+role)
	})
}

func TestParseLevels(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"schema": "[schema]", "digest, counts": "[digest counts]", "default": "[schema counts digest sequences large-objects]",
		"all": "[schema counts digest sequences large-objects indexes security statistics]", "default,security": "[schema counts digest sequences large-objects security]",
		"": "error", "shema": "error",
	} {
		got, err := verify.ParseLevels(list)
		text := fmt.Sprint(got)
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("%q: %s, %v; want %s", list, text, err, want)
		}
	}
}
