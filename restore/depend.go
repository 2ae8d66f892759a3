package restore

import (
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
)

// edges orders the steps that run in parallel. Edges only lead back in the
// plan's order, so there can be no ring. Edges from one stage to the next that
// the stages imply anyway are left out.
func (p *planner) edges() {
	d := newDependencies(p)
	var refreshes []int
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		switch s.Stage {
		case StageDrop, StageCreate, StagePreData, StagePrivileges: // run in order
		case StageData, StagePostData:
			d.order(i, s)
		case StageRefresh:
			if s.Entry.Kind == "MATERIALIZED VIEW DATA" {
				refreshes = append(refreshes, i)
				s.After = d.steps(s.Entry.After, i)
			} else { // the last ones, in the archive's order
				s.After = slices.Compact(append(slices.Clone(refreshes), d.previous(i)...))
			}
		}
	}
}

// dependencies finds what the entries of parallel stages wait for.
type dependencies struct {
	p     *planner
	of    map[int][]int // dump ID → its steps
	loads map[int][]int // dump ID of a table → the steps that load it
	// parent and children are the partition tree, by dump IDs of tables.
	parent   map[int]int
	children map[int][]int
	viaRoot  map[int][]int // root of a partition tree → steps that load through it
	size     map[int]int64 // dump ID of a table → bytes of its data, partitions included
	all      map[int][]int // dump ID of a table → loads of it and its partitions
	triggers map[int][]int // dump ID of a table → the steps of its triggers
	stored   map[int]int64 // dump ID of a table → bytes of its data in the source
	on       map[int][]int // dump ID of a table → post-data steps that are about it
}

func newDependencies(p *planner) *dependencies {
	d := &dependencies{
		p: p, of: make(map[int][]int), loads: make(map[int][]int), parent: make(map[int]int),
		children: make(map[int][]int), viaRoot: make(map[int][]int), size: make(map[int]int64), all: make(map[int][]int),
		triggers: make(map[int][]int), on: make(map[int][]int), stored: p.sizes(),
	}
	for i := range p.entries {
		if p.entries[i].Kind == "TABLE ATTACH" {
			d.attach(&p.entries[i])
		}
	}
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if s.Stage == StageDrop {
			continue
		}
		d.of[s.Entry.ID] = append(d.of[s.Entry.ID], i)
		if s.Stage == StagePostData {
			for _, id := range s.Entry.After {
				d.on[id] = append(d.on[id], i)
			}
		}
		if s.Entry.Kind == "TRIGGER" {
			for _, id := range s.Entry.After {
				d.triggers[id] = append(d.triggers[id], i)
			}
		}
		if s.Entry.Kind != "TABLE DATA" || len(s.Entry.After) == 0 {
			continue
		}
		table := s.Entry.After[0]
		d.loads[table] = append(d.loads[table], i)
		if strings.HasPrefix(s.Entry.Create, viaRoot) {
			root := d.root(table)
			d.viaRoot[root] = append(d.viaRoot[root], i)
		}
	}
	return d
}

// attach reads the partition tree from an entry that joins a partition to its
// parent: it carries the partition's name and depends on both tables.
func (d *dependencies) attach(e *archive.Entry) {
	child, parent := 0, 0
	for _, id := range e.After {
		t := d.p.byID[id]
		switch {
		case t == nil || t.Kind != "TABLE" && t.Kind != "FOREIGN TABLE":
		case t.Namespace == e.Namespace && t.Tag == e.Tag:
			child = id
		default:
			parent = id
		}
	}
	if _, known := d.parent[child]; child == 0 || parent == 0 || known || d.below(parent, child) {
		return
	}
	d.parent[child] = parent
	d.children[parent] = append(d.children[parent], child)
}

// below says whether a table is the ancestor's or one of its partitions.
func (d *dependencies) below(table, ancestor int) bool {
	for ok := true; ok; table, ok = d.up(table) {
		if table == ancestor {
			return true
		}
	}
	return false
}

func (d *dependencies) up(table int) (int, bool) {
	p, ok := d.parent[table]
	return p, ok
}

func (d *dependencies) root(table int) int {
	for {
		p, ok := d.up(table)
		if !ok {
			return table
		}
		table = p
	}
}

// data returns the steps that load a table: its own rows, its partitions', and
// all that are loaded through the root of its tree, for those may end up in it.
func (d *dependencies) data(table int) ([]int, int64) {
	if loads, ok := d.all[table]; ok {
		return loads, d.size[table]
	}
	var loads []int
	var bytes int64
	stack := []int{table}
	for len(stack) > 0 {
		t := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], d.children[t]...)
		loads = append(loads, d.loads[t]...)
		bytes += d.stored[t]
	}
	loads = append(loads, d.viaRoot[d.root(table)]...)
	slices.Sort(loads)
	loads = slices.Compact(loads)
	d.all[table], d.size[table] = loads, bytes
	return loads, bytes
}

// order sets the edges, locks and cost of the step at i.
func (d *dependencies) order(i int, s *Step) {
	d.exclusive(s)
	switch s.piece {
	case pieceAttach, pieceValidate:
		s.After = []int{i - 1} // the other piece, which waits for all else
		s.Cost = 0
		d.piece(s)
		return
	case pieceAnalyze:
		loads, _ := d.data(s.of)
		s.After = slices.Concat(loads, d.on[s.of])
		slices.Sort(s.After)
		s.After = slices.Compact(s.After)
		s.Locks = []int{s.of}
		return
	}
	post := s.Entry.Section == archive.SectionPostData
	var after []int
	for _, id := range s.Entry.After {
		e := d.p.byID[id]
		if e == nil {
			continue
		}
		if !post || e.Kind != "TABLE" {
			after = append(after, d.steps([]int{id}, i)...)
			continue
		}
		loads, bytes := d.data(id)
		after = append(after, loads...)
		s.Cost = max(s.Cost, effort(s)*bytes)
		d.lock(s, id)
		if s.Entry.Kind == "TRIGGER" {
			after = append(after, d.inherited(id, i)...)
		}
	}
	slices.Sort(after)
	s.After = slices.Compact(after)
}

// effort is how much work a step is for each byte of its table.
func effort(s *Step) int64 {
	switch s.Entry.Kind {
	case "INDEX":
		if strings.Contains(s.SQL, " USING gin ") || strings.Contains(s.SQL, " USING gist ") {
			return 4
		}
		return 1
	case "CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT":
		if s.piece == pieceAdd {
			return 0
		}
		return 1
	}
	return 0
}

// piece says what the second half of a definition does to its tables: an index
// is made a key while nothing else is done to the table, and a foreign key is
// validated beside what is done to the table that it refers to.
func (d *dependencies) piece(s *Step) {
	d.lock(s, s.of)
	for _, id := range s.Entry.After {
		if t := d.p.byID[id]; t != nil && t.Kind == "TABLE" && id != s.of {
			s.Shares = append(s.Shares, id)
		}
	}
	if s.piece == pieceValidate {
		_, s.Cost = d.data(s.of)
	}
}

// inherited returns the steps before i that make the triggers of the tables
// above a partition. An entry that switches a trigger of a partition on or off
// needs the trigger that it is a copy of, and may be the only one of its tree
// to say so: archives name as its dependency the copy one level up, and that is
// no entry of its own unless it is switched differently, too.
func (d *dependencies) inherited(table, i int) []int {
	var steps []int
	for t, ok := d.up(table); ok; t, ok = d.up(t) {
		for _, j := range d.triggers[t] {
			if j < i {
				steps = append(steps, j)
			}
		}
	}
	return steps
}

// lock says what a post-data step does to a table. All but CREATE INDEX are
// kinds of ALTER TABLE, which wait for each other at the least and deadlock at
// the worst. What is done to a partitioned table is done to its partitions too.
func (d *dependencies) lock(s *Step, table int) {
	if s.Entry.Kind == "INDEX" || s.piece == pieceIndex {
		s.Shares = append(s.Shares, table)
	} else {
		s.Locks = append(s.Locks, table)
	}
	for t, ok := d.up(table); ok; t, ok = d.up(t) {
		s.Shares = append(s.Shares, t)
	}
}

// steps returns the steps of entries that run in the same part of the restore
// as the step at i, before it.
func (d *dependencies) steps(ids []int, i int) []int {
	var steps []int
	refresh := d.p.plan.Steps[i].Stage == StageRefresh
	for _, id := range ids {
		for _, j := range d.of[id] {
			switch s := &d.p.plan.Steps[j]; {
			case j >= i, s.Entry == d.p.plan.Steps[i].Entry:
			case refresh && s.Stage == StageRefresh,
				!refresh && (s.Stage == StageData || s.Stage == StagePostData):
				steps = append(steps, j)
			}
		}
	}
	slices.Sort(steps)
	return slices.Compact(steps)
}

// previous returns the step before i if it is of the same stage.
func (d *dependencies) previous(i int) []int {
	if i > 0 && d.p.plan.Steps[i-1].Stage == d.p.plan.Steps[i].Stage {
		return []int{i - 1}
	}
	return nil
}
