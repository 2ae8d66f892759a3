package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/pghaul/pghaul/progress"
)

const (
	// totalEvery is how often plain lines tell the total.
	totalEvery = 10 * time.Second
	// worthTelling is how long work other than data must take to get a line.
	worthTelling = time.Second
)

// lines shows progress where nothing can be redrawn: a line for each table
// whose rows have passed, and the total now and then.
type lines struct {
	screen *Screen
	verb   string
	meter  meter
}

func (l *lines) every() time.Duration { return totalEvery }

func (l *lines) event(e progress.Event) {
	name := plain(e.Item)
	if e.Phase != "data" {
		name = plain(e.Phase) + " " + name
	}
	switch e.Edge {
	case progress.Finished:
		if e.Phase != "data" {
			if e.Elapsed >= worthTelling {
				l.screen.Printf("%s: %s", name, Duration(e.Elapsed))
			}
			return
		}
		l.screen.Printf("%s: %s, %s in %s", name, Plural(e.Rows, "row"), Bytes(e.Bytes), Duration(e.Elapsed))
	case progress.Failed:
		l.screen.Printf("%s: failed after %s", name, Duration(e.Elapsed))
	case progress.Skipped:
		l.screen.Printf("%s: skipped: %s", name, plain(e.Reason))
	case progress.Started, progress.Entered:
	}
}

func (l *lines) tick(s progress.Snapshot) {
	v := l.meter.add(s)
	facts := []string{Plural(s.Rows, "row"), Bytes(s.Bytes), Short(int64(v.rows)) + " rows/s", Bytes(int64(v.bytes)) + "/s"}
	head := l.verb
	if s.ExpectedBytes > 0 {
		head += percent(fraction(s.Completed, s.ExpectedBytes))
	}
	if n := s.Finished + s.Failed; n <= s.ExpectedTasks && s.ExpectedTasks > 0 {
		facts = append(facts, fmt.Sprintf("%s of %s done", Count(int64(n)), Count(int64(s.ExpectedTasks))))
	}
	if s.Failed > 0 {
		facts = append(facts, Count(int64(s.Failed))+" failed")
	}
	if v.left > 0 {
		facts = append(facts, "ETA "+Clock(v.left))
	}
	l.screen.Printf("%s after %s: %s", head, Duration(s.Elapsed), strings.Join(facts, ", "))
}

func (l *lines) stop(progress.Snapshot) {}
