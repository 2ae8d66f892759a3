// Package dump writes a database into an archive: it reads the catalog into a
// sorted graph and streams the rows with COPY, all under one snapshot.
package dump

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/progress"
)

// Options say what to dump and how. The zero value, with Dir set, dumps the
// whole database on two connections.
type Options struct {
	// Dir is the directory archive to make. It must not exist or be empty.
	Dir string
	// Jobs is how many connections read data; 0 means 2. One more holds the
	// snapshot.
	Jobs int
	// Compression of the data files; "" means zstd.
	Compression archive.Compression
	// Level of the compression; 0 means its default.
	Level int
	// Select says which objects to dump; zero means all.
	Select catalog.Selection
	// NoOwner and NoPrivileges leave ownership and GRANTs out.
	NoOwner, NoPrivileges bool
	// NoComments leaves comments out.
	NoComments bool
	// Snapshot imports an exported snapshot instead of taking one.
	Snapshot string
	// Role is set on every connection with SET ROLE.
	Role string
	// Encoding is the client encoding of the archive; "" means the database's.
	Encoding string
	// LockWaitTimeout limits the wait for each batch of table locks; 0 waits.
	LockWaitTimeout time.Duration
	// NoSync does not wait for the files to reach the disk.
	NoSync bool
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
	Bytes    int64             `json:"bytes"`      // COPY text
	Stored   int64             `json:"stored"`     // on disk
	Skipped  []archive.Skipped `json:"skipped"`    // objects that are not in the archive though they were asked for
	Warnings []string          `json:"warnings"`   // what cost no object but should be known
	Elapsed  time.Duration     `json:"elapsed_ns"` // of the whole run
	Phases   []Phase           `json:"phases"`
}

// A Phase is a stretch of a run, for telling where the time went.
type Phase struct {
	Name    string        `json:"name"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Complete reports whether everything that was asked for is in the archive.
func (r *Report) Complete() bool { return len(r.Skipped) == 0 }

// A run is one dump under way.
type run struct {
	opts     Options
	source   *pgx.ConnConfig
	log      *slog.Logger
	report   *Report
	snapshot *pg.Snapshot
	db       *catalog.Database
	writer   *archive.Writer
	manifest archive.Manifest
	blobsMu  sync.Mutex
	phaseAt  time.Time
}

// Run dumps the database that source connects to. The archive exists only when
// Run returns without an error: whatever was written before is removed, and a
// process that is killed leaves a directory that is recognised as an
// interrupted dump. Objects that cannot be dumped are listed in the Report.
func Run(ctx context.Context, source *pgx.ConnConfig, opts Options) (*Report, error) {
	if opts.Dir == "" {
		return nil, errors.New("no directory given for the archive")
	}
	if opts.Jobs <= 0 {
		opts.Jobs = 2
	}
	if opts.Tool == "" {
		opts.Tool = "pghaul"
	}
	r := &run{opts: opts, source: source, log: opts.Logger, report: &Report{Dir: opts.Dir}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	began := time.Now()
	err := r.do(ctx)
	r.report.Elapsed = time.Since(began)
	if err != nil {
		return r.report, err
	}
	return r.report, nil
}

func (r *run) do(ctx context.Context) (err error) {
	r.phase("snapshot")
	r.writer, err = archive.CreateDir(r.opts.Dir, archive.WriterOptions{Compression: r.opts.Compression, Level: r.opts.Level, NoSync: r.opts.NoSync})
	if err != nil {
		return err
	}
	defer func() {
		if abortErr := r.writer.Abort(); err != nil && abortErr != nil {
			err = fmt.Errorf("%w; and what was written could not be removed: %w", err, abortErr)
		}
	}()
	leader, err := pg.Connect(ctx, r.source, pg.ReadCatalog, r.session("pghaul dump"))
	if err != nil {
		return err
	}
	r.snapshot, err = pg.Export(ctx, leader, r.opts.Snapshot)
	if err != nil {
		pg.Close(leader)
		return err
	}
	defer r.snapshot.Close()
	r.report.Snapshot, r.report.LSN = r.snapshot.Name, r.snapshot.LSN

	conn, err := r.connect(ctx, pg.ReadCatalog)
	if err != nil {
		return err
	}
	defer pg.Close(conn)
	if err := r.readCatalog(ctx, conn); err != nil {
		return err
	}
	toc := r.entries()
	if err := r.withHeartbeat(ctx, func(ctx context.Context) error { return r.data(ctx, toc) }); err != nil {
		return err
	}
	return r.commit(toc)
}

// session are the settings every connection of the dump shares.
func (r *run) session(name string) pg.Options {
	o := pg.Options{Application: name, Role: r.opts.Role, Encoding: r.opts.Encoding}
	if o.Encoding == "" {
		o.Encoding = "server"
	}
	return o
}

// connect opens a connection that sees the snapshot.
func (r *run) connect(ctx context.Context, purpose pg.Purpose) (*pgx.Conn, error) {
	conn, err := pg.Connect(ctx, r.source, purpose, r.session("pghaul dump worker"))
	if err != nil {
		return nil, err
	}
	if err := pg.Import(ctx, conn.PgConn(), r.snapshot.Name); err != nil {
		pg.Close(conn)
		return nil, err
	}
	return conn, nil
}

func (r *run) phase(name string) {
	r.endPhase()
	r.opts.Progress.Phase(name)
	r.report.Phases = append(r.report.Phases, Phase{Name: name})
	r.phaseAt = time.Now()
}

func (r *run) endPhase() {
	if n := len(r.report.Phases); n > 0 {
		r.report.Phases[n-1].Elapsed = time.Since(r.phaseAt)
	}
}

func (r *run) readCatalog(ctx context.Context, conn *pgx.Conn) (err error) {
	r.phase("catalog")
	r.log.Info("reading the catalog")
	r.db, err = catalog.Load(ctx, conn, catalog.Options{
		Select: r.opts.Select, NoPrivileges: r.opts.NoPrivileges, NoComments: r.opts.NoComments,
		Standby: r.snapshot.Standby, Lock: r.lock,
	})
	if err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	for _, s := range r.db.Skipped {
		r.report.Skipped = append(r.report.Skipped, archive.Skipped(s))
		r.opts.Progress.Skip("catalog", s.Kind+" "+s.Name, s.Reason)
	}
	r.report.Warnings = r.db.Warnings
	encoding := r.opts.Encoding
	if encoding == "" {
		encoding = r.db.Encoding
	}
	r.manifest = archive.Manifest{
		Tool: r.opts.Tool,
		Source: archive.Source{
			Database: r.db.Name, ServerVersion: int(r.db.Version), Encoding: encoding, Snapshot: r.snapshot.Name, LSN: r.snapshot.LSN,
			Standby: r.snapshot.Standby, LCMonetary: r.db.LCMonetary, Started: r.snapshot.Taken.UTC(),
		},
		Skipped: r.report.Skipped,
	}
	for _, role := range r.db.Roles {
		r.manifest.Roles = append(r.manifest.Roles, archive.Role{Name: role.Name, Attributes: role.Attributes})
		for _, m := range role.Members {
			r.manifest.Memberships = append(r.manifest.Memberships, archive.Membership{Role: role.Name, Member: m.Name, Admin: m.Admin})
		}
	}
	return nil
}

// lock implements catalog.Options.Lock on the session that holds the snapshot.
func (r *run) lock(ctx context.Context, tables []catalog.TableName) ([]catalog.TableName, error) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = quote.Qualified(t.Schema, t.Name)
	}
	gone, err := r.snapshot.LockTables(ctx, names, r.opts.LockWaitTimeout)
	if err != nil {
		return nil, err
	}
	out := make([]catalog.TableName, len(gone))
	for i, g := range gone {
		out[i] = tables[g]
	}
	return out, nil
}

// heartbeat is how often the session that holds the snapshot is used, so that
// neither firewall nor platform takes it for idle.
const heartbeat = 30 * time.Second

// withHeartbeat runs do while the snapshot's session is kept in use; when that
// session is lost the run ends, because nobody could read the same data again.
func (r *run) withHeartbeat(ctx context.Context, do func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	beat, stop := context.WithCancel(ctx)
	g.Go(func() error { return r.snapshot.Heartbeat(beat, heartbeat) })
	g.Go(func() error {
		defer stop()
		return do(ctx)
	})
	return g.Wait()
}

func (r *run) addLargeObjects(count, bytes int64) {
	r.blobsMu.Lock()
	defer r.blobsMu.Unlock()
	r.manifest.LargeObjects.Count += count
	r.manifest.LargeObjects.Bytes += bytes
}

func (r *run) commit(toc []archive.Entry) error {
	r.phase("finish")
	r.manifest.Source.Finished = time.Now().UTC()
	h := archive.Header{
		Version: archive.CurrentVersion, Compression: r.opts.Compression, Created: r.snapshot.Taken,
		Database: r.db.Name, ServerVersion: r.snapshot.Conn().ParameterStatus("server_version"), DumpVersion: dumpVersion(r.opts.Tool),
	}
	if h.Compression == "" {
		h.Compression = archive.CompressZstd
	}
	if err := r.writer.Commit(h, toc, r.manifest); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	r.report.Entries, r.report.Stored = len(toc), r.writer.Stored()
	r.endPhase()
	return nil
}

// dumpVersion begins with the pg_dump version whose entries ours equal, which
// old readers show, and names us, by which an archive of ours is told from
// pg_dump's.
func dumpVersion(tool string) string { return "18 (" + tool + ")" }
