package dump_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// TestStandby dumps from a server in recovery: two workers share its snapshot,
// and the rows of unlogged tables, which it does not have, are reported.
func TestStandby(t *testing.T) {
	majors := pgtest.Versions(t)
	s := pgtest.Private(t, majors[len(majors)-1], pgtest.Options{})
	db := s.Database(t)
	s.Exec(t, db, `CREATE TABLE kept (id serial PRIMARY KEY, v text); INSERT INTO kept (v) SELECT 'row ' || i FROM generate_series(1, 1000) i;
CREATE UNLOGGED TABLE fleeting (id int); INSERT INTO fleeting VALUES (1); CREATE TABLE other AS SELECT * FROM kept;`)
	s.Stop(t)
	signal := filepath.Join(s.Data, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	dir := filepath.Join(pgtest.TempDir(t), "archive")
	report, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{Dir: dir, Jobs: 2, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []archive.Skipped{{Kind: "TABLE DATA", Name: "public.fleeting", Reason: "the server is a standby, which has no rows of unlogged tables"}}
	if d := cmp.Diff(want, report.Skipped); d != "" {
		t.Errorf("skipped (-want +got):\n%s", d)
	}
	if report.Rows != 2000 || report.Tables != 2 || report.LSN == "" {
		t.Errorf("report: %+v", report)
	}
	if _, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{Dir: dir + "2", Deferrable: true}); err == nil {
		t.Error("a serializable deferrable snapshot was taken on a standby")
	}
	if err := os.Remove(signal); err != nil {
		t.Fatal(err)
	}
	s.Restart(t) // so that it can be written to again and the test can clean up
	copied := s.DatabaseFrom(t, "template0")
	restoreInto(t, s, copied, dir)
	s.Exec(t, db, "TRUNCATE fleeting")
	sameContents(t, s, db, s, copied)
}

// TestNoPrivilege shows that a dump
// by a role that may not read a table says so before any row is read.
func TestNoPrivilege(t *testing.T) {
	s := pgtest.Start(t, 18)
	role := s.Role(t, "LOGIN")
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE open_one (id int); CREATE TABLE closed (id int); GRANT SELECT ON open_one TO "+role)
	config := s.Config(t, db)
	config.User = role
	dir := filepath.Join(pgtest.TempDir(t), "archive")
	_, err := dump.Run(t.Context(), config, dump.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "public.closed") || !strings.Contains(err.Error(), "-T") {
		t.Errorf("error %v, want the table's name and what to do", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind: %v", dir, err)
	}
}

// TestRowSecurity fails for a role whose rows would be filtered, and dumps what
// it sees when asked to.
func TestRowSecurity(t *testing.T) {
	s := pgtest.Start(t, 18)
	role := s.Role(t, "LOGIN")
	db := s.Database(t)
	s.Exec(t, db, `CREATE TABLE secret (id int); INSERT INTO secret SELECT generate_series(1, 10);
ALTER TABLE secret ENABLE ROW LEVEL SECURITY; CREATE POLICY first_three ON secret USING (id <= 3); GRANT SELECT ON secret TO `+role)
	config := s.Config(t, db)
	config.User = role
	dir := filepath.Join(pgtest.TempDir(t), "archive")
	_, err := dump.Run(t.Context(), config, dump.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "public.secret") || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("error %v, want one about row-level security of the table", err)
	}
	report, err := dump.Run(t.Context(), config, dump.Options{Dir: dir, RowSecurity: true})
	if err != nil {
		t.Fatal(err)
	}
	if report.Rows != 3 {
		t.Errorf("%d rows, want the 3 that the policy shows", report.Rows)
	}
}
