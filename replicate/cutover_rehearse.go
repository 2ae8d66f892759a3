package replicate

import (
	"context"
	"fmt"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
)

// rehearseFor is how long a rehearsal waits for the target to come up.
const rehearseFor = 2 * time.Minute

// rehearse measures the steps of a cut-over without a fence. What is written
// meanwhile makes draining slower than it will be.
func (c *cutter) rehearse(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"fence", func(ctx context.Context) error {
			// A session of its own, as the probe needs, is what takes time far away.
			list, err := c.sessions(ctx, time.Time{})
			if err != nil {
				return err
			}
			c.report.Warnings = append(c.report.Warnings, fmt.Sprintf("%d sessions of the source would be ended", len(list)))
			return c.connectable(ctx)
		}},
		{"drain", c.near},
		{"sequences", func(ctx context.Context) error {
			n, _, err := c.sequences(ctx, c.cut.headroom(), false)
			c.report.Sequences = n
			return err
		}},
		{"verify", c.verify},
	}
	for _, s := range steps {
		if s.name == "verify" && c.cut.Verify == nil {
			continue
		}
		if err := c.step(ctx, s.name, true, s.do); err != nil {
			return err
		}
	}
	for i := range c.report.Steps {
		s := &c.report.Steps[i]
		if s.Name == "fence" { // two looks at the sessions, with a pause after each
			s.Time, s.Guessed = s.Time*2+200*time.Millisecond, true
		}
		if s.Fenced {
			c.report.Downtime += s.Time
		}
	}
	if most := c.cut.maxDowntime(); most > 0 && c.report.Downtime > most {
		c.report.Warnings = append(c.report.Warnings, fmt.Sprintf("the cut-over would take longer than the %v that are allowed", most))
	}
	return nil
}

// near waits until the target has what the source has committed by now, and leaves
// alone who runs the follow.
func (c *cutter) near(ctx context.Context) error {
	slot, err := readSlot(ctx, c.source, c.Slot)
	if err != nil {
		return err
	}
	if !slot.Active {
		if c.Engine == EngineApply {
			return fmt.Errorf("nobody runs follow %s: run it, so that it can be measured how far behind the target is", c.ID)
		}
		return fmt.Errorf("the subscription of follow %s does not work: see its status", c.ID)
	}
	if _, err := c.source.Exec(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'pghaul', 'rehearse')"); err != nil {
		return fmt.Errorf("mark the source's log: %w", err)
	}
	at := slot.Current
	ctx, cancel := context.WithTimeoutCause(ctx, rehearseFor, fmt.Errorf("the target has not come up to %s within %v", at, rehearseFor))
	defer cancel()
	for {
		if slot, err = readSlot(ctx, c.source, c.Slot); err != nil {
			return err
		}
		if slot.Confirmed >= at {
			c.report.LSN = at
			return nil
		}
		if err := pg.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
