package restore

import (
	"slices"

	"github.com/pghaul/pghaul/internal/sched"
)

// graph returns the steps of the given stages as nodes for the scheduler.
// groups holds the steps of each node: one, but for the positions of sequences,
// which are so small that all go down one connection together.
func (p *Plan) graph(of []Stage) (groups [][]int, nodes []sched.Node) {
	node := make(map[int]int) // step → node
	sequences := -1
	for i := range p.Steps {
		s := &p.Steps[i]
		if !slices.Contains(of, s.Stage) {
			continue
		}
		if s.Entry.Kind == "SEQUENCE SET" && len(s.After) == 0 {
			if sequences >= 0 {
				groups[sequences] = append(groups[sequences], i)
				node[i] = sequences
				continue
			}
			sequences = len(groups)
		}
		node[i] = len(groups)
		groups = append(groups, []int{i})
		n := sched.Node{Cost: s.Cost, Locks: s.Locks, Shares: s.Shares}
		for _, j := range s.After {
			n.After = append(n.After, node[j])
		}
		slices.Sort(n.After)
		n.After = slices.Compact(n.After)
		nodes = append(nodes, n)
	}
	critical(nodes)
	return groups, nodes
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
