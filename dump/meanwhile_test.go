package dump_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// TestChangedMeanwhile changes tables between the snapshot and their locks. One
// that is gone is told, one with another definition dumped as it is, and one
// whose rows the snapshot cannot see any more ends the dump: it would look empty.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for change, fails := range map[string]bool{
			"DROP TABLE gone":                         false,
			"ALTER TABLE kept ADD more int DEFAULT 7": false,
			"TRUNCATE kept":                           true,
			"ALTER TABLE kept ALTER i TYPE bigint":    true,
		} {
			db := s.Database(t)
			s.Exec(t, db, "CREATE TABLE first (i int); CREATE TABLE gone (i int); CREATE TABLE kept AS SELECT generate_series(1, 100) AS i")
			holder := s.Conn(t, db)
			if _, err := holder.Exec(t.Context(), "BEGIN; "+change+"; LOCK TABLE first IN ACCESS EXCLUSIVE MODE"); err != nil {
				t.Fatal(err)
			}
			type result struct {
				report *dump.Report
				err    error
			}
			dir := filepath.Join(pgtest.TempDir(t), "archive")
			done := make(chan result, 1)
			go func() {
				r, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{Dir: dir, NoSync: true})
				done <- result{r, err}
			}()
			const waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pghaul dump' AND wait_event_type = 'Lock'"
			for deadline := time.Now().Add(time.Minute); s.Text(t, db, waits) != "t"; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Error("the dump does not come to wait for the lock")
					break
				}
			}
			if _, err := holder.Exec(t.Context(), "COMMIT"); err != nil {
				t.Fatal(err)
			}
			got := <-done
			switch {
			case fails:
				if got.err == nil || !strings.Contains(got.err.Error(), "public.kept") || !strings.Contains(got.err.Error(), "run this again") {
					t.Errorf("%s: %v, want an error about the rows", change, got.err)
				}
			case got.err != nil:
				t.Errorf("%s: %v", change, got.err)
			default:
				skipped := func(r *dump.Report) (names []string) {
					for _, s := range r.Skipped {
						names = append(names, s.Name)
					}
					return names
				}
				if list := skipped(got.report); got.report.Rows != 100 || strings.HasPrefix(change, "DROP") != (len(list) > 0 && strings.Contains(list[0], "gone")) {
					t.Errorf("%s: %d rows, skipped %q", change, got.report.Rows, list)
				}
				in, err := archive.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				in.Close()
			}
		}
	})
}
