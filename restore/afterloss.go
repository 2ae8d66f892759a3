package restore

import (
	"context"
	"fmt"
)

// afterLoss decides what becomes of the steps of a unit whose connection was
// lost. It records those of which that is known and returns those to be tried
// again; spent says that they have been tried often enough.
func (r *run) afterLoss(ctx context.Context, u *unit, lost error, spent, serial bool) ([]int, error) {
	s := &r.plan.Steps[u.steps[0]]
	name := s.Entry.Kind + " " + describe(s.Entry)
	if n := len(u.steps); n > 1 {
		name += fmt.Sprintf(" and %d more", n-1)
	}
	repeatable := true
	for _, i := range u.steps {
		repeatable = repeatable && r.plan.Steps[i].repeatable()
	}
	switch {
	case u.committing && r.opts.Journal != nil:
		left, err := r.ask(ctx, u)
		if err != nil {
			return nil, err
		}
		if len(left) == 0 || !spent {
			return left, nil
		}
		u.steps = left
	case u.committing && serial && !repeatable:
		return nil, fmt.Errorf("%s: %w; whether the server did it is not known", name, lost)
	case u.committing && !repeatable:
		for _, i := range u.steps {
			if err := r.over(i, []*StepError{r.unknown(ctx, &r.plan.Steps[i], lost)}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	if !spent {
		again := "doing it again"
		if s.Action == ActionCopy {
			again = "loading again"
		}
		r.warn(fmt.Sprintf("%s: the connection was lost, %s: %v", name, again, lost))
		return u.steps, nil
	}
	if len(u.steps) == 1 {
		return nil, r.over(u.steps[0], []*StepError{r.loadFailure(ctx, s, lost)})
	}
	for k := range u.steps { // one of them may be what ends the connection
		if err := r.work(ctx, u.w, u.steps[k:k+1], serial); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// ask asks the journal which steps of a unit were committed, records them and
// returns the others.
func (r *run) ask(ctx context.Context, u *unit) ([]int, error) {
	if err := u.w.reconnect(ctx); err != nil {
		return nil, err
	}
	list := make([]*Step, len(u.steps))
	for k, i := range u.steps {
		list[k] = &r.plan.Steps[i]
	}
	done, err := r.opts.Journal.Committed(ctx, u.w.pgconn(), list)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	is := make(map[*Step]bool)
	for _, s := range done {
		is[s] = true
	}
	var left []int
	for k, i := range u.steps {
		if !is[list[k]] {
			left = append(left, i)
			continue
		}
		r.made(list[k], nil)
		if c := u.counters[i]; c != nil {
			c.redo()
			r.count(list[k], c)
		}
		if err := r.over(i, nil); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// askOne asks the journal whether a step was committed.
func (r *run) askOne(ctx context.Context, w *worker, s *Step) (bool, error) {
	if err := w.reconnect(ctx); err != nil {
		return false, err
	}
	done, err := r.opts.Journal.Committed(ctx, w.pgconn(), []*Step{s})
	if err != nil {
		return false, fmt.Errorf("read journal: %w", err)
	}
	return len(done) > 0, nil
}

// unknown makes the error of a step of which nobody knows whether it is done.
func (r *run) unknown(ctx context.Context, s *Step, lost error) *StepError {
	if s.Action == ActionCopy {
		return r.loadFailure(ctx, s, &commitError{lost})
	}
	return r.failure(s, s.SQL, fmt.Errorf("%w; whether the server did it is not known", lost))
}
