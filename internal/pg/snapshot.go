// Package pg opens connections the way the engine needs them: sessions with
// pinned settings, a shared snapshot, locks.
package pg

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const beginReadOnly = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

// A Snapshot is an exported snapshot and the session that keeps it alive.
// Nothing else runs on that session but locks and a heartbeat: an error there
// would lose the snapshot for all.
type Snapshot struct {
	Name  string
	Taken time.Time
	LSN   string // "" where it cannot be had
	// Standby says the server is in recovery.
	Standby bool

	conn *pgx.Conn
	mu   sync.Mutex // guards conn while Alive asks
}

// Export begins a transaction on conn and exports its snapshot. The Snapshot
// owns conn from then on. With a name, that snapshot is imported instead of
// exporting a new one.
func Export(ctx context.Context, conn *pgx.Conn, name string) (*Snapshot, error) {
	s := &Snapshot{conn: conn, Name: name}
	if name != "" {
		if err := Import(ctx, conn.PgConn(), name); err != nil {
			return nil, err
		}
		return s, s.describe(ctx)
	}
	return s, s.export(ctx, beginReadOnly)
}

// ExportDeferrable waits for a moment at which no running transaction can make
// the snapshot differ from a serial order of all, and exports that one. A
// standby cannot.
func ExportDeferrable(ctx context.Context, conn *pgx.Conn) (*Snapshot, error) {
	s := &Snapshot{conn: conn}
	return s, s.export(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE")
}

// export takes the snapshot in one round trip.
func (s *Snapshot) export(ctx context.Context, begin string) error {
	results, err := s.conn.PgConn().Exec(ctx, begin+";\nSELECT pg_catalog.pg_export_snapshot();\n"+describeSQL).ReadAll()
	if len(results) == 0 {
		return fmt.Errorf("begin snapshot transaction: %w", err)
	}
	row := firstRow(results[1:])
	if row == nil {
		return fmt.Errorf("export snapshot: %w", err)
	}
	s.Name = string(row[0])
	return s.described(ctx, results[2:], err)
}

// describeSQL asks when and where the snapshot was taken. A platform may have
// revoked the functions for the place: a savepoint saves the snapshot. For the
// time see micros.
const describeSQL = `SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)::int8, pg_catalog.pg_is_in_recovery();
SAVEPOINT pghaul;
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END;
RELEASE SAVEPOINT pghaul`

func (s *Snapshot) describe(ctx context.Context) error {
	results, err := s.conn.PgConn().Exec(ctx, describeSQL).ReadAll()
	return s.described(ctx, results, err)
}

// described takes what the statements of describeSQL have returned.
func (s *Snapshot) described(ctx context.Context, results []*pgconn.Result, err error) error {
	row := firstRow(results)
	if len(row) < 2 {
		return fmt.Errorf("read snapshot time: %w", err)
	}
	taken, parseErr := micros(row[0])
	if parseErr != nil {
		return fmt.Errorf("read snapshot time: %w", parseErr)
	}
	s.Taken, s.Standby = taken.Local(), string(row[1]) == "t"
	switch {
	case err == nil:
		if row = firstRow(results[2:]); row != nil {
			s.LSN = string(row[0])
		}
		return nil
	case Code(err) == "":
		return fmt.Errorf("read WAL position: %w", err)
	}
	if _, err := s.conn.PgConn().Exec(ctx, undo).ReadAll(); err != nil {
		return fmt.Errorf("read WAL position: %w", err)
	}
	return nil
}

// firstRow returns the first row of the first of results, nil if there is none.
func firstRow(results []*pgconn.Result) [][]byte {
	if len(results) == 0 || results[0].Err != nil || len(results[0].Rows) == 0 {
		return nil
	}
	return results[0].Rows[0]
}

// undo goes back to the savepoint that Guard and others set.
const undo = "ROLLBACK TO SAVEPOINT pghaul; RELEASE SAVEPOINT pghaul"

// Guard runs do under a savepoint of the snapshot's session, so that an error
// of the server in it does not cost the snapshot.
func (s *Snapshot) Guard(ctx context.Context, do func() error) error {
	c := s.conn.PgConn()
	if _, err := c.Exec(ctx, "SAVEPOINT pghaul").ReadAll(); err != nil {
		return err
	}
	err := do()
	end := "RELEASE SAVEPOINT pghaul"
	if err != nil {
		end = undo
	}
	if _, endErr := c.Exec(ctx, end).ReadAll(); endErr != nil && err == nil {
		err = endErr
	}
	return err
}

// Conn is the session that holds the snapshot, for locks.
func (s *Snapshot) Conn() *pgconn.PgConn { return s.conn.PgConn() }

// Heartbeat keeps the session in use until ctx ends, so that neither a firewall
// nor a platform takes it for idle, and returns the error by which it was lost.
// It must not run beside other statements on the session than those of Alive.
func (s *Snapshot) Heartbeat(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			alive, done := Outlive(ctx)
			err := s.Alive(alive)
			done()
			if err != nil {
				return err
			}
		}
	}
}

// outliveBy is how long what uses a context of Outlive has to end by itself.
const outliveBy = 15 * time.Second

// Outlive returns a context that ends a while after ctx, so that a short statement
// comes to its end without a lost session, and a silent server holds nobody up.
func Outlive(ctx context.Context) (longer context.Context, done func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(outliveBy)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// Alive returns the error by which the snapshot's session was lost, nil if it
// is still there.
func (s *Snapshot) Alive(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.conn.PgConn().Exec(ctx, "SELECT 1").ReadAll(); err != nil {
		return fmt.Errorf("the session that holds the snapshot was lost: %w", err)
	}
	return nil
}

// Close ends the transaction and the session.
func (s *Snapshot) Close() { Close(s.conn) }

// Join begins a transaction on c that sees the snapshot. It tells a session that
// has come to another server from a snapshot that is gone.
func (s *Snapshot) Join(ctx context.Context, c *pgconn.PgConn) error {
	if here, there := InstanceOf(c), InstanceOf(s.conn.PgConn()); here.Differs(there) {
		return fmt.Errorf("the session is on another server (started %s UTC) than the snapshot (started %s UTC): either that one has restarted, and the snapshot is gone, or the address leads to several servers, of which one has to be named",
			here.Started, there.Started)
	}
	return Import(ctx, c, s.Name)
}

// Savepoint stands at the beginning of a transaction that Import began. To go
// back to it heals the transaction after an error.
const Savepoint = "pghaul_begin"

// Import begins a transaction that sees a snapshot exported elsewhere.
func Import(ctx context.Context, c *pgconn.PgConn, name string) error {
	sql := beginReadOnly + "; SET TRANSACTION SNAPSHOT " + literal(name) + "; SAVEPOINT " + Savepoint
	if _, err := c.Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("import snapshot %s: %w", name, err)
	}
	return nil
}
