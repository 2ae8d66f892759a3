package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/restore"
)

type restoreFlags struct {
	restore.Options
	conn     connOptions
	format   string
	sections []string
	list     bool
	dryRun   bool
}

func newRestore(g *globals) *cobra.Command {
	o := new(restoreFlags)
	cmd := &cobra.Command{
		Use:   "restore [flags] -d DBNAME|URL ARCHIVE",
		Short: "Restore an archive into a database",
		Long: `restore plays an archive into a database that exists: one that pghaul dump made,
or a directory archive of pg_dump. It goes on after an error, tells each with
the object and the statement, and ends with how many there were.

The options are pg_restore's. One that pghaul does not have is refused by name.

` + fmt.Sprintf(exitHelp, "steps failed or were skipped and are listed\n       on stderr"),
		Example: `  pghaul restore -d shop shop.dump
  pghaul restore -j 4 -h db2 -U app -d shop --no-owner -v shop.dump
  pghaul restore --dry-run shop.dump`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runRestore(cmd.Context(), o, g, args) },
	}
	o.addFlags(cmd, g)
	return cmd
}

func (o *restoreFlags) addFlags(cmd *cobra.Command, g *globals) {
	how := newGroup("How to restore")
	f := how.flags
	f.StringVarP(&o.format, "format", "F", "", "archive format: d for directory, the only `FORMAT` yet; found out by default")
	f.IntVarP(&o.Jobs, "jobs", "j", 2, "work on `N` connections")
	f.BoolVarP(&o.ExitOnError, "exit-on-error", "e", false, "stop at the first error instead of going on")
	f.BoolVarP(&o.Clean, "clean", "c", false, "drop objects before creating them")
	f.BoolVar(&o.IfExists, "if-exists", false, "with --clean: do not mind objects that are not there")
	f.BoolVarP(&o.list, "list", "l", false, "print the archive's table of contents and exit")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the statements that would run and exit")
	addReportFlag(f, g)

	what := newGroup("What to restore")
	f = what.flags
	f.BoolVarP(&o.SchemaOnly, "schema-only", "s", false, "definitions only, no rows")
	f.BoolVarP(&o.DataOnly, "data-only", "a", false, "rows only, no definitions")
	f.StringArrayVar(&o.sections, "section", nil, "only this `SECTION`: pre-data, data or post-data; may be repeated")
	f.BoolVarP(&o.NoOwner, "no-owner", "O", false, "leave owners as they come")
	f.BoolVarP(&o.NoPrivileges, "no-privileges", "x", false, "no GRANT and REVOKE")
	f.BoolVar(&o.NoComments, "no-comments", false, "no comments")

	conn := newGroup("Connection options")
	o.conn.AddFlags(conn.flags)
	conn.flags.StringVar(&o.Role, "role", "", "SET ROLE `NAME` on every connection")
	addGroups(cmd, how, what, conn)
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
	case o.Jobs < 1:
		return usagef("-j/--jobs must be 1 or more")
	case o.SchemaOnly && o.DataOnly:
		return usagef("-s/--schema-only and -a/--data-only contradict each other")
	case o.Clean && o.DataOnly:
		return usagef("-c/--clean and -a/--data-only contradict each other")
	case o.IfExists && !o.Clean:
		return usagef("--if-exists needs -c/--clean")
	case o.conn.dbname == "" && !o.list && !o.dryRun:
		return usagef("-d is missing: the database to restore into")
	}
	switch o.format {
	case "", "d", "directory":
	case "c", "custom", "t", "tar":
		return usagef("format %q is not supported yet: pghaul reads directory archives", o.format)
	default:
		return usagef("format %q: want d, the directory format", o.format)
	}
	var err error
	o.Sections, err = parseSections(o.sections)
	return err
}

func runRestore(ctx context.Context, o *restoreFlags, g *globals, args []string) (err error) {
	if err := o.check(args); err != nil {
		return err
	}
	if o.list {
		return runList(ctx, &listFlags{format: "text"}, g, args)
	}
	rep, err := g.openReport("restore")
	if err != nil {
		return err
	}
	r, err := o.restore(ctx, g, args[0])
	return rep.close(ctx, restoreReport(r), err)
}

func (o *restoreFlags) restore(ctx context.Context, g *globals, path string) (r *restore.Report, err error) {
	in, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmpErr(err, in.Close()) }()
	source := restore.FromArchive(in)
	if o.dryRun {
		plan, err := restore.NewPlan(source, o.Options)
		if err == nil {
			_, err = plan.WriteTo(g.stdout)
		}
		return nil, err
	}
	target, err := o.conn.endpoint(ctx, g.terminal)
	if err != nil {
		return nil, err
	}
	front := ui.Start(ctx, g.screen, ui.Mode(g.progress), "restoring")
	defer front.Stop()
	o.Logger, o.Progress = g.log, front.Tracker
	r, err = restore.Run(ctx, target.config, source, o.Options)
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
			phaseTimes(restorePhases(r.Phases)))
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
