package verify

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/internal/pg"
)

// security compares who may do what, as the catalogs of both ends have it: not
// the text of statements, but owners, privileges and properties one by one.
func (c *comparison) security(ctx context.Context) (int, error) {
	s := &securityCheck{c: c, m: c.mapping, normal: &normalizer{versions: [2]pg.Version{c.ends[0].version, c.ends[1].version}, schemas: map[string]bool{}}}
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range c.ends {
		g.Go(func() (err error) {
			s.ends[i], err = e.readAuthority(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	for _, a := range s.ends {
		for k := range a.objects {
			if k.kind == "SCHEMA" {
				s.normal.schemas[k.name] = true
			}
		}
	}
	s.objects()
	s.defaults()
	s.roles()
	s.extraRoles()
	s.memberships()
	s.database()
	slices.SortStableFunc(s.found, func(a, b Difference) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Schema, b.Schema), strings.Compare(a.Name, b.Name))
	})
	c.differ(s.found...)
	return s.compared, nil
}

// A securityCheck is the comparison of security under way.
type securityCheck struct {
	c        *comparison
	m        *mapping
	normal   *normalizer
	ends     [2]*authority
	compared int
	found    []Difference
}

// facts are what an object has, by label, as reports show it: "owner",
// "privileges of app", ...
type facts map[string]string

func (s *securityCheck) differ(d Difference) {
	d.Level = LevelSecurity
	s.found = append(s.found, d)
}

// compare reports the facts of an object that are not the same.
func (s *securityCheck) compare(k entryKey, source, target facts, expected string) {
	var lines [2][]string
	all := maps.Clone(source)
	maps.Copy(all, target)
	for _, label := range slices.Sorted(maps.Keys(all)) {
		a, b := source[label], target[label]
		if a == b {
			continue
		}
		for i, text := range []string{a, b} {
			if text != "" {
				lines[i] = append(lines[i], label+": "+text)
			}
		}
	}
	if len(lines[0])+len(lines[1]) > 0 {
		s.differ(Difference{
			Kind: k.kind, Schema: k.schema, Name: k.name, Status: Different, Expected: expected,
			Source: strings.Join(lines[0], "\n"), Target: strings.Join(lines[1], "\n"),
		})
	}
}

// objects compares owners, privileges, policies and what else objects have.
func (s *securityCheck) objects() {
	sources := map[entryKey]*guarded{} // by their names at the target
	for k, o := range s.ends[0].objects {
		sources[s.mapped(k)] = o
	}
	all := maps.Clone(sources)
	maps.Copy(all, s.ends[1].objects)
	for k := range all {
		source, target := sources[k], s.ends[1].objects[k]
		switch {
		case source == nil:
			if s.c.opts.IgnoreExtra || s.c.mapping.own(k.kind, k.schema, k.name) != "" {
				continue
			}
			if k.kind != "COLUMN" { // its table has no privileges of columns in the source
				s.compared++
				s.differ(Difference{Kind: k.kind, Schema: k.schema, Name: k.name, Status: MissingInSource, Target: s.facts(target, 1, nil).text()})
				continue
			}
			source = &guarded{entryKey: k}
		case target == nil && k.kind == "COLUMN":
			target = &guarded{entryKey: k}
		case target == nil:
			if reason := s.m.skipped(source.kind, source.schema, source.name); reason != "" || s.facilities(source) {
				continue
			}
			s.compared++
			s.differ(Difference{
				Kind: k.kind, Schema: k.schema, Name: k.name, Status: MissingInTarget, Source: s.facts(source, 0, nil).text(),
			})
			continue
		}
		s.compared++
		var dropped []string
		a, b := s.facts(source, 0, &dropped), s.facts(target, 1, nil)
		for _, label := range []string{"using", "with check"} { // of policies
			if x, y := a[label], b[label]; x != "" && y != "" && s.normal.same(x, y) {
				a[label] = y
			}
		}
		expected := ""
		if k == (entryKey{"SCHEMA", "", "public"}) && s.normal.crosses(15) {
			expected = "since PostgreSQL 15 schema public belongs to the database's owner, and not everybody may create in it"
		}
		if it := s.m.item(source.kind, source.schema, source.name); it != nil && it.Owner != a["owner"] && it.Owner != b["owner"] && sameButOwner(a, b) {
			expected = it.Reason // which leaves it with the owner it has
		}
		s.compare(k, a, b, expected)
		if len(dropped) > 0 && maps.Equal(a, b) {
			s.differ(Difference{
				Kind: k.kind, Schema: k.schema, Name: k.name, Status: Different, Source: strings.Join(dropped, "\n"),
				Expected: "privileges of roles that are left out at the target",
			})
		}
	}
}

// sameButOwner reports whether the owner is all that differs.
func sameButOwner(a, b facts) bool {
	a, b = maps.Clone(a), maps.Clone(b)
	delete(a, "owner")
	delete(b, "owner")
	return maps.Equal(a, b)
}

// facilities reports whether an object of the source is the platform's own.
func (s *securityCheck) facilities(o *guarded) bool {
	f := s.m.facts[0]
	return f.OwnsSchema(o.schema) || o.kind == "SCHEMA" && f.OwnsSchema(o.name)
}

// mapped is what an object of the source is called at the target.
func (s *securityCheck) mapped(k entryKey) entryKey {
	if k.kind == "SCHEMA" {
		k.name = s.m.schema(k.name)
	}
	if i := strings.IndexByte(k.name, '('); i >= 0 {
		k.name = k.name[:i] + s.m.sql(k.name[i:]) // the types of a function's arguments
	}
	k.schema = s.m.schema(k.schema)
	return k
}

func (f facts) text() string {
	lines := make([]string, 0, len(f))
	for _, label := range slices.Sorted(maps.Keys(f)) {
		lines = append(lines, label+": "+f[label])
	}
	return strings.Join(lines, "\n")
}

// facts puts an object into comparable terms, with the target's names of roles.
// dropped gets what is left out with a role.
func (s *securityCheck) facts(o *guarded, end int, dropped *[]string) facts {
	out := facts{}
	owner := o.owner
	if end == 0 {
		owner = s.m.owner(owner)
	}
	if owner != "" {
		out["owner"] = owner
	}
	for name, value := range o.properties {
		switch {
		case end != 0:
		case name == "settings":
			value = strings.TrimPrefix(s.m.sql("SET "+value), "SET ")
		case o.kind == "POLICY":
			value = s.m.sql(value)
		}
		if value != "" {
			out[name] = value
		}
	}
	if o.kind == "POLICY" {
		out["to"] = strings.Join(s.grantees(o.roles, end), ", ")
	}
	for grantee, text := range s.privileges(o, owner, end, dropped) {
		out["privileges of "+grantee] = text
	}
	return out
}

// grantees are roles by their names at the target, without those that are left
// out.
func (s *securityCheck) grantees(roles []string, end int) []string {
	var out []string
	for _, r := range roles {
		to, ok := r, true
		if end == 0 {
			to, ok = s.m.role(r)
		}
		if ok {
			out = append(out, cmp.Or(to, "PUBLIC"))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// privileges are an object's by grantee: "SELECT, UPDATE with grant option by
// app". The owner is called so: who that is is compared by itself.
func (s *securityCheck) privileges(o *guarded, owner string, end int, dropped *[]string) map[string]string {
	byGrantee := map[string][]string{}
	for _, g := range o.grants {
		if g.privilege == "MAINTAIN" && s.normal.crosses(17) {
			continue // ALL of an older server has no such privilege
		}
		to, ok, grantor := g.grantee, true, g.grantor
		if end == 0 {
			to, ok = s.m.role(g.grantee)
			if g.grantee != "" && g.grantee == o.owner {
				to, ok = owner, true // whoever owns it there has the owner's rights
			}
			grantor = s.m.owner(g.grantor)
		}
		text := g.privilege
		if g.option {
			text += " with grant option"
		}
		if !ok {
			if dropped != nil {
				*dropped = append(*dropped, "privileges of "+g.grantee+": "+text)
			}
			continue
		}
		if grantor != owner && o.kind != "COLUMN" {
			text += " by " + grantor
		}
		switch to {
		case "":
			to = "PUBLIC"
		case owner:
			to = "the owner"
		}
		byGrantee[to] = append(byGrantee[to], text)
	}
	out := map[string]string{}
	for grantee, list := range byGrantee {
		slices.Sort(list)
		out[grantee] = strings.Join(slices.Compact(list), ", ")
	}
	return out
}

// defaults compares default privileges.
func (s *securityCheck) defaults() {
	var ends [2]map[entryKey]facts
	platforms := map[entryKey]bool{} // the source's platform's, which a plan may carry over
	for i, a := range s.ends {
		ends[i] = map[entryKey]facts{}
		for _, d := range a.defaults {
			own := s.m.facts[i].OwnsRole(d.owner)
			if own && (i == 1 || s.m.plan == nil) {
				continue // the platform's, and not for the customer to give
			}
			role := d.owner
			if i == 0 {
				role = s.m.owner(role)
			}
			k := entryKey{d.kind, s.m.schema(d.schema), role + " for " + d.name}
			platforms[k] = platforms[k] || own
			if ends[i][k] == nil {
				ends[i][k] = facts{}
			}
			for grantee, text := range s.privileges(d, role, i, nil) {
				ends[i][k]["privileges of "+grantee] = text
			}
		}
	}
	all := maps.Clone(ends[0])
	maps.Copy(all, ends[1])
	for k := range all {
		a, inSource := ends[0][k]
		b, inTarget := ends[1][k]
		if platforms[k] && !inTarget {
			continue
		}
		if inSource || !s.c.opts.IgnoreExtra {
			s.compared++
			if inSource && inTarget {
				s.compare(k, a, b, "")
			} else {
				s.differ(Difference{Kind: k.kind, Schema: k.schema, Name: k.name, Status: status(inSource, inTarget), Source: a.text(), Target: b.text()})
			}
		}
	}
}

// database compares how the two databases store and sort text.
func (s *securityCheck) database() {
	s.compared++
	s.compare(entryKey{kind: "DATABASE", name: s.c.ends[1].database}, s.ends[0].database, s.ends[1].database,
		"a database gets its encoding and locale when it is made; text may sort in another order, and letters may be told from others in another way")
}
