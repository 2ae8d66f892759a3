package platform

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// planRoles decides about every role of the source.
func (p *planner) planRoles() {
	p.plan.Roles = make([]RoleItem, 0, len(p.in.Source.Roles))
	made := map[string]string{} // names at the target, and for whom they are made
	create := 0
	for _, r := range p.in.Source.Roles {
		it := p.planRole(r)
		if it.Verdict != Skip && it.Verdict != Block && !it.Exists {
			if other, ok := made[it.To]; ok {
				it.Exists = true
				it.Reason = join(it.Reason, "is made for "+other)
			} else {
				made[it.To] = r.Name
				create++
			}
		}
		p.plan.Roles = append(p.plan.Roles, it)
	}
	for i := range p.plan.Roles {
		p.roles[p.in.Source.Roles[i].Name] = &p.plan.Roles[i]
	}
	p.checkRoleMap()
	p.warnAdmins()
	if n := len(p.in.Target.Roles) + create; p.dst.maxRoles > 0 && n > p.dst.maxRoles {
		p.note(Block, "the target would have %d roles, and %s allows %d: leave roles out with --no-roles or join them with --role-map", n, p.dst.title, p.dst.maxRoles)
	}
	if create > 0 && !p.super && !p.in.Target.User.CreateRole {
		p.note(Block, "%d roles have to be created, and %q may not create roles at the target: connect as a role that may, "+
			"or create them before, or map them to existing ones with --role-map", create, p.in.Target.User.Name)
	}
}

// checkRoleMap blocks names in the role map that no role of the source has: what
// was mistyped would leave a role under its own name, unseen.
func (p *planner) checkRoleMap() {
	if len(p.in.Source.Roles) == 0 {
		return // nobody knows them
	}
	for _, from := range slices.Sorted(maps.Keys(p.in.Rules.Roles)) {
		if p.roles[from] == nil {
			p.note(Block, "the role map gives role %q another name, and the source has no such role (case counts): correct the name or take it out", from)
		}
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// isAdmin says that a role of the source is the one whose duties the target's
// user has: the user who reads the source.
func (p *planner) isAdmin(name string) bool {
	return name == p.in.Source.User.Name && (p.in.Source.Platform != Plain || !p.super)
}

func (p *planner) planRole(r Role) RoleItem {
	target := &p.in.Target
	me := target.User.Name
	it := RoleItem{Role: r, From: r.Name, Verdict: Keep, To: r.Name}
	to, mapped := p.in.Rules.Roles[r.Name]
	switch {
	case mapped:
		it.Verdict, it.To, it.Reason = Map, to, "by the role map"
	case predefined(r.Name):
		it.Exists = target.role(r.Name) != nil
		if !it.Exists {
			it.Verdict, it.To = Skip, ""
			it.Reason = "predefined, and the target's version does not have it"
		}
		it.Role = Role{Name: it.To}
		return it
	case p.src.own(r.Name, p.in.Source.Privileged):
		if have := target.role(r.Name); have != nil && p.dst.own(r.Name, target.Privileged) && !have.Superuser {
			it.Exists, it.Reason, it.Role.Name = true, "the target has its own", r.Name
			return it
		}
		it.Verdict, it.To, it.Reason = Skip, "", "belongs to "+p.src.title
		return it
	case p.isAdmin(r.Name):
		it.Verdict, it.To, it.Exists = Map, me, true
		it.Role.Name = me
		if r.Name == me {
			it.Verdict = Keep
		}
		it.Reason = "the source's admin becomes the target's"
		return it
	}
	it.Role.Name = it.To
	have := target.role(it.To)
	switch {
	case have != nil && it.To != me && (p.dst.role(it.To, target.Privileged) || predefined(it.To)) && !mapped,
		have == nil && p.dst.forbids(it.To, target.Privileged):
		it.Verdict = Block
		it.Reason = join(it.Reason, fmt.Sprintf("%q is a name that %s keeps for itself: give the role another with --role-map", it.To, p.dst.title))
		return it
	case it.To == "" || len(it.To) > 63:
		it.Verdict = Block
		it.Reason = join(it.Reason, "names of roles have 1 to 63 bytes: give it another with --role-map")
		return it
	case have != nil:
		it.Exists = true
		if it.To != me {
			it.compare(r, *have)
		}
		if !mapped {
			it.Reason = join(it.Reason, "the target has it already")
		}
		return it
	case p.in.Rules.NoRoles:
		it.Verdict, it.Reason = Skip, "--no-roles, and the target does not have it"
		return it
	}
	p.attributes(&it)
	return it
}

// compare warns of attributes in which a role that exists differs.
func (it *RoleItem) compare(want, have Role) {
	var differ []string
	for _, a := range []struct {
		name       string
		want, have bool
	}{
		{"LOGIN", want.Login, have.Login},
		{"INHERIT", want.Inherit, have.Inherit},
		{"CREATEDB", want.CreateDB, have.CreateDB},
		{"CREATEROLE", want.CreateRole, have.CreateRole},
		{"REPLICATION", want.Replication, have.Replication},
		{"BYPASSRLS", want.BypassRLS, have.BypassRLS},
		{"SUPERUSER", want.Superuser, have.Superuser},
	} {
		switch {
		case a.want && !a.have:
			differ = append(differ, "no "+a.name)
		case !a.want && a.have:
			differ = append(differ, a.name)
		}
	}
	if len(differ) > 0 {
		it.Warnings = append(it.Warnings, "exists with other attributes than at the source: "+strings.Join(differ, ", "))
	}
}

// attributes leaves of a role that is created what the target's user may give.
func (p *planner) attributes(it *RoleItem) {
	r, target := &it.Role, &p.in.Target
	warn := func(format string, args ...any) { it.Warnings = append(it.Warnings, fmt.Sprintf(format, args...)) }
	drop := func(have *bool, name, why string) {
		if *have {
			*have = false
			warn("comes without %s: %s", name, why)
		}
	}
	entra := false
	for _, l := range r.Labels {
		if l.Provider == "pgaadauth" {
			entra = true
			warn("logs in through Microsoft Entra ID at the source (%s): at the target it is a role with a password", l.Label)
		} else {
			warn("security label of provider %s is left out: the target does not have the provider", l.Provider)
		}
	}
	r.Labels = nil
	if p.in.Rules.NoLogin && r.Login {
		r.Login = false
		warn("may not log in, by --no-login: later ALTER ROLE … LOGIN PASSWORD …")
	} else if entra && !r.Login {
		r.Login = true
	}
	if p.super {
		return
	}
	drop(&r.Superuser, "SUPERUSER", "only a superuser may give that")
	api := ""
	if p.dst.name == Neon {
		api = "; roles that are made in Neon's console have it"
	}
	if target.Version < 160000 {
		drop(&r.Replication, "REPLICATION", "before PostgreSQL 16 only a superuser may give that"+api)
		drop(&r.BypassRLS, "BYPASSRLS", "before PostgreSQL 16 only a superuser may give that"+api)
	} else {
		why := fmt.Sprintf("%q does not have it itself", target.User.Name)
		if !target.User.Replication {
			drop(&r.Replication, "REPLICATION", why+api)
		}
		if !target.User.BypassRLS {
			drop(&r.BypassRLS, "BYPASSRLS", why+api)
		}
		if !target.User.CreateDB {
			drop(&r.CreateDB, "CREATEDB", why)
		}
	}
	if r.Comment != "" {
		r.Comment = ""
		warn("its comment is left out: only the platform's superuser may set it")
	}
}

// warnAdmins warns of members of the source's privileged role, which at the
// target are like any other role.
func (p *planner) warnAdmins() {
	if p.in.Source.Privileged == "" {
		return
	}
	for _, m := range p.in.Source.Memberships {
		it := p.roles[m.Member]
		if m.Role != p.in.Source.Privileged || it == nil || it.Verdict == Skip || it.To == p.in.Target.User.Name ||
			p.kept(m.Role) && p.mayGrant(m.Role) {
			continue
		}
		text := fmt.Sprintf("is a member of %s, which is not carried over", m.Role)
		if p.dst.name == Neon {
			text += fmt.Sprintf("; to have the rights of %s it has to be made in Neon's console or by its API before", cmp.Or(p.in.Target.Privileged, "neon_superuser"))
		}
		if !slices.Contains(it.Warnings, text) {
			it.Warnings = append(it.Warnings, text)
		}
	}
}

// kept says that a role of the source is there at the target under its own name
// as the platform's.
func (p *planner) kept(name string) bool {
	it := p.roles[name]
	return it != nil && it.Verdict == Keep && it.Exists
}

// role returns a role of the facts, or nil.
func (f *Facts) role(name string) *Role {
	i, ok := slices.BinarySearchFunc(f.Roles, name, func(r Role, name string) int { return cmp.Compare(r.Name, name) })
	if ok {
		return &f.Roles[i]
	}
	// Facts that were not read by Detect need not be sorted.
	for i := range f.Roles {
		if f.Roles[i].Name == name {
			return &f.Roles[i]
		}
	}
	return nil
}

// memberOf says that a role is another one or, through others, a member of it.
func (f *Facts) memberOf(member, role string) bool {
	seen := map[string]bool{}
	var look func(string) bool
	look = func(name string) bool {
		if name == role {
			return true
		}
		if seen[name] {
			return false
		}
		seen[name] = true
		for _, m := range f.Memberships {
			if m.Member == name && look(m.Role) {
				return true
			}
		}
		return false
	}
	return look(member)
}

// mayGrant says that the target's user can make others members of a role that
// the target has.
func (p *planner) mayGrant(role string) bool {
	target := &p.in.Target
	if p.super {
		return true
	}
	for _, m := range target.Memberships {
		if m.Role == role && m.Admin && target.memberOf(target.User.Name, m.Member) {
			return true
		}
	}
	// Before 16 CREATEROLE could give away every role but superusers. Platforms
	// that still have such servers are closing that; it is not relied upon there.
	have := target.role(role)
	return p.dst.name == Plain && target.Version < 160000 && target.User.CreateRole && have != nil && !have.Superuser
}

// mayBecome says that the target's user is or can be made a member of a role.
func (p *planner) mayBecome(role string) bool {
	target := &p.in.Target
	if p.super || role == target.User.Name || p.mayGrant(role) {
		return true
	}
	if target.Version < 160000 {
		return target.memberOf(target.User.Name, role)
	}
	for _, m := range target.Memberships {
		if m.Role == role && m.Set && target.memberOf(target.User.Name, m.Member) {
			return true
		}
	}
	return false
}

// MapRole returns the name at the target of a role of the source that rights are
// granted to, or that a policy is for. ok is false for roles that are left out,
// with what names them.
func (p *Plan) MapRole(name string) (to string, ok bool) {
	for i := range p.Roles {
		if r := &p.Roles[i]; r.From == name {
			return r.To, r.To != ""
		}
	}
	if to, ok := p.Rules.Roles[name]; ok {
		return to, to != ""
	}
	return name, true
}

// MapOwner returns who owns at the target what a role of the source owns: for
// roles that are left out that is the target's user.
func (p *Plan) MapOwner(name string) string {
	if name == "" {
		return ""
	}
	to, ok := p.MapRole(name)
	if !ok || predefined(to) && !p.Target.User.Superuser {
		return p.Target.User.Name
	}
	return to
}
