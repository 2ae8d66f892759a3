package restore

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
)

// A unit is one attempt to run steps in one transaction, whose statements and
// rows go down the wire without a wait between them.
type unit struct {
	r     *run
	w     *worker
	steps []int
	// careful leaves out what follows a definition, such as its owner: it has been
	// refused once, and must not undo the definition.
	careful bool

	counters   map[int]*counter
	frozen     map[int]bool               // steps whose rows are loaded frozen
	binary     map[int][]copyproto.Column // of steps whose rows are loaded in the binary format
	committing bool                       // COMMIT may have been sent
	at         int                        // position in steps of the one that was refused; -1 for none of them
}

// A refusal is the text that the server refused, where that is not the step's.
type refusal struct {
	sql string
	err error
}

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }

var errRolledBack = errors.New("commit: the server rolled the transaction back")

func (r *run) unit(w *worker, steps []int, careful bool) *unit {
	return &unit{r: r, w: w, steps: steps, careful: careful, at: -1, counters: make(map[int]*counter), frozen: make(map[int]bool), binary: make(map[int][]copyproto.Column)}
}

// attempt runs the steps and commits them. After an error, which is a *refusal
// or a *lostError, nothing of them is done, unless the connection was lost while
// committing.
func (u *unit) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var checking sync.WaitGroup
	defer checking.Wait()
	defer cancel()
	for _, i := range u.steps { // beside the load
		if s := &u.r.plan.Steps[i]; s.parts > 1 {
			checking.Go(func() { _ = u.r.undamaged(ctx, s) })
		}
	}
	if err := u.columns(ctx); err != nil {
		return err
	}
	body, tail := u.messages(), u.tail()
	hold := u.r.opts.Journal == nil
	for _, i := range u.steps {
		hold = hold || u.r.plan.Steps[i].Action == ActionCopy
	}
	if !hold {
		body = append(body, tail...)
	}
	err := u.send(ctx, body)
	if err == nil && hold {
		if err = u.undamaged(ctx); err == nil {
			err = u.send(ctx, tail)
		}
	}
	if err == nil {
		return nil
	}
	if _, lost := errors.AsType[*lostError](err); !lost && !u.w.lost() && u.w.pgconn().TxStatus() != 'I' {
		if rollback := exec(ctx, u.w.pgconn(), "ROLLBACK"); rollback != nil {
			u.w.abandon()
		}
	}
	for _, c := range u.counters {
		c.undo()
	}
	return err
}

// columns finds out which steps load rows in the binary format.
func (u *unit) columns(ctx context.Context) error {
	for _, i := range u.steps {
		columns, err := u.r.binaryColumns(ctx, u.w, &u.r.plan.Steps[i])
		if err != nil {
			return err
		}
		if columns != nil {
			u.binary[i] = columns
		}
	}
	return nil
}

// messages are what comes before the end of the transaction.
func (u *unit) messages() []*message {
	all := []*message{{step: -1, sql: "BEGIN"}}
	for _, i := range u.steps {
		s := u.r.text(i)
		for _, sql := range s.Setup {
			all = append(all, &message{step: i, sql: sql})
		}
		switch {
		case s.Action == ActionCopy:
			all = append(all, u.load(i, s))
		case s.SQL != "":
			all = append(all, &message{step: i, sql: s.SQL, main: true})
		}
		if u.careful && s.Action == ActionSQL {
			continue
		}
		for _, sql := range s.Finish {
			all = append(all, &message{step: i, sql: sql})
		}
	}
	return all
}

// load is the message that loads one part of a table.
func (u *unit) load(i int, s *Step) *message {
	r, c := u.r, new(counter)
	u.counters[i] = c
	sql, before := copyproto.InText(s.SQL), ""
	if r.fresh(s) {
		before = s.Truncate + "\n"
	}
	var with []string
	if r.freeze(i, s) {
		u.frozen[i] = true
		with = append(with, "FREEZE")
	}
	f := r.format(i, s)
	columns := u.binary[i]
	m := &message{step: i, main: true, passed: c.add}
	if columns != nil || f == copyproto.Binary {
		with = append(with, "FORMAT binary")
		m.passed = nil // not what goes over the wire is counted
	}
	if len(with) > 0 {
		sql = strings.TrimSuffix(sql, ";") + " WITH (" + strings.Join(with, ", ") + ");"
	}
	m.sql = before + enter(s) + sql
	m.rows = func(ctx context.Context, w io.Writer) error {
		if columns == nil || f == copyproto.Binary {
			return r.send(ctx, s, f, true, w, c.add)
		}
		b := copyproto.NewBinaryWriter(w, columns)
		if err := r.send(ctx, s, f, true, &countedText{b, c.add}, nil); err != nil {
			return err
		}
		return b.Close()
	}
	return m
}

// tail ends the transaction.
func (u *unit) tail() []*message {
	var all []*message
	if sql := u.r.note(u.steps); sql != "" {
		all = append(all, &message{step: -1, sql: sql})
	}
	if u.countsNow() {
		all = append(all, &message{step: -1, sql: countNow})
	}
	return append(all, &message{step: -1, sql: commitSQL})
}

const commitSQL = "COMMIT"

// send sends messages until one is refused.
func (u *unit) send(ctx context.Context, all []*message) error {
	sent := 0
	return exchange(ctx, u.w.pgconn(), maxFlight, func() (*message, bool) {
		if sent == len(all) {
			return nil, false
		}
		m := all[sent]
		sent++
		if m.step >= 0 {
			task := u.r.start(m.step)
			if c := u.counters[m.step]; c != nil {
				c.task = task
			}
		}
		u.committing = u.committing || m.sql == commitSQL
		return m, true
	}, func(m *message, a answer) error {
		err := a.err
		switch {
		case err == nil && m.sql == commitSQL && a.tag != commitSQL:
			err = errRolledBack
		case err == nil && m.rows != nil:
			err = complete(&u.r.plan.Steps[m.step], a.rows, u.counters[m.step])
		}
		if err == nil {
			return nil
		}
		for k, i := range u.steps {
			if i == m.step {
				u.at = k
			}
		}
		return &refusal{m.sql, err}
	})
}

// undamaged waits until it is known that none of the tables that are loaded in
// parts is damaged: a part that is committed cannot be taken back.
func (u *unit) undamaged(ctx context.Context) error {
	for k, i := range u.steps {
		s := &u.r.plan.Steps[i]
		if err := u.r.undamaged(ctx, s); err != nil {
			u.at = k
			return &refusal{s.SQL, err}
		}
	}
	return nil
}

// note returns the SQL that notes steps as done, "" without a journal.
func (r *run) note(steps []int) string {
	if r.opts.Journal == nil {
		return ""
	}
	list := make([]*Step, len(steps))
	for k, i := range steps {
		list[k] = &r.plan.Steps[i]
	}
	return r.opts.Journal.Record(list)
}

// attempts is how often a unit is tried whose connection was lost before it was
// committed: with a journal the target may be away for longer.
func (r *run) attempts() int {
	if r.opts.Journal != nil {
		return 10
	}
	return loads
}

// work runs steps that one connection takes in order, as many in a transaction
// as there are, and records them. What is refused is found and the rest done
// without it. serial says that all that follows builds on the steps, so that
// not to know whether they are done ends the run.
func (r *run) work(ctx context.Context, w *worker, steps []int, serial bool) error {
	careful := false
	for tries, deadlocked := 1, 0; len(steps) > 0; {
		if err := w.reconnect(ctx); err != nil {
			return err
		}
		first := &r.plan.Steps[steps[0]]
		if len(steps) == 1 && r.opts.Journal == nil && first.Action == ActionSQL {
			return r.plain(ctx, w, steps, serial)
		}
		u := r.unit(w, steps, careful)
		err := u.attempt(ctx)
		code := pg.Code(err)
		_, lost := errors.AsType[*lostError](err)
		switch {
		case err == nil && careful:
			return r.finish(ctx, w, steps[0], nil)
		case err == nil:
			return r.committed(u)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case lost:
			w.abandon()
			tries++
			if steps, err = r.afterLoss(ctx, u, err, tries > r.attempts(), serial); err != nil {
				return err
			}
		case code == "40P01" && deadlocked < deadlocks:
			deadlocked++
		case u.at >= 0 && u.frozen[steps[u.at]] && (code == "25000" || code == "55000" || code == "0A000"):
			r.thaw(steps[u.at])
		case u.at >= 0 && r.turn(steps[u.at], err):
		case u.at >= 0 && u.binary[steps[u.at]] != nil:
			r.asText(r.plan.Steps[steps[u.at]].Entry)
		case len(steps) > 1:
			return r.apart(ctx, w, u, serial)
		case first.Action == ActionCopy:
			return r.over(steps[0], []*StepError{r.loadFailure(ctx, first, err)})
		case !careful:
			careful = true
		case code == "25001":
			return r.outside(ctx, w, steps[0])
		default:
			return r.finish(ctx, w, steps[0], err)
		}
	}
	return nil
}

// committed records the steps of a unit that is committed.
func (r *run) committed(u *unit) error {
	for _, i := range u.steps {
		s := &r.plan.Steps[i]
		r.made(s, nil)
		if c := u.counters[i]; c != nil {
			r.count(s, c)
		}
		if err := r.over(i, nil); err != nil {
			return err
		}
	}
	return nil
}

// apart runs the steps of a unit of which something was refused: what came
// before that, the refused step by itself, and what comes after.
func (r *run) apart(ctx context.Context, w *worker, u *unit, serial bool) error {
	definitions := true
	for _, i := range u.steps {
		definitions = definitions && r.plan.Steps[i].Action == ActionSQL
	}
	if definitions && r.opts.Journal == nil && !r.opts.ExitOnError {
		return r.plain(ctx, w, u.steps, serial)
	}
	runs := [][]int{u.steps[:max(u.at, 0)], u.steps[max(u.at, 0) : u.at+1], u.steps[u.at+1:]}
	if u.at < 0 { // the transaction as a whole
		runs = nil
		for k := range u.steps {
			runs = append(runs, u.steps[k:k+1])
		}
	}
	for _, steps := range runs {
		if err := r.work(ctx, w, steps, serial); err != nil {
			return err
		}
	}
	return nil
}

// plain runs definitions as pg_restore does, each statement a transaction of its
// own.
func (r *run) plain(ctx context.Context, w *worker, steps []int, serial bool) error {
	repeatable := true
	for _, i := range steps {
		repeatable = repeatable && r.plan.Steps[i].repeatable()
	}
	switch {
	case repeatable:
		return r.repeatable(ctx, w, steps)
	case serial:
		return r.statements(ctx, w, steps, r.over)
	}
	for _, i := range steps {
		if err := w.reconnect(ctx); err != nil {
			return err
		}
		if err := r.definition(ctx, w, i); err != nil {
			return err
		}
	}
	return nil
}

// outside runs the definition of a step that cannot be in a transaction, and
// notes it right after.
func (r *run) outside(ctx context.Context, w *worker, i int) error {
	err := exec(ctx, w.pgconn(), r.text(i).SQL)
	if err == nil {
		err = exec(ctx, w.pgconn(), r.note([]int{i}))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.finish(ctx, w, i, err)
}

// finish runs what follows the definition of a step, each statement a
// transaction of its own, and records the step. refused is why the definition
// was, or nil.
func (r *run) finish(ctx context.Context, w *worker, i int, refused error) error {
	s := &r.plan.Steps[i]
	r.made(s, refused)
	var errs []*StepError
	if refused != nil {
		errs = append(errs, r.refused(s, refused))
	}
	for _, sql := range r.text(i).Finish {
		err := w.reconnect(ctx)
		if err == nil {
			err = exec(ctx, w.pgconn(), sql)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && worth(refused) {
			errs = append(errs, r.failure(s, sql, err))
		}
	}
	return r.over(i, errs)
}

// refused makes the error of a step's definition.
func (r *run) refused(s *Step, err error) *StepError {
	sql := s.SQL
	if text, ok := errors.AsType[*refusal](err); ok {
		sql, err = text.sql, text.err
	}
	return r.failure(s, sql, err)
}

// repeatable says whether a step does no harm if it is done twice.
func (s *Step) repeatable() bool { return s.Stage == StagePrivileges || s.Entry.Kind == "SEQUENCE SET" }
