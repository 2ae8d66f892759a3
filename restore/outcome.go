package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/progress"
)

// open asks the journal what an earlier run has done.
func (r *run) open(ctx context.Context, w *worker) error {
	j := r.opts.Journal
	if j == nil {
		return nil
	}
	if err := j.Open(ctx, w.pgconn(), r.plan); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	for i := range r.plan.Steps {
		s := &r.plan.Steps[i]
		if s.Stage == StageCreate || !j.Done(s) {
			continue
		}
		r.done[s] = true
		r.report.Resumed++
		r.made(s, nil)
		if p := r.parts[s.Entry.ID]; p != nil {
			p.left--
		}
	}
	return nil
}

// start tells that a step is under way. What is tried again has been told. The
// task is nil for steps that are not reported one by one.
func (r *run) start(i int) *progress.Task {
	s := &r.plan.Steps[i]
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.announced[i] {
		r.announced[i] = true
		r.log.Info(announce(s))
	}
	switch s.Stage {
	case StageDrop, StageCreate, StagePreData, StagePrivileges:
		return nil
	case StageData, StagePostData, StageRefresh:
	}
	if s.Entry.Kind == "SEQUENCE SET" {
		return nil
	}
	if r.tasks[i] == nil {
		r.tasks[i] = r.opts.Progress.StartSized(string(s.Stage), quote.Qualified(s.Entry.Namespace, s.Entry.Tag), r.expected(s))
	}
	return r.tasks[i]
}

// over enters the outcome of a step into the report. With ExitOnError it returns
// the failure.
func (r *run) over(i int, errs []*StepError) error {
	s := &r.plan.Steps[i]
	var err error
	if len(errs) > 0 {
		err = errs[0]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if task := r.tasks[i]; task != nil {
		task.Done(err)
		delete(r.tasks, i)
	}
	p := r.parts[s.Entry.ID]
	if p != nil {
		p.left--
	}
	if s.first() {
		r.whole[s.Entry.ID] = err != nil // of which the error is told when that fails, too
		return nil
	}
	if err != nil && s.whole != nil && !r.whole[s.Entry.ID] {
		r.broken[i] = true
		for _, e := range errs {
			e.SQL = s.whole.SQL
		}
	}
	if err == nil {
		if p != nil {
			p.loaded++
		}
		r.report.Restored++
		return nil
	}
	if p != nil {
		_, corrupt := errors.AsType[*archive.CorruptError](err)
		if corrupt && p.failed {
			return nil // the same damage, which every part finds
		}
		p.failed = true
	}
	r.report.Failed = append(r.report.Failed, errs...)
	for _, e := range errs {
		r.log.Info("failed: " + e.Error())
	}
	if r.opts.ExitOnError {
		return errs[0]
	}
	return nil
}

// first says whether a step is the first piece of a definition.
func (s *Step) first() bool { return s.piece == pieceIndex || s.piece == pieceAdd }

// text returns the step as it is to be run: where the first piece of a
// definition failed, the second is the definition as a whole, which fails in the
// way it would have.
func (r *run) text(i int) *Step {
	s := &r.plan.Steps[i]
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.whole != nil && r.whole[s.Entry.ID] {
		return s.whole
	}
	return s
}

// divided says whether a definition is to be made in two pieces: only on tables
// of this run's own making is it known to come out the same.
func (r *run) divided(s *Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range s.Entry.After {
		if r.missing[id] {
			r.whole[s.Entry.ID] = true
			return false
		}
	}
	return true
}

// unmake takes back the first piece of definitions whose second was refused.
func (r *run) unmake(ctx context.Context, w *worker, steps []int) {
	for _, i := range steps {
		s := &r.plan.Steps[i]
		r.mu.Lock()
		broken := r.broken[i]
		r.mu.Unlock()
		if !broken {
			continue
		}
		sql := s.Entry.Drop
		if s.piece == pieceAttach {
			sql = r.plan.Steps[i-1].Undo
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpFor)
		err := w.reconnect(ctx)
		if err == nil {
			err = exec(ctx, w.pgconn(), sql)
		}
		cancel()
		if err != nil {
			r.warn(fmt.Sprintf("%s %s: what was made of it could not be removed with %s: %v", s.Entry.Kind, describe(s.Entry), sql, err))
		}
	}
}

// stopped ends what a run that was ended has left under way.
func (r *run) stopped(ctx context.Context, err error) {
	r.mu.Lock()
	for i, task := range r.tasks {
		task.Done(err)
		delete(r.tasks, i)
	}
	var broken []*archive.Entry
	for _, p := range r.parts {
		if p.failed && p.loaded > 0 {
			p.left = 0
			broken = append(broken, p.entry)
		}
	}
	r.mu.Unlock()
	if len(broken) == 0 || r.opts.Journal != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpFor)
	defer cancel()
	w := &worker{run: r}
	defer w.close()
	for _, e := range broken {
		_ = r.settle(ctx, w, e) // what it could not do is in the report
	}
}
