package platform

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/quote"
)

// systemSchema says that a schema comes with PostgreSQL.
func systemSchema(name string) bool { return name == "pg_catalog" || name == "information_schema" }

// planACL maps the roles of an object's privileges.
func (p *planner) planACL(e *archive.Entry, it *Item) {
	parent := p.parent(e)
	if parent != nil && p.items[parent.ID].Verdict == Skip && parent.Kind != "DATABASE" {
		it.set(Skip, "belongs to %s, which is skipped", describe(parent))
		return
	}
	items, err := pgddl.ParseACL(e.Create)
	if err != nil {
		it.set(Block, "cannot read whom it is for: %v", err)
		return
	}
	m := p.mapping(e)
	if systemSchema(e.Namespace) || e.Tag == "SCHEMA pg_catalog" || e.Tag == "SCHEMA information_schema" ||
		e.Kind == "ACL LANGUAGE" || parent == nil && strings.HasPrefix(e.Tag, "LANGUAGE ") {
		if m.system(items); !p.super {
			it.Verdict, it.Reason = Skip, "privileges on what belongs to the system cannot be changed"
			if len(m.customers) > 0 {
				it.warn("%s loses them", strings.Join(m.customers, ", "))
			}
			return
		}
	}
	out := m.acl(items)
	it.Owner = m.to
	if strings.HasPrefix(e.Tag, "DATABASE ") && !p.ownsDatabase() && len(out) > 0 {
		it.Verdict, it.Reason = Skip, "the database belongs to "+quote.Ident(p.in.Target.Owner)+" at the target"
		it.warn("its privileges are those it has there")
		return
	}
	if joined, ok := p.joinedACL(e, out); ok {
		out, it.Owner, m.changed = joined, p.in.Target.User.Name, true
	} else if e.Tag == "SCHEMA public" && p.plan.MapSchema(publicSchema) == publicSchema {
		out = p.publicACL(it, out)
	}
	if p.in.Target.Version < 170000 {
		out = withoutMaintain(it, out)
	}
	if len(out) == 0 {
		it.Verdict, it.Reason = Skip, "nothing is left without "+strings.Join(m.gone, ", ")
		if len(m.gone) == 0 {
			it.Reason = "says what is so anyway"
		}
		return
	}
	passed := passedOn(out) || p.tablePassedOn(e)
	sql := p.formatACL(out, m.to, passed)
	if sql == strings.TrimLeft(e.Create, "\n") || !m.changed && !passed && it.Verdict != Rewrite {
		return
	}
	it.SQL = sql
	m.say(it)
}

// passedOn says that somebody has or had the right to pass privileges on.
func passedOn(items []pgddl.ACLItem) bool {
	return slices.ContainsFunc(items, func(a pgddl.ACLItem) bool { return a.Grantor != "" || a.Grant.WithGrantOption })
}

// tablePassedOn says so of a table for the privileges of one of its columns, for
// which those of the whole table count, too.
func (p *planner) tablePassedOn(e *archive.Entry) bool {
	return strings.HasPrefix(e.Tag, "COLUMN ") && slices.ContainsFunc(e.After, func(id int) bool {
		d := p.byID[id]
		if d == nil || d.Kind != "ACL" {
			return false
		}
		items, err := pgddl.ParseACL(d.Create)
		return err == nil && passedOn(items)
	})
}

// formatACL writes an ACL entry. Whoever is no superuser cannot change the
// session's user, but become a role that he is a member of. If he is a member of
// several roles that may grant a privilege, the server takes any of them for the
// one that grants it: hence he becomes the owner, too.
func (p *planner) formatACL(items []pgddl.ACLItem, owner string, passed bool) string {
	if p.super {
		return pgddl.FormatACL(items)
	}
	me := p.in.Target.User.Name
	if predefined(owner) || !passed {
		owner = me
		// The right to pass on last, so that nobody has it before.
		items = slices.Clone(items)
		slices.SortStableFunc(items, func(a, b pgddl.ACLItem) int { return order(a) - order(b) })
	}
	var b strings.Builder
	as := me
	become := func(role string) {
		switch role {
		case as:
		case me:
			b.WriteString("RESET ROLE;\n")
		default:
			b.WriteString("SET ROLE " + quote.Ident(role) + ";\n")
		}
		as = role
	}
	for _, a := range inGrantOrder(items) {
		become(cmp.Or(a.Grantor, owner))
		b.WriteString(a.Grant.String() + ";\n")
	}
	become(me)
	return b.String()
}

// order puts what takes away before what gives, and that before what may be
// passed on.
func order(a pgddl.ACLItem) int {
	switch {
	case a.Grant.Revoke:
		return 0
	case a.Grantor == "" && !a.Grant.WithGrantOption:
		return 1
	}
	return 2
}

// inGrantOrder sorts statements behind those by which their grantors may grant.
// A catalog has them in another order when a role had been given the same right
// twice.
func inGrantOrder(items []pgddl.ACLItem) []pgddl.ACLItem {
	out := make([]pgddl.ACLItem, 0, len(items))
	rest := slices.Clone(items)
	for len(rest) > 0 {
		i := max(0, slices.IndexFunc(rest, func(a pgddl.ACLItem) bool {
			return a.Grantor == "" || !slices.ContainsFunc(rest, func(o pgddl.ACLItem) bool { return empowers(o.Grant, a) })
		}))
		out = append(out, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	return out
}

// empowers says that a grant gives the grantor of another one the right to it.
func empowers(g *pgddl.Grant, by pgddl.ACLItem) bool {
	return !g.Revoke && g.WithGrantOption && slices.ContainsFunc(g.Grantees, func(r pgddl.Role) bool { return r.Name == by.Grantor }) &&
		slices.ContainsFunc(g.Privileges, func(v pgddl.Privilege) bool {
			return v.Name == "ALL" || slices.ContainsFunc(by.Grant.Privileges, func(w pgddl.Privilege) bool { return w.Name == v.Name || w.Name == "ALL" })
		})
}

// A mapper maps the roles of privileges.
type mapper struct {
	p         *planner
	from, to  string   // the owner at the source and at the target
	gone      []string // roles left out
	customers []string // roles of the customer that are granted something
	changed   bool
	renamed   bool // roles that are named have other names
	grantors  bool // grants of other grantors than the owner are given by the owner
	object    string
}

func (p *planner) mapping(e *archive.Entry) *mapper {
	m := &mapper{p: p, from: e.Owner, to: p.owner(e.Owner)}
	if strings.HasPrefix(e.Tag, "DATABASE ") {
		m.object = quote.Ident(p.in.Target.Database)
		m.to = cmp.Or(p.in.Target.Owner, m.to)
	}
	if e.Tag == "SCHEMA public" && !p.super {
		if parent := p.parent(e); parent == nil || p.items[parent.ID].Owner == "" {
			m.to = p.in.Target.User.Name // who restores must own it to change its privileges
		}
	}
	return m
}

// system notes the customer's roles among the grantees.
func (m *mapper) system(items []pgddl.ACLItem) {
	for _, a := range items {
		for _, r := range a.Grant.Grantees {
			if it := m.p.roles[r.Name]; !r.Public && it != nil && it.Verdict != Skip && !predefined(r.Name) && !slices.Contains(m.customers, r.Name) {
				m.customers = append(m.customers, r.Name)
			}
		}
	}
}

// acl maps the statements of an ACL entry: roles get their names at the target,
// grants to roles that are left out and to the owner vanish, equal ones merge.
func (m *mapper) acl(items []pgddl.ACLItem) []pgddl.ACLItem {
	var out []pgddl.ACLItem
	seen := map[string]bool{}
	for _, a := range items {
		g := *a.Grant
		if m.object != "" && g.Object != m.object {
			g.Object, m.changed = m.object, true
		}
		grantor := a.Grantor
		if g.GrantedBy != nil && grantor == "" {
			grantor = g.GrantedBy.Name
		}
		if g.GrantedBy != nil {
			g.GrantedBy, m.changed = nil, true
		}
		grantor = m.grantor(grantor)
		if !m.grantees(&g, grantor) {
			continue
		}
		key := grantor + "\x00" + g.String()
		if seen[key] {
			m.changed = true
			continue
		}
		seen[key] = true
		out = append(out, pgddl.ACLItem{Grantor: grantor, Grant: &g})
	}
	return out
}

// grantor maps who says a statement; "" is the owner.
func (m *mapper) grantor(name string) string {
	if name == "" {
		return ""
	}
	to, ok := m.p.grantee(name)
	switch {
	case !ok || to == m.to || predefined(to) || !m.p.mayActAs(name, to):
		m.changed = true
		m.grantors = m.grantors || !ok || to != m.to
		return ""
	case to != name:
		m.changed, m.renamed = true, true
	}
	return to
}

// mayActAs says that the target's user will be able to SET ROLE to a role.
func (p *planner) mayActAs(from, to string) bool {
	if it := p.roles[from]; it != nil && it.Exists {
		return p.mayBecome(to)
	}
	return true // it is created, and granted to the user for the time being
}

// grantees maps those of a statement and reports whether any are left.
func (m *mapper) grantees(g *pgddl.Grant, grantor string) bool {
	var out []pgddl.Role
	for _, r := range g.Grantees {
		name := r.Name
		if !r.Public {
			to, ok := m.p.grantee(name)
			switch {
			case !ok:
				m.changed = true
				if !slices.Contains(m.gone, name) {
					m.gone = append(m.gone, name)
				}
				continue
			case to == m.to && grantor == "" && name != m.from:
				// What the owner may do needs no grant. What the source's own
				// owner has taken from himself and given back stays.
				m.changed = true
				continue
			case to != name:
				m.changed, m.renamed = true, true
			}
			r.Name = to
		}
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	g.Grantees = out
	return len(out) > 0
}

// say adds the verdict and its reasons.
func (m *mapper) say(it *Item) {
	said := false
	if len(m.gone) > 0 {
		it.set(Map, "grants to %s are left out", strings.Join(m.gone, ", "))
		said = true
	}
	if m.grantors {
		it.set(Map, "grants by roles that cannot give them at the target are given by the owner")
		said = true
	}
	switch {
	case m.renamed:
		it.set(Map, "roles have other names")
	case said:
	case m.object != "":
		it.set(Map, "the database has another name")
	default:
		it.set(Map, "granted by the same roles, with SET ROLE")
	}
}

// publicACL deals with PUBLIC's right to create in schema public, which every
// database had before PostgreSQL 15.
func (p *planner) publicACL(it *Item, items []pgddl.ACLItem) []pgddl.ACLItem {
	if p.in.Source.Version >= 150000 || p.in.Target.Version < 150000 {
		return items
	}
	for i, a := range items {
		if a.Grant.Revoke || !slices.ContainsFunc(a.Grant.Grantees, func(r pgddl.Role) bool { return r.Public }) {
			continue
		}
		j := slices.IndexFunc(a.Grant.Privileges, func(v pgddl.Privilege) bool { return v.Name == "ALL" || v.Name == "CREATE" })
		if j < 0 {
			continue
		}
		if !p.in.Rules.NoPublicCreate {
			it.warn("everybody may create objects in schema public, as at the source; from PostgreSQL 15 on that is not usual: --no-public-create leaves it out")
			continue
		}
		g := *a.Grant
		if g.Privileges = slices.Clone(g.Privileges); g.Privileges[j].Name == "ALL" {
			g.Privileges[j].Name = "USAGE"
		} else {
			g.Privileges = slices.Delete(g.Privileges, j, j+1)
		}
		items = slices.Clone(items)
		items[i].Grant = &g
		it.set(Rewrite, "PUBLIC may not create in it, by --no-public-create")
	}
	return slices.DeleteFunc(items, func(a pgddl.ACLItem) bool { return len(a.Grant.Privileges) == 0 })
}

// withoutMaintain leaves out the privilege that PostgreSQL 17 brought.
func withoutMaintain(it *Item, items []pgddl.ACLItem) []pgddl.ACLItem {
	var out []pgddl.ACLItem
	for _, a := range items {
		g := *a.Grant
		if leaveMaintain(it, &g) {
			a.Grant = &g
		}
		if len(g.Privileges) > 0 {
			out = append(out, a)
		}
	}
	return out
}

// leaveMaintain takes the privilege out of a statement and reports whether it
// was there.
func leaveMaintain(it *Item, g *pgddl.Grant) bool {
	maintain := func(v pgddl.Privilege) bool { return v.Name == "MAINTAIN" }
	if !slices.ContainsFunc(g.Privileges, maintain) {
		return false
	}
	g.Privileges = slices.DeleteFunc(slices.Clone(g.Privileges), maintain)
	it.set(Rewrite, "the target's version has no privilege MAINTAIN")
	return true
}

// planDefaultACL maps the roles of default privileges.
func (p *planner) planDefaultACL(e *archive.Entry, it *Item) {
	list, err := pgddl.ParseDefaultACLs(e.Create)
	if err != nil {
		it.set(Block, "cannot read whom it is for: %v", err)
		return
	}
	m := p.mapping(e)
	if p.src.ownDefaults && slices.Contains(p.src.system, e.Owner) {
		it.set(Skip, "belongs to %s", p.src.title)
		return
	}
	it.Owner = m.to
	var out []*pgddl.DefaultACL
	for _, d := range list {
		n := *d
		g := *d.Grant
		n.Grant = &g
		m.from = d.Role
		if n.Role = p.owner(d.Role); n.Role != d.Role {
			m.changed = true // which is said below
		}
		m.to = n.Role
		if !m.grantees(&g, "") {
			continue
		}
		if p.in.Target.Version < 170000 && leaveMaintain(it, &g) {
			m.changed = true
			if len(g.Privileges) == 0 {
				continue
			}
		}
		if !slices.ContainsFunc(out, func(o *pgddl.DefaultACL) bool { return o.String() == n.String() }) {
			out = append(out, &n)
		}
	}
	if len(out) == 0 {
		it.Verdict, it.Reason = Skip, "nothing is left without "+strings.Join(m.gone, ", ")
		return
	}
	if !m.changed {
		return
	}
	it.SQL = pgddl.FormatDefaultACLs(out)
	if m.renamed || len(m.gone) > 0 {
		m.say(it)
	}
	if to := p.plan.MapOwner(e.Owner); to != e.Owner {
		it.set(Map, "for what %s creates instead of %s", to, e.Owner)
	}
}
