package migrate_test

import (
	"context"
	"errors"
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

	"github.com/pghaul/pghaul/internal/golden"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

// before is what a rollback has to leave: everything but the fixture's rows,
// which are not there yet, and pg_dump's view of it where there is one.
func before(t *testing.T, p *pair) string {
	t.Helper()
	text := p.ne.Text(t, "neondb", "SELECT string_agg(line, E'\\n' ORDER BY n, line) FROM ("+strings.Split(strings.Split(listing, "FROM (\n")[1], "UNION ALL SELECT 14,")[0]+") q")
	oracle := pgtest.Oracle(t)
	roles, errs, exit := oracle.Run(t, "pg_dumpall", "-r", "-d", p.ne.DSN("postgres"))
	if exit != 0 {
		t.Fatal(errs)
	}
	var kept strings.Builder
	for line := range strings.Lines(roles) {
		if !strings.HasPrefix(line, `\`) && !strings.HasPrefix(line, "--") {
			kept.WriteString(line)
		}
	}
	return text + "\n" + kept.String() + oracle.SchemaText(t, p.ne.DSN("neondb"))
}

// broken makes a plan in which the definition of one entry is refused.
func broken(t *testing.T, p *pair, kind, name string) *platform.Plan {
	t.Helper()
	plan, err := migrate.NewPlan(t.Context(), p.source, p.target, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(plan.Items, func(it platform.Item) bool { return it.Kind == kind && it.Name == name })
	if i < 0 {
		t.Fatalf("there is no %s %s", kind, name)
	}
	plan.Items[i].SQL, plan.Items[i].Verdict = "SELECT 1/0;", platform.Rewrite
	return plan
}

// A failure in any phase takes back that phase, and Rollback the whole run.
func TestFailureInEachPhase(t *testing.T) {
	t.Parallel()
	if !tested(t, 15, 17) {
		t.Skip("the versions of this test are left out")
	}
	p := newPair(t, 15, 17)
	start := before(t, p)
	stop := errors.New("no more secrets")

	t.Run("pre-schema", func(t *testing.T) {
		opts := options(nil)
		opts.Secrets = func(role, _ string) error {
			if role == "svc@contoso.com" {
				return stop
			}
			return nil
		}
		report, err := migrate.Run(t.Context(), p.source, p.target, opts)
		if !errors.Is(err, stop) {
			t.Errorf("error %v", err)
		}
		same(t, start, before(t, p))
		if _, err := migrate.Rollback(t.Context(), p.target, migrate.RollbackOptions{}); !errors.Is(err, restore.ErrNoJournal) {
			t.Errorf("the journal is still there: %v", err)
		}
		if report == nil || report.Rollback == nil || report.Phases[0].State != migrate.RolledBack {
			t.Errorf("%+v", report)
		}
	})
	for _, c := range []struct {
		phase      migrate.Phase
		kind, name string
	}{
		{migrate.SchemaData, "VIEW", "v_customer"},
		{migrate.PostSchema, "TRIGGER", "customer t_touch"},
		{migrate.PostSchema, "ACL", "TABLE v_customer"},
	} {
		t.Run(string(c.phase)+" "+c.kind, func(t *testing.T) {
			opts := options(nil)
			opts.Plan = broken(t, p, c.kind, c.name)
			report, err := migrate.Run(t.Context(), p.source, p.target, opts)
			failed, ok := errors.AsType[*restore.StepError](err)
			if !ok || failed.Kind != c.kind {
				t.Fatalf("error %v", err)
			}
			for _, r := range report.Rollback.Remains {
				t.Errorf("remains of the phase: %+v", r)
			}
			state := map[migrate.Phase]migrate.State{}
			for _, s := range report.Phases {
				state[s.Phase] = s.State
			}
			// An index may fail while rows are still being loaded: then both phases are.
			if state[migrate.PreSchema] != migrate.Done || state[c.phase] != migrate.RolledBack && state[migrate.SchemaData] != migrate.RolledBack {
				t.Errorf("phases: %v", state)
			}
			gone := p.ne.Text(t, "neondb", "SELECT count(*) FROM pg_class WHERE oid = to_regclass('app.customer')")
			if loaded := state[migrate.SchemaData] == migrate.Done; loaded != (gone == "1") {
				t.Errorf("%s tables with phase schema-data %s", gone, state[migrate.SchemaData])
			}
			if n := p.ne.Text(t, "neondb", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pghaul%'"); n != "0" {
				t.Error("the helper role is still there")
			}
			if _, err := migrate.Run(t.Context(), p.source, p.target, options(nil)); err == nil || !strings.Contains(err.Error(), "--resume") {
				t.Errorf("a new run over an unfinished one: %v", err)
			}
			rollBack(t, p)
			same(t, start, before(t, p))
		})
	}
	t.Run("cancelled", func(t *testing.T) { cancelled(t, p, start) })
}

// A run that is cancelled keeps what it has done, but no rights that were for
// its time, and can be undone.
func cancelled(t *testing.T, p *pair, start string) {
	for _, lines := range []int64{16, 40} {
		ctx, cancel := context.WithCancel(t.Context())
		opts := options(nil)
		opts.Logger = slog.New(&killer{left: lines, kill: func() error { cancel(); return nil }})
		report, err := migrate.Run(ctx, p.source, p.target, opts)
		cancel()
		if !errors.Is(err, context.Canceled) || report == nil || report.Complete || report.Rollback != nil {
			t.Errorf("after %d lines: error %v, report %+v", lines, err, report)
		}
		if n := p.ne.Text(t, "neondb", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pghaul%'"); n != "0" {
			t.Errorf("after %d lines: the helper role is still there", lines)
		}
		if n := p.ne.Text(t, "neondb", "SELECT count(*) FROM pg_roles WHERE rolname = 'app_owner'"); n != "1" {
			t.Errorf("after %d lines: what was done is gone", lines)
		}
		rollBack(t, p)
		same(t, start, before(t, p))
	}
}

func rollBack(t *testing.T, p *pair) {
	t.Helper()
	rep, err := migrate.Rollback(t.Context(), p.target, migrate.RollbackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rep.Remains {
		t.Errorf("remains: %+v", r)
	}
}

func same(t *testing.T, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	have := map[string]int{}
	for line := range strings.Lines(want) {
		have[line]++
	}
	for line := range strings.Lines(got) {
		have[line]--
	}
	for line, n := range have {
		switch {
		case n > 0:
			t.Errorf("gone: %s", line)
		case n < 0:
			t.Errorf("left: %s", line)
		}
	}
}

// killEnv says, in the process that is to die, after how many lines of the log.
const killEnv = "PGHAUL_TEST_KILL"

// TestKilled is the process that dies; run by itself it does nothing.
func TestKilled(t *testing.T) {
	args := strings.Split(os.Getenv(killEnv), "|")
	if len(args) != 4 {
		return
	}
	n, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	opts := options(nil)
	opts.Resume = args[3] == "resume"
	opts.Logger = slog.New(&killer{left: n, kill: func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }})
	report, err := migrate.Run(context.Background(), config(t, args[1]), config(t, args[2]), opts)
	if err != nil || !report.Complete {
		fmt.Println("not complete:", err)
		os.Exit(3)
	}
	fmt.Println("complete")
}

// A killer ends the process, as kill -9 does, at the line of the log that its
// count comes to.
type killer struct {
	left  int64
	kill  func() error
	lines atomic.Int64
}

func (k *killer) Enabled(context.Context, slog.Level) bool { return true }
func (k *killer) Handle(context.Context, slog.Record) error {
	if k.lines.Add(1) == k.left {
		return k.kill()
	}
	return nil
}
func (k *killer) WithAttrs([]slog.Attr) slog.Handler { return k }
func (k *killer) WithGroup(string) slog.Handler      { return k }

// killed runs a migration that dies after n lines of its log. It returns false
// if there were not so many.
func killed(t *testing.T, p *pair, n int, verb string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d|%s|%s|%s", killEnv, n, p.az.UserDSN("azadmin", "appdb"), p.ne.UserDSN("neondb_owner", "neondb"), verb))
	out, err := cmd.CombinedOutput()
	if err == nil && strings.Contains(string(out), "complete\n") && !strings.Contains(string(out), "not complete") {
		return false
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("killed after %d lines: %v\n%s", n, err, out)
	}
	return true
}

// A migration that was killed again and again goes on to the same end as one
// that was not, with the rows the source has then; and one that was killed can
// be undone.
func TestKillAndResume(t *testing.T) {
	t.Parallel()
	if !tested(t, 15, 17) {
		t.Skip("the versions of this test are left out")
	}
	p := newPair(t, 15, 17)
	start := before(t, p)
	for _, n := range []int{25, 60} {
		if !killed(t, p, n, "begin") {
			t.Fatalf("a run has fewer than %d lines", n)
		}
		rollBack(t, p)
		same(t, start, before(t, p))
	}
	verb := "begin"
	for _, n := range []int{12, 20, 40, 15, 12} {
		if !killed(t, p, n, verb) {
			t.Fatalf("a run has fewer than %d lines", n)
		}
		verb = "resume"
		t.Log(n, p.ne.Text(t, "neondb", "SELECT string_agg(DISTINCT phase, ' ') || count(*) FROM pghaul.step"))
	}
	// Meanwhile rows are written that the killed runs have moved already.
	p.az.Exec(t, "appdb", "INSERT INTO app.customer (id, email, region) VALUES (5000, 'late@example.com', 'eu'); UPDATE app.customer SET region = 'us' WHERE id = 1; SELECT nextval('app.customer_id_seq')")
	opts := options(nil)
	opts.Resume = true
	report, err := migrate.Run(t.Context(), p.source, p.target, opts)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Complete || !report.Resumed || report.Earlier == 0 || !slices.Equal(report.Reloaded, []string{"app.customer"}) {
		t.Errorf("complete %v, resumed %v, earlier %d, reloaded %v, failed %v", report.Complete, report.Resumed, report.Earlier, report.Reloaded, report.Failed)
	}
	golden.Check(t, "resumed17.txt", list(t, p.ne, "neondb"))
}
