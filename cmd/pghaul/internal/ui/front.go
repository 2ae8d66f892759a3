package ui

import (
	"context"
	"sync"
	"time"

	"github.com/pghaul/pghaul/progress"
)

// A Mode says how progress is shown.
type Mode string

// The modes. Auto is Bar on a terminal and Plain elsewhere.
const (
	Auto  Mode = "auto"
	Bar   Mode = "bar"
	Plain Mode = "plain"
	JSON  Mode = "json"
	None  Mode = "none"
)

// Modes lists all modes, for messages.
var Modes = []Mode{Auto, Bar, Plain, JSON, None}

// A face is one way of showing progress. event runs on the goroutine that did
// the work; tick and stop on that of the Front.
type face interface {
	every() time.Duration
	event(progress.Event)
	tick(progress.Snapshot)
	stop(progress.Snapshot)
}

// A Front shows the progress of one run until it is stopped.
type Front struct {
	// Tracker is what the run counts with, nil with mode None.
	Tracker *progress.Tracker

	stop func()
}

// Start begins to show progress on screen. verb says in a word what is done:
// "dumping". The Front must be stopped; it stops by itself when ctx ends, so
// that a terminal is in order before a process is killed. also hears all events,
// whatever is shown; it may be nil.
func Start(ctx context.Context, screen *Screen, mode Mode, verb string, also func(progress.Event)) *Front {
	if mode == Auto {
		mode = Plain
		if screen.Terminal() {
			mode = Bar
		}
	}
	var f face
	switch {
	case mode == Bar && screen.Terminal():
		f = &bar{screen: screen, verb: verb}
	case mode == Bar, mode == Plain:
		f = &lines{screen: screen, verb: verb}
	case mode == JSON:
		f = &jsonLines{screen: screen}
	case also != nil:
		return &Front{Tracker: progress.NewTracker(also), stop: func() {}}
	default:
		return &Front{stop: func() {}}
	}
	hear := f.event
	if also != nil {
		hear = func(e progress.Event) {
			f.event(e)
			also(e)
		}
	}
	tracker := progress.NewTracker(hear)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(f.every())
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				f.stop(tracker.Snapshot())
				return
			case <-tick.C:
				f.tick(tracker.Snapshot())
			}
		}
	})
	return &Front{Tracker: tracker, stop: sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})}
}

// Stop takes the status lines away. It may be called more than once.
func (f *Front) Stop() { f.stop() }
