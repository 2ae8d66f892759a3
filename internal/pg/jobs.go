package pg

import (
	"context"
	"fmt"
	"runtime"

	"github.com/jackc/pgx/v5"
)

const (
	// leastJobs keeps a server at work while its rows are dealt with here.
	leastJobs = 2
	// mostJobs is about where more connections stop to help servers of a usual size.
	mostJobs = 8
)

// DefaultJobs is how many connections work at once where nobody has said it: as
// many as this process has processors, but 2 at least and 8 at most.
func DefaultJobs() int { return min(max(runtime.GOMAXPROCS(0), leastJobs), mostJobs) }

// Jobs is DefaultJobs, but no more than half of the connections that conn's user
// may still open to conn's database, so that others find room; 1 at least.
func Jobs(ctx context.Context, conn *pgx.Conn) (int, error) {
	// numbackends is there for everybody to see, unlike the kinds of sessions, and
	// counts some that are not clients.
	const query = `SELECT least(
	pg_catalog.current_setting('max_connections')::bigint - pg_catalog.current_setting('superuser_reserved_connections')::bigint
		- coalesce(pg_catalog.current_setting('reserved_connections', true)::bigint, 0)
		- (SELECT sum(numbackends) FROM pg_catalog.pg_stat_database),
	(SELECT nullif(rolconnlimit, -1) - (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid)
		FROM pg_catalog.pg_roles r WHERE r.rolname = session_user AND NOT r.rolsuper),
	(SELECT nullif(datconnlimit, -1) - (SELECT s.numbackends FROM pg_catalog.pg_stat_database s WHERE s.datid = d.oid)
		FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))`
	var room int
	if err := conn.QueryRow(ctx, query).Scan(&room); err != nil {
		return 0, fmt.Errorf("read how many connections the server has left: %w", err)
	}
	return max(min(DefaultJobs(), room/2), 1), nil
}
