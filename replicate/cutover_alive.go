package replicate

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// cuttingKey is of the lock that a cut-over's session holds at the target, $1 the ID.
const cuttingKey = "pg_catalog.hashtextextended('pghaul cut-over ' || $1, 0)"

// cuttingEvery is how often it is looked whether a cut-over is still there.
const cuttingEvery = 500 * time.Millisecond

// showCutting has it seen that a cut-over is under way, for as long as its session
// with the target lasts.
func (c *cutter) showCutting(ctx context.Context) error {
	if _, err := c.target.Exec(ctx, "SELECT pg_catalog.pg_advisory_lock_shared("+cuttingKey+")", c.ID); err != nil {
		return fmt.Errorf("lock follow %s for the cut-over: %w", c.ID, err)
	}
	return nil
}

// cutting returns the session of a cut-over that is under way, 0 if there is none.
func cutting(ctx context.Context, target *pgx.Conn, id string) (pid int32, err error) {
	err = target.QueryRow(ctx, `SELECT coalesce(max(l.pid), 0) FROM pg_catalog.pg_locks l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (l.classid::int8 << 32) | l.objid::int8 = `+cuttingKey, id).Scan(&pid)
	if err != nil {
		return 0, fmt.Errorf("see whether follow %s is being cut over: %w", id, err)
	}
	return pid, nil
}

// afterCutover waits until no cut-over is under way: one that brings changes by
// itself would be taken over, and a subscription enabled that it has disabled.
func (f *Follow) afterCutover(ctx context.Context) error {
	var target *pgx.Conn
	defer func() {
		if target != nil {
			pg.Close(target)
		}
	}()
	told := false
	for {
		var pid int32
		var err error
		if target == nil {
			target, err = pg.Connect(ctx, f.opts.Target, pg.Write, pg.Options{Application: "pghaul control", Encoding: "UTF8", Direct: true})
		}
		if err == nil {
			pid, err = cutting(ctx, target, f.ID)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil || pid == 0:
			return nil // who runs it waits for lost connections
		case !told:
			f.log.Warn(fmt.Sprintf("a cut-over is under way (session %d of the target): waiting for its end", pid))
			told = true
		}
		if err := pg.Sleep(ctx, cuttingEvery); err != nil {
			return err
		}
	}
}
