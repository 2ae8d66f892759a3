package dump_test

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/replicate"
)

// TestSnapshotOfSlot dumps what a replication slot has not: the rows of its
// snapshot, on several connections, and none that came later.
func TestSnapshotOfSlot(t *testing.T) {
	for _, major := range pgtest.Sources(t) {
		if major != 11 && major != 14 && major != 18 {
			continue
		}
		t.Run("pg"+strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := pgtest.Logical(t, major)
			db, target := s.Database(t), s.Database(t)
			s.Exec(t, db, `CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 1000);
CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b SELECT generate_series(1, 500)`)
			f, err := replicate.Start(t.Context(), replicate.Options{
				Source: s.Config(t, db), Target: s.Config(t, target), Engine: replicate.EngineApply,
				Tables: []replicate.Table{{Schema: "public", Name: "a"}, {Schema: "public", Name: "b"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				f.Close()
				s.Exec(t, db, "SELECT pg_drop_replication_slot('"+f.Slot+"')")
			}()
			s.Exec(t, db, "INSERT INTO a VALUES (0); DELETE FROM b")
			report, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{
				Dir: filepath.Join(pgtest.TempDir(t), "archive"), Jobs: 3, NoSync: true, Snapshot: f.Snapshot,
			})
			if err != nil {
				t.Fatal(err)
			}
			if report.Rows != 1500 || report.Snapshot != f.Snapshot {
				t.Errorf("%d rows of snapshot %s", report.Rows, report.Snapshot)
			}
			if err := f.Alive(t.Context()); err != nil {
				t.Errorf("the dump has ended a snapshot that is not its own: %v", err)
			}
		})
	}
}
