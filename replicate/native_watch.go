package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

const (
	// watchEvery is how often a subscription is looked at.
	watchEvery = time.Second
	// stopEvery is the same while somebody waits for a position.
	stopEvery = 100 * time.Millisecond
	// driftEvery is how often the definitions of the tables are compared.
	driftEvery = 10 * time.Second
)

// What ends a follow of EngineNative at the target.
var (
	// ErrDisabled says that somebody has disabled or dropped the subscription.
	ErrDisabled = errors.New("the subscription was disabled on the target by somebody else: resume the follow to enable it")
	// ErrStuck says that the target fails again and again at the same change, which
	// does not fit its tables. SQL does not tell which one it is.
	ErrStuck = errors.New("the subscription fails at the same change again and again, which does not fit the target's tables: the log of the target's server tells which row; mend that and resume")
)

// stuckAfter is how many errors at one position make a subscription stuck. One may
// be a connection that was cut.
const stuckAfter = 3

// watch runs a follow of EngineNative: it makes and enables the subscription, and
// then looks after it, until ctx ends, somebody pauses or ends the follow, or the
// target has everything that was committed before Record.StopAt. What ends it
// otherwise is noted as the follow's failure, with the subscription disabled.
//
// The subscription goes on when watch has returned because ctx has ended.
func (f *Follow) watch(ctx context.Context) error {
	w := &watcher{f: f, failures: -1}
	defer w.close()
	failures := 0
	var since time.Time // the first failure
	for {
		wait := watchEvery
		if f.StopAt != 0 {
			wait = stopEvery
		}
		err := w.look(ctx)
		switch {
		case err == nil:
			failures = 0
		case errors.Is(err, errStopped):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case final(err):
			return err
		default:
			w.close()
			if failures == 0 {
				since = time.Now()
			}
			if f.opts.Patience > 0 && time.Since(since) > f.opts.Patience {
				return fmt.Errorf("follow %s: given up after %s: %w", f.ID, f.opts.Patience, err)
			}
			f.log.Warn("follow: connection lost, trying again", "error", err, "attempt", failures+1)
			wait = backoff(failures)
			failures++
		}
		if err := pg.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// errStopped says that StopAt was reached.
var errStopped = errors.New("stopped")

// final says that an error does not go away.
func final(err error) bool {
	return errors.Is(err, ErrDisabled) || errors.Is(err, ErrStuck) || !temporary(err)
}

// A watcher looks after a subscription.
type watcher struct {
	f              *Follow
	source, target *pgx.Conn
	subscribed     bool // by this watcher
	beaten         time.Time
	compared       time.Time
	// failures is what the target had counted at the position confirmed, less than 0
	// before it was asked.
	failures  int64
	confirmed LSN
}

func (w *watcher) close() {
	w.failures = -1 // what fails with a lost server is no conflict
	for _, c := range []**pgx.Conn{&w.source, &w.target} {
		if *c != nil {
			pg.Close(*c)
			*c = nil
		}
	}
}

// look looks once.
func (w *watcher) look(ctx context.Context) (err error) {
	f := w.f
	if w.target == nil {
		if w.target, err = f.target(ctx); err != nil {
			return err
		}
	}
	r, err := readRecord(ctx, w.target, f.ID)
	if err != nil {
		return err
	}
	f.Record = *r
	switch {
	case r.Done():
		return ErrEnded
	case r.Pause:
		if err := disable(ctx, w.target, r.Subscription); err != nil {
			return err
		}
		if err := w.stage(ctx, Paused, ""); err != nil {
			return err
		}
		return ErrPaused
	}
	if w.source == nil {
		if w.source, err = f.source(ctx); err != nil {
			return err
		}
	}
	slot, err := readSlot(ctx, w.source, r.Slot)
	if err == nil {
		err = slot.usable(r.Slot)
	}
	if err == nil && time.Since(w.compared) >= driftEvery {
		if err = w.compare(ctx); err == nil {
			w.compared = time.Now()
		}
	}
	if err == nil {
		err = w.keepEnabled(ctx)
	}
	if err == nil {
		err = w.moving(ctx, slot.Confirmed)
	}
	if err != nil {
		// A slot that is gone may be one that a cut-over or an abort has dropped.
		if now, readErr := readRecord(ctx, w.target, f.ID); errors.Is(readErr, ErrNoFollow) || readErr == nil && now.Done() {
			return ErrEnded
		}
		if final(err) {
			err = errors.Join(err, w.fail(ctx, err))
		}
		return err
	}
	if r.StopAt != 0 && slot.Confirmed >= r.StopAt {
		return errStopped
	}
	return w.beat(ctx)
}

// keepEnabled enables the subscription once, and fails when it has been disabled
// since.
func (w *watcher) keepEnabled(ctx context.Context) error {
	if !w.subscribed {
		if err := w.f.subscribe(ctx, w.source, w.target); err != nil {
			return err
		}
		if err := w.stage(ctx, Following, ""); err != nil {
			return err
		}
		w.subscribed = true
		return nil
	}
	sub, err := readSubscription(ctx, w.target, w.f.Subscription)
	switch {
	case err != nil:
		return err
	case !sub.enabled:
		return ErrDisabled
	}
	return nil
}

// moving returns ErrStuck when the target fails without getting any further.
func (w *watcher) moving(ctx context.Context, confirmed LSN) error {
	failures, err := subscriptionErrors(ctx, w.target, w.f.Subscription)
	switch {
	case err != nil:
		return err
	case w.failures < 0 || confirmed != w.confirmed:
		w.failures, w.confirmed = failures, confirmed
	case failures >= w.failures+stuckAfter:
		return ErrStuck
	}
	return nil
}

// subscriptionErrors is how often a subscription has failed; 0 before PostgreSQL
// 15, which does not count.
func subscriptionErrors(ctx context.Context, target *pgx.Conn, name string) (int64, error) {
	v, err := version(target)
	if err != nil || !v.AtLeast(15) {
		return 0, err
	}
	var n int64
	err = target.QueryRow(ctx, "SELECT coalesce(sum(apply_error_count), 0)::int8 FROM pg_catalog.pg_stat_subscription_stats WHERE subname = $1", name).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read the statistics of subscription %s: %w", name, err)
	}
	return n, nil
}

// compare finds tables of the source that have changed.
func (w *watcher) compare(ctx context.Context) error {
	drift, err := readDrift(ctx, w.source, &w.f.Record)
	if err != nil {
		return err
	}
	for table, diffs := range drift.sorted() {
		return &SchemaError{Table: table, Diffs: diffs}
	}
	for _, text := range drift.missing {
		if err := addWarning(ctx, w.target, w.f.ID, text); err != nil {
			return err
		}
	}
	return nil
}

// stage notes how far the follow is, unless it has ended meanwhile.
func (w *watcher) stage(ctx context.Context, stage Stage, detail string) error {
	return setRecord(ctx, w.target, w.f.ID, "stage = CASE WHEN stage IN ('cut over', 'aborted') THEN stage ELSE $2 END, detail = CASE WHEN stage IN ('cut over', 'aborted') THEN detail ELSE $3 END", string(stage), detail)
}

// fail disables the subscription, so that nothing more is applied, and notes why.
func (w *watcher) fail(ctx context.Context, why error) error {
	return errors.Join(disable(ctx, w.target, w.f.Subscription), w.stage(ctx, Failed, why.Error()))
}

// beat writes a message to the source's log, so that the position of a database
// that nothing is written to moves, and with it the WAL that is kept.
func (w *watcher) beat(ctx context.Context) error {
	every := w.f.opts.heartbeat()
	if every < 0 || time.Since(w.beaten) < every {
		return nil
	}
	// In a transaction: what is written outside of one may wait in memory.
	if _, err := w.source.Exec(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'pghaul', '')"); err != nil {
		return fmt.Errorf("write a heartbeat to the source: %w", err)
	}
	w.beaten = time.Now()
	return nil
}
