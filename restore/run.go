package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/internal/sched"
)

// Run restores src into the target database, which exists. What fails is in the
// Report and the rest is done all the same, as far as it can be: an entry whose
// table could not be created is tried too, since it may exist already.
//
// The error is not nil only if the run could not come to its end: the target
// could not be reached or was lost, ctx was cancelled, or, with ExitOnError, a
// step failed; then it is that step's *StepError. The Report is never nil once
// the plan is made, and tells what was done until then.
func Run(ctx context.Context, target *pgx.ConnConfig, src Source, opts Options) (*Report, error) {
	start := time.Now()
	plan, err := NewPlan(src, opts)
	if err != nil {
		return nil, err
	}
	opts.ExitOnError = opts.ExitOnError || opts.transactional()
	r := &run{
		target: target, src: src, opts: opts, plan: plan, log: opts.Logger,
		report: &Report{Failed: []*StepError{}, Skipped: []Skipped{}, Warnings: []string{}}, created: make(map[int]bool),
		missing: make(map[int]bool), told: make(map[int]bool), spans: make(map[Stage]*span),
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	for _, w := range plan.Warnings {
		r.warn(w)
	}
	if len(plan.Steps) == 0 {
		r.warn("nothing of the archive is selected")
	}
	err = r.all(ctx)
	if ctx.Err() != nil {
		err = fmt.Errorf("restore: %w", context.Cause(ctx))
	}
	r.report.Elapsed = time.Since(start)
	r.report.Phases = r.phases()
	return r.report, err
}

// run is the state of one Run.
type run struct {
	target   *pgx.ConnConfig
	src      Source
	opts     Options
	plan     *Plan
	log      *slog.Logger
	monetary sync.Once // the warning about lc_monetary

	mu      sync.Mutex
	report  *Report
	created map[int]bool // dump IDs of tables this run has created
	missing map[int]bool // dump IDs of tables that could not be created
	told    map[int]bool // dump IDs of data that was skipped and is in the report
	spans   map[Stage]*span
}

// newerTarget warns of a target whose version came after this program.
func newerTarget(v pg.Version) string {
	if v.Major() <= pg.MaxMajor {
		return ""
	}
	return fmt.Sprintf("the target is PostgreSQL %s; this version of pghaul knows up to %d and nothing of what has changed since", v, pg.MaxMajor)
}

// span is when the first step of a stage began and the last one ended.
type span struct{ first, last time.Time }

func (r *run) jobs() int {
	if r.opts.Jobs == 0 {
		return 2
	}
	return r.opts.Jobs
}

func (r *run) all(ctx context.Context) error {
	leader := &worker{run: r}
	if err := leader.connect(ctx); err != nil {
		return err
	}
	defer leader.close()
	if v, err := pg.ServerVersion(leader.pgconn()); err == nil {
		if text := newerTarget(v); text != "" {
			r.warn(text)
		}
	}
	r.expect()
	if err := r.database(ctx, leader); err != nil {
		return err
	}
	if r.opts.transactional() {
		return r.transactions(ctx, leader)
	}
	if r.plan.Database == "" { // otherwise it was dropped as a whole
		if err := r.serial(ctx, leader, StageDrop); err != nil {
			return err
		}
	}
	if err := r.serial(ctx, leader, StagePreData); err != nil {
		return err
	}
	leader.data = true
	if err := leader.setMonetary(ctx); err != nil {
		return fmt.Errorf("set up target session: %w", err)
	}
	pool, err := r.pool(ctx, leader)
	if err != nil {
		return err
	}
	defer func() {
		for range cap(pool) {
			(<-pool).close()
		}
	}()
	if err := r.parallel(ctx, pool, StageData, StagePostData); err != nil {
		return err
	}
	w := <-pool
	err = w.reconnect(ctx)
	if err == nil {
		err = r.serial(ctx, w, StagePrivileges)
	}
	pool <- w
	if err != nil {
		return err
	}
	return r.parallel(ctx, pool, StageRefresh)
}

// expect announces the work that is reported piece by piece.
func (r *run) expect() {
	tasks, bytes := 0, int64(0)
	for i := range r.plan.Steps {
		s := &r.plan.Steps[i]
		switch s.Stage {
		case StageDrop, StageCreate, StagePreData, StagePrivileges: // no tasks of their own
		case StageData, StagePostData, StageRefresh:
			if s.Entry.Kind != "SEQUENCE SET" {
				tasks++
			}
			bytes += r.expected(s)
		}
	}
	r.opts.Progress.Expect(tasks, bytes)
}

// expected is how many bytes a step will count.
func (r *run) expected(s *Step) int64 {
	if s.Action == ActionSQL {
		return 0
	}
	return s.Cost
}

// pool connects the other workers. A target that has no room for all of them is
// worked on by fewer.
func (r *run) pool(ctx context.Context, leader *worker) (chan *worker, error) {
	workers := []*worker{leader}
	for len(workers) < r.jobs() {
		w := &worker{run: r, data: true}
		err := w.connect(ctx)
		if pg.Code(err) == "53300" {
			r.warn(fmt.Sprintf("the target has room for %d of %d connections: going on with those (%v)", len(workers), r.jobs(), err))
			break
		}
		if err != nil {
			for _, w := range workers[1:] {
				w.close()
			}
			return nil, err
		}
		workers = append(workers, w)
	}
	pool := make(chan *worker, len(workers))
	for _, w := range workers {
		pool <- w
	}
	return pool, nil
}

// serial runs the steps of a stage in order on one connection.
func (r *run) serial(ctx context.Context, w *worker, stage Stage) error {
	var steps []int
	for i := range r.plan.Steps {
		if r.plan.Steps[i].Stage == stage {
			steps = append(steps, i)
		}
	}
	if len(steps) == 0 {
		return nil
	}
	r.opts.Progress.Phase(string(stage))
	defer r.time(stage)()
	switch stage {
	case StageDrop:
		return r.drop(ctx, w, steps)
	case StagePrivileges:
		return r.repeatable(ctx, w, steps)
	default:
		return r.statements(ctx, w, steps, r.record)
	}
}

// parallel runs the steps of stages on all workers.
func (r *run) parallel(ctx context.Context, pool chan *worker, of ...Stage) error {
	groups, nodes := r.plan.graph(of)
	if len(groups) == 0 {
		return nil
	}
	r.opts.Progress.Phase(string(of[0]))
	err := sched.Run(ctx, cap(pool), nodes, func(ctx context.Context, node int) error {
		w := <-pool
		defer func() { pool <- w }()
		if err := w.reconnect(ctx); err != nil {
			return err
		}
		defer r.time(r.plan.Steps[groups[node][0]].Stage)()
		if r.plan.Steps[groups[node][0]].Entry.Kind == "SEQUENCE SET" {
			return r.repeatable(ctx, w, groups[node])
		}
		return r.step(ctx, w, groups[node][0])
	})
	if failed, ok := errors.AsType[*StepError](err); ok {
		return failed
	}
	return err
}

// step runs one step of a parallel stage.
func (r *run) step(ctx context.Context, w *worker, i int) error {
	s := &r.plan.Steps[i]
	if r.skip(s) {
		return nil
	}
	task := r.opts.Progress.StartSized(string(s.Stage), quote.Qualified(s.Entry.Namespace, s.Entry.Tag), r.expected(s))
	var errs []*StepError
	switch s.Action {
	case ActionSQL:
		err := r.definition(ctx, w, i, func(_ int, failed []*StepError) error {
			errs = failed
			return nil
		})
		if err != nil {
			task.Done(err)
			return err
		}
	default:
		r.log.Info(announce(s))
		if failed := r.data(ctx, w, s, task); failed != nil {
			errs = []*StepError{failed}
		}
	}
	if ctx.Err() != nil {
		task.Done(context.Cause(ctx))
		return context.Cause(ctx)
	}
	var err error
	if len(errs) > 0 {
		err = errs[0]
	}
	task.Done(err)
	return r.record(i, errs)
}

// skip reports whether a step is not to be tried because its table could not be
// created.
func (r *run) skip(s *Step) bool {
	if !r.opts.NoDataForFailedTables || s.Entry.Kind != "TABLE DATA" || len(s.Entry.After) == 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.missing[s.Entry.After[0]] {
		return false
	}
	if !r.told[s.Entry.ID] {
		r.told[s.Entry.ID] = true
		r.report.Skipped = append(r.report.Skipped, Skipped{s.Entry.Kind, describe(s.Entry), "the table could not be created"})
	}
	return true
}

// deadlocks is how often a definition is tried again that lost to another one
// in a deadlock. The server has rolled it back.
const deadlocks = 5

// definition runs the statements of one step and survives the loss of the
// connection, which costs this step only.
func (r *run) definition(ctx context.Context, w *worker, i int, done func(int, []*StepError) error) error {
	for try := 0; ; try++ {
		var errs []*StepError
		err := r.statements(ctx, w, []int{i}, func(_ int, failed []*StepError) error {
			errs = failed
			return nil
		})
		lost, ok := errors.AsType[*lostError](err)
		switch {
		case ok && ctx.Err() == nil:
			s := &r.plan.Steps[i]
			return done(i, []*StepError{r.failure(s, s.SQL, fmt.Errorf("%w; whether the server did it is not known", lost))})
		case err != nil:
			return err
		case len(errs) > 0 && pg.Code(errs[0]) == "40P01" && try < deadlocks:
			continue
		}
		return done(i, errs)
	}
}

// record enters the outcome of a step into the report. With ExitOnError it
// returns the failure.
func (r *run) record(_ int, errs []*StepError) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(errs) == 0 {
		r.report.Restored++
		return nil
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

func (r *run) warn(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Warnings = append(r.report.Warnings, text)
	r.log.Info("warning: " + text)
}

// failure makes the error of a step.
func (r *run) failure(s *Step, sql string, err error) *StepError {
	e := &StepError{ID: s.Entry.ID, Kind: s.Entry.Kind, Name: describe(s.Entry), SQL: sql, Err: err}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		e.Line = line(sql, int(pe.Position))
	}
	return e
}

// line returns the line of sql, counted from 1, in which a server's position
// points: a count of characters from 1, or 0 for none.
func line(sql string, position int) int {
	if position <= 0 {
		return 0
	}
	n := 1
	for _, c := range sql {
		if position--; position == 0 {
			break
		}
		if c == '\n' {
			n++
		}
	}
	return n
}

// time notes that a step of a stage begins; the function it returns, that it
// has ended.
func (r *run) time(stage Stage) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	sp := r.spans[stage]
	if sp == nil {
		sp = &span{first: time.Now()}
		r.spans[stage] = sp
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		sp.last = time.Now()
	}
}

func (r *run) phases() []Phase {
	phases := []Phase{}
	for _, s := range stages {
		if sp := r.spans[s]; sp != nil {
			phases = append(phases, Phase{Name: string(s), Elapsed: sp.last.Sub(sp.first)})
		}
	}
	return phases
}

// announce says what a step is about to do.
func announce(s *Step) string {
	e := s.Entry
	switch {
	case s.Stage == StageDrop:
		return fmt.Sprintf("dropping %s %s", e.Kind, e.Tag)
	case s.Action == ActionCopy || s.Action == ActionInsert:
		return fmt.Sprintf("processing data for table %q", describe(e)) + partOf(s)
	case s.Action == ActionLargeObjects, e.Kind == "SEQUENCE SET", e.Section == archive.SectionData:
		return fmt.Sprintf("executing %s %s", e.Kind, e.Tag)
	}
	return fmt.Sprintf("creating %s %q", e.Kind, describe(e))
}

// partOf tells the parts of one table apart.
func partOf(s *Step) string {
	if s.Truncate != "" || s.Part.Frames == 0 {
		return ""
	}
	return fmt.Sprintf(", part %d", s.Part.Number)
}
