package platform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/quote"
)

// publicSchema is there in every database unless somebody has dropped it.
const publicSchema = "public"

// MapSchema returns the name at the target of a schema of the source.
func (p *Plan) MapSchema(name string) string {
	if to := p.Rules.Schemas[name]; to != "" {
		return to
	}
	return name
}

// MapSQL returns SQL of the source (a definition or an expression) with schemas
// as the target calls them. What cannot be read comes back as it is.
func (p *Plan) MapSQL(sql string) string {
	if len(p.Rules.Schemas) > 0 {
		if out, _, err := pgddl.RenameSchemas(sql, p.Rules.Schemas); err == nil {
			return out
		}
	}
	return sql
}

// MapEntry gives an entry the names that its schema has at the target, and its
// statements too, but for Create.
func (p *Plan) MapEntry(e *archive.Entry) {
	if len(p.Rules.Schemas) == 0 {
		return
	}
	e.Tag = p.mapTag(e)
	e.Namespace = p.MapSchema(e.Namespace)
	e.Drop, e.Copy = p.MapSQL(e.Drop), p.MapSQL(e.Copy)
}

// mapTag returns an entry's tag with the target's names of schemas: it may be
// the name of one, or have the types of a function's arguments.
func (p *Plan) mapTag(e *archive.Entry) string {
	name, ofSchema := strings.CutPrefix(e.Tag, "SCHEMA ")
	switch {
	case len(p.Rules.Schemas) == 0:
		return e.Tag
	case e.Kind == "SCHEMA":
		return p.MapSchema(e.Tag)
	case satellite(e) && ofSchema:
		for from, to := range p.Rules.Schemas {
			if name == quote.Ident(from) || name == from {
				return "SCHEMA " + quote.Ident(to)
			}
		}
	case e.Kind == "PUBLICATION TABLES IN SCHEMA":
		for from, to := range p.Rules.Schemas {
			if pub, ok := strings.CutSuffix(e.Tag, " "+from); ok {
				return pub + " " + to
			}
		}
	}
	if i := strings.IndexByte(e.Tag, '('); i >= 0 {
		return e.Tag[:i] + p.MapSQL(e.Tag[i:])
	}
	return e.Tag
}

// checkSchemas blocks mappings that make no sense, and makes the schema that
// public becomes where the archive has no entry for that.
func (p *planner) checkSchemas() {
	schemas := p.in.Rules.Schemas
	for _, from := range slices.Sorted(maps.Keys(schemas)) {
		to := schemas[from]
		has := slices.ContainsFunc(p.in.Entries, func(e archive.Entry) bool {
			return e.Kind == "SCHEMA" && e.Tag == from || e.Namespace == from && !satellite(&e)
		})
		switch {
		case to == "" || len(to) > 63:
			p.note(Block, "schema %q cannot be mapped to %q: names of schemas have 1 to 63 bytes", from, to)
		case systemSchema(from) || strings.HasPrefix(from, "pg_") || slices.Contains(p.src.schemas, from):
			p.note(Block, "schema %q cannot be mapped: it is the system's", from)
		case systemSchema(to) || strings.HasPrefix(to, "pg_") || slices.Contains(p.dst.schemas, to):
			p.note(Block, "schema %q cannot be mapped to %q, a name that the target keeps for itself", from, to)
		case !has:
			p.note(Block, "schema %q, which is to become %q, is not among what comes from the source", from, to)
		}
	}
	to, renamed := schemas[publicSchema]
	if !renamed || p.madeBy(to) != nil || p.targetSchema(to) ||
		slices.ContainsFunc(p.in.Entries, func(e archive.Entry) bool { return e.Kind == "SCHEMA" && e.Tag == publicSchema }) {
		return
	}
	p.plan.NewSchemas = append(p.plan.NewSchemas, to)
}

// targetSchema says that the target has a schema already.
func (p *planner) targetSchema(name string) bool {
	return name == publicSchema || slices.Contains(p.in.Target.Objects, Object{Kind: "schema", Name: name})
}

// madeBy returns the entry that makes a schema of a name at the target: of
// several schemas that become one the first, or that which has the name already.
func (p *planner) madeBy(to string) *archive.Entry {
	var first *archive.Entry
	for i := range p.in.Entries {
		e := &p.in.Entries[i]
		if e.Kind != "SCHEMA" || p.plan.MapSchema(e.Tag) != to {
			continue
		}
		if e.Tag == to {
			return e
		}
		if first == nil {
			first = e
		}
	}
	return first
}

// joins says that a schema of the source becomes one that is there without it.
func (p *planner) joins(e *archive.Entry) bool {
	to := p.plan.MapSchema(e.Tag)
	return to != e.Tag && (p.targetSchema(to) || p.madeBy(to) != e || slices.Contains(p.plan.NewSchemas, to))
}

// planMappedSchema decides about a schema that gets another name.
func (p *planner) planMappedSchema(e *archive.Entry, it *Item) {
	to := p.plan.MapSchema(e.Tag)
	it.set(Map, "schema %q becomes %q", e.Tag, to)
	switch {
	case p.joins(e):
		it.Owner, it.Drop = "", "-- *not* dropping schema, which is not this one's alone\n"
		it.SQL = "CREATE SCHEMA IF NOT EXISTS " + quote.Ident(to) + ";\n"
		if to == publicSchema {
			it.SQL = "-- *not* creating schema, since initdb creates it\n"
		}
		it.set(Map, "which keeps its owner")
		owner := p.plan.MapOwner(e.Owner)
		switch {
		case owner == p.in.Target.User.Name || predefined(owner) || to == publicSchema && p.in.Target.Version < 150000:
		case p.targetSchema(to) && !p.super && (to != publicSchema || !p.ownsDatabase()):
			it.warn("%s may not do with schema %s at the target what an owner may: GRANT what it needs", owner, to)
		default:
			p.plan.Grants = append(p.plan.Grants, Grant{
				Role: owner, Schema: to, Owner: p.in.Target.User.Name,
				SQL: "GRANT ALL ON SCHEMA " + quote.Ident(to) + " TO " + quote.Ident(owner) + ";\n",
			})
		}
	case e.Tag == publicSchema:
		// What initdb grants on schema public is where its own privileges begin.
		it.SQL = "CREATE SCHEMA " + quote.Ident(to) + ";\nGRANT USAGE ON SCHEMA " + quote.Ident(to) + " TO PUBLIC;\n"
		it.Drop = "DROP SCHEMA " + quote.Ident(to) + ";\n"
	default:
		it.SQL = "CREATE SCHEMA " + quote.Ident(to) + ";\n"
	}
}

// joinedACL leaves of the privileges on a schema that becomes part of another
// one what it grants: what was revoked from it is not revoked from that.
func (p *planner) joinedACL(e *archive.Entry, items []pgddl.ACLItem) ([]pgddl.ACLItem, bool) {
	parent := p.parent(e)
	if parent == nil || parent.Kind != "SCHEMA" || !p.joins(parent) {
		return items, false
	}
	return slices.DeleteFunc(slices.Clone(items), func(a pgddl.ACLItem) bool { return a.Grant.Revoke }), true
}

// renameSchemas gives every statement of the plan the target's names of schemas.
func (p *planner) renameSchemas() {
	if len(p.in.Rules.Schemas) == 0 {
		return
	}
	for i := range p.plan.Items {
		it, e := &p.plan.Items[i], p.byID[p.plan.Items[i].ID]
		if it.Verdict == Skip || e.Kind == "SCHEMA" {
			continue
		}
		sql := e.Create
		if it.SQL != "" {
			sql = it.SQL
		}
		out, mentions, err := pgddl.RenameSchemas(sql, p.in.Rules.Schemas)
		for _, text := range []string{e.Drop, e.Copy, it.Drop} {
			if _, _, wrong := pgddl.RenameSchemas(text, p.in.Rules.Schemas); err == nil {
				err = wrong
			}
		}
		if err != nil {
			it.set(Block, "where it names a schema that gets another name cannot be told (%v): rename that at the target afterwards, or skip this in the plan", err)
			continue
		}
		if to := p.plan.MapSchema(e.Namespace); to != e.Namespace {
			it.set(Map, "schema %q becomes %q", e.Namespace, to)
			if e.Kind == "TABLE DATA" && e.Copy == "" && e.HasData {
				it.set(Block, "its rows are INSERT statements, which name the schema: dump it with COPY")
			}
		} else if out != sql {
			it.set(Map, "names a schema that gets another name")
		}
		if out != e.Create {
			it.SQL = out
		}
		it.Drop = p.plan.MapSQL(it.Drop)
		p.warnMentions(e, it, mentions)
	}
	p.mergedSchemas()
}

// warnMentions warns of texts that name schemas and are not changed.
func (p *planner) warnMentions(e *archive.Entry, it *Item, mentions []string) {
	switch e.Kind {
	case "FUNCTION", "PROCEDURE":
		for _, name := range mentions {
			it.warn("its body names schema %s, which becomes %s, and is not changed", name, p.plan.MapSchema(name))
		}
	case "VIEW", "MATERIALIZED VIEW", "RULE", "POLICY", "TRIGGER", "DEFAULT", "TABLE", "CONSTRAINT", "CHECK CONSTRAINT", "INDEX", "DOMAIN":
		for _, name := range mentions {
			it.warn("a text in it names schema %s, which becomes %s, and is not changed", name, p.plan.MapSchema(name))
		}
	}
}

// mergedSchemas blocks objects of several schemas that would have one name.
func (p *planner) mergedSchemas() {
	type place struct{ schema, name string }
	have := map[string]place{} // by what tells objects apart at the target
	for i := range p.in.Entries {
		e := &p.in.Entries[i]
		it := p.items[e.ID]
		if it.Verdict == Skip || e.Namespace == "" || satellite(e) || !defines(e) {
			continue
		}
		mapped := *e
		p.plan.MapEntry(&mapped)
		key := mapped.Drop
		switch e.Kind {
		case "TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FOREIGN TABLE", "TYPE", "DOMAIN", "SHELL TYPE", "INDEX":
			key = "relation " + quote.Qualified(mapped.Namespace, mapped.Tag)
		case "CONSTRAINT":
			c, err := pgddl.ParseConstraint(e.Create)
			if err != nil {
				continue
			}
			key = "relation " + quote.Qualified(mapped.Namespace, c.Name)
		}
		switch other, ok := have[key]; {
		case key == "":
		case !ok:
			have[key] = place{e.Namespace, describe(e)}
		case other.schema != e.Namespace:
			it.set(Block, "%s would have the same name: map one of the schemas to another", other.name)
		}
	}
}

// schemasOf maps the schemas in a stored setting's value.
func (p *planner) schemasOf(it *SettingItem) {
	s := &it.Setting
	value := s.Value
	switch s.Name {
	case "search_path":
		value = strings.TrimSuffix(strings.TrimPrefix(p.plan.MapSQL("SET search_path TO "+value), "SET search_path TO "), ";")
	case "default_text_search_config":
		value = p.plan.MapSQL(value)
	}
	if value == s.Value {
		return
	}
	s.Value = value
	if it.Verdict == Keep {
		it.Verdict = Map
	}
	it.Reason = join(it.Reason, fmt.Sprintf("names a schema that gets another name: %s", value))
}
