package replicate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
)

// reverseOptions are those of the follow in the other direction. It applies by
// itself, for the source has seldom the right to subscribe.
func (c *control) reverseOptions() Options {
	o := c.opts
	o.Source, o.Target, o.Engine, o.Reach, o.ViaRoot = c.opts.Target, c.opts.Source, EngineApply, nil, false
	o.ID = c.ID[:min(len(c.ID), 31)] + "r"
	o.Tables = nil
	for i := range c.Tables {
		t := &c.Tables[i]
		if !t.Covered {
			o.Tables = append(o.Tables, Table{Schema: t.targetSchema(), Name: t.targetName(), TargetSchema: t.Schema, TargetName: t.Name, InsertsOnly: t.InsertsOnly})
		}
	}
	return o
}

// reversible finds what would keep the other direction from working.
func (c *cutter) reversible(ctx context.Context) error {
	o := c.reverseOptions()
	checks, err := Preflight(ctx, o.Source, o.Target, o.Tables, PreflightOptions{Engine: EngineApply})
	if err != nil {
		return fmt.Errorf("see whether the cut-over can be reversible: %w", err)
	}
	var why []string
	for _, f := range checks.Findings {
		if f.Severity == Block {
			why = append(why, f.What+": "+f.Why+" ("+f.Do+")")
		}
	}
	if why != nil {
		return fmt.Errorf("the cut-over cannot be reversible, for the target cannot be followed: %s", strings.Join(why, "; "))
	}
	var owned bool
	err = c.source.QueryRow(ctx, "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')").Scan(&owned)
	if err != nil {
		return fmt.Errorf("see whether the cut-over can be reversible: %w", err)
	}
	if !owned {
		return errors.New("the cut-over cannot be reversible: the role that pghaul connects to the source as may not make a schema there, for the state of the follow back")
	}
	return nil
}

// startReverse makes the follow in the other direction. Both ends are equal and
// nobody writes to either, so there is nothing to copy, and no change of the first
// direction comes back.
func (c *cutter) startReverse(ctx context.Context) error {
	if c.Engine == EngineNative {
		if err := disable(ctx, c.target, c.Subscription); err != nil {
			return err
		}
	}
	o := c.reverseOptions()
	f, err := Start(ctx, o)
	if err != nil {
		return fmt.Errorf("begin to follow in the other direction: %w", err)
	}
	c.reverse = f
	c.report.Reverse = f.ID
	if err := f.Quiet(ctx); err != nil {
		return err
	}
	if err := f.CopyDone(ctx); err != nil {
		return fmt.Errorf("begin to follow in the other direction: %w", err)
	}
	return nil
}

// takeBack undoes what a cut-over that has not come to its end has done, in this
// process or one before: it lifts the fence, and ends the follow in the other
// direction. Triggers and keys of the source that wait for that one come back before
// anybody writes there. Without a fence there is nothing to be taken back.
func (c *control) takeBack(ctx context.Context) error {
	previous, since, err := c.readFence(ctx)
	if err != nil || since.IsZero() {
		return err
	}
	reversed, err := c.liftSource(ctx, previous, since)
	if err != nil {
		return err
	}
	if reversed {
		if err := c.stopReverse(ctx); err != nil {
			return err
		}
	}
	return c.forgetFence(ctx)
}

// liftSource is the part of takeBack at the source. It reports whether there is a
// follow in the other direction to be ended.
func (c *control) liftSource(ctx context.Context, previous *string, since time.Time) (reversed bool, err error) {
	if reversed, err = c.reversed(ctx); err != nil {
		return false, err
	}
	if reversed {
		err := wake(ctx, c.source, c.reverseOptions().ID, true)
		// What is refused does not keep writes out, and comes again in stopReverse.
		if _, refused := errors.AsType[*WakeError](err); err != nil && !refused {
			return false, err
		}
	}
	return reversed, c.lift(ctx, previous, since)
}

// reversed says whether the source has a follow in the other direction.
func (c *control) reversed(ctx context.Context) (bool, error) {
	_, err := readRecord(ctx, c.source, c.reverseOptions().ID)
	if errors.Is(err, ErrNoFollow) || errors.Is(err, errOthersState) {
		return false, nil
	}
	return err == nil, err
}

// stopReverse ends the follow in the other direction, if there is one.
func (c *control) stopReverse(ctx context.Context) error {
	reversed, err := c.reversed(ctx)
	if err != nil || !reversed {
		return err
	}
	if err := Abort(ctx, c.reverseOptions()); err != nil && !errors.Is(err, ErrNoFollow) {
		return fmt.Errorf("take the follow in the other direction back: %w", err)
	}
	return nil
}

// Cutback goes back to the source after a Cutover that was Reversible: it is a
// cut-over of the follow in the other direction, after which writes are let in at
// the source again, and the target is fenced. Triggers, rules and foreign keys of
// the source that were out of action meanwhile are brought back before. opts are
// those of Cutover: Source is the old one. The follow in the other direction has
// to be run until then, for which ReverseOptions are.
//
// The failure of a cutback leaves the target in charge, as that of a Cutover the
// source.
func Cutback(ctx context.Context, opts Options, cut CutoverOptions) (*CutoverReport, error) {
	forward, err := openHandedOver(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer forward.close()
	back := forward.reverseOptions()
	cut.Reversible = false
	return cutover(ctx, back, cut, forward)
}

// ReverseOptions are the options to Attach to the follow in the other direction
// that a Reversible cut-over has made. opts are those of Cutover.
func ReverseOptions(ctx context.Context, opts Options) (Options, error) {
	forward, err := openHandedOver(ctx, opts)
	if err != nil {
		return Options{}, err
	}
	defer forward.close()
	return forward.reverseOptions(), nil
}

// openHandedOver finds a follow that was cut over.
func openHandedOver(ctx context.Context, opts Options) (*control, error) {
	if opts.ID == "" {
		id, err := handedOver(ctx, opts)
		if err != nil {
			return nil, err
		}
		opts.ID = id
	}
	forward, err := openControl(ctx, opts)
	if err != nil {
		return nil, err
	}
	if forward.Stage != CutOver {
		forward.close()
		return nil, fmt.Errorf("follow %s was not cut over (stage %q): there is nothing to go back from", forward.ID, forward.Stage)
	}
	return forward, nil
}

// handedOver is the ID of the newest follow that was cut over.
func handedOver(ctx context.Context, opts Options) (string, error) {
	conn, err := pg.Connect(ctx, opts.Target, pg.Write, pg.Options{Application: "pghaul control", Encoding: "UTF8", Direct: true})
	if err != nil {
		return "", fmt.Errorf("connect to the target: %w", err)
	}
	defer pg.Close(conn)
	list, err := readRecords(ctx, conn)
	if err != nil {
		return "", err
	}
	id := ""
	for _, r := range list {
		if r.Stage == CutOver {
			id = r.ID
		}
	}
	if id == "" {
		return "", fmt.Errorf("none was cut over: %w", ErrNoFollow)
	}
	return id, nil
}
