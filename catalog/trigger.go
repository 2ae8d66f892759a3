package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Trigger is a trigger, or the state of one that a partition has from its
// parent and that differs from the parent's.
type Trigger struct {
	Meta
	table      *Relation
	definition string
	enabled    byte
	clone      bool
	extDeps    []string
}

func (l *loader) triggerQuery(rels string) query {
	clone, which := "t.tgparentid <> 0", "(NOT t.tgisinternal AND t.tgparentid = 0) OR t.tgenabled <> u.tgenabled"
	if !l.v.AtLeast(15) {
		clone, which = "t.tgisinternal", "NOT t.tgisinternal OR t.tgenabled <> u.tgenabled"
	}
	parent := "LEFT JOIN pg_catalog.pg_trigger u ON u.oid = t.tgparentid"
	if !l.v.AtLeast(13) { // a clone knows its parent by a dependency only
		parent = `LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_trigger'::regclass AND d.refclassid = 'pg_catalog.pg_trigger'::regclass AND d.objid = t.oid
LEFT JOIN pg_catalog.pg_trigger u ON u.oid = d.refobjid`
	}
	return query{
		what: "TRIGGER objects",
		sql: `SELECT t.oid, t.tgrelid, t.tgname, pg_catalog.pg_get_triggerdef(t.oid, false), t.tgenabled::text, ` + clone + `
FROM pg_catalog.pg_trigger t ` + parent + `
WHERE t.tgrelid IN (SELECT pg_catalog.unnest($1::oid[])) AND (` + which + `) ORDER BY t.tgrelid, t.tgname`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			g := &Trigger{}
			var oid, rel uint32
			var enabled string
			if err := row.Scan(&oid, &rel, &g.Name, &g.definition, &enabled, &g.clone); err != nil {
				return err
			}
			g.enabled, g.table = enabled[0], l.rels[rel]
			g.Kind, g.Section, g.Schema, g.Owner, g.want = "TRIGGER", PostData, g.table.Schema, g.table.Owner, g.table.want
			g.Tag = g.table.Name + " " + g.Name
			l.add(g, ID{classTrigger, oid}, rankTrigger)
			return nil
		},
	}
}

var enableWords = map[byte]string{'D': "DISABLE", 'A': "ENABLE ALWAYS", 'R': "ENABLE REPLICA", 'O': "ENABLE"}

// Create implements Object.
func (g *Trigger) Create() string {
	var s sqlText
	if !g.clone {
		s.add(g.definition, ";\n", dependsOnExtension("TRIGGER", quote.Ident(g.Name)+" ON "+g.table.QualifiedName(), g.extDeps))
	}
	if g.clone || g.enabled != 'O' {
		s.add("\n", g.table.alter(), g.table.QualifiedName(), " ", enableWords[g.enabled], " TRIGGER ", quote.Ident(g.Name), ";\n")
	}
	return s.String()
}

// Drop implements Object.
func (g *Trigger) Drop() string {
	if g.clone {
		return ""
	}
	return "DROP TRIGGER " + quote.Ident(g.Name) + " ON " + g.table.QualifiedName() + ";\n"
}
