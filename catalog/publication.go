package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Publication is a row of pg_publication. What it publishes follows it.
type Publication struct{ statement }

func (l *loader) publicationQuery() query {
	return query{
		what: "PUBLICATION objects",
		sql: `SELECT p.oid, p.pubname, p.pubowner, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, ` +
			l.since(13, "p.pubviaroot", "false") + `, ` + l.since(18, "p.pubgencols::text", "'n'") + `
FROM pg_catalog.pg_publication p ORDER BY p.oid`,
		scan: func(row pgx.Rows) error {
			p := &Publication{}
			var oid, owner uint32
			var all, viaRoot bool
			var publishes [4]bool
			var generated string
			if err := row.Scan(&oid, &p.Name, &owner, &all, &publishes[0], &publishes[1], &publishes[2], &publishes[3], &viaRoot, &generated); err != nil {
				return err
			}
			l.place(p, ID{classPub, oid}, rankPublication, PostData, 0, owner)
			p.describe("PUBLICATION", "")
			var words []string
			for i, w := range []string{"insert", "update", "delete", "truncate"} {
				if publishes[i] {
					words = append(words, w)
				}
			}
			p.create = "CREATE PUBLICATION " + quote.Ident(p.Name)
			if all {
				p.create += " FOR ALL TABLES"
			}
			p.create += " WITH (publish = '" + strings.Join(words, ", ") + "'"
			if viaRoot {
				p.create += ", publish_via_partition_root = true"
			}
			if generated == "s" {
				p.create += ", publish_generated_columns = stored"
			}
			p.create += ");\n"
			return nil
		},
	}
}

// A PublicationMember adds a table, or all tables of a schema, to a
// publication.
type PublicationMember struct {
	statement
	publication *Publication
}

// publicationMember registers what a publication publishes, in the dump or
// not: a publication that lost members in silence would lose changes. It goes
// when the publication goes, so that it has no drop of its own.
func (l *loader) publicationMember(p *Publication, class, oid uint32, kind string, rk rank, schema, name, create string) {
	m := &PublicationMember{publication: p}
	m.Kind, m.Section, m.Schema, m.Name = kind, PostData, schema, name
	m.Tag, m.Owner = p.Name+" "+name, p.Owner
	m.create = "ALTER PUBLICATION " + quote.Ident(p.Name) + " ADD " + create + ";\n"
	m.want = pick(l.opts.Select.everything())
	l.add(m, ID{class, oid}, rk)
}

func (l *loader) publicationTableQuery() query {
	columns, filter := "'{}'::text[]", "''"
	if l.v.AtLeast(15) {
		columns = "ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(r.prattrs::int2[]) WITH ORDINALITY u(num, n) JOIN pg_catalog.pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = u.num ORDER BY u.n)"
		filter = "coalesce(pg_catalog.pg_get_expr(r.prqual, r.prrelid), '')"
	}
	return query{
		what: "PUBLICATION TABLE objects",
		sql:  `SELECT r.oid, r.prpubid, r.prrelid, ` + columns + `, ` + filter + ` FROM pg_catalog.pg_publication_rel r ORDER BY r.oid`,
		scan: func(row pgx.Rows) error {
			var oid, publication, table uint32
			var columns []string
			var filter string
			if err := row.Scan(&oid, &publication, &table, &columns, &filter); err != nil {
				return err
			}
			p, ok := l.byID[ID{classPub, publication}].(*Publication)
			r := l.rels[table]
			if !ok || r == nil {
				return nil
			}
			sql := "TABLE ONLY " + r.QualifiedName()
			if len(columns) > 0 {
				sql += " (" + quote.Idents(columns) + ")"
			}
			if filter != "" {
				sql += " WHERE (" + filter + ")"
			}
			l.publicationMember(p, classPubRel, oid, "PUBLICATION TABLE", rankPublicationTable, r.Schema, r.Name, sql)
			return nil
		},
	}
}

func (l *loader) publicationSchemaQuery() query {
	if !l.v.AtLeast(15) {
		return query{}
	}
	return query{
		what: "PUBLICATION TABLES IN SCHEMA objects",
		sql:  `SELECT n.oid, n.pnpubid, n.pnnspid FROM pg_catalog.pg_publication_namespace n ORDER BY n.oid`,
		scan: func(row pgx.Rows) error {
			var oid, publication, schema uint32
			if err := row.Scan(&oid, &publication, &schema); err != nil {
				return err
			}
			p, ok := l.byID[ID{classPub, publication}].(*Publication)
			s := l.schemas[schema]
			if !ok || s == nil {
				return nil
			}
			l.publicationMember(p, classPubSchema, oid, "PUBLICATION TABLES IN SCHEMA", rankPublicationSchema, s.Name, s.Name, "TABLES IN SCHEMA "+quote.Ident(s.Name))
			return nil
		},
	}
}
