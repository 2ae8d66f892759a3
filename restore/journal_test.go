package restore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// state is all that a rollback has to put back.
const journalState = `SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (
SELECT 'schema ' || nspname || ' ' || nspowner::regrole || ' ' || coalesce((SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(nspacl, acldefault('n', nspowner))) a)::text, '') || ' ' || coalesce(obj_description(oid, 'pg_namespace'), '-') AS line FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL SELECT 'database ' || datdba::regrole || ' ' || coalesce((SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(datacl, acldefault('d', datdba))) a)::text, '') || ' ' || coalesce(shobj_description(oid, 'pg_database'), '-') FROM pg_database WHERE datname = current_database()
UNION ALL SELECT 'table ' || oid::regclass || ' ' || relowner::regrole || coalesce((SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(relacl, acldefault('r', relowner))) a)::text, '') FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace <> 'pg_catalog'::regnamespace AND relnamespace <> 'information_schema'::regnamespace AND relnamespace <> 'pg_toast'::regnamespace
UNION ALL SELECT 'column ' || attrelid::regclass || '.' || attname || ' ' || attacl::text FROM pg_attribute WHERE attacl IS NOT NULL AND attacl <> '{}' AND attrelid >= 16384
UNION ALL SELECT 'function ' || oid::regprocedure || ' ' || (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(proacl, acldefault('f', proowner))) a)::text FROM pg_proc WHERE proname = 'pg_sleep'
UNION ALL SELECT 'default ' || defaclrole::regrole || ' ' || defaclnamespace || ' ' || defaclobjtype::text || ' ' || (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(defaclacl) a)::text FROM pg_default_acl
UNION ALL SELECT 'extension ' || extname || ' ' || coalesce(obj_description(oid, 'pg_extension'), '-') FROM pg_extension
UNION ALL SELECT 'setting ' || setrole::regrole || ' ' || (SELECT array_agg(c ORDER BY c) FROM unnest(setconfig) c)::text FROM pg_db_role_setting WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))) q`

func journalQuery(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	var text string
	if err := conn.QueryRow(t.Context(), sql, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// owned makes a role that is not a superuser and a database of its own, and
// returns the configuration to connect to that.
func owned(t *testing.T, s *pgtest.Server) (cfg *pgx.ConnConfig, db, me string) {
	t.Helper()
	me = s.Role(t, "LOGIN CREATEROLE")
	db = s.Database(t)
	s.Exec(t, "postgres", "ALTER DATABASE "+db+" OWNER TO "+me)
	cfg, err := pgx.ParseConfig(s.UserDSN(me, db))
	if err != nil {
		t.Fatal(err)
	}
	return cfg, db, me
}

// Whatever steps did to what was there before them is put back, by a role that
// is not a superuser.
func TestJournalRollback(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		other := s.Role(t, "NOLOGIN")
		cfg, db, me := owned(t, s)
		if s.Major < 15 {
			s.Exec(t, db, "ALTER SCHEMA public OWNER TO "+me)
		}
		s.ExecAs(t, me, db, `CREATE SCHEMA mine; COMMENT ON SCHEMA mine IS 'it''s mine';
			CREATE TABLE mine.t (a int, b int); CREATE VIEW mine.v AS SELECT 1; GRANT SELECT (a) ON mine.t TO `+other+`; GRANT INSERT ON mine.t TO PUBLIC;
			GRANT SELECT ON mine.t TO `+other+` WITH GRANT OPTION;
			ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO `+other+`; ALTER DEFAULT PRIVILEGES IN SCHEMA mine GRANT EXECUTE ON FUNCTIONS TO `+other+`;
			ALTER DATABASE `+db+` SET search_path = mine, "$user", public; ALTER DATABASE `+db+` SET work_mem = '5MB'; ALTER DATABASE `+db+` SET application_name = 'it''s a b'`)
		admin := s.Conn(t, db)
		before := journalQuery(t, admin, journalState)

		j := restore.NewJournal(cfg, restore.JournalOptions{Verb: "migrate", Source: "x"})
		defer j.Close()
		if err := j.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := j.Begin(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		run := func(key, undo string, sql string) {
			t.Helper()
			sql = "BEGIN;" + sql + ";" + j.Notes([]restore.Note{{Key: key, Phase: "one", Undo: undo}}) + "COMMIT"
			if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		run("SCHEMA new", "'DROP SCHEMA new'", "CREATE SCHEMA new")
		run("TABLE new.a", "'DROP TABLE new.a'", "CREATE TABLE new.a (a int)")
		run("VIEW new.b", "'DROP VIEW new.b'", `CREATE VIEW new.b AS SELECT a, 'it''s \ here' AS t FROM new.a`)
		run("privileges", "NULL", `REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE, CREATE ON SCHEMA public TO `+other+` WITH GRANT OPTION;
			COMMENT ON SCHEMA public IS 'changed'; COMMENT ON SCHEMA mine IS NULL;
			REVOKE CONNECT, TEMPORARY ON DATABASE `+db+` FROM PUBLIC; GRANT CREATE ON DATABASE `+db+` TO `+other+`; COMMENT ON DATABASE `+db+` IS 'new';
			REVOKE ALL ON mine.t FROM PUBLIC; REVOKE GRANT OPTION FOR SELECT ON mine.t FROM `+other+`; GRANT UPDATE (a, b) ON mine.t TO `+other+`; REVOKE SELECT (a) ON mine.t FROM `+other+`; GRANT SELECT ON mine.v TO PUBLIC;
			ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM `+other+`; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA mine GRANT SELECT ON TABLES TO `+other+` WITH GRANT OPTION;
			ALTER DATABASE `+db+` SET search_path = public; ALTER DATABASE `+db+` RESET work_mem; ALTER DATABASE `+db+` SET application_name = 'c'; ALTER DATABASE `+db+` SET timezone = 'UTC'; ALTER ROLE `+me+` IN DATABASE `+db+` SET work_mem = '6MB'`)
		if journalQuery(t, admin, journalState) == before {
			t.Fatal("nothing has changed")
		}
		undo, err := j.Rollback(t.Context(), nil, "one")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range undo.Remains {
			t.Errorf("remains: %s: %s: %v", r.Key, r.SQL, r.Err)
		}
		if undo.Steps != 4 {
			t.Errorf("%d steps taken back", undo.Steps)
		}
		if err := j.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := journalQuery(t, admin, journalState); after != before {
			t.Errorf("before:\n%s\n\nafter:\n%s", before, after)
		}
	})
}

// An extension is dropped with those it needed, but not one that was there.
func TestJournalExtension(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		cfg, db, me := owned(t, s)
		s.ExecAs(t, me, db, "CREATE EXTENSION btree_gist WITH SCHEMA pg_catalog")
		j := restore.NewJournal(cfg, restore.JournalOptions{Source: "x"})
		defer j.Close()
		if err := j.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{"CREATE EXTENSION IF NOT EXISTS btree_gist", "CREATE EXTENSION IF NOT EXISTS earthdistance CASCADE"} {
			name := strings.Fields(sql)[5]
			note := j.Record([]*restore.Step{{Key: "EXTENSION " + name, Stage: restore.StagePreData, Entry: &archive.Entry{Kind: "EXTENSION", Tag: name}, Undo: "DROP EXTENSION IF EXISTS " + name}})
			s.ExecAs(t, s.Superuser, db, "BEGIN;SET LOCAL search_path = public;"+sql+";"+note+"COMMIT")
		}
		s.Exec(t, db, "UPDATE pg_extension SET extowner = '"+me+"'::regrole WHERE extname IN ('earthdistance', 'cube')")
		undo, err := j.Rollback(t.Context(), nil, "schema-data")
		if err != nil || len(undo.Remains) > 0 {
			t.Fatalf("%+v %v", undo, err)
		}
		if got := s.Text(t, db, "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension"); got != "btree_gist plpgsql" {
			t.Errorf("extensions: %s", got)
		}
	})
}

// A second run is refused while one is at work, and after it was killed only
// let in to go on, from the same source.
func TestJournalUnfinished(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Versions(t)[0])
	cfg, db, me := owned(t, s)
	open := func(o restore.JournalOptions) (*restore.TargetJournal, error) {
		j := restore.NewJournal(cfg, o)
		t.Cleanup(j.Close)
		return j, j.Start(t.Context())
	}
	if _, err := open(restore.JournalOptions{Resume: true}); !errors.Is(err, restore.ErrNoJournal) {
		t.Errorf("resume of nothing: %v", err)
	}
	first, err := open(restore.JournalOptions{Source: "a", Details: `{"x": 1}`})
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.ConnectConfig(t.Context(), first.Target())
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close(context.WithoutCancel(t.Context()))
	s.ExecAs(t, me, db, first.Notes([]restore.Note{{Key: `TABLE "it's\"`, Phase: "schema-data", Hash: "h", Undo: "NULL"}}))
	first.Close()

	if _, err := open(restore.JournalOptions{Source: "a"}); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a run over an unfinished one: %v", err)
	} else if unfinished, ok := errors.AsType[*restore.UnfinishedError](err); !ok || unfinished.Run.Details != `{"x": 1}` {
		t.Errorf("%+v", unfinished)
	}
	if _, err := open(restore.JournalOptions{Source: "b", Resume: true}); err == nil || !strings.Contains(err.Error(), "another source") {
		t.Errorf("resume from another source: %v", err)
	}
	second, err := open(restore.JournalOptions{Source: "a", Resume: true})
	if err != nil {
		t.Fatal(err)
	}
	if !second.Resumed() || second.Run().ID != first.Run().ID || !second.Has(`TABLE "it's\"`) {
		t.Errorf("resumed %v, run %s of %s", second.Resumed(), second.Run().ID, first.Run().ID)
	}
	if _, err := left.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a session of the killed run is still there")
	}
	second.Close()
	third, err := open(restore.JournalOptions{Source: "b", Discard: true})
	if err != nil {
		t.Fatal(err)
	}
	if third.Has(`TABLE "it's\"`) || third.Run().ID == first.Run().ID {
		t.Error("a discarded journal lives on")
	}
	if err := third.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Text(t, db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul'"); n != "0" {
		t.Error("the journal is still there")
	}
}

// A journal of somebody else is not trusted: its contents are run as SQL.
func TestJournalOfOthers(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Versions(t)[0])
	cfg, db, me := owned(t, s)
	s.Exec(t, db, "CREATE SCHEMA pghaul")
	j := restore.NewJournal(cfg, restore.JournalOptions{Resume: true})
	if err := j.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "not a journal of this role") {
		t.Errorf("a schema of somebody else: %v", err)
	}
	s.Exec(t, db, "DROP SCHEMA pghaul")
	j = restore.NewJournal(cfg, restore.JournalOptions{})
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	j.Close()
	s.ExecAs(t, me, db, "GRANT USAGE ON SCHEMA pghaul TO PUBLIC; GRANT INSERT ON pghaul.step TO PUBLIC")
	j = restore.NewJournal(cfg, restore.JournalOptions{Resume: true})
	if err := j.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "not a journal of this role") {
		t.Errorf("a journal that others write to: %v", err)
	}
}

func TestJournalRefused(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Versions(t)[0])
	me := s.Role(t, "LOGIN")
	db := s.Database(t)
	cfg, err := pgx.ParseConfig(s.UserDSN(me, db))
	if err != nil {
		t.Fatal(err)
	}
	j := restore.NewJournal(cfg, restore.JournalOptions{})
	err = j.Start(t.Context())
	refused, ok := errors.AsType[*restore.JournalError](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	if pe, ok := errors.AsType[*pgconn.PgError](refused); !ok || pe.Code != "42501" {
		t.Errorf("%v", err)
	}
}

// A session that was lost with a COMMIT on its way either has committed when
// Settle returns, or never will.
func TestJournalSettle(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Versions(t)[0])
	cfg, db, _ := owned(t, s)
	j := restore.NewJournal(cfg, restore.JournalOptions{})
	defer j.Close()
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect := func() *pgconn.PgConn {
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn.PgConn()
	}
	lost, other := connect(), connect()
	exec := func(c *pgconn.PgConn, sql string) error {
		_, err := c.Exec(t.Context(), sql).ReadAll()
		return err
	}
	note := func(key string) string {
		return j.Notes([]restore.Note{{Key: key, Phase: "schema-data", Undo: "NULL"}})
	}
	settle := func(key string, want bool) {
		t.Helper()
		done, err := j.Settle(t.Context(), other, []string{key})
		if err != nil {
			t.Fatal(err)
		}
		if done[key] != want {
			t.Errorf("%s: committed %v, want %v", key, done[key], want)
		}
	}

	// The COMMIT has been done.
	if err := exec(lost, "BEGIN; CREATE TABLE public_a (); "+note("a")+"COMMIT"); err != nil {
		t.Fatal(err)
	}
	settle("a", true)

	// It has not, and comes late: twice.
	late := "BEGIN; CREATE TABLE public_b (); " + note("b") + "COMMIT"
	settle("b", false)
	if err := exec(lost, late); err == nil {
		t.Error("a late session has committed a step that was said not to be done")
	}
	if err := exec(lost, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	later := "BEGIN; CREATE TABLE public_b (); " + note("b") + "COMMIT"
	settle("b", false)
	if err := exec(lost, later); err == nil {
		t.Error("a late session has committed the second try")
	}
	if err := exec(lost, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	// Done again, it is done, and recorded once.
	if err := exec(other, "BEGIN; CREATE TABLE public_b (); "+note("b")+"COMMIT"); err != nil {
		t.Fatal(err)
	}
	settle("b", true)
	if got := s.Text(t, db, "SELECT string_agg(key, ' ' ORDER BY key) FROM pghaul.step WHERE void IS NULL"); got != "a b" {
		t.Errorf("steps: %s", got)
	}

	// It is under way: it is waited for.
	if err := exec(lost, "BEGIN; "+note("c")); err != nil {
		t.Fatal(err)
	}
	answer := make(chan map[string]bool)
	go func() {
		done, _ := j.Settle(t.Context(), other, []string{"c"})
		answer <- done
	}()
	waiting := "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '" + db + "'"
	for s.Text(t, db, waiting) == "0" {
		select {
		case done := <-answer:
			t.Fatalf("answered before the session was over: %v", done)
		default:
		}
	}
	if err := exec(lost, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if done := <-answer; !done["c"] {
		t.Error("a step that was committed meanwhile is said not to be done")
	}
}
