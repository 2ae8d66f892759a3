package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Rule is a rewrite rule. The ON SELECT rule of a view is part of the view,
// unless a ring of dependencies makes it an entry of its own.
type Rule struct {
	Meta
	table      *Relation
	definition string
	event      byte
	enabled    byte
	separate   bool
}

// ruleQuery reads the rules of all relations: what a view that is left out
// depends on orders the views that read it. Only those of rels are deparsed.
func (l *loader) ruleQuery(rels string) query {
	return query{
		what: "RULE objects",
		sql: `SELECT r.oid, r.ev_class, r.rulename, r.ev_type::text, r.is_instead, r.ev_enabled::text,
  CASE WHEN r.ev_type <> '1' AND r.ev_class IN (SELECT pg_catalog.unnest($1::oid[])) THEN pg_catalog.pg_get_ruledef(r.oid) ELSE '' END
FROM pg_catalog.pg_rewrite r ORDER BY r.oid`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			u := &Rule{}
			var oid, rel uint32
			var event, enabled string
			var instead bool
			if err := row.Scan(&oid, &rel, &u.Name, &event, &instead, &enabled, &u.definition); err != nil {
				return err
			}
			if u.table = l.rels[rel]; u.table == nil {
				return nil // made since the relations were listed
			}
			u.event, u.enabled = event[0], enabled[0]
			u.Kind, u.Section, u.Schema, u.Owner, u.want = "RULE", PostData, u.table.Schema, u.table.Owner, u.table.want
			u.Tag = u.table.Name + " " + u.Name
			l.add(u, ID{classRewrite, oid}, rankRule)
			if (u.table.Relkind == 'v' || u.table.Relkind == 'm') && u.event == '1' && instead {
				u.table.dependOn(u.DumpID) // merged into the view
			} else {
				u.separate = true
				u.dependOn(u.table.DumpID)
			}
			return nil
		},
	}
}

// Create implements Object.
func (u *Rule) Create() string {
	if !u.separate {
		return ""
	}
	var s sqlText
	if u.event == '1' && u.table.Relkind == 'v' {
		s.add("CREATE OR REPLACE VIEW ", u.table.viewBody())
	} else {
		s.add(u.definition, "\n")
	}
	if u.enabled != 'O' {
		s.add("ALTER TABLE ", u.table.QualifiedName(), " ", enableWords[u.enabled], " RULE ", quote.Ident(u.Name), ";\n")
	}
	return s.String()
}

// Drop implements Object.
func (u *Rule) Drop() string {
	if u.event == '1' && u.table.Relkind == 'v' {
		return "CREATE OR REPLACE VIEW " + u.table.QualifiedName() + " AS\n" + u.table.dummySelect() + ";\n"
	}
	return "DROP RULE " + quote.Ident(u.Name) + " ON " + u.table.QualifiedName() + ";\n"
}
