package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// verify reads rows and large objects back and compares them with those that
// were read from the source.
func (m *migration) verify(ctx context.Context) error {
	if m.opts.NoVerify || !m.wants(SchemaData) {
		return nil
	}
	m.opts.Progress.Phase("verify")
	tables, err := m.src.recorded(ctx, func(*archive.Entry) bool { return true })
	if err != nil {
		return err
	}
	m.report.Verify, err = m.compare(ctx, tables, m.src.largeObjects(), m.ahead.journal)
	return err
}

// compare compares what is recorded with the target. known, which may be nil, has
// the tables that were compared ahead.
func (m *migration) compare(ctx context.Context, tables []archive.TableData, objects []verify.RecordedObject, known *verify.Journal) (*verify.Report, error) {
	levels := []verify.Level{verify.LevelDigest}
	if len(objects) > 0 {
		levels = append(levels, verify.LevelLargeObjects)
	}
	record := verify.Record{Source: m.live.from(), Tables: tables, LargeObjects: objects}
	rep, err := verify.Recorded(ctx, m.journal.Target(), record, verify.Options{
		Jobs: m.opts.Jobs, Levels: levels, IgnoreExtra: true, Journal: known, Logger: m.opts.Logger, Progress: m.opts.Progress,
	})
	if err != nil {
		return nil, fmt.Errorf("compare rows: %w", err)
	}
	return rep, nil
}

// finish ends a run, whatever err it has ended with: a failed phase is taken
// back, and so is what was temporary. The journal goes when the migration is
// complete, or nothing of it is left.
func (m *migration) finish(ctx context.Context, err error) error {
	m.report.decide(m.plan)
	if m.report.LeftOut = m.live.LeftOut(); m.report.LeftOut != nil {
		for _, row := range m.report.LeftOut {
			m.warn("row " + row.Name + " is not at the target: " + row.Reason)
		}
	}
	if m.opts.CopyFormat == copyproto.Binary {
		m.report.AsText = m.live.AsText()
	}
	if failed, ok := errors.AsType[*restore.StepError](err); ok && !slices.Contains(m.report.Failed, failed) {
		m.report.Failed = append(m.report.Failed, failed)
	}
	gone := false
	if err != nil && ctx.Err() == nil && !m.opts.NoRollback && !m.opts.KeepGoing {
		var back error
		if gone, back = m.takeBack(ctx); back != nil {
			err = errors.Join(err, fmt.Errorf("and what was done could not be taken back: %w", back))
		}
	}
	remains, lowered := m.temp.lower(ctx)
	for _, r := range remains {
		lowered = errors.Join(lowered, fmt.Errorf("%s: %w", r.Key, r.Err))
	}
	if lowered != nil {
		err = errors.Join(err, fmt.Errorf("rights that were for the time of the run are left in the target, pghaul rollback or --resume takes them back: %w", lowered))
	}
	m.ended(ctx)
	if err == nil && m.lost != nil {
		err = fmt.Errorf("source: %w", m.lost)
	}
	switch {
	case gone && lowered == nil:
		return errors.Join(err, m.journal.Finish(ctx))
	case err != nil || len(m.report.Failed) > 0:
		return m.unfinished(err)
	}
	whole := true
	for _, p := range Phases() {
		if r := m.phase(p); r.State == NotRun && m.earlier[p] {
			r.State = Earlier
		}
		whole = whole && (m.phase(p).State == Done || m.phase(p).State == Earlier)
	}
	m.sortPhases()
	if !whole {
		return nil
	}
	if err := m.memberships(ctx, true); err != nil {
		return m.unfinished(err)
	}
	if m.report.Verify != nil && !m.report.Verify.Equal() {
		m.warn("rows at the target are not those of the source: the journal stays, so that pghaul rollback can undo the run")
		return nil
	}
	if len(m.report.Failed) > 0 {
		return m.unfinished(nil)
	}
	if err := m.journal.Finish(ctx); err != nil {
		return err
	}
	m.report.Complete = len(m.report.LeftOut) == 0
	return nil
}

// unfinished says what is there of a run that has not come to its end.
func (m *migration) unfinished(err error) error {
	m.sortPhases()
	m.warn("the journal of this run stays in the target: --resume goes on with it, pghaul rollback undoes it")
	return err
}

func (m *migration) sortPhases() {
	for _, p := range Phases() {
		m.phase(p)
	}
	slices.SortFunc(m.report.Phases, func(a, b PhaseReport) int {
		return slices.Index(Phases(), a.Phase) - slices.Index(Phases(), b.Phase)
	})
}

// takeBack undoes the first phase that is not done and what is done of those
// after it. gone says that nothing of the run is left.
func (m *migration) takeBack(ctx context.Context) (gone bool, err error) {
	phases, err := m.journal.Ended(ctx)
	if err != nil {
		return false, err
	}
	first := slices.IndexFunc(Phases(), func(p Phase) bool { done, begun := phases[string(p)]; return begun && !done })
	if first < 0 {
		return len(phases) == 0, nil
	}
	if Phases()[first] == SchemaData {
		loaded, err := m.loaded(ctx)
		if err != nil {
			return false, err
		}
		if loaded { // what has failed is an index, or the like
			if err := m.journal.End(ctx, string(SchemaData)); err != nil {
				return false, err
			}
			m.phase(SchemaData).State = Done
			first++
		}
	}
	m.report.Rollback, err = undo(ctx, m.journal, Phases()[first:])
	if err != nil {
		return false, err
	}
	state := RolledBack
	if len(m.report.Rollback.Remains) > 0 {
		state = Partial
	}
	for _, p := range Phases()[first:] {
		if _, begun := phases[string(p)]; begun || m.phase(p).Steps > 0 {
			m.phase(p).State = state
		}
	}
	return first == 0 && state == RolledBack, nil
}

// loaded says whether everything of the schema and all rows are there.
func (m *migration) loaded(ctx context.Context) (bool, error) {
	keys, err := m.journal.Keys(ctx)
	if err != nil {
		return false, err
	}
	plan, err := restore.NewPlan(m.src, restore.Options{})
	if err != nil {
		return false, err
	}
	for i := range plan.Steps {
		if s := &plan.Steps[i]; m.phaseOf(s) == SchemaData && !keys[s.Key] {
			return false, nil
		}
	}
	return true, nil
}

// undo takes phases back, the last first.
func undo(ctx context.Context, j *restore.TargetJournal, phases []Phase) (*RollbackReport, error) {
	began := time.Now()
	names := make([]string, len(phases))
	for i, p := range phases {
		names[i] = string(p)
	}
	dropped, err := drops(ctx, j)
	if err != nil {
		return nil, err
	}
	u, err := j.Rollback(ctx, []string{helper(j.Run().ID)}, names...)
	rep := &RollbackReport{Run: j.Run().ID, Phases: slices.Clone(phases), Remains: []Remain{}}
	slices.Reverse(rep.Phases)
	if u != nil {
		rep.Undone = u.Steps
		for _, r := range u.Remains {
			rep.Remains = append(rep.Remains, Remain{Name: r.Key, SQL: r.SQL, Reason: r.Err.Error()})
		}
	}
	if err == nil {
		var left int
		left, err = drops(ctx, j)
		rep.Dropped = dropped - left
	}
	rep.Elapsed = time.Since(began)
	return rep, err
}

// drops counts the steps that have dropped something that was there before.
func drops(ctx context.Context, j *restore.TargetJournal) (n int, err error) {
	keys, err := j.Keys(ctx)
	for key := range keys {
		if strings.HasPrefix(key, "DROP ") {
			n++
		}
	}
	return n, err
}

// ended reads where the source stands now.
func (m *migration) ended(ctx context.Context) {
	if ctx.Err() != nil || m.archive != nil {
		return
	}
	f, err := facts(ctx, "source", m.source, m.opts.SourcePlatform)
	if err != nil {
		m.warn(fmt.Sprintf("whether the source was written to meanwhile is not known: %v", err))
		return
	}
	c := &m.report.Changes
	c.End = Moment{LSN: f.LSN, Time: f.Time}
	if m.changes >= 0 && f.Changes >= m.changes {
		c.Known, c.Rows = true, f.Changes-m.changes
	}
}
