package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/restore"
)

// restore runs the steps that are wanted.
func (m *migration) restore(ctx context.Context, want func(*restore.Step) bool) error {
	j := &stretch{TargetJournal: m.journal, m: m, want: want, seen: make(map[string]bool)}
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	j.opened = func() { wg.Go(func() { m.releaseWhenLoaded(watching, j.loads) }) }
	opts := restore.Options{
		Jobs: m.opts.Jobs, ExitOnError: !m.opts.KeepGoing, Journal: j, Logger: m.opts.Logger, Progress: m.opts.Progress,
	}
	if m.ahead != nil {
		opts.TableDone = m.ahead.tableDone
	}
	rep, err := restore.Run(ctx, m.journal.Target(), m.src, opts)
	stop()
	wg.Wait()
	if rep != nil {
		m.mu.Lock()
		m.report.Failed = append(m.report.Failed, rep.Failed...)
		m.report.Warnings = append(m.report.Warnings, rep.Warnings...)
		m.report.Rows += rep.Rows
		m.report.Bytes += rep.Bytes
		m.mu.Unlock()
		for _, s := range rep.Skipped {
			m.warn(fmt.Sprintf("%s %s was not tried: %s", s.Kind, s.Name, s.Reason))
		}
	}
	if failed, ok := errors.AsType[*restore.StepError](err); ok {
		return failed
	}
	return err
}

// A stretch is the journal as one call of restore.Run sees it: what it is not to
// do is done.
type stretch struct {
	*restore.TargetJournal
	m    *migration
	want func(*restore.Step) bool

	loads  []*restore.Step // that are to be done
	opened func()          // called when they are known
	seen   map[string]bool // keys that were recorded once
}

// Open implements restore.Journal.
func (s *stretch) Open(ctx context.Context, conn *pgconn.PgConn, plan *restore.Plan) error {
	if err := s.TargetJournal.Open(ctx, conn, plan); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	for i := range plan.Steps {
		step := &plan.Steps[i]
		switch {
		case !s.want(step):
		case s.TargetJournal.Done(step):
			s.m.report.Earlier++
		case load(step):
			s.loads = append(s.loads, step)
		}
	}
	s.opened()
	return nil
}

// load says that a step reads rows or large objects of the source.
func load(s *restore.Step) bool {
	return s.Action == restore.ActionCopy || s.Action == restore.ActionInsert || s.Action == restore.ActionLargeObjects
}

// Done implements restore.Journal.
func (s *stretch) Done(step *restore.Step) bool {
	return !s.want(step) || s.TargetJournal.Done(step)
}

// Record implements restore.Journal.
func (s *stretch) Record(steps []*restore.Step) string {
	s.m.mu.Lock()
	for _, step := range steps {
		if s.seen[step.Key] {
			s.m.report.Retries++
			continue
		}
		s.seen[step.Key] = true
		s.m.phase(s.m.phaseOf(step)).Steps++
		switch step.Action {
		case restore.ActionCopy, restore.ActionInsert:
			s.m.report.Tables++
		case restore.ActionSQL, restore.ActionCreateLargeObjects, restore.ActionLargeObjects:
			s.m.report.Objects++
		}
	}
	s.m.mu.Unlock()
	return s.TargetJournal.Record(steps)
}

// releaseWhenLoaded lets the source's snapshot go when all rows are committed at
// the target, so that it does not hold back VACUUM at the source while indexes
// are built here. Rows that were read but not committed may be needed again.
func (m *migration) releaseWhenLoaded(ctx context.Context, loads []*restore.Step) {
	if len(loads) == 0 || m.opts.KeepGoing {
		return
	}
	w := &worker{target: m.journal.Target(), journal: m.journal}
	defer w.close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !m.src.allRead(loads) {
			continue
		}
		keys := make([]string, len(loads))
		for i, s := range loads {
			keys[i] = s.Key
		}
		left, err := w.texts(ctx, "SELECT k FROM pg_catalog.unnest($1::text[]) k WHERE NOT EXISTS (SELECT FROM pghaul.step s WHERE s.key = k AND s.void IS NULL) LIMIT 1", keys)
		if err == nil && len(left) == 0 {
			m.release()
			return
		}
	}
}

// release lets the source's snapshot go.
func (m *migration) release() {
	if err := m.live.release(); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.lost = err
	}
}

// analyze gathers statistics of the tables that are there.
func (m *migration) analyze(ctx context.Context) error {
	partitions := make(map[string]bool)
	for i := range m.src.entries {
		if e := &m.src.entries[i]; e.Kind == "TABLE ATTACH" {
			partitions[quote.Qualified(e.Namespace, e.Tag)] = true
		}
	}
	names := make(chan string)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(names)
		for i := range m.src.entries {
			e := &m.src.entries[i]
			name := quote.Qualified(e.Namespace, e.Tag)
			if e.Kind != "TABLE" && e.Kind != "MATERIALIZED VIEW" || partitions[name] {
				continue // partitions are looked at with their parent
			}
			select {
			case names <- name:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range m.jobs() {
		g.Go(func() error {
			w := &worker{target: m.journal.Target(), journal: m.journal}
			defer w.close()
			for name := range names {
				if err := m.analyzeTable(ctx, w, name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// analyzeTable gathers the statistics of one table. That the server refuses is
// no failure of the migration.
func (m *migration) analyzeTable(ctx context.Context, w *worker, name string) error {
	task := m.opts.Progress.Start("analyze", name)
	err := w.exec(ctx, "ANALYZE "+name)
	if err != nil && ctx.Err() == nil && w.conn != nil && w.conn.IsClosed() {
		err = w.exec(ctx, "ANALYZE "+name)
	}
	task.Done(err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case pg.Code(err) != "" && !w.conn.IsClosed():
		m.warn(fmt.Sprintf("the planner has no statistics of %s: %v", name, err))
		return nil
	}
	return fmt.Errorf("analyze %s: %w", name, err)
}
