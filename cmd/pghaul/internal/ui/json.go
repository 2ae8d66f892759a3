package ui

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/pghaul/pghaul/progress"
)

// snapshotEvery is how often JSON lines tell the total.
const snapshotEvery = time.Second

// jsonLines shows progress to programs. docs/json-output.md is its contract:
// fields are added, never changed.
type jsonLines struct {
	screen *Screen
}

type jsonEvent struct {
	Time          time.Time     `json:"time"`
	Event         progress.Edge `json:"event"`
	Phase         string        `json:"phase"`
	Item          string        `json:"item,omitempty"`
	Rows          int64         `json:"rows"`
	Bytes         int64         `json:"bytes"`
	ExpectedBytes int64         `json:"expected_bytes,omitempty"`
	Elapsed       float64       `json:"elapsed_seconds"`
	Reason        string        `json:"reason,omitempty"`
	Error         string        `json:"error,omitempty"`
	SQLState      string        `json:"sqlstate,omitempty"`
}

type jsonSnapshot struct {
	Time           time.Time    `json:"time"`
	Event          string       `json:"event"` // "progress"
	Phase          string       `json:"phase"`
	Rows           int64        `json:"rows"`
	Bytes          int64        `json:"bytes"`
	CompletedBytes int64        `json:"completed_bytes"`
	ExpectedBytes  int64        `json:"expected_bytes"`
	Finished       int          `json:"finished"`
	Failed         int          `json:"failed"`
	Skipped        int          `json:"skipped"`
	ExpectedTasks  int          `json:"expected_tasks"`
	Elapsed        float64      `json:"elapsed_seconds"`
	Active         []jsonActive `json:"active"`
}

type jsonActive struct {
	Phase         string  `json:"phase"`
	Item          string  `json:"item"`
	Rows          int64   `json:"rows"`
	Bytes         int64   `json:"bytes"`
	ExpectedBytes int64   `json:"expected_bytes,omitempty"`
	Elapsed       float64 `json:"elapsed_seconds"`
}

func (j *jsonLines) every() time.Duration { return snapshotEvery }

func (j *jsonLines) event(e progress.Event) {
	line := jsonEvent{
		Time: e.Time, Event: e.Edge, Phase: e.Phase, Item: e.Item,
		Rows: e.Rows, Bytes: e.Bytes, ExpectedBytes: e.Expected,
		Elapsed: e.Elapsed.Seconds(), Reason: e.Reason,
	}
	if e.Err != nil {
		line.Error = Redact(e.Err.Error())
		if s, ok := errors.AsType[interface {
			error
			SQLState() string
		}](e.Err); ok {
			line.SQLState = s.SQLState()
		}
	}
	j.screen.JSON(line)
}

func (j *jsonLines) tick(s progress.Snapshot) {
	line := jsonSnapshot{
		Time: time.Now(), Event: "progress", Phase: s.Phase, Rows: s.Rows, Bytes: s.Bytes,
		CompletedBytes: s.Completed, ExpectedBytes: s.ExpectedBytes,
		Finished: s.Finished, Failed: s.Failed, Skipped: s.Skipped, ExpectedTasks: s.ExpectedTasks,
		Elapsed: s.Elapsed.Seconds(), Active: make([]jsonActive, len(s.Active)),
	}
	for i, a := range s.Active {
		line.Active[i] = jsonActive{
			Phase: a.Phase, Item: a.Item, Rows: a.Rows, Bytes: a.Bytes, ExpectedBytes: a.Expected,
			Elapsed: line.Time.Sub(a.Since).Seconds(),
		}
	}
	j.screen.JSON(line)
}

// stop tells the total once more, so that the last line of a run is never old.
func (j *jsonLines) stop(s progress.Snapshot) { j.tick(s) }

// JSON writes one value as one line.
func (s *Screen) JSON(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		// The values are ours and made of strings and finite numbers.
		panic(err)
	}
	_, _ = s.Write(append(line, '\n'))
}
