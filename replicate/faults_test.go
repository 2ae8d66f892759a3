package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/faults"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// childVariable makes the test's binary a process that runs a follow.
const childVariable = "PGHAUL_TEST_FOLLOW_CHILD"

// A child is what such a process has to know.
type child struct {
	Source, Target, ID string
	Batch              int
}

// runChild runs a follow as the command would, and returns an exit status: 0 when
// StopAt is reached.
func runChild(text string) int {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	err := func() error {
		source, err := pgx.ParseConfig(c.Source)
		if err != nil {
			return err
		}
		target, err := pgx.ParseConfig(c.Target)
		if err != nil {
			return err
		}
		o := Options{
			Source: source, Target: target, ID: c.ID, BatchChanges: c.Batch, Heartbeat: time.Second,
			Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		}
		for {
			f, err := Attach(context.Background(), o)
			if err == nil {
				return f.Run(context.Background())
			}
			if !temporary(err) {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A process is one that runs a follow.
type process struct {
	cmd  *exec.Cmd
	out  strings.Builder
	done chan struct{}
}

func startProcess(t *testing.T, c child) *process {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// kill ends the process at once, wherever it is.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// wait waits for the process to end by itself.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Fatalf("the process ended with status %d:\n%s", code, p.out.String())
		}
	case <-time.After(4 * time.Minute):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		<-p.done
		t.Fatalf("the process hangs:\n%s", p.out.String())
	}
}

// TestFaults follows a source that changes at random while processes are killed,
// servers crash and restart, and connections are cut and fall silent.
// PGHAUL_FOLLOW_SEED and PGHAUL_FOLLOW_FAULTS say which runs to do.
func TestFaults(t *testing.T) {
	t.Parallel()
	seed, runs := setting(t, "PGHAUL_FOLLOW_SEED", 1), setting(t, "PGHAUL_FOLLOW_FAULTS", 1)
	majors := pgtest.Versions(t)
	opts := pgtest.Options{Settings: pgtest.LogicalSettings()}
	from, to := majors[0], majors[len(majors)-1]
	if v := os.Getenv("PGHAUL_FOLLOW_FROM"); v != "" {
		from = setting(t, "PGHAUL_FOLLOW_FROM", from)
	}
	source, target := pgtest.Private(t, from, opts), pgtest.Private(t, to, pgtest.Options{})
	for i := range runs {
		n := uint64(seed + i)
		t.Run(fmt.Sprintf("pg%dto%d/seed%d", source.Major, target.Major, n), func(t *testing.T) {
			e := &ends{source: source, target: target}
			e.sourceDB, e.targetDB = source.Database(t), target.Database(t)
			faultyRun(t, e, n)
		})
	}
}

func faultyRun(t *testing.T, e *ends, seed uint64) {
	t.Helper()
	ctx := t.Context()
	rng := rand.New(rand.NewPCG(seed, 2))
	l := newWorkload(t, e, seed)
	o := e.options(t)
	o.Tables = l.tables()
	proxies := [2]*faults.Proxy{}
	for i, s := range []*pgtest.Server{e.source, e.target} {
		var err error
		if proxies[i], err = faults.NewProxy(fmt.Sprintf("%s:%d", s.Host, s.Port)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxies[i].Close)
	}
	dsn := func(p *faults.Proxy, s *pgtest.Server, db string) string {
		return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", p.Host(), p.Port(), s.Superuser, db)
	}
	c := child{
		Source: dsn(proxies[0], e.source, e.sourceDB), Target: dsn(proxies[1], e.target, e.targetDB),
		ID: o.ID, Batch: []int{0, 1, 5, 100}[rng.IntN(4)],
	}

	stop, worked := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	halt := func() error {
		once.Do(func() { close(stop) })
		return <-worked
	}
	go func() {
		err := l.run(ctx, stop)
		l.close()
		worked <- err
		close(worked)
	}()
	defer halt()
	pause(t, rng, 100)
	for {
		f, err := Start(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if err = copyRows(ctx, f); err == nil {
			if err := f.CopyDone(ctx); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.end(t, f) })
			break
		}
		e.end(t, f)
		if !errors.Is(err, errRewritten) {
			t.Fatal(err)
		}
		o.ID = newID()
		c.ID = o.ID
		e.target.Exec(t, e.targetDB, "DROP SCHEMA pghaul_follow CASCADE")
	}

	p := startProcess(t, c)
	var story []string
	for range 8 {
		pause(t, rng, 250)
		which := rng.IntN(2)
		name, server, proxy := []string{"source", "target"}[which], []*pgtest.Server{e.source, e.target}[which], proxies[which]
		switch rng.IntN(7) {
		case 0, 1:
			story = append(story, "kill -9")
			p.kill()
			p = startProcess(t, c)
		case 2:
			story = append(story, "crash of the "+name)
			server.Kill(t)
			pause(t, rng, 200)
			server.Restart(t)
		case 3:
			story = append(story, "restart of the "+name)
			server.Restart(t)
		case 4:
			story = append(story, "connections to the "+name+" cut")
			proxy.Reset()
		case 5:
			story = append(story, "connections to the "+name+" silent for a while")
			proxy.Strike(faults.Fault{Action: faults.Silence, For: time.Duration(1+rng.IntN(1500)) * time.Millisecond})
		case 6:
			story = append(story, "connections to the "+name+" reset at some byte")
			proxy.Arm(faults.Fault{Action: faults.Reset, Direction: faults.Direction(rng.IntN(2)), After: int64(rng.IntN(200_000)), Times: 1})
		}
	}
	t.Logf("seed %d: follow %s, batches of %d: %s", seed, c.ID, c.Batch, strings.Join(story, ", "))
	if err := halt(); err != nil {
		t.Error(err)
	}
	e.stopHere(t, c.ID)
	p.wait(t)
	l.check(t)
	t.Logf("%d steps, %d sessions of the workload; %s changes applied", l.steps, l.reopened, e.target.Text(t, e.targetDB, "SELECT transactions || ' transactions with ' || changes FROM pghaul_follow.follow"))
}
