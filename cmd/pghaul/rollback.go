package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/migrate"
)

type rollbackFlags struct {
	migrate.RollbackOptions
	ends
	phases []string
}

func newRollback(g *globals) *cobra.Command {
	o := new(rollbackFlags)
	cmd := &cobra.Command{
		Use:   "rollback [flags] --target URL",
		Short: "Undo what a migration or a restore has made",
		Long: `rollback undoes the run whose journal is in the target: everything that it made
is dropped, and what was there before is as it was. It is for migrations and for
restores that were killed, failed, or ran some of the phases. The journal of one
that came to its end is gone, and there is nothing to undo it by.

The target is described by --target or PGHAUL_TARGET; PG* variables are ignored.

` + fmt.Sprintf(exitHelp, "some things could not be undone and are\n       listed"),
		Example: `  pghaul rollback --target "$NEON_URL"
  pghaul rollback --target "$NEON_URL" --phase post-schema`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runRollback(cmd.Context(), o, g, args) },
	}
	where := newGroup("The target")
	f := where.flags
	f.StringVar(&o.target, "target", "", "`URL` or connection string of the database (PGHAUL_TARGET)")
	f.BoolVarP(&o.neverAsk, "no-password", "w", false, "never ask for a password")
	what := newGroup("What to undo")
	what.flags.StringSliceVar(&o.phases, "phase", nil, "this `PHASE` and those after it: pre-schema, schema-data or post-schema")
	addReportFlag(what.flags, g)
	addGroups(cmd, where, what)
	return cmd
}

func runRollback(ctx context.Context, o *rollbackFlags, g *globals, args []string) (err error) {
	if len(args) > 0 {
		return usagef("rollback takes no arguments: the database is --target")
	}
	if o.Phases, err = parsePhases(o.phases); err != nil {
		return err
	}
	rep, err := g.openReport("rollback")
	if err != nil {
		return err
	}
	r, err := o.rollback(ctx, g)
	return rep.close(ctx, rollbackReport(r), err)
}

func (o *rollbackFlags) rollback(ctx context.Context, g *globals) (*migrate.RollbackReport, error) {
	if err := dropEnvironment(); err != nil {
		return nil, err
	}
	target, err := o.list()[1].resolve(ctx, g, o.neverAsk)
	if err != nil {
		return nil, err
	}
	front := ui.Start(ctx, g.screen, ui.Mode(g.progress), "undoing", nil)
	defer front.Stop()
	o.Logger, o.Progress = g.log, front.Tracker
	r, err := migrate.Rollback(ctx, target.config, o.RollbackOptions)
	front.Stop()
	g.tellRollback(r)
	if err == nil && len(r.Remains) > 0 {
		err = errIncomplete
	}
	return r, err
}

// tellRollback says what was taken back, and what could not be.
func (g *globals) tellRollback(r *migrate.RollbackReport) {
	if r == nil {
		return
	}
	for _, x := range r.Remains {
		g.warn("could not be undone: %s: %s; run this when that is settled: %s", x.Name, x.Reason, x.SQL)
	}
	if !g.summaries() {
		return
	}
	text := fmt.Sprintf("undone: %s of run %s in %s: %s", ui.Plural(int64(r.Undone), "step"), r.Run, ui.Duration(r.Elapsed), phaseNames(r.Phases))
	switch {
	case len(r.Remains) > 0:
		text += "; " + remain(len(r.Remains)) + " left"
	case r.Dropped > 0:
		text += "; what was dropped before does not come back: " + ui.Plural(int64(r.Dropped), "object")
	case slices.Contains(r.Phases, migrate.PreSchema):
		text += "; the target is as it was before"
	}
	g.printf("%s", text)
}

func phaseNames(phases []migrate.Phase) string {
	names := make([]string, len(phases))
	for i, p := range phases {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}

func remain(n int) string {
	if n == 1 {
		return "1 thing is"
	}
	return fmt.Sprintf("%d things are", n)
}
