package platform

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Group is what has the same verdict for the same reason.
type Group struct {
	Verdict Verdict  `json:"verdict"`
	Reason  string   `json:"reason"`
	Names   []string `json:"names"` // with their kinds, in the order of the plan
}

// verdictOrder is how people want to read them: what needs them first.
var verdictOrder = []Verdict{Block, Warn, Rewrite, Map, Skip, Keep}

// Counts says how many roles, memberships, settings, extensions and entries have
// each verdict, notes included.
func (p *Plan) Counts() map[Verdict]int {
	counts := map[Verdict]int{}
	p.each(func(v Verdict, _, _ string, _ []string) { counts[v]++ })
	return counts
}

// Groups puts what has the same verdict for the same reason together, what
// needs people first, then by size. Warnings are groups of their own, whatever
// the verdict of what they are about. What is kept without more to say is left
// out.
func (p *Plan) Groups() []Group {
	var groups []Group
	index := map[[2]string]int{}
	add := func(v Verdict, reason, name string) {
		k := [2]string{string(v), reason}
		i, ok := index[k]
		if !ok {
			i = len(groups)
			index[k] = i
			groups = append(groups, Group{Verdict: v, Reason: reason})
		}
		groups[i].Names = append(groups[i].Names, name)
	}
	p.each(func(v Verdict, name, reason string, warnings []string) {
		if v != Keep && (v != Warn || reason != "") {
			add(v, reason, name)
		}
		for _, w := range warnings {
			add(Warn, w, name)
		}
	})
	slices.SortStableFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(slices.Index(verdictOrder, a.Verdict), slices.Index(verdictOrder, b.Verdict)), cmp.Compare(len(b.Names), len(a.Names)))
	})
	return groups
}

// each calls f for everything that has a verdict.
func (p *Plan) each(f func(v Verdict, name, reason string, warnings []string)) {
	for _, n := range p.Notes {
		f(n.Verdict, "", n.Text, nil)
	}
	for i := range p.Roles {
		f(p.Roles[i].Verdict, "role "+p.Roles[i].From, p.Roles[i].Reason, p.Roles[i].Warnings)
	}
	for i := range p.Memberships {
		m := &p.Memberships[i]
		f(m.Verdict, fmt.Sprintf("membership of %s in %s", m.Membership.Member, m.Membership.Role), m.Reason, nil)
	}
	for i := range p.Settings {
		s := &p.Settings[i]
		name := "setting " + s.Setting.Name
		if s.Setting.Role != "" {
			name += " of role " + s.Setting.Role
		}
		if s.Setting.Database != "" {
			name += " in database " + s.Setting.Database
		}
		f(s.Verdict, name, s.Reason, nil)
	}
	for i := range p.Extensions {
		x := &p.Extensions[i]
		f(x.Verdict, "extension "+x.Name, x.Reason, x.Warnings)
	}
	for i := range p.Items {
		it := &p.Items[i]
		if it.Kind == "EXTENSION" {
			continue // said above
		}
		name := it.Name
		if it.Schema != "" {
			name = it.Schema + "." + name
		}
		f(it.Verdict, strings.ToLower(it.Kind)+" "+name, it.Reason, it.Warnings)
	}
}
