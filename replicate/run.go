package replicate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// Attach finds a follow again that was started before, by any process on any
// machine. Source, Target, ID and what concerns Run are taken of opts.
func Attach(ctx context.Context, opts Options) (*Follow, error) {
	f, err := newFollow(opts)
	if err != nil {
		return nil, err
	}
	conn, err := pg.Connect(ctx, opts.Target, pg.Write, pg.Options{Application: "pghaul", Encoding: "UTF8", Direct: true})
	if err != nil {
		return nil, fmt.Errorf("connect to the target: %w", err)
	}
	defer pg.Close(conn)
	r, err := readRecord(ctx, conn, opts.ID)
	if err != nil {
		return nil, err
	}
	f.Record = *r
	return f, nil
}

// Run brings over what is committed on the source until ctx ends, Record.StopAt is
// reached, which is no error, or somebody else ends it (ErrPaused, ErrEnded,
// ErrTakenOver). Lost connections and restarts of either server are waited for, and
// so is a cut-over that is under way. A process that runs the same follow already is
// ended.
//
// Anything that cannot be applied (ConflictError, SchemaError) ends it as well: all
// transactions before that one are on the target and nothing of it. The follow is
// Failed then, and goes on with that transaction when it is run again.
func (f *Follow) Run(ctx context.Context) error {
	if !f.cutting {
		if err := f.afterCutover(ctx); err != nil {
			return err
		}
	}
	if f.Engine == EngineNative {
		return f.watch(ctx)
	}
	if f.Engine != EngineApply {
		return fmt.Errorf("follow %s is run by the engine %s", f.ID, f.Engine)
	}
	return f.runApply(ctx)
}

// backoff is how long to wait after failures one after the other.
func backoff(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 10), 15*time.Second)
}

func (f *Follow) runApply(ctx context.Context) error {
	r := &applyRun{Follow: f}
	f.Runner = newID() + newID()
	failures := 0
	var since time.Time // the first failure
	for {
		before := f.Applied
		err := r.session(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil || errors.Is(err, ErrEnded) || errors.Is(err, ErrTakenOver):
			return err
		case errors.Is(err, ErrPaused):
			return errors.Join(err, r.note(ctx, Paused, ""))
		}
		if f.Applied != before {
			failures = 0
		}
		if failures == 0 {
			since = time.Now()
		}
		if !temporary(err) || !r.claimed && refusedLogin(err) {
			if r.claimed && !r.careful && !errors.Is(err, ErrNoFollow) {
				// It may have hit several transactions that were to be committed together.
				f.log.Debug("follow: going on transaction by transaction", "error", err)
				r.careful, r.failed = true, f.Applied
				continue
			}
			if r.claimed {
				return errors.Join(err, r.note(ctx, Failed, err.Error()))
			}
			return err
		}
		if f.opts.Patience > 0 && time.Since(since) > f.opts.Patience {
			return fmt.Errorf("follow %s: given up after %s: %w", f.ID, f.opts.Patience, err)
		}
		if _, ok := errors.AsType[*internalSourceError](err); ok && time.Since(since) > internalPatience {
			return errors.Join(err, r.note(ctx, Failed, err.Error()))
		}
		f.log.Warn("follow: connection lost, trying again", "error", err, "attempt", failures+1)
		if err := pg.Sleep(ctx, backoff(failures)); err != nil {
			return err
		}
		failures++
	}
}

// An applyRun is one call of Run, over as many sessions as it takes.
type applyRun struct {
	*Follow
	claimed bool // the record is this process's
	careful bool // see applier.careful
	failed  LSN  // the position when that began

	watched *Record
	warned  []string // by watch, in this call of Run
}

// note writes the stage that the run ends in, unless somebody else has the follow.
func (r *applyRun) note(ctx context.Context, stage Stage, detail string) error {
	ctx, done := pg.Outlive(ctx)
	defer done()
	conn, err := r.target(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(conn)
	if _, err := conn.Exec(ctx, "UPDATE pghaul_follow.follow SET stage = $3, detail = $4, updated = pg_catalog.clock_timestamp() WHERE id = $1 AND runner = $2 AND stage = 'following'",
		r.ID, r.Runner, string(stage), strings.ToValidUTF8(strings.ReplaceAll(detail, "\x00", ""), "?")); err != nil {
		return fmt.Errorf("write the state of follow %s: %w", r.ID, err)
	}
	r.Stage, r.Detail = stage, detail
	return nil
}

// session applies changes through one session of each end until one is lost.
func (r *applyRun) session(ctx context.Context) error {
	conn, err := r.target(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(conn)
	if err := r.claim(ctx, conn); err != nil {
		return err
	}
	source, err := r.source(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(source)
	if err := r.freeSlot(ctx, source); err != nil {
		return err
	}
	a, err := newApplier(ctx, r.Follow, conn)
	if err != nil {
		return err
	}
	a.careful = r.careful
	repl, system, err := r.replication(ctx)
	if err != nil {
		return err
	}
	if system != r.SourceSystem {
		pg.Close(repl)
		return &protocolError{fmt.Errorf("the source is another server than the one that is followed: its system identifier is %s, not %s", system, r.SourceSystem)}
	}
	a.stream, err = startStream(ctx, repl, &r.Record, r.Applied)
	if err != nil {
		pg.Close(repl)
		return err
	}
	var wg sync.WaitGroup
	working, stop := context.WithCancel(ctx)
	wg.Go(func() { a.stream.run(working) })
	wg.Go(func() { r.beat(working, source) })
	watched := r.Record // the applier changes what it counts
	r.watched = &watched
	wg.Go(func() { r.watch(working) })
	err = a.run(working)
	stop()
	wg.Wait()
	a.stream.close()
	if r.careful && r.Applied > r.failed {
		r.careful = false // what failed has passed
	}
	return err
}

// claim makes this process the one that applies, and reads where to begin. Sessions
// of processes before it are ended: what they may be about to commit is waited for
// by the row that they have to write as well.
func (r *applyRun) claim(ctx context.Context, conn *pgx.Conn) error {
	now, err := readRecord(ctx, conn, r.ID)
	if err != nil {
		return err
	}
	switch {
	case r.claimed && now.Runner != r.Runner:
		return ErrTakenOver
	case now.Done():
		return ErrEnded
	case now.Stage == Starting || now.Stage == Copying:
		return &protocolError{fmt.Errorf("follow %s cannot run: its rows have not been copied (stage %q); go on with what copies them, or abort it", r.ID, now.Stage)}
	}
	if _, err := conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE application_name = $1 AND pid <> pg_catalog.pg_backend_pid() AND usename = current_user AND datname = pg_catalog.current_database()`, r.targetName()); err != nil {
		return fmt.Errorf("end earlier sessions on the target: %w", err)
	}
	tag, err := conn.Exec(ctx, `UPDATE pghaul_follow.follow SET runner = $2, stage = 'following', detail = '', updated = pg_catalog.clock_timestamp()
WHERE id = $1 AND runner = $3 AND stage IN ('following', 'paused', 'failed')`, r.ID, r.Runner, now.Runner)
	if err != nil {
		return fmt.Errorf("take follow %s over: %w", r.ID, err)
	}
	if tag.RowsAffected() != 1 {
		if r.claimed {
			return ErrTakenOver
		}
		return errMoved // another one was quicker; look again
	}
	runner := r.Runner
	if now, err = readRecord(ctx, conn, r.ID); err != nil {
		return err
	}
	if now.Runner != runner {
		return ErrTakenOver
	}
	r.Record, r.claimed = *now, true
	if r.Pause {
		return ErrPaused
	}
	return nil
}

// freeSlot ends who uses the slot, which can only be a process before this one, and
// checks that the slot still has all that the target lacks.
func (r *applyRun) freeSlot(ctx context.Context, source *pgx.Conn) error {
	v, err := pg.ServerVersion(source.PgConn())
	if err != nil {
		return err
	}
	status := "''"
	if v.AtLeast(13) {
		status = "coalesce(wal_status, '')"
	}
	for try := 0; ; try++ {
		var pid int32
		var confirmed LSN
		var state string
		err := source.QueryRow(ctx, "SELECT coalesce(active_pid, 0), coalesce(confirmed_flush_lsn, '0/0')::text, "+status+" FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", r.Slot).Scan(&pid, &confirmed, &state)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return &lostError{fmt.Sprintf("the source has no replication slot %s any more", r.Slot)}
		case err != nil:
			return fmt.Errorf("look for the replication slot: %w", err)
		case state == "lost":
			return &lostError{fmt.Sprintf("the source has removed the log that the replication slot %s needs", r.Slot)}
		case confirmed > r.Applied:
			return &lostError{fmt.Sprintf("the source has forgotten all before %s, the target has only what is before %s: it has lost committed transactions, or was put back to an earlier time", confirmed, r.Applied)}
		case pid == 0:
			return nil
		case try == 100:
			return fmt.Errorf("replication slot %s is still used by session %d of the source, which was told to end", r.Slot, pid)
		}
		if _, err := source.Exec(ctx, "SELECT pg_catalog.pg_terminate_backend($1)", pid); err != nil {
			return fmt.Errorf("end the session that uses replication slot %s: %w", r.Slot, err)
		}
		if err := pg.Sleep(ctx, dropWait); err != nil {
			return err
		}
	}
}

// beat writes to the source's log now and then, so that the position of a database
// moves in which nothing happens, and its server can remove old log.
func (r *applyRun) beat(ctx context.Context, source *pgx.Conn) {
	every := r.opts.heartbeat()
	if every < 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		// In a transaction: what is written outside of one may wait in memory.
		if _, err := source.Exec(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'pghaul', '')"); err != nil {
			if ctx.Err() == nil {
				r.log.Warn("follow: no heartbeat on the source", "error", err)
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
