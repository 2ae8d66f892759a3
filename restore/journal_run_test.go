package restore_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// journalWorld is restored in pieces.
const journalWorld = `CREATE EXTENSION btree_gist; CREATE SCHEMA a; COMMENT ON SCHEMA public IS 'ours';
CREATE TYPE a.mood AS ENUM ('x', 'y'); CREATE FUNCTION a.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE a.p (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m a.mood, t text CHECK (t <> '\'));
CREATE TABLE a.c (id serial, p int REFERENCES a.p, EXCLUDE USING gist (id WITH =)); CREATE INDEX ON a.c (a.f(p));
CREATE TABLE a.part (k int) PARTITION BY LIST (k); CREATE TABLE a.part1 PARTITION OF a.part FOR VALUES IN (1, 2, 3);
INSERT INTO a.p (m, t) SELECT 'x', g FROM generate_series(1, 500) g; INSERT INTO a.c (p) SELECT id FROM a.p; INSERT INTO a.part VALUES (1), (2);
CREATE VIEW a.v AS SELECT * FROM a.p; CREATE MATERIALIZED VIEW a.mv AS SELECT count(*) AS n FROM a.c;
CREATE FUNCTION a.t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; CREATE TRIGGER t BEFORE INSERT ON a.p FOR EACH ROW EXECUTE FUNCTION a.t();
GRANT SELECT ON a.p TO PUBLIC; REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
SELECT lo_from_bytea(4711, 'x'), lo_from_bytea(4712, 'yz'); COMMENT ON LARGE OBJECT 4711 IS 'a large one';`

const journalRows = `SELECT concat((SELECT concat(count(*), ' ', sum(hashtext(p::text))) FROM a.p), ' ', (SELECT concat(count(*), ' ', sum(hashtext(c::text))) FROM a.c), ' ', (SELECT sum(k) FROM a.part),
 ' ', (SELECT n FROM a.mv), ' ', (SELECT last_value FROM a.c_id_seq), ' ', convert_from(lo_get(4711), 'UTF8'), convert_from(lo_get(4712), 'UTF8'))`

// A stopper cancels a run at a line of its log.
type stopper struct {
	left atomic.Int64
	stop context.CancelFunc
}

func (s *stopper) Enabled(context.Context, slog.Level) bool { return true }
func (s *stopper) Handle(context.Context, slog.Record) error {
	if s.left.Add(-1) == 0 {
		s.stop()
	}
	return nil
}
func (s *stopper) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *stopper) WithGroup(string) slog.Handler      { return s }

// A restore that was stopped, wherever, goes on to the same end as one that was
// not, or is undone.
func TestJournalResume(t *testing.T) {
	t.Parallel()
	versions := pgtest.Versions(t)
	s := pgtest.Start(t, versions[len(versions)-1])
	oracle := pgtest.Oracle(t)
	src := s.Database(t)
	s.Exec(t, src, journalWorld)
	want, rows := oracle.SchemaText(t, s.DSN(src)), s.Text(t, src, journalRows)
	dir := filepath.Join(pgtest.TempDir(t), "archive")
	oracle.Dump(t, "-Fd", "-f", dir, s.DSN(src))
	r, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	source := restore.FromArchive(r)

	db := s.Database(t)
	empty := oracle.SchemaText(t, s.DSN(db))
	journal := func(o restore.JournalOptions) *restore.TargetJournal {
		o.Source = restore.Fingerprint(source)
		j := restore.NewJournal(s.Config(t, db), o)
		t.Cleanup(j.Close)
		return j
	}
	stopped := func(j *restore.TargetJournal, lines int64) bool {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		h := &stopper{stop: cancel}
		h.left.Store(lines)
		_, err := restore.Run(ctx, j.Target(), source, restore.Options{Journal: j, Logger: slog.New(h)})
		j.Close()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return err != nil
	}
	for _, lines := range []int64{1, 9, 20, 31} {
		if !stopped(journal(restore.JournalOptions{}), lines) {
			t.Fatalf("a run has fewer than %d lines", lines)
		}
		undo := journal(restore.JournalOptions{Any: true})
		if err := undo.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		u, err := undo.Rollback(t.Context(), nil, "schema-data", "post-schema")
		if err != nil {
			t.Fatal(err)
		}
		for _, remain := range u.Remains {
			t.Errorf("stopped after %d lines, remains: %+v", lines, remain)
		}
		if err := undo.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := oracle.SchemaText(t, s.DSN(db)); got != empty {
			t.Errorf("stopped after %d lines, left:\n%s", lines, got)
		}
		if n := s.Text(t, db, "SELECT count(*) FROM pg_largeobject_metadata"); n != "0" {
			t.Errorf("stopped after %d lines, %s large objects are left", lines, n)
		}
	}
	resume := false
	for _, lines := range []int64{5, 28, 2, 2} { // the later ones may have fewer lines left
		stopped(journal(restore.JournalOptions{Resume: resume}), lines)
		resume = true
	}
	last := journal(restore.JournalOptions{Resume: true})
	rep, err := restore.Run(t.Context(), last.Target(), source, restore.Options{Journal: last})
	if err != nil {
		t.Fatal(err)
	}
	if err := last.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !rep.Complete() || rep.Resumed == 0 {
		t.Errorf("resumed %d, failed %v", rep.Resumed, rep.Failed)
	}
	if got := oracle.SchemaText(t, s.DSN(db)); got != want {
		t.Errorf("want:\n%s\ngot:\n%s", want, got)
	}
	if got := s.Text(t, db, journalRows); got != rows {
		t.Errorf("rows %s, want %s", got, rows)
	}
}
