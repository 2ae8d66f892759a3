package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/replicate"
	"github.com/pghaul/pghaul/restore"
)

// followFlags are those of all that deals with a follow.
type followFlags struct {
	ends
	id    string
	reach string // URL
	back  bool   // the follow in the other direction
}

func newFollow(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "follow COMMAND",
		Short: "Look after a target that follows its source",
		Long: `follow looks after what "pghaul migrate --follow" has begun. What is known of it is
kept at the target, so that any machine can run these commands.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newFollowStatus(g), newFollowRun(g), newFollowPause(g), newFollowResume(g), newFollowAbort(g))
	return cmd
}

// followCommand makes a command of the group.
func (o *followFlags) followCommand(g *globals, use, short, long, incomplete string, run func(context.Context, replicate.Options) (any, error)) (*cobra.Command, group) {
	cmd := &cobra.Command{
		Use:     use + " [flags] --source URL --target URL",
		Short:   short,
		Long:    long + "\n\n" + endsHelp + "\n\n" + fmt.Sprintf(exitHelp, incomplete),
		Example: "  pghaul follow " + use + ` --source "$AZURE_URL" --target "$NEON_URL"`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("follow %s takes no arguments: the ends are --source and --target", use)
			}
			if err := o.check(); err != nil {
				return err
			}
			rep, err := g.openReport("follow " + use)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			opts, err := o.followOptions(ctx, g)
			var result any
			if err == nil {
				result, err = run(ctx, opts)
			}
			return rep.close(ctx, result, err)
		},
	}
	both := newGroup("The two ends")
	o.addFlags(both.flags, "the database that is followed", "the database that follows it")
	what := newGroup("Options")
	what.flags.StringVar(&o.id, "id", "", "the follow of this `ID`, as status shows it, where the target has several")
	addReportFlag(what.flags, g)
	addGroups(cmd, both, what)
	return cmd, what
}

// addReach adds the flag that says where the source is for the target's server.
func (o *followFlags) addReach(add func(p *string, name, value, usage string)) {
	add(&o.reach, "reach", "", "`URL` of the source as the target's server reaches it, for the engine native, if that\nis another one; with a user of its own nobody else is made for the subscription")
}

// followOptions resolves the ends.
func (o *followFlags) followOptions(ctx context.Context, g *globals) (replicate.Options, error) {
	source, target, err := o.resolve(ctx, g)
	if err != nil {
		return replicate.Options{}, err
	}
	return o.optionsOf(ctx, g, source, target)
}

func (o *followFlags) optionsOf(ctx context.Context, g *globals, source, target *endpoint) (replicate.Options, error) {
	opts := replicate.Options{Source: source.config, Target: target.config, ID: o.id, Logger: g.log}
	if o.reach != "" {
		there, err := (end{"reach", "", o.reach}).resolve(ctx, g, true)
		if err != nil {
			return opts, err
		}
		opts.Reach = there.config
	}
	if o.back {
		return replicate.ReverseOptions(ctx, opts)
	}
	return opts, nil
}

func newFollowRun(g *globals) *cobra.Command {
	o := new(followFlags)
	cmd, what := o.followCommand(g, "run", "Go on with following", `run goes on with a follow, until it is interrupted, which loses nothing: it can be
gone on with again, by any machine. With the engine apply it brings the changes
over; nothing comes over while nobody runs it, and the source keeps its log. With
the engine native the target's server does that by itself, and run watches it.

Who runs it already is ended. One that has failed tries again.`, "not with this command", func(ctx context.Context, opts replicate.Options) (any, error) {
		return nil, g.keepFollowing(ctx, opts)
	})
	what.flags.BoolVar(&o.back, "back", false, "the way back after a cut-over that is reversible")
	o.addReach(what.flags.StringVar)
	cmd.Flags().AddFlagSet(what.flags)
	return cmd
}

func newFollowPause(g *globals) *cobra.Command {
	o := new(followFlags)
	cmd, _ := o.followCommand(g, "pause", "Apply no more changes until it is resumed", `pause stops a follow: who runs it ends, a subscription is disabled. The source keeps
its log until it is resumed, and needs the room.`, "not with this command", func(ctx context.Context, opts replicate.Options) (any, error) {
		if err := replicate.Pause(ctx, opts); err != nil {
			return nil, err
		}
		g.printf("paused: the source keeps its log until \"pghaul follow resume\"")
		return nil, nil
	})
	return cmd
}

func newFollowResume(g *globals) *cobra.Command {
	o := new(followFlags)
	cmd, what := o.followCommand(g, "resume", "Take a pause back", `resume takes a pause back, and lets a follow that has failed try again. A
subscription goes on at once; with the engine apply "pghaul follow run" does.`, "not with this command", func(ctx context.Context, opts replicate.Options) (any, error) {
		if err := replicate.Resume(ctx, opts); err != nil {
			return nil, err
		}
		f, err := replicate.Attach(ctx, opts)
		if err != nil {
			return nil, err
		}
		if f.Engine == replicate.EngineApply {
			g.printf("resumed: \"pghaul follow run\" goes on")
		} else {
			g.printf("resumed: the target's subscription goes on")
		}
		return nil, nil
	})
	o.addReach(what.flags.StringVar)
	cmd.Flags().AddFlagSet(what.flags)
	return cmd
}

func newFollowAbort(g *globals) *cobra.Command {
	o := new(followFlags)
	sourceOnly := false
	cmd, what := o.followCommand(g, "abort", "End it, and take away what was made for it", `abort ends a follow at any time: slot, publications and the role of a subscription go
from the source, the subscription and what is known of the follow from the target.
Triggers and foreign keys of the target, which wait while it follows, come back. The
rows stay. It can be run again if an end could not be reached.

A slot that nobody reads makes the source keep its log until its disk is full: where
the target is gone for good, --source-only with --id takes it away.`, "not with this command", func(ctx context.Context, opts replicate.Options) (any, error) {
		abort := func() error { return replicate.Abort(ctx, opts) }
		if sourceOnly {
			abort = func() error { return replicate.AbortSource(ctx, opts.Source, opts.ID) }
		}
		if err := abort(); err != nil {
			return nil, err
		}
		g.printf("aborted: nothing of the follow is left%s", map[bool]string{true: " at the source"}[sourceOnly])
		return nil, nil
	})
	what.flags.BoolVar(&sourceOnly, "source-only", false, "only at the source, for a target that is gone; needs --id")
	cmd.Flags().AddFlagSet(what.flags)
	return cmd
}

// keepFollowing runs a follow until a signal or somebody else ends it.
func (g *globals) keepFollowing(ctx context.Context, opts replicate.Options) error {
	run, _, err := restore.ReadJournal(ctx, opts.Target)
	if err != nil {
		return err
	}
	if run != nil && run.Verb == "migrate" {
		return errors.New("the migration before has not come to its end: go on with it (pghaul migrate --follow --resume)")
	}
	f, err := replicate.Attach(ctx, opts)
	if err != nil {
		return err
	}
	opts.ID = f.ID
	if f.Stage == replicate.Failed { // by a change that has been made at the target as well since, perhaps
		if err := replicate.Resume(ctx, opts); err != nil {
			return err
		}
		if f, err = replicate.Attach(ctx, opts); err != nil {
			return err
		}
	}
	if err := f.Quiet(ctx); err != nil {
		return err
	}
	if g.summaries() {
		g.printf("following, engine %s, follow %s: Ctrl-C leaves it, \"pghaul follow run\" goes on", f.Engine, f.ID)
	}
	showing, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		g.showLag(showing, opts)
	}()
	err = f.Run(ctx)
	stop()
	<-shown
	switch {
	case err == nil:
		g.note("stopped at the position where that was asked for, with everything before it applied")
	case errors.Is(err, replicate.ErrPaused):
		g.note("paused: go on with \"pghaul follow resume\"")
		return nil
	case errors.Is(err, replicate.ErrEnded), errors.Is(err, replicate.ErrNoFollow): // an abort may have been quicker
		g.note("the follow has ended")
		return nil
	case isSchemaError(err):
		g.note("nothing after that change is applied: make the same one at the target, then \"pghaul follow run\" goes on")
	case ctx.Err() != nil && f.Engine == replicate.EngineNative:
		g.note("the target's subscription goes on by itself")
	case ctx.Err() != nil:
		g.note("the source keeps its log for the target: go on with \"pghaul follow run\", or \"pghaul follow abort\"")
	}
	return err
}

func isSchemaError(err error) bool {
	_, ok := errors.AsType[*replicate.SchemaError](err)
	return ok
}

// paceOver is how far back it is looked to tell how fast a follow gets on.
const paceOver = 30 * time.Second

// showLag tells every now and then how far behind the target is.
func (g *globals) showLag(ctx context.Context, opts replicate.Options) {
	mode := ui.Mode(g.progress)
	if mode == ui.None {
		return
	}
	drawn := g.screen.Terminal() && mode != ui.Plain && mode != ui.JSON
	every := 10 * time.Second
	if drawn {
		every = 2 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer g.screen.Status(nil)
	opts.Logger = nil
	var looks []*replicate.State // of the last time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s, err := replicate.Status(ctx, opts)
		if err == nil {
			looks = append(looks, s)
			for s.Taken.Sub(looks[0].Taken) > paceOver {
				looks = looks[1:]
			}
			s.Pace = s.PaceSince(looks[0])
		}
		switch {
		case err != nil: // Run tells of lost connections
		case mode == ui.JSON:
			g.screen.JSON(lagReport(s))
		case drawn:
			g.screen.Status([]string{lagLine(s)})
		default:
			g.printf("%s", lagLine(s))
		}
	}
}
