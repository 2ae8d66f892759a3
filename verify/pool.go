package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// attempts is how often work is tried whose connection is lost, and firstWait
// how long the second attempt waits. Each wait is four times the one before.
const (
	attempts  = 5
	firstWait = 100 * time.Millisecond
)

// An endError says that an end cannot be read any more, as opposed to one of
// its tables.
type endError struct{ err error }

// Error implements error.
func (e *endError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *endError) Unwrap() error { return e.err }

// fatal reports whether an error ends the run.
func fatal(err error) bool {
	_, ok := errors.AsType[*endError](err)
	return ok
}

// with runs do on a connection that sees the snapshot. If the connection is lost,
// do runs again on another, as long as the snapshot is there: it must forget
// what it has got so far. The transaction may hold locks that others took before.
func (e *end) with(ctx context.Context, do func(conn *pgx.Conn) error) error {
	wait := firstWait
	for try := 1; ; try++ {
		again, err := e.try(ctx, do)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return &endError{fmt.Errorf("%s: %w", e.name, err)}
		case !again:
			return err
		}
		if gone := e.snapshot.Alive(ctx); gone != nil {
			return &endError{fmt.Errorf("%s: %w", e.name, gone)}
		}
		if try == attempts {
			return fmt.Errorf("%w (given up after %d attempts)", err, attempts)
		}
		e.log.Warn(e.name+": connection lost, reading again", "error", err)
		e.retries.Add(1)
		if err := pg.Sleep(ctx, wait); err != nil {
			return &endError{fmt.Errorf("%s: %w", e.name, err)}
		}
		wait *= 4
	}
}

// try runs do once; again says that another connection may do better.
func (e *end) try(ctx context.Context, do func(conn *pgx.Conn) error) (again bool, err error) {
	conn, err := e.take(ctx)
	if err != nil {
		// What the server has refused it will refuse again, unless it is starting.
		again = pg.Code(err) == "" || pg.Code(err) == "57P03"
		return again, &endError{err}
	}
	err = do(conn)
	// A standby ends statements that are in the way of what it replays.
	again = conn.IsClosed() || e.snapshot.Standby && pg.Code(err) == "40001"
	e.give(conn)
	return again, err
}

// take returns a connection that sees the snapshot: one that was given back, or
// a new one.
func (e *end) take(ctx context.Context) (*pgx.Conn, error) {
	e.mu.Lock()
	var conn *pgx.Conn
	if n := len(e.idle); n > 0 {
		conn, e.idle = e.idle[n-1], e.idle[:n-1]
	}
	e.mu.Unlock()
	if conn == nil {
		return e.connect(ctx)
	}
	if conn.PgConn().TxStatus() == 'E' {
		if _, err := conn.PgConn().Exec(ctx, undo).ReadAll(); err != nil {
			pg.Close(conn)
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return conn, nil
}

// give takes a connection back.
func (e *end) give(conn *pgx.Conn) {
	if conn.IsClosed() {
		pg.Close(conn) // which waits for what is left of it
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.idle = append(e.idle, conn)
}

// undo goes back to the beginning of a worker's transaction. That releases the
// locks of the tables that were read, which would otherwise pile up in the
// server's lock table, and heals the transaction after an error.
const undo = "ROLLBACK TO SAVEPOINT " + pg.Savepoint

// connect opens a worker's connection, which sees the snapshot.
func (e *end) connect(ctx context.Context) (*pgx.Conn, error) {
	session := e.session(e.sessionEncoding())
	if e.monetary == "C" { // every server has that one
		session.LCMonetary = "C"
	}
	conn, err := pg.Connect(ctx, e.cfg, pg.ReadData, session)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	if session.LCMonetary == "" {
		err = e.setMonetary(ctx, conn.PgConn())
	}
	if err == nil {
		err = e.snapshot.Join(ctx, conn.PgConn())
	}
	if err != nil {
		pg.Close(conn)
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	return conn, nil
}
