package restore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// cleanUpFor is how long a run that was ended may take to empty tables.
const cleanUpFor = time.Minute

// A Checker is a Source that can find damage without giving out rows. Where
// rows are loaded in parts, Run asks it before the first part is committed.
type Checker interface {
	// Check returns an error, *archive.CorruptError if that is what it is, unless
	// all rows of an entry can be had undamaged.
	Check(ctx context.Context, e *archive.Entry) error
}

// A check is what is known of an entry's rows.
type check struct {
	mu    sync.Mutex
	known bool
	err   error
}

// undamaged returns the damage of a table that is loaded in parts. Other tables
// need no check of their own: they are one transaction, which damage rolls back.
func (r *run) undamaged(ctx context.Context, s *Step) error {
	checker, ok := r.src.(Checker)
	if !ok || s.parts < 2 {
		return nil
	}
	r.mu.Lock()
	c := r.checks[s.Entry.ID]
	if c == nil {
		c = new(check)
		r.checks[s.Entry.ID] = c
	}
	r.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		return c.err
	}
	err := checker.Check(ctx, s.Entry)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.known, c.err = true, err
	return err
}

// A partition is what has become of the parts of one table's rows.
type partition struct {
	entry       *archive.Entry
	table       int // dump ID
	left        int // parts that are not over
	loaded      int // parts that this run has committed
	rows, bytes int64
	failed      bool
}

// inParts returns the tables that are loaded in parts, by dump IDs of their data.
func (p *Plan) inParts() map[int]*partition {
	all := make(map[int]*partition)
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Action != ActionCopy || s.parts < 2 || len(s.Entry.After) == 0 {
			continue
		}
		if all[s.Entry.ID] == nil {
			all[s.Entry.ID] = &partition{entry: s.Entry, table: s.Entry.After[0]}
		}
		all[s.Entry.ID].left++
	}
	return all
}

// settle empties a table again when all of its parts are over and one of them
// failed: as with a table that is loaded as a whole, there are all rows or none.
// Only what this run has created is emptied. With a journal the parts stay, for
// the run that goes on from it.
func (r *run) settle(ctx context.Context, w *worker, e *archive.Entry) error {
	r.mu.Lock()
	p := r.parts[e.ID]
	if p == nil || !p.failed || p.left > 0 || p.loaded == 0 || r.opts.Journal != nil {
		r.mu.Unlock()
		return nil
	}
	own, loaded := r.created[p.table], p.loaded
	p.loaded = 0
	r.mu.Unlock()
	name := e.Kind + " " + describe(e)
	if !own {
		r.warn(fmt.Sprintf("%s: this run did not create the table, and leaves %s of %d of its parts in it", name, rowsLoaded(p.rows), loaded))
		return nil
	}
	sql := truncate(e)
	err := w.reconnect(ctx)
	if err == nil {
		err = exec(ctx, w.pgconn(), sql)
	}
	if err != nil {
		failed := &StepError{ID: e.ID, Kind: e.Kind, Name: describe(e), SQL: sql, Err: fmt.Errorf("%s of other parts of it are in the table and could not be removed: %w", rowsLoaded(p.rows), err)}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.report.Failed = append(r.report.Failed, failed)
		r.log.Info("failed: " + failed.Error())
		return nil
	}
	r.mu.Lock()
	r.report.Restored -= loaded
	r.report.Rows -= p.rows
	r.report.Bytes -= p.bytes
	r.mu.Unlock()
	r.log.Info("emptied " + quote.Qualified(e.Namespace, e.Tag) + ", a part of which failed")
	return nil
}

func rowsLoaded(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}
