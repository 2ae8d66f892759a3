package catalog

import (
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// baseFacts are what CREATE TYPE of a base type says; functions are named as
// regproc prints them, "-" for none.
type baseFacts struct {
	length                                  int
	input, output, receive, send            string
	typmodIn, typmodOut, analyze, subscript string
	def                                     *string // the default's text or expression
	defLiteral                              bool
	element                                 string // "" if it is no array of anything
	category, delimiter, alignment, storage string
	preferred, byValue, collatable          bool
}

func (l *loader) baseTypeQuery() query {
	return query{
		what: "base TYPE objects",
		sql: `SELECT t.oid, t.typlen::int4, t.typinput::text, t.typoutput::text, t.typreceive::text, t.typsend::text, t.typmodin::text, t.typmodout::text, t.typanalyze::text,
  ` + l.since(14, "t.typsubscript::text", "'-'") + `, coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault), t.typdefaultbin IS NULL,
  CASE WHEN t.typelem <> 0 THEN pg_catalog.format_type(t.typelem, NULL) ELSE '' END,
  t.typcategory::text, t.typdelim::text, t.typalign::text, t.typstorage::text, t.typispreferred, t.typbyval, t.typcollation <> 0
FROM pg_catalog.pg_type t WHERE t.oid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY t.oid`,
		args: []any{l.wantedTypes('b')},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var f baseFacts
			if err := row.Scan(&oid, &f.length, &f.input, &f.output, &f.receive, &f.send, &f.typmodIn, &f.typmodOut, &f.analyze,
				&f.subscript, &f.def, &f.defLiteral, &f.element, &f.category, &f.delimiter, &f.alignment, &f.storage,
				&f.preferred, &f.byValue, &f.collatable); err != nil {
				return err
			}
			l.types[oid].base = f
			return nil
		},
	}
}

var alignments = map[string]string{"c": "char", "s": "int2", "i": "int4", "d": "double"}

func (t *Type) createBase() string {
	var s sqlText
	f := t.base
	s.add("CREATE TYPE ", t.QualifiedName(), " (\n    INTERNALLENGTH = ")
	if f.length >= 0 {
		s.add(strconv.Itoa(f.length))
	} else {
		s.add("variable")
	}
	option := func(on bool, text ...string) {
		if on {
			s.add(",\n    ")
			s.add(text...)
		}
	}
	for _, o := range [][2]string{
		{"INPUT", f.input},
		{"OUTPUT", f.output},
		{"RECEIVE", f.receive},
		{"SEND", f.send},
		{"TYPMOD_IN", f.typmodIn},
		{"TYPMOD_OUT", f.typmodOut},
		{"ANALYZE", f.analyze},
	} {
		option(o[1] != "-", o[0], " = ", o[1])
	}
	option(f.collatable, "COLLATABLE = true")
	if f.def != nil {
		text := *f.def
		if f.defLiteral {
			text = quote.Literal(text)
		}
		option(true, "DEFAULT = ", text)
	}
	option(f.subscript != "-", "SUBSCRIPT = ", f.subscript)
	option(f.element != "", "ELEMENT = ", f.element)
	option(f.category != "U", "CATEGORY = ", quote.Literal(f.category))
	option(f.preferred, "PREFERRED = true")
	option(f.delimiter != "" && f.delimiter != ",", "DELIMITER = ", quote.Literal(f.delimiter))
	option(alignments[f.alignment] != "", "ALIGNMENT = ", alignments[f.alignment])
	storage := map[string]string{"p": "plain", "e": "external", "x": "extended", "m": "main"}[f.storage]
	option(storage != "", "STORAGE = ", storage)
	option(f.byValue, "PASSEDBYVALUE")
	s.add("\n);\n")
	return s.String()
}
