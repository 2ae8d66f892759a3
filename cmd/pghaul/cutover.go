package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/replicate"
)

type cutoverFlags struct {
	followFlags
	cut    replicate.CutoverOptions
	rows   rowCheck
	format string
}

func newCutover(g *globals) *cobra.Command {
	o := new(cutoverFlags)
	cmd, f := o.command(g, "cutover", "Hand over from the source to the target that follows it", `cutover hands over to a target that follows its source (pghaul migrate --follow):
writes are kept out of the source, the target gets what it does not have yet, the
sequences are set, rows are compared, and triggers and foreign keys come back. From
then on applications are to write to the target; the source takes no writes any more.
The downtime is measured. If it would take longer than --max-downtime, or anything
fails, writes are let in at the source again and nothing has changed.

Rows are compared while writes are kept out, so that they have to be equal: the
smallest tables first, as many as there is time for, which leaves a tenth of
--max-downtime or more for the hand-over. A difference undoes it all. What was not
compared is named; with --verify=full that undoes it as well.

Sessions of the source's database are ended, those of superusers perhaps not: the
report names them. With --dry-run every step is measured that can be without keeping
writes out, and the comparison as well.`, replicate.Cutover)
	f.BoolVar(&o.cut.DryRun, "dry-run", false, "measure the steps, and change nothing")
	f.BoolVar(&o.cut.Reversible, "reversible", false, "keep the target's changes for the source from then on, so that \"pghaul cutback\" can go\nback; \"pghaul follow run --back\" brings them")
	cmd.Flags().AddFlagSet(f)
	return cmd
}

func newCutback(g *globals) *cobra.Command {
	o := new(cutoverFlags)
	cmd, _ := o.command(g, "cutback", "Go back to the source after a cut-over that is reversible", `cutback goes back to the source after "pghaul cutover --reversible", with everything
that was written to the target since: a cut-over in the other direction, after which
the source takes writes again, and the target does not. --source and --target are
those of the cut-over. If anything fails, or rows differ, the target stays in charge.`, replicate.Cutback)
	return cmd
}

type handOver func(context.Context, replicate.Options, replicate.CutoverOptions) (*replicate.CutoverReport, error)

func (o *cutoverFlags) command(g *globals, use, short, long string, do handOver) (*cobra.Command, *pflag.FlagSet) {
	cmd := &cobra.Command{
		Use:     use + " [flags] --source URL --target URL",
		Short:   short,
		Long:    long + "\n\n" + endsHelp + "\n\n" + fmt.Sprintf(exitHelp, "it is handed over, but something is left to be\n       cleaned up: run it again"),
		Example: "  pghaul " + use + ` --source "$AZURE_URL" --target "$NEON_URL" --max-downtime 10s`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return usagef("%s takes no arguments: the ends are --source and --target", use)
			case o.format != "text" && o.format != "json":
				return usagef("--format %q: want text or json", o.format)
			case o.cut.MaxDowntime <= 0:
				return usagef("--max-downtime %v: want more than nothing", o.cut.MaxDowntime)
			case o.rows.mode != verifyAuto && o.rows.mode != verifyFull && o.rows.mode != verifyNone:
				return usagef("--verify %q: want auto, full or none", o.rows.mode)
			}
			if err := o.check(); err != nil {
				return err
			}
			rep, err := g.openReport(use)
			if err != nil {
				return err
			}
			r, err := o.handOver(cmd.Context(), g, use == "cutback", do)
			var result any
			if r != nil {
				result = r
			}
			return rep.close(cmd.Context(), result, err)
		},
	}
	both := newGroup("The two ends")
	o.addFlags(both.flags, "the database that is followed", "the database that follows it")
	what := newGroup("Options")
	f := what.flags
	f.StringVar(&o.id, "id", "", "the follow of this `ID`, as status shows it, where the target has several")
	f.DurationVar(&o.cut.MaxDowntime, "max-downtime", 30*time.Second, "undo it if writes would be kept out for longer than `TIME`, such as 10s")
	f.StringVar(&o.rows.mode, "verify", verifyAuto, "compare rows behind the fence: `WHAT` auto, as many tables as there is time for, full,\nall of them or it is undone, or none")
	f.StringVar(&o.format, "format", "text", "`FORMAT` of the output: text or json")
	addReportFlag(f, g)
	addGroups(cmd, both, what)
	return cmd, f
}

func (o *cutoverFlags) handOver(ctx context.Context, g *globals, back bool, do handOver) (*jsonCutover, error) {
	opts, err := o.followOptions(ctx, g)
	if err != nil {
		return nil, err
	}
	if o.rows.mode != verifyNone {
		o.rows.rehearsal = o.cut.DryRun
		o.rows.prepare(ctx, opts, back)
		o.cut.Verify = o.rows.run
	}
	r, err := do(ctx, opts, o.cut)
	if r == nil {
		return nil, err
	}
	for _, w := range r.Warnings {
		g.warn("%s", w)
	}
	var printErr error
	if o.format == "json" {
		printErr = writeJSON(g.stdout, cutoverReport(r, &o.rows))
	} else {
		_, printErr = io.WriteString(g.stdout, cutoverText(r, &o.rows, err))
	}
	if r.Done && err != nil {
		// What is left keeps nobody from working at the new place.
		g.warn("%v", err)
		err = errIncomplete
	}
	return cutoverReport(r, &o.rows), errors.Join(err, printErr)
}

// cutoverText is what cutover prints.
func cutoverText(r *replicate.CutoverReport, rows *rowCheck, err error) string {
	var b strings.Builder
	for _, s := range r.Steps {
		note := ""
		if s.Fenced {
			note = "writes kept out"
		}
		if s.Guessed {
			note += ", a guess"
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-18s %10s  %s", s.Name, ui.Duration(s.Time), strings.TrimPrefix(note, ", ")), " ") + "\n")
	}
	for _, s := range r.Sessions {
		fmt.Fprintf(&b, "session %s of the source could not be ended; it writes nothing now: end it\n", ui.Redact(s))
	}
	b.WriteString(rows.text(r))
	switch {
	case r.Done:
		fmt.Fprintf(&b, "Handed over at %s with a downtime of %s; %s set.\n", r.LSN, ui.Duration(r.Downtime), ui.Plural(int64(r.Sequences), "sequence"))
	case r.DryRun && err == nil:
		fmt.Fprintf(&b, "Nothing has been changed. Writes would be kept out for about %s.\n", ui.Duration(r.Downtime))
	case r.Downtime > 0:
		fmt.Fprintf(&b, "Not handed over: the source is in charge as before. Writes were kept out for %s.\nWith engine apply \"pghaul follow run\" goes on.\n", ui.Duration(r.Downtime))
	}
	if r.Done && r.Reverse != "" {
		b.WriteString("The way back is open as long as \"pghaul follow run --back\" runs; \"pghaul cutback\" takes it.\n")
	}
	return b.String()
}
