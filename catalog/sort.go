package catalog

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// A rank is an object's place among the kinds: the order pg_dump starts from.
type rank int

const (
	rankDatabase rank = iota
	rankSchema
	rankLanguage
	rankCollation
	rankTransform
	rankExtension
	rankType // with shell types and domains
	rankCast
	rankFunction
	rankAggregate
	rankAccessMethod
	rankOperator
	rankOpfamily // with operator classes
	rankConversion
	rankTSParser
	rankTSTemplate
	rankTSDict
	rankTSConfig
	rankFDW
	rankServer
	rankTable // with views and sequences
	rankAttach
	rankDummyType
	rankDefault
	rankPreBoundary
	rankTableData
	rankSequenceSet
	rankLargeObjects
	rankLargeObjectData
	rankStatisticsData
	rankPostBoundary
	rankConstraint
	rankIndex
	rankIndexAttach
	rankStatistics
	rankRule
	rankTrigger
	rankForeignKey
	rankPolicy
	rankPublication
	rankPublicationTable
	rankPublicationSchema
	rankSubscription
	rankDefaultACL
	rankEventTrigger
	rankRefresh
)

// sort returns the objects in an order that respects the dependencies and
// stays as near as possible to that of ranks and names, so that two equal
// databases give equal archives. Rings of dependencies are broken on the way.
func (l *loader) sort() ([]Object, error) {
	var objs []Object
	var first []Object
	for _, o := range l.objs {
		if o.Info().rank == rankDatabase {
			first = append(first, o)
		} else {
			objs = append(objs, o)
		}
	}
	slices.SortStableFunc(objs, l.compare)
	for {
		sorted, rest := l.topological(objs)
		if len(rest) == 0 {
			return append(first, sorted...), nil
		}
		if err := l.breakRings(rest); err != nil {
			return nil, err
		}
	}
}

// compare orders objects by rank, schema, name and what else tells objects of
// the kind apart; OIDs, which differ between servers, decide last.
func (l *loader) compare(a, b Object) int {
	x, y := a.Info(), b.Info()
	if c := cmp.Compare(x.rank, y.rank); c != 0 {
		return c
	}
	if x.Schema != y.Schema { // those without a schema come last
		if x.Schema == "" || y.Schema == "" {
			return cmp.Compare(y.Schema, x.Schema)
		}
		return strings.Compare(x.Schema, y.Schema)
	}
	if c := strings.Compare(x.Name, y.Name); c != 0 {
		return c
	}
	if c := l.compareKind(a, b); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(x.ID.Class, y.ID.Class), cmp.Compare(x.ID.OID, y.ID.OID), cmp.Compare(x.DumpID, y.DumpID))
}

// compareKind compares objects of the same rank and name.
func (l *loader) compareKind(a, b Object) int {
	switch x := a.(type) {
	case *Function:
		y, ok := b.(*Function)
		if !ok {
			return 0
		}
		if c := cmp.Compare(len(x.argTypes), len(y.argTypes)); c != 0 {
			return c
		}
		for i := range x.argTypes {
			if c := l.compareTypes(x.argTypes[i], y.argTypes[i]); c != 0 {
				return c
			}
		}
	case *Default:
		if y, ok := b.(*Default); ok {
			return cmp.Compare(x.num, y.num)
		}
	case *Constraint:
		if y, ok := b.(*Constraint); ok {
			if (x.domain != nil) != (y.domain != nil) {
				if x.domain != nil {
					return -1
				}
				return 1
			}
			return strings.Compare(x.ownerName(), y.ownerName())
		}
	case *Trigger:
		if y, ok := b.(*Trigger); ok {
			return strings.Compare(x.table.Name, y.table.Name)
		}
	case *Rule:
		if y, ok := b.(*Rule); ok {
			return strings.Compare(x.table.Name, y.table.Name)
		}
	case *Policy:
		if y, ok := b.(*Policy); ok {
			return strings.Compare(x.table.Name, y.table.Name)
		}
	case *Operator:
		if y, ok := b.(*Operator); ok { // postfix, prefix, infix
			return cmp.Or(cmp.Compare(y.kind, x.kind), l.compareTypes(x.left, y.left), l.compareTypes(x.right, y.right))
		}
	case *OperatorClass:
		if y, ok := b.(*OperatorClass); ok && x.family == y.family {
			return strings.Compare(x.am, y.am)
		}
	case *Collation:
		if y, ok := b.(*Collation); ok {
			return cmp.Compare(x.encoding, y.encoding)
		}
	case *DefaultACL:
		if y, ok := b.(*DefaultACL); ok {
			return strings.Compare(x.Owner, y.Owner)
		}
	case *PublicationMember:
		if y, ok := b.(*PublicationMember); ok {
			return strings.Compare(x.publication.Name, y.publication.Name)
		}
	}
	return 0
}

func (k *Constraint) ownerName() string {
	if k.domain != nil {
		return k.domain.Name
	}
	return k.table.Name
}

func (l *loader) compareTypes(a, b uint32) int {
	if a == b {
		return 0
	}
	x, y := l.types[a], l.types[b]
	if x == nil || y == nil {
		return cmp.Compare(a, b)
	}
	return cmp.Or(strings.Compare(x.Schema, y.Schema), strings.Compare(x.Name, y.Name))
}

// topological sorts backwards: of the objects that nothing unplaced depends
// on, the one that stands last in the given order goes to the end. What is
// left hangs on rings.
func (l *loader) topological(objs []Object) (sorted, rest []Object) {
	place := make([]int, len(l.objs)+1) // by dump ID; -1 is not being sorted
	for i := range place {
		place[i] = -1
	}
	for i, o := range objs {
		place[o.Info().DumpID] = i
	}
	before := make([]int, len(objs)) // how many unplaced objects depend on it
	for _, o := range objs {
		for _, d := range o.Info().Deps {
			if p := place[d]; p >= 0 {
				before[p]++
			}
		}
	}
	ready := &intHeap{}
	for i, n := range before {
		if n == 0 {
			*ready = append(*ready, i)
		}
	}
	heap.Init(ready)
	sorted = make([]Object, len(objs))
	at := len(objs)
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int)
		at--
		sorted[at] = objs[i]
		for _, d := range objs[i].Info().Deps {
			if p := place[d]; p >= 0 {
				if before[p]--; before[p] == 0 {
					heap.Push(ready, p)
				}
			}
		}
	}
	if at == 0 {
		return sorted, nil
	}
	for i, n := range before {
		if n > 0 {
			rest = append(rest, objs[i])
		}
	}
	return nil, rest
}

// intHeap gives the largest first.
type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] > h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
