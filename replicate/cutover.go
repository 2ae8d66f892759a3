package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
)

// CutoverOptions are the options of Cutover. Their zero value works.
type CutoverOptions struct {
	// MaxDowntime is for how long writes may be kept out of the source; if all is
	// not done by then, they are let in again and the cut-over has failed. 0 means
	// 30 seconds, less than 0 any time.
	MaxDowntime time.Duration
	// DryRun measures what can be without a fence, and changes nothing.
	DryRun bool
	// Reversible makes a follow in the other direction, from the target to the
	// source, before anybody writes to the target; see Cutback.
	Reversible bool
	// Headroom is how many values of each sequence are left out; 0 means 100, less
	// than 0 none.
	Headroom int64
	// Verify compares the ends while the source is fenced and the target has
	// everything; an error fails the cut-over. Its context has a deadline (none if
	// MaxDowntime has none), before which it has to return: it comes so much earlier
	// than MaxDowntime that there is time left to hand over. nil compares nothing. A
	// dry run calls it, too, so that it is measured; the source is written to
	// meanwhile, so that differences mean nothing.
	Verify func(ctx context.Context) error
}

func (o *CutoverOptions) maxDowntime() time.Duration {
	if o.MaxDowntime == 0 {
		return 30 * time.Second
	}
	return o.MaxDowntime
}

func (o *CutoverOptions) headroom() int64 {
	switch {
	case o.Headroom == 0:
		return defaultHeadroom
	case o.Headroom < 0:
		return 0
	}
	return o.Headroom
}

// A CutoverReport is what a cut-over has done, or would do.
type CutoverReport struct {
	ID     string `json:"id"`
	DryRun bool   `json:"dry_run"`
	// Done says that the target has taken over. The source stays fenced.
	Done bool `json:"done"`
	// Steps in their order, with the time that each has taken.
	Steps []Step `json:"steps"`
	// LSN is the source's position up to which the target has everything.
	LSN LSN `json:"lsn"`
	// Downtime is the time from just before the fence until the target had taken
	// over, or until writes were let in at the source again. Of a dry run it is an
	// estimate: the steps' times, with a guess for those that cannot be tried.
	Downtime time.Duration `json:"downtime_ns"`
	// Sequences is how many were set.
	Sequences int `json:"sequences"`
	// Sessions of superusers of the source could not be ended, but do not write.
	Sessions []string `json:"sessions,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Reverse is the ID of the follow in the other direction; "" without.
	Reverse string `json:"reverse,omitempty"`
}

// A Step is a part of a cut-over.
type Step struct {
	Name    string        `json:"name"`
	Time    time.Duration `json:"time_ns"`
	Fenced  bool          `json:"fenced"`  // part of the downtime
	Guessed bool          `json:"guessed"` // not measured, in a dry run
}

// ErrMaxDowntime says that a cut-over has taken longer than it may, and was undone.
var ErrMaxDowntime = errors.New("the cut-over would have taken longer than the downtime that is allowed")

// Cutover hands over from the source to the target: it waits until the target is
// near, keeps writes out of the source, waits until the target has everything,
// brings the sequences along, has the ends compared, and notes that the target has
// taken over. From then on applications write to the target. The source stays
// fenced, so that nobody writes there by mistake; its slot, publications and the
// subscription are dropped.
//
// On any failure before the note, MaxDowntime and the end of ctx included, writes
// are let in at the source again, and the follow can go on: a subscription does by
// itself, a follow of EngineApply when it is run again. A process that ran it is
// taken over from (ErrTakenOver) when the cut-over begins. Where even that fails the
// error says so, with the statement that lifts the fence.
//
// After a process that was killed call it again: it goes on where that one was. To
// undo what that one has done call Resume or Abort.
//
// Of opts Source, Target, ID, Logger and what concerns Run are used. The report is
// there with an error, too, once the follow was found.
func Cutover(ctx context.Context, opts Options, cut CutoverOptions) (*CutoverReport, error) {
	return cutover(ctx, opts, cut, nil)
}

// cutover is Cutover, or with the follow that goes the other way Cutback.
func cutover(ctx context.Context, opts Options, cut CutoverOptions, forward *control) (*CutoverReport, error) {
	opts, err := unfinished(ctx, opts)
	if err != nil {
		return nil, err
	}
	control, err := openControl(ctx, opts)
	if err != nil {
		return nil, err
	}
	c := &cutter{control: control, cut: cut, forward: forward, report: &CutoverReport{ID: control.ID, DryRun: cut.DryRun}}
	c.opts.ID = c.ID
	defer func() { c.close() }()
	defer func() { c.stopRun() }()
	if c.Stage == CutOver {
		if cut.DryRun {
			return c.report, fmt.Errorf("follow %s was cut over: %w", c.ID, ErrEnded)
		}
		c.report.Done = true
		return c.report, errors.Join(c.letIn(ctx), c.clean(ctx))
	}
	err = c.step(ctx, "check", false, c.check)
	if cut.DryRun {
		if err != nil {
			return c.report, err
		}
		return c.report, c.rehearse(ctx)
	}
	if err == nil {
		err = c.showCutting(ctx)
	}
	if err == nil {
		err = c.step(ctx, "catch up", false, c.catchUp)
	}
	if err == nil {
		err = c.behindFence(ctx)
	}
	if err != nil {
		if err = c.undo(ctx, err); err != nil {
			return c.report, err
		}
		if err := c.letIn(ctx); err != nil {
			return c.report, err
		}
	}
	return c.report, c.step(ctx, "clean up", false, c.clean)
}

// unfinished names the follow that is meant where none is named: the one that has
// not ended, else the newest that was cut over and perhaps not cleaned up.
func unfinished(ctx context.Context, opts Options) (Options, error) {
	if opts.ID != "" {
		return opts, nil
	}
	c, err := openTarget(ctx, opts)
	switch {
	case err == nil:
		opts.ID = c.ID
		c.close()
		return opts, nil
	case !errors.Is(err, ErrNoFollow):
		return opts, err
	}
	opts.ID, err = handedOver(ctx, opts)
	return opts, err
}

// cutter is a Cutover under way.
type cutter struct {
	*control
	cut     CutoverOptions
	report  *CutoverReport
	run     *background
	fencing time.Time // when the fence was begun
	woken   bool      // triggers and keys of the target may be back
	handing bool      // the note that the target has taken over may be written
	away    error     // why the target is out of reach, while undoing
	reverse *Follow
	forward *control // of a cutback: the follow that it goes back from
}

// step does a part and measures it.
func (c *cutter) step(ctx context.Context, name string, fenced bool, do func(context.Context) error) error {
	begin := time.Now()
	err := do(ctx)
	s := Step{Name: name, Time: time.Since(begin), Fenced: fenced}
	c.report.Steps = append(c.report.Steps, s)
	c.log.Debug("cut-over: "+name, "time", s.Time, slog.Any("error", err))
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// check finds what would fail behind the fence.
func (c *cutter) check(ctx context.Context) error {
	switch c.Stage {
	case Following:
	case Paused:
		return fmt.Errorf("follow %s is paused: resume it before the cut-over", c.ID)
	case Failed:
		return fmt.Errorf("follow %s has failed: %s; mend that and resume it before the cut-over", c.ID, c.Detail)
	case Aborted:
		return fmt.Errorf("follow %s: %w", c.ID, ErrEnded)
	default:
		return fmt.Errorf("follow %s has not copied its rows yet (stage %q)", c.ID, c.Stage)
	}
	slot, err := readSlot(ctx, c.source, c.Slot)
	if err == nil {
		err = slot.usable(c.Slot)
	}
	if err != nil {
		return err
	}
	d, err := readDrift(ctx, c.source, &c.Record)
	if err != nil {
		return err
	}
	for table, diffs := range d.sorted() {
		return &SchemaError{Table: table, Diffs: diffs}
	}
	c.report.Warnings = append(c.report.Warnings, d.missing...)
	if err := c.fenceable(ctx); err != nil {
		return err
	}
	_, warnings, err := c.sequences(ctx, c.cut.headroom(), false)
	c.report.Warnings = append(c.report.Warnings, warnings...)
	if err != nil {
		return err
	}
	if c.cut.Reversible {
		return c.reversible(ctx)
	}
	return nil
}

// behindFence does all that writes must be kept out for.
func (c *cutter) behindFence(ctx context.Context) error {
	if most := c.cut.maxDowntime(); most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, most, ErrMaxDowntime)
		defer cancel()
	}
	c.fencing = time.Now()
	defer func() { c.report.Downtime = time.Since(c.fencing) }()
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"fence", func(ctx context.Context) (err error) {
			c.report.Sessions, err = c.fence(ctx)
			return err
		}},
		{"drain", c.drain},
		{"sequences", c.setSequences},
		{"verify", c.verify},
		// Whoever could not be ended might have written after all: it is brought along.
		{"drain again", c.drain},
		{"reverse", c.startReverse},
		{"restore triggers", c.wakeTarget},
		{"hand over", c.handOver},
		{"let writes in", c.letIn},
	}
	for _, s := range steps {
		if s.name == "verify" && c.cut.Verify == nil || s.name == "reverse" && !c.cut.Reversible ||
			c.Engine == EngineNative && s.name == "restore triggers" || c.forward == nil && s.name == "let writes in" {
			continue
		}
		if err := c.step(ctx, s.name, true, s.do); err != nil {
			return err
		}
	}
	return nil
}

// verify has the ends compared, for as long as the steps after it leave time.
func (c *cutter) verify(ctx context.Context) error {
	if most := c.cut.maxDowntime(); most > 0 {
		var spent time.Duration
		for _, s := range c.report.Steps {
			if s.Fenced {
				spent += s.Time
			}
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, most-spent-c.reserve(spent), ErrMaxDowntime)
		defer cancel()
	}
	err := c.cut.Verify(ctx)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("compare the ends: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("compare the ends: %w", err)
	}
	return nil
}

// reserve is the time to keep for what comes after the comparison, which is draining
// once more and a few statements at the target: as much as the steps before it have
// taken and half as much again, but at least a tenth of what there is, and with a way
// back, which makes a slot, twice that.
func (c *cutter) reserve(spent time.Duration) time.Duration {
	least := c.cut.maxDowntime() / 10
	if c.cut.Reversible {
		least *= 2
	}
	return max(spent*3/2, least)
}

// setSequences sets the target's sequences, and sees that they stand where they are
// to stand.
func (c *cutter) setSequences(ctx context.Context) error {
	n, _, err := c.sequences(ctx, c.cut.headroom(), true)
	if err != nil {
		return err
	}
	c.report.Sequences = n
	return c.compareSequences(ctx)
}

// wakeTarget brings back what had to wait while changes were applied. A subscription
// can have it all the time.
func (c *cutter) wakeTarget(ctx context.Context) error {
	c.woken = true
	return wake(ctx, c.target, c.ID, true)
}

// handOver notes that the target has taken over: the point of no return.
func (c *cutter) handOver(ctx context.Context) error {
	if err := c.unwritten(ctx); err != nil {
		return err
	}
	c.handing = true
	if err := setRecord(ctx, c.target, c.ID, "stage = $2, detail = '', stop_at = NULL", string(CutOver)); err != nil {
		return err
	}
	c.Stage, c.report.Done = CutOver, true
	return nil
}

// letIn lifts the fence of the first cut-over at the end of a cutback.
func (c *cutter) letIn(ctx context.Context) error {
	if c.forward == nil {
		return nil
	}
	ctx, done := pg.Outlive(ctx)
	defer done()
	if err := c.forward.unfence(ctx); err != nil {
		return &AbortError{[]string{"the fence of database " + c.forward.SourceDatabase}, fmt.Errorf("the source is in charge again, but refuses writes; call cutback again: %w", err)}
	}
	return nil
}

// clean drops what the follow does not need any more. The record stays.
func (c *cutter) clean(ctx context.Context) error {
	c.stopRun()
	err := errors.Join(dropSubscription(ctx, c.target, c.Subscription), c.endRunners(ctx))
	if err == nil {
		err = dropSource(ctx, c.source, &c.Record)
	}
	if err == nil {
		err = dropRole(ctx, c.source, &c.Record)
	}
	if err == nil {
		err = wake(ctx, c.target, c.ID, false)
	}
	if err == nil && c.forward != nil {
		err = deleteRecord(ctx, c.forward.target, c.forward.ID)
	}
	if err != nil {
		return &AbortError{c.sourceObjects(), fmt.Errorf("the target has taken over, but: %w", err)}
	}
	return nil
}
