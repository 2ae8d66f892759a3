package dump_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// haul dumps a database and returns the archive's directory.
func haul(t *testing.T, s *pgtest.Server, db string, opts dump.Options) string {
	t.Helper()
	opts.Dir = filepath.Join(pgtest.TempDir(t), "archive")
	opts.NoSync = true
	report, err := dump.Run(t.Context(), s.Config(t, db), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range report.Skipped {
		t.Errorf("skipped %s %s: %s", x.Kind, x.Name, x.Reason)
	}
	return opts.Dir
}

func restoreInto(t *testing.T, s *pgtest.Server, db, dir string) {
	t.Helper()
	r, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	report, err := restore.Run(t.Context(), s.Config(t, db), restore.FromArchive(r), restore.Options{Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range report.Failed {
		t.Errorf("%v\n%s", e, e.SQL)
	}
	for _, x := range report.Skipped {
		t.Errorf("not restored: %s %s: %s", x.Kind, x.Name, x.Reason)
	}
}

// sameContents fails unless pg_dump sees no difference and every row is equal.
func sameContents(t *testing.T, source *pgtest.Server, db string, target *pgtest.Server, copied string) {
	t.Helper()
	oracle := pgtest.Oracle(t)
	if source.Major == target.Major {
		if d := cmp.Diff(oracle.SchemaText(t, source.DSN(db)), oracle.SchemaText(t, target.DSN(copied))); d != "" {
			t.Errorf("pg_dump -s differs (-source +target):\n%s", d)
		}
	}
	report, err := verify.Run(t.Context(), source.Config(t, db), target.Config(t, copied), verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range report.Tables {
		if !x.Equal && x.Expected == "" {
			t.Errorf("%s.%s: source %v, target %v %s", x.Schema, x.Name, x.Source, x.Target, x.Problem)
		}
	}
	for _, x := range report.Sequences {
		if !x.Equal {
			t.Errorf("sequence %s.%s: source %v, target %v", x.Schema, x.Name, x.Source, x.Target)
		}
	}
	if got, want := largeObjects(t, target, copied), largeObjects(t, source, db); got != want {
		t.Errorf("large objects: %s, want %s", got, want)
	}
}

func largeObjects(t *testing.T, s *pgtest.Server, db string) string {
	t.Helper()
	return s.Text(t, db, `SELECT coalesce(string_agg(m.oid || ' ' || encode(sha256(lo_get(m.oid)), 'hex'), E'\n' ORDER BY m.oid), '') FROM pg_largeobject_metadata m`)
}

// TestRoundTrip takes every input through all three ways there are between
// pghaul and PostgreSQL's own tools, on each server.
func TestRoundTrip(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input: %v", err)
	}
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for _, f := range files {
			t.Run(strings.TrimSuffix(filepath.Base(f), ".sql"), func(t *testing.T) {
				db := s.Database(t)
				loadSince(t, s, db, f)
				ours := haul(t, s, db, dump.Options{})
				t.Run("pghaul to pghaul", func(t *testing.T) {
					copied := s.DatabaseFrom(t, "template0")
					restoreInto(t, s, copied, ours)
					sameContents(t, s, db, s, copied)
				})
				if majors := pgtest.Versions(t); s.Major != majors[0] && s.Major != majors[len(majors)-1] {
					return // the other two ways differ by server only at the ends of the range
				}
				t.Run("pghaul to pg_restore", func(t *testing.T) {
					copied := s.DatabaseFrom(t, "template0")
					pgRestore(t, s, copied, ours)
					sameContents(t, s, db, s, copied)
				})
				t.Run("pg_dump to pghaul", func(t *testing.T) {
					theirs := filepath.Join(pgtest.TempDir(t), "theirs")
					pgtest.Oracle(t).Dump(t, "-Fd", "--compress=zstd", "-f", theirs, "-d", s.DSN(db))
					copied := s.DatabaseFrom(t, "template0")
					restoreInto(t, s, copied, theirs)
					sameContents(t, s, db, s, copied)
				})
			})
		}
	})
}

// pgRestore restores an archive with pg_restore 18. Servers before 17 refuse
// one of its settings, which it counts as an error.
func pgRestore(t *testing.T, s *pgtest.Server, db, dir string) {
	t.Helper()
	out, exit := pgtest.Oracle(t).Restore(t, "-d", s.DSN(db), dir)
	errors := strings.Count(out, "error:")
	if s.Major < 17 && exit == 1 && errors == 1 && strings.Contains(out, `unrecognized configuration parameter "transaction_timeout"`) {
		return
	}
	if exit != 0 {
		t.Errorf("pg_restore exits with %d:\n%s", exit, out)
	}
}

// TestUpward moves everything from the oldest server to the newest.
func TestUpward(t *testing.T) {
	majors := pgtest.Sources(t)
	source, target := pgtest.Start(t, majors[0]), pgtest.Start(t, majors[len(majors)-1])
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".sql"), func(t *testing.T) {
			db := source.Database(t)
			loadSince(t, source, db, f)
			copied := target.DatabaseFrom(t, "template0")
			restoreInto(t, target, copied, haul(t, source, db, dump.Options{}))
			sameContents(t, source, db, target, copied)
		})
	}
}

// TestDownward moves what a server knows one major down: 18 to 17.
func TestDownward(t *testing.T) {
	source, target := pgtest.Start(t, 18), pgtest.Start(t, 17)
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".sql"), func(t *testing.T) {
			db := source.Database(t)
			loadAs(t, source, db, f, 17)
			copied := target.DatabaseFrom(t, "template0")
			restoreInto(t, target, copied, haul(t, source, db, dump.Options{}))
			sameContents(t, source, db, target, copied)
		})
	}
}

// TestLargeValues moves values of 100 MB.
func TestLargeValues(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, `CREATE TABLE big (id int, b bytea, t text);
INSERT INTO big SELECT 1, decode(repeat('00ff5c0a', 26214400), 'hex'), 'x';
INSERT INTO big SELECT 2, NULL, repeat(E'abc\\\t\n', 15000000);
SELECT lo_from_bytea(77, decode(repeat('00ff5c0a', 5000000), 'hex')), lo_from_bytea(78, decode(repeat('00', 1048576), 'hex'));`)
	copied := s.DatabaseFrom(t, "template0")
	restoreInto(t, s, copied, haul(t, s, db, dump.Options{}))
	sameContents(t, s, db, s, copied)
}

// TestInherited restores what archives of pg_dump 18 do not: comments on
// constraints that an ancestor's entry makes, which they have before that entry;
// before 18 a NOT NULL that a table adds to an inherited column; before 15 an
// identity column of an unlogged table.
func TestInherited(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, `CREATE TABLE t3 (a int, b int); CREATE TABLE t2 () INHERITS (t3); CREATE TABLE t1 (c int) INHERITS (t2);
ALTER TABLE t3 ADD CONSTRAINT later CHECK (a > 0) NOT VALID; ALTER TABLE t2 ADD CONSTRAINT own CHECK (b > 0) NOT VALID;
COMMENT ON CONSTRAINT later ON t2 IS '2'; COMMENT ON CONSTRAINT later ON t1 IS '1'; COMMENT ON CONSTRAINT own ON t1 IS 'own';
CREATE TABLE s2 (k int, v int) PARTITION BY LIST (k); CREATE TABLE s1 PARTITION OF s2 FOR VALUES IN (1);
ALTER TABLE s2 ADD CONSTRAINT later CHECK (v > 0) NOT VALID; COMMENT ON CONSTRAINT later ON s1 IS 'part';
CREATE TABLE "N" (a int, "B b" int); CREATE TABLE n1 (c int) INHERITS ("N"); CREATE TABLE n2 () INHERITS (n1);
ALTER TABLE n1 ALTER a SET NOT NULL, ALTER "B b" SET NOT NULL; ALTER TABLE n1 ALTER "B b" SET STATISTICS 7;
CREATE UNLOGGED TABLE u (a int GENERATED ALWAYS AS IDENTITY); INSERT INTO u VALUES (DEFAULT)`)
		if s.Major >= 18 {
			s.Exec(t, db, `ALTER TABLE t3 ADD CONSTRAINT nn NOT NULL a NOT VALID; COMMENT ON CONSTRAINT nn ON t1 IS 'nn'`)
		}
		dir := haul(t, s, db, dump.Options{})
		copied := s.DatabaseFrom(t, "template0")
		restoreInto(t, s, copied, dir)
		sameContents(t, s, db, s, copied)
		again := s.DatabaseFrom(t, "template0")
		if out, exit := pgtest.Oracle(t).Restore(t, "-j", "4", "-d", s.DSN(again), dir); exit != 0 && s.Major >= 17 { // it sets transaction_timeout
			t.Errorf("pg_restore exits with %d:\n%s", exit, out)
		}
		sameContents(t, s, db, s, again)
	})
}
