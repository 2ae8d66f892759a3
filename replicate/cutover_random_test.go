package replicate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
)

// TestRandomCutover cuts over while the source is changed at random, as often as it
// takes: a prepared transaction makes an attempt fail, which is undone.
func TestRandomCutover(t *testing.T) {
	seed, runs := setting(t, "PGHAUL_FOLLOW_SEED", 1), setting(t, "PGHAUL_FOLLOW_RUNS", 1)
	for _, engine := range []Engine{EngineNative, EngineApply} {
		for i := range runs {
			n := uint64(seed + i)
			t.Run(fmt.Sprintf("%s/seed%d", engine, n), func(t *testing.T) {
				t.Parallel()
				randomCutover(t, newEnds(t, latest(t), latest(t)), engine, n)
			})
		}
	}
}

func randomCutover(t *testing.T, e *ends, engine Engine, seed uint64) {
	t.Helper()
	ctx := t.Context()
	rng := rand.New(rand.NewPCG(seed, 2))
	l := newWorkload(t, e, seed)
	if engine == EngineNative {
		// A subscription finds rows by equality, which json has not, and takes 0 for -0.
		e.both(t, "ALTER TABLE nokey ALTER j TYPE jsonb, ALTER f TYPE text")
	}
	o := e.options(t)
	o.Tables, o.Engine, o.ViaRoot = l.tables(), engine, rng.IntN(2) == 0
	t.Logf("seed %d: follow %s, via root %t", seed, o.ID, o.ViaRoot)
	stop, worked := make(chan struct{}), make(chan error, 1)
	go func() { worked <- l.fenced(ctx, stop) }()
	defer l.close()
	t.Cleanup(func() { e.abort(t, o) })

	var f *Follow
	for {
		var err error
		if f, err = Start(ctx, o); err != nil {
			t.Fatal(err)
		}
		if err = copyRows(ctx, f); err == nil {
			break
		}
		if f.Close(); !errors.Is(err, errRewritten) {
			t.Fatal(err)
		}
		if err := Abort(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Quiet(ctx), f.CopyDone(ctx)); err != nil {
		t.Fatal(err)
	}
	e.run(t, o)
	pause(t, rng, 500)
	var report *CutoverReport
	for attempt := 1; ; attempt++ {
		var err error
		report, err = Cutover(ctx, o, CutoverOptions{})
		if err == nil {
			t.Logf("attempt %d, %d commits, downtime %v", attempt, l.commits, report.Downtime)
			break
		}
		if _, ok := errors.AsType[*FenceError](err); !ok || attempt == 50 {
			t.Fatalf("attempt %d: %v", attempt, err)
		}
		pause(t, rng, 100)
	}
	close(stop)
	select {
	case err := <-worked:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the workload does not end")
	}
	l.check(t)
	if writable(t, e.source, e.sourceDB) {
		t.Error("the source is not fenced")
	}
}

// fenced is run for a source that may be fenced: transactions that it refuses are
// begun again in new sessions.
func (l *workload) fenced(ctx context.Context, stop <-chan struct{}) error {
	for {
		err := l.run(ctx, stop)
		if pg.Code(err) != "25006" {
			return err
		}
		l.close()
		for _, s := range l.sessions {
			s.conn = nil
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}
