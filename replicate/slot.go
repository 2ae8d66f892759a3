package replicate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// Start makes what a follow needs: its record on the target, a publication and a
// slot on the source. Every row that Follow.Snapshot shows is to be copied by whoever
// called; every transaction that it does not show will be brought by Run. The
// snapshot lasts until CopyDone or Close. What fails leaves nothing behind.
//
// The slot waits for all transactions that run on the source to end.
func Start(ctx context.Context, opts Options) (f *Follow, err error) {
	f, err = newFollow(opts)
	if err != nil {
		return nil, err
	}
	if f.ID == "" {
		f.ID = newID()
	}
	f.nameObjects(opts)
	source, err := f.source(ctx)
	if err != nil {
		return nil, err
	}
	defer pg.Close(source)
	target, err := f.target(ctx)
	if err != nil {
		return nil, err
	}
	defer pg.Close(target)
	if err := f.read(ctx, source); err != nil {
		return nil, err
	}
	f.holder, f.SourceSystem, err = f.replication(ctx)
	if err != nil {
		return nil, err
	}
	f.Stage, f.Warnings = Starting, []string{}
	if err := insertRecord(ctx, target, &f.Record); err != nil {
		f.Close()
		return nil, err
	}
	if err := f.begin(ctx, source, target); err != nil {
		f.Close()
		undoCtx, done := pg.Outlive(ctx)
		defer done()
		return nil, errors.Join(err, f.undo(undoCtx, source, target))
	}
	return f, nil
}

func newFollow(opts Options) (*Follow, error) {
	if opts.Source == nil || opts.Target == nil {
		return nil, errors.New("a follow needs a source and a target")
	}
	if opts.ID != "" && !idPattern.MatchString(opts.ID) {
		return nil, fmt.Errorf("the ID %q of a follow: up to 32 lower case letters and digits", opts.ID)
	}
	f := &Follow{Record: Record{ID: opts.ID, Engine: opts.Engine}, opts: opts, log: opts.Logger, encoding: "UTF8"}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, nil
}

var idPattern = regexp.MustCompile(`^[a-z0-9]{1,32}$`)

func newID() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (f *Follow) nameObjects(opts Options) {
	name := "pghaul_" + f.ID
	f.Slot, f.Publication, f.ViaRoot = name, name, opts.ViaRoot
	if f.Engine == "" {
		f.Engine = EngineNative
	}
	if f.Engine == EngineNative {
		f.Subscription = name
	}
	for _, t := range opts.Tables {
		if t.InsertsOnly {
			f.InsertPublication = name + "_inserts"
		}
	}
}

// source opens a session for statements on the source. Its name tells who it is
// for, by which those of a process that is gone are found.
func (f *Follow) source(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pg.Connect(ctx, f.opts.Source, pg.Write, pg.Options{Application: f.sourceName(), Encoding: "UTF8"})
	if err != nil {
		return nil, fmt.Errorf("connect to the source: %w", err)
	}
	if conn.PgConn().ParameterStatus("server_encoding") == asBytes && f.encoding != asBytes {
		f.encoding = asBytes
	}
	return conn, nil
}

// asBytes is the encoding of databases that keep text as bytes, which nobody can
// convert.
const asBytes = "SQL_ASCII"

// target opens a session for statements on the target.
func (f *Follow) target(ctx context.Context) (*pgx.Conn, error) {
	cfg := f.opts.Target.Copy()
	cfg.RuntimeParams["application_name"] = f.targetName() // by which a later process finds it
	conn, err := pg.Connect(ctx, cfg, pg.Write, pg.Options{Encoding: "UTF8", Direct: true})
	if err != nil {
		return nil, fmt.Errorf("connect to the target: %w", err)
	}
	return conn, nil
}

func (f *Follow) sourceName() string { return "pghaul follow " + f.ID }
func (f *Follow) targetName() string { return "pghaul apply " + f.ID }

// replication opens a session for the commands of replication and returns the
// system identifier of the source. Rows come in it as text that reads the same
// on the target, whatever either is configured to. It comes after source.
func (f *Follow) replication(ctx context.Context) (*pgx.Conn, string, error) {
	cfg := f.opts.Source.Copy()
	cfg.RuntimeParams["replication"] = "database"
	cfg.RuntimeParams["application_name"] = f.sourceName()
	conn, err := pg.Connect(ctx, cfg, pg.ReadData, pg.Options{Encoding: f.encoding, LCMonetary: "C"})
	if err != nil {
		return nil, "", fmt.Errorf("connect to the source for replication: %w", err)
	}
	row, err := oneRow(ctx, conn.PgConn(), "IDENTIFY_SYSTEM")
	if err == nil && len(row) < 3 {
		err = fmt.Errorf("%d columns", len(row))
	}
	if err != nil {
		pg.Close(conn)
		return nil, "", fmt.Errorf("identify the source: %w", err)
	}
	return conn, string(row[0]), nil
}

// oneRow runs a command that returns a row.
func oneRow(ctx context.Context, c *pgconn.PgConn, command string) ([][]byte, error) {
	results, err := c.Exec(ctx, command).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return nil, fmt.Errorf("%s returned no row", command)
	}
	return results[0].Rows[0], nil
}

// read learns of the source what the record holds.
func (f *Follow) read(ctx context.Context, source *pgx.Conn) error {
	v, err := pg.ServerVersion(source.PgConn())
	if err != nil {
		return err
	}
	if f.ViaRoot && !v.AtLeast(13) {
		return fmt.Errorf("the source is PostgreSQL %s: changes of partitions can be published as those of their root from 13 on", v)
	}
	if f.Tables, err = readTables(ctx, source, f.opts.Tables, f.ViaRoot); err != nil {
		return err
	}
	// The application's own statements would fail as soon as such a table is
	// published, so this is refused here as well as by Preflight.
	for i := range f.Tables {
		t := &f.Tables[i]
		if !t.InsertsOnly && !t.identified() && (!t.Partitioned || f.ViaRoot) {
			return fmt.Errorf("%s has no replica identity: publishing it would make the source refuse updates and deletes of it; give it a primary key, or ALTER TABLE ... REPLICA IDENTITY USING INDEX or FULL, or publish inserts only", t)
		}
	}
	return source.QueryRow(ctx, "SELECT pg_catalog.current_database()").Scan(&f.SourceDatabase)
}

// begin makes the publication, and the slot after it: where the slot begins the
// publication must be there.
func (f *Follow) begin(ctx context.Context, source, target *pgx.Conn) error {
	for _, p := range []struct {
		name, publish string
		inserts       bool
	}{{f.Publication, "insert, update, delete, truncate", false}, {f.InsertPublication, "insert, truncate", true}} {
		if p.name == "" {
			continue
		}
		if _, err := source.Exec(ctx, f.createPublication(p.name, p.publish, p.inserts)); err != nil {
			return fmt.Errorf("create publication %s on the source: %w", p.name, err)
		}
	}
	reader, err := f.readAlong(ctx, source)
	if err != nil {
		return err
	}
	if err := f.createSlot(ctx); err != nil {
		return err
	}
	if err := f.readOver(ctx, source, reader); err != nil {
		return err
	}
	err = setRecord(ctx, target, f.ID, "stage = $2, consistent_lsn = $3::text::pg_lsn, applied_lsn = $3::text::pg_lsn", string(Copying), f.Consistent.String())
	if err != nil {
		return err
	}
	f.Stage, f.Applied = Copying, f.Consistent
	return nil
}

func (f *Follow) createPublication(name, publish string, inserts bool) string {
	var tables []string
	for i := range f.Tables {
		if t := &f.Tables[i]; t.InsertsOnly == inserts && !t.Covered {
			tables = append(tables, t.published())
		}
	}
	sql := "CREATE PUBLICATION " + quote.Ident(name)
	if len(tables) > 0 {
		sql += " FOR TABLE " + strings.Join(tables, ", ")
	}
	sql += " WITH (publish = " + quote.Literal(publish)
	if f.ViaRoot {
		sql += ", publish_via_partition_root = true"
	}
	return sql + ")"
}

// readAlong makes a second slot for a moment, which ends with the session.
//
// Servers from 14 on read the log of a new slot again, from where its making
// began, when it is first used. Without a snapshot of the catalogs written down for
// that place they miss what transactions changed in them that committed before
// the slot was consistent, such as the new file of a table that was truncated, and
// fail with "could not map filenumber to relation OID" at the next change of that
// table. Another slot, which is consistent already, writes that snapshot down as it
// reads over the place. It is done without where no slot is free.
func (f *Follow) readAlong(ctx context.Context, source *pgx.Conn) (string, error) {
	v, err := pg.ServerVersion(source.PgConn())
	if err != nil || !v.AtLeast(14) {
		return "", err
	}
	name := f.Slot + "_reader"
	if _, err = source.Exec(ctx, "SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput', true)", name); err != nil {
		if pg.Code(err) == "53400" { // all slots are in use
			f.log.Info("follow: no replication slot is free for a moment; transactions of the source that change definitions or truncate tables just now may stop the follow later")
			return "", nil
		}
		return "", fmt.Errorf("create replication slot %s on the source: %w", name, err)
	}
	return name, nil
}

// readOver has the slot of readAlong read to where the follow begins, and drops it.
func (f *Follow) readOver(ctx context.Context, source *pgx.Conn, name string) error {
	if name == "" {
		return nil
	}
	if _, err := source.Exec(ctx, "SELECT pg_catalog.pg_replication_slot_advance($1, $2::text::pg_lsn)", name, f.Consistent.String()); err != nil {
		return fmt.Errorf("advance replication slot %s on the source: %w", name, err)
	}
	if _, err := source.Exec(ctx, "SELECT pg_catalog.pg_drop_replication_slot($1)", name); err != nil {
		return fmt.Errorf("drop replication slot %s on the source: %w", name, err)
	}
	return nil
}

func (f *Follow) createSlot(ctx context.Context) error {
	c := f.holder.PgConn()
	v, err := pg.ServerVersion(c)
	if err != nil {
		return err
	}
	command := "CREATE_REPLICATION_SLOT " + quote.Ident(f.Slot) + " LOGICAL pgoutput "
	var row [][]byte
	if v.AtLeast(17) {
		// A standby that takes over goes on with such a slot. Where that is refused the
		// slot is made without.
		row, err = oneRow(ctx, c, command+"(SNAPSHOT 'export', FAILOVER)")
	}
	if !v.AtLeast(17) || pg.Code(err) != "" {
		row, err = oneRow(ctx, c, command+"EXPORT_SNAPSHOT")
	}
	if err == nil && len(row) < 3 {
		err = fmt.Errorf("%d columns", len(row))
	}
	if err != nil {
		return fmt.Errorf("create replication slot %s on the source: %w", f.Slot, err)
	}
	f.Snapshot = string(row[2])
	f.Consistent, err = ParseLSN(string(row[1]))
	return err
}

// CopyDone says that all that was to be copied from the snapshot is on the target
// for good. The snapshot is let go and Run may begin.
func (f *Follow) CopyDone(ctx context.Context) error {
	target, err := f.target(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(target)
	if err := setStage(ctx, target, f.ID, Following, ""); err != nil {
		return err
	}
	f.Stage = Following
	f.Close()
	return nil
}

// Alive returns the error by which the snapshot was lost, nil if it is there. The
// session that holds it must stay idle, so another one looks.
func (f *Follow) Alive(ctx context.Context) error {
	if f.holder == nil || f.holder.IsClosed() {
		return errNoSnapshot
	}
	source, err := f.source(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(source)
	var there bool
	if err := source.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1)", int64(f.holder.PgConn().PID())).Scan(&there); err != nil {
		return fmt.Errorf("look for the session that holds the snapshot: %w", err)
	}
	if !there {
		return errNoSnapshot
	}
	return nil
}

var errNoSnapshot = errors.New("the session that holds the snapshot has ended: the copy must start anew")

// Close ends the snapshot, if there is one, and leaves all else as it is.
func (f *Follow) Close() {
	if f.holder != nil {
		pg.Close(f.holder)
	}
	f.holder, f.Snapshot = nil, ""
}

// undo takes back what a Start that failed has made.
func (f *Follow) undo(ctx context.Context, source, target *pgx.Conn) error {
	err := dropSource(ctx, source, &f.Record)
	if err != nil {
		return fmt.Errorf("take back what was made: %w", err)
	}
	return deleteRecord(ctx, target, f.ID)
}

// dropSource drops the slot and the publications of a follow, where they are. A
// session of ours that uses the slot is ended.
func dropSource(ctx context.Context, source *pgx.Conn, r *Record) error {
	if err := dropSlot(ctx, source, r.Slot); err != nil {
		return err
	}
	for _, name := range []string{r.Publication, r.InsertPublication} {
		if name == "" {
			continue
		}
		if _, err := source.Exec(ctx, "DROP PUBLICATION IF EXISTS "+quote.Ident(name)); err != nil {
			return fmt.Errorf("drop publication %s on the source: %w", name, err)
		}
	}
	return nil
}

// dropSlot ends whoever uses the slot, and drops it.
func dropSlot(ctx context.Context, source *pgx.Conn, name string) error {
	for try := 0; ; try++ {
		var pid int32
		err := source.QueryRow(ctx, "SELECT coalesce(active_pid, 0) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", name).Scan(&pid)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil && pid != 0 {
			_, err = source.Exec(ctx, "SELECT pg_catalog.pg_terminate_backend($1)", pid)
		}
		if err == nil {
			_, err = source.Exec(ctx, "SELECT pg_catalog.pg_drop_replication_slot($1)", name)
		}
		switch {
		case err == nil || pg.Code(err) == "42704": // it is gone
			return nil
		case pg.Code(err) != "55006" || try == 100: // in use
			return fmt.Errorf("drop replication slot %s on the source: %w", name, err)
		}
		if err := pg.Sleep(ctx, dropWait); err != nil {
			return err
		}
	}
}
