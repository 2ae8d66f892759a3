package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Schema is a namespace.
type Schema struct {
	Meta
	acl      acl
	create   bool  // false for public: it is there already
	contains parts // what its objects inherit of the selection
}

// rolePgDatabaseOwner is the fixed OID of the role pg_database_owner (14+).
const rolePgDatabaseOwner = 6171

func (l *loader) schemaQuery() query {
	return query{
		what: "SCHEMA objects",
		sql: `SELECT n.oid, n.nspname, n.nspowner, n.nspacl::text[], pg_catalog.acldefault('n', n.nspowner)::text[]
FROM pg_catalog.pg_namespace n ORDER BY n.oid`,
		scan: func(row pgx.Rows) error {
			var oid, owner uint32
			s := &Schema{create: true}
			if err := row.Scan(&oid, &s.Name, &owner, &s.acl.items, &s.acl.base); err != nil {
				return err
			}
			s.Kind, s.Section, s.Owner = "SCHEMA", PreData, l.role(owner)
			s.acl.ownerOID = owner
			if s.acl.items != nil {
				s.has |= partACL
			}
			l.add(s, ID{classNamespace, oid}, rankSchema)
			l.schemas[oid] = s
			return nil
		},
	}
}

// Create implements Object.
func (s *Schema) Create() string {
	if !s.create {
		return "-- *not* creating schema, since initdb creates it\n"
	}
	return "CREATE SCHEMA " + quote.Ident(s.Name) + ";\n"
}

// Drop implements Object.
func (s *Schema) Drop() string {
	if !s.create {
		return "-- *not* dropping schema, since initdb creates it\n"
	}
	return "DROP SCHEMA " + quote.Ident(s.Name) + ";\n"
}
