package platform

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
)

// A ChangedError says that the source is not what it was when a plan was made.
type ChangedError struct {
	New, Gone, Changed []string
}

func (e *ChangedError) Error() string {
	var parts []string
	for _, l := range []struct {
		what string
		list []string
	}{{"new", e.New}, {"gone", e.Gone}, {"changed", e.Changed}} {
		if len(l.list) > 0 {
			parts = append(parts, l.what+": "+strings.Join(l.list, ", "))
		}
	}
	return "the source has changed since the plan was made: make it again, or compare it with a new one (" + strings.Join(parts, "; ") + ")"
}

// Follow returns the plan that file says, for the source that p was made from
// now: p's facts and entries with file's decisions. p must be made with file's
// rules. What the file leaves blocked is what p says of it.
//
// The error is a *ChangedError if the source has objects, roles, memberships,
// settings or extensions that the file does not know, lacks some of those, or
// has other definitions of them. Rows may have changed.
func (p *Plan) Follow(file *Plan) (*Plan, error) {
	if err := p.comparable(file); err != nil {
		return nil, err
	}
	out := *p
	changed := &ChangedError{}
	out.Roles = merge(changed, p.Roles, file.Roles, func(r *RoleItem) (string, string) { return "role " + r.From, "" },
		func(mine, theirs *RoleItem) {
			if theirs.Verdict == Block {
				return
			}
			role := theirs.Role
			if role.Name == "" { // a short item, of a role that is not created
				role = mine.Role
			}
			if role.Labels = mine.Role.Labels; theirs.To != "" {
				role.Name = theirs.To
			}
			*mine = RoleItem{
				From: mine.From, Role: role, Verdict: theirs.Verdict, To: theirs.To, Reason: theirs.Reason, Warnings: theirs.Warnings,
				Exists: theirs.Exists || theirs.To != "" && p.Target.role(theirs.To) != nil,
			}
		})
	out.Memberships = merge(changed, p.Memberships, file.Memberships,
		func(m *MembershipItem) (string, string) {
			return fmt.Sprintf("membership of %q in %q", m.Membership.Member, m.Membership.Role), ""
		},
		func(mine, theirs *MembershipItem) {
			if theirs.Verdict != Block {
				*mine = *theirs
			}
		})
	out.Settings = merge(changed, p.Settings, file.Settings,
		func(s *SettingItem) (string, string) {
			return fmt.Sprintf("setting %s of database %q, role %q", s.Setting.Name, s.Setting.Database, s.Setting.Role), ""
		},
		func(mine, theirs *SettingItem) {
			if theirs.Verdict != Block {
				*mine = *theirs
			}
		})
	out.Extensions = merge(changed, p.Extensions, file.Extensions,
		func(x *ExtensionItem) (string, string) { return "extension " + x.Name, "" },
		func(mine, theirs *ExtensionItem) {
			if theirs.Verdict != Block {
				mine.Verdict, mine.Schema, mine.Reason, mine.Warnings = theirs.Verdict, theirs.Schema, theirs.Reason, theirs.Warnings
			}
		})
	out.Items = merge(changed, p.Items, file.Items, itemKey, followItem)
	if len(changed.New)+len(changed.Gone)+len(changed.Changed) > 0 {
		return nil, changed
	}
	if len(file.Drops) > 0 || len(p.Drops) > 0 {
		if err := out.followDrops(file); err != nil {
			return nil, err
		}
	}
	out.CronScript, out.Grants = file.CronScript, file.Grants
	if err := out.consistent(); err != nil {
		return nil, err
	}
	return &out, nil
}

// comparable says why the two plans cannot be about the same thing.
func (p *Plan) comparable(file *Plan) error {
	for _, c := range []struct {
		what       string
		mine, file string
	}{
		{"the source's database", p.Source.Database, file.Source.Database},
		{"the source's platform", string(p.Source.Platform), string(file.Source.Platform)},
		{"the user at the source", p.Source.User.Name, file.Source.User.Name},
		{"the target's database", p.Target.Database, file.Target.Database},
		{"the target's platform", string(p.Target.Platform), string(file.Target.Platform)},
		{"the user at the target", p.Target.User.Name, file.Target.User.Name},
		{"the target's major version", fmt.Sprint(p.Target.Version / 10000), fmt.Sprint(file.Target.Version / 10000)},
	} {
		if c.mine != c.file {
			return fmt.Errorf("the plan was made for other ends: %s is %q, and %q in the plan", c.what, c.mine, c.file)
		}
	}
	if mine, theirs := p.Rules.normal(), file.Rules.normal(); !reflect.DeepEqual(mine, theirs) {
		return errors.New("the plan was made with other rules than those given now: give none, or make it again")
	}
	return nil
}

// normal returns the rules with nothing for what is empty, for comparisons.
func (r Rules) normal() Rules {
	if len(r.Roles) == 0 {
		r.Roles = nil
	}
	if len(r.Schemas) == 0 {
		r.Schemas = nil
	}
	if len(r.SkipExtensions) == 0 {
		r.SkipExtensions = nil
	}
	return r
}

// itemKey names an item and its definition, for merge.
func itemKey(it *Item) (string, string) {
	name := it.Name
	if it.Schema != "" {
		name = it.Schema + "." + name
	}
	return strings.ToLower(it.Kind) + " " + name, it.Definition
}

// followItem gives an item what the file decides.
func followItem(mine, theirs *Item) {
	if theirs.Verdict == Block {
		return
	}
	it := *theirs
	it.ID, it.Definition = mine.ID, mine.Definition
	if it.Owner == "" {
		it.Owner = mine.Owner
	}
	if it.Verdict == Keep {
		// Short items name their verdict only; a definition that the server would
		// not take stays the rewritten one unless the file has its own.
		it.Tablespace = mine.Tablespace
		if it.SQL == "" && mine.Verdict == Keep {
			it.SQL, it.Drop = mine.SQL, mine.Drop
		}
	}
	*mine = it
}

// changing are kinds of entries that come and go with rows: what the file does
// not know of them is as p has it.
func changing(key string) bool {
	for _, k := range []string{"table data ", "sequence set ", "statistics data ", "blob ", "blobs ", "blob metadata ", "materialized view data "} {
		if strings.HasPrefix(key, k) {
			return true
		}
	}
	return strings.HasPrefix(key, "acl LARGE OBJECT") || strings.HasPrefix(key, "comment LARGE OBJECT") || strings.HasPrefix(key, "security label LARGE OBJECT")
}

// merge pairs two lists by their keys, the first of a key with the first, and
// lets follow change what is ours.
func merge[T any](changed *ChangedError, mine, file []T, key func(*T) (string, string), follow func(mine, theirs *T)) []T {
	theirs := map[string][]*T{}
	for i := range file {
		k, _ := key(&file[i])
		theirs[k] = append(theirs[k], &file[i])
	}
	out := slices.Clone(mine)
	for i := range out {
		k, def := key(&out[i])
		list := theirs[k]
		if len(list) == 0 {
			if !changing(k) {
				changed.New = append(changed.New, k)
			}
			continue
		}
		theirs[k] = list[1:]
		if _, was := key(list[0]); was != def {
			changed.Changed = append(changed.Changed, k)
			continue
		}
		follow(&out[i], list[0])
	}
	for i := range file {
		if k, _ := key(&file[i]); len(theirs[k]) > 0 {
			theirs[k] = theirs[k][1:]
			if !changing(k) {
				changed.Gone = append(changed.Gone, k)
			}
		}
	}
	return out
}

// followDrops takes the file's drops: what is not named there is not dropped,
// and what is named must be there.
func (p *Plan) followDrops(file *Plan) error {
	for _, d := range file.Drops {
		if !slices.ContainsFunc(p.Drops, func(m Drop) bool { return m.Object == d.Object }) {
			return fmt.Errorf("the plan drops %s, which is not at the target or bears no name of something that comes", d.Object)
		}
	}
	for _, d := range p.Drops {
		if !slices.ContainsFunc(file.Drops, func(m Drop) bool { return m.Object == d.Object }) {
			return fmt.Errorf("%s at the target is in the way, and the plan does not drop it: make the plan again", d.Object)
		}
	}
	return nil
}

// consistent leaves out what belongs to things that the file skips, and says
// what cannot be done as it says.
func (p *Plan) consistent() error {
	items := make(map[int]*Item, len(p.Items))
	for i := range p.Items {
		items[p.Items[i].ID] = &p.Items[i]
	}
	var wrong []error
	told := map[int]bool{}
	for again := true; again; {
		again = false
		for i := range p.Items {
			gone := &p.Items[i]
			if gone.Verdict != Skip || !p.made[gone.ID] {
				continue
			}
			for _, id := range p.needs[gone.ID] {
				it := items[id]
				switch {
				case it == nil || it.Verdict == Skip || told[id]:
				case part(&archive.Entry{Kind: it.Kind}):
					it.Verdict, it.Reason = Skip, fmt.Sprintf("belongs to %s %s, which is skipped", strings.ToLower(gone.Kind), gone.Name)
					again = true
				default:
					told[id] = true
					wrong = append(wrong, fmt.Errorf("%s %s needs %s %s, which the plan skips: skip it, too", strings.ToLower(it.Kind), it.Name,
						strings.ToLower(gone.Kind), gone.Name))
				}
			}
		}
	}
	for i := range p.Extensions {
		x := &p.Extensions[i]
		for j := range p.Items {
			if it := &p.Items[j]; it.Kind == "EXTENSION" && it.Name == x.Name && (it.Verdict == Skip) != (x.Verdict == Skip) {
				wrong = append(wrong, fmt.Errorf("extension %s is to %s in one place and to %s in another: use rules.skip_extensions", x.Name, x.Verdict, it.Verdict))
			}
		}
	}
	known := map[string]bool{"": true, p.Target.User.Name: true}
	for i := range p.Roles {
		if r := &p.Roles[i]; r.Verdict != Skip || r.Exists {
			known[r.To] = true
		}
	}
	for i := range p.Items {
		if it := &p.Items[i]; it.Verdict != Skip && !known[it.Owner] && p.Target.role(it.Owner) == nil {
			wrong = append(wrong, fmt.Errorf("%s %s is to belong to %q, a role that is neither created nor at the target", strings.ToLower(it.Kind), it.Name, it.Owner))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("the plan cannot be followed: %w", err)
	}
	return nil
}
