package replicate

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// What changes on the source is seen before anything is written to it, and written
// down where others find it.
func TestSourceChanges(t *testing.T) {
	for _, major := range pgtest.Sources(t) {
		t.Run("pg"+strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			e := newEnds(t, major, 18)
			e.both(t, `CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE gone (id int PRIMARY KEY); CREATE TABLE left_out (id int);
CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1)`)
			o := e.options(t, "t", "gone", "p")
			f := e.start(t, o)
			conn := e.source.Conn(t, e.sourceDB)
			if d, err := readDrift(t.Context(), conn, &f.Record); err != nil || len(d.changed)+len(d.missing) != 0 {
				t.Fatal(d, err)
			}
			e.source.Exec(t, e.sourceDB, "ALTER TABLE t ADD extra int, ALTER v TYPE varchar(5); DROP TABLE gone; CREATE TABLE another (id int); CREATE UNLOGGED TABLE fleeting (id int)")
			r := e.run(t, o)
			var text string
			waitFor(t, func() bool {
				text = e.target.Text(t, e.targetDB, "SELECT warnings FROM pghaul_follow.follow")
				return strings.Count(text, "public.") == 3
			})
			r.stop(t)
			f, err := Attach(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"public.another", "public.t ", "public.gone"} {
				if !slices.ContainsFunc(f.Warnings, func(w string) bool { return strings.Contains(w, want) }) {
					t.Errorf("no %q in %s", want, text)
				}
			}
			if len(f.Warnings) != 3 {
				t.Errorf("%d warnings: %s", len(f.Warnings), text)
			}
		})
	}
}
