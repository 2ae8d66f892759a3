package ui

import (
	"time"

	"github.com/pghaul/pghaul/progress"
)

// window is how far back speed is measured: long enough not to jump, short
// enough to show a change.
const window = 5 * time.Second

// A meter tells the present speed from the snapshots it is given.
type meter struct {
	samples []sample // oldest first, at least as far back as window
}

type sample struct {
	at                     time.Duration
	rows, bytes, completed int64
}

// A speed is what a meter reads. Left is 0 when it cannot be told.
type speed struct {
	rows, bytes float64 // a second
	left        time.Duration
}

func (m *meter) add(s progress.Snapshot) speed {
	if len(m.samples) == 0 {
		m.samples = append(m.samples, sample{}) // when the run began
	}
	now := sample{s.Elapsed, s.Rows, s.Bytes, s.Completed}
	m.samples = append(m.samples, now)
	for len(m.samples) > 2 && now.at-m.samples[1].at >= window {
		m.samples = m.samples[1:]
	}
	then := m.samples[0]
	seconds := (now.at - then.at).Seconds()
	if seconds <= 0 {
		return speed{}
	}
	v := speed{
		// Work done again is taken back and may make these negative.
		rows:  max(0, float64(now.rows-then.rows)/seconds),
		bytes: max(0, float64(now.bytes-then.bytes)/seconds),
	}
	// The rest is estimated from the whole run, which is steadier.
	if todo := s.ExpectedBytes - s.Completed; s.Completed > 0 && todo > 0 && s.Elapsed > time.Second {
		v.left = time.Duration(float64(s.Elapsed) * float64(todo) / float64(s.Completed)).Round(time.Second)
	}
	return v
}
