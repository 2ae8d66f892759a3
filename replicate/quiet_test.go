package replicate

import (
	"errors"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// What would act on the target's tables, or refuse an order of rows that the source
// has had, is put off, and comes back as it was.
func TestQuiet(t *testing.T) {
	t.Parallel()
	majors := pgtest.Versions(t)
	e := newEnds(t, majors[len(majors)-1], majors[len(majors)-1])
	e.both(t, `CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t ON DELETE CASCADE, n int NOT NULL DEFAULT 0);
CREATE TABLE log (id int, what text, PRIMARY KEY (id, what));
CREATE TABLE p (id int PRIMARY KEY, t int REFERENCES t) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE loose (id int PRIMARY KEY, t int); ALTER TABLE loose ADD CONSTRAINT "Loose" FOREIGN KEY (t) REFERENCES t ON UPDATE CASCADE NOT VALID;
COMMENT ON CONSTRAINT "Loose" ON loose IS 'it''s loose';
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.id, TG_NAME); RETURN NEW; END $$;
CREATE TRIGGER "Note" AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER always AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE p ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER off AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE t DISABLE TRIGGER off;
CREATE RULE doubled AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.id, 'rule');`)
	const definitions = `SELECT string_agg(line, E'\n' ORDER BY line COLLATE "C") FROM (
  SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || coalesce(' ' || obj_description(oid, 'pg_constraint'), '') FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
  UNION ALL SELECT tgrelid::regclass || ' ' || tgname || ' ' || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT ev_class::regclass || ' ' || rulename || ' ' || ev_enabled::text FROM pg_rewrite WHERE rulename = 'doubled') x(line)`
	before := e.target.Text(t, e.targetDB, definitions)
	if n := strings.Count(before, "\n"); n < 6 {
		t.Fatalf("the fixture has only\n%s", before)
	}
	o := e.options(t, "t", "log", "p", "loose")
	f := e.start(t, o)
	for range 2 {
		if err := f.Quiet(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := e.run(t, o)
	e.source.Exec(t, e.sourceDB, "INSERT INTO t SELECT i, CASE WHEN i NOT IN (1, 21) THEN i - 1 END FROM generate_series(1, 25) i; INSERT INTO p VALUES (1, 1); INSERT INTO loose VALUES (1, 20)")
	e.source.Exec(t, e.sourceDB, "UPDATE t SET id = 30 WHERE id = 20")
	e.source.Exec(t, e.sourceDB, "DELETE FROM t WHERE id = 22")
	e.drain(t, r, o.ID)
	e.equal(t, "t", "log", "p", "loose")
	if err := Wake(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if after := e.target.Text(t, e.targetDB, definitions); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}

	// An abort does the same, and says so where it cannot.
	if err := f.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.target.Exec(t, e.targetDB, "INSERT INTO t VALUES (100, 99)") // no such parent
	if err := Abort(t.Context(), o); err == nil || !strings.Contains(err.Error(), "t_parent_fkey") {
		t.Fatalf("aborted with a row that a foreign key refuses: %v", err)
	}
	e.target.Exec(t, e.targetDB, "DELETE FROM t WHERE id = 100")
	if err := Abort(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if after := e.target.Text(t, e.targetDB, definitions); after != before {
		t.Errorf("before:\n%s\nafter the abort:\n%s", before, after)
	}
}

// A role that is no superuser acts for the owners of the tables as long as it follows.
func TestQuietOwners(t *testing.T) {
	t.Parallel()
	majors := pgtest.Versions(t)
	e := newEnds(t, majors[len(majors)-1], majors[len(majors)-1])
	admin, owner := e.target.Role(t, "LOGIN CREATEROLE"), e.target.Role(t, "NOLOGIN")
	e.both(t, "CREATE TABLE t (id int PRIMARY KEY)")
	e.target.Exec(t, e.targetDB, "GRANT "+owner+" TO "+admin+" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE; ALTER TABLE t OWNER TO "+owner+"; GRANT CREATE ON DATABASE "+e.targetDB+" TO "+admin)
	o := e.options(t, "t")
	o.Target.User = admin
	defer e.target.Exec(t, e.targetDB, "DROP OWNED BY "+admin+", "+owner+" CASCADE")
	f, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.end(t, f)
	if err := errors.Join(f.Quiet(t.Context()), f.CopyDone(t.Context())); err != nil { // there are no rows
		t.Fatal(err)
	}
	r := e.run(t, o)
	e.source.Exec(t, e.sourceDB, "INSERT INTO t VALUES (1)")
	e.drain(t, r, o.ID)
	e.equal(t, "t")
	if err := Abort(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := e.target.Text(t, e.targetDB, "SELECT string_agg(concat_ws(' ', admin_option, inherit_option, set_option), ', ') FROM pg_auth_members WHERE member = '"+admin+"'::regrole AND roleid = '"+owner+"'::regrole"); got != "t f f" && got != "true false false" {
		t.Errorf("memberships after the abort: %s", got)
	}
}
