package restore

import (
	"context"
	"fmt"
	"runtime"

	"github.com/pghaul/pghaul/internal/pg"
)

// unknownHelpers says that it is left to the server how many processes help a
// session to build an index.
const unknownHelpers = -1

// findHelpers finds out how many processes of the server may help this session.
// How many processors the server has it does not tell, but where it is on this
// machine they are those that are seen here.
func (w *worker) findHelpers(ctx context.Context) error {
	w.mayHelp, w.helpers = unknownHelpers, unknownHelpers
	local, err := pg.Local(ctx, w.conn)
	if err != nil || !local {
		return err
	}
	const query = "SELECT pg_catalog.current_setting('max_parallel_maintenance_workers')::int"
	return w.conn.QueryRow(ctx, query).Scan(&w.mayHelp)
}

// budgetHelpers shares the processors of a server on this machine between the
// sessions that are at work: builds that have a processor each are slowed down
// by helpers, and one that is alone wants them. It never allows more than the
// server's own setting.
func (w *worker) budgetHelpers(ctx context.Context, kind string, working int) error {
	if w.mayHelp <= 0 || (kind != "INDEX" && kind != "CONSTRAINT") {
		return nil
	}
	n := min(max(runtime.GOMAXPROCS(0)-working, 0)/working, w.mayHelp)
	if n == w.helpers {
		return nil
	}
	err := exec(ctx, w.pgconn(), fmt.Sprintf("SET max_parallel_maintenance_workers = %d", n))
	if w.lost() { // who needs it connects again
		return nil
	}
	if err != nil {
		return fmt.Errorf("set up target session: %w", err)
	}
	w.helpers = n
	return nil
}
