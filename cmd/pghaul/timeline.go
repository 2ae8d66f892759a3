package main

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/pghaul/pghaul/progress"
)

// A timeline remembers when what was done, from the events of a run. Its zero
// value is ready to use.
type timeline struct {
	mu    sync.Mutex
	first time.Time
	last  time.Time
	spans []span
}

// A span is how long one item took.
type span struct {
	phase, item string
	from, to    time.Time
	rows, bytes int64
	failed      bool
}

// hear takes an event.
func (t *timeline) hear(e progress.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first.IsZero() || e.Time.Before(t.first) {
		t.first = e.Time
	}
	if e.Time.After(t.last) {
		t.last = e.Time
	}
	if e.Edge == progress.Finished || e.Edge == progress.Failed {
		s := span{phase: e.Phase, item: e.Item, from: e.Time.Add(-e.Elapsed), to: e.Time, rows: e.Rows, bytes: e.Bytes, failed: e.Edge == progress.Failed}
		if s.from.Before(t.first) {
			t.first = s.from
		}
		t.spans = append(t.spans, s)
	}
}

// A bar is a line of the chart.
type bar struct {
	Name, Note, Time string
	Left, Width      int // in percent of the run
	Failed           bool
}

// at places a stretch of time in the chart.
func (t *timeline) at(name, note string, from, to time.Time, failed bool) bar {
	whole := max(t.last.Sub(t.first), time.Millisecond)
	left := int(100 * from.Sub(t.first) / whole)
	left = min(max(left, 0), 99)
	return bar{
		Name: name, Note: note, Time: shortTime(to.Sub(from)), Failed: failed,
		Left: left, Width: min(max(int(100*to.Sub(from)/whole), 1), 100-left),
	}
}

// phases are the phases in their order, each from its first item to its last.
func (t *timeline) phases() []bar {
	t.mu.Lock()
	defer t.mu.Unlock()
	type stretch struct {
		span
		n int
	}
	var list []*stretch
	byName := map[string]*stretch{}
	for _, s := range t.spans {
		p := byName[s.phase]
		if p == nil {
			p = &stretch{span: s}
			byName[s.phase] = p
			list = append(list, p)
		}
		if s.from.Before(p.from) {
			p.from = s.from
		}
		if s.to.After(p.to) {
			p.to = s.to
		}
		p.failed = p.failed || s.failed
		p.n++
	}
	slices.SortStableFunc(list, func(a, b *stretch) int { return a.from.Compare(b.from) })
	bars := make([]bar, len(list))
	for i, p := range list {
		bars[i] = t.at(p.phase, plural(p.n, "item"), p.from, p.to, p.failed)
	}
	return bars
}

// of are the items of a phase that took longest, at most so many, in the order in
// which they began, and how many there are besides.
func (t *timeline) of(phase string, most int) (items []span, more int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.spans {
		if s.phase == phase {
			items = append(items, s)
		}
	}
	slices.SortStableFunc(items, func(a, b span) int { return cmp.Compare(b.to.Sub(b.from), a.to.Sub(a.from)) })
	if len(items) > most {
		items, more = items[:most], len(items)-most
	}
	slices.SortStableFunc(items, func(a, b span) int { return a.from.Compare(b.from) })
	return items, more
}
