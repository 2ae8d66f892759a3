package verify

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/copyproto"
)

// Some values' text depends on the version of the server or on who wrote the
// archive. Where the two ends differ in that, the text of one of them is
// rewritten before it is hashed; the values are compared.

// A rewriter changes the text of one value as COPY writes it. It may change p.
type rewriter func(p []byte) []byte

// A rewriting changes the values of some columns on the way to do, which gets
// whole rows without their newline and must not keep them.
type rewriting struct {
	columns []rewriter // nil for those that stay
	do      func(row []byte)
	out     []byte
}

// row rewrites one row.
func (r *rewriting) row(row []byte) {
	r.out = r.out[:0]
	for i, f := range r.columns {
		value, rest, _ := bytes.Cut(row, []byte{'\t'})
		row = rest
		if i > 0 {
			r.out = append(r.out, '\t')
		}
		if f != nil && !bytes.Equal(value, null) {
			value = f(value)
		}
		r.out = append(r.out, value...)
	}
	r.do(r.out)
}

var null = []byte(`\N`)

// floats are the types that hold floating-point numbers, with their bits.
var floats = map[string]int{
	"real": 32, "double precision": 64, "point": 64, "line": 64, "lseg": 64, "box": 64, "path": 64, "polygon": 64, "circle": 64,
}

// floatQuery finds the types that are made of such: domains over them, ranges and
// arrays of them. Rows of composite types hold text as well, whose digits are not
// to be touched: see nesting.
const floatQuery = `WITH RECURSIVE f(oid, base) AS (
  SELECT t.oid, pg_catalog.format_type(t.oid, NULL) FROM pg_catalog.pg_type t
  WHERE t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND t.typname IN ('float4', 'float8', 'point', 'line', 'lseg', 'box', 'path', 'polygon', 'circle')
  UNION
  SELECT t.oid, f.base FROM f, pg_catalog.pg_type t
  WHERE t.typtype = 'd' AND t.typbasetype = f.oid OR t.typcategory = 'A' AND t.typelem = f.oid
    OR t.typtype = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid AND r.rngsubtype = f.oid)
)
SELECT pg_catalog.format_type(oid, NULL), base FROM f`

// learnFloats reads which types hold floating-point numbers, if the ends write
// them in different ways.
func (c *comparison) learnFloats(ctx context.Context) error {
	c.floats, c.nestings = map[string]string{}, map[string]*nesting{}
	if c.ends[0].version.AtLeast(12) == c.ends[1].version.AtLeast(12) {
		return nil
	}
	for _, e := range c.ends {
		if e.rec != nil {
			continue
		}
		err := e.query(ctx, "types", floatQuery, func(rows pgx.Rows) error {
			var name, base string
			err := rows.Scan(&name, &base)
			c.floats[name] = base
			return err
		})
		if err == nil {
			err = c.learnNestings(ctx, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// floatRewriter writes the numbers of a type as servers before 12 do, which
// take a fixed number of digits: 9 or 18 significant ones. Since 12 servers
// write as few as tell the number. nil if the type has no such numbers.
func floatRewriter(typeName string) rewriter {
	bits := floats[typeName]
	if bits == 0 {
		return nil
	}
	digits := map[int]int{32: 9, 64: 18}[bits]
	return func(p []byte) []byte {
		var out []byte
		for len(p) > 0 {
			n := 0
			for n < len(p) && (p[n] >= '0' && p[n] <= '9' || n > 0 && strings.IndexByte(".eE+-", p[n]) >= 0 || strings.IndexByte(".-", p[n]) >= 0) {
				n++
			}
			if v, err := strconv.ParseFloat(string(p[:n]), bits); err == nil {
				out = strconv.AppendFloat(out, v, 'g', digits, 64)
				p = p[n:]
				continue
			}
			n = max(n, 1)
			out = append(out, p[:n]...)
			p = p[n:]
		}
		return out
	}
}

var timestamp = regexp.MustCompile(`(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(\.\d+)?([+-]\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?`)

// utcRewriter writes the points in time of a type in UTC. nil if the type has
// none.
func utcRewriter(typeName string) rewriter {
	base := strings.TrimSuffix(typeName, "[]")
	if !strings.HasPrefix(base, "timestamp") && base != "tstzrange" && base != "tstzmultirange" || strings.Contains(base, "without") {
		return nil
	}
	return func(p []byte) []byte { return timestamp.ReplaceAllFunc(p, utc) }
}

// utc writes a point in time, in the form of DateStyle ISO, in UTC.
func utc(p []byte) []byte {
	m := timestamp.FindSubmatch(p)
	num := func(i int) int {
		n, _ := strconv.Atoi(string(m[i])) // digits only, or ""
		return n
	}
	year := num(1)
	if len(m[11]) > 0 {
		year = 1 - year
	}
	offset := time.Duration(num(9))*time.Minute + time.Duration(num(10))*time.Second
	hours := num(8)
	if m[8][0] == '-' {
		offset = -offset
	}
	offset += time.Duration(hours) * time.Hour
	t := time.Date(year, time.Month(num(2)), num(3), num(4), num(5), num(6), 0, time.UTC).Add(-offset)
	bc := ""
	if year = t.Year(); year < 1 {
		year, bc = 1-year, " BC"
	}
	out := make([]byte, 0, 40)
	text := strconv.Itoa(year)
	out = append(out, "0000"[:max(0, 4-len(text))]...)
	out = append(out, text...)
	out = t.AppendFormat(out, "-01-02 15:04:05")
	out = append(out, m[7]...)
	return append(append(out, "+00"...), bc...)
}

// rewriters are those that the rows of end i need so that they compare with the
// other end's; nil if none does.
func (c *comparison) rewriters(p *pair, i int) []rewriter {
	d := p.described()
	if d == nil || p.format == copyproto.Binary {
		return nil
	}
	e, other := c.ends[i], c.ends[1-i]
	var out []rewriter
	set := func(n int, f rewriter) {
		if f == nil {
			return
		}
		if out == nil {
			out = make([]rewriter, len(p.columns)+len(p.stored))
		}
		out[n] = f
	}
	for n, name := range p.all() {
		typeName := d.Table.ColumnType(name)
		if e.version.AtLeast(12) && !other.version.AtLeast(12) {
			set(n, floatRewriter(c.floats[typeName]))
			if nested := c.nestings[typeName]; nested != nil {
				set(n, nested.copied)
			}
		}
		if e.rec != nil && e.rec.local {
			set(n, utcRewriter(typeName))
		}
	}
	return out
}
