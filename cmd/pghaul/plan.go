package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

type planFlags struct {
	ends
	policyFlags
	sel     catalog.Selection
	file    string
	format  string
	archive string // in the place of the source
}

func newPlan(g *globals) *cobra.Command {
	o := new(planFlags)
	cmd := &cobra.Command{
		Use:   "plan [flags] (--source URL | --archive PATH) --target URL",
		Short: "Say what a migration would do with every object",
		Long: `plan reads two databases and says what migrate would do with everything that the
source has: keep it, skip it, map it to another owner, name or grantee, rewrite
it, or that it cannot go over, and why. It changes nothing at either end.

The plan that -o writes can be edited, and "migrate --plan" follows it exactly.

` + endsHelp + `

` + fmt.Sprintf(exitHelp, "something blocks: each with a way out"),
		Example: `  pghaul plan --source "$AZURE_URL" --target "$NEON_URL"
  pghaul plan --source "$AZURE_URL" --target "$NEON_URL" -n app -o plan.yaml
  pghaul plan --source "$AZURE_URL" --target "$NEON_URL" --format json
  pghaul plan --archive shop.dump --target "$NEON_URL"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runPlan(cmd.Context(), o, g, args) },
	}
	both := newGroup("The two ends")
	o.addFlags(both.flags, "the database to move", "the database to move it into")
	both.flags.StringVar(&o.archive, "archive", "", "plan to restore the archive in `PATH` instead")
	what := newGroup("What to move")
	addSelection(what.flags, &o.sel)
	how := newGroup("How to move it")
	o.addPolicy(how.flags)
	o.addCollision(how.flags)
	out := newGroup("Output options")
	out.flags.StringVarP(&o.file, "output", "o", "", "write the plan as YAML to `FILE`, for migrate --plan")
	out.flags.StringVar(&o.format, "format", "text", "`FORMAT` of what is printed: text, in groups, with -v in full; yaml or json, everything")
	addReportFlag(out.flags, g)
	addGroups(cmd, both, what, how, out)
	return cmd
}

const endsHelp = `Each end is described by its own URL or connection string, as the consoles of
Azure and Neon give them, or by PGHAUL_SOURCE and PGHAUL_TARGET. PG* variables
are ignored, so that no password reaches the wrong server; .pgpass (PGPASSFILE)
and service files (PGSERVICEFILE) are read.`

func runPlan(ctx context.Context, o *planFlags, g *globals, args []string) error {
	switch {
	case len(args) > 0:
		return usagef("plan takes no arguments: the ends are --source and --target")
	case o.format != "text" && o.format != "yaml" && o.format != "json":
		return usagef("--format %q: want text, yaml or json", o.format)
	}
	if o.archive == "" {
		if err := o.ends.check(); err != nil {
			return err
		}
	} else if o.source != "" || !reflect.DeepEqual(o.sel, catalog.Selection{}) {
		return usagef("--archive is planned as a whole: leave --source and what selects objects out")
	}
	if err := o.policyFlags.check(); err != nil {
		return err
	}
	rep, err := g.openReport("plan")
	if err != nil {
		return err
	}
	p, err := o.plan(ctx, g)
	var result any
	if p != nil {
		result = p
	}
	return rep.close(ctx, result, err)
}

func (o *planFlags) plan(ctx context.Context, g *globals) (*platform.Plan, error) {
	p, err := o.read(ctx, g)
	if err != nil {
		return nil, err
	}
	if o.file != "" {
		if err := toFile(g.stdout, o.file, p.WriteYAML); err != nil {
			return p, err
		}
	}
	if o.file != "-" {
		if err := o.print(g, p); err != nil {
			return p, err
		}
	}
	if len(p.Blocked()) > 0 {
		return p, errIncomplete
	}
	return p, nil
}

// read reads both ends.
func (o *planFlags) read(ctx context.Context, g *globals) (p *platform.Plan, err error) {
	opts := migrate.Options{
		Rules: o.rules, Select: o.sel, Logger: g.log,
		SourcePlatform: platform.Name(o.sourcePlatform), TargetPlatform: platform.Name(o.targetPlatform),
	}
	if o.archive == "" {
		source, target, err := o.resolve(ctx, g)
		if err != nil {
			return nil, err
		}
		return migrate.NewPlan(ctx, source.config, target.config, opts)
	}
	if err := dropEnvironment(); err != nil {
		return nil, err
	}
	in, err := openArchive(o.archive)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmpErr(err, in.Close()) }()
	target, err := o.list()[1].resolve(ctx, g, o.neverAsk)
	if err != nil {
		return nil, err
	}
	return migrate.PlanArchive(ctx, restore.FromArchive(in), target.config, opts)
}

func (o *planFlags) print(g *globals, p *platform.Plan) error {
	switch o.format {
	case "yaml":
		return p.WriteYAML(g.stdout)
	case "json":
		return p.WriteJSON(g.stdout)
	}
	if err := ui.WritePlan(g.stdout, p, ui.PlanStyle{Width: paper(g.stdout), All: g.verbose > 0}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(g.stdout, "\n%s\n", o.next(p))
	return err
}

// next says what can be done with the plan.
func (o *planFlags) next(p *platform.Plan) string {
	n := len(p.Blocked())
	switch {
	case n == 1:
		return "1 thing blocks: decide it as said above, or edit the plan (-o FILE)."
	case n > 1:
		return fmt.Sprintf("%d things block: decide them as said above, or edit the plan (-o FILE).", n)
	case o.file != "":
		return fmt.Sprintf("Nothing blocks. Next: pghaul %s --plan %s", o.doer(), o.file)
	}
	return fmt.Sprintf("Nothing blocks. Next: pghaul %s with the same options.", o.doer())
}

// doer is the command that follows the plan.
func (o *planFlags) doer() string {
	if o.archive != "" {
		return "restore"
	}
	return "migrate"
}

// paper is how many columns a text for people may have: those of a terminal,
// within reason.
func paper(w io.Writer) int {
	const usual = 100
	f, ok := w.(*os.File)
	if !ok {
		return usual
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return min(max(width, 60), 140)
	}
	return usual
}

// readPlan reads the plan that is to be followed.
func readPlan(path string) (*platform.Plan, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("--plan: %v", err)
	}
	p, err := platform.ReadPlan(bytes.NewReader(text))
	if err != nil {
		return nil, usagef("--plan: %s: %v", path, err)
	}
	return p, nil
}
