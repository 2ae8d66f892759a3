package restore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// A created database is the one that was dumped, with its own settings.
func TestCreate(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := selectable(t, s)
	s.Exec(t, db, "DROP SUBSCRIPTION sub")
	dir := dumpDir(t, s, db)
	other := s.Database(t) // from where it is created
	oracle := pgtest.Oracle(t)
	want, rows := oracle.SchemaText(t, s.DSN(db), "-C"), contents(t, s, db)

	// It is there: a failure, and what was in it is there already.
	report, err := restore.Run(t.Context(), s.Config(t, other), open(t, dir), restore.Options{Create: true, SchemaOnly: true})
	if err != nil || len(report.Failed) == 0 || report.Failed[0].Kind != "DATABASE" {
		t.Errorf("err = %v, failures %v; want the database to be there", err, failures(report))
	}
	// It is in use: it is left alone.
	guest := s.Conn(t, db)
	_, err = restore.Run(t.Context(), s.Config(t, other), open(t, dir), restore.Options{Create: true, Clean: true})
	if failed, ok := errors.AsType[*restore.StepError](err); !ok || failed.Kind != "DATABASE" {
		t.Errorf("err = %v, want that the database cannot be dropped", err)
	}
	if d := cmp.Diff(rows, contents(t, s, db)); d != "" {
		t.Errorf("rows differ (-before +after):\n%s", d)
	}
	guest.Close(t.Context())
	for name, opts := range map[string]restore.Options{
		"dropped":      {Create: true, Clean: true, Jobs: 3},
		"transactions": {Create: true, Clean: true, IfExists: true, TransactionSize: 7},
	} {
		t.Run(name, func(t *testing.T) {
			s.Exec(t, db, "CREATE TABLE stale (a int)")
			await(t, s, other, "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '"+db+"'")
			run(t, s, other, dir, opts)
			if d := cmp.Diff(want, oracle.SchemaText(t, s.DSN(db), "-C")); d != "" {
				t.Errorf("schema differs (-source +copy):\n%s", d)
			}
			if d := cmp.Diff(rows, contents(t, s, db)); d != "" {
				t.Errorf("rows differ (-source +copy):\n%s", d)
			}
		})
	}
	if got := s.Text(t, other, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"); got != "0" {
		t.Errorf("%s relations in the database it was created from", got)
	}
	if _, err := restore.NewPlan(entries{pre(1, "TABLE", "t")}, restore.Options{Create: true}); err == nil {
		t.Error("an archive that does not say how to create its database is taken")
	}
}

// After a failure nothing of the transaction is left, and the report says so.
func TestTransactionFails(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := kinds(t, s)
	dir := dumpDir(t, s, db)
	for name, tt := range map[string]struct {
		opts restore.Options
		kept bool
	}{
		"all or nothing": {restore.Options{SingleTransaction: true}, false},
		"some":           {restore.Options{TransactionSize: 10}, true},
	} {
		t.Run(name, func(t *testing.T) {
			to := s.Database(t)
			s.Exec(t, to, "CREATE SCHEMA \"Odd \"\"Schema\"; CREATE PUBLICATION pub") // the publication comes late
			s.Exec(t, to, "DROP SCHEMA \"Odd \"\"Schema\"")
			report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), tt.opts)
			failed, ok := errors.AsType[*restore.StepError](err)
			if !ok || failed.Kind != "PUBLICATION" || len(report.Failed) != 1 {
				t.Fatalf("err = %v, failures %v; want the publication's", err, failures(report))
			}
			schemas := s.Text(t, to, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'")
			if left := schemas != "0"; left != tt.kept {
				t.Errorf("schema app is there: %v, want %v", left, tt.kept)
			}
			if (report.Restored > 0) != tt.kept || (report.Rows > 0) != tt.kept {
				t.Errorf("report: %d steps and %d rows; anything kept: %v", report.Restored, report.Rows, tt.kept)
			}
		})
	}
	t.Run("damaged large objects", func(t *testing.T) {
		to := s.Database(t)
		s.Exec(t, to, "SELECT lo_create(1000002)")
		_, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{SingleTransaction: true})
		if failed, ok := errors.AsType[*restore.StepError](err); !ok || failed.Kind != "BLOB METADATA" || !strings.Contains(err.Error(), "1000002") {
			t.Errorf("err = %v, want the large object that is there", err)
		}
		if got := s.Text(t, to, "SELECT count(*) FROM pg_largeobject_metadata"); got != "1" {
			t.Errorf("%s large objects, want the one that was there", got)
		}
	})
}

func TestTransactionRoundTrip(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := kinds(t, s)
	for name, args := range map[string][]string{"copy": nil, "inserts": {"--rows-per-insert=50"}} {
		t.Run(name, func(t *testing.T) {
			to := s.Database(t)
			dir := dumpDir(t, s, from, args...)
			run(t, s, to, dir, restore.Options{SingleTransaction: true})
			same(t, s, from, to)
			run(t, s, to, dir, restore.Options{TransactionSize: 5, Clean: true, IfExists: true})
			same(t, s, from, to)
		})
	}
}

func TestNoDataForFailedTables(t *testing.T) {
	dir, _ := faulty(t)
	s := pgtest.Start(t, 18)
	for name, no := range map[string]bool{"2": true, "3": false} {
		to := s.Database(t)
		s.Exec(t, to, "CREATE TABLE exists_already (a int); INSERT INTO exists_already VALUES (7), (8);")
		s.Exec(t, to, "DELETE FROM exists_already WHERE a = 8")
		report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{NoDataForFailedTables: no})
		if err != nil {
			t.Fatal(err)
		}
		want := []restore.Skipped{}
		if no {
			want = append(want, restore.Skipped{Kind: "TABLE DATA", Name: "public.exists_already", Reason: "the table could not be created"})
			name = "1"
		}
		if d := cmp.Diff(want, report.Skipped); d != "" {
			t.Errorf("skipped (-want +got):\n%s", d)
		}
		// A table that only has the wrong owner is there, and gets its rows.
		if got := s.Text(t, to, "SELECT (SELECT count(*) FROM exists_already) || ' ' || (SELECT count(*) FROM owned)"); got != name+" 10" {
			t.Errorf("%s rows, want %s 10", got, name)
		}
	}
}

func TestDisableTriggers(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := s.Database(t)
	s.Exec(t, from, `CREATE TABLE a (i int PRIMARY KEY); CREATE TABLE b (i int REFERENCES a, n text);
		INSERT INTO a SELECT generate_series(1, 500); INSERT INTO b SELECT generate_series(1, 500);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := ''changed''; RETURN NEW; END';
		CREATE TRIGGER note BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION note();`)
	dir := convert(t, dumpDir(t, s, from), 3, "zstd")
	su, role := s.Role(t, "SUPERUSER"), s.Role(t, "SUPERUSER")
	for name, opts := range map[string]restore.Options{
		"parts":     {DataOnly: true, Jobs: 3},
		"superuser": {NoSchema: true, Superuser: su, Role: role},
		"one":       {DataOnly: true, SingleTransaction: true},
	} {
		t.Run(name, func(t *testing.T) {
			to := s.Database(t)
			run(t, s, to, dir, restore.Options{SchemaOnly: true})
			s.Exec(t, to, "ALTER TABLE b RENAME COLUMN n TO m; ALTER TABLE b RENAME COLUMN m TO n") // nothing but the rows is at stake
			opts.DisableTriggers = true
			run(t, s, to, dir, opts)
			same(t, s, from, to) // the schema tells of triggers that are off
			s.Exec(t, to, "TRUNCATE a, b")
			opts.Tables = []string{"b"} // whose foreign key has nothing to point to
			run(t, s, to, dir, opts)
			if got := s.Text(t, to, "SELECT count(*) FROM b WHERE n IS NULL"); got != "500" {
				t.Errorf("%s rows as they were, want 500", got)
			}
		})
	}
	// They are as they were after a failure.
	to := s.Database(t)
	run(t, s, to, dir, restore.Options{SchemaOnly: true})
	s.Exec(t, to, "ALTER TABLE b ADD CHECK (i < 400)")
	if report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{DataOnly: true, DisableTriggers: true}); err != nil || len(report.Failed) == 0 {
		t.Errorf("err = %v, want the load of b to fail", err)
	}
	if got := s.Text(t, to, "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D'"); got != "0" {
		t.Errorf("%s triggers are off", got)
	}
}
