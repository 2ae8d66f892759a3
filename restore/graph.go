package restore

import (
	"slices"

	"github.com/pghaul/pghaul/internal/sched"
)

const (
	// chunkSteps and chunkCost limit what is one transaction: so many light steps,
	// about so much data.
	chunkSteps = 64
	chunkCost  = 1 << 20
)

// graph returns the steps of the given stages as nodes for the scheduler.
// groups holds the steps of each node, in the plan's order: one, or many that are
// so light that it is the round trip that counts, and go down one connection
// together, in one transaction.
//
// A light step waits for light ones only, and edges lead back in the plan's
// order, so that in no way can nodes wait for each other.
func (p *Plan) graph(of []Stage, jobs int) (groups [][]int, nodes []sched.Node) {
	node := make(map[int]int) // step → node
	light := p.light(of)
	size := min(chunkSteps, max(4, len(light)/(4*max(jobs, 1))))
	open := -1 // the node that takes more light steps
	for i := range p.Steps {
		s := &p.Steps[i]
		if !slices.Contains(of, s.Stage) {
			continue
		}
		n := open
		if n < 0 || !light[i] || len(groups[n]) >= size || nodes[n].Cost+s.Cost > chunkCost || p.Steps[groups[n][0]].Stage != s.Stage {
			n = len(groups)
			groups, nodes = append(groups, nil), append(nodes, sched.Node{})
			if light[i] {
				open = n
			}
		}
		node[i] = n
		groups[n] = append(groups[n], i)
		nodes[n].Cost += s.Cost
		nodes[n].Locks = append(nodes[n].Locks, s.Locks...)
		nodes[n].Shares = append(nodes[n].Shares, s.Shares...)
		for _, j := range s.After {
			if node[j] != n {
				nodes[n].After = append(nodes[n].After, node[j])
			}
		}
	}
	for n := range nodes {
		for _, list := range []*[]int{&nodes[n].After, &nodes[n].Locks, &nodes[n].Shares} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
	}
	critical(nodes)
	return groups, nodes
}

// light returns the steps that are little work and wait for no others than such.
func (p *Plan) light(of []Stage) map[int]bool {
	light := make(map[int]bool)
	for i := range p.Steps {
		s := &p.Steps[i]
		switch {
		case !slices.Contains(of, s.Stage), s.Stage == StageRefresh, s.Cost > lightBytes, len(s.Enter) > 0,
			s.Action != ActionSQL && (s.Action != ActionCopy || s.parts > 1):
			continue
		}
		if !slices.ContainsFunc(s.After, func(j int) bool { return !light[j] }) {
			light[i] = true
		}
	}
	return light
}

// critical adds to each node's cost that of the dearest chain of nodes that
// waits for it. Predecessors come before a node.
func critical(nodes []sched.Node) {
	longest := make([]int64, len(nodes)) // of the chains behind the node
	for i := len(nodes) - 1; i >= 0; i-- {
		nodes[i].Cost += longest[i]
		for _, p := range nodes[i].After {
			longest[p] = max(longest[p], nodes[i].Cost)
		}
	}
}
