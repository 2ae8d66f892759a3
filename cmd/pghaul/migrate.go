package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

type migrateFlags struct {
	ends
	policyFlags
	migrate.Options
	following    following
	sel          catalog.Selection
	phases       []string
	limit        rate // of reading the source
	copyFormat   string
	plan         string // file
	passwords    string // file to read
	passwordFile string // file to write
	cronScript   string // file to write
	secrets      *secretsFile
	shown        map[string]bool // warnings of the plan that have been shown
	verb         string          // of the summary
	blockedHint  string          // what else can be done about a plan that blocks
	page         string          // path of the HTML report
	timeline     timeline        // for it
}

func newMigrate(g *globals) *cobra.Command {
	o := new(migrateFlags)
	cmd := &cobra.Command{
		Use:   "migrate [flags] --source URL --target URL",
		Short: "Move a database to another server, planned and mapped, with no files between",
		Long: `migrate moves a database into another one that exists: roles and their rights,
extensions, definitions, rows, large objects, privileges. What the two platforms
do differently is planned first and shown; what the target cannot have blocks
with the ways out, before anything runs. At the end both databases are compared.

A migration has three phases: pre-schema (roles, extensions), schema-data and
post-schema (indexes, constraints, triggers, policies, privileges). When one
fails, what it has made is taken back and the target is as before; --keep-going
finishes what can be finished instead, and tells the rest. --resume goes on with
a run that was killed. "pghaul rollback" undoes a whole run.

` + endsHelp + `

` + fmt.Sprintf(exitHelp, "the plan blocks; with --keep-going, steps failed;\n       or rows differ"),
		Example: `  pghaul migrate --source "$AZURE_URL" --target "$NEON_URL"
  pghaul migrate --source "$AZURE_URL" --target "$NEON_URL" --plan plan.yaml -j 8
  pghaul migrate --source "$AZURE_URL" --target "$NEON_URL" --resume`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if flag := o.given(cmd.Flags()); o.plan != "" && flag != "" {
				return usagef("--plan and %s contradict each other: the plan says what is done", flag)
			}
			return runMigrate(cmd.Context(), o, g, args)
		},
	}
	both := newGroup("The two ends")
	o.addFlags(both.flags, "the database to move", "the database to move it into")

	what := newGroup("What to move")
	addSelection(what.flags, &o.sel)

	how := newGroup("How to move it")
	f := how.flags
	f.StringVar(&o.plan, "plan", "", "follow the plan in `FILE`, made by pghaul plan -o and edited maybe")
	o.addPolicy(f)
	o.addCollision(f)
	o.addOutputs(f)

	run := newGroup("How to run")
	f = run.flags
	addJobs(f, &o.Jobs, "work")
	addRate(f, &o.limit, "the source")
	f.StringVar(&o.copyFormat, "copy-format", "auto", "`FORMAT` of the rows on their way: text, binary, for servers of the same major\nversion, or auto, which is what suits each table")
	f.StringSliceVar(&o.phases, "phase", nil, "only this `PHASE`: pre-schema, schema-data or post-schema; may be repeated")
	f.BoolVar(&o.KeepGoing, "keep-going", false, "go on after errors, and tell them at the end")
	f.BoolVar(&o.Resume, "resume", false, "go on with the migration that the target's journal tells of")
	o.following.addFlags(f)
	f.BoolVar(&o.NoRollback, "no-rollback", false, "leave what a failed phase has made, for --resume")
	f.BoolVar(&o.NoVerify, "no-verify", false, "do not compare the two databases at the end")
	f.BoolVar(&o.NoAnalyze, "no-analyze", false, "gather no statistics at the end")
	f.StringVar(&o.page, "report", "", "write a page for people to `FILE`, HTML that needs nothing else")
	addReportFlag(f, g)
	addGroups(cmd, both, what, how, run)
	return cmd
}

// addOutputs adds the flags about what goes in and out beside the database.
func (o *migrateFlags) addOutputs(f *pflag.FlagSet) {
	f.StringVar(&o.passwords, "passwords", "", "passwords of login roles from `FILE`: lines of role=password")
	f.StringVar(&o.passwordFile, "password-file", "", "write passwords that are generated to `FILE`, which must not exist")
	f.StringVar(&o.cronScript, "cron-script", "", "write a script that schedules the jobs of pg_cron again to `FILE`")
}

// checkFlags turns the flags into options of the library.
func (o *migrateFlags) checkFlags(args []string) error {
	switch {
	case len(args) > 0:
		return usagef("migrate takes no arguments: the ends are --source and --target")
	case o.copyFormat != "text" && o.copyFormat != "binary" && o.copyFormat != "auto":
		return usagef("--copy-format %q: want text, binary or auto", o.copyFormat)
	case o.KeepGoing && o.NoRollback:
		return usagef("--keep-going and --no-rollback contradict each other")
	}
	if err := o.ends.check(); err != nil {
		return err
	}
	if err := o.following.check(o); err != nil {
		return err
	}
	o.CopyFormat = copyproto.Format(o.copyFormat)
	var err error
	if o.Phases, err = parsePhases(o.phases); err != nil {
		return err
	}
	return o.options()
}

// options reads the files that flags name, and makes the options that all who
// migrate have.
func (o *migrateFlags) options() (err error) {
	if err := o.policyFlags.check(); err != nil {
		return err
	}
	if o.plan != "" {
		if o.Plan, err = readPlan(o.plan); err != nil {
			return err
		}
	}
	if o.passwords != "" {
		if o.Passwords, err = readPairs("--passwords", o.passwords); err != nil {
			return err
		}
	}
	o.secrets, err = newSecretsFile(o.passwordFile, o.Resume)
	o.Rules, o.Select = o.rules, o.sel
	o.SourcePlatform, o.TargetPlatform = platform.Name(o.sourcePlatform), platform.Name(o.targetPlatform)
	return err
}

// parsePhases reads the names given with --phase.
func parsePhases(names []string) ([]migrate.Phase, error) {
	var out []migrate.Phase
	for _, name := range names {
		if !slices.Contains(migrate.Phases(), migrate.Phase(name)) {
			return nil, usagef("--phase %q: want pre-schema, schema-data or post-schema", name)
		}
		out = append(out, migrate.Phase(name))
	}
	return out, nil
}

func runMigrate(ctx context.Context, o *migrateFlags, g *globals, args []string) error {
	if err := o.checkFlags(args); err != nil {
		return err
	}
	rep, err := g.openReport("migrate")
	if err != nil {
		return err
	}
	page, err := openPage(o.page)
	if err != nil {
		return err
	}
	r, err := o.migrate(ctx, g)
	if pageErr := page.close(r != nil, func(w io.Writer) error { return writeMigration(w, r, &o.timeline, err) }); pageErr != nil {
		err = errors.Join(err, pageErr)
	}
	if closeErr := o.secrets.close(); closeErr != nil && err == nil {
		err = closeErr
	}
	return rep.close(ctx, migrateReport(r), o.following.then(ctx, g, err))
}

func (o *migrateFlags) migrate(ctx context.Context, g *globals) (*migrate.Report, error) {
	source, target, err := o.resolve(ctx, g)
	if err != nil {
		return nil, err
	}
	o.following.ends = o.ends
	if o.following.opts, err = o.following.optionsOf(ctx, g, source, target); err != nil {
		return nil, err
	}
	pg.LimitRate(source.config, int64(o.limit))
	o.verb, o.Follow = "migrated", o.following.options(g)
	return o.run(ctx, g, "migrating", func(opts migrate.Options) (*migrate.Report, error) {
		return migrate.Run(ctx, source.config, target.config, opts)
	})
}

// run migrates, and tells before and after what.
func (o *migrateFlags) run(ctx context.Context, g *globals, title string, do func(migrate.Options) (*migrate.Report, error)) (*migrate.Report, error) {
	front := ui.Start(ctx, g.screen, ui.Mode(g.progress), title, o.timeline.hear)
	defer front.Stop()
	o.Tool, o.Logger, o.Progress = toolName(), g.log, front.Tracker
	o.Secrets = o.secrets.add
	o.Planned = func(p *platform.Plan) error { return o.show(g, p) }
	r, err := do(o.Options)
	front.Stop()
	if blocked, ok := errors.AsType[*migrate.BlockedError](err); ok {
		if err := o.showBlocked(g, blocked.Plan); err != nil {
			return r, err
		}
		return r, errIncomplete
	}
	err = g.followBlocked(err)
	if r != nil {
		if printErr := o.tell(g, r, err); printErr != nil && err == nil {
			err = printErr
		}
	}
	if step, ok := errors.AsType[*restore.StepError](err); ok && r != nil && slices.Contains(r.Failed, step) {
		err = &toldError{err}
	}
	if err == nil && incomplete(r) {
		err = errIncomplete
	}
	return r, err
}

// incomplete reports whether a run came to its end without doing everything that
// it was asked to.
func incomplete(r *migrate.Report) bool {
	return len(r.Failed) > 0 || len(r.LeftOut) > 0 || r.Verify != nil && !r.Verify.Equal()
}

// show tells what a plan will do, before anything runs.
func (o *migrateFlags) show(g *globals, p *platform.Plan) error {
	if o.cronScript != "" && p.CronScript != "" {
		err := toFile(io.Discard, o.cronScript, func(w io.Writer) error {
			_, err := io.WriteString(w, p.CronScript)
			return err
		})
		if err != nil {
			return err
		}
	}
	if !g.summaries() {
		return nil
	}
	o.shown = ui.Warnings(p)
	return g.showPlan(p, g.verbose == 0)
}

// showPlan writes a plan to stderr, where what is said before and after a run is.
func (g *globals) showPlan(p *platform.Plan, brief bool) error {
	var b strings.Builder
	if err := ui.WritePlan(&b, p, ui.PlanStyle{Width: paper(g.terminal.out), All: g.verbose > 0, Brief: brief}); err != nil {
		return err
	}
	g.screen.Printf("%s\n", b.String())
	return nil
}

// showBlocked tells what has to be decided first.
func (o *migrateFlags) showBlocked(g *globals, p *platform.Plan) error {
	if o.shown == nil {
		if err := g.showPlan(p, false); err != nil {
			return err
		}
	}
	g.printf("pghaul: nothing has been done: decide first what blocks, see above%s", o.blockedHint)
	return nil
}

// tell says what a run has done and what not. The comparison goes to stdout.
func (o *migrateFlags) tell(g *globals, r *migrate.Report, err error) error {
	for _, w := range r.Warnings {
		// The plan's say of what they are before it.
		_, text, _ := strings.Cut(w, ": ")
		if !o.shown[w] && !o.shown[text] {
			g.warn("%s", w)
		}
	}
	for _, e := range r.Failed {
		g.tellFailure(e)
	}
	if r.Verify != nil {
		if err := (&verifyFlags{format: "text"}).print(g, r.Verify); err != nil {
			return err
		}
	}
	g.tellRollback(r.Rollback)
	if g.summaries() {
		for _, line := range o.summary(r, err) {
			g.printf("%s", line)
		}
	}
	if r.Changes.Known && r.Changes.Rows > 0 && r.Follow == "" {
		g.warn("%s of the source changed after the snapshot and are not in the target: for a cut-over stop what writes there, and migrate again",
			ui.Plural(r.Changes.Rows, "row"))
	}
	if n := len(r.Failed); n > 0 && err == nil {
		g.warn("%s failed: the migration is not complete", ui.Plural(int64(n), "step"))
	}
	return nil
}

// summary are the last lines of a run.
func (o *migrateFlags) summary(r *migrate.Report, err error) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	var phases []jsonPhase
	for _, p := range r.Phases {
		if p.State != migrate.NotRun {
			phases = append(phases, jsonPhase{string(p.Phase), p.Elapsed.Seconds()})
		}
	}
	verb := o.verb
	if err != nil {
		verb = "not complete:"
	}
	add("%s %s with %s, %s, and %s in %s%s", verb, ui.Plural(int64(r.Tables), "table"), ui.Plural(r.Rows, "row"), ui.Bytes(r.Bytes),
		ui.Plural(int64(r.Objects), "object"), ui.Duration(r.Elapsed), phaseTimes(phases))
	if r.Resumed {
		text := fmt.Sprintf("went on with run %s: %s were done before", r.Run, ui.Plural(int64(r.Earlier), "step"))
		if n := len(r.Reloaded); n > 0 {
			text += fmt.Sprintf("; loaded again, because their rows changed meanwhile: %s", strings.Join(r.Reloaded, ", "))
		}
		add("%s", text)
	}
	created := 0
	for _, role := range r.Roles {
		if role.Created {
			created++
		}
	}
	if created > 0 {
		text := "created " + ui.Plural(int64(created), "role")
		if o.secrets.path != "" && o.secrets.count() > 0 {
			text += fmt.Sprintf(", %s with new passwords, which are in %s: keep them and delete the file", ui.Count(int64(o.secrets.count())), o.secrets.path)
		}
		add("%s", text)
	}
	add("source at the snapshot: %s", momentText(r.Changes.Snapshot))
	if !r.Changes.End.Time.IsZero() {
		text := "source at the end:      " + momentText(r.Changes.End)
		switch {
		case !r.Changes.Known:
			text += "; whether rows changed meanwhile may not be asked"
		case r.Changes.Rows == 0:
			text += "; no rows changed meanwhile"
		}
		add("%s", text)
	}
	if r.CronScript != "" && o.cronScript != "" {
		add("the jobs of pg_cron are in %s, to be run at the target", o.cronScript)
	}
	return lines
}

func momentText(m migrate.Moment) string {
	text := m.Time.UTC().Format(time.RFC3339)
	if m.Time.IsZero() {
		text = "time unknown"
	}
	return cmp.Or(m.LSN, "position unknown") + ", " + text
}
