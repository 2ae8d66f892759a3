package replicate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/platform"
)

// A Severity says what a Finding means for following a source.
type Severity string

// The severities, the worst first.
const (
	// Block: following cannot work, or would break the application at the source.
	Block Severity = "block"
	// Warn: following works, but something is left out, may fail later or takes
	// more than it seems.
	Warn Severity = "warn"
	// Info is good to know.
	Info Severity = "info"
)

// A Finding is one thing that Preflight has found.
type Finding struct {
	Severity Severity `json:"severity"`
	// What is the object or setting, such as `table public.orders`.
	What string `json:"what"`
	// Why tells what is the matter with it.
	Why string `json:"why"`
	// Do is the remedy, statements included; "" where there is nothing to do.
	Do string `json:"do,omitempty"`
}

// Checks are what Preflight has found.
type Checks struct {
	// Findings, the worst first.
	Findings []Finding `json:"findings"`
	// Tables are those that can be followed: the ones asked about without those
	// that have no changes to follow (unlogged and foreign tables, told in
	// Findings), in the same order.
	Tables []Table `json:"-"`
	// Engine is the engine to use, and Reason why that one.
	Engine Engine `json:"engine"`
	Reason string `json:"reason"`
}

// Blocked says that something of Findings has to be remedied first.
func (c *Checks) Blocked() bool {
	return slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Severity == Block })
}

func (c *Checks) add(s Severity, what, why, do string) {
	c.Findings = append(c.Findings, Finding{Severity: s, What: what, Why: why, Do: do})
}

// PreflightOptions are the options of Preflight. Their zero value works.
type PreflightOptions struct {
	// Engine is the engine that the user insists on; "" has one chosen.
	Engine Engine
	// LongTransaction is the age from which a transaction that is open at the
	// source is told; 0 means 10 seconds.
	LongTransaction time.Duration
	// Reach is the source as the target's server reaches it, where that is another
	// address than that of the source's configuration; nil means the same.
	Reach *pgx.ConnConfig
	// ReachTimeout is how long the target's server tries to reach the source; 0
	// means 10 seconds.
	ReachTimeout time.Duration
}

// Preflight finds out whether tables of the source can be followed into the
// target, and with which engine, before anything is made. It changes nothing at
// either end: all that it tries is rolled back, and no password leaves for the
// other end. The tables are the source's; they need not exist at the target yet.
//
// An error means that an end could not be asked. What speaks against following
// is in Checks.
func Preflight(ctx context.Context, src, dst *pgx.ConnConfig, tables []Table, opts PreflightOptions) (*Checks, error) {
	if opts.LongTransaction == 0 {
		opts.LongTransaction = 10 * time.Second
	}
	if opts.ReachTimeout == 0 {
		opts.ReachTimeout = 10 * time.Second
	}
	if opts.Reach == nil {
		opts.Reach = src
	}
	source, err := pg.Connect(ctx, src, pg.ReadCatalog, pg.Options{Application: "pghaul preflight", Direct: true})
	if err != nil {
		return nil, fmt.Errorf("connect to the source: %w", err)
	}
	defer pg.Close(source)
	target, err := pg.Connect(ctx, dst, pg.Write, pg.Options{Application: "pghaul preflight", Direct: true})
	if err != nil {
		return nil, fmt.Errorf("connect to the target: %w", err)
	}
	defer pg.Close(target)

	p := &preflight{opts: opts, source: source, target: target, checks: &Checks{}}
	if p.sourceOn, err = platform.Recognise(ctx, source); err != nil {
		return nil, err
	}
	if p.targetOn, err = platform.Recognise(ctx, target); err != nil {
		return nil, err
	}
	steps := []func(context.Context) error{
		p.serverSettings, p.replicationRight, p.transactions, p.largeObjects, p.disk,
		func(ctx context.Context) error { return p.tables(ctx, tables) },
		p.engine,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	rank := map[Severity]int{Block: 0, Warn: 1, Info: 2}
	slices.SortStableFunc(p.checks.Findings, func(a, b Finding) int { return rank[a.Severity] - rank[b.Severity] })
	return p.checks, nil
}

// preflight is a Preflight under way.
type preflight struct {
	opts               PreflightOptions
	source, target     *pgx.Conn
	sourceOn, targetOn platform.Name
	checks             *Checks
	// incomparable are tables followed by whole rows that have a column whose type
	// has no equality, which a subscription cannot apply changes to.
	incomparable []string
	// ambiguous are such tables that have a column whose type has equal values that
	// differ: of two rows that are equal a subscription may change the other one.
	ambiguous []string
	// renamed are tables that have another name at the target.
	renamed []string
}

// azure says that a platform is one of Azure's.
func azure(name platform.Name) bool {
	return name == platform.AzureFlexible || name == platform.AzureSingle
}

// version is a session's server version.
func version(conn *pgx.Conn) (pg.Version, error) {
	return pg.ServerVersion(conn.PgConn())
}
