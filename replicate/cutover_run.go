package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// undoFor is how long letting writes in again is tried.
const undoFor = 2 * time.Minute

// awayFor is how long a target is waited for that cannot be told that writes are let
// in at the source again.
const awayFor = 45 * time.Second

// askFor is how long an end may take to answer while the fence is to be lifted. One
// that is silent is not there, and tryFor is how long one attempt may take.
const (
	askFor = 10 * time.Second
	tryFor = time.Minute
)

// confirmFor is how long a subscription may stand still that is waited for.
const confirmFor = time.Minute

// nearEnough is how long the rest may take to be brought that is not worth another
// round.
const nearEnough = 500 * time.Millisecond

// A background is a Run beside a cut-over.
type background struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done
}

// startRun takes the follow over.
func (c *cutter) startRun(ctx context.Context) error {
	f, err := Attach(ctx, c.opts)
	if err != nil {
		return err
	}
	f.cutting = true
	run, cancel := context.WithCancel(ctx)
	b := &background{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		b.err = f.Run(run)
	}()
	c.run = b
	return nil
}

// stopRun ends the Run, if there is one.
func (c *cutter) stopRun() {
	if c.run != nil {
		c.run.cancel()
		<-c.run.done
		c.run = nil
	}
}

// drain waits until the target has all that the source has committed by now. The
// Run ends with that.
func (c *cutter) drain(ctx context.Context) error {
	// Something has to be committed after the last transaction, so that the source
	// sends what comes before without waiting for more.
	var lsn LSN
	if _, err := c.source.Exec(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'pghaul', 'drain')"); err != nil {
		return fmt.Errorf("mark the source's log: %w", err)
	}
	if err := c.source.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text").Scan(&lsn); err != nil {
		return fmt.Errorf("read the position of the source: %w", err)
	}
	if c.Engine == EngineNative {
		if err := c.confirmed(ctx, lsn); err != nil {
			return fmt.Errorf("bring the target up to %s: %w", lsn, err)
		}
		c.report.LSN = lsn
		return nil
	}
	if err := setRecord(ctx, c.target, c.ID, "stop_at = $2::text::pg_lsn", lsn.String()); err != nil {
		return err
	}
	for {
		if c.run == nil {
			if err := c.startRun(ctx); err != nil {
				return err
			}
		}
		select {
		case <-c.run.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err := c.run.err
		c.stopRun()
		if errors.Is(err, ErrTakenOver) {
			// By one that is started again whenever it ends, perhaps: whoever it is brings
			// the same.
			c.log.Info("cut-over: " + err.Error())
			there := false
			if there, err = c.brought(ctx, lsn); err == nil && !there {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("bring the target up to %s: %w", lsn, err)
		}
		c.report.LSN = lsn
		return nil
	}
}

// brought waits a moment for another process to bring the target up to a position.
func (c *cutter) brought(ctx context.Context, lsn LSN) (bool, error) {
	for range 20 {
		r, err := readRecord(ctx, c.target, c.ID)
		switch {
		case err != nil:
			return false, err
		case r.Done():
			return false, fmt.Errorf("another process has ended follow %s meanwhile (%s): %w", c.ID, r.Stage, ErrEnded)
		case r.Applied >= lsn:
			return true, nil
		}
		if err := pg.Sleep(ctx, 100*time.Millisecond); err != nil {
			return false, err
		}
	}
	return false, nil
}

// confirmed waits until the subscription has confirmed a position.
func (c *cutter) confirmed(ctx context.Context, lsn LSN) error {
	var last LSN
	moved := time.Now()
	for i := 0; ; i++ {
		slot, err := readSlot(ctx, c.source, c.Slot)
		if err == nil {
			err = slot.usable(c.Slot)
		}
		if err != nil {
			return err
		}
		if slot.Confirmed >= lsn {
			return nil
		}
		if slot.Confirmed != last {
			last, moved = slot.Confirmed, time.Now()
		}
		if time.Since(moved) > confirmFor {
			return fmt.Errorf("the subscription has not got further than %s for %v: see the status of the follow", last, confirmFor)
		}
		if i%10 == 0 {
			sub, err := readSubscription(ctx, c.target, c.Subscription)
			if err != nil {
				return err
			}
			if !sub.enabled {
				return ErrDisabled
			}
		}
		if err := pg.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// catchUp waits until the target is so near that the rest is there in a fraction
// of the downtime, and leaves the follow running.
func (c *cutter) catchUp(ctx context.Context) error {
	most := c.cut.maxDowntime()
	if most < 0 {
		most = 30 * time.Second
	}
	fenced, err := c.fenced(ctx)
	if err != nil {
		return err
	}
	if fenced { // by a process before, that may have begun to go the other way
		if err := c.stopReverse(ctx); err != nil {
			return err
		}
	}
	if c.Engine == EngineNative {
		if err := c.subscribe(ctx, c.source, c.target); err != nil {
			return err
		}
	} else if fenced { // it may have come as far as to wake the target
		if err := c.Quiet(ctx); err != nil {
			return err
		}
	}
	took, before := time.Duration(0), time.Duration(0)
	for try := range 10 {
		begin := time.Now()
		if err := c.drain(ctx); err != nil {
			return err
		}
		took, before = time.Since(begin), took
		// As near as it gets: each round has less to bring than the one before.
		if took < nearEnough || took < most/3 && (try > 0 && took > before*4/5 || try == 9) {
			if c.Engine == EngineNative {
				return nil
			}
			if err := setRecord(ctx, c.target, c.ID, "stop_at = NULL"); err != nil {
				return err
			}
			return c.startRun(ctx)
		}
	}
	return fmt.Errorf("the target does not come near enough: it needs %v for what the source writes meanwhile; try again when less is written: %w", took.Round(time.Millisecond), ErrMaxDowntime)
}

// undo lets writes in at the source again after a failure, whatever has become of
// ctx and of the connections, and returns why. If the target has taken over all
// the same, it returns nil.
func (c *cutter) undo(ctx context.Context, why error) error {
	begin, undoing := c.fencing, time.Now()
	c.stopRun()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoFor)
	defer cancel()
	var err error
	for failures := 0; ; failures++ {
		var done bool
		if done, err = c.tryUndo(ctx, failures > 0); err == nil {
			if !begin.IsZero() && !c.lifted {
				c.report.Downtime = time.Since(begin)
			}
			if done {
				c.report.Done = true
				return nil
			}
			return why
		}
		if !temporary(err) || c.lifted && time.Since(undoing) > awayFor {
			break
		}
		c.log.Warn("cut-over: the fence could not be lifted, trying again", "error", err)
		if pg.Sleep(ctx, backoff(failures)) != nil {
			break
		}
	}
	switch {
	case begin.IsZero():
		return errors.Join(why, err)
	case c.lifted:
		return errors.Join(why, fmt.Errorf("writes are let in at the source again, but the target could not be told: resume the follow when it is there: %w", err))
	}
	return errors.Join(why, fmt.Errorf("the source may still refuse writes: call the cut-over, resume or abort again, or lift the fence by hand with %s, and end the sessions of its database: %w",
		liftStatement(c.SourceDatabase, c.lifting), err))
}

// tryUndo undoes on new sessions, or on those there are. It reports whether the
// target has taken over.
func (c *cutter) tryUndo(ctx context.Context, again bool) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	if again || c.source == nil || c.source.IsClosed() || c.target == nil || c.target.IsClosed() {
		c.close()
		c.source, c.target, c.away = nil, nil, nil
		if err := c.reopen(ctx); err != nil {
			return false, err
		}
	}
	if away := c.away; away != nil { // see reopen
		if !c.lifted {
			if _, err := c.liftSource(ctx, c.lifting, c.raised); err != nil {
				return false, err
			}
			c.report.Downtime = time.Since(c.fencing)
		}
		return false, away
	}
	asking, asked := context.WithTimeout(ctx, askFor)
	err = c.reread(asking, c.ID)
	asked()
	if err != nil {
		return false, err
	}
	if c.Stage == CutOver {
		return true, nil
	}
	if c.reverse != nil {
		c.reverse.Close()
		c.reverse = nil
	}
	if err := c.takeBack(ctx); err != nil {
		return false, err
	}
	c.report.Reverse = ""
	if err := setRecord(ctx, c.target, c.ID, "stop_at = NULL"); err != nil {
		return false, err
	}
	if c.woken {
		// The follow goes on, into tables on which nothing may act by itself.
		if err := c.Quiet(ctx); err != nil {
			return false, err
		}
	}
	if c.Engine == EngineNative && c.Stage == Following {
		return false, c.subscribe(ctx, c.source, c.target)
	}
	return false, nil
}

// reopen opens sessions at both ends. With the target out of reach the fence can
// be lifted all the same, unless the target may have taken over.
func (c *cutter) reopen(ctx context.Context) error {
	connect := func(cfg *pgx.ConnConfig) (*pgx.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, askFor)
		defer cancel()
		return pg.Connect(ctx, cfg, pg.Write, pg.Options{Application: "pghaul control", Encoding: "UTF8"})
	}
	target, err := connect(c.opts.Target)
	if err != nil {
		c.away = fmt.Errorf("connect to the target: %w", err)
		if c.handing || c.raised.IsZero() {
			return c.away
		}
	} else {
		c.target = target
	}
	source, err := connect(c.opts.Source)
	if err != nil {
		return fmt.Errorf("connect to the source: %w", err)
	}
	c.source = source
	return nil
}
