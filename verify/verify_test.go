package verify_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/progress"
	"github.com/pghaul/pghaul/verify"
)

// oldest and newest are servers of the first and the last version to test.
func oldest(tb testing.TB) *pgtest.Server {
	tb.Helper()
	return pgtest.Start(tb, pgtest.Versions(tb)[0])
}

func newest(tb testing.TB) *pgtest.Server {
	tb.Helper()
	v := pgtest.Versions(tb)
	return pgtest.Start(tb, v[len(v)-1])
}

// compare compares rows and sequences, by streams, if opts say nothing else.
func compare(tb testing.TB, source, target *pgx.ConnConfig, opts verify.Options) *verify.Report {
	tb.Helper()
	if opts.Levels == nil {
		opts.Levels = dataLevels()
	}
	if opts.Engine == "" {
		opts.Engine = verify.EngineStream
	}
	r, err := verify.Run(tb.Context(), source, target, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func dataLevels() []verify.Level { return []verify.Level{verify.LevelDigest, verify.LevelSequences} }

// differences are the lines of a report that are not equal: "table schema.name
// 3 2: problem".
func differences(r *verify.Report) []string {
	var out []string
	line := func(kind, schema, name, source, target, problem string) {
		s := fmt.Sprintf("%s %s.%s %s %s", kind, schema, name, source, target)
		if problem != "" {
			s += ": " + problem
		}
		out = append(out, s)
	}
	rows := func(d *copyproto.Digest) string {
		if d == nil {
			return "-"
		}
		return fmt.Sprint(d.Rows)
	}
	position := func(v *verify.SequenceValue) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprint(v.Last, v.Called)
	}
	for _, t := range r.Tables {
		if !t.Equal {
			line("table", t.Schema, t.Name, rows(t.Source), rows(t.Target), t.Problem)
		}
	}
	for _, s := range r.Sequences {
		if !s.Equal {
			line("sequence", s.Schema, s.Name, position(s.Source), position(s.Target), s.Problem)
		}
	}
	return out
}

func wantDifferences(tb testing.TB, r *verify.Report, want ...string) {
	tb.Helper()
	if d := cmp.Diff(want, differences(r)); d != "" {
		tb.Errorf("differences (-want +got):\n%s", d)
	}
	if r.Equal() != (len(want) == 0) {
		tb.Errorf("Equal() is %v with %d differences", r.Equal(), len(want))
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	common, err := os.ReadFile("testdata/common.sql")
	if err != nil {
		t.Fatal(err)
	}
	for name, servers := range map[string][2]func(testing.TB) *pgtest.Server{
		"oldest to newest": {oldest, newest},
		"newest to newest": {newest, newest},
		"newest to oldest": {newest, oldest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := servers[0](t), servers[1](t)
			from, to := s.Database(t), d.Database(t)
			configure(t, s, from, map[string]string{
				"TimeZone": "America/New_York", "DateStyle": "German", "IntervalStyle": "iso_8601", "bytea_output": "hex",
				"extra_float_digits": "-15", "lc_monetary": "C.UTF-8", "synchronize_seqscans": "off",
			})
			configure(t, d, to, map[string]string{
				"TimeZone": "Asia/Kolkata", "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "bytea_output": "escape",
				"extra_float_digits": "1", "quote_all_identifiers": "on", "standard_conforming_strings": "off",
				"search_path": `"Odd.Schema ""x""", public`, "default_transaction_read_only": "off",
				"default_transaction_isolation": "serializable", "row_security": "on", "lock_timeout": "1h",
			})
			s.Exec(t, from, string(common)+`
				CREATE TABLE dropped (a int, gone text, b text);
				INSERT INTO dropped VALUES (1, 'x', 'y'), (2, 'x', NULL);
				ALTER TABLE dropped DROP COLUMN gone;
				CREATE TABLE reordered (a int, b text, "C d" numeric);
				INSERT INTO reordered SELECT i, 'b' || i, i / 10.0 FROM generate_series(1, 100) i;
				CREATE UNLOGGED TABLE wider (a int, b varchar(10))`)
			d.Exec(t, to, "SET search_path = public;\n"+string(common)+`
				CREATE TABLE dropped (a int, b text);
				INSERT INTO dropped VALUES (2, NULL), (1, 'y');
				CREATE TABLE reordered ("C d" numeric, x int, b text, a int);
				INSERT INTO reordered SELECT i / 10.0, 0, 'b' || i, i FROM generate_series(100, 1, -1) i;
				ALTER TABLE reordered DROP COLUMN x;
				CREATE TABLE wider (a bigint, b text)`)
			configure(t, s, from, map[string]string{"client_encoding": "LATIN1"})
			r := compare(t, s.Config(t, from), d.Config(t, to), verify.Options{Jobs: 3, Engine: verify.EnginePush})
			wantDifferences(t, r)
			if min(s.Major, d.Major) < 12 && max(s.Major, d.Major) >= 12 {
				wantEngines(t, r, "public.documents", "public.numbers") // which have floating-point numbers
			} else {
				wantEngines(t, r)
			}
			r = compare(t, s.Config(t, from), d.Config(t, to), verify.Options{Jobs: 3})
			wantDifferences(t, r)
			var got []string
			for _, x := range r.Tables {
				got = append(got, fmt.Sprintf("%s.%s %d", x.Schema, x.Name, x.Source.Rows))
			}
			if d := cmp.Diff([]string{
				`Odd.Schema "x".select 1`, "public.child 1", "public.documents 2", "public.dropped 2", "public.generated 3",
				"public.identity 2", "public.names 1", "public.no_columns 3", "public.numbers 5", "public.only_generated 2",
				"public.parent 1", "public.parted_high 11", "public.parted_low 9", "public.reordered 100", "public.texts 8",
				"public.times 3", "public.wider 0",
			}, got); d != "" {
				t.Errorf("tables (-want +got):\n%s", d)
			}
			got = nil
			for _, x := range r.Sequences {
				got = append(got, fmt.Sprintf("%s.%s %d %v", x.Schema, x.Name, x.Source.Last, x.Source.Called))
			}
			if d := cmp.Diff([]string{"public.Used Seq -25 true", "public.identity_id_seq 2 true", "public.unused 7 false"}, got); d != "" {
				t.Errorf("sequences (-want +got):\n%s", d)
			}
			if r.Snapshot == "" || r.Elapsed <= 0 {
				t.Errorf("snapshot %q, elapsed %v", r.Snapshot, r.Elapsed)
			}
		})
	}
}

func configure(tb testing.TB, s *pgtest.Server, db string, settings map[string]string) {
	tb.Helper()
	for name, value := range settings {
		if name != "search_path" {
			value = "'" + value + "'"
		}
		s.Exec(tb, "postgres", "ALTER DATABASE "+db+" SET "+name+" = "+value)
	}
}

// two makes two databases on one server with the same objects.
func two(tb testing.TB, s *pgtest.Server, sql string) (source, target string) {
	tb.Helper()
	source = s.Database(tb)
	s.Exec(tb, source, sql)
	return source, s.DatabaseFrom(tb, source)
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source := s.Database(t)
	s.Exec(t, source, `CREATE TABLE a (id int, v text);
		INSERT INTO a SELECT i, 'v' || i FROM generate_series(1, 100) i;
		INSERT INTO a VALUES (7, 'v7'), (7, 'v7');
		CREATE TABLE b (id int); INSERT INTO b VALUES (1);
		CREATE SCHEMA app; CREATE TABLE app.c (x text, y text); INSERT INTO app.c VALUES ('1', '2');
		CREATE TABLE p (k int) PARTITION BY LIST (k);
		CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p VALUES (1);
		CREATE SEQUENCE s; SELECT setval('s', 10)`)
	for _, tt := range []struct {
		name, change string
		want         []string
	}{
		{"nothing", "SELECT", nil},
		{"one value", "UPDATE a SET v = 'V7' WHERE id = 50", []string{"table public.a 102 102"}},
		{"one value, to NULL", "UPDATE a SET v = NULL WHERE id = 50", []string{"table public.a 102 102"}},
		{"one row less", "DELETE FROM a WHERE id = 50", []string{"table public.a 102 101"}},
		{"one row more", "INSERT INTO a VALUES (101, '')", []string{"table public.a 102 103"}},
		{"another row twice", "DELETE FROM a WHERE ctid = (SELECT max(ctid) FROM a); INSERT INTO a VALUES (8, 'v8')", []string{"table public.a 102 102"}},
		{"values of two rows swapped", "UPDATE a SET v = CASE id WHEN 1 THEN 'v2' ELSE 'v1' END WHERE id IN (1, 2)", []string{"table public.a 102 102"}},
		{"values of two columns swapped", "UPDATE app.c SET x = y, y = x", []string{"table app.c 1 1"}},
		{"a table missing", "DROP TABLE b", []string{"table public.b 1 -"}},
		{"a schema missing", "DROP SCHEMA app CASCADE", []string{"table app.c 1 -"}},
		{"a view in a table's place", "DROP TABLE b; CREATE VIEW b AS SELECT 1 AS id", []string{"table public.b 1 -"}},
		{"a table more", "CREATE TABLE extra AS SELECT 1 AS x", []string{"table public.extra - 1"}},
		{"a column missing", "ALTER TABLE app.c DROP COLUMN y", []string{"table app.c 1 1: column y missing in target"}},
		{"columns more", `ALTER TABLE app.c ADD z int, ADD "A b" int`, []string{`table app.c 1 1: columns z, "A b" missing in source`}},
		{"a column renamed", "ALTER TABLE b RENAME id TO ident", []string{"table public.b 1 1: column id missing in target; column ident missing in source"}},
		{"a column and a row missing", "ALTER TABLE app.c DROP COLUMN y; DELETE FROM app.c", []string{"table app.c 1 0: column y missing in target"}},
		{"other partitions", "DROP TABLE p1; CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1)", []string{"table public.p1 1 -", "table public.p2 - 1"}},
		{"a sequence further", "SELECT nextval('s')", []string{"sequence public.s 10 true 11 true"}},
		{"a sequence not called", "SELECT setval('s', 10, false)", []string{"sequence public.s 10 true 10 false"}},
		{"a sequence missing", "DROP SEQUENCE s", []string{"sequence public.s 10 true -"}},
		{"a sequence more", "CREATE SEQUENCE r", []string{"sequence public.r - 1 false"}},
		{"everything missing", "DROP SCHEMA public, app CASCADE", []string{
			"table app.c 1 -", "table public.a 102 -", "table public.b 1 -", "table public.p1 1 -", "sequence public.s 10 true -",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := s.DatabaseFrom(t, source)
			s.Exec(t, target, tt.change)
			wantDifferences(t, compare(t, s.Config(t, source), s.Config(t, target), verify.Options{}), tt.want...)
		})
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		source, target := two(t, s, "CREATE TABLE a (x int); INSERT INTO a VALUES (1), (2); CREATE TABLE b (x int); CREATE TABLE e (); INSERT INTO e DEFAULT VALUES")
		s.Exec(t, target, "UPDATE a SET x = 3; INSERT INTO b VALUES (1)")
		tracker := progress.NewTracker(nil)
		r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Levels: []verify.Level{verify.LevelCounts}, Progress: tracker})
		wantDifferences(t, r, "table public.b 0 1")
		if got := *r.Tables[0].Source; got != (copyproto.Digest{Rows: 2}) {
			t.Errorf("digest %v, want 2 rows only", got)
		}
		if got := tracker.Snapshot(); got.Rows != 3 || got.Finished != 3 {
			t.Errorf("progress: %+v", got)
		}
	})
}

func TestSelection(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, `CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE SEQUENCE q;
		CREATE SCHEMA app; CREATE TABLE app.a (x int); CREATE SEQUENCE app.q`)
	s.Exec(t, target, "DROP TABLE b; CREATE TABLE app.extra (x int)")
	for _, tt := range []struct {
		name   string
		choose catalog.Selection
		want   []string // what is compared
		fails  string
	}{
		{"a schema", catalog.Selection{Schemas: []string{"app"}}, []string{"app.a", "app.extra", "app.q"}, ""},
		{"not a schema", catalog.Selection{ExcludeSchemas: []string{"app"}}, []string{"public.a", "public.b", "public.q"}, ""},
		{"tables", catalog.Selection{Tables: []string{"*.a"}}, []string{"app.a", "public.a"}, ""},
		{"a table the target has not", catalog.Selection{Tables: []string{"b"}, StrictNames: true}, []string{"public.b"}, ""},
		{"not a table", catalog.Selection{ExcludeTables: []string{"app.*", "q"}}, []string{"public.a", "public.b"}, ""},
		{"not a table's rows", catalog.Selection{ExcludeTableData: []string{"*.a", "*.q"}}, []string{"app.extra", "public.b"}, ""},
		{"a table the source has not", catalog.Selection{Tables: []string{"app.extra"}}, nil, "source: read catalog: no object matches the patterns of -t"},
		{"strict names", catalog.Selection{Tables: []string{"a", "nil"}, StrictNames: true}, nil, "source: read catalog: no matching objects were found for: -t nil"},
		{"only sequences", catalog.Selection{SchemaOnly: true, SequenceData: true}, []string{"app.q", "public.q"}, ""},
		{"no data", catalog.Selection{SchemaOnly: true}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := verify.Run(t.Context(), s.Config(t, source), s.Config(t, target), verify.Options{Select: tt.choose, Levels: dataLevels()})
			if tt.fails != "" {
				if r != nil || err == nil || err.Error() != tt.fails {
					t.Errorf("got %v, %v; want %q", r, err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range r.Tables {
				got = append(got, x.Schema+"."+x.Name)
			}
			for _, x := range r.Sequences {
				got = append(got, x.Schema+"."+x.Name)
			}
			slices.Sort(got)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("compared (-want +got):\n%s", d)
			}
		})
	}
}

// Equal characters are equal in every pair of encodings; without an encoding
// only equal bytes are.
func TestEncodings(t *testing.T) {
	t.Parallel()
	s := newest(t)
	make := func(encoding, bytes string) string {
		name := strings.ToLower("verify_encoding_" + encoding + "_" + bytes)
		s.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C'")
		t.Cleanup(func() {
			if err := s.Server.Exec(context.Background(), "postgres", "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		})
		s.Exec(t, name, fmt.Sprintf(`CREATE TABLE t (x text);
			INSERT INTO t SELECT convert_from(decode('%s', 'hex'), '%s')`, bytes, encoding))
		return name
	}
	utf8, latin1, win1252 := make("UTF8", "c3a9"), make("LATIN1", "e9"), make("WIN1252", "e9")
	asciiLatin1, asciiUTF8, mule := make("SQL_ASCII", "e9"), make("SQL_ASCII", "c3a9"), make("MULE_INTERNAL", "81e9")
	// WIN1252 has five bytes that stand for no character.
	hole, hole2 := make("WIN1252", "81"), make("WIN1252", "8181")
	s.Exec(t, hole2, "UPDATE t SET x = left(x, 1)")
	for _, tt := range []struct {
		source, target string
		equal          bool
	}{
		{utf8, utf8, true},
		{utf8, latin1, true},
		{latin1, win1252, true},
		{win1252, utf8, true},
		{hole, hole2, true},
		{hole, win1252, false},
		{asciiUTF8, utf8, true},
		{utf8, asciiUTF8, true},
		{asciiLatin1, latin1, true},
		{asciiLatin1, utf8, false},
		{asciiLatin1, asciiLatin1, true},
		{asciiLatin1, asciiUTF8, false},
		{mule, mule, true},
		{mule, latin1, false},
	} {
		t.Run(tt.source+" "+tt.target, func(t *testing.T) {
			r := compare(t, s.Config(t, tt.source), s.Config(t, tt.target), verify.Options{})
			if r.Equal() != tt.equal {
				t.Errorf("equal: got %v, %v", r.Equal(), differences(r))
			}
			r = compare(t, s.Config(t, tt.source), s.Config(t, tt.target), verify.Options{Engine: verify.EnginePush})
			if r.Equal() != tt.equal {
				t.Errorf("pushed: equal: got %v, %v", r.Equal(), differences(r))
			}
		})
	}
}

// That the contents of a materialized view differ is expected where the source's
// are older than what the view reads, and nowhere else.
func TestViews(t *testing.T) {
	t.Parallel()
	s := newest(t)
	asker := s.Role(t, "LOGIN")
	source, target := two(t, s, `CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE a (x int PRIMARY KEY, m mood); INSERT INTO a VALUES (1, 'ok'), (2, 'sad');
		CREATE FUNCTION f(int) RETURNS int LANGUAGE sql RETURN $1 + 1;
		CREATE MATERIALIZED VIEW older(y, m) AS SELECT x AS z, m FROM a WHERE m = 'ok' OR x > 0;
		CREATE MATERIALIZED VIEW own AS SELECT f(x) FROM a;
		CREATE MATERIALIZED VIEW text AS SELECT query_to_xml('SELECT 1', true, true, '') IS NULL AS q, x FROM a;
		INSERT INTO a VALUES (3, 'ok');
		CREATE MATERIALIZED VIEW spoilt AS SELECT max(x) AS x FROM a;
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+asker)
	s.Exec(t, target, "REFRESH MATERIALIZED VIEW older; REFRESH MATERIALIZED VIEW own; REFRESH MATERIALIZED VIEW text; DROP MATERIALIZED VIEW spoilt; CREATE MATERIALIZED VIEW spoilt AS SELECT min(x) AS x FROM a; GRANT SELECT ON spoilt TO "+asker)
	verdicts := func(r *verify.Report) []string {
		var out []string
		for _, x := range r.Tables {
			if !x.Equal {
				out = append(out, fmt.Sprint(x.Name, ": expected ", x.Expected != "", ", asks the owner ", strings.Contains(x.Problem, "nobody but its owner")))
			}
		}
		return out
	}
	r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{})
	if d := cmp.Diff([]string{
		"older: expected true, asks the owner false", "own: expected true, asks the owner false",
		"spoilt: expected false, asks the owner false", "text: expected true, asks the owner false",
	}, verdicts(r)); d != "" {
		t.Errorf("the owner compares (-want +got):\n%s", d)
	}
	cfg := s.Config(t, source)
	cfg.User = asker
	r = compare(t, cfg, s.Config(t, target), verify.Options{})
	if d := cmp.Diff([]string{
		"older: expected true, asks the owner false", "own: expected false, asks the owner true",
		"spoilt: expected false, asks the owner false", "text: expected false, asks the owner true",
	}, verdicts(r)); d != "" {
		t.Errorf("another role compares (-want +got):\n%s", d)
	}
	s.Exec(t, source, "DROP OWNED BY "+asker)
	s.Exec(t, target, "DROP OWNED BY "+asker)
}

// Materialized views and stored generated columns are compared, too.
func TestDerived(t *testing.T) {
	t.Parallel()
	s := newest(t)
	source, target := two(t, s, `CREATE TABLE a (x int, g int GENERATED ALWAYS AS (x * 2) STORED); INSERT INTO a VALUES (1), (2);
		CREATE MATERIALIZED VIEW m AS SELECT x FROM a; CREATE MATERIALIZED VIEW empty AS SELECT x FROM a WITH NO DATA; CREATE MATERIALIZED VIEW n AS SELECT 1 AS one`)
	r := compare(t, s.Config(t, source), s.Config(t, target), verify.Options{})
	wantDifferences(t, r)
	if len(r.Tables) != 3 {
		t.Errorf("%d tables and views compared, want 3", len(r.Tables))
	}
	s.Exec(t, source, "INSERT INTO a VALUES (3)")
	s.Exec(t, target, "INSERT INTO a VALUES (3); REFRESH MATERIALIZED VIEW m; REFRESH MATERIALIZED VIEW empty; REFRESH MATERIALIZED VIEW n WITH NO DATA")
	r = compare(t, s.Config(t, source), s.Config(t, target), verify.Options{MaxRows: 1})
	want := []string{
		"table public.empty - 3: source: it has not been populated", "table public.m 2 3", "table public.n 1 -: target: it has not been populated",
	}
	if d := cmp.Diff(want, differences(r)); d != "" || r.Levels[0].Expected != 1 || r.Levels[0].Different != 2 {
		t.Error(d, r.Levels)
	}
	s.Exec(t, target, "ALTER TABLE a DROP g; ALTER TABLE a ADD g int GENERATED ALWAYS AS (x * 3) STORED")
	r = compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Select: catalog.Selection{Tables: []string{"a"}}})
	wantDifferences(t, r, "table public.a 3 3: the values of stored generated columns differ: g")
	r = compare(t, s.Config(t, source), s.Config(t, target), verify.Options{Engine: verify.EnginePush, Select: catalog.Selection{Tables: []string{"a"}}})
	wantDifferences(t, r, "table public.a 3 3: the values of stored generated columns differ: g")
}

// So are those of partitions whose rows are compared as a whole, however many
// partitions there are.
func TestStoredOfPartitions(t *testing.T) {
	t.Parallel()
	s := newest(t)
	create := func(modulus int, g string) string {
		sql := "CREATE TYPE k AS ENUM ('a', 'b', 'c', 'd'); CREATE TABLE p (k k, x int, g int GENERATED ALWAYS AS (" + g + ") STORED) PARTITION BY HASH (k);"
		for i := range modulus {
			sql += fmt.Sprintf("CREATE TABLE p%d PARTITION OF p FOR VALUES WITH (MODULUS %d, REMAINDER %[1]d);", i, modulus)
		}
		return sql + "INSERT INTO p (k, x) SELECT unnest(enum_range(NULL::k)), i FROM generate_series(1, 10) i"
	}
	source, same, other := s.Database(t), s.Database(t), s.Database(t)
	s.Exec(t, source, create(2, "x * 2"))
	s.Exec(t, same, create(3, "x + x"))
	s.Exec(t, other, create(2, "x * 3"))
	for _, engine := range []verify.Engine{verify.EngineStream, verify.EnginePush} {
		wantDifferences(t, compare(t, s.Config(t, source), s.Config(t, same), verify.Options{Engine: engine}))
		wantDifferences(t, compare(t, s.Config(t, source), s.Config(t, other), verify.Options{Engine: engine}),
			"table public.p 40 40: the values of stored generated columns differ: g")
	}
}
