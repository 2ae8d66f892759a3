package dump_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// TestOversizedRows leaves out what no COPY can send, names it, and dumps the
// rest: a bytea of 600 MB, and two texts of that length in one row. It takes
// some gigabytes of memory, and so an invitation.
func TestOversizedRows(t *testing.T) {
	if os.Getenv("PGHAUL_TEST_HUGE") == "" {
		t.Skip("PGHAUL_TEST_HUGE=1 runs it, with 4 GB of memory")
	}
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, `CREATE TABLE huge (k text, id int, b bytea, t text, PRIMARY KEY (k, id));
ALTER TABLE huge ALTER b SET STORAGE EXTERNAL, ALTER t SET STORAGE EXTERNAL;
INSERT INTO huge SELECT 'k', i, 'x', 'y' FROM generate_series(1, 500) i;
INSERT INTO huge VALUES ('it''s', 501, convert_to(repeat('x', 600000000), 'LATIN1'), 'small');
INSERT INTO huge SELECT 'k', i, 'x', 'y' FROM generate_series(502, 900) i;
INSERT INTO huge VALUES ('k', 901, convert_to(repeat('x', 300000000), 'LATIN1'), repeat('y', 500000000));
CREATE TABLE other AS SELECT 1 AS a`)
	for _, custom := range []bool{false, true} {
		dir := filepath.Join(pgtest.TempDir(t), "archive")
		run := dump.Run
		if custom {
			run = func(ctx context.Context, cfg *pgx.ConnConfig, o dump.Options) (*dump.Report, error) {
				return dump.RunCustom(ctx, cfg, nil, o)
			}
		}
		r, err := run(t.Context(), s.Config(t, db), dump.Options{Dir: dir, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"public.huge (k, id) = (it's, 501)", "public.huge (k, id) = (k, 901)"}
		var got []string
		for _, skipped := range r.Skipped {
			got = append(got, skipped.Name)
			if skipped.Kind != "ROW" || !strings.Contains(skipped.Reason, "1 GiB") {
				t.Errorf("skipped %+v", skipped)
			}
		}
		if d := cmp.Diff(want, got); d != "" || r.Rows != 900 || r.Complete() {
			t.Errorf("%d rows, want 900; left out (-want +got):\n%s", r.Rows, d)
		}
		in, err := archive.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r.Skipped, in.Manifest().Skipped); d != "" {
			t.Errorf("the manifest has other rows left out:\n%s", d)
		}
		in.Close()
		copied := s.DatabaseFrom(t, "template0")
		restoreInto(t, s, copied, dir)
		if got := s.Text(t, copied, "SELECT count(*) || ' ' || sum(id) FROM huge"); got != s.Text(t, db, "SELECT count(*) || ' ' || sum(id) FROM huge WHERE id NOT IN (501, 901)") {
			t.Errorf("restored %s", got)
		}
	}
}
