package migrate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/replicate"
	"github.com/pghaul/pghaul/restore"
)

// NewPlan reads both ends and says what a migration would do. It changes
// nothing.
func NewPlan(ctx context.Context, source, target *pgx.ConnConfig, opts Options) (*platform.Plan, error) {
	return newMigration(source, target, opts).planOnly(ctx)
}

func (m *migration) planOnly(ctx context.Context) (*platform.Plan, error) {
	defer m.close()
	if err := m.open(ctx); err != nil {
		return nil, err
	}
	return m.plan, nil
}

// Run moves the source's database into the target's, which exists.
//
// The error says why the run did not come to its end; what could be done is in
// the Report, which is nil only if nothing was begun. A *BlockedError says that
// the plan has something to decide first. With KeepGoing failed steps are in
// the Report, and so are rows that differ.
func Run(ctx context.Context, source, target *pgx.ConnConfig, opts Options) (*Report, error) {
	return newMigration(source, target, opts).do(ctx)
}

func (m *migration) do(ctx context.Context) (*Report, error) {
	began := time.Now()
	m.running = true
	defer m.close()
	if err := m.checkFollow(); err != nil {
		return nil, err
	}
	if err := m.open(ctx); err != nil {
		return nil, err
	}
	if m.opts.Planned != nil {
		if err := m.opts.Planned(m.plan); err != nil {
			return nil, err
		}
	}
	if blocked := m.plan.Blocked(); len(blocked) > 0 {
		return nil, &BlockedError{Plan: m.plan, Reasons: blocked}
	}
	err := m.follow(ctx)
	if err == nil {
		err = m.run(ctx)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("migrate: %w", context.Cause(ctx))
	}
	err = m.unfollow(ctx, err)
	m.report.Elapsed = time.Since(began)
	if m.report.Run == "" { // there is no journal, hence nothing was begun
		return nil, err
	}
	return m.report, err
}

// A BlockedError is a plan in which something blocks: nothing has been done.
type BlockedError struct {
	Plan    *platform.Plan
	Reasons []string
}

func (e *BlockedError) Error() string {
	return "the plan blocks: " + strings.Join(e.Reasons, "; ")
}

// migration is the state of one run.
type migration struct {
	source, target *pgx.ConnConfig
	opts           Options
	log            *slog.Logger
	archive        restore.Source // in the place of a live source; nil for none
	live           moved
	started        *replicate.Follow // nil where nothing is to be followed
	lost           error             // by which the snapshot was lost
	plan           *platform.Plan
	report         *Report
	runState
}

func newMigration(source, target *pgx.ConnConfig, opts Options) *migration {
	if opts.Tool == "" {
		opts.Tool = "pghaul"
	}
	m := &migration{source: source, target: target, opts: opts, log: opts.Logger, report: newReport()}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	return m
}

// jobs is how many connections do what has no limit of its own.
func (m *migration) jobs() int {
	if m.opts.Jobs > 0 {
		return m.opts.Jobs
	}
	return pg.DefaultJobs()
}

func (m *migration) close() {
	if m.live != nil {
		_ = m.live.release()
	}
}

// open takes the snapshot of the source, reads both ends and makes the plan.
func (m *migration) open(ctx context.Context) error {
	m.target = m.direct("target", m.target, m.opts.TargetPlatform)
	if m.archive == nil {
		m.source = m.direct("source", m.source, m.opts.SourcePlatform)
		if same(m.source, m.target) {
			return errors.New("source and target are the same database")
		}
	}
	if m.started == nil {
		if err := m.earlierFollow(ctx); err != nil {
			return err
		}
	}
	target, err := facts(ctx, "target", m.target, m.opts.TargetPlatform)
	if err != nil {
		return err
	}
	target.Objects = slices.DeleteFunc(target.Objects, ofFollow)
	if err := m.continues(ctx, target); err != nil {
		return err
	}
	source, err := m.openSource(ctx, target.Version)
	if err != nil {
		return err
	}
	if err := restore.Readable(m.live, target.Version); err != nil {
		return err
	}
	from := m.live.from()
	m.report.Changes.Snapshot = Moment{LSN: from.LSN, Time: from.Started}
	m.changes = source.Changes
	m.report.Source, m.report.Target = endOf(source), endOf(target)
	m.to, m.me = target, target.User.Name
	rules := m.opts.Rules
	if m.opts.Plan != nil {
		rules = m.opts.Plan.Rules
	}
	m.plan, err = platform.NewPlan(platform.Input{Entries: m.live.Entries(), Source: *source, Target: *target, Rules: rules})
	if err == nil && m.opts.Plan != nil {
		m.plan, err = m.plan.Follow(m.opts.Plan)
	}
	return err
}

// openSource takes the snapshot of a live source, or opens an archive, and
// returns what the source is.
func (m *migration) openSource(ctx context.Context, target int) (*platform.Facts, error) {
	if m.archive != nil {
		var source *platform.Facts
		m.live, source = openStored(m.archive, m.opts.SourcePlatform)
		return source, nil
	}
	format, major := m.opts.CopyFormat, 0
	switch format {
	case copyproto.Text, copyproto.Binary:
	case AutoFormat, "":
		format, major = copyproto.Binary, pg.Version(target).Major()
	default:
		return nil, fmt.Errorf("format of rows %q: want text, binary or auto", format)
	}
	snapshot := ""
	if m.started != nil {
		snapshot = m.started.Snapshot
	}
	opened, err := dump.Open(ctx, m.source, dump.Options{
		CopyFormat: format, BinaryMajor: major, Snapshot: snapshot,
		Jobs: m.opts.Jobs, PartSize: m.opts.PartSize, Select: m.opts.Select, Tool: m.opts.Tool, Logger: m.opts.Logger, Progress: m.opts.Progress,
	})
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	m.live = keep(opened)
	if m.started != nil {
		m.live = withoutOurs(m.live, &m.started.Record)
	}
	if source := pg.Version(opened.Manifest().Source.ServerVersion).Major(); m.opts.CopyFormat == copyproto.Binary && source != pg.Version(target).Major() {
		return nil, fmt.Errorf("the source is PostgreSQL %d and the target %d: rows in the binary format are for servers of the same major version, take the format text or auto", source, pg.Version(target).Major())
	}
	return facts(ctx, "source", m.source, m.opts.SourcePlatform)
}

// continues looks for the journal of an earlier run. What that has made is not
// to be taken for something that was there before: it leaves the facts.
func (m *migration) continues(ctx context.Context, target *platform.Facts) error {
	run, keys, err := restore.ReadJournal(ctx, m.target)
	switch {
	case err != nil:
		return err
	case run == nil && m.running && m.opts.Resume:
		return fmt.Errorf("cannot resume: %w: either nothing was begun, or the migration has come to its end, which pghaul verify tells", restore.ErrNoJournal)
	case run == nil:
		return nil
	}
	if run.Verb != "migrate" || m.running && !m.opts.Resume && len(m.opts.Phases) == 0 {
		return &restore.UnfinishedError{Run: *run}
	}
	target.Objects = nil // the earlier run has found nothing in its way
	made := func(role string) bool { return keys[roleKey(role)] || role == helper(run.ID) }
	target.Roles = slices.DeleteFunc(target.Roles, func(r platform.Role) bool { return made(r.Name) })
	target.Memberships = slices.DeleteFunc(target.Memberships, func(s platform.Membership) bool { return made(s.Role) || made(s.Member) })
	target.Extensions = slices.DeleteFunc(target.Extensions, func(x platform.Extension) bool { return keys["EXTENSION "+quote.Ident(x.Name)] })
	return nil
}

// same recognises a target that is the source.
func same(a, b *pgx.ConnConfig) bool {
	return a.Host == b.Host && a.Port == b.Port && a.Database == b.Database
}

// direct replaces the address of a connection pooler by the server's own: a
// pooler gives every statement another session.
func (m *migration) direct(name string, cfg *pgx.ConnConfig, as platform.Name) *pgx.ConnConfig {
	if as == "" {
		as = platform.OfHost(cfg.Host)
	}
	host, changed := as.DirectHost(cfg.Host)
	if !changed {
		return cfg
	}
	m.warn(fmt.Sprintf("%s: connecting to %s instead of the pooler %s", name, host, cfg.Host))
	c := cfg.Copy()
	rename := func(have *string) {
		if direct, changed := as.DirectHost(*have); changed {
			*have = direct
		}
	}
	rename(&c.Host)
	if c.TLSConfig != nil {
		rename(&c.TLSConfig.ServerName)
	}
	for _, f := range c.Fallbacks {
		rename(&f.Host)
		if f.TLSConfig != nil {
			rename(&f.TLSConfig.ServerName)
		}
	}
	return c
}

// facts reads what one end is.
func facts(ctx context.Context, name string, cfg *pgx.ConnConfig, as platform.Name) (*platform.Facts, error) {
	conn, err := pg.Connect(ctx, cfg, pg.ReadCatalog, pg.Options{Application: "pghaul migrate", Direct: true})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	defer pg.Close(conn)
	f, err := platform.DetectAs(ctx, conn, as)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// warn puts a warning into the report, which the caller shows. Who listens hears
// it at once, as well.
func (m *migration) warn(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Warnings = append(m.report.Warnings, text)
	m.log.Info("warning: " + text)
}
