package migrate_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/progress"
	"github.com/pghaul/pghaul/verify"
)

// ranged returns a server that can be read by TID ranges.
func ranged(t *testing.T) *pgtest.Server {
	t.Helper()
	versions := pgtest.Versions(t)
	if newest := slices.Max(versions); newest >= 14 {
		return pgtest.Start(t, newest)
	}
	t.Skip("only servers from 14 on can be read in parts")
	return nil
}

// partsEnv says, in the process that is to die, what to move, in which parts, and
// at which line of the log that holds a text to die.
const partsEnv = "PGHAUL_TEST_KILL_PARTS"

// TestPartsKilled is the process that dies; run by itself it does nothing.
func TestPartsKilled(t *testing.T) {
	args := strings.Split(os.Getenv(partsEnv), "|")
	if len(args) != 6 {
		return
	}
	n, err1 := strconv.ParseInt(args[3], 10, 64)
	size, err2 := strconv.ParseInt(args[4], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	killer := &lineHook{text: args[2], left: n, do: func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }}
	_, err := migrate.Run(context.Background(), config(t, args[0]), config(t, args[1]), migrate.Options{
		PartSize: size, Resume: args[5] == "resume", Logger: slog.New(killer),
	})
	fmt.Println("came to its end:", err)
}

// A lineHook does something at the line of the log with a text in it that its
// count comes to.
type lineHook struct {
	text  string
	left  int64
	do    func()
	lines atomic.Int64
}

func (h *lineHook) Enabled(context.Context, slog.Level) bool { return true }
func (h *lineHook) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.text) && h.lines.Add(1) == h.left {
		h.do()
	}
	return nil
}
func (h *lineHook) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *lineHook) WithGroup(string) slog.Handler      { return h }

// A migration that is killed while a table is loaded in parts goes on to the same
// rows, each once, though the next runs cut the table at other places; and a
// table that was complete is not loaded again for that.
func TestKillBetweenParts(t *testing.T) {
	t.Parallel()
	s := ranged(t)
	from, to := s.Database(t), s.Database(t)
	s.Exec(t, from, `CREATE TABLE big (id int, v text);
INSERT INTO big SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, 20000) i;
CREATE TABLE other AS SELECT * FROM big LIMIT 15000;
CREATE INDEX big_id ON big (id); CREATE INDEX other_id ON other (id)`)
	kill := func(at string, n int, size int, verb string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPartsKilled$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%s|%d|%d|%s", partsEnv, s.DSN(from), s.DSN(to), at, n, size, verb))
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("not killed: %v\n%s", err, out)
		}
	}
	parts := func() string {
		t.Helper()
		return s.Text(t, to, `SELECT coalesce(string_agg(name || ' ' || n || ' of ' || parts, ', ' ORDER BY name), '') FROM (
SELECT split_part(key, ' ', 3) AS name, count(*) AS n, split_part(key, ' of ', 2) AS parts FROM pghaul.step WHERE key LIKE 'TABLE DATA%' AND void IS NULL GROUP BY 1, 3) x`)
	}
	// Announced is what the two connections are at: those before are committed.
	kill("data for table \"public.big\", part", 5, 256<<10, "begin")
	first := parts()
	if !strings.HasPrefix(first, "public.big ") || !strings.Contains(first, " of 8") || strings.Contains(first, "8 of 8") {
		t.Fatalf("killed with %q loaded", first)
	}
	kill("creating INDEX", 2, 600<<10, "resume")
	second := parts()
	if second == first || !strings.Contains(second, "public.big ") || strings.Contains(second, "of 8") {
		t.Fatalf("after another run %q are loaded", second)
	}
	t.Logf("%s; then %s", first, second)
	s.Exec(t, from, "UPDATE other SET v = 'new' WHERE id = 7; INSERT INTO other VALUES (0, 'late')")
	report, err := migrate.Run(t.Context(), s.Config(t, from), s.Config(t, to), migrate.Options{Resume: true, PartSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Complete || !report.Verify.Equal() || !slices.Equal(report.Reloaded, []string{"public.other"}) {
		t.Errorf("complete %v, reloaded %v, failed %v", report.Complete, report.Reloaded, report.Failed)
	}
	rep, err := verify.Run(t.Context(), s.Config(t, from), s.Config(t, to), verify.Options{Levels: []verify.Level{verify.LevelSchema, verify.LevelDigest, verify.LevelIndexes}})
	if err != nil || !rep.Equal() {
		t.Errorf("source and target differ: %v %+v", err, rep)
	}
}

// What happens to a large object between its load and the end is found.
func TestLargeObjectsCompared(t *testing.T) {
	t.Parallel()
	s := ranged(t)
	from := s.Database(t)
	s.Exec(t, from, "SELECT lo_from_bytea(1000 + i, convert_to(repeat('x', i * 1000), 'UTF8')) FROM generate_series(0, 40) i; SELECT lo_from_bytea(9000, convert_to(repeat('y', 3000000), 'UTF8'))")
	move := func(sql string) *migrate.Report {
		t.Helper()
		to := s.Database(t)
		report, err := migrate.Run(t.Context(), s.Config(t, from), s.Config(t, to), migrate.Options{Progress: progress.NewTracker(func(e progress.Event) {
			if e.Phase == "verify" && e.Item == "" {
				s.Exec(t, to, sql)
			}
		})})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	report := move("SELECT 1")
	if !report.Complete || !report.Verify.Equal() || report.Verify.LargeObjects.Source != report.Verify.LargeObjects.Target || report.Verify.LargeObjects.Target.Count != 42 || report.Verify.LargeObjects.Target.Bytes != 3820000 {
		t.Errorf("complete %v, %+v", report.Complete, report.Verify)
	}
	report = move("SELECT lo_put(1005, 17, 'z'), lo_put(9000, 2999999, 'z'), lo_unlink(1040)")
	var names []string
	for _, d := range report.Verify.Differences {
		names = append(names, d.Kind+" "+d.Name)
	}
	if want := []string{"LARGE OBJECT 1005", "LARGE OBJECT 1040", "LARGE OBJECT 9000"}; report.Complete || !slices.Equal(names, want) {
		t.Errorf("complete %v, differences %q, want %q", report.Complete, names, want)
	}
}

// The source's snapshot is let go while indexes are still built.
func TestSnapshotReleased(t *testing.T) {
	t.Parallel()
	s := ranged(t)
	from, to := s.Database(t), s.Database(t)
	lock := int64(os.Getpid())<<20 | 0x5eed
	s.Exec(t, from, fmt.Sprintf(`CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN
IF pg_catalog.current_database() = %s THEN PERFORM pg_catalog.pg_advisory_xact_lock_shared(%d); END IF; RETURN $1; END';
CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2);
CREATE INDEX t_slow ON t (slow(a))`, "''"+to+"''", lock))
	holder := s.Conn(t, to) // the index waits for this session
	if _, err := holder.Exec(t.Context(), fmt.Sprintf("SELECT pg_advisory_lock(%d)", lock)); err != nil {
		t.Fatal(err)
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		defer func() {
			_, _ = holder.Exec(context.WithoutCancel(t.Context()), fmt.Sprintf("SELECT pg_advisory_unlock(%d)", lock))
		}()
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > 2*time.Minute {
				t.Error("the source's snapshot is kept while an index is built")
				return
			}
			building, kept := "", ""
			row := holder.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE datname = $2 AND wait_event = 'advisory')::text, count(*) FILTER (WHERE datname = $1)::text FROM pg_stat_activity`, from, to)
			if err := row.Scan(&building, &kept); err != nil {
				t.Error(err)
				return
			}
			if building != "0" && kept == "0" {
				return // which lets the index be built
			}
		}
	}()
	report, err := migrate.Run(t.Context(), s.Config(t, from), s.Config(t, to), migrate.Options{})
	<-released
	if err != nil || !report.Complete {
		t.Errorf("%v %+v", err, report)
	}
}
