//go:build unix

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A row that differs is found behind the fence and named, and all is undone; when it
// is mended, it is handed over with all rows compared, under other names of schemas
// as well.
func TestCutoverCompares(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	f.source.Exec(t, f.sourceDB, `CREATE SCHEMA "Other.one"; CREATE TABLE "Other.one"."a""b" (id int PRIMARY KEY, v text); INSERT INTO "Other.one"."a""b" SELECT i, i FROM generate_series(1, 10) i`)
	p := f.begin("migrate", "--follow", "--engine", "apply", "--map-schema", "Other.one=elsewhere")
	f.until("following", applying)
	f.target.Exec(t, f.targetDB, `UPDATE orders SET note = 'not that' WHERE id = 77; DELETE FROM elsewhere."a""b" WHERE id = 3`)

	var report jsonCutover
	read := func(out string) {
		t.Helper()
		report = jsonCutover{}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
	}
	out, _ := f.pghaul(0, "cutover", "--dry-run", "--max-downtime", "2m", "--format", "json")
	read(out)
	if v := report.Verify; v == nil || v.Tables != 6 || v.Compared != 6 || len(v.Different) != 0 || report.Downtime <= v.Seconds {
		t.Errorf("a rehearsal does not compare as the cut-over will: %s", out)
	}
	out, _ = f.pghaul(1, "cutover", "--max-downtime", "2m")
	for _, want := range []string{"public.orders", "77", `"Other.one"."a""b": 10 rows at the source, 9 rows at the target`, "the source is in charge as before"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	_ = p.Wait()
	f.source.Exec(t, f.sourceDB, `UPDATE orders SET note = 'all right' WHERE id = 77; UPDATE "Other.one"."a""b" SET v = 'x' WHERE id = 4`)
	f.target.Exec(t, f.targetDB, `INSERT INTO elsewhere."a""b" VALUES (3, 3)`)
	out, _ = f.pghaul(0, "cutover", "--verify=full", "--max-downtime", "2m", "--format", "json")
	read(out)
	if v := report.Verify; !report.Done || report.Downtime <= 0 || v == nil || v.Compared != 6 || v.Rows < 2000+4000+500+10 || len(v.NotCompared)+len(v.Different) != 0 {
		t.Errorf("full: %s", out)
	}
}

// What does not go into the time that is left is left out, the smallest come first.
func TestPace(t *testing.T) {
	t.Parallel()
	const mega = 1 << 20
	tables := []sizedTable{{bytes: 1}, {bytes: mega}, {bytes: 30 * mega}, {bytes: 5000 * mega}}
	p := pace{rate: 20 * mega}
	for _, c := range []struct {
		left time.Duration
		want int
	}{{10 * time.Minute, 4}, {10 * time.Second, 3}, {time.Second, 2}, {10 * time.Millisecond, 1}, {time.Millisecond, 0}, {-time.Second, 0}} {
		if got := p.next(tables, c.left); got != c.want {
			t.Errorf("%v: %d tables, want %d", c.left, got, c.want)
		}
	}
	if got := p.next(tables[3:], 6*time.Minute); got != 1 {
		t.Errorf("one large table that just goes: %d", got)
	}
	p.saw(tables[:2], time.Minute) // too little to tell
	if p.rate != 20*mega {
		t.Errorf("rate %v after a small group", p.rate)
	}
	p.saw(tables[3:], 100*time.Second)
	if p.rate < 50*mega || p.rate > 51*mega || p.takes(tables[3:]).Round(time.Second) != 100*time.Second {
		t.Errorf("rate %v after a large one", p.rate)
	}
}
