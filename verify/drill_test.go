package verify_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// rowLines are what is said about the rows of a table.
func rowLines(d *verify.RowDiff) []string {
	if d == nil {
		return []string{"nothing was looked for"}
	}
	value := func(v verify.Value) string {
		if v == nil {
			return "NULL"
		}
		return fmt.Sprintf("%q", *v)
	}
	out := []string{fmt.Sprintf("key %s: %d missing, %d extra, %d changed", strings.Join(d.Key, ", "), d.Missing, d.Extra, d.Changed)}
	for _, r := range d.Rows {
		line := string(r.Status)
		for _, v := range r.Key {
			line += " " + value(v)
		}
		for _, c := range r.Columns {
			line += fmt.Sprintf("; %s: %s -> %s", c.Name, value(c.Source), value(c.Target))
		}
		out = append(out, line)
	}
	return out
}

const drilled = `
CREATE TABLE plain (id int PRIMARY KEY, v text, n numeric); INSERT INTO plain SELECT i, 'v' || i, i / 7.0 FROM generate_series(1, 3000) i;
CREATE TABLE pair (v text, a text, b int, UNIQUE (a, b), x bytea); ALTER TABLE pair ALTER a SET NOT NULL, ALTER b SET NOT NULL;
INSERT INTO pair SELECT E'tab\t\\ ''' || i, 'ä' || i % 10, i, decode('00ff', 'hex') FROM generate_series(1, 50) i;
CREATE TABLE bag (a text, b char(4), j json); INSERT INTO bag VALUES ('x', 'y', '{}'), ('x', 'y', '{}'), ('x', 'y', '{}'), (NULL, NULL, NULL), (E'\\N', '', '1'), ('once', 'z', '[]');
CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, g int GENERATED ALWAYS AS (1) STORED, v timestamptz); INSERT INTO always (v) SELECT '2024-01-01 00:00:00+00' FROM generate_series(1, 3);
CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10); CREATE TABLE high PARTITION OF parted DEFAULT;
INSERT INTO parted SELECT i, 'p' || i FROM generate_series(1, 20) i; CREATE TABLE same (x int); INSERT INTO same VALUES (1); CREATE SEQUENCE s; SELECT setval('s', 7)`

const drilledChange = `
DELETE FROM plain WHERE id = 17; INSERT INTO plain VALUES (4000, NULL, 1); UPDATE plain SET v = NULL, n = n + 1 WHERE id = 2999;
UPDATE pair SET v = E'new\nline' WHERE b = 7; DELETE FROM pair WHERE b = 8; UPDATE pair SET a = 'ö' WHERE b = 9;
DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag); INSERT INTO bag VALUES (NULL, NULL, NULL), ('more', 'q', 'null'), ('more', 'q', 'null'); DELETE FROM bag WHERE a = E'\\N';
DELETE FROM always WHERE id = 2; UPDATE always SET v = NULL WHERE id = 3; UPDATE parted SET v = 'q' WHERE id IN (3, 15); SELECT setval('s', 9)`

// The rows that differ are found by their keys, and the statements for the
// repair make the databases equal.
func TestDrillDown(t *testing.T) {
	t.Parallel()
	for _, engine := range []verify.Engine{verify.EngineStream, verify.EnginePush} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			testDrillDown(t, engine)
		})
	}
}

func testDrillDown(t *testing.T, engine verify.Engine) {
	s, d := oldest(t), newest(t)
	source, target := s.Database(t), d.Database(t)
	s.Exec(t, source, drilled)
	d.Exec(t, target, drilled+";"+drilledChange)
	configure(t, d, target, map[string]string{"TimeZone": "Asia/Kolkata", "DateStyle": "German", "bytea_output": "escape"})
	var repair bytes.Buffer
	r := compare(t, s.Config(t, source), d.Config(t, target), verify.Options{Engine: engine, MaxRows: 10, Repair: &repair})
	got := map[string][]string{}
	for _, x := range r.Tables {
		if x.Engine != engine {
			t.Errorf("%s: engine %s", x.Name, x.Engine)
		}
		if !x.Equal {
			got[x.Name] = rowLines(x.Rows)
		}
	}
	want := map[string][]string{
		"plain": {
			"key id: 1 missing, 1 extra, 1 changed", `different "2999"; v: "v2999" -> NULL; n: "428.4285714285714286" -> "429.4285714285714286"`,
			`missing in source "4000"`, `missing in target "17"`,
		},
		"pair": {
			"key a, b: 2 missing, 1 extra, 1 changed", `different "ä7" "7"; v: "tab\t\\ '7" -> "new\nline"`,
			`missing in source "ö" "9"`, `missing in target "ä8" "8"`, `missing in target "ä9" "9"`,
		},
		"bag": {
			"key : 2 missing, 3 extra, 0 changed", `missing in source "more" "q   " "null"`, `missing in source "more" "q   " "null"`, `missing in source NULL NULL NULL`,
			`missing in target "\\N" "    " "1"`, `missing in target "x" "y   " "{}"`,
		},
		"always": {"key id: 1 missing, 0 extra, 1 changed", `different "3"; v: "2024-01-01 00:00:00+00" -> NULL`, `missing in target "2"`},
		"low":    {"key id: 0 missing, 0 extra, 1 changed", `different "3"; v: "p3" -> "q"`},
		"high":   {"key id: 0 missing, 0 extra, 1 changed", `different "15"; v: "p15" -> "q"`},
	}
	for _, lines := range got {
		sortFrom(lines, 1) // which is found first depends on hashes
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if t.Failed() {
		return
	}
	d.Exec(t, target, repair.String())
	if r := compare(t, s.Config(t, source), d.Config(t, target), verify.Options{Engine: engine, MaxRows: 10}); !r.Equal() {
		t.Errorf("after the repair: %v\n%s", differences(r), repair.String())
	}
}

func sortFrom(lines []string, n int) {
	if len(lines) > n {
		for i := n; i < len(lines); i++ {
			for j := i; j > n && lines[j] < lines[j-1]; j-- {
				lines[j], lines[j-1] = lines[j-1], lines[j]
			}
		}
	}
}

// No more rows than were asked for are shown, and no values if they are masked.
func TestDrillLimits(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, "CREATE TABLE secret (id text PRIMARY KEY, v text); INSERT INTO secret SELECT 'key' || i, 'value' || i FROM generate_series(1, 200) i")
	s.Exec(t, target, "UPDATE secret SET v = 'changed'")
	r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{MaxRows: 3, Mask: true})
	want := []string{"key id: 0 missing, 0 extra, 200 changed"}
	for range 3 {
		want = append(want, `different "***"; v: "***" -> "***"`)
	}
	if diff := cmp.Diff(want, rowLines(r.Tables[0].Rows)); diff != "" {
		t.Error(diff)
	}
	for _, engine := range []verify.Engine{verify.EngineStream, verify.EnginePush} {
		r = compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Engine: engine})
		if r.Tables[0].Rows != nil {
			t.Errorf("rows were looked for: %v", rowLines(r.Tables[0].Rows))
		}
	}
}

// An archive's rows can be looked at, too; digests alone cannot.
func TestDrillArchive(t *testing.T) {
	t.Parallel()
	o := pgtest.Oracle(t)
	s := newest(t)
	from, to := s.Database(t), s.Database(t)
	s.Exec(t, from, "CREATE TABLE a (id int PRIMARY KEY, t timestamptz); INSERT INTO a VALUES (1, '2024-01-01 00:00:00+00'), (2, NULL)")
	configure(t, s, from, map[string]string{"TimeZone": "America/New_York"})
	path := filepath.Join(pgtest.TempDir(t), "dump")
	o.Dump(t, "-Fc", "-f", path, "-d", s.DSN(from))
	r := openArchive(t, path)
	if report, err := restore.Run(t.Context(), s.Config(t, to), restore.FromArchive(r), restore.Options{}); err != nil || !report.Complete() {
		t.Fatalf("restore: %v, %+v", err, report)
	}
	s.Exec(t, to, "UPDATE a SET t = now() WHERE id = 2")
	report, err := verify.FromArchive(t.Context(), r, s.Config(t, to), verify.Options{MaxRows: 10, Mask: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"key id: 0 missing, 0 extra, 1 changed", `different "***"; t: "***" -> "***"`}, rowLines(report.Tables[0].Rows)); diff != "" {
		t.Error(diff)
	}
}

// A key that only the source has does not tell the target's rows apart. They are
// repaired all the same.
func TestRepairDuplicates(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT i, 'v' || i FROM generate_series(1, 9) i")
	s.Exec(t, target, `ALTER TABLE a DROP CONSTRAINT a_pkey; INSERT INTO a VALUES (1, 'v1'), (2, 'other'), (4, 'more'), (10, 'x'), (10, 'x'); UPDATE a SET v = 'q' WHERE id IN (4, 5);
		INSERT INTO a VALUES (6, 'v6'), (6, 'v6'), (6, 'z'); DELETE FROM a WHERE id = 7`)
	opts := func(script *strings.Builder) verify.Options {
		return verify.Options{Levels: dataLevels(), Repair: script}
	}
	var script, again strings.Builder
	compare(t, s.Config(t, source), s.Config(t, target), opts(&script))
	s.Exec(t, target, script.String())
	wantDifferences(t, compare(t, s.Config(t, source), s.Config(t, target), opts(&again)))
}

// Rows in COPY's binary format are looked into as well.
func TestDrillBinary(t *testing.T) {
	t.Parallel()
	s := newest(t)
	from, to := s.Database(t), s.Database(t)
	s.Exec(t, from, `CREATE TABLE a (id bigint PRIMARY KEY, s smallint, i int, o oid, b boolean, t varchar(20), c char(3), j jsonb, u uuid, f real, d double precision, dt date,
		ts timestamp(3), tz timestamptz, n numeric, x bytea);
		INSERT INTO a SELECT i, 1, 2, 3, true, E'a\t\\', 'c', '{"k": 1}', '00010203-0405-0607-0809-0a0b0c0d0e0f', 0.1, -0.1, '1999-12-31', '2024-01-01 12:00:00.5', '0044-03-15 00:00:00+00 BC', 1.50, 'x'
			FROM generate_series(1, 300) i;
		CREATE TABLE bag (v text); INSERT INTO bag VALUES ('one'), ('one'), (NULL)`)
	r, _ := archived(t, s, from, s, to, dump.Options{CopyFormat: copyproto.Binary})
	s.Exec(t, to, `UPDATE a SET s = -s, i = -i, o = 4294967295, b = false, t = E'b\n', c = NULL, j = '[]', u = '10010203-0405-0607-0809-0a0b0c0d0e0f', f = '-infinity', d = 0, dt = '2000-01-02', ts = NULL,
			tz = 'infinity', n = -1.50, x = E'\\x00' WHERE id = 7;
		DELETE FROM a WHERE id = 8; INSERT INTO a (id) VALUES (-1); DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag)`)
	var script strings.Builder
	report, err := verify.FromArchive(t.Context(), r, s.Config(t, to), verify.Options{Levels: dataLevels(), MaxRows: 10, Repair: &script})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{
		"key id: 1 missing, 1 extra, 1 changed",
		`different "7"; s: "1" -> "-1"; i: "2" -> "-2"; o: "3" -> "4294967295"; b: "t" -> "f"; t: "a\t\\" -> "b\n"; c: "c  " -> NULL; j: "{\"k\": 1}" -> "[]"; ` +
			`u: "00010203-0405-0607-0809-0a0b0c0d0e0f" -> "10010203-0405-0607-0809-0a0b0c0d0e0f"; f: "0.1" -> "-Inf"; d: "-0.1" -> "0"; dt: "1999-12-31" -> "2000-01-02"; ` +
			`ts: "2024-01-01 12:00:00.5" -> NULL; tz: "-0043-03-15 00:00:00" -> "\\x7fffffffffffffff"; n: "\\x00020000000000020001" + "1388" -> "\\x00020000400000020001" + "1388"; x: "\\x78" -> "\\x00"`,
		`missing in source "-1"`, `missing in target "8"`,
	}, {"key : 1 missing, 0 extra, 0 changed", `missing in target "one"`}}
	want[0][1] = strings.ReplaceAll(want[0][1], `" + "`, "")
	for i, x := range report.Tables {
		got := rowLines(x.Rows)
		slices.Sort(got[1:])
		if diff := cmp.Diff(want[i], got); diff != "" || x.Rows.Problem != "" {
			t.Errorf("%s: %s (-want +got):\n%s", x.Name, x.Rows.Problem, diff)
		}
	}
	if n := strings.Count(script.String(), "which gives no statements"); n != 2 {
		t.Errorf("the repair tells of %d tables:\n%s", n, script.String())
	}
}
