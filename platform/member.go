package platform

import (
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
)

// ofMember deals with entries about members of extensions, which have none of
// their own: privileges and rows of configuration tables. It reports whether
// the entry was one.
func (p *planner) ofMember(e *archive.Entry, it *Item) bool {
	switch e.Kind {
	case "ACL":
		if p.parent(e) != nil && p.parent(e).Kind != "EXTENSION" || systemSchema(e.Namespace) || strings.HasPrefix(e.Tag, "DATABASE ") ||
			strings.HasPrefix(e.Tag, "LANGUAGE ") || e.Tag == "SCHEMA public" || e.Tag == "SCHEMA pg_catalog" || e.Tag == "SCHEMA information_schema" {
			return false
		}
	case "TABLE DATA", "SEQUENCE SET":
		if parent := p.parent(e); parent != nil && parent.Kind != "EXTENSION" {
			return false
		}
	default:
		return false
	}
	x := p.extensionOf(e)
	switch {
	case x == nil && e.Kind != "ACL":
		return false
	case x == nil:
		it.set(Skip, "is about something that is not part of the source's own objects")
		p.warnLost(e, it)
	case x.Verdict == Skip:
		it.set(Skip, "belongs to extension %s, which is skipped", x.Name)
	case x.Verdict == Block:
		it.set(Skip, "belongs to extension %s, which cannot be created", x.Name)
	case e.Kind == "TABLE DATA" && !p.super && p.ownedBySystem(x.Name) && !p.in.Target.memberOf(p.in.Target.User.Name, "pg_write_all_data"):
		it.set(Skip, "%q may not write to what belongs to extension %s at the target", p.in.Target.User.Name, x.Name)
		it.Warnings = append(it.Warnings, "rows that were added to "+e.Namespace+"."+e.Tag+" stay behind")
	case e.Kind != "ACL":
		return false
	case !p.super && p.ownedBySystem(x.Name):
		it.set(Skip, "members of extension %s belong to the platform at the target", x.Name)
		p.warnLost(e, it)
	default:
		return false
	}
	return true
}

// warnLost warns if an ACL entry that is skipped grants something to a role of
// the customer.
func (p *planner) warnLost(e *archive.Entry, it *Item) {
	m := p.mapping(e)
	items, err := pgddl.ParseACL(e.Create)
	if err != nil {
		return
	}
	if m.system(items); len(m.customers) > 0 {
		it.Warnings = append(it.Warnings, strings.Join(m.customers, ", ")+" may lose privileges on "+strings.ToLower(e.Tag))
	}
}

// extensionOf returns the plan of the extension that something without an entry
// belongs to, or nil.
func (p *planner) extensionOf(e *archive.Entry) *ExtensionItem {
	find := func(name string) *ExtensionItem {
		for i := range p.plan.Extensions {
			if p.plan.Extensions[i].Name == name {
				return &p.plan.Extensions[i]
			}
		}
		return nil
	}
	for _, id := range e.After {
		if d := p.byID[id]; d != nil && d.Kind == "EXTENSION" {
			return find(d.Tag)
		}
	}
	kind, name, _ := strings.Cut(e.Tag, " ")
	switch kind {
	case "TABLE", "SEQUENCE":
		kind = "relation"
	case "COLUMN":
		kind = "relation"
		name, _, _ = strings.Cut(name, ".")
	case "FUNCTION", "PROCEDURE":
		kind = "function"
		name, _, _ = strings.Cut(name, "(")
	case "FOREIGN":
		if w, ok := strings.CutPrefix(e.Tag, "FOREIGN DATA WRAPPER "); ok {
			return find(strings.Trim(w, `"`)) // wrappers are named like their extensions
		}
	}
	if e.Kind != "ACL" {
		kind, name = "relation", e.Tag
	}
	name = strings.ReplaceAll(strings.TrimPrefix(strings.TrimSuffix(name, `"`), `"`), `""`, `"`)
	for _, x := range p.in.Source.Extensions {
		if kind == "SCHEMA" && slices.Contains(x.Schemas, name) || slices.Contains(x.Members, Object{kind, e.Namespace, name}) {
			return find(x.Name)
		}
	}
	for _, x := range p.in.Source.Extensions {
		if slices.Contains(x.Schemas, e.Namespace) {
			return find(x.Name)
		}
	}
	// Of an archive only the schemas that are always an extension's are known.
	if e.Namespace == "cron" || e.Tag == "SCHEMA cron" {
		return find("pg_cron")
	}
	return nil
}

// ownedBySystem says that the members of an extension belong to the superuser
// whose rights its script has at the target.
func (p *planner) ownedBySystem(name string) bool {
	a := p.in.Target.available(name)
	return a == nil || a.Superuser
}
