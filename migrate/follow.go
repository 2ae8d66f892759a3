package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/replicate"
	"github.com/pghaul/pghaul/restore"
)

// FollowOptions say that the target is to follow the source when the migration is
// done. They need all phases, and no KeepGoing: what failed could not follow.
type FollowOptions struct {
	// Engine brings the changes; "" has one chosen.
	Engine replicate.Engine
	// Reach is the source as the target's server reaches it, where that is another
	// address; nil means the same.
	Reach *pgx.ConnConfig
	// Checked, if not nil, is told what speaks for and against following, be it
	// something that blocks, before anything is made. Its error ends the run.
	Checked func(*replicate.Checks) error
}

// A FollowBlockedError says that the source cannot be followed as it is. Nothing
// has been done.
type FollowBlockedError struct{ Checks *replicate.Checks }

// Error implements error.
func (e *FollowBlockedError) Error() string {
	text := "the source cannot be followed:"
	for i, f := range e.Checks.Findings {
		if f.Severity == replicate.Block {
			if i > 0 {
				text += ";"
			}
			text += " " + f.What + ": " + f.Why
		}
	}
	return text
}

// ErrCopied says that the migration is done and the target follows, so that there is
// nothing to resume but the follow.
var ErrCopied = errors.New("the migration has come to its end, and the target follows")

// checkFollow refuses options that do not go with Follow.
func (m *migration) checkFollow() error {
	switch {
	case m.opts.Follow == nil:
		return nil
	case len(m.opts.Phases) > 0:
		return errors.New("a migration in single phases cannot be followed: leave out the phases")
	case m.opts.KeepGoing:
		return errors.New("a migration that goes on after errors cannot be followed: what failed could not have changes applied")
	case m.archive != nil:
		return errors.New("an archive cannot be followed")
	}
	return nil
}

// earlierFollow sees what an earlier run has left of a follow. Its snapshot is gone
// with its process: where it was copying, the follow is aborted, and the migration
// goes on from a new one.
func (m *migration) earlierFollow(ctx context.Context) error {
	if m.opts.Follow == nil {
		return nil
	}
	opts := replicate.Options{Source: m.source, Target: m.target, Logger: m.opts.Logger}
	f, err := replicate.Attach(ctx, opts)
	if errors.Is(err, replicate.ErrNoFollow) {
		return nil
	}
	if err != nil {
		return err
	}
	run, _, err := restore.ReadJournal(ctx, m.target)
	if err != nil {
		return err
	}
	switch {
	case !m.opts.Resume:
		return fmt.Errorf("the target has follow %s already (%s): go on with it (--resume), or end it (pghaul follow abort)", f.ID, f.Stage)
	case run == nil && f.Stage != replicate.Starting && f.Stage != replicate.Copying:
		return fmt.Errorf("follow %s: %w", f.ID, ErrCopied)
	case run == nil:
		m.opts.Resume = false // it has made nothing yet
	}
	m.log.Info("aborting follow " + f.ID + " of the earlier run, whose snapshot is gone")
	opts.ID = f.ID
	return replicate.Abort(ctx, opts)
}

// follow begins to keep the source's changes, and opens the source again as it is
// at the moment from which on they are kept.
func (m *migration) follow(ctx context.Context) error {
	if m.opts.Follow == nil {
		return nil
	}
	tables, renamed, err := m.followed(ctx)
	if err != nil {
		return err
	}
	o := m.opts.Follow
	popts := replicate.PreflightOptions{Engine: o.Engine, Reach: o.Reach}
	if renamed && o.Engine == "" {
		popts.Engine = replicate.EngineApply
	}
	checks, err := replicate.Preflight(ctx, m.source, m.target, tables, popts)
	if err != nil {
		return err
	}
	if renamed {
		checks.Reason = "a subscription cannot give tables another schema"
		if o.Engine == replicate.EngineNative {
			checks.Findings = append([]replicate.Finding{{
				Severity: replicate.Block, What: "engine native", Why: "a subscription cannot give tables another schema, as the plan does", Do: "engine apply, in which pghaul applies the changes itself",
			}}, checks.Findings...)
		}
	}
	if o.Checked != nil {
		if err := o.Checked(checks); err != nil {
			return err
		}
	}
	if checks.Blocked() {
		return &FollowBlockedError{checks}
	}
	// The slot waits for the transactions that are open, and ours is one.
	if err := m.live.release(); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	m.started, err = replicate.Start(ctx, replicate.Options{
		Source: m.source, Target: m.target, Tables: checks.Tables, Engine: checks.Engine, Reach: o.Reach, Logger: m.opts.Logger,
	})
	if err != nil {
		return err
	}
	if err := m.open(ctx); err != nil {
		return err
	}
	// What the plan blocks on may have come in between.
	if blocked := m.plan.Blocked(); len(blocked) > 0 {
		return fmt.Errorf("the plan blocks now that the slot is there: %s; nothing has been copied", strings.Join(blocked, "; "))
	}
	return nil
}

// followed lists the tables to follow under both of their names, which are those
// whose rows are moved and what they are partitions of. renamed says that some have
// another one at the target.
func (m *migration) followed(ctx context.Context) (tables []replicate.Table, renamed bool, err error) {
	before := make(map[int]*archive.Entry)
	rows := make(map[string]bool)
	for i, e := range m.live.Entries() {
		before[e.ID] = &m.live.Entries()[i]
		if e.Kind == "TABLE DATA" {
			rows[quote.Qualified(e.Namespace, e.Tag)] = true
		}
	}
	entries, err := m.plan.Apply(m.live.Entries())
	if err != nil {
		return nil, false, err
	}
	partitioned, err := m.partitioned(ctx)
	if err != nil {
		return nil, false, err
	}
	for i := range entries {
		e := &entries[i]
		was := before[e.ID]
		if e.Kind != "TABLE" || was == nil {
			continue
		}
		name := quote.Qualified(was.Namespace, was.Tag)
		if !rows[name] && !partitioned[name] {
			continue
		}
		t := replicate.Table{Schema: was.Namespace, Name: was.Tag}
		if e.Namespace != was.Namespace || e.Tag != was.Tag {
			t.TargetSchema, t.TargetName, renamed = e.Namespace, e.Tag, true
		}
		tables = append(tables, t)
	}
	return tables, renamed, nil
}

// partitioned reads which tables of the source have their rows in partitions.
func (m *migration) partitioned(ctx context.Context) (map[string]bool, error) {
	conn, err := pg.Connect(ctx, m.source, pg.ReadCatalog, pg.Options{Application: "pghaul migrate", Direct: true})
	if err != nil {
		return nil, fmt.Errorf("connect to source: %w", err)
	}
	defer pg.Close(conn)
	rows, err := conn.Query(ctx, "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'p'")
	if err != nil {
		return nil, fmt.Errorf("read the partitioned tables of the source: %w", err)
	}
	out := make(map[string]bool)
	var schema, name string
	if _, err := pgx.ForEachRow(rows, []any{&schema, &name}, func() error {
		out[quote.Qualified(schema, name)] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the partitioned tables of the source: %w", err)
	}
	return out, nil
}

// ofFollow says that an object holds the state of a follow, which is no part of what
// the target has.
func ofFollow(o platform.Object) bool {
	return o.Schema == replicate.StateSchema || o.Kind == "schema" && o.Name == replicate.StateSchema
}

// copied ends the copy: from here on the target can follow.
func (m *migration) copied(ctx context.Context) error {
	if m.started == nil {
		return nil
	}
	rep := m.report.Verify
	switch {
	case rep != nil && !rep.Equal():
		return errors.New("rows at the target are not those of the source: it cannot follow from there")
	case len(m.live.LeftOut()) > 0:
		return errors.New("rows were left out: changes of them could not be followed")
	}
	return m.started.CopyDone(ctx)
}

// unfollow takes back what was made to follow, if the migration has failed. A
// resumed one begins with another snapshot.
func (m *migration) unfollow(ctx context.Context, err error) error {
	if m.started == nil {
		return err
	}
	m.started.Close()
	if err == nil {
		m.report.Follow = m.started.ID
		return nil
	}
	ctx, done := pg.Outlive(ctx)
	defer done()
	abort := replicate.Abort(ctx, replicate.Options{Source: m.source, Target: m.target, ID: m.started.ID, Logger: m.opts.Logger})
	if abort != nil && !errors.Is(abort, replicate.ErrNoFollow) {
		err = errors.Join(err, fmt.Errorf("and follow %s could not be taken back, which keeps the source's log: pghaul follow abort does it: %w", m.started.ID, abort))
	}
	return err
}

// without is a source without some of its entries.
type without struct {
	moved
	entries []archive.Entry
}

// Entries implements restore.Source.
func (w *without) Entries() []archive.Entry { return w.entries }

// withoutOurs leaves out the publications that were made to follow the source.
func withoutOurs(live moved, r *replicate.Record) moved {
	w := &without{moved: live}
	for _, e := range live.Entries() {
		ours := e.Kind == "PUBLICATION" && (e.Tag == r.Publication || e.Tag == r.InsertPublication)
		for _, name := range []string{r.Publication, r.InsertPublication} {
			ours = ours || name != "" && strings.HasPrefix(e.Kind, "PUBLICATION ") && strings.HasPrefix(e.Tag, name+" ")
		}
		if !ours {
			w.entries = append(w.entries, e)
		}
	}
	return w
}
