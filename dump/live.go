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
)

// Live is a database under one snapshot: its catalog has been read and its
// tables are locked against changes of their definition; rows are read when
// they are asked for. It is what Run writes into an archive, and a source to
// restore from without one.
type Live struct {
	opts     Options
	config   *pgx.ConnConfig
	log      *slog.Logger
	snapshot *pg.Snapshot
	db       *catalog.Database
	header   archive.Header
	manifest archive.Manifest
	toc      []archive.Entry
	size     map[uint32]catalog.Size // of the tables whose rows are wanted, by OID
	pool     *pool
	ahead    readAhead
	asText   []AsText

	mu      sync.Mutex
	leftOut []archive.Skipped // rows that could not be read
	binary  map[int]bool      // dump IDs of the tables that are read in the binary format
}

// Open reads the catalog of the database that source connects to. Of opts, Dir,
// Compression, Level and NoSync have no meaning. The caller closes the Live.
func Open(ctx context.Context, source *pgx.ConnConfig, opts Options) (*Live, error) {
	return open(ctx, source, opts, opts.Progress.Phase)
}

func open(ctx context.Context, source *pgx.ConnConfig, opts Options, phase func(string)) (*Live, error) {
	if opts.Tool == "" {
		opts.Tool = "pghaul"
	}
	l := &Live{opts: opts, config: source, log: opts.Logger}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	phase("snapshot")
	if err := l.takeSnapshot(ctx); err != nil {
		return nil, err
	}
	l.pool = &pool{l: l, free: make(chan *pgx.Conn, l.opts.Jobs)}
	if err := l.load(ctx, phase); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Live) load(ctx context.Context, phase func(string)) error {
	conn, err := l.connect(ctx, pg.ReadCatalog)
	if err != nil {
		return err
	}
	defer pg.Close(conn)
	phase("catalog")
	if err := l.readCatalog(ctx, conn); err != nil {
		return err
	}
	if err := l.chooseFormats(ctx, conn); err != nil {
		return err
	}
	l.size, err = sizes(ctx, conn, l.withRows())
	return err
}

// withRows are the tables whose rows are wanted.
func (l *Live) withRows() []*catalog.TableData {
	var list []*catalog.TableData
	for i := range l.toc {
		if d, ok := l.db.Object(l.toc[i].ID).(*catalog.TableData); ok && l.toc[i].HasData {
			list = append(list, d)
		}
	}
	return list
}

func (l *Live) takeSnapshot(ctx context.Context) error {
	session := l.session("pghaul dump")
	session.Direct = true
	leader, err := pg.Connect(ctx, l.config, pg.ReadCatalog, session)
	if err != nil {
		return err
	}
	if l.opts.Jobs <= 0 {
		if l.opts.Jobs, err = pg.Jobs(ctx, leader); err != nil {
			pg.Close(leader)
			return err
		}
	}
	if l.opts.Deferrable {
		if l.opts.Snapshot != "" {
			pg.Close(leader)
			return errors.New("a snapshot that is given cannot be waited for as well: leave out --snapshot or --serializable-deferrable")
		}
		l.snapshot, err = pg.ExportDeferrable(ctx, leader)
	} else {
		l.snapshot, err = pg.Export(ctx, leader, l.opts.Snapshot)
	}
	if err != nil {
		pg.Close(leader)
	}
	return err
}

// Close ends the snapshot and all connections.
func (l *Live) Close() {
	l.pool.close()
	l.snapshot.Close()
}

// session are the settings every connection shares.
func (l *Live) session(name string) pg.Options {
	o := pg.Options{
		Application: name, Role: l.opts.Role, Encoding: l.opts.Encoding,
		RowSecurity: l.opts.RowSecurity, ExtraFloatDigits: l.opts.ExtraFloatDigits,
		ForeignTables: len(l.opts.Select.ForeignData) > 0,
	}
	if o.Encoding == "" {
		o.Encoding = "server"
	}
	return o
}

// connect opens a connection that sees the snapshot.
func (l *Live) connect(ctx context.Context, purpose pg.Purpose) (*pgx.Conn, error) {
	conn, err := pg.Connect(ctx, l.config, purpose, l.session("pghaul dump worker"))
	if err != nil {
		return nil, err
	}
	if err := l.snapshot.Join(ctx, conn.PgConn()); err != nil {
		pg.Close(conn)
		if pg.Code(err) != "" { // it was there before: nobody keeps it any more
			err = fmt.Errorf("the session that holds the snapshot was lost: %w", err)
		}
		return nil, err
	}
	return conn, nil
}

// beside connects a second session for the catalogs, and returns who waits for
// it. There is none where the server has no room for it: one can do it all.
func (l *Live) beside(ctx context.Context) func() *pgx.Conn {
	second := make(chan *pgx.Conn, 1)
	go func() {
		defer close(second)
		if conn, err := l.connect(ctx, pg.ReadCatalog); err == nil {
			second <- conn
		}
	}()
	return sync.OnceValue(func() *pgx.Conn { return <-second })
}

func (l *Live) readCatalog(ctx context.Context, conn *pgx.Conn) (err error) {
	l.log.Info("reading the catalog")
	o := l.opts
	var beside func() *pgx.Conn
	if o.Jobs > 1 {
		beside = l.beside(ctx)
		defer func() {
			if second := beside(); second != nil {
				pg.Close(second)
			}
		}()
	}
	l.db, err = catalog.Load(ctx, conn, catalog.Options{
		Select: o.Select, NoPrivileges: o.NoPrivileges, NoComments: o.NoComments, ViaRoot: o.ViaRoot, NoToastCompression: o.NoToastCompression,
		Standby: l.snapshot.Standby, Lock: l.lock, Beside: beside,
	})
	if err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	encoding := o.Encoding
	if encoding == "" {
		encoding = l.db.Encoding
	}
	l.header = archive.Header{
		Version: archive.CurrentVersion, Compression: o.Compression, Created: l.snapshot.Taken,
		Database: l.db.Name, ServerVersion: l.snapshot.Conn().ParameterStatus("server_version"), DumpVersion: dumpVersion(o.Tool),
	}
	if l.header.Compression == "" {
		l.header.Compression = archive.CompressZstd
	}
	l.manifest = archive.Manifest{
		Tool: o.Tool,
		Source: archive.Source{
			Database: l.db.Name, ServerVersion: int(l.db.Version), Encoding: encoding, Snapshot: l.snapshot.Name, LSN: l.snapshot.LSN,
			Standby: l.snapshot.Standby, LCMonetary: l.db.LCMonetary, Started: l.snapshot.Taken.UTC(),
		},
	}
	for _, s := range l.db.Skipped {
		if l.opts.leftOut(s.Kind) {
			continue // nobody asked for it
		}
		l.manifest.Skipped = append(l.manifest.Skipped, archive.Skipped(s))
		o.Progress.Skip("catalog", s.Kind+" "+s.Name, s.Reason)
	}
	for _, role := range l.db.Roles {
		l.manifest.Roles = append(l.manifest.Roles, archive.Role{Name: role.Name, Attributes: role.Attributes})
		for _, m := range role.Members {
			l.manifest.Memberships = append(l.manifest.Memberships, archive.Membership{Role: role.Name, Member: m.Name, Admin: m.Admin})
		}
	}
	l.toc = Entries(l.db, encoding, o)
	return nil
}

// lock implements catalog.Options.Lock on the session that holds the snapshot.
func (l *Live) lock(ctx context.Context, tables []catalog.TableName) ([]catalog.TableName, error) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = quote.Qualified(t.Schema, t.Name)
	}
	gone, err := l.snapshot.LockTables(ctx, names, l.opts.LockWaitTimeout)
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
func (l *Live) withHeartbeat(ctx context.Context, do func(context.Context) error) error {
	g, working := errgroup.WithContext(ctx)
	beat, stop := context.WithCancel(working)
	g.Go(func() error { return l.snapshot.Heartbeat(beat, heartbeat) })
	g.Go(func() error {
		defer stop()
		return do(working)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	// Once more at the end: without the locks a table could have changed between
	// the reading of its definition and of its rows.
	return l.snapshot.Alive(ctx)
}

// dumpVersion begins with the pg_dump version whose entries ours equal, which
// old readers show, and names us, by which an archive of ours is told from
// pg_dump's.
func dumpVersion(tool string) string { return "18 (" + tool + ")" }

// A pool lends connections that see the snapshot.
type pool struct {
	l    *Live
	free chan *pgx.Conn
}

func (p *pool) get(ctx context.Context) (*pgx.Conn, error) {
	select {
	case c := <-p.free:
		return c, nil
	default:
		return p.l.connect(ctx, pg.ReadData)
	}
}

// put gives a connection back; one that was closed, whose transaction has failed,
// or that is one too many, goes.
func (p *pool) put(c *pgx.Conn) {
	if c.IsClosed() {
		return
	}
	if c.PgConn().TxStatus() != 'T' {
		pg.Close(c)
		return
	}
	select {
	case p.free <- c:
	default:
		pg.Close(c)
	}
}

func (p *pool) close() {
	for {
		select {
		case c := <-p.free:
			pg.Close(c)
		default:
			return
		}
	}
}
