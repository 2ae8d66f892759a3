package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/pghaul/pghaul/progress"
)

// refresh is how often status lines are drawn.
const refresh = 100 * time.Millisecond

// A bar draws two status lines: what is being worked on, and the total.
type bar struct {
	screen *Screen
	verb   string
	meter  meter
}

func (b *bar) every() time.Duration { return refresh }

func (b *bar) event(e progress.Event) {
	if e.Edge == progress.Failed {
		b.screen.Printf("%s", failed(e))
	}
}

func (b *bar) tick(s progress.Snapshot) {
	b.screen.Status(statusLines(b.verb, s, b.meter.add(s), b.screen.width()-1))
}

func (b *bar) stop(progress.Snapshot) { b.screen.Status(nil) }

// statusLines draws the two lines in at most width columns.
func statusLines(verb string, s progress.Snapshot, v speed, width int) []string {
	return []string{activeLine(s, width), totalLine(verb, s, v, width)}
}

const (
	minItem = 24 // narrowest place for an item that still says something
	maxItem = 44
)

// activeLine shows the items in progress, the oldest first, as many as fit.
func activeLine(s progress.Snapshot, width int) string {
	if len(s.Active) == 0 {
		if s.Phase != "" {
			return plain(s.Phase) + " ..."
		}
		return "..."
	}
	const gap = "  "
	room := width
	shown := min(len(s.Active), max(1, (width+len(gap))/(minItem+len(gap))))
	more := ""
	if rest := len(s.Active) - shown; rest > 0 {
		// The remark needs room of its own.
		shown = max(1, min(shown, (width-9+len(gap))/(minItem+len(gap))))
		more = fmt.Sprintf("%s+%d more", gap, len(s.Active)-shown)
		room -= len(more)
	}
	each := min(maxItem, (room-(shown-1)*len(gap))/shown)
	cells := make([]string, shown)
	for i, a := range s.Active[:shown] {
		cells[i] = activeCell(a, each)
		if i < shown-1 {
			cells[i] += strings.Repeat(" ", max(0, each-columns(cells[i])))
		}
	}
	return strings.Join(cells, gap) + more
}

// activeCell shows one item: its name, and how far it is.
func activeCell(a progress.Activity, width int) string {
	far := ""
	switch {
	case a.Expected > 0:
		f := fraction(a.Bytes, a.Expected)
		far = " " + gauge(f, 8) + percent(f)
	case a.Bytes > 0:
		far = " " + Bytes(a.Bytes)
	}
	return fit(label(a.Phase, a.Item), max(1, width-len(far))) + far
}

// totalLine shows the total. What matters least, which stands first, goes where
// the window is narrow, so that a bar has room.
func totalLine(verb string, s progress.Snapshot, v speed, width int) string {
	var facts []string
	if n := s.Finished + s.Failed; n <= s.ExpectedTasks && s.ExpectedTasks > 0 {
		facts = append(facts, fmt.Sprintf("%s/%s", Count(int64(n)), Count(int64(s.ExpectedTasks))))
	}
	facts = append(facts, Bytes(s.Bytes), Short(s.Rows)+" rows", Short(int64(v.rows))+" rows/s", Bytes(int64(v.bytes))+"/s")
	if v.left > 0 {
		facts = append(facts, "ETA "+Clock(v.left))
	} else {
		facts = append(facts, Clock(s.Elapsed))
	}
	if s.Failed > 0 {
		facts = append(facts, fmt.Sprintf("%d failed", s.Failed))
	}
	const narrowest, widest = 10, 30 // of a bar
	sized := s.ExpectedBytes > 0
	head := verb
	if sized {
		head += percent(fraction(s.Completed, s.ExpectedBytes))
	}
	room := func() int { return width - columns(head) - columns("  "+strings.Join(facts, "  ")) - len(" []") }
	for len(facts) > 1 && (room() < -len(" []") || sized && room() < narrowest && len(facts) > 4) {
		facts = facts[1:]
	}
	// In steps, for a bar that changes its length with every digit is restless.
	if n := min(widest, room()) / narrowest * narrowest; sized && n > 0 {
		f := fraction(s.Completed, s.ExpectedBytes)
		head = verb + " " + gauge(f, n) + percent(f)
	}
	return head + "  " + strings.Join(facts, "  ")
}

// fraction is done/all between 0 and 1. It stays below 1 until all is done.
func fraction(done, all int64) float64 {
	if all <= 0 || done <= 0 {
		return 0
	}
	return min(1, float64(done)/float64(all))
}

// percent is four characters wide. 100 % is said only when it is true.
func percent(f float64) string { return fmt.Sprintf("%3d%%", int(f*100)) }

// gauge draws a bar of n cells between brackets.
func gauge(f float64, n int) string {
	full := int(f * float64(n))
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", n-full) + "]"
}
