package pg

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// An Instance is one run of one server: another server is another instance, and
// so is the same one after a restart. The zero Instance is not known.
type Instance struct {
	Started string // when, in UTC, to the microsecond
	Standby bool   // in recovery
}

// micros reads a time as microseconds since 1970. Servers are asked for it so, and
// not with to_char, which reads the names of months in lc_time and fails where the
// database's encoding lacks their letters.
func micros(text []byte) (time.Time, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	return time.UnixMicro(n).UTC(), err
}

const instanceQuery = `SELECT (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::int8, pg_catalog.pg_is_in_recovery();
`

const instanceKey = "github.com/pghaul/pghaul instance"

// InstanceOf returns the server that a session made by Connect is on.
func InstanceOf(c *pgconn.PgConn) Instance {
	i, _ := c.CustomData()[instanceKey].(Instance)
	return i
}

// noteInstance keeps what instanceQuery has returned.
func noteInstance(c *pgconn.PgConn, results []*pgconn.Result) {
	for _, r := range results {
		if len(r.FieldDescriptions) != 2 || len(r.Rows) != 1 {
			continue
		}
		started, err := micros(r.Rows[0][0])
		if err != nil {
			continue // not known, then
		}
		c.CustomData()[instanceKey] = Instance{Started: started.Format("2006-01-02 15:04:05.000000"), Standby: string(r.Rows[0][1]) == "t"}
	}
}

// Differs reports whether two sessions are known to be on different instances.
func (i Instance) Differs(other Instance) bool {
	return i.Started != other.Started && i != (Instance{}) && other != (Instance{})
}

// ErrPooled is a connection that a pooler shares out by transactions: settings,
// locks and snapshots of a session end up in sessions of others.
var ErrPooled = errors.New("a connection pooler in transaction mode (pgbouncer, say) is between here and the server, which shares sessions out to others: connect to the server itself " +
	"(on Neon the host without -pooler, on Azure port 5432 instead of 6432), or to a pool in session mode")

// rounds is how often two sessions are compared. A pool that is in use by others
// need not give them the same server process the first time.
const rounds = 4

// direct returns ErrPooled if a session is shared out by a pooler. It asks
// before anything is set, since settings would reach other clients of the pool.
//
// The process that serves the session is the one that the server has named in
// the beginning. Where it is another, something is in between, which may be a
// proxy that does no harm. With two sessions open at the same time a pool of
// sessions has a process for each; a pool of transactions lends both the same,
// or one of them one and then another.
func direct(ctx context.Context, cfg *pgx.ConnConfig, conn *pgx.Conn) error {
	first, err := backend(ctx, conn.PgConn())
	if err != nil || first == conn.PgConn().PID() {
		return err
	}
	other, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return nil // no room for a second session is no sign of a pooler
	}
	defer Close(other)
	for range rounds {
		second, err := backend(ctx, other.PgConn())
		if err != nil {
			return err
		}
		again, err := backend(ctx, conn.PgConn())
		if err != nil {
			return err
		}
		if second == first || again != first {
			return ErrPooled
		}
	}
	return nil
}

// backend returns the process that serves a statement.
func backend(ctx context.Context, c *pgconn.PgConn) (uint32, error) {
	results, err := c.Exec(ctx, "SELECT pg_catalog.pg_backend_pid()").ReadAll()
	if err != nil {
		return 0, fmt.Errorf("ask for the server's process: %w", err)
	}
	pid, err := strconv.ParseUint(string(results[0].Rows[0][0]), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("ask for the server's process: %w", err)
	}
	return uint32(pid), nil
}
