package replicate

import (
	"context"
	"errors"
	"fmt"
)

// Pause has a follow stop: whoever runs it ends with ErrPaused within about a
// second, and a subscription is disabled at once. The slot stays, so that the
// source keeps the WAL until the follow is resumed. Only the target need be
// reached. To pause twice is no error.
//
// Of opts Source, Target, ID and Logger are used; an ID of "" means the only
// follow there is.
func Pause(ctx context.Context, opts Options) error {
	c, err := openTarget(ctx, opts)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.changeable("paused"); err != nil {
		return err
	}
	if err := setRecord(ctx, c.target, c.ID, "pause = true"); err != nil {
		return err
	}
	if c.Engine != EngineNative {
		return nil
	}
	if err := disable(ctx, c.target, c.Subscription); err != nil {
		return err
	}
	return setRecord(ctx, c.target, c.ID, "stage = CASE WHEN stage = $2 THEN $3 ELSE stage END", string(Following), string(Paused))
}

// Resume takes a pause back, and lets a follow that has failed try again. It
// enables a subscription; a follow of EngineApply goes on when Follow.Run is
// called, by any process. A fence that a cut-over has left which was killed is
// lifted. Tables that have been changed at the source and in the same way at the
// target are followed as they are now; a SchemaError says where the ends do not agree.
// To resume what is not paused is no error.
func Resume(ctx context.Context, opts Options) error {
	c, err := openTarget(ctx, opts)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.changeable("resumed"); err != nil {
		return err
	}
	if c.Engine == EngineNative && c.Stage != Copying {
		if err := c.openSource(ctx); err != nil {
			return err
		}
		slot, err := readSlot(ctx, c.source, c.Slot)
		if err == nil {
			err = slot.usable(c.Slot)
		}
		if err != nil {
			return err
		}
		if err := c.takeBack(ctx); err != nil {
			return err
		}
		if err := c.agree(ctx); err != nil {
			return err
		}
		if err := c.subscribe(ctx, c.source, c.target); err != nil {
			return err
		}
		return setRecord(ctx, c.target, c.ID, "pause = false, stop_at = NULL, stage = $2, detail = ''", string(Following))
	}
	if fenced, err := c.fenced(ctx); err != nil {
		return err
	} else if fenced {
		if err := c.openSource(ctx); err != nil {
			return err
		}
		if err := errors.Join(c.takeBack(ctx), c.Quiet(ctx)); err != nil {
			return err
		}
	}
	if c.Stage == Failed {
		if c.source == nil {
			if err := c.openSource(ctx); err != nil {
				return err
			}
		}
		if err := c.agree(ctx); err != nil {
			return err
		}
	}
	return setRecord(ctx, c.target, c.ID, "pause = false, stop_at = NULL")
}

// changeable refuses what has ended or has not begun.
func (c *control) changeable(verb string) error {
	switch c.Stage {
	case CutOver, Aborted:
		return fmt.Errorf("follow %s cannot be %s, it was %s: %w", c.ID, verb, c.Stage, ErrEnded)
	case Starting:
		return fmt.Errorf("follow %s cannot be %s: it has not been started completely; abort it", c.ID, verb)
	default:
		return nil
	}
}
