package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/sched"
	"github.com/pghaul/pghaul/progress"
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
		report:  &Report{Failed: []*StepError{}, Skipped: []Skipped{}, Warnings: []string{}},
		created: make(map[int]bool), missing: make(map[int]bool), told: make(map[int]bool), spans: make(map[Stage]*span),
		tasks: make(map[int]*progress.Task), announced: make(map[int]bool), done: make(map[*Step]bool),
		thawed: make(map[int]bool), turned: make(map[int]bool), layouts: make(map[int][]copyproto.Column), whole: make(map[int]bool), broken: make(map[int]bool), checks: make(map[int]*check), parts: plan.inParts(),
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

	tasks     map[int]*progress.Task     // of steps under way
	announced map[int]bool               // steps that the log has heard of
	done      map[*Step]bool             // what an earlier run has done, by the journal
	thawed    map[int]bool               // loads that the server refused to freeze
	turned    map[int]bool               // loads whose rows are too long for text
	layouts   map[int][]copyproto.Column // by dump ID of the data; nil is text
	whole     map[int]bool               // by dump ID: definitions that are not made in pieces after all
	broken    map[int]bool               // steps whose other piece is to be taken back
	checks    map[int]*check             // by dump ID of the data
	parts     map[int]*partition         // by dump ID of data that is loaded in parts
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
		return pg.DefaultJobs()
	}
	return r.opts.Jobs
}

func (r *run) all(ctx context.Context) error {
	leader := &worker{run: r, leads: true}
	if err := leader.connect(ctx); err != nil {
		return err
	}
	defer leader.close()
	if r.opts.Jobs == 0 {
		var err error
		if r.opts.Jobs, err = pg.Jobs(ctx, leader.conn); err != nil {
			return err
		}
	}
	v, err := pg.ServerVersion(leader.pgconn())
	if err == nil {
		if text := newerTarget(v); text != "" {
			r.warn(text)
		}
	}
	if err := r.readable(v); err != nil {
		return err
	}
	if err := r.database(ctx, leader); err != nil {
		return err
	}
	if err := r.open(ctx, leader); err != nil {
		return err
	}
	r.expect()
	if r.opts.transactional() {
		return r.transactions(ctx, leader)
	}
	join := r.pool(ctx, leader)
	defer func() {
		if pool, err := join(); err == nil {
			for range cap(pool) {
				if w := <-pool; w != leader {
					w.close()
				}
			}
		}
	}()
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
	pool, err := join()
	if err != nil {
		return err
	}
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
		if r.done[s] {
			continue
		}
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

// pool connects the other workers while the leader is at work, and returns who
// waits for them. A target that has no room for all of them is worked on by
// fewer.
func (r *run) pool(ctx context.Context, leader *worker) (join func() (chan *worker, error)) {
	others := make([]*worker, r.jobs()-1)
	errs := make([]error, len(others))
	var wg sync.WaitGroup
	for k := range others {
		others[k] = &worker{run: r, data: true}
		wg.Go(func() { errs[k] = others[k].connect(ctx) })
	}
	return sync.OnceValues(func() (chan *worker, error) {
		wg.Wait()
		workers := []*worker{leader}
		var full, failed error
		for k, err := range errs {
			switch {
			case err == nil:
				workers = append(workers, others[k])
			case pg.Code(err) == "53300":
				full = err
			default:
				failed = err
			}
		}
		if failed == nil {
			failed = oneServer(ctx, workers)
		}
		if failed != nil {
			for _, w := range workers[1:] {
				w.close()
			}
			return nil, failed
		}
		if full != nil {
			r.warn(fmt.Sprintf("the target has room for %d of %d connections: going on with those (%v)", len(workers), r.jobs(), full))
		}
		pool := make(chan *worker, len(workers))
		for _, w := range workers {
			pool <- w
		}
		return pool, nil
	})
}

// oneServer returns an error if connections are to several servers at the same
// time. One that has restarted since has taken its connections with it.
func oneServer(ctx context.Context, workers []*worker) error {
	first := workers[0]
	for _, w := range workers[1:] {
		if first.lost() || w.lost() {
			continue
		}
		a, b := pg.InstanceOf(first.pgconn()), pg.InstanceOf(w.pgconn())
		if a.Differs(b) && exec(ctx, first.pgconn(), "SELECT 1") == nil && exec(ctx, w.pgconn(), "SELECT 1") == nil {
			return fmt.Errorf("the target's address leads to several servers, started %s and %s UTC: name one of them", a.Started, b.Started)
		}
	}
	return nil
}

// serial runs the steps of a stage in order on one connection.
func (r *run) serial(ctx context.Context, w *worker, stage Stage) error {
	var steps []int
	for i := range r.plan.Steps {
		if r.plan.Steps[i].Stage == stage && !r.done[&r.plan.Steps[i]] {
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
	case StageCreate: // which no transaction can hold
		return r.statements(ctx, w, steps, r.over)
	default:
		for batch := range slices.Chunk(steps, batchSteps) {
			if err := r.work(ctx, w, batch, true); err != nil {
				return err
			}
		}
		return nil
	}
}

// batchSteps is how many definitions share a transaction at most: few enough for
// the target's lock table, which has room for thousands of locks.
const batchSteps = 256

// parallel runs the steps of stages on all workers.
func (r *run) parallel(ctx context.Context, pool chan *worker, of ...Stage) error {
	groups, nodes := r.plan.graph(of, cap(pool))
	if len(groups) == 0 {
		return nil
	}
	r.opts.Progress.Phase(string(of[0]))
	done := r.tablesDone(groups)
	err := sched.Run(ctx, cap(pool), nodes, func(ctx context.Context, node, idle int) error {
		w := <-pool
		defer func() { pool <- w }()
		if err := w.reconnect(ctx); err != nil {
			return err
		}
		if err := w.budgetHelpers(ctx, r.plan.Steps[groups[node][0]].Entry.Kind, cap(pool)-idle); err != nil {
			return err
		}
		if err := r.group(ctx, w, groups[node]); err != nil {
			return err
		}
		done(groups[node])
		return nil
	})
	if err != nil {
		r.stopped(ctx, err)
	}
	if failed, ok := errors.AsType[*StepError](err); ok {
		return failed
	}
	return err
}

// group runs steps of a parallel stage that one connection takes together.
func (r *run) group(ctx context.Context, w *worker, steps []int) error {
	var todo []int
	for _, i := range steps {
		s := &r.plan.Steps[i]
		if !r.skip(s) && (!s.first() || r.divided(s)) {
			todo = append(todo, i)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	defer r.time(r.plan.Steps[todo[0]].Stage)()
	s := &r.plan.Steps[todo[0]]
	var err error
	if s.Action == ActionSQL || s.Action == ActionCopy {
		err = r.work(ctx, w, todo, false)
		r.unmake(ctx, w, todo)
	} else {
		err = r.step(ctx, w, todo[0])
	}
	if err != nil {
		return err
	}
	for _, i := range todo {
		if err := r.settle(ctx, w, r.plan.Steps[i].Entry); err != nil {
			return err
		}
	}
	return nil
}

// step runs one step that is a transaction of its own by its nature, or part of
// one that is under way.
func (r *run) step(ctx context.Context, w *worker, i int) error {
	s := &r.plan.Steps[i]
	var errs []*StepError
	if failed := r.data(ctx, w, s, r.start(i)); failed != nil {
		errs = []*StepError{failed}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.over(i, errs)
}

// skip reports whether a step is not to be tried, because an earlier run has done
// it, or its table could not be created or is not to be loaded any more.
func (r *run) skip(s *Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done[s] {
		return true
	}
	reason := ""
	switch parts := r.parts[s.Entry.ID]; {
	case s.Entry.Kind != "TABLE DATA" || len(s.Entry.After) == 0:
	case r.opts.NoDataForFailedTables && r.missing[s.Entry.After[0]]:
		reason = "the table could not be created"
	case parts != nil && parts.failed && r.opts.Journal == nil:
		parts.left--
		reason = "another part of the table failed"
	}
	if reason == "" {
		return false
	}
	if !r.told[s.Entry.ID] {
		r.told[s.Entry.ID] = true
		r.report.Skipped = append(r.report.Skipped, Skipped{s.Entry.Kind, describe(s.Entry), reason})
	}
	return true
}

// deadlocks is how often a definition is tried again that lost to another one
// in a deadlock. The server has rolled it back.
const deadlocks = 5

// definition runs the statements of one step and survives the loss of the
// connection, which costs this step only.
func (r *run) definition(ctx context.Context, w *worker, i int) error {
	for try := 0; ; try++ {
		var errs []*StepError
		err := r.statements(ctx, w, []int{i}, func(_ int, failed []*StepError) error {
			errs = failed
			return nil
		})
		lost, ok := errors.AsType[*lostError](err)
		switch {
		case ok && ctx.Err() == nil:
			return r.over(i, []*StepError{r.unknown(ctx, &r.plan.Steps[i], lost)})
		case err != nil:
			return err
		case len(errs) > 0 && pg.Code(errs[0]) == "40P01" && try < deadlocks:
			continue
		}
		return r.over(i, errs)
	}
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
