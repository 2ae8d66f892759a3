// Package verify compares two databases and reports where they differ.
//
// It reads every row of every table of both ends with COPY and sums up the
// rows' text in digests that do not depend on their order (copyproto.Digest).
// Both ends are read under one snapshot each, so that sessions that write
// meanwhile disturb nothing. Whatever changes COPY text is pinned to the same
// value in all sessions, whatever roles and databases have set: time zone, date
// and interval style, float digits, bytea output, search path, quoting,
// lc_monetary, and the encoding:
//
//   - databases of the same encoding are compared in that encoding, byte by byte;
//   - if one of them is SQL_ASCII, which says nothing about its bytes, the bytes
//     of both are compared as they are stored;
//   - databases of different encodings are compared as UTF-8.
//
// What is compared are tables' own rows: those of partitions and of inheritance
// children count for the table that stores them. Stored generated columns are
// compared by themselves, so that digests are those an archive has. The contents
// of materialized views are compared, too, where both ends are databases; that
// they differ is expected, because a restore refreshes them. Foreign tables are
// left out. Of an extension's configuration tables only the rows that a dump
// would hold are compared.
//
// The digest guards against accidents, not against someone who wants two
// different tables to look equal. A TRUNCATE or a rewriting ALTER TABLE in the
// moment between taking the snapshot and locking the tables empties a table for
// the snapshot; it shows as a difference, never as equality of unequal rows.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/progress"
)

// Options say what to compare. The zero value compares the DefaultLevels on two
// connections a side.
type Options struct {
	// Jobs is how many connections a side read at once; 0 means as many as
	// there are processors, 2 to 8, but at most half of those that an end has left. One more a
	// side holds the snapshot.
	Jobs int
	// Engine is what digests the rows; "" means EngineAuto.
	Engine Engine
	// PartSize is the least size that is worth a part of its own when several
	// connections read one table, in bytes; 0 means 64 MiB. Servers before 14
	// cannot read parts.
	PartSize int64
	// Journal knows tables that an earlier run has found equal, which are not read
	// again unless somebody has written to them since, and hears of those that are
	// equal now. nil notes nothing. What is recorded takes one in memory only.
	Journal *Journal
	// Select says which tables and sequences to compare; zero means all. What a
	// pattern names must be in the source; it may be missing in the target. A
	// pattern without a schema means what each end's search path shows.
	Select catalog.Selection
	// Levels are the aspects to compare; none means DefaultLevels, and for
	// Recorded what can be had: digests and large objects.
	Levels []Level
	// MaxRows is how many of the rows that differ are shown of a table; 0 does not
	// look for them. Looking reads the tables that differ up to three times more.
	MaxRows int
	// Mask shows *** for every value of a row.
	Mask bool
	// Repair gets SQL that would make the target's rows and sequences like the
	// source's; nil writes none. It holds values, masked or not.
	Repair io.Writer
	// IgnoreExtra leaves out what only the target has.
	IgnoreExtra bool
	// Plan is what the source was migrated by: names and definitions are compared
	// after its mapping, and what it left behind is expected to be missing. nil
	// means that nothing was mapped, unless Rules says otherwise.
	Plan *platform.Plan
	// Rules makes the plan that the platforms' policy and these rules give, from
	// both ends as they are now; nil makes none. Plain servers without rules need
	// no plan, and an archive has none.
	Rules *platform.Rules
	// SourcePlatform and TargetPlatform are what the ends are; "" detects it.
	SourcePlatform, TargetPlatform platform.Name
	// Logger hears what happens, a line a table; nil discards.
	Logger *slog.Logger
	// Progress counts the source's rows and bytes, the target's of tables that
	// only it has; nil counts nothing.
	Progress *progress.Tracker
}

// Run compares the two databases that source and target connect to. It writes
// to neither, locks the tables against being dropped or rewritten meanwhile
// (ACCESS SHARE), and needs SELECT on them. The configs are not changed.
//
// A difference is in the report; an error says that the comparison could not
// be finished, and then there is no report.
func Run(ctx context.Context, source, target *pgx.ConnConfig, opts Options) (*Report, error) {
	return run(ctx, &end{name: "source", cfg: source, monetary: "C", views: true}, &end{name: "target", cfg: target, monetary: "C", views: true}, opts)
}

// A Record is what was noted of a source when it was read.
type Record struct {
	// Source holds the facts by which the rows were written: version, encoding and
	// lc_monetary.
	Source archive.Source
	// Tables are rows, columns and digests, as a dump writes them into its manifest.
	Tables []archive.TableData
	// LargeObjects are compared at LevelLargeObjects.
	LargeObjects []RecordedObject
}

// A RecordedObject is what was noted of a large object.
type RecordedObject struct {
	OID   uint32
	Bytes int64
	Hash  uint64 // the 64-bit xxHash of its bytes
}

// Recorded compares a target with what was recorded of its source. Nothing but
// the target is read.
func Recorded(ctx context.Context, target *pgx.ConnConfig, r Record, opts Options) (*Report, error) {
	return recordedRun(ctx, &recording{source: r.Source, tables: r.Tables, objects: r.LargeObjects}, target, opts)
}

// FromArchive compares a target with the archive it was restored from. What the
// manifest says of the rows is taken for them (Archive tells whether it is
// true); an archive without one, as pg_dump makes, is read.
func FromArchive(ctx context.Context, r archive.Reader, target *pgx.ConnConfig, opts Options) (*Report, error) {
	rec, err := fromArchive(r)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	return recordedRun(ctx, rec, target, opts)
}

// Ahead is Recorded for a target of which other tables are still worked on: it
// locks no table but the one it reads, and only notes in opts.Journal, which is
// one in memory, what is equal. A later call of Recorded with that journal reads
// those tables again that have been written to since, by the servers' counters.
func Ahead(ctx context.Context, target *pgx.ConnConfig, r Record, opts Options) error {
	source := &end{name: "source", rec: &recording{source: r.Source, tables: r.Tables}}
	opts.Levels, opts.IgnoreExtra = []Level{LevelDigest}, true
	opts.Select = catalog.Selection{DataOnly: true, NoLargeObjects: true} // definitions may be changing
	_, err := run(ctx, source, &end{name: "target", cfg: target, monetary: r.Source.LCMonetary, unlocked: true}, opts)
	return err
}

func recordedRun(ctx context.Context, rec *recording, target *pgx.ConnConfig, opts Options) (*Report, error) {
	if !reflect.DeepEqual(opts.Select, catalog.Selection{}) {
		return nil, errors.New("what was recorded cannot be selected from: leave the selection out")
	}
	return run(ctx, &end{name: "source", rec: rec}, &end{name: "target", cfg: target, monetary: rec.source.LCMonetary}, opts)
}

func run(ctx context.Context, source, target *end, opts Options) (*Report, error) {
	began := time.Now()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	source.log, target.log = opts.Logger, opts.Logger
	c := &comparison{opts: opts, ends: [2]*end{source, target}}
	defer c.close()
	if err := c.chooseLevels(); err != nil {
		return nil, err
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	c.report = &Report{Source: source.describe(), Target: target.describe(), Differences: []Difference{}}
	c.report.Snapshot = c.report.Source.Snapshot
	if err := c.beating(ctx, c.compare); err != nil {
		return nil, err
	}
	c.report.Retries = int(source.retries.Load() + target.retries.Load())
	c.report.Elapsed = time.Since(began)
	return c.report, nil
}
