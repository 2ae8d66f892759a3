package restore

import (
	"fmt"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

func setTablespace(name string) string {
	if name == "" {
		return "SET default_tablespace = '';"
	}
	return "SET default_tablespace = " + quote.Ident(name) + ";"
}

func setAccessMethod(name string) string {
	return "SET default_table_access_method = " + quote.Ident(name) + ";"
}

func setTableAccessMethod(e *archive.Entry) string {
	return fmt.Sprintf("ALTER TABLE %s SET ACCESS METHOD %s;", quote.Qualified(e.Namespace, e.Tag), quote.Ident(*e.AccessMethod))
}

func setSearchPath(schema string) string {
	return "SET search_path = " + quote.Ident(schema) + ", pg_catalog;"
}

func setRole(name string) string { return "SET ROLE " + quote.Literal(name) + ";" }

func truncate(e *archive.Entry) string {
	return "TRUNCATE TABLE ONLY " + quote.Qualified(e.Namespace, e.Tag) + ";"
}

// alterOwner gives an entry's object to its owner; "" if it has none. What has
// no DROP statement is not owned by itself.
func alterOwner(e *archive.Entry) (string, error) {
	if e.Owner == "" || e.Drop == "" {
		return "", nil
	}
	switch e.Kind {
	case "COLLATION", "CONVERSION", "DATABASE", "DOMAIN", "FOREIGN TABLE", "MATERIALIZED VIEW", "SEQUENCE", "STATISTICS", "TABLE",
		"TEXT SEARCH DICTIONARY", "TEXT SEARCH CONFIGURATION", "TYPE", "VIEW", "PROCEDURAL LANGUAGE", "SCHEMA",
		"EVENT TRIGGER", "FOREIGN DATA WRAPPER", "SERVER", "PUBLICATION", "SUBSCRIPTION":
		return fmt.Sprintf("ALTER %s %s OWNER TO %s;", e.Kind, quote.Qualified(e.Namespace, e.Tag), quote.Ident(e.Owner)), nil
	case "BLOB":
		return largeObjectOwner(e.Tag, e.Owner), nil
	case "AGGREGATE", "FUNCTION", "PROCEDURE", "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY":
		// The tag of these is not SQL; the DROP statement has the name in full.
		name, ok := strings.CutPrefix(strings.TrimRight(e.Drop, ";\n "), "DROP ")
		if !ok {
			return "", fmt.Errorf("cannot read the object's name from %q", e.Drop)
		}
		return fmt.Sprintf("ALTER %s OWNER TO %s;", name, quote.Ident(e.Owner)), nil
	}
	return "", nil
}

func createLargeObject(oid string) string {
	return "SELECT pg_catalog.lo_create(" + quote.Literal(oid) + ");"
}

func largeObjectOwner(oid, owner string) string {
	return fmt.Sprintf("ALTER LARGE OBJECT %s OWNER TO %s;", oid, quote.Ident(owner))
}

// drops appends a step for each wanted entry that can be dropped, the last of
// the archive first.
func (p *planner) drops() {
	for i := len(p.entries) - 1; i >= 0; i-- {
		e := &p.entries[i]
		database := e.Kind == "DATABASE" || e.Kind == "DATABASE PROPERTIES"
		if !p.wanted[i] || strings.TrimSpace(e.Drop) == "" || p.opts.Create && !database {
			continue // we are in another database than the one to be created
		}
		s := Step{Stage: StageDrop, Entry: e}
		if p.schemaPath && e.Namespace != "" {
			s.Setup = append(s.Setup, setSearchPath(e.Namespace))
		}
		for _, sql := range p.drop(e) {
			s.SQL = sql
			p.plan.Steps = append(p.plan.Steps, s)
		}
	}
}

// drop returns the statements that drop an entry's object, as the options want
// them.
func (p *planner) drop(e *archive.Entry) []string {
	var drops []string
	for _, d := range p.dropStatements(e, p.opts.IfExists) {
		if !d.guarded {
			p.plan.Warnings = append(p.plan.Warnings,
				fmt.Sprintf("%s %s: cannot tell where IF EXISTS belongs in %q, which runs as it is", e.Kind, describe(e), d.sql))
		}
		drops = append(drops, d.sql)
	}
	return drops
}

func unlink(oid string, ifExists bool) string {
	if ifExists {
		return "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = " + quote.Literal(oid) + ";"
	}
	return "SELECT pg_catalog.lo_unlink(" + quote.Literal(oid) + ");"
}

// ifExists writes IF EXISTS into a DROP statement. It returns false where it
// does not find the place.
func ifExists(kind, drop string) (string, bool) {
	rest, alter := strings.CutPrefix(drop, "ALTER TABLE")
	if alter {
		drop = "ALTER TABLE IF EXISTS" + rest
	}
	if kind == "DEFAULT" || kind == "DATABASE PROPERTIES" || strings.HasPrefix(drop, "CREATE OR REPLACE VIEW") {
		return drop, true // no IF EXISTS is needed, or none possible
	}
	mark := "DROP " + kind
	switch kind {
	case "CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT":
		mark = "DROP CONSTRAINT"
	}
	before, after, ok := strings.Cut(drop, mark)
	if !ok {
		return drop, false
	}
	return before + mark + " IF EXISTS" + after, true
}

// largeObjectACL repeats the privileges of a group's first large object for all
// of the group.
func (p *planner) largeObjectACL(e *archive.Entry) (string, error) {
	var group *archive.Entry
	for _, id := range e.After {
		if d := p.byID[id]; d != nil && d.Kind == "BLOB METADATA" {
			group = d
			break
		}
	}
	if group == nil {
		return "", fmt.Errorf("the large objects it is about are not in the archive")
	}
	oids := strings.Fields(group.Create)
	var b strings.Builder
	for _, sql := range splitAll(e.Create) {
		const mark = " ON LARGE OBJECT "
		before, rest, ok := strings.Cut(sql, mark)
		if !ok {
			b.WriteString(sql + "\n")
			continue
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end <= 0 {
			return "", fmt.Errorf("cannot read a large object's number from %q", sql)
		}
		for _, oid := range oids {
			b.WriteString(before + mark + oid + rest[end:] + "\n")
		}
	}
	return b.String(), nil
}
