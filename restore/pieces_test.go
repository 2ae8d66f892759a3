package restore_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// large makes a database whose tables are large enough for their keys to be made
// in pieces, with keys and foreign keys of all shapes.
func large(t *testing.T, s *pgtest.Server) (db, dir string) {
	t.Helper()
	db = s.Database(t)
	s.Exec(t, db, `CREATE TABLE a (id int PRIMARY KEY, "odd ""name" int NOT NULL, v text, w int);
		INSERT INTO a SELECT i, i, md5(i::text) || md5(i::text), 1 FROM generate_series(1, 6000) i;
		ALTER TABLE a ADD CONSTRAINT "A key" UNIQUE ("odd ""name", id);
		ALTER TABLE a ADD CONSTRAINT a_include UNIQUE (id) INCLUDE (v) WITH (fillfactor = 70);
		ALTER TABLE a ADD CONSTRAINT a_late UNIQUE (id, "odd ""name") DEFERRABLE INITIALLY DEFERRED;
		CREATE INDEX a_v ON a (v); CREATE INDEX a_w ON a (w); ALTER TABLE a CLUSTER ON a_v; ALTER TABLE a REPLICA IDENTITY USING INDEX a_pkey;
		COMMENT ON CONSTRAINT a_pkey ON a IS 'the key';
		CREATE TABLE b (id int PRIMARY KEY, a int, v text DEFAULT repeat('x', 60), up int);
		INSERT INTO b SELECT i, i, repeat('y', 60), 1 FROM generate_series(1, 6000) i; CREATE INDEX b_a ON b (a);
		ALTER TABLE b ADD CONSTRAINT b_a_fk FOREIGN KEY (a) REFERENCES a (id) MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
		ALTER TABLE b ADD CONSTRAINT b_up FOREIGN KEY (up) REFERENCES b (id);
		ALTER TABLE b ADD CONSTRAINT b_open FOREIGN KEY (up) REFERENCES a (id) NOT VALID;
		CREATE TABLE p (id int PRIMARY KEY, a int REFERENCES a (id)) PARTITION BY RANGE (id);
		CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100000);
		INSERT INTO p SELECT i, 1 FROM generate_series(1, 50000) i; CREATE INDEX ON p (a);
		ANALYZE;`)
	return db, dumpDir(t, s, db, "-Z", "none", "--no-statistics")
}

// Keys that are made in pieces come out the same.
func TestKeysInPieces(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		from, dir := large(t, s)
		to := s.Database(t)
		run(t, s, to, dir, restore.Options{Jobs: 3, Analyze: true})
		same(t, s, from, to)
		const catalog = `SELECT string_agg(format('%s %s %s %s %s %s', conname, convalidated, indisprimary, indisreplident, indimmediate, (SELECT count(*) FROM pg_depend d WHERE d.objid = i.indexrelid)), E'\n' ORDER BY conname)
			FROM pg_constraint c LEFT JOIN pg_index i ON i.indexrelid = c.conindid AND contype <> 'f' WHERE connamespace = 'public'::regnamespace`
		if d := cmp.Diff(s.Text(t, from, catalog), s.Text(t, to, catalog)); d != "" {
			t.Errorf("catalogs differ (-source +copy):\n%s", d)
		}
		if got := s.Text(t, to, "SELECT count(DISTINCT tablename) FROM pg_stats WHERE schemaname = 'public'"); got != "3" {
			t.Errorf("%s tables were analyzed, want 3", got)
		}
	})
}

// Which definitions are made in pieces.
func TestPlanPieces(t *testing.T) {
	s := pgtest.Start(t, 18)
	_, dir := large(t, s)
	pieces := func(opts restore.Options) string {
		p, err := restore.NewPlan(open(t, dir), opts)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, s := range p.Steps {
			for _, piece := range []string{" index", " attach", " add", " validate"} {
				if strings.HasSuffix(s.Key, piece) {
					list = append(list, s.Key)
				}
			}
		}
		return strings.Join(list, "\n")
	}
	want := `CONSTRAINT public."a A key" index
CONSTRAINT public."a A key" attach
CONSTRAINT public."b b_pkey" index
CONSTRAINT public."b b_pkey" attach
CONSTRAINT public."p1 p1_pkey" index
CONSTRAINT public."p1 p1_pkey" attach
FK CONSTRAINT public."b b_a_fk" add
FK CONSTRAINT public."b b_a_fk" validate
FK CONSTRAINT public."b b_up" add
FK CONSTRAINT public."b b_up" validate`
	if d := cmp.Diff(want, pieces(restore.Options{})); d != "" {
		t.Errorf("pieces (-want +got):\n%s", d)
	}
	for name, opts := range map[string]restore.Options{
		"schema only": {SchemaOnly: true}, "transaction": {SingleTransaction: true},
		"tables exist": {Sections: []archive.Section{archive.SectionPostData}},
	} {
		if got := pieces(opts); got != "" {
			t.Errorf("%s: pieces\n%s", name, got)
		}
	}
}

// An editSource is a Source with other definitions.
type editSource struct {
	restore.Source
	edit func(e *archive.Entry)
}

func (s editSource) Entries() []archive.Entry {
	list := append([]archive.Entry(nil), s.Source.Entries()...)
	for i := range list {
		s.edit(&list[i])
	}
	return list
}

// What the rows do not allow is refused as if it had been asked for in one
// statement, and leaves nothing behind.
func TestKeysInPiecesRefused(t *testing.T) {
	s := pgtest.Start(t, 18)
	_, dir := large(t, s)
	src := editSource{open(t, dir), func(e *archive.Entry) {
		switch e.Tag {
		case "a A key":
			e.Create = strings.Replace(e.Create, `("odd ""name", id)`, "(w)", 1)
		case "b b_a_fk":
			e.Create = strings.Replace(e.Create, "FOREIGN KEY (a)", "FOREIGN KEY (nothing)", 1)
		}
	}}
	for name, stop := range map[string]bool{"go on": false, "stop": true} {
		t.Run(name, func(t *testing.T) {
			to := s.Database(t)
			report, err := restore.Run(t.Context(), s.Config(t, to), src, restore.Options{Jobs: 2, ExitOnError: stop})
			if (err != nil) != stop {
				t.Fatal(err)
			}
			got := strings.Join(failures(report), ", ")
			if !stop && (len(report.Failed) != 2 || !strings.Contains(got, "CONSTRAINT public.a A key 23505") || !strings.Contains(got, "FK CONSTRAINT public.b b_a_fk 42703")) {
				t.Errorf("failures: %s", got)
			}
			for _, f := range report.Failed {
				if !strings.Contains(f.SQL, "ADD CONSTRAINT") || strings.Contains(f.SQL, "NOT VALID") {
					t.Errorf("%s: the statement is %s", f.Name, f.SQL)
				}
			}
			if got := s.Text(t, to, `SELECT count(*) FROM pg_class WHERE relname = 'A key'`); got != "0" {
				t.Error("the index of a key that was refused is there")
			}
		})
	}
	src.edit = func(e *archive.Entry) {
		if e.Tag == "b b_up" {
			e.Create = strings.Replace(e.Create, "(up) REFERENCES public.b(id)", "(id) REFERENCES public.c(id)", 1)
		}
		if e.Kind == "TABLE" && e.Tag == "b" {
			e.Create += "CREATE TABLE public.c (id int PRIMARY KEY);\n"
		}
	}
	to := s.Database(t)
	report, err := restore.Run(t.Context(), s.Config(t, to), src, restore.Options{Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"FK CONSTRAINT public.b b_up 23503"}, failures(report)); d != "" {
		t.Errorf("failures (-want +got):\n%s", d)
	}
	if got := s.Text(t, to, `SELECT count(*) FROM pg_constraint WHERE conname = 'b_up'`); got != "0" {
		t.Error("the foreign key that the rows violate is there, not validated")
	}
}
