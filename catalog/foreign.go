package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A ForeignWrapper is a foreign data wrapper.
type ForeignWrapper struct{ statement }

func (l *loader) wrapperQuery() query {
	return query{
		what: "FOREIGN DATA WRAPPER objects",
		sql: `SELECT f.oid, f.fdwname, f.fdwowner, f.fdwhandler::pg_catalog.regproc::text, f.fdwvalidator::pg_catalog.regproc::text,
  ` + optionList("f.fdwoptions") + `, f.fdwacl::text[], pg_catalog.acldefault('F', f.fdwowner)::text[]
FROM pg_catalog.pg_foreign_data_wrapper f ORDER BY f.oid`,
		scan: func(row pgx.Rows) error {
			f := &ForeignWrapper{}
			var oid, owner uint32
			var handler, validator, options string
			if err := row.Scan(&oid, &f.Name, &owner, &handler, &validator, &options, &f.acl.items, &f.acl.base); err != nil {
				return err
			}
			if f.acl.items != nil {
				f.has |= partACL
			}
			l.place(f, ID{classFDW, oid}, rankFDW, PreData, 0, owner)
			f.describe("FOREIGN DATA WRAPPER", "")
			f.create = "CREATE FOREIGN DATA WRAPPER " + quote.Ident(f.Name)
			if handler != "-" {
				f.create += " HANDLER " + handler
			}
			if validator != "-" {
				f.create += " VALIDATOR " + validator
			}
			f.create += optionClause(" ", options) + ";\n"
			return nil
		},
	}
}

// A ForeignServer is a foreign server with its user mappings, which follow it.
type ForeignServer struct {
	statement
	mappings []Satellite
}

func (l *loader) serverQuery() query {
	return query{
		what: "SERVER objects",
		sql: `SELECT s.oid, s.srvname, s.srvowner, f.fdwname, coalesce(s.srvtype, ''), coalesce(s.srvversion, ''),
  ` + optionList("s.srvoptions") + `, s.srvacl::text[], pg_catalog.acldefault('S', s.srvowner)::text[]
FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper f ON f.oid = s.srvfdw ORDER BY s.oid`,
		scan: func(row pgx.Rows) error {
			s := &ForeignServer{}
			var oid, owner uint32
			var wrapper, kind, version, options string
			if err := row.Scan(&oid, &s.Name, &owner, &wrapper, &kind, &version, &options, &s.acl.items, &s.acl.base); err != nil {
				return err
			}
			if s.acl.items != nil {
				s.has |= partACL
			}
			l.place(s, ID{classServer, oid}, rankServer, PreData, 0, owner)
			s.describe("SERVER", "")
			s.create = "CREATE SERVER " + quote.Ident(s.Name)
			if kind != "" {
				s.create += " TYPE " + quote.Literal(kind)
			}
			if version != "" {
				s.create += " VERSION " + quote.Literal(version)
			}
			s.create += " FOREIGN DATA WRAPPER " + quote.Ident(wrapper) + optionClause(" ", options) + ";\n"
			return nil
		},
	}
}

// userMappingQuery reads user mappings from the view that everybody may read.
// It hides the options, passwords among them, from those without a right to
// them; readable repeats its rule, so that they do not vanish in silence.
func (l *loader) userMappingQuery() query {
	return query{
		what: "USER MAPPING objects",
		sql: `SELECT m.srvid, m.usename, ` + optionList("m.umoptions") + `,
  (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER)
  OR m.umuser <> 0 AND m.usename = CURRENT_USER AND (pg_catalog.pg_has_role(s.srvowner, 'USAGE') OR pg_catalog.has_server_privilege(s.oid, 'USAGE'))
  OR m.umuser = 0 AND pg_catalog.pg_has_role(s.srvowner, 'USAGE')
FROM pg_catalog.pg_user_mappings m JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid ORDER BY m.srvid, m.usename`,
		scan: func(row pgx.Rows) error {
			var server uint32
			var user, options string
			var readable bool
			if err := row.Scan(&server, &user, &options, &readable); err != nil {
				return err
			}
			s, ok := l.byID[ID{classServer, server}].(*ForeignServer)
			if !ok {
				return nil
			}
			words := quote.Ident(user) + " SERVER " + quote.Ident(s.Name)
			switch {
			case l.opts.Select.DataOnly:
			case s.Wanted() && !readable:
				l.db.Warnings = append(l.db.Warnings, "user mapping for "+words+": its options cannot be read and are left out; add them on the target, or dump as a superuser")
			case l.members[s.ID] != nil && l.opts.Select.everything():
				l.db.Warnings = append(l.db.Warnings, "user mapping for "+words+": not dumped, because its server belongs to an extension")
			}
			s.mappings = append(s.mappings, Satellite{
				Kind: "USER MAPPING", Tag: "USER MAPPING " + user + " SERVER " + s.Name, Owner: s.Owner, Section: PreData,
				SQL:  "CREATE USER MAPPING FOR " + words + optionClause(" ", options) + ";\n",
				Drop: "DROP USER MAPPING FOR " + words + ";\n",
			})
			return nil
		},
	}
}

// foreignTableQuery reads what a foreign table has more than a table.
func (l *loader) foreignTableQuery() query {
	return query{
		what: "FOREIGN TABLE objects",
		sql: `SELECT t.ftrelid, s.srvname, ` + optionList("t.ftoptions") + `
FROM pg_catalog.pg_foreign_table t JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver ORDER BY t.ftrelid`,
		scan: func(row pgx.Rows) error {
			var oid uint32
			var server, options string
			if err := row.Scan(&oid, &server, &options); err != nil {
				return err
			}
			if r := l.rels[oid]; r != nil {
				r.serverName, r.foreignOptions = server, options
			}
			return nil
		},
	}
}
