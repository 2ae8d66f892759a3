package replicate

import (
	"context"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
)

// A Pace is how fast a follow was between two looks at it. All of it is of the
// source's log, which holds what other databases write, too.
type Pace struct {
	// Seconds is the time between the looks.
	Seconds float64 `json:"seconds"`
	// Applied is how much of the log the target got through, and Written how much
	// the source wrote, in bytes a second.
	Applied float64 `json:"applied_bytes_per_second"`
	Written float64 `json:"written_bytes_per_second"`
	// CatchingUp says that the target gets nearer, or is there; nil where that is not
	// known, as while a single large transaction is applied.
	CatchingUp *bool `json:"catching_up"`
	// ETA is in how many seconds the target will have everything, if both go on like
	// that; nil where it is not known or does not catch up.
	ETA *float64 `json:"eta_seconds"`
}

// PaceSince tells how fast the follow has been since an earlier look at it; nil
// where one of the looks could not see how far behind the target was.
func (s *State) PaceSince(before *State) *Pace {
	if s.LagBytes == nil || before.LagBytes == nil {
		return nil
	}
	seconds := s.Taken.Sub(before.Taken).Seconds()
	if seconds <= 0 {
		return nil
	}
	applied := max(float64(int64(s.Applied)-int64(before.Applied)), 0)
	grown := float64(*s.LagBytes - *before.LagBytes)
	p := &Pace{Seconds: seconds, Applied: applied / seconds, Written: max(applied+grown, 0) / seconds}
	near := 0.0
	switch nearer := p.Applied > p.Written; {
	case s.LagSeconds != nil && *s.LagSeconds == 0:
		nearer = true
		p.CatchingUp, p.ETA = &nearer, &near
	case p.Applied == 0 && s.Running:
	case nearer:
		near = float64(*s.LagBytes) / (p.Applied - p.Written)
		p.CatchingUp, p.ETA = &nearer, &near
	default:
		p.CatchingUp = &nearer
	}
	return p
}

// Observe is Status with the Pace, which takes a second look after a time if the
// target is behind and somebody applies changes.
func Observe(ctx context.Context, opts Options, after time.Duration) (*State, error) {
	before, err := Status(ctx, opts)
	if err != nil || after <= 0 || !before.Running || before.LagBytes == nil || before.LagSeconds != nil && *before.LagSeconds == 0 {
		return before, err
	}
	opts.ID = before.ID
	if err := pg.Sleep(ctx, after); err != nil {
		return nil, err
	}
	s, err := Status(ctx, opts)
	if err != nil {
		return nil, err
	}
	s.Pace = s.PaceSince(before)
	return s, nil
}
