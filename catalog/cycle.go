package catalog

import (
	"strings"
)

// breakRings finds rings of dependencies among objects that could not be
// sorted and breaks each the way pg_dump does.
func (l *loader) breakRings(objs []Object) error {
	f := &ringFinder{l: l, done: make([]bool, len(l.objs)+1), failed: make([]int, len(l.objs)+1), in: make([]bool, len(l.objs)+1)}
	for _, o := range objs {
		f.in[o.Info().DumpID] = true
	}
	fixed := false
	for _, o := range objs {
		id := o.Info().DumpID
		if f.done[id] {
			continue
		}
		f.path = f.path[:0]
		if !f.search(id, id) {
			f.done[id] = true // on no ring: do not look again
			continue
		}
		ring := make([]Object, len(f.path))
		for i, p := range f.path {
			f.done[p] = true
			ring[i] = l.object(p)
		}
		l.breakRing(ring)
		fixed = true
	}
	if !fixed {
		return &CycleError{Members: describe(objs)}
	}
	return nil
}

// A CycleError is a set of objects that depend on each other and cannot be
// put in order.
type CycleError struct{ Members []string }

func (e *CycleError) Error() string {
	return "objects depend on each other in a ring: " + strings.Join(e.Members, ", ")
}

func describe(objs []Object) []string {
	out := make([]string, len(objs))
	for i, o := range objs {
		m := o.Info()
		out[i] = strings.TrimSpace(m.Kind + " " + m.QualifiedName())
	}
	return out
}

type ringFinder struct {
	l      *loader
	in     []bool // by dump ID: still unsorted
	done   []bool // already on a ring that was found, or on none
	failed []int  // start of the search that found no way on from here
	path   []int
}

// search looks depth first for a way from id back to start and leaves it in
// path. It follows the objects in no particular order but always the same.
func (f *ringFinder) search(id, start int) bool {
	if f.done[id] || f.failed[id] == start || f.onPath(id) {
		return false
	}
	f.path = append(f.path, id)
	deps := f.l.object(id).Info().Deps
	for _, d := range deps {
		if d == start {
			return true
		}
	}
	for _, d := range deps {
		if d < len(f.in) && f.in[d] && f.search(d, start) {
			return true
		}
	}
	f.path = f.path[:len(f.path)-1]
	f.failed[id] = start
	return false
}

func (f *ringFinder) onPath(id int) bool {
	for _, p := range f.path {
		if p == id {
			return true
		}
	}
	return false
}

// breakRing removes one dependency from a ring, each object of which depends
// on the next and the last on the first. The order of the cases matters.
func (l *loader) breakRing(ring []Object) {
	pre, post := l.boundary[0], l.boundary[1]
	two := len(ring) == 2

	if two {
		for i := range 2 {
			if t, ok := ring[i].(*Type); ok {
				if f, ok := ring[1-i].(*Function); ok {
					f.forget(t.DumpID)
					if t.shell != nil {
						f.dependOn(t.shell.DumpID)
						if f.want != 0 {
							t.shell.want |= f.want | partDefinition
						}
					}
					return
				}
			}
		}
	}
	if view, rule := viewAndRule(ring, two); rule != nil {
		if two {
			rule.forget(view.DumpID)
			return
		}
		view.forget(rule.DumpID)
		view.dummy, rule.separate = true, true
		rule.dependOn(view.DumpID)
		rule.dependOn(post.DumpID)
		return
	}
	if !two && len(ring) > 1 {
		for _, matviews := range []bool{true, false} {
			if l.postpone(ring, pre, matviews) {
				return
			}
		}
	}
	if t, k := tableAndCheck(ring); k != nil {
		if two {
			k.forget(t.Info().DumpID)
			return
		}
		t.Info().forget(k.DumpID)
		k.separate = true
		k.dependOn(t.Info().DumpID)
		k.dependOn(post.DumpID)
		return
	}
	if two {
		for i := range 2 {
			if d, ok := ring[i].(*Default); ok && ring[1-i] == Object(d.table) {
				d.forget(d.table.DumpID)
				return
			}
			x, ok1 := ring[i].(*Index)
			p, ok2 := ring[1-i].(*Index)
			if ok1 && ok2 && x.parent == p.ID.OID {
				p.forget(x.DumpID)
				return
			}
		}
	}
	for _, o := range ring {
		if d, ok := o.(*Default); ok && contains(ring, d.table) {
			d.table.forget(d.DumpID)
			d.separate = true
			d.dependOn(d.table.DumpID)
			return
		}
	}
	m := ring[0].Info()
	next := ring[0]
	if len(ring) > 1 && onlyRows(ring) {
		next = ring[1]
		l.db.Warnings = append(l.db.Warnings, "these tables reference each other, so no order of their rows satisfies the foreign keys (restore with the constraints dropped or the triggers disabled): "+strings.Join(describe(ring), ", "))
	} else if len(ring) > 1 {
		next = ring[1]
		l.db.Warnings = append(l.db.Warnings, "these objects depend on each other in a ring, which was cut at the first: "+strings.Join(describe(ring), ", "))
	}
	m.forget(next.Info().DumpID)
}

// onlyRows reports whether a ring is of tables' rows alone.
func onlyRows(ring []Object) bool {
	for _, o := range ring {
		if _, ok := o.(*TableData); !ok {
			return false
		}
	}
	return true
}

func contains(ring []Object, t *Relation) bool {
	for _, o := range ring {
		if o == Object(t) {
			return true
		}
	}
	return false
}

// viewAndRule finds a view and its ON SELECT rule. In a longer ring it must
// not be a materialized view: those cannot be replaced later.
func viewAndRule(ring []Object, two bool) (*Relation, *Rule) {
	if len(ring) < 2 {
		return nil, nil
	}
	for _, o := range ring {
		u, ok := o.(*Rule)
		if !ok || u.event != '1' || u.separate || !contains(ring, u.table) {
			continue
		}
		if u.table.Relkind == 'v' || two && u.table.Relkind == 'm' {
			return u.table, u
		}
	}
	return nil, nil
}

// postpone cuts a ring through the pre-data boundary that holds a
// materialized view (or a function): what the boundary waits for moves behind
// the data, if it is one.
func (l *loader) postpone(ring []Object, pre *boundary, matviews bool) bool {
	found := false
	for _, o := range ring {
		switch o := o.(type) {
		case *Relation:
			found = found || matviews && o.Relkind == 'm'
		case *Function:
			found = found || !matviews && o.kind != 'a'
		}
	}
	if !found {
		return false
	}
	for i, o := range ring {
		if o != Object(pre) {
			continue
		}
		next := ring[(i+1)%len(ring)]
		pre.forget(next.Info().DumpID)
		switch n := next.(type) {
		case *Relation:
			if matviews && n.Relkind == 'm' {
				n.Section = PostData
			}
		case *Function:
			if !matviews {
				n.Section = PostData
			}
		}
		return true
	}
	return false
}

// tableAndCheck finds a table or domain and a check of it.
func tableAndCheck(ring []Object) (Object, *Constraint) {
	for _, o := range ring {
		k, ok := o.(*Constraint)
		if !ok || k.contype != 'c' && k.contype != 'n' {
			continue
		}
		for _, t := range ring {
			if k.table != nil && t == Object(k.table) || k.domain != nil && t == Object(k.domain) {
				return t, k
			}
		}
	}
	return nil, nil
}
