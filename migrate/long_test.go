package migrate_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/migrate"
)

// TestLongRows moves a row whose text COPY cannot send, names one that it can send
// in no format, and moves and compares the rest. It takes gigabytes of memory.
func TestLongRows(t *testing.T) {
	if os.Getenv("PGHAUL_TEST_HUGE") == "" {
		t.Skip("PGHAUL_TEST_HUGE=1 runs it, with 4 GB of memory")
	}
	s := pgtest.Start(t, 18)
	from, to := s.Database(t), s.Database(t)
	s.Exec(t, from, `CREATE TABLE huge (id int PRIMARY KEY, b bytea, t text);
ALTER TABLE huge ALTER b SET STORAGE EXTERNAL, ALTER t SET STORAGE EXTERNAL;
INSERT INTO huge SELECT i, 'x', repeat('y', 1000) FROM generate_series(1, 500) i;
INSERT INTO huge VALUES (501, convert_to(repeat('x', 600000000), 'LATIN1'), 'small'), (502, NULL, repeat('y', 600000000));
UPDATE huge SET b = convert_to(repeat('x', 600000000), 'LATIN1') WHERE id = 502;
INSERT INTO huge SELECT i, 'x', 'y' FROM generate_series(503, 600) i`)
	r, err := migrate.Run(t.Context(), s.Config(t, from), s.Config(t, to), migrate.Options{CopyFormat: copyproto.Text, PartSize: 65536})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.LeftOut) != 1 || r.LeftOut[0].Name != "public.huge (id) = (502)" || r.Complete || len(r.Failed) > 0 {
		t.Errorf("left out %+v, complete %v, failed %v", r.LeftOut, r.Complete, r.Failed)
	}
	if r.Verify == nil || !r.Verify.Equal() || len(r.Verify.Tables) != 1 || r.Verify.Tables[0].Target.Rows != 599 {
		t.Errorf("verify: %+v", r.Verify)
	}
	if !strings.Contains(strings.Join(r.Warnings, "\n"), "row public.huge (id) = (502) is not at the target") {
		t.Errorf("warnings: %q", r.Warnings)
	}
	const sum = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(length(b)) || ' ' || sum(length(t)) FROM huge WHERE id <> 502"
	if got, want := s.Text(t, to, sum), s.Text(t, from, sum); got != want {
		t.Errorf("moved %s, want %s", got, want)
	}
}
