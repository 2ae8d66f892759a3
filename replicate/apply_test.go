package replicate

import (
	"strconv"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// pairs are the versions of source and target that the engine is tested with.
func pairs(t *testing.T) [][2]int {
	t.Helper()
	majors := pgtest.Sources(t)
	last := majors[len(majors)-1]
	var list [][2]int
	for _, m := range majors {
		list = append(list, [2]int{m, last})
	}
	return list
}

const everyType = `CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE TABLE types (id int PRIMARY KEY, a bool, b "char", c name, d int8, e float4, f float8, g numeric, h money, i text, j varchar(20), k char(10), l bytea,
  m date, n time, o timetz, p timestamp, q timestamptz, r interval, s json, t jsonb, u xml, v uuid, w inet, x cidr, y macaddr, z bit(5), aa varbit,
  bb int[], cc text[][], dd int4range, ee tsvector, ff point, gg mood, hh pair, ii posint, jj pair[], kk oid, ll regclass, mm float8[], nn mood[]);
CREATE TABLE full_types (LIKE types); ALTER TABLE full_types ALTER id DROP NOT NULL, REPLICA IDENTITY FULL;
CREATE TABLE row_key (k pair, l pair[], m int4range, v int, PRIMARY KEY (k, l, m))`

const everyValue = `INSERT INTO types VALUES (1, true, 'x', 'n', -9223372036854775808, 0.1, 1e-300, 12345678901234567890.1230, 12.34, E'back\\slash\ttab\nnew ''quote" ünï', 'v', 'c', '\xdeadbeef00',
  '-infinity', '23:59:59.999999', '12:00+13', '4713-01-01 BC', '2024-02-29 12:34:56.789012+05:30', '1 year -2 mons 3 days -04:05:06.7', '{"a": 1.0,  "a" : 2}', '{"z": 1.00, "a": null}', '<a>&amp;</a>',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '10101', '1', '{1,NULL,3}', '{{a,"b,c"},{"\"","NULL"}}', '[1,5)', 'a:1 b:2', '(1.5,2)',
  'it''s ok', '(1,"x,y")', 7, '{"(1,)","(,\"\")"}', 4294967295, 'pg_class', '{NaN,Infinity,-0,0.1}', '{sad,happy}'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, false, '', '', 0, 'NaN', '-0', 'NaN', -0.01, '', '', '', '', 'infinity', '00:00', '00:00-15', 'infinity', '-infinity', '0', 'null', 'null', '', '00000000-0000-0000-0000-000000000000', '::1', '::/0',
  'ff:ff:ff:ff:ff:ff', '00000', '', '{}', '{}', 'empty', '', '(0,0)', 'sad', '(,)', 1, '{}', 0, '0', '{}', '{}')`

func TestApplyTypes(t *testing.T) {
	for _, p := range pairs(t) {
		t.Run("pg"+strconv.Itoa(p[0])+"to"+strconv.Itoa(p[1]), func(t *testing.T) {
			t.Parallel()
			e := newEnds(t, p[0], p[1])
			e.both(t, everyType)
			// Settings of the databases change how values are written.
			for _, set := range []string{"DateStyle = 'SQL, DMY'", "IntervalStyle = sql_standard", "TimeZone = 'Asia/Kolkata'", "bytea_output = escape", "extra_float_digits = 0", "xmloption = document"} {
				e.source.Exec(t, e.sourceDB, `ALTER DATABASE "`+e.sourceDB+`" SET `+set)
			}
			e.target.Exec(t, e.targetDB, `ALTER DATABASE "`+e.targetDB+`" SET DateStyle = 'German'; ALTER DATABASE "`+e.targetDB+`" SET TimeZone = 'America/New_York'`)
			o := e.options(t, "types", "full_types", "row_key")
			e.start(t, o)
			r := e.run(t, o)
			e.source.Exec(t, e.sourceDB, "SET DateStyle = ISO; SET IntervalStyle = postgres; SET xmloption = content; "+everyValue+"; INSERT INTO full_types SELECT * FROM types; INSERT INTO full_types SELECT * FROM types")
			e.source.Exec(t, e.sourceDB, "UPDATE types SET a = NOT a, i = i || 'x' WHERE id <> 2; UPDATE types SET id = id + 10; DELETE FROM types WHERE id = 12")
			e.source.Exec(t, e.sourceDB, `UPDATE full_types SET a = NOT a WHERE ctid IN (SELECT min(ctid) FROM full_types GROUP BY id); DELETE FROM full_types WHERE ctid IN (SELECT max(ctid) FROM full_types GROUP BY id);
UPDATE full_types SET id = NULL WHERE id = 1; UPDATE full_types SET id = 8 WHERE id IS NULL`)
			e.source.Exec(t, e.sourceDB, `INSERT INTO row_key SELECT ROW(i, 'x,y')::pair, ARRAY[ROW(i, NULL)::pair], int4range(i, NULL), 0 FROM generate_series(1, 4) i; UPDATE row_key SET v = 1;
UPDATE row_key SET k = ROW(NULL, '"')::pair WHERE k = ROW(2, 'x,y')::pair; DELETE FROM row_key WHERE k = ROW(3, 'x,y')::pair`)
			e.drain(t, r, o.ID)
			if p[0] < 12 {
				// It writes floating-point numbers with more digits than later versions.
				e.both(t, "ALTER TABLE types DROP e, DROP f, DROP mm; ALTER TABLE full_types DROP e, DROP f, DROP mm")
			}
			e.equal(t, "types", "full_types", "row_key")
			if n := len(rows(t, e.target, e.targetDB, "types")); n != 2 {
				t.Errorf("%d rows", n)
			}
		})
	}
}
