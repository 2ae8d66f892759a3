package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/pghaul/pghaul/internal/pg"
)

// messages returns the texts of steps. In a transaction, each step that drops
// something is in a savepoint.
func (r *run) messages(steps []int, tx bool) []*message {
	var all []*message
	for _, i := range steps {
		s := r.text(i)
		guarded := tx && s.Stage == StageDrop
		if guarded {
			all = append(all, &message{step: i, sql: "SAVEPOINT " + savepoint})
		}
		for _, sql := range s.Setup {
			all = append(all, &message{step: i, sql: sql})
		}
		if s.SQL != "" {
			sql := s.SQL
			if s.Stage == StageDrop && s.Entry.Kind != "SUBSCRIPTION" { // which no transaction can drop
				if note := r.note([]int{i}); note != "" {
					sql += "\n;" + note // one message is one transaction
				}
			}
			all = append(all, &message{step: i, sql: sql, main: true})
		}
		for _, sql := range s.Finish {
			all = append(all, &message{step: i, sql: sql})
		}
		if guarded {
			all = append(all, &message{step: i, sql: "RELEASE SAVEPOINT " + savepoint})
		}
		all[len(all)-1].last = true
	}
	return all
}

const savepoint = "pghaul"

// statements runs the statements of steps in order and calls done after each
// step with what was refused of it. An error means that done returned it, or
// that the connection is lost.
func (r *run) statements(ctx context.Context, w *worker, steps []int, done func(int, []*StepError) error) error {
	all := r.messages(steps, w.tx)
	flight := maxFlight
	if r.opts.ExitOnError && !w.tx {
		flight = 1 // nothing may be run after what failed; in a transaction nothing is
	}
	sent, received := 0, 0
	var errs []*StepError
	var definition error // why the step's own definition was refused
	var stop error       // what done has returned
	err := exchange(ctx, w.pgconn(), flight, func() (*message, bool) {
		if sent == len(all) {
			return nil, false
		}
		m := all[sent]
		sent++
		r.start(m.step)
		return m, true
	}, func(m *message, a answer) error {
		received++
		if stop != nil {
			return stop // it was under way already, in a transaction that is no more
		}
		s := &r.plan.Steps[m.step]
		if m.main {
			definition = a.err
			r.made(s, a.err)
		}
		if a.err != nil && (m.main || worth(definition)) {
			errs = append(errs, r.failure(s, m.sql, a.err))
			if r.opts.ExitOnError && s.Stage != StageDrop {
				stop = done(m.step, errs)
				return stop
			}
		}
		if !m.last {
			return nil
		}
		failed := errs
		errs, definition = nil, nil
		stop = done(m.step, failed)
		return stop
	})
	if lost, ok := errors.AsType[*lostError](err); ok {
		w.abandon()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e := r.plan.Steps[all[min(received, len(all)-1)].step].Entry
		return fmt.Errorf("%s %s: %w", e.Kind, describe(e), lost)
	}
	return err
}

// repeatable runs steps that do no harm if they are done twice, such as GRANT
// and setval, and goes on with them when the connection was lost.
func (r *run) repeatable(ctx context.Context, w *worker, steps []int) error {
	for try := 1; ; try++ {
		left := steps
		err := r.statements(ctx, w, steps, func(i int, errs []*StepError) error {
			left = left[1:]
			return r.over(i, errs)
		})
		if _, lost := errors.AsType[*lostError](err); !lost || ctx.Err() != nil || try == loads {
			return err
		}
		if err := w.reconnect(ctx); err != nil {
			return err
		}
		steps = left
	}
}

// made remembers whether a table was created: its load may truncate it then, and
// may be in vain otherwise.
func (r *run) made(s *Step, refused error) {
	if s.Entry.Kind != "TABLE" || s.Stage == StageDrop || s.piece != "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if refused != nil {
		r.missing[s.Entry.ID] = true
	} else {
		r.created[s.Entry.ID] = true
	}
}

// worth says whether a failure that follows a definition's own is news: not
// that a thing has no owner when it could not be made, but that it keeps the
// one it has when it was there before.
func worth(definition error) bool {
	switch pg.Code(definition) {
	case "", "42P06", "42P07", "42710", "42723": // duplicate schema, table, object, function
		return true
	}
	return false
}

// drop runs the steps that drop objects. An object that another one holds on to
// is tried again after the rest, when that has gone and often has taken the
// object with it: an index of a partition goes with its parent's.
func (r *run) drop(ctx context.Context, w *worker, steps []int) error {
	for again := false; len(steps) > 0; again = true {
		held, err := r.drops(ctx, w, steps, again)
		if err != nil {
			return err
		}
		if again && len(held) == len(steps) { // nothing has moved
			return r.statements(ctx, w, held, r.over)
		}
		steps = held
	}
	return nil
}

// drops runs steps that drop objects and returns those that are to be tried
// again.
func (r *run) drops(ctx context.Context, w *worker, steps []int, again bool) (held []int, err error) {
	hold := !again || len(steps) > 1
	for len(steps) > 0 {
		var rest []int // came after one that was refused in the same transaction
		refused := false
		err := r.statements(ctx, w, steps, func(i int, errs []*StepError) error {
			code := ""
			if len(errs) > 0 {
				code, refused = pg.Code(errs[len(errs)-1]), true
			}
			switch {
			case code == "25P02": // the transaction is aborted
				rest = append(rest, i)
				return nil
			case (code == "2BP01" || code == "42P16") && hold:
				held = append(held, i)
				return nil
			case missing(code) && (again || r.opts.IfExists || len(r.done) > 0):
				return r.over(i, nil)
			}
			return r.over(i, errs)
		})
		if err != nil {
			return nil, err
		}
		if w.tx && refused {
			if err := exec(ctx, w.pgconn(), "ROLLBACK TO SAVEPOINT "+savepoint+"; RELEASE SAVEPOINT "+savepoint); err != nil {
				return nil, fmt.Errorf("roll back: %w", err)
			}
		}
		steps = rest
	}
	return held, nil
}

// missing says whether a statement was refused because its object is not there.
func missing(code string) bool {
	switch code {
	case "3F000", "42P01", "42703", "42704", "42883": // schema, table, column, object, function
		return true
	}
	return false
}
