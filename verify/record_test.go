package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/archive/convert"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// archived dumps a database and restores it into another.
func archived(tb testing.TB, s *pgtest.Server, db string, d *pgtest.Server, to string, opts dump.Options) (r archive.Reader, dir string) {
	tb.Helper()
	opts.Dir, opts.NoSync = filepath.Join(tb.TempDir(), "dump"), true
	if _, err := dump.Run(tb.Context(), s.Config(tb, db), opts); err != nil {
		tb.Fatal(err)
	}
	r = openArchive(tb, opts.Dir)
	report, err := restore.Run(tb.Context(), d.Config(tb, to), restore.FromArchive(r), restore.Options{NoOwner: true})
	if err != nil || len(report.Failed) > 0 {
		tb.Fatalf("restore: %v, %v", err, report.Failed)
	}
	return r, opts.Dir
}

func openArchive(tb testing.TB, path string) archive.Reader {
	tb.Helper()
	r, err := archive.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.Close() })
	return r
}

func against(tb testing.TB, r archive.Reader, s *pgtest.Server, db string) *verify.Report {
	tb.Helper()
	report, err := verify.FromArchive(tb.Context(), r, s.Config(tb, db), verify.Options{Levels: dataLevels()})
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// zoned has values whose text depends on settings and versions.
const zoned = `
CREATE TABLE moments (t timestamptz, a timestamptz[], r tstzrange, l timestamp, d date, z timetz);
INSERT INTO moments VALUES ('2024-07-01 12:00:00.25+02', '{2024-01-01 00:00:00+00, NULL, 0044-03-15 12:00:00+00 BC}', '[2024-01-01 00:00:00+00,)', '2024-07-01 12:00', '2024-07-01', '12:00+05:30'),
	('infinity', '{-infinity}', 'empty', NULL, NULL, NULL), ('1883-11-18 12:00:00+00', '{}', NULL, NULL, NULL, NULL), ('0001-01-01 00:00:00+00', NULL, NULL, NULL, NULL, NULL);
CREATE TABLE floats (a float8, b real, c float8[], p point, b2 box);
INSERT INTO floats VALUES (0.1, 0.1, '{0.1,1e300,-2.5,NaN,NULL}', '(0.1,-7)', '(1,2),(0.3,4)'), (1e-7, 1e10, '{}', '(Infinity,1e22)', NULL),
	(0.1::float8 + 0.2::float8, 16777217, '{-0}', NULL, NULL), (123456789012345678, 3.4e38, '{100000,1e15,1e17,1e18,123456}', NULL, NULL), ('-infinity', 'nan', NULL, NULL, NULL);
CREATE TABLE prices (m money); INSERT INTO prices VALUES (1234.5), (-7);
CREATE TABLE none (); INSERT INTO none DEFAULT VALUES;
CREATE TABLE generated (a int, g int GENERATED ALWAYS AS (a + 1) STORED, "odd, ""name"")" text); INSERT INTO generated VALUES (1, DEFAULT, E'\t\\.\n');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE moods (m mood, n int) PARTITION BY HASH (m);
CREATE TABLE moods0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE moods1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO moods SELECT unnest(enum_range(NULL::mood)), 1 FROM generate_series(1, 5);
CREATE SEQUENCE s; SELECT setval('s', 42); CREATE SEQUENCE unused;`

// A target is compared with the archive it came from, and with the digests that
// were recorded of the source, without the source.
func TestFromArchive(t *testing.T) {
	t.Parallel()
	for name, servers := range map[string][2]func(testing.TB) *pgtest.Server{
		"read only to newest": {readOnly, newest}, "oldest to newest": {oldest, newest}, "newest to oldest": {newest, oldest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := servers[0](t), servers[1](t)
			from, to := s.Database(t), d.Database(t)
			sql := zoned
			if s.Major < 12 {
				sql = strings.Replace(sql, "g int GENERATED ALWAYS AS (a + 1) STORED", "g int DEFAULT 1", 1)
			}
			s.Exec(t, from, sql)
			configure(t, s, from, map[string]string{"TimeZone": "America/New_York", "lc_monetary": "C.UTF-8", "DateStyle": "German"})
			configure(t, d, to, map[string]string{"TimeZone": "Asia/Kolkata", "extra_float_digits": "0", "bytea_output": "escape"})
			r, dir := archived(t, s, from, d, to, dump.Options{})
			m := r.Manifest()
			custom := filepath.Join(t.TempDir(), "custom")
			convertArchive(t, dir, custom, convert.Options{Format: archive.FormatCustom, Writer: archive.WriterOptions{NoSync: true}})
			check := func(want ...string) {
				t.Helper()
				recorded, err := verify.Recorded(t.Context(), d.Config(t, to), verify.Record{Tables: m.Tables, Source: m.Source}, verify.Options{Jobs: 3})
				if err != nil {
					t.Fatal(err)
				}
				sequences := func(s string) bool { return strings.HasPrefix(s, "sequence ") }
				wantDifferences(t, against(t, r, d, to), want...)
				wantDifferences(t, against(t, openArchive(t, custom), d, to), want...)
				wantDifferences(t, recorded, slices.DeleteFunc(slices.Clone(want), sequences)...)
				if recorded.Source.LSN == "" || !recorded.Source.Recorded || recorded.Target.Recorded || recorded.Target.Taken.Before(recorded.Source.Taken) {
					t.Errorf("ends: %+v, %+v", recorded.Source, recorded.Target)
				}
			}
			check()
			wantDifferences(t, compare(t, s.Config(t, from), d.Config(t, to), verify.Options{}))
			d.Exec(t, to, `UPDATE moments SET d = d + 1 WHERE d IS NOT NULL; UPDATE floats SET a = a + 1e-17 WHERE a = 1e-7;
				UPDATE moods SET n = 2 WHERE m = 'sad'; DELETE FROM none; ALTER TABLE generated RENAME a TO a1; SELECT setval('s', 43)`)
			check("table public.floats 5 5", "table public.generated 1 1: column a missing in target; column a1 missing in source",
				"table public.moments 4 4", "table public.moods 15 15", "table public.none 1 0", "sequence public.s 42 true 43 true")
		})
	}
}

// readOnly is a server of the first version that dumps are taken from.
func readOnly(tb testing.TB) *pgtest.Server {
	tb.Helper()
	return pgtest.Start(tb, pgtest.Sources(tb)[0])
}

// An archive of pg_dump says nothing of its rows: they are read from it. It
// writes times in whatever zone the session has.
func TestFromForeignArchive(t *testing.T) {
	t.Parallel()
	o := pgtest.Oracle(t)
	s := newest(t)
	from := s.Database(t)
	s.Exec(t, from, zoned)
	configure(t, s, from, map[string]string{"TimeZone": "America/New_York"})
	for _, format := range []string{"-Fd", "-Fc", "-Ft"} {
		t.Run(format, func(t *testing.T) {
			path := filepath.Join(pgtest.TempDir(t), "dump")
			o.Dump(t, format, "-f", path, "-d", s.DSN(from))
			to := s.Database(t)
			r := openArchive(t, path)
			if report, err := restore.Run(t.Context(), s.Config(t, to), restore.FromArchive(r), restore.Options{}); err != nil || !report.Complete() {
				t.Fatalf("restore: %v, %+v", err, report)
			}
			wantDifferences(t, against(t, r, s, to))
			s.Exec(t, to, "UPDATE moments SET t = t + interval '1 hour' WHERE l IS NOT NULL; ALTER TABLE prices ADD more int")
			wantDifferences(t, against(t, r, s, to), "table public.moments 4 4", "table public.prices 2 2: column more missing in source")
		})
	}
}

// Where no digest was recorded, or none that the target could match, rows are
// counted, and the report says so.
func TestCountOnly(t *testing.T) {
	t.Parallel()
	s := newest(t)
	from, to := s.Database(t), s.Database(t)
	s.Exec(t, from, "CREATE TABLE a (x int); INSERT INTO a VALUES (1), (2)")
	r, _ := archived(t, s, from, s, to, dump.Options{Inserts: &dump.Inserts{}})
	s.Exec(t, to, "UPDATE a SET x = 7")
	report := against(t, r, s, to)
	wantDifferences(t, report)
	if got, want := report.Tables[0].CountOnly, "the rows are recorded as INSERT statements"; got != want {
		t.Errorf("counted because %q, want %q", got, want)
	}
	s.Exec(t, to, "DELETE FROM a WHERE ctid = '(0,3)'")
	wantDifferences(t, against(t, r, s, to), "table public.a 2 1")

	s.Exec(t, from, "CREATE TABLE m (x money); INSERT INTO m VALUES (1)")
	s.Exec(t, to, "CREATE TABLE m (x money); INSERT INTO m VALUES (1)")
	tables := []archive.TableData{{Schema: "public", Name: "m", Columns: []string{"x"}, Rows: 1, Digest: "1-0000000000000001-0000000000000001"}}
	source := archive.Source{Encoding: "UTF8", ServerVersion: 180000, LCMonetary: "xx_XX.nowhere"}
	report, err := verify.Recorded(t.Context(), s.Config(t, to), verify.Record{Tables: tables, Source: source}, verify.Options{IgnoreExtra: true})
	if err != nil {
		t.Fatal(err)
	}
	wantDifferences(t, report)
	if got, want := report.Tables[0].CountOnly, "the target lacks the locale xx_XX.nowhere, by which the source writes values of type money"; got != want {
		t.Errorf("counted because %q, want %q", got, want)
	}
}

// Damage to an archive that is read is told, not taken for a difference.
func TestDamagedArchive(t *testing.T) {
	t.Parallel()
	o := pgtest.Oracle(t)
	s := newest(t)
	from := s.Database(t)
	s.Exec(t, from, "CREATE TABLE a (x int); INSERT INTO a SELECT generate_series(1, 1000)")
	dir := filepath.Join(pgtest.TempDir(t), "dump")
	o.Dump(t, "-Fd", "-Z", "gzip", "-f", dir, "-d", s.DSN(from))
	files, err := filepath.Glob(filepath.Join(dir, "*.dat.gz"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 100); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(differences(against(t, openArchive(t, dir), s, from)))
	if !strings.Contains(got, "source: archive file "+files[0]+" is damaged") {
		t.Error(got)
	}
}
