package verify

import (
	"bytes"
	"context"

	"github.com/jackc/pgx/v5"
)

// A nesting is a type that holds floating-point numbers beside other values: a
// composite type, an array of such, or what is built of these.
type nesting struct {
	number rewriter   // of a type that holds nothing but numbers
	fields []*nesting // of a composite type; nil for a field without numbers
	elem   *nesting   // of an array
}

// A typeRow is what the catalog says of a type.
type typeRow struct {
	name, kind, category string
	base, elem           uint32
	fields               []uint32
}

const typesQuery = `SELECT t.oid, pg_catalog.format_type(t.oid, NULL), t.typtype::text, t.typcategory::text, t.typbasetype, t.typelem,
  ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
FROM pg_catalog.pg_type t`

// learnNestings reads which types hold numbers beside other values. c.floats are
// those that hold nothing else.
func (c *comparison) learnNestings(ctx context.Context, e *end) error {
	types := map[uint32]typeRow{}
	err := e.query(ctx, "types", typesQuery, func(rows pgx.Rows) error {
		var oid uint32
		var t typeRow
		err := rows.Scan(&oid, &t.name, &t.kind, &t.category, &t.base, &t.elem, &t.fields)
		types[oid] = t
		return err
	})
	if err != nil {
		return err
	}
	known := map[uint32]*nesting{}
	var learn func(oid uint32) *nesting
	learn = func(oid uint32) *nesting {
		if n, done := known[oid]; done {
			return n
		}
		known[oid] = nil // in case a type comes to itself again
		t := types[oid]
		var n *nesting
		switch number := floatRewriter(c.floats[t.name]); {
		case number != nil:
			n = &nesting{number: number}
		case t.kind == "d":
			n = learn(t.base)
		case t.category == "A":
			if elem := learn(t.elem); elem != nil {
				n = &nesting{elem: elem}
			}
		case t.kind == "c":
			fields, some := make([]*nesting, len(t.fields)), false
			for i, f := range t.fields {
				fields[i] = learn(f)
				some = some || fields[i] != nil
			}
			if some {
				n = &nesting{fields: fields}
			}
		}
		known[oid] = n
		return n
	}
	for oid, t := range types {
		if n := learn(oid); n != nil && n.number == nil {
			c.nestings[t.name] = n
		}
	}
	return nil
}

// copied rewrites a value as COPY writes it.
func (n *nesting) copied(p []byte) []byte {
	text, _ := unescape(p)
	return appendText(nil, n.rewrite([]byte(text)))
}

// rewrite rewrites the numbers in a value's text. What does not look as the type
// says is left as it is.
func (n *nesting) rewrite(v []byte) []byte {
	switch {
	case n.number != nil:
		return n.number(v)
	case n.elem != nil:
		return n.array(v)
	}
	return n.row(v)
}

// row rewrites a composite value, (1,"a b",,"(2,""c"")"): empty is NULL, and within
// quotes quotes and backslashes are doubled.
func (n *nesting) row(v []byte) []byte {
	if len(v) < 2 || v[0] != '(' || v[len(v)-1] != ')' {
		return v
	}
	out := []byte{'('}
	for rest, i := v[1:], 0; ; i++ {
		field, quoted, length := element(rest, ",)")
		if length >= len(rest) || quoted && rest[length-1] != '"' {
			return v
		}
		if i < len(n.fields) && n.fields[i] != nil && len(field) > 0 {
			field = n.fields[i].rewrite(field)
		}
		out = appendElement(out, field, quoted, '"')
		out = append(out, rest[length])
		if rest[length] == ')' {
			return out
		}
		rest = rest[length+1:]
	}
}

// array rewrites an array, with bounds or without: {"(1,a)",NULL}. Within quotes a
// backslash is before quotes and backslashes.
func (n *nesting) array(v []byte) []byte {
	begin := bytes.IndexByte(v, '{')
	if begin < 0 {
		return v
	}
	out := bytes.Clone(v[:begin])
	for rest := v[begin:]; len(rest) > 0; {
		if bytes.IndexByte([]byte("{},"), rest[0]) >= 0 {
			out, rest = append(out, rest[0]), rest[1:]
			continue
		}
		elem, quoted, length := element(rest, "{},")
		if quoted || string(elem) != "NULL" {
			elem = n.elem.rewrite(elem)
		}
		out, rest = appendElement(out, elem, quoted, '\\'), rest[length:]
	}
	return out
}

// element reads a value of a composite or an array at the beginning of p, up to one
// of the bytes of end, and how long it is there.
func element(p []byte, end string) (value []byte, quoted bool, length int) {
	if len(p) == 0 || p[0] != '"' {
		if length = bytes.IndexAny(p, end); length < 0 {
			length = len(p)
		}
		return p[:length], false, length
	}
	for i := 1; i < len(p); i++ {
		switch {
		case p[i] == '\\' && i+1 < len(p), p[i] == '"' && i+1 < len(p) && p[i+1] == '"':
			i++
		case p[i] == '"':
			return value, true, i + 1
		}
		value = append(value, p[i])
	}
	return value, true, len(p)
}

// appendElement appends a value of a composite or an array. escape is what quotes
// have before them: composites double them.
func appendElement(out, value []byte, quoted bool, escape byte) []byte {
	if !quoted {
		return append(out, value...)
	}
	out = append(out, '"')
	for _, c := range value {
		switch c {
		case '"':
			out = append(out, escape)
		case '\\':
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return append(out, '"')
}
