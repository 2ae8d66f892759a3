package migrate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

// runState is what a run has beyond the plan.
type runState struct {
	mu      sync.Mutex
	me      string // the target's user
	to      *platform.Facts
	changes int64 // Facts.Changes at the snapshot
	journal *restore.TargetJournal
	worker  *worker
	temp    *temporary
	src     *source
	owners  []string
	schemas []string       // that extensions need
	earlier map[Phase]bool // phases that were done before this run
	// running says that this is more than a plan; rechecked, that what an earlier
	// run has loaded was compared with the source.
	running, rechecked bool
	ahead              *ahead // nil where rows are not compared
}

// details are what a rollback needs of the plan. They are kept in the journal.
type details struct {
	Owners []string `json:"owners"`
}

func (m *migration) target16() bool { return m.to.Version >= 160000 }

// wants says whether a phase is to be run.
func (m *migration) wants(p Phase) bool {
	return len(m.opts.Phases) == 0 || slices.Contains(m.opts.Phases, p)
}

// run does what the plan says.
func (m *migration) run(ctx context.Context) error {
	ctx, unwatch := m.live.watch(ctx)
	defer unwatch()
	if err := m.prepare(ctx); err != nil {
		return err
	}
	defer m.journal.Close()
	defer m.worker.close()
	err := m.begin(ctx)
	if err == nil {
		stop := m.compareAhead(ctx)
		err = m.phases(ctx)
		stop()
	}
	if err == nil && len(m.report.Failed) == 0 {
		err = m.verify(ctx)
	}
	if err == nil && len(m.report.Failed) == 0 {
		err = m.copied(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return m.finish(ctx, err)
}

// prepare works out what is to be done and opens the journal.
func (m *migration) prepare(ctx context.Context) error {
	entries, err := m.plan.Apply(m.live.Entries())
	if err != nil {
		return err
	}
	m.owners = m.becomes(entries)
	for i := range m.plan.Extensions {
		if x := &m.plan.Extensions[i]; x.Verdict != platform.Skip && !x.Exists {
			m.schemas = append(m.schemas, x.Schema)
		}
	}
	kept, err := json.Marshal(details{Owners: m.owners})
	if err != nil {
		return fmt.Errorf("note what a rollback needs: %w", err)
	}
	if err := m.open2(ctx, string(kept)); err != nil {
		return err
	}
	m.worker = &worker{target: m.journal.Target(), journal: m.journal}
	m.temp = &temporary{worker: m.worker, journal: m.journal, me: m.me, version: m.to.Version, super: m.to.User.Superuser, warn: m.warn}
	m.src = newSource(m.live, m.assist(entries))
	m.adopt()
	m.report.Run, m.report.Resumed = m.journal.Run().ID, m.journal.Resumed()
	return nil
}

// becomes lists the roles that the run works as or gives something to: owners,
// and who has granted what he had been granted.
func (m *migration) becomes(entries []archive.Entry) []string {
	var names []string
	for i := range entries {
		e := &entries[i]
		names = append(names, e.Owner)
		if !strings.Contains(e.Create, "SET ROLE ") {
			continue
		}
		for _, r := range m.plan.Roles {
			if r.To != "" && strings.Contains(e.Create, "SET ROLE "+quote.Ident(r.To)+";") {
				names = append(names, r.To)
			}
		}
	}
	return slices.DeleteFunc(unique(names), func(n string) bool { return n == m.me })
}

// assist lets the helper role create in the schemas that are made, so that
// others than the schemas' owners can be given what is in them.
func (m *migration) assist(entries []archive.Entry) []archive.Entry {
	if m.to.User.Superuser || len(m.owners) == 0 {
		return entries
	}
	for i := range entries {
		e := &entries[i]
		if e.Kind == "SCHEMA" && strings.HasPrefix(e.Create, "CREATE SCHEMA ") {
			e.Create = strings.TrimRight(e.Create, "\n") + "\nGRANT USAGE, CREATE ON SCHEMA " + quote.Ident(e.Tag) + " TO " + quote.Ident(helper(m.journal.Run().ID)) + ";\n"
		}
	}
	return entries
}

// fingerprint tells migrations apart: what is done by the one cannot be gone on
// with by another.
func (m *migration) fingerprint() string {
	text, err := json.Marshal([]any{m.plan.Source.Database, m.plan.Source.Platform, m.plan.Rules, m.opts.Select})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// open2 opens the journal. Where single phases are asked for, one that ended
// with whole phases is gone on with.
func (m *migration) open2(ctx context.Context, kept string) error {
	opts := restore.JournalOptions{
		Verb: "migrate", Tool: m.opts.Tool, Source: m.fingerprint(), Details: kept, Resume: m.opts.Resume, Logger: m.opts.Logger,
		Phase: func(s *restore.Step) string { return string(m.phaseOf(s)) },
		Again: func(s *restore.Step) bool { return m.again(s) },
	}
	m.journal = restore.NewJournal(m.target, opts)
	err := m.journal.Start(ctx)
	if _, unfinished := errors.AsType[*restore.UnfinishedError](err); !unfinished || len(m.opts.Phases) == 0 {
		return m.resumable(ctx, err)
	}
	opts.Resume = true
	m.journal = restore.NewJournal(m.target, opts)
	if next := m.journal.Start(ctx); next != nil {
		return next
	}
	phases, next := m.journal.Ended(ctx)
	if next != nil {
		return next
	}
	for _, done := range phases {
		if !done {
			m.journal.Close()
			return err
		}
	}
	return m.resumable(ctx, nil)
}

// resumable reads which phases are done, and whether those are that this run
// builds on.
func (m *migration) resumable(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	ended, err := m.journal.Ended(ctx)
	if err != nil {
		return err
	}
	m.earlier = make(map[Phase]bool)
	missing := ""
	for _, p := range Phases() {
		m.earlier[p] = ended[string(p)]
		if m.wants(p) && missing != "" {
			err := fmt.Errorf("phase %s needs phase %s, which has not been run", p, missing)
			if !m.journal.Resumed() {
				err = errors.Join(err, m.journal.Finish(ctx)) // there is nothing in it
			}
			m.journal.Close()
			return err
		}
		if !ended[string(p)] && !m.wants(p) {
			missing = string(p)
		}
	}
	return nil
}

// phaseOf says which phase a step of the restore belongs to. Extensions and the
// schemas they are made in come first.
func (m *migration) phaseOf(s *restore.Step) Phase {
	if s.Stage == restore.StagePreData && (s.Entry.Kind == "EXTENSION" || s.Entry.Kind == "SCHEMA" && slices.Contains(m.schemas, s.Entry.Tag)) {
		return PreSchema
	}
	return Phase(restore.StepPhase(s))
}

// again says which steps that are done are done again when a run is gone on
// with, because the source has moved on.
func (m *migration) again(s *restore.Step) bool {
	switch s.Entry.Kind {
	case "SEQUENCE SET", "MATERIALIZED VIEW DATA":
		return m.wants(m.phaseOf(s))
	case "BLOBS":
		return m.wants(SchemaData) && m.rechecked
	}
	return false
}

// begin takes back what a run that was killed has left of temporary rights.
func (m *migration) begin(ctx context.Context) error {
	if !m.journal.Resumed() {
		return nil
	}
	remains, err := m.temp.lower(ctx)
	if err != nil {
		return err
	}
	for _, r := range remains {
		return fmt.Errorf("rights that an earlier run had for a time cannot be taken back: %s: %w", r.Key, r.Err)
	}
	return nil
}

// phases runs the phases that are wanted.
func (m *migration) phases(ctx context.Context) error {
	if m.wants(PreSchema) {
		if err := m.timed(ctx, PreSchema, m.preSchema); err != nil {
			return err
		}
	}
	if !m.wants(SchemaData) && !m.wants(PostSchema) {
		return nil
	}
	if err := m.raise(ctx); err != nil {
		return err
	}
	first := SchemaData
	if !m.wants(SchemaData) {
		first = PostSchema
	}
	err := m.timed(ctx, first, func(ctx context.Context) error {
		if m.journal.Resumed() && m.wants(SchemaData) {
			if err := m.recheck(ctx); err != nil {
				return err
			}
		}
		// Indexes of a table that is loaded are built while others load.
		return m.restore(ctx, func(s *restore.Step) bool {
			p := m.phaseOf(s)
			return p == SchemaData && m.wants(SchemaData) ||
				p == PostSchema && m.wants(PostSchema) && s.Stage == restore.StagePostData
		})
	})
	if err != nil {
		return err
	}
	if first == SchemaData {
		if err := m.end(ctx, SchemaData); err != nil || !m.wants(PostSchema) {
			return err
		}
	}
	return m.timed(ctx, PostSchema, func(ctx context.Context) error {
		err := m.restore(ctx, func(s *restore.Step) bool {
			return m.phaseOf(s) == PostSchema && s.Stage != restore.StagePostData
		})
		if err == nil && !m.opts.NoAnalyze {
			err = m.analyze(ctx)
		}
		if err == nil {
			err = m.end(ctx, PostSchema)
		}
		return err
	})
}

// raise gets the rights that the run needs for a time.
func (m *migration) raise(ctx context.Context) error {
	var schemas []string
	for i := range m.src.entries {
		schemas = append(schemas, m.src.entries[i].Namespace)
	}
	return m.temp.raise(ctx, m.owners, unique(schemas))
}

// preSchema makes roles, memberships, settings and extensions.
func (m *migration) preSchema(ctx context.Context) error {
	if err := m.drops(ctx); err != nil {
		return err
	}
	if err := m.roles(ctx); err != nil {
		return err
	}
	if err := m.memberships(ctx, false); err != nil {
		return err
	}
	if err := m.raise(ctx); err != nil {
		return err
	}
	if err := m.restore(ctx, func(s *restore.Step) bool { return m.phaseOf(s) == PreSchema }); err != nil {
		return err
	}
	if err := m.settings(ctx); err != nil {
		return err
	}
	return m.end(ctx, PreSchema)
}

// drops removes what the plan says has to go. That cannot be taken back. What
// others need goes after them.
func (m *migration) drops(ctx context.Context) error {
	list := slices.Clone(m.plan.Drops)
	if len(list) == 0 {
		return nil
	}
	// What an earlier migration has brought belongs to the same roles.
	if err := m.temp.raise(ctx, m.owners, nil); err != nil {
		return err
	}
	m.temp.raised = false // by far: roles and schemas are still to come
	for {
		var later []platform.Drop
		var first error
		for _, d := range list {
			key := "DROP " + d.SQL
			if m.journal.Has(key) {
				continue
			}
			m.log.Info("dropping: " + strings.TrimSpace(d.SQL))
			err := m.worker.step(ctx, restore.Note{Key: key, Phase: string(PreSchema), Undo: "NULL"}, strings.TrimRight(d.SQL, "; \n")+";")
			if pg.Code(err) == "2BP01" { // dependent_objects_still_exist
				later, first = append(later, d), cmp.Or(first, err)
				continue
			}
			if failed := m.failed(ctx, "DROP "+strings.ToUpper(d.Object.Kind), quote.Qualified(d.Object.Schema, d.Object.Name), err); failed != nil {
				return failed
			}
		}
		switch {
		case len(later) == 0:
			return nil
		case len(later) < len(list):
			list = later
			continue
		}
		for _, d := range later {
			if failed := m.failed(ctx, "DROP "+strings.ToUpper(d.Object.Kind), quote.Qualified(d.Object.Schema, d.Object.Name), first); failed != nil {
				return failed
			}
		}
		return nil
	}
}

// timed runs a phase, or a part of one.
func (m *migration) timed(ctx context.Context, p Phase, do func(context.Context) error) error {
	m.opts.Progress.Phase(string(p))
	began := time.Now()
	m.phase(p).State = Partial
	defer func() { m.phase(p).Elapsed += time.Since(began) }()
	if err := m.journal.Begin(ctx, string(p)); err != nil {
		return err
	}
	return do(ctx)
}

// phase returns the report of a phase.
func (m *migration) phase(p Phase) *PhaseReport {
	for i := range m.report.Phases {
		if m.report.Phases[i].Phase == p {
			return &m.report.Phases[i]
		}
	}
	m.report.Phases = append(m.report.Phases, PhaseReport{Phase: p, State: NotRun})
	return &m.report.Phases[len(m.report.Phases)-1]
}

// end notes that a phase is done, unless something of it has failed.
func (m *migration) end(ctx context.Context, p Phase) error {
	if len(m.report.Failed) > 0 {
		if p != SchemaData {
			return nil
		}
		// What has failed may be an index.
		if loaded, err := m.loaded(ctx); err != nil || !loaded {
			return err
		}
	}
	if err := m.journal.End(ctx, string(p)); err != nil {
		return err
	}
	r := m.phase(p)
	r.State = Done
	if r.Steps == 0 && m.earlier[p] {
		r.State = Earlier
	}
	return nil
}

// done counts a step that was done.
func (m *migration) done(p Phase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phase(p).Steps++
	m.report.Objects++
}
