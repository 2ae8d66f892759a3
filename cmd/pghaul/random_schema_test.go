//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/replicate"
)

// A randomSchema is a schema of tables of many kinds, with columns of many types.
type randomSchema struct {
	r      *rand.Rand
	from   int // the source's version
	engine replicate.Engine
	script strings.Builder
	tables []*randomTable
	used   map[string]bool // names
	large  int             // transactions with many rows so far
}

// A randomTable is one that is written to.
type randomTable struct {
	name   string // qualified and quoted
	key    []randomColumn
	cols   []randomColumn // the others that can be set
	full   bool           // rows may be there several times
	chosen bool           // only some rows of all can be inserted: partitions, and the like
}

type randomColumn struct{ name, typ string }

// Names that are harder than others.
var hardNames = []string{"Mixed Case", `quo"te`, "select", "with.dot", "señor", "per%cent %s", `back\slash`, "it's", "$1", "pghaul_old", "tab\tin", strings.Repeat("n", 63), strings.Repeat("é", 31) + "x", "a;b--", "{}", "NULL", "ctid2", "\U0001F600"}

func (s *randomSchema) fresh(plain string) string {
	name := plain
	if s.r.IntN(2) == 0 {
		name = hardNames[s.r.IntN(len(hardNames))]
	}
	for i := 2; s.used[name]; i++ {
		name = fmt.Sprintf("%s%d", plain, len(s.used)+i)
	}
	s.used[name] = true
	return quote.Ident(name)
}

// Values of types, as expressions; of those that have an order of their own some
// are equal that are not the same.
var randomValues = map[string][]string{
	"smallint": {"-32768", "32767", "0", "7"}, "integer": {"-2147483648", "2147483647", "0", "42"}, "bigint": {"-9223372036854775808", "9223372036854775807", "1"},
	"numeric": {"'NaN'", "0", "-0.000", "1.10", "1.1", "1e100", "123456789012345678901234567890.123456789", "-1e-50"}, "numeric(12,3)": {"1.5", "-999999999.999", "'NaN'"},
	"real":             {"'NaN'", "'-0'", "'0'", "'Infinity'", "1.17549435e-38", "3.4028235e38", "0.1"},
	"double precision": {"'NaN'", "'-0'", "'0'", "'-Infinity'", "2.2250738585072014e-308", "1.7976931348623157e308", "0.1", "1e-320"},
	"money":            {"'-12.34'", "'92233720368547758.07'", "'0'"}, "boolean": {"true", "false"},
	"text":        {"''", "'x'", "E'a\\tb\\nc\\\\d'", "'it''s \"quoted\"'", "'\\N'", "'\\.'", "repeat('long ', 700)", "'NULL'", "'{a,b}'"},
	"varchar(20)": {"''", "'  x  '", "'ä'"}, "char(6)": {"'x'", "'ab c'", "''", "'123456'"}, `"char"`: {"'x'", "''", "E'\\\\'"}, "name": {"'n'", "''"},
	"bytea": {"'\\x'", "'\\x00ff5c27'", "decode(md5('x'), 'hex')", "convert_to(repeat('b', 3000), 'UTF8')"},
	"date":  {"'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'", "'2024-02-29'"}, "timestamp": {"'infinity'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'2024-03-31 02:30:00'"},
	"timestamptz": {"'-infinity'", "'4713-01-02 00:00:00+00 BC'", "'1883-11-18 12:00:00-05'", "'2024-10-27 02:30:00+01'", "'0001-01-01 00:00:00+00 BC'"}, "timestamptz(3)": {"'2024-10-27 01:30:00.12349Z'"},
	"time": {"'24:00:00'", "'00:00:00.000001'"}, "timetz": {"'24:00:00+15:59'", "'00:00:00-15:59:59'"},
	"interval": {"'1 mon -1 day'", "'-1 year -2 mons +3 days -04:05:06.789'", "'178000000 years'", "'24:00:00'", "'1 day'", "'-00:00:00.000001'"},
	"uuid":     {"md5('u')::uuid", "'00000000-0000-0000-0000-000000000000'"}, "inet": {"'10.1.2.3/8'", "'::ffff:1.2.3.4'", "'fe80::1/64'"}, "cidr": {"'10.0.0.0/8'", "'::/0'"},
	"macaddr": {"'08:00:2b:01:02:03'"}, "macaddr8": {"'08:00:2b:01:02:03:04:05'"}, "bit(5)": {"B'10101'", "B'00000'"}, "bit varying(9)": {"B''", "B'110'"},
	"json": {"'{\"a\":  [1, 2.0, null],\"a\":1}'", "'null'", "' [ ] '"}, "jsonb": {"'{\"b\": 1.10, \"a\": [1, {\"c\": null}]}'", "'\"\\u00e9\"'", "'1e2'", "'{}'"}, "jsonb[]": {"ARRAY['{\"a\": \"x,y\"}', 'null']::jsonb[]"},
	"xml": {"'<a b=\"c\"><!-- d --></a>'", "'<x>plain &amp; text</x>'"}, "tsvector": {"'a:1A ''b c'':2,3'", "''"}, "tsquery": {"'a & !''b c'':*B'", "'x <2> y'"},
	"point": {"'(1,-0)'", "'(NaN,Infinity)'"}, "line": {"'{1,-1,0}'"}, "lseg": {"'[(0,0),(1,2)]'"}, "box": {"'(1,1),(0,0)'"}, "path": {"'[(0,0),(1,1)]'", "'((0,0),(1,1),(2,0))'"}, "polygon": {"'((0,0),(1,1),(2,0))'"}, "circle": {"'<(1,2),3>'"},
	"int4range": {"'empty'", "'[1,5)'", "'(,)'"}, "numrange": {"'[1.0,1.00]'", "'[1.5,)'"}, "tstzrange": {"'[2024-01-01 00:00+00,infinity)'", "'empty'"},
	"integer[]": {"'{}'", "'{1,NULL,-3}'", "'[2:3]={1,2}'", "'{{1,2},{3,4}}'"}, "text[]": {"ARRAY['', 'NULL', NULL, 'a,b', '\"', '\\', '{}']::text[]"}, "oid": {"4294967295", "0"}, "pg_lsn": {"'16/B374D848'", "'0/0'"},
	"txid_snapshot": {"'10:20:10,14,15'"}, "types.mood": {"'so so'", "'Ha''ppy'", "'gr,umpy'"}, "types.mood[]": {"ARRAY['so so', 'gr,umpy']::types.mood[]"}, "types.posint": {"1", "2147483647"}, "types.posint[]": {"'{1,2}'"},
	"types.pair": {"ROW(1, 'a,\"b\"')", "ROW(NULL, '')", "ROW(NULL, NULL)"}, "types.pair[]": {"ARRAY[ROW(1, 'x'), NULL, ROW(NULL, 'y,z')]::types.pair[]"}, "types.label": {"'l'", "'é'"},
	"int4multirange": {"'{[1,3),[5,7)}'", "'{}'"}, "jsonpath": {"'$.a[*] ? (@ > 1)'"},
}

// Types whose values a subscription can tell apart by equality.
var plainTypes = []string{"smallint", "integer", "bigint", "boolean", "uuid", "date"}

// Types of keys, with an expression for the number of a key.
var keyTypes = map[string]string{
	"integer": "%d", "bigint": "%d * 1000000007::bigint", "smallint": "%d", "uuid": "md5('%d')::uuid", "text": "'key ''é'' %d'", "varchar(20)": "'v%d '", "char(6)": "'c%d'", "date": "'2000-01-01'::date + %d",
	"timestamptz": "'epoch'::timestamptz + %d * interval '1001 us'", "numeric": "%d / 4.0", "inet": "'10.0.0.1'::inet + %d", "bytea": "decode(md5('%d'), 'hex')", "types.posint": "%d + 1",
	"name": "'n%d'", "interval": "%d * interval '1 hour'", "double precision": "%d / 8.0", "integer[]": "ARRAY[%d, NULL]", "oid": "%d", "types.label": "'l%d'", `text COLLATE "und-x-icu"`: "'É%d'", `text COLLATE "C"`: "'c%d'",
	"jsonb": "to_jsonb(%d)", "int4range": "int4range(%[1]d, %[1]d + 1)", "types.pair": "ROW(%d, 'x')::types.pair", "pg_lsn": "'0/0'::pg_lsn + %d",
}

func sortedKeys[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func (s *randomSchema) typ(full bool) string {
	if full && s.engine == replicate.EngineNative {
		return plainTypes[s.r.IntN(len(plainTypes))]
	}
	for {
		all := sortedKeys(randomValues)
		t := all[s.r.IntN(len(all))]
		if t == "int4multirange" && s.from < 14 || t == "jsonpath" && s.from < 12 {
			continue
		}
		if s.from < 12 && (t == "real" || t == "double precision") {
			continue // written otherwise by later servers, the same number
		}
		return t
	}
}

func (s *randomSchema) keyType() string {
	for {
		all := sortedKeys(keyTypes)
		t := all[s.r.IntN(len(all))]
		if t == "pg_lsn" && s.from < 14 || t == "double precision" && s.from < 12 {
			continue
		}
		return t
	}
}

// columns adds random columns to a table, and returns their definitions.
func (s *randomSchema) columns(t *randomTable, n int) string {
	var b strings.Builder
	saved := s.used
	s.used = map[string]bool{}
	for range n {
		c := randomColumn{s.fresh(fmt.Sprintf("c%d", len(t.cols))), s.typ(t.full)}
		t.cols = append(t.cols, c)
		b.WriteString(", " + c.name + " " + c.typ)
	}
	s.used = saved
	return b.String()
}

func (s *randomSchema) sql(format string, args ...any) { fmt.Fprintf(&s.script, format+";\n", args...) }

func (s *randomSchema) table(plain string, key ...randomColumn) *randomTable {
	schema := []string{"public", `"Sch é"`, "other"}[s.r.IntN(3)]
	t := &randomTable{name: schema + "." + s.fresh(plain), key: key}
	s.tables = append(s.tables, t)
	return t
}

// generate makes the script of a schema.
func (s *randomSchema) generate() {
	s.used = map[string]bool{}
	s.sql(`CREATE SCHEMA "Sch é"; CREATE SCHEMA other; CREATE SCHEMA types; CREATE TYPE types.mood AS ENUM ('so so', 'Ha''ppy', 'gr,umpy'); CREATE DOMAIN types.posint AS integer CHECK (VALUE > 0);
CREATE DOMAIN types.label AS text COLLATE "C" CHECK (VALUE <> 'no'); CREATE TYPE types.pair AS (a integer, b text)`)
	s.sql(`CREATE SEQUENCE other."Shared Seq" INCREMENT 3`)
	kinds := []func(){s.keyed, s.keyed, s.identity, s.byIndex, s.full, s.full, s.list, s.ranged, s.hashed, s.inherited, s.tree, s.acting, s.generated, s.secured, s.wide, s.stored, s.dropped, s.empty, s.excluded}
	s.r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for _, kind := range kinds[:8] {
		kind()
	}
	s.bulk()
}

var intKey = randomColumn{"k", "integer"}

func (s *randomSchema) keyed() {
	a, b := randomColumn{`"the key"`, s.keyType()}, randomColumn{"k2", s.keyType()}
	t := s.table("keyed", a)
	list, pk := "", a.name
	if s.r.IntN(2) == 0 {
		t.key = append(t.key, b)
		list, pk = ", "+b.name+" "+b.typ, b.name+", "+a.name
	}
	columns := s.columns(t, 2+s.r.IntN(6))
	s.sql("CREATE TABLE %s (%s %s%s%s, PRIMARY KEY (%s))", t.name, a.name, a.typ, columns, list, pk)
	if s.r.IntN(3) == 0 {
		s.sql("ALTER TABLE %s REPLICA IDENTITY DEFAULT; CREATE INDEX ON %s ((%s IS NULL)) WHERE %s IS NOT NULL", t.name, t.name, t.cols[0].name, t.cols[1].name)
	}
}

func (s *randomSchema) identity() {
	t := s.table("ident", intKey)
	s.sql(`CREATE TABLE %s (k integer PRIMARY KEY, id bigint GENERATED %s AS IDENTITY (INCREMENT 7), "Shared" bigint DEFAULT nextval('other."Shared Seq"'), s serial%s)`,
		t.name, []string{"ALWAYS", "BY DEFAULT"}[s.r.IntN(2)], s.columns(t, 2))
}

func (s *randomSchema) byIndex() {
	a, b := randomColumn{"a", s.keyType()}, randomColumn{"b", s.keyType()}
	t := s.table("by index", a, b)
	s.sql("CREATE TABLE %s (id serial PRIMARY KEY, a %s NOT NULL%s, b %s NOT NULL)", t.name, a.typ, s.columns(t, 4), b.typ)
	index := s.fresh("index")
	s.sql("CREATE UNIQUE INDEX %s ON %s (b, a); ALTER TABLE %[2]s REPLICA IDENTITY USING INDEX %[1]s", index, t.name)
}

func (s *randomSchema) full() {
	t := s.table("full", intKey)
	t.full = true
	s.sql("CREATE TABLE %s (k integer%s); ALTER TABLE %s REPLICA IDENTITY FULL", t.name, s.columns(t, 1+s.r.IntN(5)), t.name)
}

// empty has no columns, and rows all the same.
func (s *randomSchema) empty() {
	if s.engine == replicate.EngineNative {
		return
	}
	s.sql("CREATE TABLE other.nothing (); ALTER TABLE other.nothing REPLICA IDENTITY FULL; INSERT INTO other.nothing DEFAULT VALUES")
	s.tables = append(s.tables, &randomTable{name: "other.nothing", full: true})
}

func (s *randomSchema) list() {
	t := s.table("list", intKey, randomColumn{"region", "smallint"})
	columns := s.columns(t, 3)
	s.sql("CREATE TABLE %s (k integer, region smallint%s, PRIMARY KEY (k, region)) PARTITION BY LIST (region)", t.name, columns)
	for i, part := range []string{"FOR VALUES IN (0, 1, 2)", "FOR VALUES IN (3) PARTITION BY HASH (k)", "DEFAULT"} {
		name := "public." + s.fresh(fmt.Sprintf("list_%d", i))
		s.sql("CREATE TABLE %s PARTITION OF %s %s", name, t.name, part)
		if i == 1 {
			for n := range 2 {
				s.sql("CREATE TABLE other.%s PARTITION OF %s FOR VALUES WITH (MODULUS 2, REMAINDER %d)", s.fresh(fmt.Sprintf("list_h%d", n)), name, n)
			}
		}
	}
}

func (s *randomSchema) ranged() {
	t := s.table("range", intKey)
	columns := s.columns(t, 3)
	s.sql("CREATE TABLE %s (k integer PRIMARY KEY%s) PARTITION BY RANGE (k)", t.name, columns)
	// One has its columns in another order, and one that was dropped.
	other := s.fresh("attached")
	s.sql("CREATE TABLE %s (gone text%s, k integer NOT NULL); ALTER TABLE %s DROP gone; ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (50) TO (100)", other, columns, other, t.name, other)
	s.sql("CREATE TABLE %s PARTITION OF %s FOR VALUES FROM (MINVALUE) TO (50)", s.fresh("low"), t.name)
	s.sql("CREATE TABLE %s PARTITION OF %s FOR VALUES FROM (100) TO (MAXVALUE)", s.fresh("high"), t.name)
}

func (s *randomSchema) hashed() {
	k := randomColumn{"k", []string{"text", "uuid", "bigint", "numeric"}[s.r.IntN(4)]}
	t := s.table("hash", k)
	s.sql("CREATE TABLE %s (k %s%s, PRIMARY KEY (k)) PARTITION BY HASH (k)", t.name, k.typ, s.columns(t, 2))
	for i := range 3 {
		s.sql("CREATE TABLE %s PARTITION OF %s FOR VALUES WITH (MODULUS 3, REMAINDER %d)", s.fresh(fmt.Sprintf("hash_%d", i)), t.name, i)
	}
}

func (s *randomSchema) inherited() {
	t := s.table("parent", intKey)
	s.sql("CREATE TABLE %s (k integer PRIMARY KEY%s)", t.name, s.columns(t, 2))
	child := s.table("child", intKey)
	child.cols = slices.Clone(t.cols)
	s.sql("CREATE TABLE %s (PRIMARY KEY (k), own text) INHERITS (%s)", child.name, t.name)
	child.cols = append(child.cols, randomColumn{"own", "text"})
}

func (s *randomSchema) tree() {
	t := s.table("tree", intKey)
	unique := "INITIALLY DEFERRED"
	if s.engine == replicate.EngineApply && s.r.IntN(2) == 0 {
		unique = "INITIALLY IMMEDIATE"
	}
	s.sql("CREATE TABLE %[1]s (k integer PRIMARY KEY, up integer DEFAULT NULL REFERENCES %[1]s ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED, pos serial UNIQUE DEFERRABLE %[2]s%[3]s)", t.name, unique, s.columns(t, 1))
	t.cols = append(t.cols, randomColumn{"up", "up"}, randomColumn{"pos", "pos"})
}

// acting has triggers and a rule that write, and would a second time.
func (s *randomSchema) acting() {
	t, log := s.table("acting", intKey), s.table("acted")
	log.chosen = true
	s.sql("CREATE TABLE %s (id bigserial PRIMARY KEY, what text, k integer, at timestamptz DEFAULT clock_timestamp())", log.name)
	s.sql("CREATE TABLE %s (k integer PRIMARY KEY, n integer DEFAULT 0%s)", t.name, s.columns(t, 2))
	s.sql(`CREATE FUNCTION other.acts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_WHEN = 'BEFORE' THEN NEW.n := coalesce(NEW.n, 0) + 1; RETURN NEW; END IF;
INSERT INTO %s (what, k) VALUES (TG_OP, coalesce(NEW.k, OLD.k)); RETURN NULL; END $$`, log.name)
	s.sql("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE PROCEDURE other.acts()", s.fresh("before"), t.name)
	s.sql("CREATE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE PROCEDURE other.acts()", s.fresh("after"), t.name)
	s.sql("CREATE RULE noted AS ON DELETE TO %s DO ALSO INSERT INTO %s (what, k) VALUES ('rule', OLD.k)", t.name, log.name)
}

func (s *randomSchema) generated() {
	t := s.table("generated", intKey)
	gen := ", twice integer GENERATED ALWAYS AS (k * 2) STORED UNIQUE, \"up per\" text GENERATED ALWAYS AS (upper(v)) STORED"
	if s.from < 12 {
		gen = ""
	}
	s.sql("CREATE TABLE %s (k integer PRIMARY KEY%s, v text%s)", t.name, gen, s.columns(t, 2))
	t.cols = append(t.cols, randomColumn{"v", "text"})
}

func (s *randomSchema) secured() {
	t := s.table("secured", intKey)
	s.sql("CREATE TABLE %s (k integer PRIMARY KEY%s)", t.name, s.columns(t, 2))
	s.sql("ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; ALTER TABLE %[1]s FORCE ROW LEVEL SECURITY; CREATE POLICY none ON %[1]s USING (false); GRANT SELECT (k), UPDATE (%[2]s) ON %[1]s TO PUBLIC", t.name, t.cols[0].name)
}

func (s *randomSchema) wide() {
	t := s.table("wide", intKey)
	s.sql("CREATE TABLE %s (k integer PRIMARY KEY%s)", t.name, s.columns(t, 70))
}

// stored has values out of line, which updates do not send.
func (s *randomSchema) stored() {
	t := s.table("stored", intKey)
	for _, c := range []string{"external", "extended", "main"} {
		t.cols = append(t.cols, randomColumn{c, "big"})
	}
	s.sql("CREATE TABLE %s (k integer PRIMARY KEY, external text, extended text, main bytea%s)", t.name, s.columns(t, 1))
	s.sql("ALTER TABLE %[1]s ALTER external SET STORAGE EXTERNAL; ALTER TABLE %[1]s ALTER main SET STORAGE EXTERNAL", t.name)
	t.cols[2].typ = "big bytea"
	if s.r.IntN(2) == 0 {
		s.sql("ALTER TABLE %s REPLICA IDENTITY FULL", t.name)
		if s.engine == replicate.EngineNative {
			s.sql("ALTER TABLE %s REPLICA IDENTITY DEFAULT", t.name)
		}
	}
}

func (s *randomSchema) dropped() {
	t := s.table("dropped", intKey)
	s.sql("CREATE TABLE %s (x integer, k integer, y text%s)", t.name, s.columns(t, 3))
	s.sql("INSERT INTO %[1]s (x, k) SELECT i, -i FROM generate_series(1, 5) i; ALTER TABLE %[1]s DROP x, DROP y, ADD PRIMARY KEY (k), ADD z text DEFAULT 'z', ADD w integer NOT NULL DEFAULT 5", t.name)
	t.cols = append(t.cols, randomColumn{"z", "text"})
}

func (s *randomSchema) excluded() {
	t := s.table("exclusive", intKey)
	s.sql("CREATE TABLE %s (k integer PRIMARY KEY, during int4range, CHECK (k IS NOT NULL), EXCLUDE USING gist (during WITH &&)%s)", t.name, s.columns(t, 1))
	t.cols = append(t.cols, randomColumn{"during", "during"})
}

// bulk has large transactions.
func (s *randomSchema) bulk() {
	s.sql("CREATE TABLE other.bulk (k integer PRIMARY KEY, v text, n numeric)")
	s.tables = append(s.tables, &randomTable{name: "other.bulk", key: []randomColumn{intKey}, chosen: true})
}
