package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Language is a procedural language. Its handlers are named only if the dump
// holds them: else the server knows the language by its name.
type Language struct {
	statement
	trusted                             bool
	handler, inline, validator          *Function
	handlerOID, inlineOID, validatorOID uint32
}

func (l *loader) languageQuery() query {
	return query{
		what: "PROCEDURAL LANGUAGE objects",
		sql: `SELECT g.oid, g.lanname, g.lanowner, g.lanpltrusted, g.lanplcallfoid, g.laninline, g.lanvalidator, g.lanacl::text[], pg_catalog.acldefault('l', g.lanowner)::text[]
FROM pg_catalog.pg_language g WHERE g.lanispl ORDER BY g.oid`,
		scan: func(row pgx.Rows) error {
			g := &Language{}
			var oid, owner uint32
			if err := row.Scan(&oid, &g.Name, &owner, &g.trusted, &g.handlerOID, &g.inlineOID, &g.validatorOID, &g.acl.items, &g.acl.base); err != nil {
				return err
			}
			if g.acl.items != nil {
				g.has |= partACL
			}
			g.handler, g.inline, g.validator = l.procs[g.handlerOID], l.procs[g.inlineOID], l.procs[g.validatorOID]
			l.place(g, ID{classLanguage, oid}, rankLanguage, PreData, 0, owner)
			if oid < firstUserOID {
				g.want &= partACL
			}
			g.describe("PROCEDURAL LANGUAGE", "")
			g.about = "LANGUAGE"
			return nil
		},
	}
}

// Create implements Object.
func (g *Language) Create() string {
	dumped := func(f *Function, oid uint32) bool { return oid == 0 || f != nil && f.want != 0 }
	if g.handlerOID == 0 || !dumped(g.handler, g.handlerOID) || !dumped(g.inline, g.inlineOID) || !dumped(g.validator, g.validatorOID) {
		return "CREATE OR REPLACE PROCEDURAL LANGUAGE " + quote.Ident(g.Name) + ";\n"
	}
	sql := "CREATE "
	if g.trusted {
		sql += "TRUSTED "
	}
	sql += "PROCEDURAL LANGUAGE " + quote.Ident(g.Name) + " HANDLER " + g.handler.QualifiedName()
	if g.inlineOID != 0 {
		sql += " INLINE " + g.inline.QualifiedName()
	}
	if g.validatorOID != 0 {
		sql += " VALIDATOR " + g.validator.QualifiedName()
	}
	return sql + ";\n"
}
