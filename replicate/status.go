package replicate

import (
	"context"
	"fmt"
	"time"
)

// A State is how a follow is at a moment.
type State struct {
	Record
	// Running says that somebody applies changes: a process, or the target's server
	// for a subscription.
	Running bool `json:"running"`
	// Taken is when the source was looked at, by the clock of this process.
	Taken time.Time `json:"taken"`
	// LagBytes is how much WAL of the source, of all its databases, the target does
	// not have yet; nil if the source could not be asked.
	LagBytes *int64 `json:"lag_bytes"`
	// LagSeconds is how old the newest change is that the target has, 0 when it has
	// all of them; nil where that is not known.
	LagSeconds *float64 `json:"lag_seconds"`
	// Pace is how fast it gets on; nil where nobody has looked twice (see Observe).
	Pace *Pace `json:"pace"`
	// Health is how the slot is; nil if the source could not be asked.
	Health *Slot `json:"slot_health"`
	// TableStates are the followed tables.
	TableStates []TableState `json:"table_states"`
	// Problems need somebody's attention. Those of Record are among them.
	Problems []string `json:"problems"`
	// Fenced says that the source's database is fenced for a cut-over.
	Fenced bool `json:"fenced"`
}

// A TableState is how a followed table is.
type TableState struct {
	Table string `json:"table"` // on the source
	// State is "copying", "following" or "changed".
	State string `json:"state"`
	// Changes tell how the source's table has changed since the start.
	Changes []string `json:"changes,omitempty"`
}

// Status tells how a follow is, and changes nothing. Of opts Source, Target and ID
// are used; an ID of "" means the only follow that has not ended. A source that
// cannot be asked is one of the State's problems, not an error.
func Status(ctx context.Context, opts Options) (*State, error) {
	c, err := openTarget(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer c.close()
	s := &State{Record: c.Record, Taken: time.Now(), Problems: append([]string{}, c.Warnings...)}
	if c.Stage == Failed {
		s.Problems = append(s.Problems, c.Detail)
	}
	if s.Fenced, err = c.fenced(ctx); err != nil {
		return nil, err
	}
	var d *drift
	if !c.Done() {
		if err := c.openSource(ctx); err != nil {
			s.Problems = append(s.Problems, err.Error())
		} else if d, err = c.sourceState(ctx, s); err != nil {
			return nil, err
		}
	}
	c.tableStates(s, d)
	return s, c.targetState(ctx, s)
}

// sourceState reads what the source tells.
func (c *control) sourceState(ctx context.Context, s *State) (*drift, error) {
	slot, err := readSlot(ctx, c.source, c.Slot)
	if err != nil {
		return nil, err
	}
	s.Health, s.Running, s.Taken = &slot, slot.Active, time.Now()
	s.Problems = append(s.Problems, slot.warnings(c.Slot)...)
	if c.Stage == Following && slot.Exists && !slot.Active {
		s.Problems = append(s.Problems, fmt.Sprintf("nobody applies changes at the moment, and the source keeps %d MB of WAL for that", slot.Retained>>20))
	}
	if c.Engine == EngineNative {
		s.Applied = max(slot.Confirmed, c.Consistent)
	}
	lag := max(int64(slot.Current)-int64(s.Applied), 0)
	s.LagBytes = &lag
	if s.LagSeconds, err = c.lagSeconds(ctx, lag, &slot); err != nil {
		return nil, err
	}
	d, err := readDrift(ctx, c.source, &c.Record)
	if err != nil {
		return nil, err
	}
	s.Problems = append(s.Problems, d.missing...)
	return d, nil
}

// lagSeconds is the age by the source's clock. The WAL of an idle server grows as
// well: where all that is missing is less than a page of it, nothing is.
func (c *control) lagSeconds(ctx context.Context, lag int64, slot *Slot) (*float64, error) {
	var seconds float64
	switch {
	case lag < 8192 && slot.Active:
	case !c.CommitTime.IsZero():
		var now int64
		if err := c.source.QueryRow(ctx, "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::int8").Scan(&now); err != nil {
			return nil, fmt.Errorf("read the clock of the source: %w", err)
		}
		seconds = max(time.UnixMicro(now).Sub(c.CommitTime).Seconds(), 0)
	case slot.Delay != nil:
		seconds = slot.Delay.Seconds()
	default:
		return nil, nil
	}
	return &seconds, nil
}

func (c *control) tableStates(s *State, d *drift) {
	for i := range c.Tables {
		t := &c.Tables[i]
		ts := TableState{Table: t.String(), State: "following"}
		if c.Stage == Starting || c.Stage == Copying {
			ts.State = "copying"
		}
		if d != nil && len(d.changed[ts.Table]) > 0 {
			ts.State, ts.Changes = "changed", d.changed[ts.Table]
			s.Problems = append(s.Problems, (&SchemaError{Table: ts.Table, Diffs: ts.Changes}).Error())
		}
		s.TableStates = append(s.TableStates, ts)
	}
}

// targetState reads what the target tells of a subscription.
func (c *control) targetState(ctx context.Context, s *State) error {
	if c.Engine != EngineNative || c.Done() || c.Stage == Starting || c.Stage == Copying {
		return nil
	}
	sub, err := readSubscription(ctx, c.target, c.Subscription)
	if err != nil {
		return err
	}
	switch {
	case !sub.there && c.Stage == Following:
		s.Problems = append(s.Problems, "subscription "+c.Subscription+" is not there (yet): run the follow once to make it")
	case !sub.enabled && c.Stage == Following:
		s.Problems = append(s.Problems, ErrDisabled.Error())
	}
	failures, err := subscriptionErrors(ctx, c.target, c.Subscription)
	if err != nil {
		return err
	}
	if failures > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("the subscription has met %d errors since it was made, lost connections among them: the log of the target's server has them", failures))
	}
	return nil
}
