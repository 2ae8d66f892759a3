package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// An OperatorClass is a row of pg_opclass with the operators and functions
// that are bound to the class, or, if family is true, a row of pg_opfamily
// with those that are loose in it.
type OperatorClass struct {
	statement
	family    bool
	am        string
	head      string // up to AS
	inputType string
	members   []string // STORAGE, OPERATOR and FUNCTION clauses
}

func (l *loader) opclassQuery() query {
	return query{
		what: "OPERATOR CLASS objects",
		sql: `SELECT c.oid, c.opcname, c.opcnamespace, c.opcowner, am.amname, c.opcdefault, c.opcintype::pg_catalog.regtype::text, c.opckeytype::pg_catalog.regtype::text, fn.nspname, f.opfname
FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_am am ON am.oid = c.opcmethod
JOIN pg_catalog.pg_opfamily f ON f.oid = c.opcfamily JOIN pg_catalog.pg_namespace fn ON fn.oid = f.opfnamespace
WHERE c.oid >= 16384 ORDER BY c.oid`,
		scan: func(row pgx.Rows) error {
			c := &OperatorClass{}
			var oid, schema, owner uint32
			var isDefault bool
			var keyType, familySchema, family string
			if err := row.Scan(&oid, &c.Name, &schema, &owner, &c.am, &isDefault, &c.inputType, &keyType, &familySchema, &family); err != nil {
				return err
			}
			l.place(c, ID{classOpclass, oid}, rankOpfamily, PreData, schema, owner)
			c.describe("OPERATOR CLASS", " USING "+quote.Ident(c.am))
			c.head = "CREATE OPERATOR CLASS " + c.QualifiedName() + "\n    "
			if isDefault {
				c.head += "DEFAULT "
			}
			c.head += "FOR TYPE " + c.inputType + " USING " + quote.Ident(c.am) + " FAMILY " + quote.Qualified(familySchema, family) + " AS\n    "
			if keyType != "-" {
				c.members = append(c.members, "STORAGE "+keyType)
			}
			return nil
		},
	}
}

func (l *loader) opfamilyQuery() query {
	return query{
		what: "OPERATOR FAMILY objects",
		sql: `SELECT f.oid, f.opfname, f.opfnamespace, f.opfowner, am.amname
FROM pg_catalog.pg_opfamily f JOIN pg_catalog.pg_am am ON am.oid = f.opfmethod WHERE f.oid >= 16384 ORDER BY f.oid`,
		scan: func(row pgx.Rows) error {
			f := &OperatorClass{family: true}
			var oid, schema, owner uint32
			if err := row.Scan(&oid, &f.Name, &schema, &owner, &f.am); err != nil {
				return err
			}
			l.place(f, ID{classOpfamily, oid}, rankOpfamily, PreData, schema, owner)
			f.describe("OPERATOR FAMILY", " USING "+quote.Ident(f.am))
			f.head = "OPERATOR FAMILY " + f.QualifiedName() + " USING " + quote.Ident(f.am)
			return nil
		},
	}
}

// opclassMemberQuery reads the operators and functions of classes and
// families: pg_depend says which of the two a member goes with.
func (l *loader) opclassMemberQuery() query {
	return query{
		what: "members of operator classes",
		sql: `SELECT d.refclassid, d.refobjid, 0 AS part, o.amopstrategy::int4 AS number, o.oid,
  'OPERATOR ' || o.amopstrategy || ' ' || o.amopopr::pg_catalog.regoperator
  || coalesce(' FOR ORDER BY ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(f.opfname), '')
FROM pg_catalog.pg_amop o
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_amop'::regclass AND d.objid = o.oid
LEFT JOIN pg_catalog.pg_opfamily f ON f.oid = o.amopsortfamily LEFT JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
WHERE d.refclassid IN ('pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass) AND d.refobjid >= 16384
  AND (d.refclassid = 'pg_catalog.pg_opclass'::regclass OR d.refobjid = o.amopfamily)
UNION ALL
SELECT d.refclassid, d.refobjid, 1, p.amprocnum::int4, p.oid,
  'FUNCTION ' || p.amprocnum || ' (' || p.amproclefttype::pg_catalog.regtype || ', ' || p.amprocrighttype::pg_catalog.regtype || ') ' || p.amproc::pg_catalog.regprocedure
FROM pg_catalog.pg_amproc p
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_amproc'::regclass AND d.objid = p.oid
WHERE d.refclassid IN ('pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass) AND d.refobjid >= 16384
  AND (d.refclassid = 'pg_catalog.pg_opclass'::regclass OR d.refobjid = p.amprocfamily)
ORDER BY 1, 2, 3, 4, 5`,
		scan: func(row pgx.Rows) error {
			var id ID
			var part, number int
			var oid uint32
			var text string
			if err := row.Scan(&id.Class, &id.OID, &part, &number, &oid, &text); err != nil {
				return err
			}
			if c, ok := l.byID[id].(*OperatorClass); ok {
				c.members = append(c.members, text)
			}
			return nil
		},
	}
}

// Create implements Object.
func (c *OperatorClass) Create() string {
	members := strings.Join(c.members, " ,\n    ")
	if c.family {
		sql := "CREATE " + c.head + ";\n"
		if members != "" {
			sql += "ALTER " + c.head + " ADD\n    " + members + ";\n"
		}
		return sql
	}
	if members == "" { // AS needs something, and this says nothing new
		members = "STORAGE " + c.inputType
	}
	return c.head + members + ";\n"
}
