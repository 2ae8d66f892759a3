package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Collation is a row of pg_collation. Its version is the target's affair.
type Collation struct {
	statement
	encoding int
}

func (l *loader) collationQuery() query {
	return query{
		what: "COLLATION objects",
		sql: `SELECT c.oid, c.collname, c.collnamespace, c.collowner, c.collprovider::text, c.collencoding, ` + l.since(12, "c.collisdeterministic", "true") + `,
  coalesce(c.collcollate::text, ''), coalesce(c.collctype::text, ''),
  coalesce(` + l.since(17, "c.colllocale", l.since(15, "c.colliculocale", "c.collcollate")) + `::text, ''), ` + l.since(16, "c.collicurules", "NULL") + `
FROM pg_catalog.pg_collation c WHERE c.oid >= 16384 ORDER BY c.oid`,
		scan: func(row pgx.Rows) error {
			c := &Collation{}
			var oid, schema, owner uint32
			var provider, collate, ctype, locale string
			var deterministic bool
			var rules *string
			if err := row.Scan(&oid, &c.Name, &schema, &owner, &provider, &c.encoding, &deterministic, &collate, &ctype, &locale, &rules); err != nil {
				return err
			}
			l.place(c, ID{classCollation, oid}, rankCollation, PreData, schema, owner)
			c.describe("COLLATION", "")
			sql := "CREATE COLLATION " + c.QualifiedName() + " (provider = "
			indeterministic := ""
			if !deterministic {
				indeterministic = ", deterministic = false"
			}
			switch provider {
			case "i", "b":
				sql += map[string]string{"i": "icu", "b": "builtin"}[provider] + indeterministic + ", locale = " + quote.Literal(locale)
				if rules != nil {
					sql += ", rules = " + quote.Literal(*rules)
				}
			case "c":
				sql += "libc" + indeterministic
				if collate == ctype {
					sql += ", locale = " + quote.Literal(collate)
				} else {
					sql += ", lc_collate = " + quote.Literal(collate) + ", lc_ctype = " + quote.Literal(ctype)
				}
			default: // only the predefined collation "default" has it
				sql += "default" + indeterministic
			}
			c.create = sql + ");\n"
			return nil
		},
	}
}

// A Conversion is a row of pg_conversion: a way between two encodings.
type Conversion struct{ statement }

func (l *loader) conversionQuery() query {
	return query{
		what: "CONVERSION objects",
		sql: `SELECT c.oid, c.conname, c.connamespace, c.conowner, c.condefault, pg_catalog.pg_encoding_to_char(c.conforencoding), pg_catalog.pg_encoding_to_char(c.contoencoding), c.conproc::text
FROM pg_catalog.pg_conversion c WHERE c.oid >= 16384 ORDER BY c.oid`,
		scan: func(row pgx.Rows) error {
			c := &Conversion{}
			var oid, schema, owner uint32
			var isDefault bool
			var from, to, function string
			if err := row.Scan(&oid, &c.Name, &schema, &owner, &isDefault, &from, &to, &function); err != nil {
				return err
			}
			l.place(c, ID{classConversion, oid}, rankConversion, PreData, schema, owner)
			c.describe("CONVERSION", "")
			word := ""
			if isDefault {
				word = "DEFAULT "
			}
			c.create = "CREATE " + word + "CONVERSION " + c.QualifiedName() + " FOR " + quote.Literal(from) + " TO " + quote.Literal(to) + " FROM " + function + ";\n"
			return nil
		},
	}
}
