package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/quote"
)

// ends are a source and a target, each a database of its own.
type ends struct {
	source, target     *pgtest.Server
	sourceDB, targetDB string
}

func newEnds(t *testing.T, from, to int) *ends {
	t.Helper()
	e := &ends{source: pgtest.Logical(t, from), target: pgtest.Start(t, to)}
	e.sourceDB, e.targetDB = e.source.Database(t), e.target.Database(t)
	return e
}

func (e *ends) options(t *testing.T, tables ...string) Options {
	t.Helper()
	o := Options{Source: e.source.Config(t, e.sourceDB), Target: e.target.Config(t, e.targetDB), Engine: EngineApply, ID: newID(), Logger: testLogger(t)}
	for _, name := range tables {
		schema, name, found := strings.Cut(name, ".")
		if !found {
			schema, name = "public", schema
		}
		o.Tables = append(o.Tables, Table{Schema: schema, Name: name})
	}
	return o
}

// testLogger writes to the test's log.
func testLogger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// both runs a script on both ends.
func (e *ends) both(t *testing.T, sql string) {
	t.Helper()
	e.source.Exec(t, e.sourceDB, sql)
	e.target.Exec(t, e.targetDB, sql)
}

// copyRows copies the rows of the follow's snapshot, as a migration does.
func (e *ends) copyRows(t *testing.T, f *Follow) {
	t.Helper()
	if err := copyRows(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// errRewritten says that a table was truncated between the snapshot and its lock,
// which hides from the snapshot what it should show. A migration starts anew then.
var errRewritten = errors.New("a table was truncated before it could be locked")

// lockRows imports the snapshot and keeps tables from being truncated.
func lockRows(ctx context.Context, c *pgconn.PgConn, f *Follow) error {
	for {
		if err := pg.Import(ctx, c, f.Snapshot); err != nil {
			return err
		}
		var b strings.Builder
		b.WriteString("SET LOCAL lock_timeout = '100ms'")
		for i := range f.Tables {
			b.WriteString("; LOCK TABLE " + f.Tables[i].String() + " IN ACCESS SHARE MODE")
		}
		_, err := c.Exec(ctx, b.String()).ReadAll()
		if err == nil {
			break
		}
		if pg.Code(err) != "55P03" {
			return err
		}
		if _, err := c.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
			return err
		}
	}
	row, err := oneRow(ctx, c, "SELECT count(*) FROM pg_catalog.pg_class WHERE relkind = 'r' AND relfilenode <> 0 AND pg_catalog.pg_relation_filenode(oid) IS DISTINCT FROM relfilenode")
	if err == nil && string(row[0]) != "0" {
		return errRewritten
	}
	return err
}

func copyRows(ctx context.Context, f *Follow) error {
	from, err := pg.Connect(ctx, f.opts.Source, pg.ReadData, pg.Options{Encoding: "UTF8", LCMonetary: "C"})
	if err != nil {
		return err
	}
	defer pg.Close(from)
	if err := lockRows(ctx, from.PgConn(), f); err != nil {
		return err
	}
	to, err := pg.Connect(ctx, f.opts.Target, pg.Write, pg.Options{Encoding: "UTF8", LCMonetary: "C"})
	if err != nil {
		return err
	}
	defer pg.Close(to)
	for i := range f.Tables {
		t := &f.Tables[i]
		if t.Partitioned && !f.ViaRoot {
			continue
		}
		var names []string
		for _, c := range t.Columns {
			names = append(names, c.Name)
		}
		columns := " (" + quote.Idents(names) + ")"
		query := "COPY (SELECT " + quote.Idents(names) + " FROM ONLY " + t.String() + ") TO STDOUT"
		if t.Partitioned {
			query = strings.Replace(query, "ONLY ", "", 1)
		}
		if len(names) == 0 {
			continue
		}
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := from.PgConn().CopyTo(ctx, w, query)
			w.CloseWithError(err)
			done <- err
		}()
		_, err := to.PgConn().CopyFrom(ctx, r, "COPY "+t.Target()+columns+" FROM STDIN")
		r.CloseWithError(errors.New("the target has ended"))
		if err := errors.Join(<-done, err); err != nil {
			return fmt.Errorf("copy %s: %w", t, err)
		}
	}
	return nil
}

// start makes a follow of tables whose rows are on the target.
func (e *ends) start(t *testing.T, o Options) *Follow {
	t.Helper()
	f, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.end(t, f) })
	e.copyRows(t, f)
	if err := f.CopyDone(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// end drops what the follow has made.
func (e *ends) end(t *testing.T, f *Follow) {
	t.Helper()
	f.Close()
	if !e.source.Running() || !e.target.Running() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	source, err := f.source(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	defer pg.Close(source)
	if err := dropSource(ctx, source, &f.Record); err != nil {
		t.Error(err)
	}
}

// running is a Run in the background.
type running struct {
	e      *ends
	cancel context.CancelFunc
	done   chan error
}

// run runs the follow of an ID as another process would.
func (e *ends) run(t *testing.T, o Options) *running {
	t.Helper()
	f, err := Attach(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{e: e, cancel: cancel, done: make(chan error, 1)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.done <- f.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return r
}

// wait is the result of the run.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(90 * time.Second):
		var b strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			t.Error(err)
		}
		const sessions = "SELECT string_agg(concat_ws(' ', pid, application_name, state, wait_event, query), E'\\n') FROM pg_stat_activity WHERE datname = current_database()"
		t.Fatalf("the run does not end\nsource:\n%s\ntarget:\n%s\nfollow: %s\nslot: %s\n%s", r.e.text(t, sessions), r.e.target.Text(t, r.e.targetDB, sessions),
			r.e.target.Text(t, r.e.targetDB, "SELECT f::text FROM (SELECT id, stage, pause, stop_at, applied_lsn, runner, updated FROM pghaul_follow.follow) f"),
			r.e.text(t, "SELECT string_agg(s::text, ' ') FROM pg_replication_slots s WHERE database = current_database()"), b.String())
		return nil
	}
}

// stop ends the run from outside.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := r.wait(t); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
}

// stopHere makes the follow stop where the source's log ends now.
func (e *ends) stopHere(t *testing.T, id string) LSN {
	t.Helper()
	lsn := e.source.Text(t, e.sourceDB, "SELECT pg_current_wal_insert_lsn()")
	e.target.Exec(t, e.targetDB, "UPDATE pghaul_follow.follow SET stop_at = '"+lsn+"' WHERE id = '"+id+"'")
	l, err := ParseLSN(lsn)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// drain waits until everything that the source has committed is applied, and ends
// the run.
func (e *ends) drain(t *testing.T, r *running, id string) {
	t.Helper()
	at := e.stopHere(t, id)
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	if got := e.target.Text(t, e.targetDB, "SELECT applied_lsn >= stop_at FROM pghaul_follow.follow WHERE id = '"+id+"'"); got != "true" && got != "t" {
		t.Errorf("ended before %s", at)
	}
	e.target.Exec(t, e.targetDB, "UPDATE pghaul_follow.follow SET stop_at = NULL WHERE id = '"+id+"'")
}

// rows is the sorted text of a table's rows.
func rows(t *testing.T, s *pgtest.Server, db, table string) []string {
	t.Helper()
	conn, err := pg.Connect(t.Context(), s.Config(t, db), pg.ReadData, pg.Options{Encoding: "UTF8", LCMonetary: "C"})
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close(conn)
	if _, err := conn.PgConn().Exec(t.Context(), "SET search_path = public; SET lock_timeout = '5s'").ReadAll(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := conn.PgConn().CopyTo(t.Context(), &b, "COPY (SELECT * FROM "+table+" AS t ORDER BY t::text COLLATE \"C\") TO STDOUT"); err != nil {
		t.Fatalf("%s: %v; %s", table, err, s.Text(t, db, "SELECT string_agg(concat_ws(' ', application_name, state, query, (SELECT string_agg(gid, ',') FROM pg_prepared_xacts)), '; ') FROM pg_stat_activity WHERE datname = current_database()"))
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// equal compares the rows of tables of the same names on both ends.
func (e *ends) equal(t *testing.T, tables ...string) {
	t.Helper()
	for _, table := range tables {
		e.equalTables(t, table, table)
	}
}

func (e *ends) equalTables(t *testing.T, sourceTable, targetTable string) {
	t.Helper()
	a, b := rows(t, e.source, e.sourceDB, sourceTable), rows(t, e.target, e.targetDB, targetTable)
	shown := 0
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			if shown++; shown > 3 {
				break
			}
			t.Errorf("%s, row %d:\nsource %.300q\ntarget %.300q", sourceTable, i, x, y)
		}
	}
	if len(a) != len(b) {
		t.Errorf("%s: %d rows on the source, %d on the target", sourceTable, len(a), len(b))
	}
}
