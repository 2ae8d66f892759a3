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
	switch e.Edge {
	case progress.Finished:
		switch rows := ofRows(e.Phase); {
		case rows && (e.Rows != 0 || e.Bytes != 0 || e.Expected != 0):
			l.screen.Printf("%s: %s, %s in %s", label(e.Phase, e.Item), Plural(e.Rows, "row"), Bytes(e.Bytes), Duration(e.Elapsed))
		case !rows && e.Elapsed >= worthTelling:
			l.screen.Printf("%s: %s", label(e.Phase, e.Item), Duration(e.Elapsed))
		}
	case progress.Failed:
		l.screen.Printf("%s", failed(e))
	case progress.Started, progress.Entered, progress.Skipped: // the last are told at the end
	}
}

// failed tells a failure as it happens, in a line; a report tells all of it.
func failed(e progress.Event) string {
	line := label(e.Phase, e.Item) + ": failed after " + Duration(e.Elapsed)
	if e.Err != nil {
		text, _, _ := strings.Cut(e.Err.Error(), "\n")
		line += ": " + plain(Redact(text))
	}
	return line
}

// ofRows reports whether the items of a phase are tables whose rows pass by.
func ofRows(phase string) bool { return phase == "data" || phase == "compare" }

// label names an item, with its phase where that is not the usual one.
func label(phase, item string) string {
	if phase == "" || ofRows(phase) {
		return plain(item)
	}
	return plain(phase) + " " + plain(item)
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
