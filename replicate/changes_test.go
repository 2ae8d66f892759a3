package replicate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// newest are ends of the newest version to be tested.
func newest(t *testing.T) *ends {
	t.Helper()
	majors := pgtest.Versions(t)
	m := majors[len(majors)-1]
	return newEnds(t, m, m)
}

// stage is what the target knows of the follow.
func (e *ends) stage(t *testing.T, id string) string {
	t.Helper()
	return e.target.Text(t, e.targetDB, "SELECT stage FROM pghaul_follow.follow WHERE id = '"+id+"'")
}

// A change that does not fit ends the run with the row named; what was committed
// before it is on the target, nothing of its transaction is, and the run goes on
// with it when the target has been put right.
func TestConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		target string // what somebody does on the target
		change string
		want   []string
		repair string
	}{
		"insert": {
			"INSERT INTO t VALUES (10, 'mine')", "INSERT INTO t VALUES (10, 'theirs')",
			[]string{"insert", `id = "10"`, "public.t", "duplicate key"},
			"DELETE FROM t WHERE id = 10",
		},
		"update": {
			"DELETE FROM t WHERE id = 2", "UPDATE t SET v = 'new' WHERE id = 2",
			[]string{"update", `id = "2"`, "0 rows"},
			"INSERT INTO t VALUES (2, 'two')",
		},
		"key": {
			"DELETE FROM t WHERE id = 2", "UPDATE t SET id = 20 WHERE id = 2",
			[]string{"update", `id = "2"`, "0 rows"},
			"INSERT INTO t VALUES (2, 'two')",
		},
		"delete": {
			"DELETE FROM t WHERE id = 2", "DELETE FROM t WHERE id = 2",
			[]string{"delete", `id = "2"`, "0 rows"},
			"INSERT INTO t VALUES (2, 'two')",
		},
		"whole row": {
			"UPDATE f SET v = 'other' WHERE a = 1", "DELETE FROM f WHERE a = 1",
			[]string{"delete", `a = "1"`, `v = "x"`, "public.f", "0 rows"},
			"UPDATE f SET v = 'x' WHERE a = 1",
		},
		"check": {
			"ALTER TABLE t ADD CONSTRAINT short CHECK (length(v) < 9)", "UPDATE t SET v = 'much too long' WHERE id = 1",
			[]string{"update", `id = "1"`, "short"},
			"ALTER TABLE t DROP CONSTRAINT short",
		},
		"deferred": {
			"CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1), (2); ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES other DEFERRABLE",
			"INSERT INTO t VALUES (5, 'five')",
			[]string{"public.t", "foreign key"},
			"INSERT INTO other VALUES (5), (6), (7)",
		},
		"truncate": {
			"CREATE TABLE other (id int REFERENCES t)", "TRUNCATE t, f", []string{"truncate", "public.t", "foreign key"}, "DROP TABLE other",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newest(t)
			e.both(t, "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE f (a int, v text); ALTER TABLE f REPLICA IDENTITY FULL")
			e.source.Exec(t, e.sourceDB, "INSERT INTO t VALUES (1, 'one'), (2, 'two'); INSERT INTO f VALUES (1, 'x')")
			o := e.options(t, "t", "f")
			e.start(t, o)
			e.target.Exec(t, e.targetDB, c.target)
			e.source.Exec(t, e.sourceDB, "INSERT INTO f VALUES (2, 'before')")
			e.source.Exec(t, e.sourceDB, "INSERT INTO f VALUES (3, 'with'); "+c.change)
			if strings.Contains(name, "deferred") {
				e.source.Exec(t, e.sourceDB, "INSERT INTO t VALUES (6, 'six')")
			}
			e.source.Exec(t, e.sourceDB, "INSERT INTO f VALUES (4, 'after')")
			r := e.run(t, o)
			err := r.wait(t)
			conflict, ok := errors.AsType[*ConflictError](err)
			if !ok {
				t.Fatalf("%T: %v", err, err)
			}
			for _, w := range c.want {
				if !strings.Contains(conflict.Error(), w) {
					t.Errorf("%q is not in: %v", w, conflict)
				}
			}
			if got := e.target.Text(t, e.targetDB, "SELECT string_agg(v, ',' ORDER BY a) FROM f WHERE a > 1"); got != "before" {
				t.Errorf("applied is %q", got)
			}
			if got := e.target.Text(t, e.targetDB, "SELECT stage || ': ' || detail FROM pghaul_follow.follow"); !strings.HasPrefix(got, "failed: ") || !strings.Contains(got, c.want[0]) {
				t.Errorf("the target knows %q", got)
			}
			e.target.Exec(t, e.targetDB, c.repair)
			e.drain(t, e.run(t, o), o.ID)
			e.equal(t, "t", "f")
		})
	}
}

// A table that changes on the source ends the run before anything is applied that
// was written to it afterwards, with the difference.
func TestSchemaChanges(t *testing.T) {
	for name, c := range map[string]struct{ ddl, change, want string }{
		"added":       {"ALTER TABLE t ADD extra int DEFAULT 7", "INSERT INTO t VALUES (9, 'nine')", `a new column "extra" of type int4`},
		"dropped":     {"ALTER TABLE t DROP v", "INSERT INTO t VALUES (9)", `no column "v" any more`},
		"column":      {"ALTER TABLE t RENAME v TO w", "INSERT INTO t VALUES (9, 'nine')", `no column "v" any more, has a new column "w"`},
		"type":        {"ALTER TABLE t ALTER id TYPE bigint", "INSERT INTO t VALUES (9, 'nine')", `"id" of type int8 instead of integer`},
		"length":      {"ALTER TABLE t ALTER v TYPE varchar(40)", "INSERT INTO t VALUES (9, 'nine')", `"v" that is no longer character varying(20)`},
		"name":        {"ALTER TABLE t RENAME TO u", "INSERT INTO u VALUES (9, 'nine')", "another name: public.u"},
		"identity":    {"ALTER TABLE t REPLICA IDENTITY FULL", "UPDATE t SET v = 'nine'", "another replica identity"},
		"key":         {"ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, v)", "UPDATE t SET v = 'nine'", `the column "v" in its key`},
		"partition":   {"CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2)", "INSERT INTO p VALUES (2)", "public.p_2 on the source is new"},
		"new type":    {"CREATE TYPE mood AS ENUM ('a'); ALTER TABLE t ADD m mood", "UPDATE t SET m = 'a'", `a new column "m" of type number`},
		"with rows":   {"ALTER TABLE t ADD extra int; UPDATE t SET extra = 1", "SELECT 1", `a new column "extra"`},
		"not noticed": {"CREATE INDEX ON t (v); ALTER TABLE t ALTER v SET DEFAULT 'x', ADD CHECK (id > 0), ALTER v SET STATISTICS 5; COMMENT ON TABLE t IS 'x'", "INSERT INTO t VALUES (9, 'nine')", ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			e := newest(t)
			e.both(t, "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE o (id int PRIMARY KEY); CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1)")
			e.source.Exec(t, e.sourceDB, "INSERT INTO t VALUES (1, 'one')")
			o := e.options(t, "t", "o", "p")
			e.start(t, o)
			e.source.Exec(t, e.sourceDB, "INSERT INTO o VALUES (1)")
			e.source.Exec(t, e.sourceDB, "UPDATE t SET v = 'two'")
			e.source.Exec(t, e.sourceDB, c.ddl)
			e.source.Exec(t, e.sourceDB, "INSERT INTO o VALUES (2); "+c.change)
			r := e.run(t, o)
			if c.want == "" {
				e.drain(t, r, o.ID)
				e.equal(t, "t", "o")
				return
			}
			err := r.wait(t)
			if se, ok := errors.AsType[*SchemaError](err); !ok || !strings.Contains(se.Error(), c.want) {
				t.Fatalf("%T: %v; want %q", err, err, c.want)
			}
			if got := e.target.Text(t, e.targetDB, "SELECT (SELECT string_agg(v, ',') FROM t) || (SELECT max(id) FROM o)"); name != "with rows" && got != "two1" || name == "with rows" && got != "two1" {
				t.Errorf("on the target is %s", got)
			}
			if got := e.stage(t, o.ID); got != "failed" {
				t.Errorf("stage %s", got)
			}
		})
	}
}

// What the target's tables lack, or would do by themselves, is told at once.
func TestTargetThatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct{ target, want string }{
		"missing":      {"DROP TABLE c", "no such table"},
		"column":       {"ALTER TABLE c DROP v", `no column "v"`},
		"generated":    {"ALTER TABLE c DROP v, ADD v text GENERATED ALWAYS AS (id::text) STORED", `computes the column "v"`},
		"trigger":      {"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER x BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION f()", "trigger x on public.c"},
		"foreign key":  {"ALTER TABLE c ADD CONSTRAINT away FOREIGN KEY (id) REFERENCES p ON DELETE CASCADE", "foreign key away of public.c"},
		"set null":     {"ALTER TABLE c ADD CONSTRAINT away FOREIGN KEY (id) REFERENCES p ON UPDATE SET NULL", "foreign key away of public.c"},
		"rule":         {"CREATE RULE twice AS ON INSERT TO c DO ALSO DELETE FROM p", "rule twice on public.c"},
		"harmless key": {"ALTER TABLE c ADD FOREIGN KEY (id) REFERENCES p", ""},
		"disabled":     {"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER x BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE c DISABLE TRIGGER USER", ""},
		"more columns": {"ALTER TABLE c ADD more int DEFAULT 1", ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			e := newest(t)
			e.both(t, "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, v text)")
			o := e.options(t, "p", "c")
			e.start(t, o)
			e.target.Exec(t, e.targetDB, c.target)
			e.source.Exec(t, e.sourceDB, "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 'x')")
			r := e.run(t, o)
			if c.want == "" {
				e.drain(t, r, o.ID)
				if got := e.target.Text(t, e.targetDB, "SELECT v FROM c"); got != "x" {
					t.Errorf("v is %q", got)
				}
				return
			}
			if err := r.wait(t); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if n := e.target.Text(t, e.targetDB, "SELECT count(*) FROM p"); n != "0" {
				t.Errorf("%s rows were applied", n)
			}
		})
	}
}

// Deferrable constraints are checked when a transaction ends, as on the source.
func TestDeferredConstraints(t *testing.T) {
	t.Parallel()
	e := newest(t)
	e.both(t, `CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree DEFERRABLE INITIALLY IMMEDIATE, place int UNIQUE DEFERRABLE INITIALLY IMMEDIATE)`)
	o := e.options(t, "tree")
	e.start(t, o)
	r := e.run(t, o)
	e.source.Exec(t, e.sourceDB, "INSERT INTO tree VALUES (1, 2, 1), (2, 3, 2), (3, 1, 3)") // each row before the one it refers to
	e.source.Exec(t, e.sourceDB, "UPDATE tree SET place = place % 3 + 1")
	e.drain(t, r, o.ID)
	e.equal(t, "tree")
}

// Rows and names are other ones on the target, and what a source table holds is
// found in a table that is partitioned.
func TestOtherNames(t *testing.T) {
	t.Parallel()
	e := newest(t)
	e.source.Exec(t, e.sourceDB, `CREATE SCHEMA "Old s"; CREATE TABLE "Old s"."T ""q""" ("Id" int PRIMARY KEY, "select" text, "a b" int); CREATE TABLE nokey (a int, v text, f float8); ALTER TABLE nokey REPLICA IDENTITY FULL;
CREATE TABLE empty (); ALTER TABLE empty REPLICA IDENTITY FULL; CREATE TABLE keys (a int, b text, PRIMARY KEY (b, a))`)
	e.target.Exec(t, e.targetDB, `CREATE SCHEMA "new"; CREATE TABLE "new"."U'" ("a b" int, "select" text, "Id" int PRIMARY KEY);
CREATE TABLE nokey (v text, a int, f float8) PARTITION BY HASH (a); CREATE TABLE nokey_0 PARTITION OF nokey FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE nokey_1 PARTITION OF nokey FOR VALUES WITH (MODULUS 2, REMAINDER 1); CREATE TABLE empty (); CREATE TABLE keys (a int, b text, PRIMARY KEY (b, a))`)
	o := e.options(t, "nokey", "empty", "keys")
	o.Tables = append(o.Tables, Table{Schema: "Old s", Name: `T "q"`, TargetSchema: "new", TargetName: "U'"})
	e.start(t, o)
	r := e.run(t, o)
	e.source.Exec(t, e.sourceDB, `INSERT INTO "Old s"."T ""q""" VALUES (1, 'a', 2), (3, NULL, NULL); UPDATE "Old s"."T ""q""" SET "Id" = "Id" * 2, "select" = 'b' WHERE "Id" = 3;
INSERT INTO nokey SELECT i % 4, 'x', i % 2 FROM generate_series(1, 40) i; INSERT INTO empty SELECT FROM generate_series(1, 3); INSERT INTO keys VALUES (1, 'x'), (2, 'y')`)
	e.source.Exec(t, e.sourceDB, `UPDATE nokey SET v = 'y', a = 7 WHERE ctid IN (SELECT ctid FROM nokey WHERE a = 1 LIMIT 3); DELETE FROM nokey WHERE ctid IN (SELECT ctid FROM nokey WHERE a = 2 LIMIT 4);
DELETE FROM empty WHERE ctid = '(0,2)'; UPDATE keys SET a = 1 WHERE a = 1`)
	e.drain(t, r, o.ID)
	e.equalTables(t, `(SELECT "Id", "select", "a b" FROM "Old s"."T ""q""")`, `(SELECT "Id", "select", "a b" FROM "new"."U'")`)
	e.equalTables(t, "(SELECT a, v, f FROM nokey)", "(SELECT a, v, f FROM nokey)")
	e.equal(t, "keys")
	if n := e.target.Text(t, e.targetDB, "SELECT count(*) FROM empty"); n != "2" {
		t.Errorf("%s rows without columns", n)
	}
}

// Among rows that are equal and yet differ, the right one is changed.
func TestEqualRowsThatDiffer(t *testing.T) {
	t.Parallel()
	e := newest(t)
	e.both(t, "CREATE TABLE f (v text, n numeric, x float8, c char(5), i interval, j jsonb); ALTER TABLE f REPLICA IDENTITY FULL")
	o := e.options(t, "f")
	e.start(t, o)
	r := e.run(t, o)
	e.source.Exec(t, e.sourceDB, `INSERT INTO f VALUES ('a', 1.0, 0, 'x', '30 days', '1.0'), ('a', 1.00, '-0', 'x', '1 mon', '1.00'), ('a', 1.000, 0, 'x', '720:00', '1'), ('a', 1.0, 0, NULL, '30 days', '1.0')`)
	e.source.Exec(t, e.sourceDB, `DELETE FROM f WHERE n::text = '1.00'; UPDATE f SET v = 'b' WHERE n::text = '1.000'; UPDATE f SET v = 'c' WHERE c IS NULL`)
	e.drain(t, r, o.ID)
	e.equal(t, "f")
}

// A follow is paused and resumed by what others write into its record, told when it
// has ended, and given up when it has lost what it needs.
func TestOrders(t *testing.T) {
	t.Parallel()
	e := newest(t)
	ctx := t.Context()
	e.both(t, "CREATE TABLE t (id int PRIMARY KEY)")
	o := e.options(t, "t")
	if _, err := Attach(ctx, o); !errors.Is(err, ErrNoFollow) {
		t.Errorf("attached to nothing: %v", err)
	}
	f, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Cleanup(func() { e.end(t, f) })
	if err := e.run(t, o).wait(t); err == nil || !strings.Contains(err.Error(), "have not been copied") {
		t.Errorf("ran before the copy was done: %v", err)
	}
	if err := f.CopyDone(ctx); err != nil {
		t.Fatal(err)
	}
	set := func(what string) {
		e.target.Exec(t, e.targetDB, "UPDATE pghaul_follow.follow SET "+what)
	}
	r := e.run(t, o)
	e.source.Exec(t, e.sourceDB, "INSERT INTO t VALUES (1)")
	set("pause = true")
	if err := r.wait(t); !errors.Is(err, ErrPaused) {
		t.Errorf("paused: %v", err)
	}
	if got := e.stage(t, o.ID); got != "paused" {
		t.Errorf("stage %s", got)
	}
	e.source.Exec(t, e.sourceDB, "INSERT INTO t VALUES (2)")
	if err := e.run(t, o).wait(t); !errors.Is(err, ErrPaused) {
		t.Errorf("still paused: %v", err)
	}
	set("pause = false")
	// StopAt between two transactions: what is before is applied and nothing after.
	e.stopHere(t, o.ID)
	e.source.Exec(t, e.sourceDB, "INSERT INTO t VALUES (3)")
	if err := e.run(t, o).wait(t); err != nil {
		t.Error(err)
	}
	if got := e.target.Text(t, e.targetDB, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t"); got != "1,2" {
		t.Errorf("applied is %s", got)
	}
	set("stop_at = NULL")
	e.drain(t, e.run(t, o), o.ID)
	e.equal(t, "t")

	// An earlier run ends when a later one begins.
	first := e.run(t, o)
	waitFor(t, func() bool {
		return e.text(t, "SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name = 'pghaul_"+o.ID+"'") == "1"
	})
	second := e.run(t, o)
	if err := first.wait(t); !errors.Is(err, ErrTakenOver) {
		t.Errorf("taken over: %v", err)
	}
	set("stage = 'aborted'")
	if err := second.wait(t); !errors.Is(err, ErrEnded) {
		t.Errorf("aborted: %v", err)
	}
	if err := e.run(t, o).wait(t); !errors.Is(err, ErrEnded) {
		t.Errorf("ran after its end: %v", err)
	}
	set("stage = 'following'")

	// The target was put back: the source has nothing any more that it lacks.
	now := e.target.Text(t, e.targetDB, "SELECT applied_lsn FROM pghaul_follow.follow")
	set("applied_lsn = consistent_lsn")
	if err := e.run(t, o).wait(t); err == nil || !strings.Contains(err.Error(), "lost committed transactions") {
		t.Errorf("ran over a gap: %v", err)
	}
	set("source_system = '7', applied_lsn = '" + now + "'")
	if err := e.run(t, o).wait(t); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("ran on another source: %v", err)
	}
	e.end(t, f)
	if err := e.run(t, o).wait(t); err == nil || !strings.Contains(err.Error(), "no replication slot") {
		t.Errorf("ran without its slot: %v", err)
	}
}

func (e *ends) text(t *testing.T, sql string) string {
	t.Helper()
	return e.source.Text(t, e.sourceDB, sql)
}

// waitFor waits until something is true.
func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true")
		}
		if err := pg.Sleep(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// The position of a source moves in which nothing happens to the tables.
func TestIdleSource(t *testing.T) {
	t.Parallel()
	e := newest(t)
	e.both(t, "CREATE TABLE t (id int PRIMARY KEY)")
	e.source.Exec(t, e.sourceDB, "CREATE TABLE other (id int)")
	o := e.options(t, "t")
	o.Heartbeat = 100 * time.Millisecond
	e.start(t, o)
	r := e.run(t, o)
	e.source.Exec(t, e.sourceDB, "INSERT INTO other SELECT generate_series(1, 1000)")
	lsn := e.text(t, "SELECT pg_current_wal_lsn()")
	waitFor(t, func() bool {
		return e.text(t, "SELECT confirmed_flush_lsn >= '"+lsn+"' FROM pg_replication_slots WHERE slot_name = 'pghaul_"+o.ID+"'") == "t"
	})
	r.stop(t)
	if n := e.target.Text(t, e.targetDB, "SELECT transactions FROM pghaul_follow.follow"); n != "0" {
		t.Errorf("%s transactions", n)
	}
}

// Large values and many of them go through, in transactions larger than a batch.
func TestLargeTransactions(t *testing.T) {
	t.Parallel()
	e := newest(t)
	e.both(t, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	o := e.options(t, "t")
	o.BatchBytes, o.BatchChanges = 1<<20, 100
	e.start(t, o)
	r := e.run(t, o)
	e.source.Exec(t, e.sourceDB, "INSERT INTO t SELECT i, repeat(md5(i::text), 20000) FROM generate_series(1, 60) i") // 38 MB
	e.source.Exec(t, e.sourceDB, "INSERT INTO t SELECT i, i FROM generate_series(100, 5000) i; UPDATE t SET id = -id; DELETE FROM t WHERE id % 3 = 0")
	e.drain(t, r, o.ID)
	count := "SELECT count(*) || ' ' || sum(id) || ' ' || sum(length(v)) || ' ' || md5(string_agg(md5(v), '' ORDER BY id)) FROM t"
	if a, b := e.text(t, count), e.target.Text(t, e.targetDB, count); a != b {
		t.Errorf("source %s, target %s", a, b)
	}
}

// A source that keeps text as bytes is followed byte by byte.
func TestBytesWithoutEncoding(t *testing.T) {
	t.Parallel()
	e := newest(t)
	name := "ascii_" + newID()
	for _, s := range []*pgtest.Server{e.source, e.target} {
		s.Exec(t, "postgres", fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'", name))
		t.Cleanup(func() {
			if err := s.Server.Exec(context.Background(), "postgres", "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		})
	}
	e.sourceDB, e.targetDB = name, name
	script := "SET client_encoding = SQL_ASCII; CREATE TABLE t (id int PRIMARY KEY, v text)"
	e.both(t, script)
	o := e.options(t, "t")
	e.start(t, o)
	r := e.run(t, o)
	conn, err := pg.Connect(t.Context(), o.Source, pg.Write, pg.Options{Encoding: "SQL_ASCII"})
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close(conn)
	if _, err := conn.PgConn().Exec(t.Context(), "INSERT INTO public.t VALUES (1, E'a\\xe9\\xffz')").ReadAll(); err != nil {
		t.Fatal(err)
	}
	e.drain(t, r, o.ID)
	const bytes = "SELECT encode(convert_to(v, 'SQL_ASCII'), 'hex') FROM t"
	if a, b := e.text(t, bytes), e.target.Text(t, e.targetDB, bytes); a != b || a != "61e9ff7a" {
		t.Errorf("source %s, target %s", a, b)
	}
}
