package verify_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/progress"
	"github.com/pghaul/pghaul/verify"
)

// journal opens a journal for the test.
func journal(tb testing.TB, path string, resume bool) *verify.Journal {
	tb.Helper()
	j, err := verify.OpenJournal(path, resume)
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

// resumed are the tables that a run did not read again.
func resumed(r *verify.Report) []string {
	var out []string
	for _, x := range r.Tables {
		if x.Earlier != nil {
			out = append(out, x.Name)
		}
	}
	return out
}

// A run goes on where another was stopped: what was equal is not read again, but
// for what was written to since. What differed is.
func TestResume(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		source, target := two(t, s, `CREATE TABLE a AS SELECT generate_series(1, 3000) AS x; CREATE TABLE b AS SELECT x FROM a; CREATE TABLE c AS SELECT x FROM a;
			CREATE TABLE d AS SELECT x FROM a LIMIT 10; CREATE TABLE e (x int);
			CREATE TABLE p (k int) PARTITION BY HASH (k); CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO p SELECT x FROM a LIMIT 5`)
		s.Exec(t, target, "UPDATE d SET x = -x WHERE x = 5")
		// Until servers have counted what was done, tables look as if they were being
		// written to.
		waitFor(t, s, source, "SELECT pg_stat_get_tuples_inserted('a'::regclass) + pg_stat_get_tuples_inserted('p0'::regclass)", "3005")
		waitFor(t, s, target, "SELECT pg_stat_get_tuples_updated('d'::regclass)", "1")
		path := filepath.Join(t.TempDir(), "state")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		j := journal(t, path, false)
		_, err := verify.Run(ctx, s.Config(t, source), s.Config(t, target), verify.Options{
			Jobs: 1, Levels: dataLevels(), Engine: verify.EngineStream, Journal: j, Progress: at(progress.Finished, "public.a", cancel),
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		compareAgain := func(want []string, differ ...string) {
			t.Helper()
			j := journal(t, path, true)
			r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Journal: j})
			wantDifferences(t, r, differ...)
			got := resumed(r)
			if want != nil {
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("not read again (-want +got):\n%s", d)
				}
			} else if !slices.Contains(got, "a") || slices.Contains(got, "d") { // of the others some may have been done
				t.Errorf("not read again: %v", got)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
		compareAgain(nil, "table public.d 10 10")
		compareAgain([]string{"a", "b", "c", "e", "p0"}, "table public.d 10 10")
		s.Exec(t, target, "UPDATE b SET x = 0 WHERE x = 1; UPDATE c SET x = x WHERE x = 1")
		s.Exec(t, source, "TRUNCATE e")
		waitFor(t, s, target, "SELECT pg_stat_get_tuples_updated('b'::regclass) + pg_stat_get_tuples_updated('c'::regclass)", "2")
		compareAgain([]string{"a", "p0"}, "table public.b 3000 3000", "table public.d 10 10")
		// No counter tells of a column that is another one with the same name.
		s.Exec(t, target, "ALTER TABLE a ADD y int; ALTER TABLE c DROP x, ADD x int DEFAULT 7")
		compareAgain([]string{"e", "p0"}, "table public.a 3000 3000: column y missing in source", "table public.b 3000 3000", "table public.c 3000 3000", "table public.d 10 10")
	})
}

// Counters that have begun anew after a crash, and come to where they were, are
// not taken for those of a table that nobody has written to.
func TestResumeAfterCrash(t *testing.T) {
	t.Parallel()
	versions := pgtest.Versions(t)
	for _, v := range slices.Compact([]int{versions[0], versions[len(versions)-1]}) {
		t.Run(strconv.Itoa(v), func(t *testing.T) {
			t.Parallel()
			s, d := pgtest.Start(t, v), pgtest.Private(t, v, pgtest.Options{})
			source, target := s.Database(t), d.Database(t)
			const fill, counted = "INSERT INTO a SELECT generate_series(1, 100)", "SELECT pg_stat_get_tuples_inserted('a'::regclass)"
			for db, s := range map[string]*pgtest.Server{source: s, target: d} {
				s.Exec(t, db, "CREATE TABLE a (x int);"+fill)
				waitFor(t, s, db, counted, "100")
			}
			path := filepath.Join(t.TempDir(), "state")
			run := func(resume bool) *verify.Report {
				j := journal(t, path, resume)
				r := compare(t, s.Config(t, source), d.Config(t, target), verify.Options{Journal: j})
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				return r
			}
			wantDifferences(t, run(false))
			if err := d.Crash(); err != nil {
				t.Fatal(err)
			}
			if err := d.Server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.Exec(t, target, fill)
			waitFor(t, d, target, counted, "100")
			wantDifferences(t, run(true), "table public.a 100 200")
		})
	}
}

// What is left of a line that was cut off does no harm; a file of something else
// is refused.
func TestResumeFile(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, "CREATE TABLE a (x int); CREATE TABLE b (x int)")
	path := filepath.Join(t.TempDir(), "state")
	run := func(from, to string, resume bool) (*verify.Report, error) {
		j := journal(t, path, resume)
		defer func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}()
		return verify.Run(t.Context(), s.Config(t, from), s.Config(t, to), verify.Options{Journal: j, Levels: dataLevels()})
	}
	if _, err := run(source, target, false); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"a"}, {"a", "b"}} {
		r, err := run(source, target, true)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, resumed(r)); d != "" && len(resumed(r)) != len(want) { // either table may have come first
			t.Error(d)
		}
	}
	if _, err := run(target, source, true); err == nil || !strings.Contains(err.Error(), "what is to be resumed compared") {
		t.Errorf("other databases: %v", err)
	}
	if r, err := run(target, source, false); err != nil || resumed(r) != nil {
		t.Errorf("begun anew: %v, %v", err, resumed(r))
	}
	for _, bad := range []string{"hello\n", `{"version":2}` + "\n", string(text[:len(text)-20]) + "\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := verify.OpenJournal(path, true); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
