package replicate

import (
	"errors"
	"strings"
	"testing"
)

// A follow that was stopped by a change of a table goes on when the target's has been
// changed in the same way, and not before.
func TestAgree(t *testing.T) {
	for name, c := range map[string]struct {
		// first is run on the source, and then change, each followed by more rows.
		first, change string
		rows          string
		never         map[Engine]string
	}{
		"added":   {change: "ALTER TABLE t ADD a int DEFAULT 7", rows: "UPDATE t SET a = 8 WHERE id = 2"},
		"twice":   {first: "ALTER TABLE t ADD a int DEFAULT 7", change: "ALTER TABLE t ADD b text", rows: "UPDATE t SET b = 'b' WHERE id = 2"},
		"dropped": {change: "ALTER TABLE t DROP w", rows: "UPDATE t SET v = 'three' WHERE id = 3"},
		"renamed": {change: "ALTER TABLE t RENAME w TO x", rows: "UPDATE t SET x = 5 WHERE id = 3"},
		"key":     {change: "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, w)", rows: "UPDATE t SET w = 99 WHERE id = 3"},
		"converted": {
			change: "ALTER TABLE t ALTER w TYPE text USING 'number ' || w", rows: "UPDATE t SET w = 'none' WHERE id = 3",
			never: map[Engine]string{EngineNative: "abort, and copy again"},
		},
		"converted after rows": {
			first: "ALTER TABLE t ADD a int", change: "ALTER TABLE t ALTER w TYPE text USING 'number ' || w", rows: "UPDATE t SET w = 'none' WHERE id = 3",
			never: map[Engine]string{EngineNative: "abort, and copy again", EngineApply: `"w" of type int4 instead of text`},
		},
		"dropped anew": {
			change: "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text, w int)", rows: "INSERT INTO t VALUES (3, 'x', 1)",
			never: map[Engine]string{EngineNative: "was dropped on the source"},
		},
	} {
		for _, engine := range []Engine{EngineApply, EngineNative} {
			if engine == EngineApply && name == "dropped anew" {
				continue // nothing comes of the new one, which is told
			}
			t.Run(string(engine)+"/"+strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				e := newest(t)
				e.both(t, "CREATE TABLE t (id int PRIMARY KEY, v text, w int DEFAULT 0)")
				o := e.options(t, "t")
				o.Engine = engine
				e.startNative(t, o)
				r := e.run(t, o)
				if engine == EngineNative {
					e.enabled(t, o.ID)
				}
				more := func(from string) string {
					return "INSERT INTO t (id, v) SELECT i, 'row' FROM generate_series(" + from + ", " + from + " + 9) i; "
				}
				e.source.Exec(t, e.sourceDB, "INSERT INTO t SELECT i, 'row', i FROM generate_series(1, 9) i")
				if c.first != "" {
					e.source.Exec(t, e.sourceDB, c.first)
					e.source.Exec(t, e.sourceDB, more("20"))
				}
				e.source.Exec(t, e.sourceDB, c.change)
				e.source.Exec(t, e.sourceDB, c.rows)
				e.source.Exec(t, e.sourceDB, more("40"))
				ended := r.wait(t)
				if _, ok := errors.AsType[*SchemaError](ended); !ok {
					t.Fatalf("the run did not end by the change: %v", ended)
				}
				if name != "key" { // which the target may have as it likes
					err := Resume(t.Context(), o)
					if _, ok := errors.AsType[*SchemaError](err); !ok {
						t.Fatalf("resumed though the target's table is another: %v", err)
					}
				}
				if !strings.HasPrefix(c.change, "DROP TABLE") {
					e.target.Exec(t, e.targetDB, c.first)
					e.target.Exec(t, e.targetDB, c.change)
				}
				err := Resume(t.Context(), o)
				if want := c.never[engine]; want != "" {
					if err == nil {
						err = e.run(t, o).wait(t)
					}
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%v, want %q", err, want)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if r = e.run(t, o); engine == EngineApply {
					e.drain(t, r, o.ID)
				} else {
					e.caughtUp(t, r, o.ID)
				}
				e.equal(t, "t")
				s, err := Status(t.Context(), o)
				if err != nil || len(s.Warnings) > 0 || s.TableStates[0].State != "following" {
					t.Errorf("%+v, %v", s, err)
				}
			})
		}
	}
}
