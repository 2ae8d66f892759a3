package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A DefaultACL is a row of pg_default_acl: the privileges that objects of a
// kind get when a role makes them, everywhere or in one schema.
type DefaultACL struct{ statement }

// defaultACLKinds are the words of ALTER DEFAULT PRIVILEGES and the kinds whose
// privileges they are.
var defaultACLKinds = map[string][2]string{
	"r": {"TABLES", "TABLE"}, "S": {"SEQUENCES", "SEQUENCE"}, "f": {"FUNCTIONS", "FUNCTION"},
	"T": {"TYPES", "TYPE"}, "n": {"SCHEMAS", "SCHEMA"}, "L": {"LARGE OBJECTS", "LARGE OBJECT"},
}

func (l *loader) defaultACLQuery() query {
	if l.opts.NoPrivileges {
		return query{}
	}
	return query{
		what: "DEFAULT ACL objects",
		sql: `SELECT d.oid, d.defaclobjtype::text, d.defaclnamespace, d.defaclrole, d.defaclacl::text[],
  CASE WHEN d.defaclnamespace = 0 THEN pg_catalog.acldefault(CASE WHEN d.defaclobjtype = 'S' THEN 's'::"char" ELSE d.defaclobjtype END, d.defaclrole)::text[] ELSE '{}' END
FROM pg_catalog.pg_default_acl d ORDER BY d.oid`,
		scan: func(row pgx.Rows) error {
			d := &DefaultACL{}
			var oid, schema, role uint32
			if err := row.Scan(&oid, &d.Name, &schema, &role, &d.acl.items, &d.acl.base); err != nil {
				return err
			}
			l.place(d, ID{classDefaultACL, oid}, rankDefaultACL, PostData, schema, role)
			d.want = pick(d.want.has(partACL)) // also in schemas of which only privileges are taken
			d.Kind = "DEFAULT ACL"
			words, ok := defaultACLKinds[d.Name]
			if !ok {
				l.skip(&d.Meta, "its kind "+quote.Literal(d.Name)+" is unknown")
				d.want = 0
				return nil
			}
			d.Tag = "DEFAULT PRIVILEGES FOR " + words[0]
			d.acl.prefix = "ALTER DEFAULT PRIVILEGES FOR ROLE " + quote.Ident(d.Owner) + " "
			if d.Schema != "" {
				d.acl.prefix += "IN SCHEMA " + quote.Ident(d.Schema) + " "
			}
			d.create = grants(words[1], words[0], "", d.Owner, d.acl)
			return nil
		},
	}
}
