package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/pghaul/pghaul/internal/pg"
)

// transactional reports whether steps share transactions.
func (o Options) transactional() bool { return o.SingleTransaction || o.TransactionSize > 0 }

// database creates the database to restore into, if that is asked for, and
// connects to it. One that is there but could not be dropped is left alone. One
// that was not to be dropped is restored into, as pg_restore does.
func (r *run) database(ctx context.Context, w *worker) error {
	if r.plan.Database == "" {
		return nil
	}
	if err := r.serial(ctx, w, StageDrop); err != nil {
		return err
	}
	for _, e := range r.report.Failed {
		if pg.Code(e) != "3D000" { // there is no such database
			return e
		}
	}
	if err := r.serial(ctx, w, StageCreate); err != nil {
		return err
	}
	w.close()
	r.target = r.target.Copy()
	r.target.Database = r.plan.Database
	err := w.connect(ctx)
	if n := len(r.report.Failed); err != nil && n > 0 {
		return r.report.Failed[n-1] // which is why
	}
	return err
}

// A tally is what a report says was done.
type tally struct {
	restored    int
	rows, bytes int64
}

// transactions runs all steps in order on one connection, in a transaction or,
// with a transaction size, in several. A failure ends the run, and nothing of
// its transaction stays in the target or in the report.
func (r *run) transactions(ctx context.Context, w *worker) (err error) {
	w.data = true
	if err := w.setMonetary(ctx); err != nil {
		return fmt.Errorf("set up target session: %w", err)
	}
	if r.plan.Database == "" && r.opts.TransactionSize > 0 { // each drop by itself
		if err := r.serial(ctx, w, StageDrop); err != nil {
			return err
		}
	}
	kept := tally{restored: r.report.Restored}
	defer func() {
		if err != nil {
			r.report.Restored, r.report.Rows, r.report.Bytes = kept.restored, kept.rows, kept.bytes
		}
	}()
	if err := exec(ctx, w.pgconn(), "BEGIN"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	w.tx = true
	defer func() {
		w.tx = false
		w.abandon() // which rolls back what is not committed
	}()
	for i := 0; i < len(r.plan.Steps); {
		n := r.batch(i)
		if n == 0 { // done already
			i++
			continue
		}
		if err := r.together(ctx, w, i, n); err != nil {
			return r.tooManyLocks(ctx, w, i, n, err)
		}
		if err := r.noteRange(ctx, w, i, n); err != nil {
			return err
		}
		i += n
		if size := r.opts.TransactionSize; size == 0 || i == len(r.plan.Steps) {
			continue
		}
		if err := commit(ctx, w); err != nil {
			return err
		}
		kept = tally{r.report.Restored, r.report.Rows, r.report.Bytes}
		if err := exec(ctx, w.pgconn(), "BEGIN"); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
	}
	return commit(ctx, w)
}

// tooManyLocks adds to the error of a transaction of n steps from i on, which is
// lost, what setting gives room for its locks, if that is what it lacked.
func (r *run) tooManyLocks(ctx context.Context, w *worker, i, n int, err error) error {
	failed, ok := errors.AsType[*StepError](err)
	if !ok || pg.Code(err) != "53200" || w.lost() {
		return err
	}
	need := 0
	for _, s := range r.plan.Steps[i : i+n] {
		need++
		if k := s.Entry.Kind; s.Action == ActionSQL && (k == "TABLE" || k == "MATERIALIZED VIEW") {
			need += 2 // its TOAST table and the index of that
		}
	}
	var now, sessions int
	if exec(ctx, w.pgconn(), "ROLLBACK") != nil {
		return err
	}
	// The server has room for so many locks for each of its sessions, whoever holds them.
	if w.conn.QueryRow(ctx, `SELECT pg_catalog.current_setting('max_locks_per_transaction')::int,
pg_catalog.current_setting('max_connections')::int + pg_catalog.current_setting('max_prepared_transactions')::int`).Scan(&now, &sessions) != nil {
		return err
	}
	failed.Err = fmt.Errorf("%w: the target's lock table is full: set max_locks_per_transaction from %d to %d or more, which needs a restart of the target, or restore without one transaction for so much",
		failed.Err, now, now+(need+sessions-1)/max(sessions, 1))
	return err
}

// noteRange notes n steps from i on in the transaction that has done them.
func (r *run) noteRange(ctx context.Context, w *worker, i, n int) error {
	if r.opts.Journal == nil {
		return nil
	}
	var steps []*Step
	for ; n > 0; i, n = i+1, n-1 {
		if s := &r.plan.Steps[i]; !r.done[s] && s.Stage != StageDrop {
			steps = append(steps, s)
		}
	}
	if len(steps) == 0 {
		return nil
	}
	if err := exec(ctx, w.pgconn(), r.opts.Journal.Record(steps)); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// batch returns how many steps from i on share a transaction.
func (r *run) batch(i int) int {
	steps := r.plan.Steps
	single := r.plan.Database == "" && r.opts.TransactionSize == 0
	if s := &steps[i]; s.Stage == StageCreate || s.Stage == StageDrop && !single {
		return 0
	}
	if r.opts.TransactionSize > 0 {
		return min(r.opts.TransactionSize, len(steps)-i)
	}
	return len(steps) - i
}

// together runs n steps in the transaction that is under way.
func (r *run) together(ctx context.Context, w *worker, i, n int) error {
	for end := i + n; i < end; {
		stage := r.plan.Steps[i].Stage
		from := i
		var sql []int // a run of steps that can be sent one after the other
		for i < end && r.plan.Steps[i].Action == ActionSQL && r.plan.Steps[i].Stage == stage {
			if !r.done[&r.plan.Steps[i]] {
				sql = append(sql, i)
			}
			i++
		}
		r.opts.Progress.Phase(string(stage))
		over := r.time(stage)
		var err error
		switch {
		case stage == StageDrop:
			err = r.drop(ctx, w, sql)
		case i > from && len(sql) == 0: // an earlier run has done them
		case i > from:
			err = r.definitions(ctx, w, sql)
		default:
			if !r.skip(&r.plan.Steps[i]) {
				err = r.step(ctx, w, i)
			}
			i++
		}
		over()
		if err != nil {
			return err
		}
	}
	return nil
}

// definitions runs steps that are SQL in the transaction that is under way.
func (r *run) definitions(ctx context.Context, w *worker, steps []int) error {
	return r.statements(ctx, w, steps, r.over)
}
