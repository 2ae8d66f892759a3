package verify

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"github.com/pghaul/pghaul/platform"
)

// attributes are a role's as facts.
func attributes(r *platform.Role) facts {
	f := facts{}
	for name, has := range map[string]bool{
		"superuser": r.Superuser, "inherit": r.Inherit, "createrole": r.CreateRole, "createdb": r.CreateDB,
		"login": r.Login, "replication": r.Replication, "bypassrls": r.BypassRLS,
	} {
		if has {
			f[name] = "yes"
		}
	}
	if r.ConnLimit != -1 {
		f["connection limit"] = fmt.Sprint(r.ConnLimit)
	}
	if r.ValidUntil != "" {
		f["valid until"] = r.ValidUntil
	}
	for _, l := range r.Labels {
		f["security label of "+l.Provider] = l.Label
	}
	return f
}

// roles compares the attributes of roles: those of the plan, or those that
// objects, privileges and policies of the source name.
func (s *securityCheck) roles() {
	target := map[string]*platform.Role{}
	for i := range s.m.facts[1].Roles {
		r := &s.m.facts[1].Roles[i]
		target[r.Name] = r
	}
	check := func(name string, want *platform.Role, expected string) {
		s.compared++
		k := entryKey{kind: "ROLE", name: name}
		if have := target[name]; have != nil {
			s.compare(k, attributes(want), attributes(have), expected)
			return
		}
		s.differ(Difference{Kind: k.kind, Name: name, Status: MissingInTarget, Source: attributes(want).text(), Expected: expected})
	}
	if plan := s.m.plan; plan != nil {
		for i := range plan.Roles {
			it := &plan.Roles[i]
			switch {
			case it.To == "" && !s.m.facts[0].OwnsRole(it.From):
				s.compared++
				s.differ(Difference{Kind: "ROLE", Name: it.From, Status: MissingInTarget, Source: attributes(&it.Role).text(), Expected: cmp.Or(it.Reason, "the plan leaves it out")})
			case it.To == "" || s.m.facts[1].OwnsRole(it.To):
			case it.Exists:
				check(it.To, &it.Role, "the target had the role before")
			default:
				check(it.To, &it.Role, "")
			}
		}
		return
	}
	for i := range s.m.facts[0].Roles {
		r := &s.m.facts[0].Roles[i]
		if s.uses(r.Name) {
			check(r.Name, r, "")
		}
	}
}

// extraRoles reports roles that have something to say about the target's objects
// and that the source does not know. What exactly, their objects tell.
func (s *securityCheck) extraRoles() {
	if s.c.opts.IgnoreExtra {
		return
	}
	known := map[string]bool{}
	for r := range s.ends[0].roles {
		to, _ := s.m.role(r)
		known[to], known[s.m.owner(r)] = true, true
	}
	if plan := s.m.plan; plan != nil {
		for i := range plan.Roles {
			known[plan.Roles[i].To] = true
		}
	} else {
		for i := range s.m.facts[0].Roles {
			known[s.m.facts[0].Roles[i].Name] = true
		}
	}
	target := s.m.facts[1]
	for i := range target.Roles {
		r := &target.Roles[i]
		if !s.ends[1].roles[r.Name] || known[r.Name] || target.OwnsRole(r.Name) || strings.HasPrefix(r.Name, "pg_") {
			continue
		}
		s.compared++
		d := Difference{Kind: "ROLE", Name: r.Name, Status: MissingInSource, Target: cmp.Or(attributes(r).text(), "no attributes")}
		if r.Name == target.User.Name {
			d.Expected = "the target was made by this role"
		}
		s.differ(d)
	}
}

// uses reports whether a role of the source matters to its database.
func (s *securityCheck) uses(role string) bool {
	return s.ends[0].roles[role] && !s.m.facts[0].OwnsRole(role)
}

// A membership is that of a role in another, whoever granted it.
type membership struct{ member, role string }

// memberships compares who is a member of what.
func (s *securityCheck) memberships() {
	options := func(list []platform.Membership) map[membership]facts {
		out := map[membership]facts{}
		for _, m := range list {
			k := membership{m.Member, m.Role}
			if out[k] == nil {
				out[k] = facts{"member": "yes"}
			}
			for name, has := range map[string]bool{"admin": m.Admin, "inherit": m.Inherit, "set": m.Set} {
				if has && (name == "admin" || !s.normal.crosses(16)) {
					out[k][name] = "yes"
				}
			}
		}
		return out
	}
	source, target := options(s.wanted()), options(s.m.facts[1].Memberships)
	for k, want := range source {
		s.compared++
		name := k.member + " in " + k.role
		if have := target[k]; have != nil {
			expected := ""
			rest := maps.Clone(have)
			if delete(rest, "admin"); k.member == s.m.facts[1].User.Name && maps.Equal(rest, want) {
				expected = "who creates a role may grant it"
			}
			s.compare(entryKey{kind: "MEMBERSHIP", name: name}, want, have, expected)
		} else {
			s.differ(Difference{Kind: "MEMBERSHIP", Name: name, Status: MissingInTarget, Source: want.text()})
		}
	}
	used := map[string]bool{}
	for k := range source {
		used[k.member], used[k.role] = true, true
	}
	for r := range s.ends[0].roles {
		if to, ok := s.m.role(r); ok {
			used[to] = true
		}
	}
	for k, have := range target {
		if source[k] != nil || !used[k.member] || !used[k.role] || s.c.opts.IgnoreExtra {
			continue
		}
		d := Difference{Kind: "MEMBERSHIP", Name: k.member + " in " + k.role, Status: MissingInSource, Target: have.text()}
		switch f := s.m.facts[1]; {
		case k.member == f.User.Name:
			d.Expected = "who creates a role or gives objects to it is a member of it"
		case f.OwnsRole(k.role) || f.OwnsRole(k.member):
			d.Expected = "the target's platform made it"
		}
		s.compared++
		s.differ(d)
	}
}

// wanted are the memberships that the target should have, by its names.
func (s *securityCheck) wanted() []platform.Membership {
	var out []platform.Membership
	if plan := s.m.plan; plan != nil {
		for _, it := range plan.Memberships {
			if it.Verdict != platform.Skip && it.Verdict != platform.Block {
				out = append(out, it.Membership)
			}
		}
		return out
	}
	for _, m := range s.m.facts[0].Memberships {
		if s.uses(m.Member) && (s.uses(m.Role) || s.m.facts[0].OwnsRole(m.Role)) {
			out = append(out, m)
		}
	}
	return out
}
