package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

func (l *loader) viewQuery() query {
	var list []uint32 // in OID order, as the rows come
	for _, r := range l.relList {
		if (r.Relkind == 'v' || r.Relkind == 'm') && r.Wanted() {
			list = append(list, r.ID.OID)
		}
	}
	read := 0
	return query{
		what: "VIEW objects",
		// The rows are sorted before their definitions are written, one by one.
		sql: `SELECT v.oid, pg_catalog.pg_get_viewdef(v.oid) FROM (
  SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY c.oid OFFSET 0) v`,
		args: []any{oids(list)},
		at: func() string {
			if read == len(list) {
				return ""
			}
			return l.rels[list[read]].QualifiedName()
		},
		scan: func(row pgx.Rows) error {
			read++
			var oid uint32
			var def string
			if err := row.Scan(&oid, &def); err != nil {
				return err
			}
			l.rels[oid].definition = strings.TrimSuffix(def, ";")
			return nil
		},
	}
}

func (r *Relation) createView() string {
	if r.dummy {
		return "CREATE VIEW " + r.QualifiedName() + " AS\n" + r.dummySelect() + ";\n"
	}
	return "CREATE VIEW " + r.viewBody()
}

// viewBody is the statement from the view's name on.
func (r *Relation) viewBody() string {
	var s sqlText
	s.add(r.QualifiedName())
	if w := r.with(); w != "" {
		s.add(" WITH (", w, ")")
	}
	s.add(" AS\n", r.definition)
	if r.checkOption != "" {
		s.add("\n  WITH ", r.checkOption, " CHECK OPTION")
	}
	s.add(";\n")
	return s.String()
}

// dummySelect has the view's columns and needs none of its tables: it stands in
// for the query of a view in a ring of dependencies until the others exist.
func (r *Relation) dummySelect() string {
	var s sqlText
	s.add("SELECT")
	n := 0
	for _, c := range r.columns {
		if c.dropped {
			continue
		}
		if n > 0 {
			s.add(",")
		}
		s.add("\n    NULL::", c.typeName)
		if c.collation != 0 {
			s.add(" COLLATE ", r.catalog.collName[c.collation])
		}
		s.add(" AS ", quote.Ident(c.name))
		n++
	}
	return s.String()
}
