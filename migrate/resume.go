package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/restore"
)

// recheck sees to it that what an earlier run has moved is what the source has
// now: that run's snapshot is gone, and rows of two moments must not be mixed.
// Tables whose digest is another one are emptied, to be loaded again.
func (m *migration) recheck(ctx context.Context) error {
	m.opts.Progress.Phase("recheck")
	plan, err := restore.NewPlan(m.src, restore.Options{})
	if err != nil {
		return err
	}
	tables := m.loads()
	var objects []*archive.Entry
	for i := range plan.Steps {
		if s := &plan.Steps[i]; s.Action == restore.ActionLargeObjects && m.journal.Has(s.Key) {
			objects = append(objects, s.Entry)
		}
	}
	again, err := m.differing(ctx, tables)
	if err != nil {
		return err
	}
	if err := m.reset(ctx, again); err != nil {
		return err
	}
	m.rechecked = true
	for _, e := range objects {
		if err := m.empty(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// loaded is what the journal has of the rows of a table.
type loaded struct {
	restore.Loaded
	entry *archive.Entry
}

// adopt has tables cut into parts as the run did that is gone on with: it may
// have seen other sizes, or had another number of jobs, and the plan has to know
// its steps again. A table that is loaded anew is cut as it is now.
func (m *migration) adopt() {
	for _, l := range m.loads() {
		m.src.layouts[l.entry.ID] = l.Parts
	}
}

// loads returns the tables of which the journal has rows.
func (m *migration) loads() []*loaded {
	have := m.journal.Loaded()
	var list []*loaded
	for i := range m.src.entries {
		e := &m.src.entries[i]
		if l, ok := have[e.Kind+" "+quote.Qualified(e.Namespace, e.Tag)]; ok && e.Copy != "" {
			list = append(list, &loaded{l, e})
		}
	}
	return list
}

// differing returns the tables that have rows which are not the source's.
func (m *migration) differing(ctx context.Context, tables []*loaded) ([]*loaded, error) {
	var again []*loaded
	whole := make(map[int]*loaded)
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(m.jobs())
	for _, l := range tables {
		if !l.Whole() {
			again = append(again, l) // nobody knows which rows the parts that are there had
			continue
		}
		whole[l.entry.ID] = l
		reads, err := m.src.reads(l.entry)
		if err != nil {
			return nil, errors.Join(err, g.Wait())
		}
		for _, read := range reads {
			g.Go(func() error {
				task := m.opts.Progress.Start("recheck", quote.Qualified(l.entry.Namespace, l.entry.Tag))
				err := read(reading)
				task.Done(err)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	recorded, err := m.src.recorded(ctx, func(e *archive.Entry) bool { return whole[e.ID] != nil })
	if err != nil || len(recorded) == 0 {
		return again, err
	}
	rep, err := m.compare(ctx, recorded, nil, nil)
	if err != nil {
		return nil, err
	}
	equal := make(map[[2]string]bool)
	for _, t := range rep.Tables {
		equal[[2]string{t.Schema, t.Name}] = t.Equal
	}
	for _, l := range tables {
		if whole[l.entry.ID] != nil && !equal[[2]string{l.entry.Namespace, l.entry.Tag}] {
			again = append(again, l)
		}
	}
	return again, nil
}

// stays says whether a step of the last phase may stay while rows are loaded
// again. Foreign keys, triggers and the like would act on them.
func stays(key string) bool {
	for _, kind := range []string{"INDEX ", "INDEX ATTACH ", "CONSTRAINT ", "STATISTICS ", "POLICY ", "ACL ", "DEFAULT ACL ", "COMMENT ", "SECURITY LABEL ", "PUBLICATION "} {
		if strings.HasPrefix(key, kind) {
			return true
		}
	}
	return false
}

// reset empties tables and forgets that they were loaded. Only tables that the
// run has made are in the journal.
func (m *migration) reset(ctx context.Context, tables []*loaded) error {
	if len(tables) == 0 {
		return nil
	}
	u, err := m.journal.RollbackSteps(ctx, string(PostSchema), func(key string) bool { return !stays(key) })
	if err != nil {
		return err
	}
	for _, r := range u.Remains {
		return fmt.Errorf("tables have to be loaded again, and %s is in the way: %w", r.Key, r.Err)
	}
	for _, l := range tables {
		name := quote.Qualified(l.entry.Namespace, l.entry.Tag)
		m.log.Info("emptying " + name + ": its rows are not those the source has now")
		if err := m.journal.Forget(ctx, "TRUNCATE TABLE ONLY "+name, l.Keys); err != nil {
			return fmt.Errorf("empty table %s to load it again: %w", name, err)
		}
		delete(m.src.layouts, l.entry.ID)
		m.report.Reloaded = append(m.report.Reloaded, name)
	}
	return nil
}

// empty takes the contents of large objects away, which are loaded again.
func (m *migration) empty(ctx context.Context, e *archive.Entry) error {
	list, err := m.src.LargeObjects(e)
	if err != nil {
		return err
	}
	var sql strings.Builder
	for _, lo := range list {
		// The number is the mode INV_WRITE.
		fmt.Fprintf(&sql, "SELECT pg_catalog.lo_truncate64(pg_catalog.lo_open(oid, 131072), 0) FROM pg_catalog.pg_largeobject_metadata WHERE oid = %d;\n", lo.OID)
	}
	if err := m.worker.exec(ctx, "BEGIN;\n"+sql.String()+"COMMIT"); err != nil {
		_ = m.worker.exec(ctx, "ROLLBACK")
		return fmt.Errorf("empty large objects to load them again: %w", err)
	}
	return nil
}
