package dump_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/archive/convert"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// binaryValues are literals of all built-in types that travel in the binary
// format; those of types that a server does not have are not used.
var binaryValues = map[string]string{
	"bool": "t|f", "bytea": `\x|\x00ff0a5c|\xffff`, "char": `a||\001`, "name": "|ä b", "int2": "-32768|32767", "int4": "-2147483648|2147483647|0",
	"int8": "-9223372036854775808|9223372036854775807", "text": "|ä€𝄞|\t\n\\.|\\N|NULL",
	"oid": "0|4294967295", "tid": "(0,1)|(4294967295,65535)", "xid": "0|4294967295", "cid": "0|4294967295", "xid8": "0|18446744073709551615",
	"json": `null|{"a" : 1,  "a":"\t"}`, "jsonb": `null|{"a": [1e400, "ä"], "": {}}|1.000`, "jsonpath": `$.a[*] ? (@ > 1)|strict $."x y"`,
	"point": "(1,-0)|(NaN,Infinity)", "lseg": "[(1,2),(3,4.5)]", "path": "[(1,2),(3,4)]|((1,2),(3,4))", "box": "(3,4),(1,2)", "polygon": "((1,2),(3,4),(5,6))",
	"line": "{1,-1,0.5}", "circle": "<(1,2),3.25>", "float4": "NaN|-Infinity|1e-45|3.4028235e+38|-0", "float8": "NaN|Infinity|5e-324|1.7976931348623157e+308|0.1",
	"money": "-92233720368547758.08|0.01", "numeric": "NaN|0.000|-1e-1000|1e1000|123456789.123456789|10000.00",
	"cidr": "10.0.0.0/8|2001:db8::/32", "inet": "10.1.2.3/8|::1", "macaddr": "08:00:2b:01:02:03", "macaddr8": "08:00:2b:01:02:03:04:05",
	"bpchar": "|a  ", "varchar": "|a  ", "bit": "1|0", "varbit": "|1010101010", "refcursor": "|x",
	"date": "4713-01-01 BC|0001-12-31 BC|infinity|-infinity|5874897-12-31", "time": "00:00:00|24:00:00|23:59:59.999999",
	"timestamp": "4713-01-01 00:00:00 BC|infinity|294276-12-31 23:59:59.999999", "timestamptz": "4713-01-02 00:00:00+00 BC|-infinity|2024-07-01 12:00:00.5+02",
	"interval": "178956970 years 7 mons 2147483647 days|-1 mons +1 days -00:00:00.000001|0", "timetz": "00:00:00+15:59:59|24:00:00-15:59:59",
	"uuid": "00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff", "txid_snapshot": "10:20:10,14,15", "pg_snapshot": "10:20:10,14,15", "pg_lsn": "0/0|FFFFFFFF/FFFFFFFF",
	"tsvector": `|'a':1A,2B 'ä b':3 'c'`, "tsquery": `|!'a' & 'b':AB* <2> ( 'c' | 'd' )`,
	"int4range": "empty|[1,3)|(,5)", "numrange": "[1.50,2]|(,)", "tsrange": `["2024-01-01 00:00:00",infinity)`, "tstzrange": `["2024-01-01 00:00:00+00",)`, "daterange": "[2024-01-01,2024-02-01)", "int8range": "[-1,9223372036854775807)",
	"int4multirange": "{}|{[1,3),[5,6)}", "nummultirange": "{(,1.50],[2,)}", "tsmultirange": `{["2024-01-01 00:00:00",infinity)}`, "tstzmultirange": "{}", "datemultirange": "{[2024-01-01,2024-02-01)}", "int8multirange": "{[1,2)}",
}

// unsendable are the built-in types that do not travel in the binary format.
const unsendable = "aclitem gtsvector int2vector oidvector pg_brin_bloom_summary pg_brin_minmax_multi_summary pg_dependencies pg_mcv_list pg_ndistinct pg_node_tree regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype xml"

// everyType makes a table for each sendable type and array of one, and tables
// that only text can hold.
func everyType(t *testing.T, s *pgtest.Server, db string) (asText []string) {
	t.Helper()
	var sql strings.Builder
	known := strings.Fields(unsendable)
	list := s.Text(t, db, `SELECT string_agg(t.oid || ' ' || t.typname, E'\n' ORDER BY t.typname) FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm')
		AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)`)
	for line := range strings.Lines(list) {
		var oid uint32
		var name string
		if _, err := fmt.Sscan(line, &oid, &name); err != nil {
			t.Fatal(err)
		}
		literals, there := binaryValues[name]
		if copyproto.Sendable(oid, 'b', 0) != there || there == slices.Contains(known, name) {
			t.Errorf("type %s: sendable %v, values %v, known not to be %v", name, !there, there, slices.Contains(known, name))
			continue
		}
		if !there {
			continue
		}
		spoken := `pg_catalog."` + name + `"`
		fmt.Fprintf(&sql, "CREATE TABLE of_%s (n int, v %s, a %s[]);\nINSERT INTO of_%s VALUES (0, NULL, NULL), (1, NULL, '{}')", name, spoken, spoken, name)
		for _, v := range strings.Split(literals, "|") {
			if name == "tsquery" {
				v = literals[1:]
			}
			v = "'" + strings.ReplaceAll(v, "'", "''") + "'::" + spoken
			fmt.Fprintf(&sql, ", (2, %s, ARRAY[[%s, NULL], [%s, %s]])", v, v, v, v)
		}
		sql.WriteString(";\n")
	}
	sql.WriteString(`
CREATE SCHEMA "Other s";
CREATE TYPE mood AS ENUM ('sad', 'so so');
CREATE DOMAIN shout AS text CHECK (value = upper(value));
CREATE DOMAIN louder AS shout NOT NULL;
CREATE DOMAIN numbers AS int[];
CREATE TYPE pair AS (a int, b text);
CREATE TYPE spread AS RANGE (subtype = float8);
CREATE TABLE "Other s"."good ""t" (" c" mood, "select" louder, n numbers, g int GENERATED ALWAYS AS (1) STORED, gone int);
ALTER TABLE "Other s"."good ""t" DROP gone;
INSERT INTO "Other s"."good ""t" VALUES ('so so', 'A', '{1,2}'), (NULL, 'B', NULL);
CREATE TABLE none ();
INSERT INTO none DEFAULT VALUES; INSERT INTO none DEFAULT VALUES;
CREATE TABLE empty (a int);
CREATE TABLE many (id int PRIMARY KEY, t text);
INSERT INTO many SELECT i, repeat(chr(65 + i % 26), i % 300) FROM generate_series(1, 20000) i;
CREATE TABLE measure (id int, at date, v float8) PARTITION BY RANGE (at);
CREATE TABLE measure_1 PARTITION OF measure FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE measure_2 (v float8, id int, at date); ALTER TABLE measure ATTACH PARTITION measure_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
INSERT INTO measure SELECT i, date '2024-01-01' + i % 59, i FROM generate_series(1, 500) i;
CREATE TABLE by_mood (m mood, i int) PARTITION BY HASH (m);
CREATE TABLE by_mood_0 PARTITION OF by_mood FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_mood_1 PARTITION OF by_mood FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_mood SELECT (ARRAY['sad', 'so so'])[1 + i % 2]::mood, i FROM generate_series(1, 100) i;
`)
	for name, column := range map[string]string{"moods": "mood[]", "composite": "pair", "class": "regclass", "classes": "regclass[]", "markup": "xml", "user_range": "spread", "vector": "int2vector", "text_shouts": "shout[]"} {
		fmt.Fprintf(&sql, "CREATE TABLE %s (v %s); INSERT INTO %s VALUES (NULL);\n", name, column, name)
		asText = append(asText, "public."+name)
	}
	sql.WriteString(`INSERT INTO moods VALUES ('{sad,"so so"}'); INSERT INTO composite VALUES ('(1,x)'); INSERT INTO class VALUES ('many'); INSERT INTO vector VALUES (''); INSERT INTO text_shouts VALUES ('{A}')`)
	if s.Major < 12 { // no generated columns
		text := strings.Replace(sql.String(), "g int GENERATED ALWAYS AS (1) STORED, ", "", 1)
		sql.Reset()
		sql.WriteString(text)
	}
	s.Exec(t, db, sql.String())
	slices.Sort(asText)
	return asText
}

// Values of every built-in type travel in the binary format, in parts, through
// both kinds of archives, by pghaul and pg_restore, and verify and check agree.
func TestBinary(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		want := everyType(t, s, db)
		dir := filepath.Join(pgtest.TempDir(t), "archive")
		opts := dump.Options{Dir: dir, NoSync: true, CopyFormat: copyproto.Binary, PartSize: 64 << 10}
		report, err := dump.Run(t.Context(), s.Config(t, db), opts)
		if err != nil || !report.Complete() {
			t.Fatal(report, err)
		}
		var asText []string
		for _, x := range report.AsText {
			asText = append(asText, x.Schema+"."+x.Name)
		}
		slices.Sort(asText)
		if d := cmp.Diff(want, asText); d != "" {
			t.Errorf("as text (-want +got):\n%s", d)
		}
		r, err := archive.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, x := range r.Manifest().Tables {
			if (x.Format == "binary") == slices.Contains(want, x.Schema+"."+x.Name) || x.Portable {
				t.Errorf("%s has format %q, portable %v", x.Name, x.Format, x.Portable)
			}
			if parts, err := r.Parts(x.Entry); err != nil || s.Major >= 14 && x.Name == "many" && len(parts) < 2 {
				t.Errorf("%s has %d parts, %v", x.Name, len(parts), err)
			}
		}
		intact(t, dir, true)
		copied := s.DatabaseFrom(t, "template0")
		restoreInto(t, s, copied, dir)
		sameContents(t, s, db, s, copied)
		likeArchive(t, r, s, copied, true)
		s.Exec(t, copied, `UPDATE many SET t = t || 'x' WHERE id = 77; INSERT INTO by_mood VALUES ('sad', 77)`)
		likeArchive(t, r, s, copied, false)

		again := s.DatabaseFrom(t, "template0")
		pgRestore(t, s, again, dir)
		sameContents(t, s, db, s, again)

		file := filepath.Join(pgtest.TempDir(t), "converted")
		if _, err := convert.Run(t.Context(), r, file, convert.Options{Format: archive.FormatCustom}); err != nil {
			t.Fatal(err)
		}
		intact(t, file, true)
		if s.Major != 18 && s.Major != pgtest.Versions(t)[0] {
			return
		}
		opts.Dir = filepath.Join(pgtest.TempDir(t), "custom")
		if _, err := dump.RunCustom(t.Context(), s.Config(t, db), nil, opts); err != nil {
			t.Fatal(err)
		}
		for name, path := range map[string]string{"dumped": opts.Dir, "converted": file} {
			t.Run(name, func(t *testing.T) {
				copied := s.DatabaseFrom(t, "template0")
				restoreInto(t, s, copied, path)
				sameContents(t, s, db, s, copied)
				again := s.DatabaseFrom(t, "template0")
				pgRestore(t, s, again, path)
				sameContents(t, s, db, s, again)
			})
		}
	})
}

// intact checks an archive, of which something is damaged if it is not to be
// intact.
func intact(t *testing.T, path string, want bool) {
	t.Helper()
	r, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	report, err := verify.Archive(t.Context(), r, 2)
	if err != nil || report.Intact() != want {
		t.Errorf("%s: %+v, %v", path, report.Problems, err)
	}
}

// likeArchive compares a database with an archive.
func likeArchive(t *testing.T, r archive.Reader, s *pgtest.Server, db string, want bool) {
	t.Helper()
	report, err := verify.FromArchive(t.Context(), r, s.Config(t, db), verify.Options{Levels: []verify.Level{verify.LevelDigest}, MaxRows: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range report.Tables {
		changed := x.Name == "many" || strings.HasPrefix(x.Name, "by_mood")
		if x.CountOnly != "" || x.Equal != (want || !changed) || !x.Equal && (x.Problem != "" || x.Rows == nil) {
			t.Errorf("%s: %+v", x.Name, x)
		}
		if d := x.Rows; d != nil && (d.Missing != 0 || d.Extra+d.Changed != 1 || (d.Changed == 1) != (x.Name == "many")) {
			t.Errorf("rows of %s: %+v", x.Name, d)
		}
	}
}

// What is damaged in a binary archive is found, by check and by restore.
func TestBinaryDamage(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, `CREATE TABLE many (id int PRIMARY KEY, t text); INSERT INTO many SELECT i, md5(i::text) FROM generate_series(1, 3000) i`)
	dir := haul(t, s, db, dump.Options{CopyFormat: copyproto.Binary, Compression: archive.CompressNone})
	files, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return filepath.Base(name) == "toc.dat" })
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"a value":     func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"the header":  func(b []byte) []byte { b[3] ^= 1; return b },
		"the trailer": func(b []byte) []byte { b[len(b)-1] = 0; return b },
		"its end":     func(b []byte) []byte { return b[:len(b)-40] },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(files[0], damage(bytes.Clone(text)), 0o600); err != nil {
				t.Fatal(err)
			}
			intact(t, dir, false)
			r, err := archive.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			copied := s.DatabaseFrom(t, "template0")
			report, err := restore.Run(t.Context(), s.Config(t, copied), restore.FromArchive(r), restore.Options{})
			if err != nil || len(report.Failed) != 1 || report.Failed[0].Name != "public.many" {
				t.Errorf("%+v, %v", report, err)
			}
			if got := s.Text(t, copied, "SELECT count(*) FROM many"); got != "0" {
				t.Errorf("%s rows were loaded", got)
			}
		})
	}
}

// Servers of other versions and scripts do not get what they could misread.
func TestBinaryRefused(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE one (a int); INSERT INTO one VALUES (1); CREATE TABLE two (a int)")
	dir := haul(t, s, db, dump.Options{CopyFormat: copyproto.Binary})
	r, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = restore.WriteScript(t.Context(), &bytes.Buffer{}, restore.FromArchive(r), restore.Options{}, "key")
	if err == nil || !strings.Contains(err.Error(), "public.one") || !strings.Contains(err.Error(), "binary") {
		t.Errorf("a script: %v", err)
	}
	if err := restore.WriteScript(t.Context(), &bytes.Buffer{}, restore.FromArchive(r), restore.Options{SchemaOnly: true}, "key"); err != nil {
		t.Errorf("a script of definitions: %v", err)
	}
	majors := pgtest.Versions(t)
	if majors[0] == 18 {
		return
	}
	other := pgtest.Start(t, majors[len(majors)-2])
	copied := other.DatabaseFrom(t, "template0")
	_, err = restore.Run(t.Context(), other.Config(t, copied), restore.FromArchive(r), restore.Options{})
	want := fmt.Sprintf("the target is PostgreSQL %d and the rows of public.one and of another table are in the binary format of PostgreSQL 18", other.Major)
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--copy-format=text") {
		t.Errorf("restore: %v, want %s", err, want)
	}
	if got := other.Text(t, copied, "SELECT count(*) FROM pg_class WHERE relname IN ('one', 'two')"); got != "0" {
		t.Errorf("%s tables were made", got)
	}
	if _, err := restore.Run(t.Context(), other.Config(t, copied), restore.FromArchive(r), restore.Options{SchemaOnly: true}); err != nil {
		t.Errorf("definitions alone: %v", err)
	}
}

// The tables of extensions are made by the version of them that the target has.
func TestBinaryOfExtension(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, `CREATE EXTENSION hstore; CREATE TABLE conf (a int); INSERT INTO conf VALUES (1); CREATE TABLE own (a int);
ALTER EXTENSION hstore ADD TABLE conf; UPDATE pg_extension SET extconfig = ARRAY['conf'::regclass::oid], extcondition = ARRAY[''] WHERE extname = 'hstore'`)
	dir := filepath.Join(pgtest.TempDir(t), "archive")
	report, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{Dir: dir, NoSync: true, CopyFormat: copyproto.Binary})
	if err != nil || report.Tables != 2 {
		t.Fatal(report, err)
	}
	if len(report.AsText) != 1 || report.AsText[0].Name != "conf" || !strings.Contains(report.AsText[0].Reason, "extension") {
		t.Errorf("as text: %+v", report.AsText)
	}
}
