package platform

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// planMemberships decides about every row of the source's pg_auth_members, and
// puts them into an order in which whoever grants has been given the right to.
func (p *planner) planMemberships() {
	p.plan.Memberships = make([]MembershipItem, 0, len(p.in.Source.Memberships))
	for _, m := range p.in.Source.Memberships {
		it := p.planMembership(m)
		if i := p.sameMembership(it); i >= 0 {
			have := &p.plan.Memberships[i].Membership
			have.Admin = have.Admin || it.Membership.Admin
			have.Inherit = have.Inherit || it.Membership.Inherit
			have.Set = have.Set || it.Membership.Set
			it.Verdict, it.Reason = Skip, "the same as another after the mapping of roles"
		}
		p.plan.Memberships = append(p.plan.Memberships, it)
	}
	p.plan.Memberships = inOrder(p.plan.Memberships)
}

// sameMembership finds the item that another one repeats.
func (p *planner) sameMembership(it MembershipItem) int {
	return slices.IndexFunc(p.plan.Memberships, func(o MembershipItem) bool {
		return it.Verdict != Skip && o.Verdict != Skip && o.Membership.Role == it.Membership.Role &&
			o.Membership.Member == it.Membership.Member && o.Membership.Grantor == it.Membership.Grantor
	})
}

func (p *planner) planMembership(m Membership) MembershipItem {
	it := MembershipItem{Membership: m, Verdict: Keep}
	skip := func(format string, args ...any) MembershipItem {
		it.Verdict, it.Reason = Skip, fmt.Sprintf(format, args...)
		return it
	}
	role, member := p.roles[m.Role], p.roles[m.Member]
	switch {
	case role == nil || member == nil:
		return skip("the source does not show one of the roles")
	case predefined(m.Member) || p.src.own(m.Member, p.in.Source.Privileged):
		return skip("%q is not the customer's", m.Member)
	case p.bookkeeping(m):
		return skip("the server's own note of who created the role")
	case p.in.Rules.NoRoles:
		return skip("--no-roles")
	case m.Role == p.in.Source.Privileged && (!p.kept(m.Role) || !p.mayGrant(m.Role)):
		if p.isAdmin(m.Member) {
			return skip("belongs to the source's admin")
		}
		return skip("its members are trusted at the source only: give %q at the target what it needs", member.To)
	case role.To == "":
		return skip("%s", role.Reason)
	case member.To == "":
		return skip("%s", member.Reason)
	case role.To == member.To:
		return skip("both are the same role at the target")
	}
	it.Membership.Role, it.Membership.Member = role.To, member.To
	if it.Membership.Role != m.Role || it.Membership.Member != m.Member {
		it.Verdict, it.Reason = Map, "roles have other names"
	}
	target := &p.in.Target
	me := target.User.Name
	switch {
	case predefined(m.Role) || p.kept(m.Role) && p.dst.role(m.Role, target.Privileged):
		if member.Exists && target.has(role.To, member.To, m.Admin) {
			it.Verdict, it.Reason = Keep, "the target has it already"
		} else if member.To == me {
			return skip("belongs to the source's admin")
		} else if m.Role == "pg_read_all_data" && p.in.Rules.ReadAllData && !p.mayGrant(role.To) {
			p.readers = append(p.readers, member.To)
			return skip("by --read-all-data %q gets SELECT on all that comes instead", member.To)
		} else if !p.mayGrant(role.To) {
			instead := ""
			if m.Role == "pg_read_all_data" {
				instead = "; --read-all-data grants it SELECT on everything that comes instead"
			}
			return skip("%q may not grant %s: privileges are missing at the target that %q has at the source%s", me, role.To, m.Member, instead)
		}
	case role.To == me && !p.super:
		return skip("would hand out the rights of %q, the target's user", me)
	case role.Exists && !p.mayGrant(role.To) && !target.has(role.To, member.To, m.Admin):
		return skip("%q is at the target already, and %q may not grant it", role.To, me)
	}
	p.options(&it, m)
	return it
}

// has says that a membership exists.
func (f *Facts) has(role, member string, admin bool) bool {
	return slices.ContainsFunc(f.Memberships, func(m Membership) bool {
		return m.Role == role && m.Member == member && (m.Admin || !admin)
	})
}

// bookkeeping says that the server made a membership when the member created
// the role (PostgreSQL 16 and later): it is made at the target, too, for whom
// creates it there.
func (p *planner) bookkeeping(m Membership) bool {
	if p.in.Source.Version < 160000 || !m.Admin || m.Inherit || m.Set {
		return false
	}
	g := p.in.Source.role(m.Grantor)
	return m.Grantor == "" || g != nil && g.Superuser
}

// options settles what of a membership the target's version knows, and who has
// granted it.
func (p *planner) options(it *MembershipItem, m Membership) {
	grantor := it.Membership.Grantor
	it.Membership.Grantor = ""
	if p.super && p.in.Target.Version >= 160000 && p.in.Source.Version >= 160000 && grantor != "" {
		if to, ok := p.plan.MapRole(grantor); ok && p.grants(m, grantor) {
			it.Membership.Grantor = to
		}
	}
	if p.in.Target.Version >= 160000 {
		return
	}
	member := p.in.Source.role(m.Member)
	if p.in.Source.Version >= 160000 && (!m.Set || member != nil && m.Inherit != member.Inherit) {
		it.Verdict = Warn
		it.Reason = join(it.Reason, fmt.Sprintf("the target's version knows no options of memberships: INHERIT is %v and SET is %v at the source", m.Inherit, m.Set))
	}
	it.Membership.Set = true
}

// grants says that the grantor of a membership holds it with ADMIN OPTION from
// another membership that goes over, so that it can be named.
func (p *planner) grants(m Membership, grantor string) bool {
	return slices.ContainsFunc(p.in.Source.Memberships, func(o Membership) bool {
		return o.Role == m.Role && o.Member == grantor && o.Admin && !p.bookkeeping(o)
	})
}

// inOrder sorts memberships behind those that their grantors need. Those
// without a grantor keep their order and come first.
func inOrder(items []MembershipItem) []MembershipItem {
	out := make([]MembershipItem, 0, len(items))
	rest := items
	for len(rest) > 0 {
		var later []MembershipItem
		for _, it := range rest {
			waits := it.Verdict != Skip && it.Membership.Grantor != "" && slices.ContainsFunc(rest, func(o MembershipItem) bool {
				return o.Verdict != Skip && o.Membership.Role == it.Membership.Role && o.Membership.Member == it.Membership.Grantor && o.Membership.Admin &&
					o.Membership != it.Membership && !slices.ContainsFunc(out, func(d MembershipItem) bool { return d.Membership == o.Membership })
			})
			if waits {
				later = append(later, it)
			} else {
				out = append(out, it)
			}
		}
		if len(later) == len(rest) {
			return append(out, later...) // grantors in a ring cannot be
		}
		rest = later
	}
	return out
}

// planReaders grants what members of pg_read_all_data can read, schema by schema.
func (p *planner) planReaders() {
	if len(p.readers) == 0 {
		return
	}
	owners := map[string][]string{} // of the relations of a schema
	for i := range p.plan.Items {
		it := &p.plan.Items[i]
		switch it.Kind { // names of schemas are still the source's
		case "TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "SEQUENCE", "SCHEMA":
			schema := it.Schema
			if it.Kind == "SCHEMA" {
				schema = it.Name
			}
			if it.Verdict == Skip {
				continue
			}
			owner := cmp.Or(it.Owner, p.in.Target.User.Name)
			if !slices.Contains(owners[schema], owner) {
				owners[schema] = append(owners[schema], owner)
			}
		}
	}
	for _, schema := range slices.Sorted(maps.Keys(owners)) {
		for _, role := range slices.Compact(slices.Sorted(slices.Values(p.readers))) {
			schema := p.plan.MapSchema(schema)
			name, to := quote.Ident(schema), quote.Ident(role)
			var b strings.Builder
			fmt.Fprintf(&b, "GRANT USAGE ON SCHEMA %s TO %s;\n", name, to)
			fmt.Fprintf(&b, "GRANT SELECT ON ALL TABLES IN SCHEMA %s TO %s;\n", name, to)
			fmt.Fprintf(&b, "GRANT SELECT ON ALL SEQUENCES IN SCHEMA %s TO %s;\n", name, to)
			for _, o := range owners[schema] {
				for _, kind := range []string{"TABLES", "SEQUENCES"} {
					fmt.Fprintf(&b, "ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT SELECT ON %s TO %s;\n", quote.Ident(o), name, kind, to)
				}
			}
			p.plan.Grants = append(p.plan.Grants, Grant{Role: role, Schema: schema, Owner: owners[schema][0], SQL: b.String()})
		}
	}
}
