package replicate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// TestRandomWorkload changes the source at random while rows are copied and changes
// followed, and ends sessions and runs meanwhile. PGHAUL_FOLLOW_SEED and
// PGHAUL_FOLLOW_RUNS say which runs to do on each pair of versions, of which there
// are more if there is more than one run.
func TestRandomWorkload(t *testing.T) {
	seed, runs := setting(t, "PGHAUL_FOLLOW_SEED", 1), setting(t, "PGHAUL_FOLLOW_RUNS", 1)
	majors := pgtest.Sources(t)
	done := 0
	pairs := [][2]int{{11, 18}, {14, 18}, {16, 17}}
	if runs > 1 {
		pairs = append(pairs, [2]int{13, 16}, [2]int{15, 17}, [2]int{18, 18})
	}
	for _, p := range pairs {
		if !slices.Contains(majors, p[0]) || !slices.Contains(majors, p[1]) {
			continue
		}
		done++
		for i := range runs {
			n := uint64(seed + i)
			t.Run(fmt.Sprintf("pg%dto%d/seed%d", p[0], p[1], n), func(t *testing.T) {
				t.Parallel()
				randomRun(t, newEnds(t, p[0], p[1]), n)
			})
		}
	}
	if done == 0 {
		t.Skip("none of the pairs of versions is to be tested")
	}
}

func randomRun(t *testing.T, e *ends, seed uint64) {
	t.Helper()
	ctx := t.Context()
	rng := rand.New(rand.NewPCG(seed, 1))
	l := newWorkload(t, e, seed)
	o := e.options(t)
	o.Tables = l.tables()
	o.ViaRoot = e.source.Major >= 13 && rng.IntN(2) == 0
	o.BatchChanges = []int{0, 1, 3, 50}[rng.IntN(4)]
	o.Heartbeat = time.Second
	t.Logf("seed %d: follow %s, via root %t, batches of %d", seed, o.ID, o.ViaRoot, o.BatchChanges)

	stop, worked := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	halt := func() error {
		once.Do(func() { close(stop) })
		return <-worked
	}
	go func() {
		err := l.run(ctx, stop)
		l.close() // a transaction left open would be waited for
		worked <- err
		close(worked)
	}()
	defer halt()

	pause(t, rng, 200)
	var f *Follow
	for {
		var err error
		if f, err = Start(ctx, o); err != nil {
			t.Fatal(err)
		}
		err = copyRows(ctx, f)
		if err == nil {
			break
		}
		e.end(t, f)
		if !errors.Is(err, errRewritten) {
			t.Fatal(err)
		}
		o.ID = newID()
		e.target.Exec(t, e.targetDB, "DROP SCHEMA pghaul_follow CASCADE")
	}
	t.Cleanup(func() { e.end(t, f) })
	pause(t, rng, 100)
	if err := f.CopyDone(ctx); err != nil {
		t.Fatal(err)
	}

	looking, noMore := context.WithCancel(ctx)
	looked := make(chan error, 1)
	go func() { looked <- l.look(looking) }()
	r := e.run(t, o)
	for range 8 {
		pause(t, rng, 150)
		switch rng.IntN(4) {
		case 0:
			e.source.Exec(t, e.sourceDB, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'pghaul_"+o.ID+"' AND active_pid IS NOT NULL")
		case 1:
			e.target.Exec(t, e.targetDB, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pghaul apply "+o.ID+"'")
		case 2: // another process takes over
			// The one that comes last goes on, which is not always the one started last.
			next := e.run(t, o)
			select {
			case err := <-next.done:
				next.done <- err
				r, next = next, r
			case err := <-r.done:
				r.done <- err
			case <-time.After(90 * time.Second):
			}
			if err := r.wait(t); !errors.Is(err, ErrTakenOver) {
				t.Errorf("a run that was taken over ended with %v", err)
			}
			r = next
		case 3:
			r.stop(t)
			r = e.run(t, o)
		}
	}
	if err := halt(); err != nil {
		t.Error(err)
	}
	e.drain(t, r, o.ID)
	noMore()
	if err := <-looked; err != nil {
		t.Error(err)
	}
	l.check(t)
	t.Logf("%d steps, %d commits; %s transactions applied", l.steps, l.commits,
		e.target.Text(t, e.targetDB, "SELECT transactions || ' with ' || changes FROM pghaul_follow.follow"))
}

// pause waits a random time of at most so many milliseconds.
func pause(t *testing.T, rng *rand.Rand, most int) {
	t.Helper()
	if err := pg.Sleep(t.Context(), time.Duration(1+rng.IntN(most))*time.Millisecond); err != nil {
		t.Fatal(err)
	}
}

// look checks the target again and again until ctx ends.
func (l *workload) look(ctx context.Context) error {
	conn, err := pg.Connect(ctx, l.e.target.Config(l.t, l.e.targetDB), pg.Write, pg.Options{})
	if err != nil {
		return err
	}
	defer pg.Close(conn)
	if _, err := conn.Exec(ctx, "SET search_path = public"); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := l.consistent(ctx, conn); err != nil && ctx.Err() == nil {
			return err
		}
		_ = pg.Sleep(ctx, 20*time.Millisecond)
	}
	return nil
}
