package verify

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// An end is one of the two sides: a database, or what was recorded of one.
type end struct {
	name string // "source" or "target"
	cfg  *pgx.ConnConfig
	log  *slog.Logger
	rec  *recording // instead of a database

	// encoding is the database's own. Sessions speak UTF-8, so that names of
	// both ends compare, unless the database's encoding cannot be converted.
	encoding string
	// monetary is the lc_monetary of the sessions; "" leaves the database's.
	monetary string
	// foreignMoney says that the server does not know that locale: its text of
	// money values cannot be compared.
	foreignMoney bool
	version      pg.Version
	database     string
	views        bool // compare the contents of materialized views, too
	unlocked     bool // tables are not locked before they are read
	snapshot     *pg.Snapshot
	// marks are what the counters of tables say, by OID, and oid is the database's;
	// only where there is a journal.
	marks map[string]string
	oid   string
	// roundTrip is how far the server is.
	roundTrip time.Duration

	mu      sync.Mutex
	room    int         // how many connections are to work at once at most
	idle    []*pgx.Conn // connections that see the snapshot, for whoever needs one
	retries atomic.Int64

	tables, sequences map[key]*item
	objects           []uint32        // large objects, sorted
	entries           []archive.Entry // with their definitions, for LevelSchema
}

// An item is a table or sequence that an end has.
type item struct {
	data     *catalog.TableData // of a database; nil if it cannot be read
	recorded *recorded          // of a recording; nil for a sequence and if it cannot be read
	size     catalog.Size       // of a database's table, once rows are to be compared
	view     bool               // a materialized view, not a table
	position *SequenceValue     // of a sequence; nil if it cannot be read
	reason   string             // why it cannot be read
}

// columns are those whose values the end has.
func (it *item) columns() []string {
	if it.recorded != nil {
		return it.recorded.Columns
	}
	return it.data.Columns
}

// tableName is what the end calls the table.
func (it *item) tableName() key {
	if it.recorded != nil {
		return key{it.recorded.Schema, it.recorded.Name}
	}
	return key{it.data.Schema, it.data.Name}
}

// A key names a table or sequence the same way at both ends.
type key struct{ schema, name string }

// opaque reports whether a database's encoding has no conversion to UTF-8.
func opaque(encoding string) bool { return encoding == "SQL_ASCII" || encoding == "MULE_INTERNAL" }

// copyEncoding is the encoding in which the rows of two databases are compared.
func copyEncoding(a, b string) string {
	switch {
	case a == b:
		return a
	case opaque(a) || opaque(b):
		return "SQL_ASCII" // no conversion: the bytes as they are stored
	}
	return "UTF8"
}

// recordedEncoding is the one to read in what was recorded in an encoding.
func recordedEncoding(recorded string) string {
	if opaque(recorded) {
		return "SQL_ASCII"
	}
	return recorded
}

func (e *end) sessionEncoding() string {
	if opaque(e.encoding) {
		return e.encoding
	}
	return "UTF8"
}

// open takes the snapshot, locks what is selected and lists it, with the
// definitions if define and the counters of tables if marks say so.
func (e *end) open(ctx context.Context, opts catalog.Options, define, marks bool) error {
	if e.rec != nil {
		return e.rec.list(e)
	}
	session := e.session("")
	session.Direct = true
	leader, err := pg.Connect(ctx, e.cfg, pg.ReadData, session)
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	e.encoding = leader.PgConn().ParameterStatus("server_encoding")
	set := "SET client_encoding = " + quote.Literal(e.sessionEncoding())
	// A busy machine is slow to answer at times: the best of a few tries counts.
	for try := range 3 {
		asked := time.Now()
		if _, err = leader.PgConn().Exec(ctx, set).ReadAll(); err != nil {
			break
		}
		if took := time.Since(asked); try == 0 || took < e.roundTrip {
			e.roundTrip = took
		}
		if e.roundTrip < far {
			break
		}
	}
	if err == nil {
		e.room, err = pg.Jobs(ctx, leader)
	}
	if err == nil && marks {
		err = e.readMarks(ctx, leader)
	}
	if err == nil {
		e.snapshot, err = pg.Export(ctx, leader, "")
	}
	if err != nil {
		pg.Close(leader)
		return fmt.Errorf("%s: %w", e.name, err)
	}
	opts.Standby = e.snapshot.Standby
	if !e.unlocked {
		opts.Lock = e.lock
	}
	db, err := e.load(ctx, opts)
	for try := 1; pg.Code(err) == "53200" && try < patience; try++ {
		// The other end's locks may have filled the lock table of a server that
		// both share. They are given up where they do not fit.
		if err := pg.Sleep(ctx, patienceWait); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		db, err = e.load(ctx, opts)
	}
	if err != nil {
		return err
	}
	e.version, e.database = db.Version, db.Name
	e.list(db)
	if define {
		e.entries = dump.Entries(db, e.encoding, dump.Options{})
	}
	return nil
}

// load reads the catalog. The connection stays open for the first worker.
func (e *end) load(ctx context.Context, opts catalog.Options) (db *catalog.Database, err error) {
	err = e.with(ctx, func(conn *pgx.Conn) (err error) {
		if db, err = catalog.Load(ctx, conn, opts); err == nil {
			// The locks on the system catalogs go: a small lock table has a use for them.
			_, err = conn.PgConn().Exec(ctx, undo).ReadAll()
		}
		if err != nil {
			return fmt.Errorf("%s: read catalog: %w", e.name, err)
		}
		return nil
	})
	return db, err
}

// patience is how often a catalog is read for which the server has no locks
// left at the moment, and patienceWait how long to wait each time.
const (
	patience     = 30
	patienceWait = 300 * time.Millisecond
)

func (e *end) session(encoding string) pg.Options {
	return pg.Options{Application: "pghaul verify", Encoding: encoding}
}

// setMonetary makes money values come out as they do at the other end.
func (e *end) setMonetary(ctx context.Context, c *pgconn.PgConn) error {
	if e.monetary == "" || e.foreignMoney {
		return nil
	}
	_, err := c.Exec(ctx, "SET lc_monetary = "+quote.Literal(e.monetary)).ReadAll()
	if pg.Code(err) == "22023" { // a locale that this server does not have
		e.foreignMoney = true
		return nil
	}
	return err
}

// lockBatch is how many tables one LOCK statement names.
const lockBatch = 1000

// lock implements catalog.Options.Lock on the session that holds the snapshot.
// Tables that must not be locked are left alone: reading them tells why. So are
// those that the server's lock table has no room for.
func (e *end) lock(ctx context.Context, tables []catalog.TableName) (gone []catalog.TableName, err error) {
	err = e.snapshot.Guard(ctx, func() error {
		for batch := range slices.Chunk(tables, lockBatch) {
			lost, err := e.lockSome(ctx, batch)
			if err != nil {
				return err
			}
			gone = append(gone, lost...)
		}
		return nil
	})
	if pg.Code(err) == "53200" { // and what was locked is free again, for others to work with
		e.log.Warn(fmt.Sprintf("%s: none of %d tables are locked, the server's lock table is full (max_locks_per_transaction); a table that is truncated or dropped meanwhile shows as different",
			e.name, len(tables)))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock tables: %w", err)
	}
	return gone, nil
}

// lockSome locks tables all at once or, if one of them spoils it, in halves.
func (e *end) lockSome(ctx context.Context, tables []catalog.TableName) (gone []catalog.TableName, err error) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = "ONLY " + quote.Qualified(t.Schema, t.Name)
	}
	err = e.snapshot.Guard(ctx, func() error {
		_, err := e.snapshot.Conn().Exec(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN ACCESS SHARE MODE").ReadAll()
		return err
	})
	denied := pg.Code(err) == "42501"
	switch pg.Code(err) {
	case "42P01", "3F000", "42809": // dropped, its schema too, another kind of object now
	case "42501":
	default:
		return nil, err
	}
	if len(tables) == 1 {
		if denied {
			return nil, nil
		}
		return tables, nil
	}
	half := len(tables) / 2
	for _, part := range [][]catalog.TableName{tables[:half], tables[half:]} {
		lost, err := e.lockSome(ctx, part)
		if err != nil {
			return nil, err
		}
		gone = append(gone, lost...)
	}
	return gone, nil
}

// list sorts what the catalog has into what is compared.
func (e *end) list(db *catalog.Database) {
	reasons := map[string]string{}
	for _, s := range db.Skipped {
		reasons[s.Name] = s.Reason
	}
	e.tables, e.sequences = map[key]*item{}, map[key]*item{}
	for _, o := range db.Objects {
		m := o.Info()
		k := key{m.Schema, m.Name}
		switch o := o.(type) {
		case *catalog.TableData:
			switch m.Kind {
			case "TABLE DATA":
				e.tables[k] = &item{data: o}
			case "MATERIALIZED VIEW DATA":
				if e.views {
					e.tables[k] = viewItem(o)
				}
			case "SEQUENCE SET":
				it := &item{reason: cmp.Or(reasons[m.QualifiedName()], "its position cannot be read")}
				if last, called, ok := o.Position(); ok {
					it = &item{position: &SequenceValue{last, called}}
				}
				e.sequences[k] = it
			}
		case *catalog.LargeObjects:
			if o.Contents {
				e.objects = append(e.objects, o.OIDs...)
			}
		case *catalog.Relation:
			reason := reasons[m.QualifiedName()]
			if m.Relkind == 'r' && reason != "" && e.tables[k] == nil {
				e.tables[k] = &item{reason: reason}
			}
		}
	}
}

// viewItem is a materialized view as something whose rows are compared.
func viewItem(o *catalog.TableData) *item {
	if !o.Refreshes() {
		return &item{view: true, reason: notPopulated}
	}
	d := *o
	d.Columns = o.Table.CopyColumns()
	return &item{view: true, data: &d}
}

const notPopulated = "it has not been populated"

// heartbeat is how often the session that holds the snapshot is used, so that
// neither firewall nor platform takes it for idle.
const heartbeat = 30 * time.Second

func (e *end) beat(ctx context.Context) error {
	if e.snapshot == nil {
		return nil
	}
	if err := e.snapshot.Heartbeat(ctx, heartbeat); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return nil
}

// describe tells what was looked at and when.
func (e *end) describe() End {
	d := End{Database: e.database, Version: int(e.version), RoundTrip: e.roundTrip}
	if e.rec != nil {
		d.Recorded, d.Snapshot, d.Taken, d.LSN = true, e.rec.source.Snapshot, e.rec.source.Started, e.rec.source.LSN
	} else {
		d.Snapshot, d.Taken, d.LSN = e.snapshot.Name, e.snapshot.Taken, e.snapshot.LSN
	}
	return d
}

func (e *end) close() {
	for _, conn := range e.idle {
		pg.Close(conn)
	}
	if e.snapshot != nil {
		e.snapshot.Close()
	}
}
