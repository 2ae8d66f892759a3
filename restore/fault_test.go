package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// convert makes an archive of ours of one that pg_dump made, with the rows of
// each table in so many parts and in frames of a few rows.
func convert(tb testing.TB, dir string, parts int, c archive.Compression) string {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	in, err := archive.Open(dir)
	must(err)
	defer in.Close()
	to := filepath.Join(pgtest.TempDir(tb), "ours")
	w, err := archive.CreateDir(to, archive.WriterOptions{Compression: c, FrameSize: 4096})
	must(err)
	defer w.Abort()
	entries, m := in.Entries(), archive.Manifest{Tool: "pghaul test"}
	for i := range entries {
		e := &entries[i]
		if !e.HasData || e.Kind != "TABLE DATA" {
			continue
		}
		all, err := in.Parts(e.ID)
		must(err)
		r, err := in.Open(tb.Context(), e.ID, all[0])
		must(err)
		text, err := io.ReadAll(r)
		must(err)
		must(r.Close())
		rows := bytes.SplitAfter(text, []byte("\n"))
		rows = rows[:len(rows)-1]
		d, err := w.Table(e.ID)
		must(err)
		for n := range parts {
			p := d.Part(n)
			for _, row := range rows[n*len(rows)/parts : (n+1)*len(rows)/parts] {
				must(p.WriteRows(row, 1))
			}
			must(p.Close())
		}
		_, err = d.Close()
		must(err)
		m.Tables = append(m.Tables, archive.TableData{Entry: e.ID, Schema: e.Namespace, Name: e.Tag, Rows: int64(len(rows))})
	}
	must(w.Commit(archive.Header{Database: in.Header().Database, ServerVersion: "18.0", DumpVersion: "pghaul test"}, entries, m))
	return to
}

// small makes a database with one table of n rows and an index, and its archive.
func small(tb testing.TB, s *pgtest.Server, n string, args ...string) (db, dir string) {
	tb.Helper()
	db = s.Database(tb)
	s.Exec(tb, db, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, "+n+") i; CREATE INDEX t_v ON t (v);")
	return db, dumpDir(tb, s, db, args...)
}

func TestParts(t *testing.T) {
	s := pgtest.Start(t, 18)
	from, dir := small(t, s, "3000")
	to := s.Database(t)
	report := run(t, s, to, convert(t, dir, 5, archive.CompressZstd), restore.Options{Jobs: 3})
	if report.Rows != 3000 {
		t.Errorf("%d rows, want 3000", report.Rows)
	}
	same(t, s, from, to)
}

// A hookSource calls hook in the middle of the first data it is asked for.
type hookSource struct {
	restore.Source
	once sync.Once
	hook func()
}

func (h *hookSource) Data(ctx context.Context, e *archive.Entry, p archive.Part) (copyproto.Source, error) {
	data, err := h.Source.Data(ctx, e, p)
	return hookData{h, data}, err
}

type hookData struct {
	h    *hookSource
	data copyproto.Source
}

func (d hookData) CopyTo(ctx context.Context, w io.Writer) (int64, error) {
	var b bytes.Buffer
	n, err := d.data.CopyTo(ctx, &b)
	if err != nil {
		return n, err
	}
	half := b.Len() / 2
	if _, err := w.Write(b.Next(half)); err != nil {
		return n, err
	}
	d.h.once.Do(d.h.hook)
	_, err = w.Write(b.Bytes())
	return n, err
}

// sessions are the statements of the restore's sessions in a database.
const sessions = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pghaul restore'"

// await waits for a query to return true. It may be called on any goroutine.
func await(tb testing.TB, s *pgtest.Server, db, sql string) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); s.Text(tb, db, sql) != "t"; <-tick.C {
		if time.Now().After(deadline) {
			tb.Errorf("%s is still not true", sql)
			return
		}
	}
}

func TestLostConnectionInLoad(t *testing.T) {
	for name, form := range map[string]string{"copy": "--compress=gzip", "insert": "--rows-per-insert=10"} {
		t.Run(name, func(t *testing.T) {
			s := pgtest.Start(t, 18)
			from, dir := small(t, s, "3000", form)
			to := s.Database(t)
			src := &hookSource{Source: open(t, dir), hook: func() {
				await(t, s, to, "SELECT count(*) = 1 "+sessions+" AND query ~ 'BEGIN|COPY|INSERT'")
				s.Text(t, to, "SELECT bool_and(pg_terminate_backend(pid)) "+sessions+" AND query ~ 'BEGIN|COPY|INSERT'")
			}}
			report, err := restore.Run(t.Context(), s.Config(t, to), src, restore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !report.Complete() || report.Rows != 3000 {
				t.Errorf("report = %+v", report)
			}
			if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "loading again") {
				t.Errorf("warnings = %q, want one of the lost connection", report.Warnings)
			}
			same(t, s, from, to)
		})
	}
}

// A target that restarts in the middle is waited for.
func TestTargetRestarts(t *testing.T) {
	_, dir := small(t, pgtest.Start(t, 17), "3000")
	s := pgtest.Private(t, 17, pgtest.Options{})
	to := s.Database(t)
	src := &hookSource{Source: open(t, dir), hook: func() { s.Restart(t) }}
	report, err := restore.Run(t.Context(), s.Config(t, to), src, restore.Options{Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Complete() || report.Rows != 3000 {
		t.Errorf("report = %+v", report)
	}
	if got := s.Text(t, to, "SELECT count(*) FROM t"); got != "3000" {
		t.Errorf("%s rows, want 3000", got)
	}
}

// What was under way on a lost connection may have been done or not. In pre-data
// all that follows builds on it, so the run ends; later on it is one failure.
func TestLostConnectionInDefinition(t *testing.T) {
	const suicide = "SELECT pg_terminate_backend(pg_backend_pid());"
	s := pgtest.Start(t, 18)
	to := s.Database(t)
	first := pre(1, "VIEW", "v")
	first.Create = suicide
	report, err := restore.Run(t.Context(), s.Config(t, to), entries{first, pre(2, "VIEW", "w")}, restore.Options{})
	if err == nil || !strings.Contains(err.Error(), "VIEW s.v") || report == nil || report.Restored != 0 {
		t.Errorf("err = %v, report %+v; want the loss at the first view", err, report)
	}
	first.Section, first.Drop = archive.SectionPostData, ""
	second := first
	second.ID, second.Create = 2, "CREATE TABLE public.done (a int);"
	report, err = restore.Run(t.Context(), s.Config(t, to), entries{first, second}, restore.Options{Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"VIEW s.v 57P01"}, failures(report)); d != "" || report.Restored != 1 {
		t.Errorf("%d restored, failures (-want +got):\n%s", report.Restored, d)
	}
}

// Positions of sequences and privileges are set again after a loss.
func TestLostConnectionInSmallSteps(t *testing.T) {
	s := pgtest.Start(t, 18)
	to := s.Database(t)
	s.Exec(t, to, "CREATE SEQUENCE q; CREATE SEQUENCE tries; CREATE TABLE t (a int);")
	once := "SELECT CASE WHEN nextval('public.tries') IN (%d) THEN pg_terminate_backend(pg_backend_pid()) END;"
	set := func(id int, kind, sql string) archive.Entry {
		return archive.Entry{ID: id, Kind: kind, Tag: "x", Section: archive.SectionData, Create: sql}
	}
	list := entries{
		set(1, "SEQUENCE SET", "SELECT setval('public.q', 5);"),
		set(2, "SEQUENCE SET", fmt.Sprintf(once, 1)),
		set(3, "SEQUENCE SET", "SELECT setval('public.q', nextval('public.q'));"),
		set(4, "ACL", fmt.Sprintf(once, 3)),
		set(5, "ACL", "GRANT SELECT ON public.t TO PUBLIC;"),
	}
	report, err := restore.Run(t.Context(), s.Config(t, to), list, restore.Options{})
	if err != nil || !report.Complete() || report.Restored != 5 {
		t.Errorf("err = %v, report = %+v", err, report)
	}
	if got := s.Text(t, to, "SELECT (SELECT last_value FROM q) || ' ' || (SELECT last_value FROM tries) || ' ' || (SELECT relacl IS NOT NULL FROM pg_class WHERE relname = 't')"); got != "6 4 true" {
		t.Errorf("got %s, want 6 4 true", got)
	}
}

// A definition that asks for rows must not stall the restore.
func TestDefinitionThatCopies(t *testing.T) {
	s := pgtest.Start(t, 18)
	to := s.Database(t)
	s.Exec(t, to, "CREATE TABLE t (a int)")
	e := post(1, "RULE", "r")
	e.Create, e.Drop = "COPY public.t FROM stdin;", ""
	report, err := restore.Run(t.Context(), s.Config(t, to), entries{e}, restore.Options{})
	if err != nil || len(report.Failed) != 1 || !strings.Contains(report.Failed[0].Error(), "COPY FROM STDIN") {
		t.Errorf("err = %v, report = %+v", err, report)
	}
}

// Two that lock each other out: the server ends one, which is tried again.
func TestDeadlock(t *testing.T) {
	s := pgtest.Start(t, 18)
	to := s.Database(t)
	s.Exec(t, to, "CREATE TABLE a (v int); CREATE TABLE b (v int);")
	list := make(entries, 2)
	for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		list[i] = post(i+1, "RULE", order[0])
		list[i].Drop = ""
		list[i].Create = "LOCK TABLE " + "public." + order[0] + "; SELECT pg_sleep(0.5); LOCK TABLE public." + order[1] + "; INSERT INTO public.a VALUES (1);"
	}
	report, err := restore.Run(t.Context(), s.Config(t, to), list, restore.Options{Jobs: 2})
	if err != nil || !report.Complete() {
		t.Errorf("err = %v, failed %v", err, report.Failed)
	}
	if got := s.Text(t, to, "SELECT count(*) FROM a"); got != "2" {
		t.Errorf("%s were done, want 2", got)
	}
}

// A target with few connections left is worked on by fewer workers.
func TestFewConnections(t *testing.T) {
	s := pgtest.Start(t, 18)
	from, dir := small(t, s, "100")
	role := s.Role(t, "LOGIN CONNECTION LIMIT 1 PASSWORD 'x'")
	to := s.Database(t)
	s.Exec(t, to, "GRANT CREATE ON SCHEMA public TO "+role)
	cfg := s.Config(t, to)
	cfg.User, cfg.Password = role, "x"
	report, err := restore.Run(t.Context(), cfg, open(t, dir), restore.Options{Jobs: 8, NoOwner: true})
	if err != nil || !report.Complete() {
		t.Fatalf("err = %v, report = %+v", err, report)
	}
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "1 of 8") {
		t.Errorf("warnings = %q", report.Warnings)
	}
	if d := cmp.Diff(contents(t, s, from), contents(t, s, to)); d != "" {
		t.Errorf("rows differ (-source +copy):\n%s", d)
	}
}

// Of the large objects that are there already, each is counted and the rest made.
func TestLargeObjectsThatExist(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := s.Database(t)
	s.Exec(t, from, "SELECT lo_from_bytea(i, i::text::bytea) FROM generate_series(5001, 5250) i")
	dir, to := dumpDir(t, s, from), s.Database(t)
	s.Exec(t, to, "SELECT lo_create(5001), lo_create(5100)")
	report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"BLOB METADATA 5001..5250 23505"}, failures(report)); d != "" {
		t.Fatalf("failures (-want +got):\n%s", d)
	}
	if got := report.Failed[0].Err.Error(); !strings.Contains(got, "2 of 250") {
		t.Errorf("err = %s, want it to count", got)
	}
	if d := cmp.Diff(contents(t, s, from), contents(t, s, to)); d != "" {
		t.Errorf("large objects differ (-source +copy):\n%s", d)
	}
}

// The loss of a connection in the middle of definitions that are not committed
// costs none of them.
func TestLostConnectionInIndex(t *testing.T) {
	s := pgtest.Start(t, 17)
	from := s.Database(t)
	// Both indexes call the function, and the first such call hangs.
	s.Exec(t, from, `CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE SEQUENCE tries;
		CREATE FUNCTION wait(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN IF current_setting('application_name') = 'pghaul restore' AND nextval('public.tries') = 1 THEN PERFORM pg_sleep(60); END IF; RETURN $1; END $$;
		CREATE INDEX slow ON t (public.wait(id)); CREATE INDEX quick ON t (id); COMMENT ON INDEX quick IS 'still there';`)
	dir, to := dumpDir(t, s, from), s.Database(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		await(t, s, to, "SELECT count(*) = 1 "+sessions+" AND state = 'active' AND query ~ 'INDEX slow'")
		s.Text(t, to, "SELECT bool_and(pg_terminate_backend(pid)) "+sessions+" AND query ~ 'INDEX slow'")
	}()
	report, err := restore.Run(t.Context(), s.Config(t, to), open(t, dir), restore.Options{Jobs: 1})
	<-done
	if err != nil || !report.Complete() {
		t.Fatalf("err = %v, failures %q", err, failures(report))
	}
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "INDEX public.") {
		t.Errorf("warnings = %q, want one of the lost connection", report.Warnings)
	}
	if got := s.Text(t, to, "SELECT obj_description('quick'::regclass) || (SELECT count(*) FROM pg_indexes WHERE tablename = 't')"); got != "still there2" {
		t.Errorf("comment and number of indexes: %q", got)
	}
}

// failures are the kind, name and SQLSTATE of what failed, in order.
func failures(r *restore.Report) []string {
	list := []string{}
	for _, f := range r.Failed {
		code := "none"
		if pe, ok := errors.AsType[*pgconn.PgError](f); ok {
			code = pe.Code
		}
		list = append(list, f.Kind+" "+f.Name+" "+code)
	}
	return list
}

func TestCancel(t *testing.T) {
	s := pgtest.Start(t, 18)
	_, dir := small(t, s, "20000")
	to := s.Database(t)
	why := errors.New("operator pressed ctrl-c")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	src := &hookSource{Source: open(t, dir), hook: func() { cancel(why) }}
	report, err := restore.Run(ctx, s.Config(t, to), src, restore.Options{})
	if !errors.Is(err, why) {
		t.Errorf("err = %v, want the cause", err)
	}
	if report == nil || report.Rows != 0 {
		t.Errorf("report = %+v, want one without rows", report)
	}
	await(t, s, to, "SELECT count(*) = 0 "+sessions)
	if got := s.Text(t, to, "SELECT count(*) FROM t"); got != "0" {
		t.Errorf("%s rows are in the table", got)
	}
}

// A definition that runs is stopped on the server, too.
func TestCancelStopsStatement(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := s.Database(t)
	s.Exec(t, from, `CREATE VIEW slow AS SELECT pg_sleep(CASE WHEN current_setting('application_name') = 'pghaul restore' THEN 60 ELSE 0 END)::text AS slept; CREATE MATERIALIZED VIEW m AS SELECT * FROM slow;`)
	dir, to := dumpDir(t, s, from), s.Database(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		await(t, s, to, "SELECT count(*) = 1 "+sessions+" AND state = 'active' AND query ~ 'REFRESH'")
		cancel()
	}()
	start := time.Now()
	if _, err := restore.Run(ctx, s.Config(t, to), open(t, dir), restore.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	await(t, s, to, "SELECT count(*) = 0 "+sessions)
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("the statement went on for %v", d)
	}
}

func TestDamagedArchive(t *testing.T) {
	s := pgtest.Start(t, 18)
	_, dir := small(t, s, "2000")
	file := func(dir string) string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, "[0-9]*.dat*"))
		if err != nil || len(names) != 1 {
			t.Fatalf("data files: %q, %v", names, err)
		}
		return names[0]
	}
	truncate := func(b []byte) []byte { return b[:len(b)*2/3] }
	flip := func(b []byte) []byte { b[len(b)/3] ^= 0x10; return b }
	for name, tt := range map[string]struct {
		dir    string
		damage func([]byte) []byte
	}{
		"ours truncated":          {convert(t, dir, 1, archive.CompressZstd), truncate},
		"ours flipped":            {convert(t, dir, 1, archive.CompressZstd), flip},
		"ours uncompressed":       {convert(t, dir, 3, archive.CompressNone), flip},
		"pg_dump's zstd":          {dumpDir(t, s, s.Database(t), "-Z", "none"), nil},
		"pg_dump's gzip":          {dir, truncate},
		"pg_dump's gzip, flipped": {dir, flip},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.damage == nil {
				_, tt.dir = small(t, s, "2000", "-Z", "zstd")
				tt.damage = truncate
			}
			copied := filepath.Join(pgtest.TempDir(t), "copy")
			if err := os.CopyFS(copied, os.DirFS(tt.dir)); err != nil {
				t.Fatal(err)
			}
			path := file(copied)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			to := s.Database(t)
			report, err := restore.Run(t.Context(), s.Config(t, to), open(t, copied), restore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Failed) == 0 {
				t.Fatal("the damage went unnoticed")
			}
			for _, f := range report.Failed {
				if _, ok := errors.AsType[*archive.CorruptError](f); !ok || !strings.Contains(f.Err.Error(), path) || f.Kind != "TABLE DATA" {
					t.Errorf("%v: want a CorruptError that names %s", f, path)
				}
			}
			if got := s.Text(t, to, "SELECT count(*) FROM t"); got != "0" {
				t.Errorf("%s rows of a damaged file are in the table", got)
			}
			if got := s.Text(t, to, "SELECT count(*) FROM pg_indexes WHERE tablename = 't'"); got != "2" {
				t.Errorf("%s indexes, want 2: the rest is restored all the same", got)
			}
		})
	}
}
