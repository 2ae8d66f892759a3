package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/replicate"
)

// following is what migrate has for --follow.
type following struct {
	wanted bool
	engine string
	followFlags
	opts replicate.Options // the two ends, when they are known
}

func (o *following) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.wanted, "follow", false, "keep the source's changes from the copy on, and apply them until a cut-over; the\nsource needs wal_level = logical; Ctrl-C leaves it, for --resume or pghaul follow run")
	f.StringVar(&o.engine, "engine", "", "who applies them: `ENGINE` native, a subscription of the target, or apply, this program;\notherwise what the two ends allow")
	o.addReach(f.StringVar)
}

// check refuses what does not go together.
func (o *following) check(m *migrateFlags) error {
	switch {
	case !o.wanted && (o.engine != "" || o.reach != ""):
		return usagef("--engine and --reach are for --follow")
	case !o.wanted:
		return nil
	case o.engine != "" && o.engine != string(replicate.EngineNative) && o.engine != string(replicate.EngineApply):
		return usagef("--engine %q: want native or apply", o.engine)
	case len(m.phases) > 0 || m.KeepGoing:
		return usagef("--follow needs the whole migration: leave out --phase and --keep-going")
	}
	return nil
}

// options are those of the migration.
func (o *following) options(g *globals) *migrate.FollowOptions {
	if !o.wanted {
		return nil
	}
	return &migrate.FollowOptions{
		Engine: replicate.Engine(o.engine), Reach: o.opts.Reach,
		Checked: func(c *replicate.Checks) error {
			if g.summaries() || c.Blocked() {
				g.showChecks(c)
			}
			return nil
		},
	}
}

// showChecks tells what speaks for and against following, as a plan is told.
func (g *globals) showChecks(c *replicate.Checks) {
	var b strings.Builder
	b.WriteString("Following    engine " + string(c.Engine) + ": " + c.Reason + "\n")
	for _, f := range c.Findings {
		mark := "  "
		switch f.Severity {
		case replicate.Block:
			mark = " !"
		case replicate.Warn:
			mark = " ?"
		case replicate.Info:
		}
		b.WriteString("  " + mark + "  " + f.What + ": " + f.Why + "\n")
		if f.Do != "" {
			b.WriteString("         → " + f.Do + "\n")
		}
	}
	g.printf("%s", ui.Redact(b.String()))
}

// followBlocked tells that the source cannot be followed; its reasons have been
// told.
func (g *globals) followBlocked(err error) error {
	if _, ok := errors.AsType[*migrate.FollowBlockedError](err); !ok {
		return err
	}
	g.printf("pghaul: nothing has been done: the source cannot be followed as it is, see above; without --follow it can be migrated")
	return errIncomplete
}

// then follows, when a migration has ended with err.
func (o *following) then(ctx context.Context, g *globals, err error) error {
	if !o.wanted || err != nil && !errors.Is(err, migrate.ErrCopied) {
		return err
	}
	return g.keepFollowing(ctx, o.opts)
}
