package restore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/progress"
)

// loads is how often a load is tried whose connection was lost before it was
// committed.
const loads = 3

// data runs one step that moves rows or large objects. Loads are one transaction,
// which is tried again when the connection is lost. It returns the step's failure.
func (r *run) data(ctx context.Context, w *worker, s *Step, task *progress.Task) *StepError {
	var err error
	for try := 1; ; try++ {
		c := &counter{task: task}
		err = r.transfer(ctx, w, s, c)
		if err == nil {
			r.count(s, c)
			return nil
		}
		c.undo()
		unsure, _ := errors.AsType[*commitError](err)
		journal := r.opts.Journal != nil
		if ctx.Err() != nil || !w.lost() || w.tx || !journal && (unsure != nil || s.Action == ActionCreateLargeObjects) || try == r.attempts() {
			break
		}
		if unsure != nil {
			done, err := r.askOne(ctx, w, s)
			if err != nil {
				return r.loadFailure(ctx, s, err)
			}
			if done {
				c.redo()
				r.count(s, c)
				return nil
			}
		}
		r.warn(fmt.Sprintf("%s %s: the connection was lost, loading again: %v", s.Entry.Kind, describe(s.Entry), err))
		if lost := w.reconnect(ctx); lost != nil {
			break // the next step finds the target gone, and ends the run
		}
	}
	return r.loadFailure(ctx, s, err)
}

// loadFailure makes the error of a load, with the file it read named in it.
func (r *run) loadFailure(ctx context.Context, s *Step, err error) *StepError {
	sql := s.SQL
	if refused, ok := errors.AsType[*refusal](err); ok {
		sql, err = refused.sql, refused.err
	}
	if ctx.Err() == nil && refusesRows(err) {
		if corrupt := damaged(ctx, r.src, s.Entry, s.Part); corrupt != nil {
			err = fmt.Errorf("%w (the server refused the damaged rows: %w)", corrupt, err)
		}
	}
	if _, ok := errors.AsType[*archive.CorruptError](err); !ok && s.Entry.File != "" {
		err = fmt.Errorf("data file %s: %w", s.Entry.File, err)
	}
	return r.failure(s, sql, err)
}

// refusesRows says whether the server found fault with what it was sent: with
// values (22), with what constraints say of them (23), or with statements (42).
func refusesRows(err error) bool {
	code := pg.Code(err)
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || code == "42601"
}

// A commitError is the loss of the connection at the one moment after which it
// is not known whether the rows are there.
type commitError struct{ err error }

func (e *commitError) Error() string {
	return "commit: whether the rows are in the table is not known: " + e.err.Error()
}
func (e *commitError) Unwrap() error { return e.err }

// counter counts what one attempt has moved.
type counter struct {
	task        *progress.Task
	mu          sync.Mutex
	over        bool // what comes now is of an attempt that was given up
	rows, bytes int64
}

func (c *counter) add(rows, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.task.Add(rows, bytes)
	c.rows += rows
	c.bytes += bytes
}

// undo takes back what was counted of an attempt that came to nothing.
func (c *counter) undo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.task.Add(-c.rows, -c.bytes)
}

// redo counts again what was taken back: the attempt has come to something.
func (c *counter) redo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = false
	c.task.Add(c.rows, c.bytes)
}

func (r *run) count(s *Step, c *counter) {
	c.mu.Lock()
	rows, bytes := c.rows, c.bytes
	c.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Action == ActionCopy || s.Action == ActionInsert {
		r.report.Rows += rows
	}
	if p := r.parts[s.Entry.ID]; p != nil {
		p.rows += rows
		p.bytes += bytes
	}
	r.report.Bytes += bytes
}

// transfer makes one attempt.
func (r *run) transfer(ctx context.Context, w *worker, s *Step, c *counter) error {
	for _, sql := range s.Setup {
		if err := exec(ctx, w.pgconn(), sql); err != nil {
			return err
		}
	}
	var err error
	switch s.Action {
	case ActionCopy:
		err = r.copy(ctx, w, s, c)
	case ActionInsert:
		err = r.insert(ctx, w, s, c)
	case ActionCreateLargeObjects:
		return r.createLargeObjects(ctx, w, s)
	case ActionLargeObjects:
		err = r.loadLargeObjects(ctx, w, s, c)
	case ActionSQL:
	}
	for _, sql := range s.Finish {
		if err == nil {
			err = exec(ctx, w.pgconn(), sql)
		}
	}
	if w.tx {
		return err
	}
	if j := r.opts.Journal; err == nil && j != nil {
		err = exec(ctx, w.pgconn(), j.Record([]*Step{s}))
	}
	if err == nil {
		err = commit(ctx, w)
	}
	if err != nil && !w.lost() && w.pgconn().TxStatus() != 'I' {
		if rollback := exec(ctx, w.pgconn(), "ROLLBACK"); rollback != nil {
			w.abandon()
		}
	}
	return err
}

func commit(ctx context.Context, w *worker) error {
	results, err := w.pgconn().Exec(ctx, "COMMIT").ReadAll()
	switch {
	case err != nil && w.lost():
		return &commitError{err}
	case err != nil:
		return fmt.Errorf("commit: %w", err)
	case len(results) != 1 || results[0].CommandTag.String() != "COMMIT":
		return errors.New("commit: the server rolled the transaction back")
	}
	return nil
}

// begin returns the statements that open a load's transaction. A table of this
// run's own making is emptied in it: nobody else's rows can be in it, and a
// server with wal_level minimal then need not log the load.
func (r *run) begin(w *worker, s *Step) string {
	if w.tx {
		return enter(s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Truncate == "" || !r.own(s) {
		return "BEGIN;\n" + enter(s)
	}
	return "BEGIN;\n" + s.Truncate + "\n" + enter(s)
}

// enter returns what a load runs before its rows.
func enter(s *Step) string {
	var b strings.Builder
	for _, sql := range s.Enter {
		b.WriteString(sql + "\n")
	}
	return b.String()
}

// own says whether a load is into a table of this run's own making. The caller
// holds mu.
func (r *run) own(s *Step) bool { return len(s.Entry.After) > 0 && r.created[s.Entry.After[0]] }

// copy loads one part of a table up to the commit.
func (r *run) copy(ctx context.Context, w *worker, s *Step, c *counter) error {
	m := &message{
		sql: r.begin(w, s) + s.SQL, main: true, passed: c.add,
	}
	f := copyproto.FormatOf(s.SQL)
	if f == copyproto.Binary {
		m.passed = nil // not what goes over the wire is counted
	}
	m.rows = func(ctx context.Context, to io.Writer) error { return r.send(ctx, s, f, false, to, c.add) }
	one := []*message{m}
	err := exchange(ctx, w.pgconn(), 1, func() (*message, bool) {
		if len(one) == 0 {
			return nil, false
		}
		one = nil
		return m, true
	}, func(_ *message, a answer) error {
		if a.err != nil {
			return &refusal{m.sql, a.err}
		}
		return complete(s, a.rows, c)
	})
	if _, lost := errors.AsType[*lostError](err); lost {
		w.abandon()
	}
	return err
}

// complete compares the rows the server took with those the source wrote.
func complete(s *Step, rows int64, c *counter) error {
	c.mu.Lock()
	c.rows = rows
	c.mu.Unlock()
	if s.Part.Rows >= 0 && rows != s.Part.Rows {
		return fmt.Errorf("the server took %d rows of %d", rows, s.Part.Rows)
	}
	return nil
}

// insert runs the INSERT statements of a table's data up to the commit.
func (r *run) insert(ctx context.Context, w *worker, s *Step, c *counter) error {
	src, err := r.src.Data(ctx, s.Entry, s.Part)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	pr, pw := io.Pipe()
	defer func() { _ = pr.Close() }()
	wg.Go(func() {
		_, err := src.CopyTo(ctx, pw)
		pw.CloseWithError(err)
	})

	split := splitter{bufio.NewReaderSize(pr, 64<<10), r.plan.PlainStrings}
	var rows int64
	var readErr error
	first := r.begin(w, s)
	next := func() (sql string, more bool) {
		if first != "" {
			first, sql = "", first
		} else if sql, readErr = split.next(); readErr != nil {
			return "", false
		}
		c.add(0, int64(len(sql)))
		return sql, true
	}
	err = pipeline(ctx, w.pgconn(), maxFlight, next, func(sql string, n int64, refused error) error {
		if refused != nil {
			return &refusal{sql, refused}
		}
		rows += n
		c.add(n, 0)
		return nil
	})
	if _, lost := errors.AsType[*lostError](err); lost {
		w.abandon()
	}
	if err == nil && !errors.Is(readErr, io.EOF) {
		err = readErr
	}
	if err != nil {
		return err
	}
	return complete(s, rows, c)
}
