package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/restore"
)

type restoreFlags struct {
	restore.Options
	conn        connOptions
	format      string
	limit       rate
	sections    []string
	file        string // SQL script to write
	restrictKey string
	useList     string
	txSize      int
	indexMemory string
	statistics  bool
	list        bool
	dryRun      bool
	jobsGiven   bool
	policy      policyOptions
	journal     journalOptions
}

func newRestore(g *globals) *cobra.Command {
	o := new(restoreFlags)
	cmd := &cobra.Command{
		Use:   "restore [flags] -d DBNAME|URL ARCHIVE",
		Short: "Restore an archive into a database",
		Long: `restore plays an archive into a database that exists, or with -C is created: one
that pghaul dump or pg_dump made (directory, custom or tar). It goes on after an
error, tells each with the object and the statement, and ends with how many
there were. With -f it writes an SQL script instead and needs no server.

Into a managed platform such as Neon it restores by that platform's policy, as
migrate does: what cannot be there is left out or mapped, roles are created, and
what was decided is told first. --platform-policy off leaves all that alone.

The options are pg_restore's. One that pghaul does not have is refused by name.

` + fmt.Sprintf(exitHelp, "steps failed or were skipped and are listed\n       on stderr"),
		Example: `  pghaul restore -d shop shop.dump
  pghaul restore -j 4 -h db2 -U app -d shop --no-owner -v shop.dump
  pghaul restore --dry-run shop.dump`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.jobsGiven = cmd.Flags().Changed("jobs")
			if cmd.Flags().Changed("transaction-size") && o.txSize < 1 {
				return usagef("--transaction-size must be 1 or more")
			}
			if flag := o.policy.move.given(cmd.Flags()); o.policy.move.plan != "" && flag != "" {
				return usagef("--plan and %s contradict each other: the plan says what is done", flag)
			}
			return runRestore(cmd.Context(), o, g, args)
		},
	}
	o.addFlags(cmd, g)
	return cmd
}

func (o *restoreFlags) addFlags(cmd *cobra.Command, g *globals) {
	how := newGroup("How to restore")
	f := how.flags
	f.StringVarP(&o.format, "format", "F", "", "archive `FORMAT`: d, c or t; whatever is given, the archive itself says")
	addJobs(f, &o.Jobs, "work")
	addRate(f, &o.limit, "the server")
	f.BoolVarP(&o.ExitOnError, "exit-on-error", "e", false, "stop at the first error instead of going on")
	f.BoolVarP(&o.Clean, "clean", "c", false, "drop objects before creating them")
	f.BoolVar(&o.IfExists, "if-exists", false, "with --clean: do not mind objects that are not there")
	f.BoolVarP(&o.Create, "create", "C", false, "create the archive's database, connected to -d's, and restore into it")
	f.BoolVarP(&o.SingleTransaction, "single-transaction", "1", false, "restore all or nothing, on one connection")
	f.IntVar(&o.txSize, "transaction-size", 0, "commit after every `N` steps, on one connection, and stop at an error")
	f.BoolVar(&o.NoDataForFailedTables, "no-data-for-failed-tables", false, "load no rows into tables that could not be created")
	f.BoolVar(&o.DisableTriggers, "disable-triggers", false, "with rows only: switch triggers off while a table loads")
	f.StringVarP(&o.Superuser, "superuser", "S", "", "with --disable-triggers: do so as `NAME`")
	f.BoolVar(&o.RowSecurity, "enable-row-security", false, "load under row-level security")
	f.BoolVar(&o.Analyze, "analyze", false, "gather the planner's statistics of each table, unless they are restored")
	f.StringVar(&o.indexMemory, "max-index-memory", "", "`SIZE` that builds of indexes may take in the target together, such as 1GB")
	f.StringVarP(&o.file, "file", "f", "", "write an SQL script for psql to `FILE`, - for stdout, instead")
	f.StringVar(&o.restrictKey, "restrict-key", "", "`KEY` that guards the script of -f; a random one by default")
	f.BoolVarP(&o.list, "list", "l", false, "print the archive's table of contents and exit")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the statements that would run and exit")
	o.journal.addFlags(f)
	addReportFlag(f, g)

	what := newGroup("What to restore")
	f = what.flags
	f.BoolVarP(&o.SchemaOnly, "schema-only", "s", false, "definitions only, no rows")
	f.BoolVarP(&o.DataOnly, "data-only", "a", false, "rows only, no definitions")
	f.StringArrayVar(&o.sections, "section", nil, "only this `SECTION`: pre-data, data or post-data; may be repeated")
	f.BoolVar(&o.StatisticsOnly, "statistics-only", false, "the planner's statistics only")
	f.BoolVar(&o.NoSchema, "no-schema", false, "no definitions")
	f.BoolVar(&o.NoData, "no-data", false, "no rows")
	f.BoolVar(&o.NoStatistics, "no-statistics", false, "no statistics of the planner")
	f.BoolVar(&o.statistics, "statistics", false, "statistics of the planner, which is the default")
	f.StringArrayVarP(&o.Schemas, "schema", "n", nil, "only what is in schema `NAME`")
	f.StringArrayVarP(&o.ExcludeSchemas, "exclude-schema", "N", nil, "nothing that is in schema `NAME`")
	f.StringArrayVarP(&o.Tables, "table", "t", nil, "only table, view or sequence `NAME`")
	f.StringArrayVarP(&o.Indexes, "index", "I", nil, "only index `NAME`")
	f.StringArrayVarP(&o.Functions, "function", "P", nil, "only function `NAME(TYPES)`")
	f.StringArrayVarP(&o.Triggers, "trigger", "T", nil, "only trigger `NAME`, given as \"TABLE TRIGGER\"")
	f.Var(&ruleFiles{rule: o.rule}, "filter", "select by the rules in `FILE`, - for stdin")
	f.BoolVar(&o.StrictNames, "strict-names", false, "fail when a name given selects nothing")
	f.StringVarP(&o.useList, "use-list", "L", "", "only what `FILE`, made with -l, lists, in its order")
	f.BoolVarP(&o.NoOwner, "no-owner", "O", false, "leave owners as they come")
	f.BoolVarP(&o.NoPrivileges, "no-privileges", "x", false, "no GRANT and REVOKE")
	f.BoolVar(&o.NoComments, "no-comments", false, "no comments")
	f.BoolVar(&o.NoPolicies, "no-policies", false, "no row-level-security policies")
	f.BoolVar(&o.NoPublications, "no-publications", false, "no publications")
	f.BoolVar(&o.NoSubscriptions, "no-subscriptions", false, "no subscriptions")
	f.BoolVar(&o.NoSecurityLabels, "no-security-labels", false, "no security labels")
	f.BoolVar(&o.NoTablespaces, "no-tablespaces", false, "everything in the default tablespace")
	f.BoolVar(&o.NoTableAccessMethod, "no-table-access-method", false, "all tables with the default access method")

	conn := newGroup("Connection options")
	o.conn.AddFlags(conn.flags)
	conn.flags.StringVar(&o.Role, "role", "", "SET ROLE `NAME` on every connection")
	policy := newGroup("What platforms do differently")
	o.policy.addFlags(policy.flags)
	addGroups(cmd, how, what, policy, conn)
	alias(cmd.Flags(), "no-acl", "no-privileges")
	addPgOptions(cmd.Flags(), "pg_restore", restoreOptions)
}

// check turns the flags into options of the library.
func (o *restoreFlags) check(args []string) error {
	switch {
	case len(args) == 0:
		return usagef("ARCHIVE is missing: the directory to restore from")
	case len(args) > 1:
		return usagef("too many arguments: one archive at a time")
	case o.IfExists && !o.Clean:
		return usagef("--if-exists needs -c/--clean")
	case o.conn.dbname == "" && o.file == "" && !o.list && !o.dryRun:
		return usagef("-d is missing, the database to restore into, or -f, the SQL script to write")
	}
	for _, pair := range []struct {
		both          bool
		first, second string
	}{
		{o.conn.dbname != "" && o.file != "", "-d/--dbname", "-f/--file"},
		{o.conn.dbname != "" && o.restrictKey != "", "-d/--dbname", "--restrict-key"},
		{o.SchemaOnly && o.DataOnly, "-s/--schema-only", "-a/--data-only"},
		{o.SchemaOnly && o.StatisticsOnly, "-s/--schema-only", "--statistics-only"},
		{o.DataOnly && o.StatisticsOnly, "-a/--data-only", "--statistics-only"},
		{o.SchemaOnly && o.NoSchema, "-s/--schema-only", "--no-schema"},
		{o.DataOnly && o.NoData, "-a/--data-only", "--no-data"},
		{o.StatisticsOnly && o.NoStatistics, "--statistics-only", "--no-statistics"},
		{o.statistics && o.NoStatistics, "--statistics", "--no-statistics"},
		{o.statistics && o.SchemaOnly, "-s/--schema-only", "--statistics"},
		{o.statistics && o.DataOnly, "-a/--data-only", "--statistics"},
		{o.Clean && o.DataOnly, "-c/--clean", "-a/--data-only"},
		{o.Create && o.SingleTransaction, "-C/--create", "-1/--single-transaction"},
		{o.txSize > 0 && o.SingleTransaction, "-1/--single-transaction", "--transaction-size"},
		{o.jobsGiven && o.Jobs > 1 && o.SingleTransaction, "-1/--single-transaction", "-j/--jobs"},
	} {
		if pair.both {
			return usagef("%s and %s contradict each other", pair.first, pair.second)
		}
	}
	if err := o.journal.check(o); err != nil {
		return err
	}
	if err := o.policy.check(o); err != nil {
		return err
	}
	if o.TransactionSize = o.txSize; o.txSize > 0 || o.SingleTransaction {
		o.Jobs = 1
	}
	switch o.format {
	case "", "d", "directory", "c", "custom", "t", "tar": // the archive itself says
	default:
		return usagef("format %q: want d, c or t", o.format)
	}
	var err error
	if o.indexMemory != "" {
		if o.MaxIndexMemory, err = parseMemory(o.indexMemory); err != nil {
			return usagef("--max-index-memory: %v", err)
		}
	}
	o.Sections, err = parseSections(o.sections)
	return err
}

// rule adds a rule of a filter file.
func (o *restoreFlags) rule(command, what, name string) error {
	into := map[string]*[]string{
		"include schema": &o.Schemas, "exclude schema": &o.ExcludeSchemas, "include table": &o.Tables,
		"include index": &o.Indexes, "include function": &o.Functions, "include trigger": &o.Triggers,
	}[command+" "+what]
	if into == nil {
		return fmt.Errorf("%q cannot be used with %s", what, command)
	}
	*into = append(*into, name)
	return nil
}

// readList reads the file of -L.
func (o *restoreFlags) readList(g *globals) (err error) {
	if o.useList == "" {
		return nil
	}
	f, err := os.Open(o.useList)
	if err != nil {
		return fmt.Errorf("-L/--use-list: %w", err)
	}
	defer func() { err = cmpErr(err, f.Close()) }()
	var ignored []string
	if o.List, ignored, err = restore.ReadList(f, o.useList); err != nil {
		return err
	}
	for _, line := range ignored {
		g.warn("%s: line ignored: %s", o.useList, line)
	}
	return nil
}

func runRestore(ctx context.Context, o *restoreFlags, g *globals, args []string) (err error) {
	if err := o.check(args); err != nil {
		return err
	}
	rep, err := g.openReport("restore")
	if err != nil {
		return err
	}
	r, err := o.restore(ctx, g, args[0])
	return rep.close(ctx, r, err)
}

// restore does what is asked for and returns what goes into the report: nil,
// that of a restore, or, by a platform's policy, that of a migration.
func (o *restoreFlags) restore(ctx context.Context, g *globals, path string) (r any, err error) {
	in, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmpErr(err, in.Close()) }()
	if err := o.readList(g); err != nil {
		return nil, err
	}
	source := restore.FromArchive(in)
	switch {
	case o.list:
		entries, err := restore.Select(source, o.Options)
		if err != nil {
			return nil, err
		}
		return nil, toFile(g.stdout, o.file, func(w io.Writer) error { return archive.WriteEntries(w, in, entries) })
	case o.file != "":
		o.Logger = g.log
		return nil, toFile(g.stdout, o.file, func(w io.Writer) error {
			return restore.WriteScript(ctx, w, source, o.Options, restrictKey(o.restrictKey))
		})
	case o.dryRun:
		plan, err := restore.NewPlan(source, o.Options)
		if err == nil {
			_, err = plan.WriteTo(g.stdout)
		}
		return nil, err
	}
	o.conn.warnOfPassword(g)
	target, err := o.conn.endpoint(ctx, g.terminal)
	if err != nil {
		return nil, err
	}
	pg.LimitRate(target.config, int64(o.limit))
	if o.byPolicy(ctx, g, target.config) {
		moved, err := o.runPolicy(ctx, g, source, target.config)
		return migrateReport(moved), err
	}
	done, err := o.run(ctx, g, source, target)
	return restoreReport(done), err
}

// run restores into a database.
func (o *restoreFlags) run(ctx context.Context, g *globals, source restore.Source, target *endpoint) (*restore.Report, error) {
	journal := o.journal.open(o, g, source, target.config)
	config := target.config
	if journal != nil {
		o.Journal, config = journal, journal.Target()
	}
	front := ui.Start(ctx, g.screen, ui.Mode(g.progress), "restoring", nil)
	defer front.Stop()
	o.Logger, o.Progress = g.log, front.Tracker
	r, err := restore.Run(ctx, config, source, o.Options)
	if refused, ok := errors.AsType[*restore.JournalError](err); ok && !o.journal.resume {
		g.warn("%s: going on without one, so that a run that is killed cannot be resumed", refused)
		journal.Close()
		journal, o.Journal = nil, nil
		r, err = restore.Run(ctx, target.config, source, o.Options)
	}
	err = closeJournal(ctx, journal, err)
	front.Stop()
	if r != nil {
		g.tellRestore(r, err)
	}
	if err == nil && !r.Complete() {
		err = errIncomplete
	}
	if step, ok := errors.AsType[*restore.StepError](err); ok && slices.Contains(r.Failed, step) {
		err = &toldError{err}
	}
	return r, err
}

// cmpErr returns the first of two errors that is one.
func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// tellRestore tells what did not work, and what did, in a run that ended with
// err.
func (g *globals) tellRestore(r *restore.Report, err error) {
	for _, w := range r.Warnings {
		g.warn("%s", w)
	}
	for _, e := range r.Failed {
		g.tellFailure(e)
	}
	for _, s := range r.Skipped {
		g.warn("skipped: %s %s: %s", s.Kind, s.Name, s.Reason)
	}
	if g.summaries() {
		g.printf("restored %s, %s in %s%s", ui.Plural(r.Rows, "row"), ui.Bytes(r.Bytes), ui.Duration(r.Elapsed),
			phaseTimes(each(r.Phases, restorePhase)))
	}
	if err == nil && !r.Complete() {
		all := len(r.Failed) + len(r.Skipped) + r.Restored
		line := fmt.Sprintf("%s of %s failed", ui.Count(int64(len(r.Failed))), ui.Plural(int64(all), "step"))
		if n := len(r.Skipped); n > 0 {
			line += fmt.Sprintf(", %s skipped because of that", ui.Count(int64(n)))
		}
		g.warn("%s", line)
	}
}

// tellFailure tells a failed step, in JSON with the fields of a report.
func (g *globals) tellFailure(e *restore.StepError) {
	if g.logFormat != "json" {
		g.printf("%s", failure(e))
		return
	}
	f := failureReport(e)
	attrs := []any{"entry", f.Entry, "kind", f.Kind, "name", f.Name}
	for _, a := range [][2]string{{"sqlstate", f.SQLState}, {"detail", f.Detail}, {"hint", f.Hint}, {"sql", f.SQL}} {
		if a[1] != "" {
			attrs = append(attrs, a[0], a[1])
		}
	}
	g.log.Error(f.Error, attrs...)
}

const (
	sqlLines = 12  // how much of a statement is shown
	sqlWidth = 200 // of each of its lines
)

// failure tells one failed step as exactly as pg_restore does: the object, what
// the server said, and the statement.
func failure(e *restore.StepError) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pghaul: error: %s %s (entry %d): %s", e.Kind, e.Name, e.ID, indent(e.Err.Error(), "    "))
	fact := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "\n    %s: %s", name, indent(text, "        "))
		}
	}
	if pe, ok := errors.AsType[*pgconn.PgError](e.Err); ok {
		fact("detail", pe.Detail)
		fact("hint", pe.Hint)
		fact("context", firstLines(pe.Where, 4))
	}
	sql := strings.Trim(e.SQL, "\n")
	lines := strings.Split(sql, "\n")
	if e.Line > sqlLines && e.Line <= len(lines) {
		fact(fmt.Sprintf("line %d", e.Line), strings.TrimSpace(clip(lines[e.Line-1])))
	}
	fact("statement", firstLines(sql, sqlLines))
	return b.String()
}

// firstLines returns the beginning of a text, saying how much is left out.
func firstLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	rest := len(lines) - n
	if rest > 0 {
		lines = lines[:n]
	}
	for i, line := range lines {
		lines[i] = clip(line)
	}
	out := strings.Join(lines, "\n")
	if rest > 0 {
		out += fmt.Sprintf("\n... (%s more)", ui.Plural(int64(rest), "line"))
	}
	return out
}

// clip cuts a long line.
func clip(line string) string {
	runes := []rune(line)
	if len(runes) <= sqlWidth {
		return line
	}
	return fmt.Sprintf("%s... (%s more)", string(runes[:sqlWidth]), ui.Plural(int64(len(runes)-sqlWidth), "character"))
}
