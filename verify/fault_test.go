package verify_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/progress"
	"github.com/pghaul/pghaul/verify"
)

// at returns a tracker that calls do, once, when the run enters a phase or
// starts an item, and makes it wait for that. Both snapshots are taken and
// everything is locked before the phase "compare".
func at(edge progress.Edge, name string, do func()) *progress.Tracker {
	var done atomic.Bool
	return progress.NewTracker(func(e progress.Event) {
		if e.Edge == edge && (e.Item == name || e.Edge == progress.Entered && e.Phase == name) && !done.Swap(true) {
			do()
		}
	})
}

func waitFor(tb testing.TB, s *pgtest.Server, db, query, want string) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); s.Text(tb, db, query) != want; {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited in vain for %s = %s", query, want)
		}
	}
}

// What an ordinary role may not read is a problem of that table alone.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(testing.TB) *pgtest.Server{"oldest": oldest, "newest": newest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			role := s.Role(t, "LOGIN")
			source, target := two(t, s, `CREATE TABLE a (x int); CREATE TABLE denied (x int); CREATE TABLE secret (x int); CREATE TABLE z (x int);
				INSERT INTO a VALUES (1); INSERT INTO denied VALUES (1); INSERT INTO secret VALUES (1); INSERT INTO z VALUES (1);
				ALTER TABLE secret ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON secret USING (x > 1);
				GRANT SELECT ON a, secret, z TO `+role)
			s.Exec(t, target, "GRANT SELECT ON denied TO "+role)
			cfg := s.Config(t, source)
			cfg.User = role
			for _, engine := range []verify.Engine{verify.EngineStream, verify.EnginePush} {
				r := compare(t, cfg, s.Config(t, target), verify.Options{Jobs: 1, Engine: engine})
				wantDifferences(t, r,
					"table public.denied - 1: source: permission denied for table denied (SQLSTATE 42501)",
					`table public.secret - 1: source: query would be affected by row-level security policy for table "secret" (SQLSTATE 42501)`)
				for _, x := range r.Tables {
					if x.Unread() != !x.Equal || x.Engine != engine { // asking again would not help
						t.Errorf("%s: %+v", engine, x)
					}
				}
			}
			cfg = s.Config(t, target)
			cfg.User = role
			r := compare(t, s.Config(t, source), cfg, verify.Options{Jobs: 1, Levels: []verify.Level{verify.LevelCounts}})
			wantDifferences(t, r, `table public.secret 1 -: target: query would be affected by row-level security policy for table "secret" (SQLSTATE 42501)`)
			s.Exec(t, source, "REVOKE ALL ON a, secret, z FROM "+role)
			s.Exec(t, target, "REVOKE ALL ON a, denied, secret, z FROM "+role)
		})
	}
}

// One table among many that cannot be locked leaves the others locked.
func TestLocks(t *testing.T) {
	t.Parallel()
	s := newest(t)
	role := s.Role(t, "LOGIN")
	source, target := two(t, s, `DO $$ BEGIN FOR i IN 1..40 LOOP
		EXECUTE format('CREATE TABLE t%s (x int)', i); EXECUTE format('GRANT SELECT ON t%s TO `+role+`', i); END LOOP; END $$;
		REVOKE SELECT ON t7, t31 FROM `+role)
	cfg := s.Config(t, source)
	cfg.User = role
	var locked string
	tracker := at(progress.Entered, "compare", func() {
		locked = s.Text(t, source, "SELECT count(*) FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND mode = 'AccessShareLock' AND relation IN (SELECT oid FROM pg_class WHERE relname ~ '^t[0-9]+$')")
	})
	r := compare(t, cfg, s.Config(t, target), verify.Options{Progress: tracker})
	wantDifferences(t, r, "table public.t31 - 0: source: permission denied for table t31 (SQLSTATE 42501)",
		"table public.t7 - 0: source: permission denied for table t7 (SQLSTATE 42501)")
	if locked != "38" {
		t.Errorf("%s tables are locked, want 38", locked)
	}
	s.Exec(t, source, "DROP OWNED BY "+role)
	s.Exec(t, target, "DROP OWNED BY "+role)
}

// A server whose lock table is too small for the tables is compared all the
// same, and the user is told.
func TestLockTableFull(t *testing.T) {
	t.Parallel()
	s := pgtest.Private(t, newest(t).Major, pgtest.Options{Template: true, Settings: map[string]string{
		"max_locks_per_transaction": "20", "max_connections": "12", "max_worker_processes": "0", "max_wal_senders": "0",
	}})
	source := s.Database(t)
	s.Exec(t, source, `DO $$ BEGIN FOR i IN 1..1100 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT %s AS x', i, i); COMMIT; END LOOP; END $$`)
	target := s.DatabaseFrom(t, source)
	s.Exec(t, target, "UPDATE t999 SET x = 0")
	var log bytes.Buffer
	r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	wantDifferences(t, r, "table public.t999 1 1")
	if len(r.Tables) != 1100 || !strings.Contains(log.String(), "none of 1100 tables are locked") {
		t.Errorf("%d tables; warned: %v", len(r.Tables), strings.Contains(log.String(), "are locked"))
	}
	t.Logf("compared in %v", r.Elapsed)
}

// Sessions that write meanwhile, at either end, disturb nothing.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(testing.TB) *pgtest.Server{"oldest": oldest, "newest": newest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			source, target := two(t, s, `CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE c (x int); CREATE TABLE d (x int);
				INSERT INTO a SELECT generate_series(1, 1000); INSERT INTO b SELECT x FROM a; INSERT INTO c SELECT x FROM a; INSERT INTO d SELECT x FROM a`)
			tracker := at(progress.Entered, "compare", func() {
				s.Exec(t, source, "INSERT INTO a VALUES (0); DELETE FROM b WHERE x > 500; UPDATE c SET x = -x; CREATE TABLE new (x int)")
				s.Exec(t, target, "DELETE FROM a; UPDATE b SET x = 0; INSERT INTO d VALUES (0)")
			})
			r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Jobs: 4, Progress: tracker})
			wantDifferences(t, r)
			r = compare(t, s.Config(t, source), s.Config(t, target), verify.Options{})
			wantDifferences(t, r, "table public.a 1001 0", "table public.b 500 1000", "table public.c 1000 1000", "table public.d 1000 1001", "table public.new 0 -")
		})
	}
}

// A session that waits to change a table must not make the run wait for ever.
func TestLockQueue(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, "CREATE TABLE a (x int); CREATE TABLE b (x int)")
	altered := make(chan error, 1)
	tracker := at(progress.Entered, "compare", func() {
		go func() { altered <- s.Server.Exec(context.Background(), source, "ALTER TABLE a ADD y int") }()
		waitFor(t, s, source, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'a'::regclass", "1")
	})
	r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Progress: tracker})
	wantDifferences(t, r, `table public.a - 0: source: could not obtain lock on relation "public.a": another session waits to change the table; run again when it is done (SQLSTATE 55P03)`)
	if err := <-altered; err != nil {
		t.Error(err)
	}
}

// A table that is dropped between being listed and being locked is reported.
func TestDropped(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, "CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE c (x int)")
	conn := s.Conn(t, source)
	if _, err := conn.Exec(t.Context(), "BEGIN; DROP TABLE b"); err != nil {
		t.Fatal(err)
	}
	committed := make(chan error, 1)
	go func() {
		waitFor(t, s, source, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pghaul verify' AND wait_event_type = 'Lock'", "1")
		_, err := conn.Exec(context.Background(), "COMMIT")
		committed <- err
	}()
	r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{})
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if got := differences(r); len(got) != 1 || !strings.HasPrefix(got[0], "table public.b - 0: source: dropped by another session") {
		t.Errorf("got %q", got)
	}
}

// cut makes the next connections of cfg break after so many bytes were
// received on them, and counts how often that happened.
func cut(cfg *pgx.ConnConfig, after, connections int64) *atomic.Int64 {
	var cuts atomic.Int64
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &cutConn{Conn: c, left: after, cuts: &cuts, limit: connections}, err
	}
	return &cuts
}

type cutConn struct {
	net.Conn
	left, limit int64
	cuts        *atomic.Int64
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.left -= int64(n); c.left < 0 && err == nil && c.cuts.Load() < c.limit {
		c.cuts.Add(1)
		c.Close()
		return 0, errors.New("cut on purpose")
	}
	return n, err
}

const longTable = `CREATE TABLE a (x text); INSERT INTO a SELECT repeat('x', 1000) FROM generate_series(1, 5000);
	CREATE TABLE b (x int); INSERT INTO b VALUES (1)`

// A connection that breaks inside a table is replaced, and nothing is counted
// twice.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, longTable)
	for name, broken := range map[string]int{"source": 0, "target": 1} {
		t.Run(name, func(t *testing.T) {
			ends := [2]*pgx.ConnConfig{s.Config(t, source), s.Config(t, target)}
			cuts := cut(ends[broken], 2_000_000, 1)
			var log bytes.Buffer
			tracker := progress.NewTracker(nil)
			r := compare(t, ends[0], ends[1], verify.Options{Jobs: 1, Progress: tracker, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			wantDifferences(t, r)
			if cuts.Load() != 1 || r.Retries != 1 || !strings.Contains(log.String(), name+": connection lost, reading again") {
				t.Errorf("%d connections cut; log:\n%s", cuts.Load(), log.String())
			}
			if got := tracker.Snapshot(); got.Rows != 5001 || got.Bytes != 5000*1001+2 {
				t.Errorf("progress: %d rows, %d bytes", got.Rows, got.Bytes)
			}
		})
	}
}

// A session that ends while the server digests is replaced, too, as long as the
// one with the snapshot is there.
func TestConnectionLostPushing(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, longTable)
	tracker := at(progress.Started, "public.a", func() {
		const workers = " FROM pg_stat_activity WHERE datname = '%' AND application_name = 'pghaul verify' AND backend_start > (SELECT min(backend_start) FROM pg_stat_activity WHERE datname = '%' AND application_name = 'pghaul verify')"
		s.Text(t, "postgres", strings.ReplaceAll("SELECT count(pg_terminate_backend(pid))"+workers, "%", source))
		waitFor(t, s, "postgres", strings.ReplaceAll("SELECT count(*)"+workers, "%", source), "0")
	})
	r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Engine: verify.EnginePush, Jobs: 1, Progress: tracker})
	wantDifferences(t, r)
	wantEngines(t, r)
	if r.Retries != 1 {
		t.Errorf("%d retries, want 1", r.Retries)
	}
}

// A table on which connections break again and again is given up; others are not.
func TestConnectionLostAgain(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, longTable)
	cfg := s.Config(t, source)
	cuts := cut(cfg, 2_000_000, 99)
	tracker := progress.NewTracker(nil)
	r := compare(t, cfg, s.Config(t, target), verify.Options{Jobs: 1, Progress: tracker})
	got := differences(r)
	if len(got) != 1 || !strings.HasPrefix(got[0], "table public.a - 5000: source: ") || !strings.Contains(got[0], "cut on purpose") ||
		!strings.HasSuffix(got[0], "(given up after 5 attempts)") || cuts.Load() != 5 || r.Retries != 4 {
		t.Errorf("%d connections cut, %d retries: %q", cuts.Load(), r.Retries, got)
	}
	if got := tracker.Snapshot(); got.Rows != 1 || got.Failed != 1 || got.Finished != 1 {
		t.Errorf("progress: %+v", got)
	}
}

// Without the snapshot's session there is nothing to compare with.
func TestSnapshotLost(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, longTable)
	for name, db := range map[string]string{"source": source, "target": target} {
		tracker := at(progress.Entered, "compare", func() {
			const terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '%' AND application_name = 'pghaul verify'"
			if got := s.Text(t, "postgres", strings.Replace(terminate, "%", db, 1)); got != "2" {
				t.Errorf("%s sessions ended, want 2", got)
			}
			waitFor(t, s, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = '"+db+"' AND application_name = 'pghaul verify'", "0")
		})
		r, err := verify.Run(t.Context(), s.Config(t, source), s.Config(t, target), verify.Options{Progress: tracker})
		if r != nil || err == nil || !strings.Contains(err.Error(), name+": the session that holds the snapshot was lost") {
			t.Errorf("%s: got %v, %v", name, r, err)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, longTable)
	for _, when := range []struct {
		edge progress.Edge
		name string
	}{{progress.Entered, "catalog"}, {progress.Entered, "compare"}, {progress.Started, "public.a"}, {progress.Started, "public.b"}} {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := verify.Run(ctx, s.Config(t, source), s.Config(t, target), verify.Options{Progress: at(when.edge, when.name, cancel)})
		if r != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %s: got %v, %v", when.name, r, err)
		}
		cancel()
	}
	waitFor(t, s, source, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pghaul verify' AND datname IN ('"+source+"', '"+target+"')", "0")
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source := s.Database(t)
	bad := s.Config(t, "no_such_database")
	for name, ends := range map[string][2]*pgx.ConnConfig{
		"source: ": {bad, s.Config(t, source)},
		"target: ": {s.Config(t, source), bad},
	} {
		_, err := verify.Run(t.Context(), ends[0], ends[1], verify.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), name) || !strings.Contains(err.Error(), "no_such_database") {
			t.Errorf("got %v, want an error of %s", err, name)
		}
	}
}
