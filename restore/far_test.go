package restore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/pgtest/proxy"
	"github.com/pghaul/pghaul/restore"
)

// tables makes a database with n small tables, each with a key, an index, a
// comment and rows.
func tables(t *testing.T, s *pgtest.Server, n int) (db, dir string) {
	t.Helper()
	db = s.Database(t)
	var sql strings.Builder
	for i := range n {
		fmt.Fprintf(&sql, `CREATE TABLE t%03d (id int PRIMARY KEY, v text); INSERT INTO t%03[1]d SELECT g, 'row ' || g FROM generate_series(1, 10) g;
			CREATE INDEX i%03[1]d ON t%03[1]d (v); COMMENT ON INDEX i%03[1]d IS 'index of %[1]d';`+"\n", i)
	}
	s.Exec(t, db, sql.String())
	return db, dumpDir(t, s, db)
}

// Small tables and their indexes go to a far target many at a time: no object
// costs a round trip.
func TestFarTarget(t *testing.T) {
	s := pgtest.Start(t, 18)
	const n = 100
	from, dir := tables(t, s, n)
	for name, opts := range map[string]restore.Options{"on": {}, "stop": {ExitOnError: true}} {
		t.Run(name, func(t *testing.T) {
			to := s.Database(t)
			cfg := s.Config(t, to)
			far, err := proxy.Start(fmt.Sprintf("%s:%d", cfg.Host, cfg.Port), 3*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			defer far.Close()
			cfg.Host, cfg.Port, cfg.Fallbacks = "127.0.0.1", uint16(far.Port()), nil
			report, err := restore.Run(t.Context(), cfg, open(t, dir), opts)
			if err != nil || !report.Complete() || report.Rows != 10*n {
				t.Fatalf("err = %v, report = %+v", err, report)
			}
			// Each table has five steps, and each step a statement or more.
			if turns := far.Turns(); turns > n {
				t.Errorf("%d round trips for %d tables", turns, n)
			} else {
				t.Logf("%d round trips for %d steps", turns, report.Restored)
			}
			o := pgtest.Oracle(t)
			if d := cmp.Diff(o.SchemaText(t, s.DSN(from)), o.SchemaText(t, s.DSN(to))); d != "" {
				t.Errorf("schema differs (-source +copy):\n%s", d)
			}
		})
	}
}

// What fails in the middle of a batch is named, and costs nothing else: servers
// pass over the rows of a COPY that they have refused.
func TestErrorsInBatches(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		const n = 12
		_, dir := tables(t, s, n)
		for name, opts := range map[string]restore.Options{"two": {Jobs: 2}} {
			t.Run(name, func(t *testing.T) {
				to := s.Database(t)
				s.Exec(t, to, `CREATE TABLE t003 (id int, v text CHECK (v <> 'row 4')); CREATE TABLE t005 (id int); CREATE TABLE t007 (id int, v text);
					CREATE INDEX i007 ON t007 (id);`)
				report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), opts)
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]bool{
					"TABLE public.t003 42P07": true, "TABLE public.t005 42P07": true, "TABLE public.t007 42P07": true,
					"TABLE DATA public.t003 23514": true, "TABLE DATA public.t005 42703": true,
					"INDEX public.i005 42703": true, "INDEX public.i007 42P07": true, "COMMENT INDEX public.i005 42704": true,
				}
				got := make(map[string]bool)
				for _, f := range failures(report) {
					got[f] = true
				}
				delete(got, "COMMENT INDEX public.i005 42P01") // which of the two depends on the version
				delete(want, "COMMENT INDEX public.i005 42704")
				delete(got, "COMMENT INDEX public.i005 42704")
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("failures (-want +got):\n%s", d)
				}
				if len(report.Failed) != 8 || report.Rows != 10*(n-2) {
					t.Errorf("%d failures, %d rows; want 8 and %d", len(report.Failed), report.Rows, 10*(n-2))
				}
				for i := range n {
					want := "10 rows, 2 indexes"
					switch i {
					case 3:
						want = "0 rows, 2 indexes"
					case 5:
						want = "0 rows, 1 indexes"
					}
					table := fmt.Sprintf("t%03d", i)
					if got := s.Text(t, to, fmt.Sprintf("SELECT format('%%s rows, %%s indexes', (SELECT count(*) FROM %s), (SELECT count(*) FROM pg_index WHERE indrelid = '%[1]s'::regclass))", table)); got != want {
						t.Errorf("%s: %s, want %s", table, got, want)
					}
				}
			})
		}
	})
}
