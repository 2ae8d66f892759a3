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

// ErrDisabled says that the target has stopped its subscription by itself, as it
// does when a change does not fit. Its log has the row.
var ErrDisabled = errors.New("the target has disabled the subscription, as it does at a change that does not fit its tables: its log tells which; mend that and resume")

// watch runs a follow of EngineNative: it makes and enables the subscription, and
// then looks after it, until ctx ends, somebody pauses or ends the follow, or the
// target has everything that was committed before Record.StopAt. What ends it
// otherwise is noted as the follow's failure, with the subscription disabled.
//
// The subscription goes on when watch has returned because ctx has ended.
func (f *Follow) watch(ctx context.Context) error {
	w := &watcher{f: f}
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
		case errors.Is(err, ErrDisabled) || !temporary(err):
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
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// errStopped says that StopAt was reached.
var errStopped = errors.New("stopped")

// A watcher looks after a subscription.
type watcher struct {
	f              *Follow
	source, target *pgx.Conn
	subscribed     bool // by this watcher
	beaten         time.Time
	compared       time.Time
}

func (w *watcher) close() {
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
		if err := setStage(ctx, w.target, r.ID, Paused, ""); err != nil {
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
	if err != nil {
		if errors.Is(err, ErrDisabled) || !temporary(err) {
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
		if err := setStage(ctx, w.target, w.f.ID, Following, ""); err != nil {
			return err
		}
		w.subscribed = true
		return nil
	}
	sub, err := readSubscription(ctx, w.target, w.f.Subscription)
	switch {
	case err != nil:
		return err
	case !sub.there:
		return fmt.Errorf("subscription %s: somebody has dropped it on the target: %w", w.f.Subscription, ErrEnded)
	case !sub.enabled:
		return ErrDisabled
	}
	return nil
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

// fail disables the subscription, so that nothing more is applied, and notes why.
func (w *watcher) fail(ctx context.Context, why error) error {
	if errors.Is(why, ErrEnded) {
		return nil
	}
	return errors.Join(disable(ctx, w.target, w.f.Subscription), setStage(ctx, w.target, w.f.ID, Failed, why.Error()))
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
