package verify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/faults"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/pgtest/proxy"
	"github.com/pghaul/pghaul/progress"
	"github.com/pghaul/pghaul/verify"
)

// wantEngines fails unless all tables but the ones named were digested by the
// servers.
func wantEngines(tb testing.TB, r *verify.Report, streamed ...string) {
	tb.Helper()
	if r.Engine != verify.EnginePush {
		tb.Errorf("engine %s: %s", r.Engine, r.EngineReason)
	}
	var got []string
	for _, x := range r.Tables {
		if x.Engine != verify.EnginePush {
			got = append(got, x.Schema+"."+x.Name)
		}
		if (x.Engine == verify.EnginePush) != (x.EngineReason == "") {
			tb.Errorf("%s: engine %s, reason %q", x.Name, x.Engine, x.EngineReason)
		}
	}
	if d := cmp.Diff(streamed, got); d != "" {
		tb.Errorf("streamed tables (-want +got):\n%s", d)
	}
}

// slips are changes of one table, the least of them of one bit. Each is to be
// found by both engines.
var slips = map[string]string{
	"one byte":             "UPDATE %s SET t = overlay(t placing 'X' from 3) WHERE id = 77",
	"one bit":              "UPDATE %s SET b = set_bit(b, 5, 1 - get_bit(b, 5)) WHERE id = 78",
	"one byte of the last": "UPDATE %s SET t = left(t, -1) || '!' WHERE id = 200",
	"a letter's case":      "UPDATE %s SET t = upper(t) WHERE id = 79",
	"a space behind":       "UPDATE %s SET t = t || ' ' WHERE id = 80",
	"an accent's form":     "UPDATE %s SET t = 'e' || chr(769) WHERE id = 81; UPDATE %[1]s SET u = u WHERE false",
	"NULL to empty":        "UPDATE %s SET n = '' WHERE id = 3",
	"NULL to 'NULL'":       "UPDATE %s SET n = 'NULL' WHERE id = 3",
	`NULL to '\N'`:         `UPDATE %s SET n = '\N' WHERE id = 3`,
	"empty to NULL":        "UPDATE %s SET n = NULL WHERE id = 4",
	"a row less":           "DELETE FROM %s WHERE id = 82",
	"the first row less":   "DELETE FROM %s WHERE id = 1",
	"the last row less":    "DELETE FROM %s WHERE id = 200",
	"a row twice":          "INSERT INTO %s SELECT * FROM %[1]s WHERE id = 83",
	"a row thrice":         "INSERT INTO %s SELECT x.* FROM %[1]s x, generate_series(1, 2) WHERE id = 83",
	"another row twice":    "DELETE FROM %s WHERE ctid = (SELECT max(ctid) FROM %[1]s WHERE id = 201); INSERT INTO %[1]s SELECT * FROM %[1]s WHERE id = 202",
	"values of two rows":   "UPDATE %s SET t = CASE id WHEN 10 THEN (SELECT t FROM %[1]s WHERE id = 11) ELSE (SELECT t FROM %[1]s WHERE id = 10) END WHERE id IN (10, 11)",
	"values of columns":    "UPDATE %s SET t = u, u = t WHERE id = 84",
	"a comma's place":      "UPDATE %s SET t = t || ',' || split_part(u, ',', 1), u = split_part(u, ',', 2) WHERE id = 85",
	"a quote":              `UPDATE %s SET t = '"' || t || '"' WHERE id = 86`,
	"trailing zero":        "UPDATE %s SET d = d * 1.0 WHERE id = 87",
	"a microsecond":        "UPDATE %s SET ts = ts + interval '1 microsecond' WHERE id = 88",
	"the last bit":         "UPDATE %s SET f = 0.30000000000000004 WHERE id = 89",
	"an array's bound":     "UPDATE %s SET a = '[0:1]={1,2}' WHERE id = 90",
	"a sign":               "UPDATE %s SET f = '-0' WHERE id = 91",
	"one id":               "UPDATE %s SET id = id + 1000 WHERE id = 92",
	"all rows less":        "DELETE FROM %s",
}

// Every slip that streams show, pushed digests show too, and those of tables in
// which nothing slipped are equal.
func TestSlips(t *testing.T) {
	t.Parallel()
	s := newest(t)
	var make, slip strings.Builder
	make.WriteString(`CREATE TABLE control AS SELECT i AS id, 'value ' || i AS t, 'left,right ' || i AS u, CASE WHEN i % 4 = 0 THEN '' WHEN i % 4 = 1 THEN 'x' END AS n,
		decode(repeat(lpad(to_hex(i), 4, '0'), 40), 'hex') AS b, i / 10.0 AS d, 0.3::float8 AS f, now() + i * interval '1 second' AS ts, ARRAY[1, 2] AS a
		FROM generate_series(1, 200) i;
		UPDATE control SET f = 0 WHERE id = 91; UPDATE control SET t = chr(233) WHERE id = 81;
		INSERT INTO control SELECT 201 + i % 2, 'twice', 'twice', NULL, '', 0, 0, '2020-01-01', NULL FROM generate_series(1, 4) i;`)
	n := 0
	for name, sql := range slips {
		table := fmt.Sprintf("slip%02d", n)
		n++
		fmt.Fprintf(&make, "CREATE TABLE %s AS SELECT * FROM control; COMMENT ON TABLE %[1]s IS '%s';", table, strings.ReplaceAll(name, "'", "''"))
		fmt.Fprintf(&slip, sql+";", table)
	}
	source, target := two(t, s, make.String())
	s.Exec(t, target, slip.String())
	rows := map[string]*verify.RowDiff{} // that differ, by table
	for _, engine := range []verify.Engine{verify.EngineStream, verify.EnginePush} {
		r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Engine: engine, Jobs: 3, MaxRows: 1000})
		if len(r.Tables) != len(slips)+1 || r.Engine != engine {
			t.Errorf("%s: %d tables, want %d; engine %s: %s", engine, len(r.Tables), len(slips)+1, r.Engine, r.EngineReason)
		}
		for _, x := range r.Tables {
			if x.Equal != (x.Name == "control") {
				t.Errorf("%s: %s: equal is %v", engine, s.Text(t, source, "SELECT obj_description('"+x.Name+"'::regclass)"), x.Equal)
			}
			// Nobody but the servers has seen it.
			if x.Engine != engine || x.EngineReason != "" {
				t.Errorf("%s: engine %s, %q", x.Name, x.Engine, x.EngineReason)
			}
			if engine == verify.EngineStream {
				rows[x.Name] = x.Rows
			} else if d := cmp.Diff(rows[x.Name], x.Rows); d != "" {
				t.Errorf("%s: rows that differ (-by stream +by the servers):\n%s", x.Name, d)
			}
		}
	}
}

// Large tables are read in parts by several connections, and the parts make up
// the same digest as the whole.
func TestParts(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, `CREATE TABLE big (id int, t text, g int GENERATED ALWAYS AS (id * 2) STORED);
		INSERT INTO big SELECT i, repeat('x', 200) FROM generate_series(1, 5000) i; CREATE TABLE empty (x int);
		CREATE MATERIALIZED VIEW m AS SELECT * FROM big`)
	s.Exec(t, target, "CREATE TABLE other AS SELECT * FROM big ORDER BY id DESC; TRUNCATE big; INSERT INTO big (id, t) SELECT id, t FROM other; DROP TABLE other; DELETE FROM big WHERE id = 1; INSERT INTO big SELECT 1, repeat('x', 200)")
	for _, levels := range [][]verify.Level{{verify.LevelDigest}, {verify.LevelCounts}} {
		for _, engine := range []verify.Engine{verify.EngineStream, verify.EnginePush} {
			tracker := progress.NewTracker(nil)
			opts := verify.Options{Engine: engine, Jobs: 3, PartSize: 64 << 10, Levels: levels, Progress: tracker}
			r := compare(t, s.Config(t, source), s.Config(t, target), opts)
			wantDifferences(t, r)
			if r.Tables[0].Source.Rows != 5000 {
				t.Errorf("%s: %d rows, want 5000", engine, r.Tables[0].Source.Rows)
			}
			if got := tracker.Snapshot(); got.Rows != 10000 || got.Finished != 3 || got.Completed != got.ExpectedBytes {
				t.Errorf("%s: progress %+v", engine, got)
			}
		}
	}
	whole := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Jobs: 1})
	parts := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Jobs: 4, PartSize: 32 << 10})
	for i := range whole.Tables {
		if *whole.Tables[i].Source != *parts.Tables[i].Source {
			t.Errorf("%s: digest of the whole %v, of the parts %v", whole.Tables[i].Name, whole.Tables[i].Source, parts.Tables[i].Source)
		}
	}
	s.Exec(t, target, "DELETE FROM big WHERE id = 4999")
	r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Engine: verify.EnginePush, Jobs: 3, PartSize: 64 << 10, MaxRows: 5})
	wantDifferences(t, r, "table public.big 5000 4999")
	if d := r.Tables[0].Rows; d == nil || d.Missing != 1 || d.Extra != 0 {
		t.Errorf("rows: %+v", d)
	}
}

// Without a word about it, servers that are far digest by themselves, and near
// ones are read.
func TestEngineByDistance(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, "CREATE TABLE a (x int, y text); INSERT INTO a VALUES (1, 'a'), (2, NULL)")
	p, err := proxy.Start(fmt.Sprintf("127.0.0.1:%d", s.Port), 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	away := func(db string) *pgx.ConnConfig {
		cfg := s.Config(t, db)
		cfg.Port = uint16(p.Port())
		return cfg
	}
	r, err := verify.Run(t.Context(), s.Config(t, source), away(target), verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantEngines(t, r)
	if r.Target.RoundTrip < 10*time.Millisecond || !strings.Contains(r.EngineReason, "for a round trip") {
		t.Errorf("round trip %v, %q", r.Target.RoundTrip, r.EngineReason)
	}
	r, err = verify.Run(t.Context(), s.Config(t, source), away(target), verify.Options{Engine: verify.EngineStream})
	if err != nil || r.Engine != verify.EngineStream || r.Tables[0].Engine != verify.EngineStream || !r.Equal() {
		t.Errorf("got %+v, %v", r, err)
	}
}

// So do servers that are near, behind a slow network, if there is something to
// compare.
func TestEngineBySpeed(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, "CREATE TABLE a AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 3000) i")
	p, err := faults.NewProxy(fmt.Sprintf("%s:%d", s.Host, s.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Arm(faults.Fault{Action: faults.Throttle, Direction: faults.Down, Rate: 16 << 20})
	cfg := s.Config(t, target)
	cfg.Host, cfg.Port = p.Host(), uint16(p.Port())
	for _, tt := range []struct {
		part   int64
		engine verify.Engine
		reason string
	}{{64 << 10, verify.EnginePush, "MB/s"}, {0, verify.EngineStream, "for a round trip"}} {
		r, err := verify.Run(t.Context(), s.Config(t, source), cfg, verify.Options{PartSize: tt.part, Levels: dataLevels()})
		if err != nil {
			t.Fatal(err)
		}
		far := max(r.Source.RoundTrip, r.Target.RoundTrip) >= 3*time.Millisecond // on a very busy machine
		if !far && (r.Engine != tt.engine || !strings.HasSuffix(r.EngineReason, tt.reason)) || !r.Equal() {
			t.Errorf("parts of %d: engine %s, %q", tt.part, r.Engine, r.EngineReason)
		}
	}
}

// Whatever both ends hold, all versions of the server hash it alike.
func TestPushAcrossVersions(t *testing.T) {
	t.Parallel()
	target := newest(t)
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		const rows = `CREATE TABLE t (i int, t text, b bytea, n numeric, j jsonb, a text[], ts timestamptz, iv interval, u uuid, r int4range);
			INSERT INTO t SELECT i, CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE repeat(chr(1 + i), i % 40) || ' ü😀' END, decode(repeat(lpad(to_hex(i), 4, '0'), i % 30), 'hex'),
				i * 1.50, jsonb_build_object('k', i), ARRAY['a"b', NULL, 'c\'], '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 hour', make_interval(mins => i),
				('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, int4range(i, i + 1) FROM generate_series(1, 300) i;`
		from, to := s.Database(t), target.Database(t)
		s.Exec(t, from, rows)
		target.Exec(t, to, rows)
		r := compare(t, s.Config(t, from), target.Config(t, to), verify.Options{Engine: verify.EnginePush})
		wantDifferences(t, r)
		wantEngines(t, r)
	})
}

// Floating-point numbers are compared by value, in whatever types they are, where
// servers write them in different ways.
func TestFloats(t *testing.T) {
	t.Parallel()
	s, d := oldest(t), newest(t)
	const rows = `CREATE DOMAIN measure AS float8; CREATE DOMAIN narrow AS measure CHECK (VALUE < 10); CREATE TYPE span AS RANGE (subtype = float8);
		CREATE TABLE a (m narrow, l measure[], r span, s span[]); INSERT INTO a VALUES (0.1, '{0.1,0.7}', '[0.1,0.3)', '{"[0.1,0.3)"}'), (1e-7, NULL, 'empty', '{}'), (NULL, '{NULL,NaN}', '(,1e22]', NULL);
		CREATE TABLE b (n numeric, t text); INSERT INTO b VALUES (0.1, '0.1');
		CREATE TYPE sample AS (t text, f float4, p point); CREATE TYPE batch AS (n text[], "s s" sample[], m measure); CREATE DOMAIN lot AS batch;
		CREATE TABLE c (s sample, b batch, l lot[]);
		INSERT INTO c VALUES ('("0.1 \",(", 0.1, "(0.7,1e-7)")', ROW(ARRAY['0.10', NULL, 'a"b\', 'NULL', E'\t'], ARRAY[ROW(E'0.1\n\x0b', 0.1, NULL)::sample, NULL, ROW('', 1e22, point(0.1, 2))::sample], 0.1)::batch,
			ARRAY[[ROW('{}', NULL, 0.1)::batch::lot, ROW(NULL, '{}', NULL)::batch::lot], [NULL, ROW(ARRAY[' '], ARRAY[ROW('0.1', 0.3, NULL)::sample], 7)::batch::lot]]), ('(,,)', NULL, '{}')`
	from, to := s.Database(t), d.Database(t)
	s.Exec(t, from, rows)
	d.Exec(t, to, rows)
	for _, engine := range []verify.Engine{verify.EngineStream, verify.EnginePush} {
		r := compare(t, s.Config(t, from), d.Config(t, to), verify.Options{Engine: engine})
		wantDifferences(t, r)
		if s.Major < 12 && d.Major >= 12 && engine == verify.EnginePush {
			wantEngines(t, r, "public.a", "public.c")
		}
	}
	d.Exec(t, to, "UPDATE a SET m = 0.1::float8 + 1e-16 WHERE m = 0.1")
	d.Exec(t, to, "UPDATE c SET b.m = 0.1::float8 + 1e-16, s.t = '0.10 ' WHERE b IS NOT NULL")
	wantDifferences(t, compare(t, s.Config(t, from), d.Config(t, to), verify.Options{}), "table public.a 3 3", "table public.c 2 2")
	d.Exec(t, to, "UPDATE c SET b.m = 0.1 WHERE b IS NOT NULL")
	wantDifferences(t, compare(t, s.Config(t, from), d.Config(t, to), verify.Options{}), "table public.a 3 3", "table public.c 2 2")
	d.Exec(t, to, `UPDATE c SET s.t = '0.1 ",(' WHERE b IS NOT NULL`)
	wantDifferences(t, compare(t, s.Config(t, from), d.Config(t, to), verify.Options{}), "table public.a 3 3")
}
