package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Cast is a row of pg_cast that a user made, between any types.
type Cast struct {
	statement
	method, context byte
	function        *Function
}

// castQuery leaves out the casts from ranges to multiranges, which come with
// the range.
func (l *loader) castQuery() query {
	return query{
		what: "CAST objects",
		sql: `SELECT c.oid, st.typname || ' ' || tt.typname, '(' || pg_catalog.format_type(st.oid, NULL) || ' AS ' || pg_catalog.format_type(tt.oid, NULL) || ')',
  c.castfunc, c.castmethod::text, c.castcontext::text
FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type st ON st.oid = c.castsource JOIN pg_catalog.pg_type tt ON tt.oid = c.casttarget
WHERE c.oid >= 16384` + l.since(14, `
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_range r WHERE r.rngtypid = c.castsource AND r.rngmultitypid = c.casttarget)`, "") + `
ORDER BY c.oid`,
		scan: func(row pgx.Rows) error {
			c := &Cast{}
			var oid, function uint32
			var types, method, context string
			if err := row.Scan(&oid, &c.Name, &types, &function, &method, &context); err != nil {
				return err
			}
			c.method, c.context, c.function = method[0], context[0], l.procs[function]
			l.place(c, ID{classCast, oid}, rankCast, PreData, 0, 0)
			c.Kind, c.Tag, c.about, c.aboutName = "CAST", "CAST "+types, "CAST", types
			c.drop = "DROP CAST " + types + ";\n"
			return nil
		},
	}
}

// Create implements Object.
func (c *Cast) Create() string {
	sql := "CREATE CAST " + c.aboutName + " "
	switch {
	case c.method == 'b':
		sql += "WITHOUT FUNCTION"
	case c.method == 'i':
		sql += "WITH INOUT"
	case c.function != nil:
		sql += "WITH FUNCTION " + c.function.reference()
	}
	switch c.context {
	case 'a':
		sql += " AS ASSIGNMENT"
	case 'i':
		sql += " AS IMPLICIT"
	}
	return sql + ";\n"
}

// reference is the function's qualified name with the types of its arguments.
func (f *Function) reference() string {
	types := make([]string, len(f.argTypes))
	for i, t := range f.argTypes {
		types[i] = f.loader.typeName(t)
	}
	return f.QualifiedName() + "(" + strings.Join(types, ", ") + ")"
}

// A Transform is a row of pg_transform.
type Transform struct {
	statement
	from, to *Function
}

func (l *loader) transformQuery() query {
	return query{
		what: "TRANSFORM objects",
		sql: `SELECT x.oid, t.typname || ' ' || g.lanname, pg_catalog.format_type(t.oid, NULL), g.lanname, x.trffromsql::oid, x.trftosql::oid
FROM pg_catalog.pg_transform x JOIN pg_catalog.pg_type t ON t.oid = x.trftype JOIN pg_catalog.pg_language g ON g.oid = x.trflang
WHERE x.oid >= 16384 ORDER BY x.oid`,
		scan: func(row pgx.Rows) error {
			x := &Transform{}
			var oid, from, to uint32
			var typ, language string
			if err := row.Scan(&oid, &x.Name, &typ, &language, &from, &to); err != nil {
				return err
			}
			x.from, x.to = l.procs[from], l.procs[to]
			l.place(x, ID{classTransform, oid}, rankTransform, PreData, 0, 0)
			x.Kind, x.about = "TRANSFORM", "TRANSFORM"
			x.aboutName = "FOR " + typ + " LANGUAGE " + quote.Ident(language)
			x.Tag = "TRANSFORM " + x.aboutName
			x.drop = "DROP TRANSFORM " + x.aboutName + ";\n"
			return nil
		},
	}
}

// Create implements Object.
func (x *Transform) Create() string {
	var parts []string
	if x.from != nil {
		parts = append(parts, "FROM SQL WITH FUNCTION "+x.from.reference())
	}
	if x.to != nil {
		parts = append(parts, "TO SQL WITH FUNCTION "+x.to.reference())
	}
	return "CREATE TRANSFORM " + x.aboutName + " (" + strings.Join(parts, ", ") + ");\n"
}
