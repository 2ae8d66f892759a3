package replicate

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	look := func(after time.Duration, applied LSN, lag int64, seconds float64) *State {
		return &State{Record: Record{Applied: applied}, Taken: begin.Add(after), Running: true, LagBytes: &lag, LagSeconds: &seconds}
	}
	before := look(0, 1000, 10_000, 5)
	yes, no := true, false
	for name, c := range map[string]struct {
		now              *State
		applied, written float64
		nearer           *bool
		eta              float64 // less than 0: not known
	}{
		"nearer":    {look(2*time.Second, 5000, 8000, 4), 2000, 1000, &yes, 8},
		"falling":   {look(2*time.Second, 2000, 11_000, 6), 500, 1000, &no, -1},
		"as far":    {look(2*time.Second, 2000, 10_000, 6), 500, 500, &no, -1},
		"standing":  {look(2*time.Second, 1000, 12_000, 7), 0, 1000, nil, -1},
		"there":     {look(2*time.Second, 13_000, 100, 0), 6000, 1050, &yes, 0},
		"no source": {&State{Taken: begin.Add(time.Second)}, 0, 0, nil, -1},
	} {
		p := c.now.PaceSince(before)
		if name == "no source" {
			if p != nil {
				t.Errorf("%s: %+v", name, p)
			}
			continue
		}
		if p.Seconds != 2 || p.Applied != c.applied || p.Written != c.written {
			t.Errorf("%s: %+v", name, p)
		}
		if (p.CatchingUp == nil) != (c.nearer == nil) || c.nearer != nil && *p.CatchingUp != *c.nearer {
			t.Errorf("%s: catching up: %v", name, p.CatchingUp)
		}
		if (p.ETA == nil) != (c.eta < 0) || p.ETA != nil && *p.ETA != c.eta {
			t.Errorf("%s: ETA %v, want %v", name, p.ETA, c.eta)
		}
	}
	idle := look(2*time.Second, 1000, 12_000, 7)
	idle.Running = false
	if p := idle.PaceSince(before); p.CatchingUp == nil || *p.CatchingUp {
		t.Errorf("nobody applies: %+v", p)
	}
}
