package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/restore"
)

// restore runs the steps that are wanted.
func (m *migration) restore(ctx context.Context, want func(*restore.Step) bool) error {
	j := &stretch{TargetJournal: m.journal, m: m, want: want, seen: make(map[string]bool)}
	rep, err := restore.Run(ctx, m.journal.Target(), m.src, restore.Options{
		Jobs: m.opts.Jobs, ExitOnError: !m.opts.KeepGoing, Journal: j, Logger: m.opts.Logger, Progress: m.opts.Progress,
	})
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

	loads int             // left until the source is not needed any more
	seen  map[string]bool // keys that were recorded once
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
			s.loads++
		}
	}
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

// Record implements restore.Journal. When the rows of the last table have gone
// over, the source's snapshot is let go.
func (s *stretch) Record(steps []*restore.Step) string {
	sql := s.TargetJournal.Record(steps)
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	last := false
	for _, step := range steps {
		if s.seen[step.Key] {
			s.m.report.Retries++
			continue
		}
		s.seen[step.Key] = true
		s.m.phase(s.m.phaseOf(step)).Steps++
		if !load(step) {
			s.m.report.Objects++
			continue
		}
		if step.Action != restore.ActionLargeObjects {
			s.m.report.Tables++
		}
		s.loads--
		last = s.loads == 0
	}
	if last && !s.m.opts.KeepGoing {
		s.m.release()
	}
	return sql
}

// release lets the source's snapshot go, so that it does not hold back VACUUM
// there while indexes are built here.
func (m *migration) release() {
	if err := m.live.release(); err != nil {
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
	for range m.opts.Jobs {
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
