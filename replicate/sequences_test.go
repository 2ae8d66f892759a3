package replicate

import (
	"context"
	"math"
	"testing"
)

func TestSequenceAhead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		last, increment, lowest, highest, headroom, want int64
	}{
		"room":                       {5, 1, 1, math.MaxInt64, 100, 105},
		"no headroom":                {5, 1, 1, 1000, 0, 5},
		"steps":                      {5, 10, 1, 1000, 3, 35},
		"near its end":               {95, 10, 1, 100, 3, 95},
		"less than all fits":         {75, 10, 1, 100, 3, 95},
		"at its end":                 {math.MaxInt64, 1, 1, math.MaxInt64, 100, math.MaxInt64},
		"downwards":                  {-5, -1, -1000, -1, 100, -105},
		"downwards near its end":     {-995, -2, -1000, -1, 100, -999},
		"the widest bounds":          {math.MinInt64, 1, math.MinInt64, math.MaxInt64, 100, math.MinInt64 + 100},
		"the widest bounds, down":    {math.MaxInt64, -1, math.MinInt64, math.MaxInt64, 100, math.MaxInt64 - 100},
		"steps larger than anything": {0, math.MinInt64, math.MinInt64, math.MaxInt64, 100, 0},
	} {
		s := sequence{last: &c.last, increment: c.increment, lowest: c.lowest, highest: c.highest}
		if got := s.ahead(c.headroom); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestSequences(t *testing.T) {
	t.Parallel()
	e := newEnds(t, latest(t), latest(t))
	e.both(t, `CREATE SCHEMA "A b"; CREATE SCHEMA other; CREATE TABLE "A b".t (id serial PRIMARY KEY); CREATE SEQUENCE "A b".down INCREMENT -2; CREATE SEQUENCE "A b".fresh;
CREATE SEQUENCE "A b".ahead; CREATE SEQUENCE "A b".cycling MAXVALUE 10 CYCLE; CREATE SEQUENCE other.s`)
	e.source.Exec(t, e.sourceDB, `CREATE SEQUENCE "A b".missing; CREATE SEQUENCE other.excluded;
SELECT nextval('"A b".t_id_seq'), nextval('"A b".down'), nextval('"A b".ahead'), setval('"A b".cycling', 9), nextval('"A b".missing'), setval('other.s', 7), nextval('other.excluded')`)
	e.target.Exec(t, e.targetDB, `SELECT setval('"A b".ahead', 1000)`)
	o, _ := e.native(t, "A b.t")
	c, err := openControl(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	state := func() string {
		return e.target.Text(t, e.targetDB, `SELECT string_agg(c.relname || ' ' || coalesce(pg_sequence_last_value(c.oid)::text, '-'), ', ' ORDER BY c.relname COLLATE "C") FROM pg_class c WHERE relkind = 'S'`)
	}
	before := state()
	sequences := func(set bool) {
		t.Helper()
		n, warnings, err := c.sequences(context.WithoutCancel(t.Context()), 100, set)
		if err != nil {
			t.Fatal(err)
		}
		if n != 5 || len(warnings) != 1 || warnings[0] != `the target has no sequence "A b".missing, which the source has` {
			t.Errorf("%d sequences, %q", n, warnings)
		}
	}
	sequences(false)
	if got := state(); got != before {
		t.Errorf("sequences were set: %s", got)
	}
	for range 2 {
		sequences(true)
		if got, want := state(), "ahead 1000, cycling 10, down -201, fresh -, s 107, t_id_seq 101"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
