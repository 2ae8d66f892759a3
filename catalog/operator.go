package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// An Operator is a row of pg_operator. A shell, which exists only because
// another operator named it as its commutator or negator, has no definition.
type Operator struct {
	statement
	kind        byte // 'b' infix, 'l' prefix, 'r' postfix (until 13)
	left, right uint32
}

func (l *loader) operatorQuery() query {
	return query{
		what: "OPERATOR objects",
		sql: `SELECT o.oid, o.oprname, o.oprnamespace, o.oprowner, o.oprkind::text, o.oprleft, o.oprright,
  CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE pg_catalog.format_type(o.oprleft, NULL) END,
  CASE WHEN o.oprright = 0 THEN 'NONE' ELSE pg_catalog.format_type(o.oprright, NULL) END,
  o.oprcode <> 0, o.oprcode::pg_catalog.regprocedure::text, o.oprrest::pg_catalog.regprocedure::text, o.oprjoin::pg_catalog.regprocedure::text,
  coalesce('OPERATOR(' || pg_catalog.quote_ident(cn.nspname) || '.' || c.oprname || ')', ''),
  coalesce('OPERATOR(' || pg_catalog.quote_ident(nn.nspname) || '.' || n.oprname || ')', ''), o.oprcanmerge, o.oprcanhash
FROM pg_catalog.pg_operator o
LEFT JOIN pg_catalog.pg_operator c ON c.oid = o.oprcom LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = c.oprnamespace
LEFT JOIN pg_catalog.pg_operator n ON n.oid = o.oprnegate LEFT JOIN pg_catalog.pg_namespace nn ON nn.oid = n.oprnamespace
WHERE o.oid >= 16384 ORDER BY o.oid`,
		scan: func(row pgx.Rows) error {
			o := &Operator{}
			var oid, schema, owner uint32
			var kind, left, right, code, restrict, join, commutator, negator string
			var defined, merges, hashes bool
			if err := row.Scan(&oid, &o.Name, &schema, &owner, &kind, &o.left, &o.right, &left, &right,
				&defined, &code, &restrict, &join, &commutator, &negator, &merges, &hashes); err != nil {
				return err
			}
			o.kind = kind[0]
			l.place(o, ID{classOperator, oid}, rankOperator, PreData, schema, owner)
			operands := " (" + left + ", " + right + ")"
			name := l.schemaIdent(schema) + "." + o.Name
			o.Kind, o.about, o.aboutName = "OPERATOR", "OPERATOR", o.Name+operands
			o.drop = "DROP OPERATOR " + name + operands + ";\n"
			if !defined {
				return nil
			}
			if o.kind == 'r' && o.Wanted() {
				l.db.Warnings = append(l.db.Warnings, "operator "+name+operands+" is a postfix operator, which PostgreSQL 14 and later do not have")
			}
			options := []string{"FUNCTION = " + withoutArguments(code)}
			option := func(on bool, text string) {
				if on {
					options = append(options, text)
				}
			}
			option(o.left != 0, "LEFTARG = "+left)
			option(o.right != 0, "RIGHTARG = "+right)
			option(commutator != "", "COMMUTATOR = "+commutator)
			option(negator != "", "NEGATOR = "+negator)
			option(merges, "MERGES")
			option(hashes, "HASHES")
			option(restrict != "-", "RESTRICT = "+withoutArguments(restrict))
			option(join != "-", "JOIN = "+withoutArguments(join))
			o.create = "CREATE OPERATOR " + name + " (\n    " + strings.Join(options, ",\n    ") + "\n);\n"
			return nil
		},
	}
}

// withoutArguments cuts the argument list off what regprocedure prints. The
// name may hold parentheses inside quotes.
func withoutArguments(procedure string) string {
	quoted := false
	for i := range len(procedure) {
		switch procedure[i] {
		case '"':
			quoted = !quoted
		case '(':
			if !quoted {
				return procedure[:i]
			}
		}
	}
	return procedure
}
