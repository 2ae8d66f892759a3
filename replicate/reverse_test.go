package replicate

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest"
)

const family = `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, parent int);
CREATE TABLE audit (what text, id int, PRIMARY KEY (what, id));`

// acting is what the source's application has, and a target at the cut-over.
const acting = `ALTER TABLE child ADD CONSTRAINT child_parent FOREIGN KEY (parent) REFERENCES parent ON DELETE CASCADE;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES ('deleted', OLD.id); RETURN OLD; END $$;
CREATE TRIGGER note AFTER DELETE ON child FOR EACH ROW EXECUTE PROCEDURE note();
CREATE RULE keep AS ON DELETE TO audit DO INSTEAD NOTHING;`

const actingState = `SELECT (SELECT string_agg(tgname || tgenabled::text, ',') FROM pg_trigger WHERE NOT tgisinternal) || (SELECT string_agg(pg_get_constraintdef(oid), ',') FROM pg_constraint WHERE contype = 'f')
|| (SELECT string_agg(rulename || ev_enabled::text, ',') FROM pg_rewrite WHERE rulename = 'keep')`

// reversibleEnds are two servers, each of which can be followed.
func reversibleEnds(t *testing.T, from, to int) *ends {
	t.Helper()
	e := &ends{source: pgtest.Logical(t, from), target: pgtest.Logical(t, to)}
	e.sourceDB, e.targetDB = e.source.Database(t), e.target.Database(t)
	return e
}

// swapped are the ends the other way around.
func (e *ends) swapped() *ends {
	return &ends{source: e.target, target: e.source, sourceDB: e.targetDB, targetDB: e.sourceDB}
}

// There and back again, with writes all the time.
func TestCutback(t *testing.T) {
	for _, engine := range []Engine{EngineApply, EngineNative} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			from := pgtest.Versions(t)[0]
			if engine == EngineNative {
				from = latest(t)
			}
			e := reversibleEnds(t, from, latest(t))
			e.both(t, accounts+family)
			e.source.Exec(t, e.sourceDB, fill+";"+acting+"INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1), (20, 2)")
			state := e.source.Text(t, e.sourceDB, actingState)
			o := withLog(e.options(t, "account", "entry", "parent", "child", "audit"))
			o.Engine = engine
			e.target.Exec(t, e.targetDB, acting)
			w := write(t, o.Source, true)
			f := e.startNative(t, o)
			if err := f.Quiet(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.run(t, o)
			if _, err := Cutback(t.Context(), o, CutoverOptions{}); err == nil {
				t.Fatal("went back from where nobody has gone")
			}
			report, err := Cutover(t.Context(), o, CutoverOptions{Reversible: true})
			if err != nil {
				t.Fatalf("%v: %+v", err, report)
			}
			t.Logf("downtime %v: %+v", report.Downtime, report.Steps)
			n := w.end()
			e.equal(t, "account", "entry", "log", "parent", "child", "audit")
			if writable(t, e.source, e.sourceDB) {
				t.Error("the source is not fenced")
			}

			// The target is in charge, with its triggers.
			if got := e.target.Text(t, e.targetDB, actingState); got != state {
				t.Errorf("the target has %s, the source had %s", got, state)
			}
			w = write(t, o.Target, true)
			back, err := ReverseOptions(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if back.ID != report.Reverse {
				t.Errorf("the follow back is %s, and reported as %s", back.ID, report.Reverse)
			}
			r := e.swapped().run(t, back)
			e.target.Exec(t, e.targetDB, "DELETE FROM parent WHERE id = 1")
			wait4(t, "changes that come back", func() bool { return e.source.Text(t, e.sourceDB, "SELECT count(*) FROM audit") == "1" })

			// A cutback that fails leaves the target in charge.
			refused := errors.New("refused")
			if _, err := Cutback(t.Context(), o, CutoverOptions{Verify: func(context.Context) error { return refused }}); !errors.Is(err, refused) {
				t.Fatal(err)
			}
			if writable(t, e.source, e.sourceDB) || !writable(t, e.target, e.targetDB) {
				t.Error("a cutback that failed has changed who is in charge")
			}
			_ = r.wait(t)
			r = e.swapped().run(t, back)
			e.target.Exec(t, e.targetDB, "DELETE FROM parent WHERE id = 2")
			wait4(t, "changes after that", func() bool { return e.source.Text(t, e.sourceDB, "SELECT count(*) FROM audit") == "2" })

			report, err = Cutback(t.Context(), o, CutoverOptions{})
			if err != nil || !report.Done {
				t.Fatalf("%v: %+v", err, report)
			}
			m := w.end()
			_ = r.wait(t)
			e.equal(t, "account", "entry", "log", "parent", "child", "audit")
			if got := e.source.Text(t, e.sourceDB, "SELECT count(*) FROM entry"); got != strconv.Itoa(2*(n+m)) {
				t.Errorf("%s entries of %d and %d transactions", got, n, m)
			}
			if !writable(t, e.source, e.sourceDB) || writable(t, e.target, e.targetDB) {
				t.Error("writes go to the wrong end")
			}
			if got := e.source.Text(t, e.sourceDB, actingState); got != state {
				t.Errorf("the source had %s and has %s", state, got)
			}
			e.source.Exec(t, e.sourceDB, "INSERT INTO entry (account, amount) VALUES (1, 0)")
			if got := e.target.Text(t, e.targetDB, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"); got != "0" {
				t.Error("a slot is left on the target")
			}
			if err := Abort(t.Context(), back); err != nil {
				t.Error(err)
			}
			if got := e.source.Text(t, e.sourceDB, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pghaul%'"); got != "0" {
				t.Error("the state is left on the source")
			}
		})
	}
}

// A failure after the other direction was begun takes that back, too.
func TestReverseUndone(t *testing.T) {
	t.Parallel()
	e := reversibleEnds(t, latest(t), latest(t))
	e.both(t, accounts+family)
	e.source.Exec(t, e.sourceDB, fill+";"+acting)
	state := e.source.Text(t, e.sourceDB, actingState)
	o := withLog(e.options(t, "account", "entry", "parent", "child", "audit"))
	e.startNative(t, o)
	control, err := openControl(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{control: control, cut: CutoverOptions{Reversible: true}, report: &CutoverReport{}}
	if err := c.startReverse(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := e.source.Text(t, e.sourceDB, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"); got != "0" {
		t.Error("a foreign key that acts is there while changes come back")
	}
	c.reverse.Close()
	c.close()
	// Another process takes it all back.
	refused := errors.New("refused")
	report, err := Cutover(t.Context(), o, CutoverOptions{Reversible: true, Verify: func(context.Context) error { return refused }})
	if !errors.Is(err, refused) || report.Reverse != "" {
		t.Fatalf("%v: %+v", err, report)
	}
	if got := e.source.Text(t, e.sourceDB, actingState); got != state {
		t.Errorf("the source had %s and has %s", state, got)
	}
	for _, s := range []struct {
		server *pgtest.Server
		db     string
		slots  string
	}{{e.source, e.sourceDB, "1"}, {e.target, e.targetDB, "0"}} {
		if got := s.server.Text(t, s.db, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"); got != s.slots {
			t.Errorf("%s slots on %s", got, s.db)
		}
	}
	if !writable(t, e.source, e.sourceDB) {
		t.Error("the fence is left")
	}
}

// A target that cannot be followed is found before the fence.
func TestReverseRefused(t *testing.T) {
	t.Parallel()
	e := newEnds(t, latest(t), latest(t)) // its target has wal_level = replica
	e.both(t, accounts)
	o := withLog(e.options(t, "account", "entry"))
	e.startNative(t, o)
	report, err := Cutover(t.Context(), o, CutoverOptions{Reversible: true})
	if err == nil || !strings.Contains(err.Error(), "wal_level") || report.Downtime != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
