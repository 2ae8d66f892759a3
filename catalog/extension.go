package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// An Extension is recreated by name; its members come with it.
type Extension struct {
	Meta
	schema     string
	config     []uint32
	conditions []string
	contains   parts // what its members inherit of the selection
}

func (l *loader) extensionQuery() query {
	return query{
		what: "EXTENSION objects",
		sql: `SELECT x.oid, x.extname, n.nspname, coalesce(x.extconfig, '{}'), coalesce(x.extcondition, '{}')
FROM pg_catalog.pg_extension x JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace ORDER BY x.oid`,
		scan: func(row pgx.Rows) error {
			var oid uint32
			e := &Extension{}
			if err := row.Scan(&oid, &e.Name, &e.schema, &e.config, &e.conditions); err != nil {
				return err
			}
			e.Kind, e.Section = "EXTENSION", PreData
			l.add(e, ID{classExtension, oid}, rankExtension)
			l.exts = append(l.exts, e)
			return nil
		},
	}
}

func (l *loader) memberQuery() query {
	return query{
		what: "extension members",
		sql: `SELECT d.classid, d.objid, d.refobjid FROM pg_catalog.pg_depend d
WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e' ORDER BY 3, 1, 2`,
		scan: func(row pgx.Rows) error {
			var id ID
			var ext uint32
			if err := row.Scan(&id.Class, &id.OID, &ext); err != nil {
				return err
			}
			if e, ok := l.byID[ID{classExtension, ext}].(*Extension); ok {
				l.members[id] = e
			}
			return nil
		},
	}
}

// Create implements Object.
func (e *Extension) Create() string {
	return "CREATE EXTENSION IF NOT EXISTS " + quote.Ident(e.Name) + " WITH SCHEMA " + quote.Ident(e.schema) + ";\n"
}

// Drop implements Object.
func (e *Extension) Drop() string { return "DROP EXTENSION " + quote.Ident(e.Name) + ";\n" }
