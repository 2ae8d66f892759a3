package copyproto_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// values are what the two formats are compared with, by type: the edges of each,
// and an expression that makes others at random.
var values = []struct{ name, list, random string }{
	{"bool", "true, false, null", "r > 0.5"},
	{"int2", "-32768, 32767, 0", "(r * 65535 - 32768)::int2"},
	{"int4", "-2147483648, 2147483647, -1", "(r * 4294967295 - 2147483648)::int4"},
	{"int8", "-9223372036854775808, 9223372036854775807, 0", "(r * 1.8e18)::int8 - (r * 7e17)::int8"},
	{"oid", "0, 4294967295", "(r * 4294967295)::int8::oid"},
	{"float4", "'NaN', 'Infinity', '-Infinity', '-0', 1e-45, 3.4028235e38, 0.1, 16777217", "(r * 10 ^ (r2 * 70 - 35))::float4"},
	{"float8", "'NaN', 'Infinity', '-Infinity', '-0', 5e-324, 1.7976931348623157e308, 0.1, 1e22, 123456789012345678", "r * 10 ^ (r2 * 600 - 300)"},
	{
		"numeric", "'NaN', 0, 0.0, 0.000, -0.00001, 1, 10000, 100000000, 9999, 0.0001, 0.00010, 12345678.12345678, 1e100, -1e-100, 10000.0001, 100.00000001",
		"round((r * 10 ^ (r2 * 40 - 20))::numeric, (r3 * 30)::int - 5)",
	},
	{"numeric(12,4)", "0, -1.5, 99999999.9999", "(r * 1e8)::numeric(12,4)"},
	{"text", `'', E'\t\n\r\b\f\v\\', '\N', '\.', 'ä€𝄞', 'NULL', null, E'\x01'`, "repeat(chr(1 + (r * 200)::int), (r2 * 20)::int)"},
	{"varchar(7)", "'', 'abc'", "left(r::text, 7)"},
	{"char(5)", "'', 'abc'", "left(r::text, 5)"},
	{"name", "'', 'abc'", "left(r::text, 20)::name"},
	{"json", `'null', '{"a": [1, "\t"], "b": "\u00e4"}'`, "to_json(r)"},
	{"jsonb", `'null', '{"a": [1, "\t"], "b": "x\\y"}', '1e5'`, "jsonb_build_object('r', r, 'x', r::text)"},
	{"bytea", `'', '\x00', '\xdeadbeef'`, "decode(md5(r::text), 'hex')"},
	{"uuid", "'00000000-0000-0000-0000-000000000000'", "md5(r::text)::uuid"},
	{"date", "'infinity', '-infinity', '0001-01-01', '1999-12-31', '2000-01-01', '2000-02-29', '2100-03-01', '10000-01-01', '99999-12-31'", "date '0001-01-01' + (r * 3e6)::int"},
	{"time", "'00:00', '24:00', '23:59:59.999999', '01:02:03.1'", "time '00:00' + r * interval '1 day'"},
	{"timestamp", "'infinity', '-infinity', '0001-01-01', '1999-12-31 23:59:59.999999', '99999-12-31 01:00'", "timestamp '0002-01-01' + r * interval '3000 years'"},
	{"timestamptz", "'infinity', '-infinity', '0001-01-03', '1883-11-18 12:00', '2024-07-01 12:00:00.5'", "timestamptz '1700-01-01' + r * interval '400 years'"},
	{"mood", "'sad', 'so so', null", "(ARRAY['sad','so so'])[1 + (r * 1.99)::int % 2]::mood"},
	{"shout", "'', 'A'", "upper(md5(r::text))::shout"},
	{"int4[]", "'{}', '{1,NULL,-3}', '{{1,2},{3,4}}', '{{{1}},{{2}}}', null", "ARRAY[(r * 100)::int, null, (r2 * 1e6)::int]"},
	{"text[]", `'{}', '{"",NULL,"NULL","a,b","{}","\"q\\\\",a b}', ARRAY[E'\t\n'], ARRAY[['a','b'],['c',null]]`, "ARRAY[md5(r::text), chr(1 + (r2 * 200)::int), null]"},
	{"float8[]", "'{}', '{NaN,Infinity,-0}'", "ARRAY[r, r2]"},
	{"timestamptz[]", "'{2024-01-01 00:00:00+00}'", "ARRAY[timestamptz '2000-01-01' + r * interval '1 year']"},
	{"jsonb[]", `ARRAY['{"a": "b,c"}'::jsonb, null]`, "ARRAY[to_jsonb(r)]"},
	{"mood[]", "'{sad,NULL,\"so so\"}'", "ARRAY['sad'::mood]"},
	{"bytea[]", `ARRAY['\x00ff'::bytea]`, "ARRAY[decode(md5(r::text), 'hex')]"},
}

// What becomes of text is what the server itself writes in the binary format.
func TestBinaryEqualsServer(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, "CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN shout AS text CHECK (value = upper(value))")
		conn := s.Conn(t, db)
		for _, zone := range []string{"UTC", "Asia/Kolkata", "America/New_York", "Europe/Amsterdam"} {
			run(t, conn, "SET timezone = '"+zone+"'; SET extra_float_digits = 3")
			for _, v := range values {
				if zone != "UTC" && !strings.HasPrefix(v.name, "timestamptz") {
					continue
				}
				rows := fmt.Sprintf("SELECT x::%s, g FROM unnest(ARRAY[%s]::%s[]) WITH ORDINALITY u (x, g)", v.name, v.list, v.name)
				if strings.HasSuffix(v.name, "]") { // arrays of arrays are something else
					rows = "SELECT x, 1::int8 FROM (VALUES (" + strings.Join(splitList(v.list), "::"+v.name+"), (") + "::" + v.name + ")) u (x)"
				}
				equal(t, conn, v.name, rows)
				equal(t, conn, v.name, fmt.Sprintf("SELECT (%s)::%s, g::int8 FROM (SELECT random() r, random() r2, random() r3, g FROM generate_series(1, 300) g OFFSET 0) x", v.random, v.name))
			}
		}
	})
}

// splitList splits an SQL list at its commas outside quotes and brackets.
func splitList(list string) (parts []string) {
	depth, quoted, start := 0, false, 0
	for i, c := range list {
		switch {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, list[start:i])
			start = i + 1
		}
	}
	return append(parts, list[start:])
}

// equal compares both formats of a query's rows: a value of the type and a bigint.
// The query is kept in a table, since it may be random.
func equal(t *testing.T, conn *pgx.Conn, name, query string) {
	t.Helper()
	run(t, conn, "DROP TABLE IF EXISTS pg_temp.x; CREATE TEMP TABLE x (v, n) AS "+query)
	var base, element uint32
	var kind string
	err := conn.QueryRow(t.Context(), `SELECT t.oid, t.typtype, coalesce(e.oid, 0) FROM pg_attribute a JOIN pg_type c ON c.oid = a.atttypid
		JOIN pg_type t ON t.oid = CASE c.typtype WHEN 'd' THEN c.typbasetype ELSE c.oid END
		LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typlen = -1 AND t.typcategory = 'A' WHERE a.attrelid = 'pg_temp.x'::regclass AND a.attname = 'v'`).Scan(&base, &kind, &element)
	if err != nil {
		t.Fatal(err)
	}
	column := copyproto.Column{Type: copyproto.TypeOf(base), Element: element}
	if element != 0 {
		column.Type = copyproto.TypeOf(element)
	}
	if strings.HasPrefix(name, "mood") {
		column.Type = copyproto.TypeText
	}
	var text, want, got bytes.Buffer
	for format, to := range map[string]*bytes.Buffer{"text": &text, "binary": &want} {
		if _, err := conn.PgConn().CopyTo(t.Context(), to, "COPY x TO STDOUT (FORMAT "+format+")"); err != nil {
			t.Fatal(err)
		}
	}
	w := copyproto.NewBinaryWriter(&got, []copyproto.Column{column, {Type: copyproto.TypeInt8}})
	for rest := text.Bytes(); len(rest) > 0; {
		n := min(1+rand.IntN(100), len(rest))
		if _, err := w.Write(rest[:n]); err != nil {
			t.Errorf("%s: %v\n%.300s", name, err, text.Bytes())
			return
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%s: %.200q becomes\n%.300x, the server writes\n%.300x", name, text.Bytes(), got.Bytes(), want.Bytes())
	}
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// What servers never write is refused.
func TestBinaryRefuses(t *testing.T) {
	for typ, list := range map[copyproto.Type][]string{
		copyproto.TypeBool:        {"", "true", "1"},
		copyproto.TypeInt2:        {"", "-", "32768", "-32769", "1 ", "+1", "0x1"},
		copyproto.TypeInt4:        {"2147483648", "-2147483649"},
		copyproto.TypeInt8:        {"9223372036854775808", "-9223372036854775809", "99999999999999999999"},
		copyproto.TypeOID:         {"-1", "4294967296"},
		copyproto.TypeFloat4:      {"1e39", "1e-50", "inf", "0x1p4", "1_0"},
		copyproto.TypeFloat8:      {"", "1e400", "1e-400", "nan", "Inf", "0x10"},
		copyproto.TypeNumeric:     {"", "-", ".", "1.", ".5", "1e5", "1.2.3", "--1", " 1"},
		copyproto.TypeBytea:       {"", "abc", `\\x0`, `\\x0g`},
		copyproto.TypeUUID:        {"", "00000000000000000000000000000000", "0000000-00000-0000-0000-000000000000"},
		copyproto.TypeDate:        {"", "2024-13-01", "2024-02-30", "2023-02-29", "0044-03-15 BC", "2024-1-1", "01/02/2024", "0000-01-01"},
		copyproto.TypeTime:        {"", "25:00:00", "24:00:01", "10:60:00", "10:00:60", "10:00", "10:00:00.", "10:00:00.1234567", "10:00:00+00"},
		copyproto.TypeTimestamp:   {"2024-01-01", "2024-01-01T00:00:00", "2024-01-01 24:00:00", "2024-01-01 00:00:00+00", "0044-03-15 00:00:00 BC"},
		copyproto.TypeTimestamptz: {"2024-01-01 00:00:00", "2024-01-01 00:00:00+", "2024-01-01 00:00:00+1", "2024-01-01 00:00:00 UTC", "2024-01-01 00:00:00+00:", "2024-01-01 00:00:00+00:00:00:00", "2024-01-01 00:00:00+00 BC"},
		copyproto.TypeUnknown:     {"x"},
		copyproto.TypeText:        {`\x41`, `\101`, `a\`, "a\tb"},
	} {
		for _, v := range list {
			w := copyproto.NewBinaryWriter(new(bytes.Buffer), []copyproto.Column{{Type: typ}})
			if _, err := w.Write([]byte(v + "\n")); err == nil {
				t.Errorf("type %d takes %q", typ, v)
			}
		}
	}
	for _, v := range []string{"", "1", "{", "}", "{1", "{1}}", "{{1}", "{{1},{2,3}}", "{{1},2}", "{1,}", "{,1}", "[0:0]={1}", `{"1`, `{"1"2}`, "{{}}", "{ 1}", "{{{{{{{1}}}}}}}", `{"\`} {
		w := copyproto.NewBinaryWriter(new(bytes.Buffer), []copyproto.Column{{Type: copyproto.TypeInt4, Element: 23}})
		if _, err := w.Write([]byte(strings.ReplaceAll(v, `\`, `\\`) + "\n")); err == nil {
			t.Errorf("an array takes %q", v)
		}
	}
}

// FuzzBinaryWriter writes anything as rows of a table that has columns of all
// types: there is either an error or as many fields as columns, however the
// text is cut.
func FuzzBinaryWriter(f *testing.F) {
	f.Add([]byte("t\t1\t{1,2}\t1.5\t2024-01-01\n"), 3)
	f.Add([]byte("\\N\t-1\t{\"a\\\\\"b\",NULL}\tNaN\tinfinity\n\\N\n"), 1)
	columns := []copyproto.Column{{Type: copyproto.TypeBool}, {Type: copyproto.TypeInt4}, {Type: copyproto.TypeText, Element: 25}, {Type: copyproto.TypeNumeric}, {Type: copyproto.TypeDate}}
	turn := func(text []byte, cut int, columns []copyproto.Column) (string, error) {
		var out bytes.Buffer
		w := copyproto.NewBinaryWriter(&out, columns)
		for _, p := range [][]byte{text[:cut], text[cut:]} {
			if _, err := w.Write(p); err != nil {
				return "", err
			}
		}
		return out.String(), w.Close()
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		cut = min(max(cut, 0), len(text))
		for _, columns := range [][]copyproto.Column{columns, {{Type: copyproto.Type(cut % 20)}}, {{Type: copyproto.Type(cut % 20), Element: 1}}} {
			whole, err := turn(text, 0, columns)
			halves, errHalves := turn(text, cut, columns)
			if (err == nil) != (errHalves == nil) || err == nil && whole != halves {
				t.Errorf("%q: %q, %v; cut at %d: %q, %v", text, whole, err, cut, halves, errHalves)
			}
		}
	})
}

func BenchmarkBinaryWriter(b *testing.B) {
	row := "123456\t57\t0\t" + strings.Repeat(" ", 84) + "\n"
	rows := []byte(strings.Repeat(row, 1000))
	columns := []copyproto.Column{{Type: copyproto.TypeInt4}, {Type: copyproto.TypeInt4}, {Type: copyproto.TypeInt4}, {Type: copyproto.TypeText}}
	b.SetBytes(int64(len(rows)))
	w := copyproto.NewBinaryWriter(discard{}, columns)
	for b.Loop() {
		if _, err := w.Write(rows); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
