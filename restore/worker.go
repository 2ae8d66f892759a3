package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/sethvargo/go-retry"

	"github.com/pghaul/pghaul/internal/pg"
)

// reconnectFor is how long a lost connection is tried again: a managed server
// that restarts is back by then.
const reconnectFor = time.Minute

// A worker is one connection to the target, which is replaced when it is lost.
type worker struct {
	run   *run
	conn  *pgx.Conn // nil when there is none
	data  bool      // loads data, and so wants the source's lc_monetary
	had   bool      // there was a connection once
	leads bool      // makes the first connection of the run
	tx    bool      // steps are run in a transaction that is begun and committed around them

	mayHelp, helpers int // see budgetHelpers
}

// pgconn returns the connection, which connect has made.
func (w *worker) pgconn() *pgconn.PgConn { return w.conn.PgConn() }

// connect makes a connection unless there is a live one.
func (w *worker) connect(ctx context.Context) error {
	if !w.lost() {
		return nil
	}
	w.close()
	cfg := w.run.target.Copy()
	if cfg.OnNotice == nil {
		cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			w.run.log.Warn("server: "+n.Message, "severity", n.Severity, "sqlstate", n.Code)
		}
	}
	conn, err := pg.Connect(ctx, cfg, pg.Write, pg.Options{
		Application: w.run.opts.application(), Encoding: w.run.plan.Encoding, Role: w.run.opts.Role, Direct: w.leads && !w.had,
	})
	if err != nil {
		return fmt.Errorf("connect to target: %w", err)
	}
	w.conn, w.had = conn, true
	if err := w.findHelpers(ctx); err != nil {
		w.close()
		return fmt.Errorf("look at the target's settings: %w", err)
	}
	sql := strings.Join(append(slices.Clone(w.run.plan.Session), w.run.opts.indexMemory(w.run.jobs())), "\n")
	if err := exec(ctx, w.pgconn(), sql); err != nil {
		w.close()
		return fmt.Errorf("set up target session: %s: %w", sql, err)
	}
	return w.setMonetary(ctx)
}

// setMonetary has values of type money read as the source wrote them.
func (w *worker) setMonetary(ctx context.Context) error {
	name := w.run.plan.LCMonetary
	if !w.data || name == "" {
		return nil
	}
	_, err := w.pgconn().ExecParams(ctx, "SELECT pg_catalog.set_config('lc_monetary', $1, false)", [][]byte{[]byte(name)}, nil, nil, nil).Close()
	if err == nil || w.conn.IsClosed() {
		return err
	}
	w.run.monetary.Do(func() {
		w.run.warn(fmt.Sprintf("the target does not know the source's lc_monetary %q: columns of type money may not load, or not as the same amounts (%v)", name, err))
	})
	return nil
}

// reconnect is connect for a worker that had a connection before: it waits for
// a server that is restarting.
func (w *worker) reconnect(ctx context.Context) error {
	if !w.had || !w.lost() {
		return w.connect(ctx)
	}
	waits := retry.WithMaxDuration(reconnectFor, retry.WithCappedDuration(5*time.Second, retry.NewExponential(100*time.Millisecond)))
	return retry.Do(ctx, waits, func(ctx context.Context) error {
		err := w.connect(ctx)
		if err != nil && passing(err) {
			return retry.RetryableError(err)
		}
		return err
	})
}

// passing says whether a refused connection may be accepted later: not if the
// server answered that the user, password or database is wrong.
func passing(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return !errors.Is(err, context.Canceled)
	}
	switch pe.Code[:2] {
	case "08", "53", "57":
		return true
	}
	return false
}

// lost says whether there is no live connection.
func (w *worker) lost() bool { return w.conn == nil || w.conn.IsClosed() }

// close ends the connection and stops what the server may still be doing on it.
func (w *worker) close() {
	if w.conn == nil {
		return
	}
	pg.Close(w.conn)
	w.conn = nil
}

// abandon is close for a connection in the middle of a statement: without a
// request to cancel it, the server would finish a CREATE INDEX of hours first.
func (w *worker) abandon() {
	if w.lost() {
		w.close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = w.pgconn().CancelRequest(ctx)
	w.close()
}
