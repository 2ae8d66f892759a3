package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Type is a row of pg_type. Types that come with another object (row types,
// array types, multiranges) are in the graph for its edges only.
type Type struct {
	Meta
	schemaOID, ownerOID, relOID uint32
	relkind                     byte
	typtype                     byte
	defined, dummy              bool
	formatted                   string // format_type, "" for row types of tables and arrays of those
	elem                        uint32 // of an array type: its elements'
	names                       *loader
	acl                         acl

	shell       *shellType    // of base types and ranges
	base        baseFacts     // base
	labels      []string      // enum
	rng         rangeFacts    // range
	attributes  []*column     // composite
	domain      domainFacts   // domain
	constraints []*Constraint // domain
}

type rangeFacts struct {
	subtype, multirange, opclass, collation, canonical, diff string
}

type domainFacts struct {
	base      string
	notNull   bool
	notNullCo *Constraint // 17+
	def       string      // SQL of the default, "" for none
	collation uint32
}

func (l *loader) typeQuery() query {
	return query{
		what: "TYPE objects",
		sql: `SELECT t.oid, t.typname, t.typnamespace, t.typowner, t.typrelid, coalesce(c.relkind::text, ''), t.typtype::text, t.typisdefined,
  coalesce(e.oid, 0), CASE WHEN coalesce(e.typrelid, t.typrelid) = 0 OR t.typnamespace = 'pg_catalog'::regnamespace THEN pg_catalog.format_type(t.oid, NULL) ELSE '' END,
  t.typacl::text[], CASE WHEN e.oid IS NULL THEN pg_catalog.acldefault('T', t.typowner)::text[] END
FROM pg_catalog.pg_type t
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
ORDER BY t.oid`,
		scan: func(row pgx.Rows) error {
			t := &Type{names: l}
			var oid uint32
			var relkind, typtype string
			if err := row.Scan(&oid, &t.Name, &t.schemaOID, &t.ownerOID, &t.relOID, &relkind, &typtype, &t.defined, &t.elem,
				&t.formatted, &t.acl.items, &t.acl.base); err != nil {
				return err
			}
			t.relkind, t.typtype = char(relkind), char(typtype)
			t.Kind, t.Section, t.Schema, t.Owner = "TYPE", PreData, l.schema(t.schemaOID), l.role(t.ownerOID)
			if t.typtype == 'd' {
				t.Kind = "DOMAIN"
			}
			if t.acl.items != nil {
				t.has |= partACL
			}
			t.dummy = t.relOID != 0 && t.relkind != 'c' || t.elem != 0 || t.typtype == 'm'
			rk := rankType
			if t.dummy {
				rk = rankDummyType
			}
			l.add(t, ID{classType, oid}, rk)
			l.types[oid] = t
			switch {
			case t.dummy:
				if r := l.rels[t.relOID]; r != nil {
					t.want = r.want
				}
			default:
				l.selectInSchema(t, t.schemaOID)
			}
			return nil
		},
	}
}

// typeName is format_type of a type.
func (l *loader) typeName(oid uint32) string {
	t := l.types[oid]
	switch {
	case t == nil:
		return "???"
	case t.formatted != "":
		return t.formatted
	case t.elem != 0:
		return l.typeName(t.elem) + "[]"
	}
	return quote.Qualified(t.Schema, t.Name)
}

func (l *loader) wantedTypes(typtype byte) string {
	var list []uint32
	for oid, t := range l.types {
		if t.typtype == typtype && !t.dummy && t.Wanted() {
			list = append(list, oid)
		}
	}
	return oids(list)
}

func (l *loader) enumQuery() query {
	return query{
		what: "TYPE labels",
		sql: `SELECT e.enumtypid, e.enumlabel FROM pg_catalog.pg_enum e
WHERE e.enumtypid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY e.enumtypid, e.enumsortorder`,
		args: []any{l.wantedTypes('e')},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var label string
			if err := row.Scan(&oid, &label); err != nil {
				return err
			}
			l.types[oid].labels = append(l.types[oid].labels, label)
			return nil
		},
	}
}

func (l *loader) rangeQuery() query {
	return query{
		what: "range TYPE objects",
		sql: `SELECT r.rngtypid, pg_catalog.format_type(r.rngsubtype, NULL), ` + l.since(14, "pg_catalog.format_type(r.rngmultitypid, NULL)", "''") + `,
  CASE WHEN NOT opc.opcdefault THEN pg_catalog.quote_ident(opn.nspname) || '.' || pg_catalog.quote_ident(opc.opcname) ELSE '' END,
  CASE WHEN r.rngcollation <> st.typcollation THEN pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname) ELSE '' END,
  r.rngcanonical::text, r.rngsubdiff::text
FROM pg_catalog.pg_range r
JOIN pg_catalog.pg_type st ON st.oid = r.rngsubtype
JOIN pg_catalog.pg_opclass opc ON opc.oid = r.rngsubopc JOIN pg_catalog.pg_namespace opn ON opn.oid = opc.opcnamespace
LEFT JOIN pg_catalog.pg_collation co ON co.oid = r.rngcollation LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
WHERE r.rngtypid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY r.rngtypid`,
		args: []any{l.wantedTypes('r')},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var f rangeFacts
			if err := row.Scan(&oid, &f.subtype, &f.multirange, &f.opclass, &f.collation, &f.canonical, &f.diff); err != nil {
				return err
			}
			l.types[oid].rng = f
			return nil
		},
	}
}

func (l *loader) compositeQuery() query {
	return query{
		what: "composite TYPE objects",
		sql: `SELECT ct.oid, a.attnum, a.attname, a.attisdropped, coalesce(pg_catalog.format_type(a.atttypid, a.atttypmod), ''),
  CASE WHEN a.attcollation <> at.typcollation THEN a.attcollation ELSE 0 END
FROM pg_catalog.pg_type ct JOIN pg_catalog.pg_attribute a ON a.attrelid = ct.typrelid
LEFT JOIN pg_catalog.pg_type at ON at.oid = a.atttypid
WHERE ct.oid IN (SELECT pg_catalog.unnest($1::oid[])) AND a.attnum > 0 ORDER BY a.attrelid, a.attnum`,
		args: []any{l.wantedTypes('c')},
		scan: func(row pgx.Rows) error {
			var oid uint32
			c := &column{}
			if err := row.Scan(&oid, &c.num, &c.name, &c.dropped, &c.typeName, &c.collation); err != nil {
				return err
			}
			l.types[oid].attributes = append(l.types[oid].attributes, c)
			return nil
		},
	}
}

func (l *loader) domainQuery() query {
	return query{
		what: "DOMAIN objects",
		sql: `SELECT t.oid, pg_catalog.format_type(t.typbasetype, t.typtypmod), t.typnotnull,
  coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::regclass), pg_catalog.quote_literal(t.typdefault), ''),
  CASE WHEN t.typcollation <> u.typcollation THEN t.typcollation ELSE 0 END
FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type u ON u.oid = t.typbasetype
WHERE t.oid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY t.oid`,
		args: []any{l.wantedTypes('d')},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var f domainFacts
			if err := row.Scan(&oid, &f.base, &f.notNull, &f.def, &f.collation); err != nil {
				return err
			}
			f.notNullCo = l.types[oid].domain.notNullCo
			l.types[oid].domain = f
			return nil
		},
	}
}

// Create implements Object.
func (t *Type) Create() string {
	if t.dummy {
		return ""
	}
	switch {
	case !t.defined:
		return "CREATE TYPE " + t.QualifiedName() + ";\n"
	case t.typtype == 'b':
		return t.createBase()
	case t.typtype == 'e':
		return t.createEnum()
	case t.typtype == 'r':
		return t.createRange()
	case t.typtype == 'c':
		return t.createComposite()
	case t.typtype == 'd':
		return t.createDomain()
	}
	return ""
}

// Drop implements Object.
func (t *Type) Drop() string {
	if t.typtype == 'b' { // its functions and it need each other
		return "DROP TYPE " + t.QualifiedName() + " CASCADE;\n"
	}
	return "DROP " + t.Kind + " " + t.QualifiedName() + ";\n"
}

func (t *Type) createEnum() string {
	var s sqlText
	s.add("CREATE TYPE ", t.QualifiedName(), " AS ENUM (")
	for i, label := range t.labels {
		if i > 0 {
			s.add(",")
		}
		s.add("\n    ", quote.Literal(label))
	}
	s.add("\n);\n")
	return s.String()
}

func (t *Type) createRange() string {
	var s sqlText
	f := t.rng
	s.add("CREATE TYPE ", t.QualifiedName(), " AS RANGE (\n    subtype = ", f.subtype)
	for _, o := range [][2]string{
		{"multirange_type_name", f.multirange},
		{"subtype_opclass", f.opclass},
		{"collation", f.collation},
		{"canonical", f.canonical},
		{"subtype_diff", f.diff},
	} {
		if o[1] != "" && o[1] != "-" {
			s.add(",\n    ", o[0], " = ", o[1])
		}
	}
	s.add("\n);\n")
	return s.String()
}

func (t *Type) createComposite() string {
	var s sqlText
	s.add("CREATE TYPE ", t.QualifiedName(), " AS (")
	n := 0
	for _, c := range t.attributes {
		if c.dropped {
			continue
		}
		if n > 0 {
			s.add(",")
		}
		n++
		s.add("\n\t", quote.Ident(c.name), " ", c.typeName)
		if c.collation != 0 {
			s.add(" COLLATE ", t.names.collName[c.collation])
		}
	}
	s.add("\n);\n")
	return s.String()
}

func (t *Type) createDomain() string {
	var s sqlText
	f := t.domain
	s.add("CREATE DOMAIN ", t.QualifiedName(), " AS ", f.base)
	if f.collation != 0 {
		s.add(" COLLATE ", t.names.collName[f.collation])
	}
	if f.notNull {
		if k := f.notNullCo; k != nil && k.Name != t.Name+"_not_null" {
			s.add(" CONSTRAINT ", quote.Ident(k.Name))
		}
		s.add(" NOT NULL")
	}
	if f.def != "" {
		s.add(" DEFAULT ", f.def)
	}
	for _, k := range t.constraints {
		if !k.separate && k.contype == 'c' {
			s.add("\n\tCONSTRAINT ", quote.Ident(k.Name), " ", k.definition)
		}
	}
	s.add(";\n")
	return s.String()
}

func (l *loader) collationNameQuery() query {
	return query{
		what: "names of collations",
		sql: `SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.collname)
FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace ORDER BY c.oid`,
		scan: func(row pgx.Rows) error {
			var oid uint32
			var name string
			if err := row.Scan(&oid, &name); err != nil {
				return err
			}
			l.collName[oid] = name
			return nil
		},
	}
}

// scanOID scans a single OID column.
func scanOID(each func(uint32)) func(pgx.Rows) error {
	return func(row pgx.Rows) error {
		var oid uint32
		if err := row.Scan(&oid); err != nil {
			return err
		}
		each(oid)
		return nil
	}
}

// A shellType is declared before the functions that take the type, when the
// type in turn needs one of them.
type shellType struct {
	Meta
}

// tagFunctions names functions by their argument types, once those are known.
func (l *loader) tagFunctions() {
	for _, f := range l.procs {
		f.Tag = f.tag()
	}
}

// shellTypes gives every base type and range a shell; it is dumped only if a ring of
// dependencies needs it.
func (l *loader) shellTypes() {
	for _, o := range l.objs {
		t, ok := o.(*Type)
		if !ok || t.typtype != 'r' && t.typtype != 'b' || t.dummy || !t.Wanted() {
			continue
		}
		t.shell = &shellType{}
		t.shell.Kind, t.shell.Section = "SHELL TYPE", PreData
		t.shell.Schema, t.shell.Name, t.shell.Owner = t.Schema, t.Name, t.Owner
		l.add(t.shell, ID{}, rankType)
	}
}

// Create implements Object.
func (t *shellType) Create() string { return "CREATE TYPE " + t.QualifiedName() + ";\n" }

// Drop implements Object: the type itself is dropped.
func (t *shellType) Drop() string { return "" }
