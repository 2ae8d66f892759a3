package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/verify"
)

type verifyFlags struct {
	verify.Options
	ends
	policyFlags
	planFile  string
	repairSQL string
	page      string // path of the HTML report
	engine    string
	state     string // path of the journal
	resume    bool
	noPolicy  bool
	archive   string
	level     string
	format    string
}

func newVerify(g *globals) *cobra.Command {
	o := new(verifyFlags)
	cmd := &cobra.Command{
		Use:   "verify [flags] (--source URL | --archive PATH) --target URL",
		Short: "Compare two databases, or an archive and a database",
		Long: `verify reads two databases, each under one snapshot, and compares definitions
object by object, the exact row count and a digest of every table, where each
sequence stands and what large objects hold; with --level more or less. The
digest does not depend on the order of the rows. Definitions are compared without
owners and privileges (--level security has those), and without what servers of
different versions write in different ways about the same thing. Differences that
have to be are told apart, with the reason, and do not count.

With --archive the source need not be there: what an archive of pghaul says of
its rows is compared with the target, and an archive of pg_dump, which says
nothing, is read. ("pghaul archive check" tells whether an archive is what it
was when it was made.)

What a migration maps, rewrites or leaves behind between the platforms of the two
ends is expected: by the plan it went by (--plan), or by what it would be now.

Each end is described by its own URL or connection string, or by PGHAUL_SOURCE
and PGHAUL_TARGET. PG* variables are ignored, so that no password reaches the
wrong server; .pgpass (PGPASSFILE) and service files (PGSERVICEFILE) are read.

` + fmt.Sprintf(exitHelp, "the databases differ"),
		Example: `  pghaul verify --source postgres://app@db1/shop --target postgres://app@db2/shop
  pghaul verify --archive shop.dump --target postgres://app@db2/shop
  pghaul verify --source service=old --target service=new -N audit --format json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if flag := o.given(cmd.Flags()); flag != "" && o.planFile != "" {
				return usagef("%s contradicts --plan: a plan has its own rules", flag)
			}
			return runVerify(cmd.Context(), o, g, args)
		},
	}
	ends := newGroup("The two ends")
	f := ends.flags
	o.addFlags(f, "the original", "the copy")
	f.StringVar(&o.archive, "archive", "", "compare with the archive in `PATH` instead of a source")
	what := newGroup("What to compare")
	f = what.flags
	addSelection(f, &o.Select)
	f.StringVar(&o.level, "level", "default", "compare these: `LIST` of schema, counts, digest, sequences, large-objects, indexes, security, statistics; all or default")
	out := newGroup("Output options")
	f = out.flags
	addJobs(f, &o.Jobs, "read")
	f.StringVar(&o.engine, "engine", "auto", "digest rows by `ENGINE`: stream reads them, push lets the servers\ncompute; auto takes push for servers that are far or behind a slow network")
	f.Int64Var(&o.PartSize, "part-size", 0, "read tables in parts of at least `BYTES`, 64 MiB by default")
	hide(f, "part-size") // for tests, which have no tables of gigabytes
	f.StringVar(&o.state, "state", "", "note in `FILE` which tables are equal")
	f.BoolVar(&o.resume, "resume", false, "do not read tables again that are equal by the file of --state\nand that nobody has written to since")
	f.StringVar(&o.format, "format", "text", "`FORMAT` of the result: text, json or junit")
	f.StringVar(&o.page, "report", "", "write a page for people to `FILE`, HTML that needs nothing else")
	addReportFlag(f, g)
	rows := newGroup("Where rows differ")
	f = rows.flags
	f.IntVar(&o.MaxRows, "max-rows", 10, "show up to `N` rows of each table that differs; 0 does not look for them")
	f.BoolVar(&o.Mask, "mask", false, "show *** for every value of a row")
	f.StringVar(&o.repairSQL, "repair-sql", "", "write SQL that would repair the target to `FILE`; it holds values")
	mapped := newGroup("What was mapped on the way")
	f = mapped.flags
	f.StringVar(&o.planFile, "plan", "", "the plan of the migration is in `FILE`")
	f.BoolVar(&o.noPolicy, "no-policy", false, "expect everything of the source in the target, whatever the platforms are")
	o.addPolicy(f)
	addGroups(cmd, ends, what, rows, mapped, out)
	return cmd
}

func runVerify(ctx context.Context, o *verifyFlags, g *globals, args []string) error {
	switch {
	case len(args) > 0:
		return usagef("verify takes no arguments: the ends are --source and --target")
	case o.MaxRows < 0:
		return usagef("--max-rows must be 0 or more")
	case !slices.Contains([]string{"text", "json", "junit"}, o.format):
		return usagef("--format %q: want text, json or junit", o.format)
	}
	var err error
	if o.Levels, err = verify.ParseLevels(o.level); err != nil {
		return &usageError{err: err}
	}
	if o.Engine, err = verify.ParseEngine(o.engine); err != nil {
		return &usageError{err: err}
	}
	if o.level == "default" {
		o.Levels = nil // those of what there is
	}
	switch {
	case o.archive != "" && o.source != "":
		return usagef("either --source or --archive is the original, not both")
	case o.resume && o.state == "":
		return usagef("--resume needs the file that says what is equal: --state")
	case o.state != "" && o.archive != "":
		return usagef("--state is for comparing two databases, not an archive")
	case o.archive != "" && !reflect.DeepEqual(o.Select, catalog.Selection{}):
		return usagef("what to compare cannot be selected with --archive: all that it holds is compared")
	case o.archive == "":
		if err := o.ends.check(); err != nil {
			return err
		}
	}
	if err := o.mapping(); err != nil {
		return err
	}
	rep, err := g.openReport("verify")
	if err != nil {
		return err
	}
	r, err := o.verify(ctx, g)
	return rep.close(ctx, verifyReport(r, o.digests(r)), err)
}

// mapping settles what the target is expected to have: what a plan says, or what
// the platforms' policy gives.
func (o *verifyFlags) mapping() (err error) {
	if err := o.policyFlags.check(); err != nil {
		return err
	}
	if o.noPolicy {
		return nil
	}
	if o.planFile != "" {
		o.Plan, err = readPlan(o.planFile)
		return err
	}
	o.Rules = &o.rules
	o.SourcePlatform, o.TargetPlatform = platform.Name(o.sourcePlatform), platform.Name(o.targetPlatform)
	return nil
}

func (o *verifyFlags) verify(ctx context.Context, g *globals) (r *verify.Report, err error) {
	if err := dropEnvironment(); err != nil {
		return nil, err
	}
	var original archive.Reader
	if o.archive != "" {
		if original, err = archive.Open(o.archive); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, original.Close()) }()
	}
	var source *endpoint
	list := o.list()
	if o.archive == "" {
		if source, err = list[0].resolve(ctx, g, o.neverAsk); err != nil {
			return nil, err
		}
	}
	target, err := list[1].resolve(ctx, g, o.neverAsk)
	if err != nil {
		return nil, err
	}
	if o.repairSQL != "" {
		file, err := os.OpenFile(o.repairSQL, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) // it holds values
		if err != nil {
			return nil, fmt.Errorf("--repair-sql: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		o.Repair = file
	}
	if o.state != "" {
		if o.Journal, err = verify.OpenJournal(o.state, o.resume); err != nil {
			return nil, fmt.Errorf("--state: %w", err)
		}
		defer func() { err = errors.Join(err, o.Journal.Close()) }()
	}
	page, err := openPage(o.page)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, page.close(false, nil)) }()
	front := ui.Start(ctx, g.screen, ui.Mode(g.progress), "comparing", nil)
	defer front.Stop()
	o.Logger, o.Progress = g.log, front.Tracker
	if original != nil {
		r, err = verify.FromArchive(ctx, original, target.config, o.Options)
	} else {
		r, err = verify.Run(ctx, source.config, target.config, o.Options)
	}
	front.Stop()
	if err != nil {
		return r, err
	}
	if err := o.print(g, r); err != nil {
		return r, err
	}
	if err := page.close(true, func(w io.Writer) error { return writeHTML(w, r) }); err != nil {
		return r, err
	}
	if !r.Equal() {
		return r, errIncomplete
	}
	return r, nil
}

func (o *verifyFlags) print(g *globals, r *verify.Report) error {
	if o.format == "junit" {
		return writeJUnit(g.stdout, r)
	}
	if o.format == "json" {
		return writeJSON(g.stdout, verifyReport(r, o.digests(r)))
	}
	return writeComparison(g.stdout, r, o.digests(r))
}

// digests reports whether rows were compared and not only counted.
func (o *verifyFlags) digests(r *verify.Report) bool {
	return r != nil && slices.ContainsFunc(r.Levels, func(s verify.Summary) bool { return s.Level == verify.LevelDigest })
}
