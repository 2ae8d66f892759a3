// Package dump writes a database into an archive: it reads the catalog into a
// sorted graph and streams the rows with COPY, all under one snapshot.
package dump

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/progress"
)

// Options say what to dump and how. The zero value, with Dir set, dumps the
// whole database.
type Options struct {
	// Dir is the directory archive to make. It must not exist or be empty.
	Dir string
	// Overwrite starts an archive over that is in Dir, complete or not. It is
	// removed when the catalog has been read and the first data is written. A
	// directory with anything else in it is an error all the same.
	Overwrite bool
	// Jobs is how many connections read data; 0 means as many as there are
	// processors, 2 to 8, but at most half of those that the server has left. One
	// more holds the snapshot.
	Jobs int
	// PartSize is the least, in bytes, into which a table is cut for several
	// connections to read at once; 0 means 64 MiB.
	PartSize int64
	// Compression of the data files; "" means zstd.
	Compression archive.Compression
	// Level of the compression; 0 means its default.
	Level int
	// ArchiveVersion is the version of the table of contents; zero means the
	// newest, older ones are for older versions of pg_restore.
	ArchiveVersion archive.Version
	// Select says which objects to dump; zero means all.
	Select catalog.Selection
	// Sections takes these only; empty means all.
	Sections []archive.Section
	// NoOwner and NoPrivileges leave ownership and GRANTs out.
	NoOwner, NoPrivileges bool
	// These leave out objects of a kind, with what belongs to them.
	NoComments, NoPolicies, NoPublications, NoSubscriptions, NoSecurityLabels bool
	// NoToastCompression leaves out the columns' compression methods.
	NoToastCompression bool
	// ViaRoot makes the rows of partitions load through the topmost table.
	ViaRoot bool
	// Inserts writes rows as INSERT statements instead of COPY data.
	Inserts *Inserts
	// CopyFormat is the format of rows; "" means copyproto.Text. Rows in the binary
	// format are for servers of the same major version. Tables with a column whose
	// binary form is not known to depend on its value alone go as text, which
	// Report.AsText lists.
	//
	// A table with a row whose text is too long for COPY, which takes 1 GiB, goes
	// in the binary format by itself if servers of all versions read it, but not
	// into a custom archive.
	CopyFormat copyproto.Format
	// BinaryMajor reads all rows as text, whatever CopyFormat says, from a server of
	// another major version; 0 does not.
	BinaryMajor int
	// RowSecurity reads what row-level security lets the role see. Without it
	// a table that would be filtered is an error.
	RowSecurity bool
	// ExtraFloatDigits overrides the exact output of floating-point numbers;
	// nil leaves it.
	ExtraFloatDigits *int
	// Snapshot imports an exported snapshot instead of taking one.
	Snapshot string
	// Deferrable waits for a snapshot that is consistent with a serial order of
	// all transactions.
	Deferrable bool
	// Role is set on every connection with SET ROLE.
	Role string
	// Encoding is the client encoding of the archive; "" means the database's.
	Encoding string
	// LockWaitTimeout limits the wait for each batch of table locks; 0 waits.
	LockWaitTimeout time.Duration
	// NoSync does not wait for the files to reach the disk.
	NoSync bool
	// Facts reads what the source is like, for plans that are made from the
	// archive; platform.Archived does. It is called while the catalog is read, with
	// a connection of its own. nil leaves the archive without: then a plan knows
	// little of roles and nothing of what an archive of pg_dump does not say.
	Facts func(ctx context.Context, conn *pgx.Conn) (facts json.RawMessage, platform string, err error)
	// Tool names the program in the archive; "" means "pghaul".
	Tool string
	// Logger hears what a user of -v wants to know, a line an object; nil discards.
	Logger *slog.Logger
	// Progress counts; nil counts nothing.
	Progress *progress.Tracker
}

// A Report says what a dump did.
type Report struct {
	Dir      string            `json:"dir"`
	Snapshot string            `json:"snapshot"`
	LSN      string            `json:"lsn,omitempty"`
	Entries  int               `json:"entries"`
	Tables   int               `json:"tables"`
	Rows     int64             `json:"rows"`
	Bytes    int64             `json:"bytes"`             // of rows, before compression
	Stored   int64             `json:"stored"`            // on disk
	Skipped  []archive.Skipped `json:"skipped"`           // objects that are not in the archive though they were asked for
	Warnings []string          `json:"warnings"`          // what cost no object but should be known
	AsText   []AsText          `json:"as_text,omitempty"` // tables that are not in the binary format though it was asked for
	Retries  int               `json:"retries"`           // pieces that were read again because a connection was lost
	Elapsed  time.Duration     `json:"elapsed_ns"`        // of the whole run
	Phases   []Phase           `json:"phases"`
}

// A Phase is a stretch of a run, for telling where the time went.
type Phase struct {
	Name    string        `json:"name"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Complete reports whether everything that was asked for is in the archive.
func (r *Report) Complete() bool { return len(r.Skipped) == 0 }

// A run is one dump into an archive under way.
type run struct {
	*Live
	report  *Report
	writer  *archive.Writer
	phaseAt time.Time

	mu sync.Mutex // guards the manifest while workers add to it
}

// Run dumps the database that source connects to. The archive exists only when
// Run returns without an error: whatever was written before is removed, and a
// process that is killed leaves a directory that is recognised as an
// interrupted dump. Objects that cannot be dumped are listed in the Report.
func Run(ctx context.Context, source *pgx.ConnConfig, opts Options) (*Report, error) {
	if opts.Dir == "" {
		return nil, errors.New("no directory given for the archive")
	}
	r := &run{report: &Report{Dir: opts.Dir}}
	began := time.Now()
	err := r.do(ctx, source, opts)
	r.report.Elapsed = time.Since(began)
	return r.report, err
}

func (r *run) do(ctx context.Context, source *pgx.ConnConfig, opts Options) (err error) {
	r.writer, err = archive.CreateDir(opts.Dir, archive.WriterOptions{Compression: opts.Compression, Level: opts.Level, NoSync: opts.NoSync, Version: opts.ArchiveVersion, Overwrite: opts.Overwrite})
	if err != nil {
		return err
	}
	defer func() {
		if abortErr := r.writer.Abort(); err != nil && abortErr != nil {
			err = fmt.Errorf("%w; and what was written could not be removed: %w", err, abortErr)
		}
	}()
	if err := r.open(ctx, source, opts); err != nil {
		return err
	}
	defer r.Close()
	if err := r.withHeartbeat(ctx, r.data); err != nil {
		return err
	}
	r.finishing()
	if err := r.writer.Commit(r.header, r.toc, r.manifest); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	r.report.Entries, r.report.Stored = len(r.toc), r.writer.Stored()
	r.endPhase()
	return nil
}

// open reads the catalog and begins the phase of the data.
func (r *run) open(ctx context.Context, source *pgx.ConnConfig, opts Options) (err error) {
	var asked *teller
	r.Live, err = open(ctx, source, opts, func(phase string) {
		if phase == "catalog" { // the connections that the dump needs are there
			asked = ask(ctx, source, opts)
		}
		r.phase(opts.Progress, phase)
	})
	if err != nil {
		if asked != nil {
			asked.stop()
			asked.wait()
		}
		return err
	}
	facts := asked.wait()
	r.report.Snapshot, r.report.LSN = r.snapshot.Name, r.snapshot.LSN
	r.report.Skipped, r.report.Warnings = r.manifest.Skipped, r.db.Warnings
	r.report.AsText = r.asText
	r.keepFacts(facts)
	r.phase(opts.Progress, "data")
	return nil
}

func (r *run) finishing() {
	r.phase(r.opts.Progress, "finish")
	r.manifest.Source.Finished = time.Now().UTC()
	r.manifest.Skipped = append(r.manifest.Skipped, r.leftOut...)
	r.report.Skipped = r.manifest.Skipped
}

func (r *run) phase(t *progress.Tracker, name string) {
	r.endPhase()
	t.Phase(name)
	r.report.Phases = append(r.report.Phases, Phase{Name: name})
	r.phaseAt = time.Now()
}

func (r *run) endPhase() {
	if n := len(r.report.Phases); n > 0 {
		r.report.Phases[n-1].Elapsed = time.Since(r.phaseAt)
	}
}

func (r *run) addLargeObjects(count, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifest.LargeObjects.Count += count
	r.manifest.LargeObjects.Bytes += bytes
}
