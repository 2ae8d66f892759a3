package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/restore"
)

// A worker is the connection over which roles and what is temporary are made.
// It is replaced when it is lost.
type worker struct {
	target  *pgx.ConnConfig
	journal *restore.TargetJournal
	conn    *pgx.Conn
	retries int
}

// reconnectFor is how long a target that is gone is waited for: a managed server
// that restarts is back by then.
const reconnectFor = time.Minute

func (w *worker) connect(ctx context.Context) error {
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	had := w.conn != nil
	w.close()
	for start := time.Now(); ; {
		conn, err := pg.Connect(ctx, w.target, pg.Write, pg.Options{})
		if err == nil {
			w.conn = conn
			return nil
		}
		code := pg.Code(err)
		passing := code == "" || code[:2] == "08" || code[:2] == "53" || code[:2] == "57"
		if ctx.Err() != nil || !had || !passing || time.Since(start) > reconnectFor {
			return fmt.Errorf("connect to target: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (w *worker) close() {
	if w.conn != nil {
		pg.Close(w.conn)
		w.conn = nil
	}
}

// exec runs statements by themselves.
func (w *worker) exec(ctx context.Context, sql string) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	_, err := w.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// texts returns the rows of a query with one column of text.
func (w *worker) texts(ctx context.Context, sql string, args ...any) ([]string, error) {
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	rows, err := w.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// tries is how often a step is done whose connection was lost.
const tries = 3

// step runs statements and notes them in the journal, in one transaction. If the
// connection is lost, it finds out what has become of it, and does it again
// where nothing has. What the platform refuses at COMMIT is told as such.
func (w *worker) step(ctx context.Context, note restore.Note, sql string) error {
	for try := 1; ; try++ {
		if err := w.connect(ctx); err != nil {
			return err
		}
		err := w.transaction(ctx, sql+"\n"+w.journal.Notes([]restore.Note{note}))
		if err == nil || ctx.Err() != nil || !w.conn.IsClosed() || try == tries {
			return err
		}
		w.retries++
		if lost := w.connect(ctx); lost != nil {
			return errors.Join(err, lost)
		}
		done, settleErr := w.journal.Settle(ctx, w.conn.PgConn(), []string{note.Key})
		switch {
		case settleErr != nil:
			return errors.Join(err, settleErr)
		case done[note.Key]:
			return nil
		}
	}
}

func (w *worker) transaction(ctx context.Context, sql string) error {
	c := w.conn.PgConn()
	_, err := c.Exec(ctx, "BEGIN;\n"+sql).ReadAll()
	if err == nil {
		if _, err = c.Exec(ctx, "COMMIT").ReadAll(); err == nil {
			return nil
		}
		err = fmt.Errorf("at COMMIT: %w", err)
	}
	if !c.IsClosed() && c.TxStatus() != 'I' {
		_, _ = c.Exec(ctx, "ROLLBACK").ReadAll()
	}
	return err
}

// literal is an SQL expression for a text of SQL, as a Note wants it.
func literal(sql string) string {
	if sql == "" {
		return "NULL"
	}
	return quote.Literal(sql)
}
