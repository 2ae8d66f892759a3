package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

type dumpFlags struct {
	dump.Options
	conn           connOptions
	format         string
	compress       string
	lockTimeout    string
	limit          rate
	noData         bool
	noSchema       bool
	noStatistics   bool
	sections       []string
	copyFormat     string
	inserts        bool
	columnInserts  bool
	rowsPerInsert  int
	onConflict     bool
	floatDigits    string
	restrictKey    string
	script         restore.Options
	sessionOwner   bool
	archiveVersion string
	custom         bool // one file or stream
	plain          bool // SQL instead of an archive
}

func newDump(g *globals) *cobra.Command {
	o := new(dumpFlags)
	cmd := &cobra.Command{
		Use:   "dump [flags] [DBNAME|URL]",
		Short: "Dump a database into an archive",
		Long: `dump writes a database into an archive in pg_dump's format, a directory or one
file, that pghaul restore and pg_restore read, or as an SQL script. Everything is read under one snapshot; the
database stays in use meanwhile.

The options are pg_dump's. One that pghaul does not have is refused by name;
what only shapes an SQL script has no effect on an archive, as in pg_dump.

` + fmt.Sprintf(exitHelp, "objects that could not be dumped are listed on\n       stderr and in the archive"),
		Example: `  pghaul dump -d shop -f shop.dump
  pghaul dump -Fd -j 4 -h db1 -p 5432 -U app shop -N cron -v -f shop.dump
  pghaul dump -d "$SOURCE_URL" -t 'public.orders*' -Z zstd:9 -f orders.dump`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runDump(cmd.Context(), o, g, args) },
	}
	o.addFlags(cmd, g)
	return cmd
}

func (o *dumpFlags) addFlags(cmd *cobra.Command, g *globals) {
	out := newGroup("Output options")
	f := out.flags
	f.StringVarP(&o.Dir, "file", "f", "", "`PATH` to write: a directory that must not exist or be empty; with -Fc and -Fp\na file, which is replaced when the new one is complete, by default stdout")
	f.BoolVar(&o.Overwrite, "overwrite", false, "start over the archive in the directory, complete or interrupted; with -Fc what\nan interrupted dump has left of the file")
	f.StringVarP(&o.format, "format", "F", "d", "`FORMAT`: d, a directory archive, c, a custom archive in one file, or p, a plain SQL script for psql")
	f.StringVar(&o.archiveVersion, "archive-version", "1.16", "`VERSION` of the table of contents: 1.16, 1.15 for pg_restore 16, or 1.14\nfor 12 to 15, with gzip or none")
	addJobs(f, &o.Jobs, "read tables")
	f.StringVarP(&o.compress, "compress", "Z", "zstd", "`METHOD[:LEVEL]`: zstd, lz4, gzip or none; 0 to 9 is gzip")
	f.BoolVar(&o.NoSync, "no-sync", false, "do not wait for the files to reach the disk")
	f.StringVar(&o.lockTimeout, "lock-wait-timeout", "", "fail when a table lock takes longer than `TIME`: ms, or with a unit (5s)")
	addRate(f, &o.limit, "the server")
	f.Int64Var(&o.PartSize, "part-size", 0, "cut tables into parts of at least `BYTES`, 64 MiB by default")
	hide(f, "part-size") // for tests, which have no tables of gigabytes
	addReportFlag(f, g)

	what := newGroup("What to dump")
	f = what.flags
	addSelection(f, &o.Select)
	f.BoolVarP(&o.Select.SchemaOnly, "schema-only", "s", false, "definitions only, no rows")
	f.BoolVarP(&o.Select.DataOnly, "data-only", "a", false, "rows only, no definitions")
	f.BoolVarP(&o.Select.LargeObjects, "large-objects", "b", false, "take large objects, too, with -n, -t or -s")
	f.BoolVarP(&o.Select.NoLargeObjects, "no-large-objects", "B", false, "no large objects")
	f.BoolVarP(&o.NoOwner, "no-owner", "O", false, "do not say who owns what")
	f.BoolVarP(&o.NoPrivileges, "no-privileges", "x", false, "no GRANT and REVOKE")
	f.BoolVar(&o.NoComments, "no-comments", false, "no comments")
	f.BoolVar(&o.NoPolicies, "no-policies", false, "no row-level-security policies")
	f.BoolVar(&o.NoPublications, "no-publications", false, "no publications")
	f.BoolVar(&o.NoSubscriptions, "no-subscriptions", false, "no subscriptions")
	f.BoolVar(&o.NoSecurityLabels, "no-security-labels", false, "no security labels")
	f.BoolVar(&o.NoToastCompression, "no-toast-compression", false, "no compression methods of columns")
	f.BoolVar(&o.Select.NoUnloggedData, "no-unlogged-table-data", false, "no rows of unlogged tables")
	f.BoolVar(&o.noData, "no-data", false, "no rows")
	f.BoolVar(&o.noSchema, "no-schema", false, "no definitions")
	f.BoolVar(&o.Select.SequenceData, "sequence-data", false, "the positions of sequences, too, with -s or --no-data")
	f.BoolVar(&o.Select.Statistics, "statistics", false, "what the planner knows of tables and indexes, too, for targets of PostgreSQL 18")
	f.BoolVar(&o.Select.StatisticsOnly, "statistics-only", false, "what the planner knows, and nothing else")
	f.BoolVar(&o.noStatistics, "no-statistics", false, "nothing of what the planner knows; the default")
	f.StringArrayVar(&o.sections, "section", nil, "only `SECTION`: pre-data, data or post-data; may be repeated")
	f.StringArrayVar(&o.Select.ForeignData, "include-foreign-data", nil, "the rows of foreign tables, too, on servers matching `PATTERN`")
	f.StringVarP(&o.Encoding, "encoding", "E", "", "write the archive in `ENCODING` instead of the database's")
	f.StringVar(&o.Snapshot, "snapshot", "", "use the snapshot exported as `ID`")

	rows := newGroup("How rows are read and written")
	f = rows.flags
	f.StringVar(&o.copyFormat, "copy-format", "text", "`FORMAT` of the rows in the archive: text, or binary, for servers of the same\nmajor version; tables with types that allow no such thing go as text")
	f.BoolVar(&o.inserts, "inserts", false, "INSERT statements instead of COPY data")
	f.BoolVar(&o.columnInserts, "column-inserts", false, "INSERT statements that name the columns")
	f.IntVar(&o.rowsPerInsert, "rows-per-insert", 0, "INSERT statements of `N` rows each")
	f.BoolVar(&o.onConflict, "on-conflict-do-nothing", false, "INSERT statements that skip rows already there")
	f.BoolVar(&o.ViaRoot, "load-via-partition-root", false, "load rows of partitions through the topmost table")
	f.BoolVar(&o.RowSecurity, "enable-row-security", false, "read only what row-level security lets the role see")
	f.StringVar(&o.floatDigits, "extra-float-digits", "", "write floating-point numbers with `N`, -15 to 3, extra digits")
	f.BoolVar(&o.Deferrable, "serializable-deferrable", false, "wait for a snapshot without anomalies of running transactions")

	script := newGroup("How to write the script of -Fp; without effect on an archive")
	o.addScriptFlags(script.flags)

	conn := newGroup("Connection options")
	o.conn.AddFlags(conn.flags)
	conn.flags.StringVar(&o.Role, "role", "", "SET ROLE `NAME` on every connection")
	addGroups(cmd, out, what, rows, script, conn)

	alias(cmd.Flags(), "blobs", "large-objects")
	alias(cmd.Flags(), "no-blobs", "no-large-objects")
	alias(cmd.Flags(), "no-acl", "no-privileges")
	alias(cmd.Flags(), "attribute-inserts", "column-inserts")
	addPgOptions(cmd.Flags(), "pg_dump", dumpOptions)
}

// hide keeps a flag out of the help.
func hide(f *pflag.FlagSet, name string) { f.Lookup(name).Hidden = true }

// alias adds another name, hidden, for a flag.
func alias(f *pflag.FlagSet, name, of string) {
	flag := *f.Lookup(of)
	flag.Name, flag.Shorthand, flag.Hidden = name, "", true
	f.AddFlag(&flag)
}

// check turns the flags into options of the library.
func (o *dumpFlags) check(args []string) error {
	switch {
	case len(args) > 1, len(args) == 1 && o.conn.dbname != "":
		return usagef("too many arguments: one database at a time")
	case o.Select.SchemaOnly && o.Select.DataOnly:
		return usagef("-s/--schema-only and -a/--data-only contradict each other")
	case o.script.Clean && o.Select.DataOnly:
		return usagef("-c/--clean and -a/--data-only contradict each other")
	case o.script.IfExists && !o.script.Clean:
		return usagef("--if-exists needs -c/--clean")
	case o.Select.LargeObjects && o.Select.NoLargeObjects:
		return usagef("-b/--large-objects and -B/--no-large-objects contradict each other")
	}
	if len(args) == 1 {
		o.conn.dbname = args[0]
	}
	switch o.format {
	case "d", "directory":
	case "p", "plain":
		o.plain = true
	case "c", "custom":
		o.custom = true
	case "t", "tar":
		return usagef("format %q is read but not written: it can be neither compressed nor written in parallel; use -Fd or -Fc", o.format)
	default:
		return usagef("format %q: want d, a directory archive, c, a custom archive, or p, a plain SQL script", o.format)
	}
	if err := o.checkRows(); err != nil {
		return err
	}
	if o.Dir == "" && !o.plain && !o.custom {
		return usagef("-f DIR is missing: the directory to write the archive into")
	}
	var err error
	if o.Compression, o.Level, err = parseCompression(o.compress); err != nil {
		return err
	}
	if o.ArchiveVersion, err = parseArchiveVersion(o.archiveVersion, o.Compression); err != nil {
		return err
	}
	o.LockWaitTimeout, err = parseTimeout(o.lockTimeout)
	return err
}

// checkRows turns the flags about rows and sections into options.
func (o *dumpFlags) checkRows() (err error) {
	switch {
	case o.Select.DataOnly && o.noData:
		return usagef("-a/--data-only and --no-data contradict each other")
	case o.Select.SchemaOnly && o.noSchema:
		return usagef("-s/--schema-only and --no-schema contradict each other")
	case o.noData && o.noSchema && !o.Select.SequenceData:
		return usagef("--no-data and --no-schema together leave nothing to dump")
	case o.Select.SchemaOnly && len(o.Select.ForeignData) > 0:
		return usagef("-s/--schema-only and --include-foreign-data contradict each other")
	case o.Select.StatisticsOnly && (o.Select.DataOnly || o.Select.SchemaOnly || o.noStatistics):
		return usagef("--statistics-only contradicts -a/--data-only, -s/--schema-only and --no-statistics")
	case o.Select.Statistics && (o.Select.DataOnly || o.Select.SchemaOnly || o.noStatistics):
		return usagef("--statistics contradicts -a/--data-only, -s/--schema-only and --no-statistics")
	case o.copyFormat != "text" && o.copyFormat != "binary":
		return usagef("--copy-format %q: want text or binary", o.copyFormat)
	case o.rowsPerInsert < 0:
		return usagef("--rows-per-insert must be 1 or more")
	case o.onConflict && !o.inserts && !o.columnInserts && o.rowsPerInsert == 0:
		return usagef("--on-conflict-do-nothing needs --inserts, --column-inserts or --rows-per-insert")
	case o.sessionOwner && o.plain:
		return usagef("--use-set-session-authorization is an option of pg_dump that pghaul does not have: %s", whyAlterOwner)
	case o.restrictKey != "" && !o.plain:
		return usagef("--restrict-key is for -Fp only")
	}
	o.Select.SchemaOnly = o.Select.SchemaOnly || o.noData
	o.Select.DataOnly = o.Select.DataOnly || o.noSchema
	if o.CopyFormat = copyproto.Format(o.copyFormat); o.CopyFormat == copyproto.Binary {
		switch {
		case o.plain:
			return usagef("--copy-format=binary is for archives: no SQL script can hold such rows")
		case o.inserts || o.columnInserts || o.rowsPerInsert > 0:
			return usagef("--copy-format=binary contradicts INSERT statements")
		case o.floatDigits != "":
			return usagef("--copy-format=binary and --extra-float-digits contradict each other: such numbers are exact")
		}
	}
	if o.inserts || o.columnInserts || o.rowsPerInsert > 0 {
		o.Inserts = &dump.Inserts{Columns: o.columnInserts, RowsPerInsert: o.rowsPerInsert, OnConflictDoNothing: o.onConflict}
	}
	if o.floatDigits != "" {
		n, err := strconv.Atoi(o.floatDigits)
		if err != nil || n < -15 || n > 3 {
			return usagef("--extra-float-digits %q: want a number from -15 to 3", o.floatDigits)
		}
		o.ExtraFloatDigits = &n
	}
	o.Sections, err = parseSections(o.sections)
	return err
}

func runDump(ctx context.Context, o *dumpFlags, g *globals, args []string) error {
	if err := o.check(args); err != nil {
		return err
	}
	rep, err := g.openReport("dump")
	if err != nil {
		return err
	}
	o.conn.warnOfPassword(g)
	source, err := o.conn.endpoint(ctx, g.terminal)
	if err != nil {
		return rep.close(ctx, nil, err)
	}
	pg.LimitRate(source.config, int64(o.limit))
	front := ui.Start(ctx, g.screen, ui.Mode(g.progress), "dumping", nil)
	defer front.Stop()
	o.Tool, o.Logger, o.Progress, o.Facts = toolName(), g.log, front.Tracker, platform.Archived
	o.Encoding = cmp.Or(o.Encoding, source.encoding)
	if o.plain {
		err := o.writeScript(ctx, g, source.config)
		front.Stop()
		return rep.close(ctx, nil, err)
	}
	r, err := o.write(ctx, g, source.config)
	front.Stop()
	if err != nil {
		return rep.close(ctx, dumpReport(r), err)
	}
	for _, w := range r.Warnings {
		g.warn("%s", w)
	}
	for _, s := range r.Skipped {
		g.warn("not dumped: %s %s: %s", s.Kind, s.Name, s.Reason)
	}
	if n := len(r.AsText); n > 0 && g.summaries() {
		g.printf("%s as text, whose types the binary format does not suit: %s", ui.Plural(int64(n), "table"), someTables(r.AsText))
	}
	if g.summaries() {
		g.printf("dumped %s of %s, %s → %s in %s%s", ui.Plural(r.Rows, "row"), ui.Plural(int64(r.Tables), "table"),
			ui.Bytes(r.Bytes), ui.Bytes(r.Stored), ui.Duration(r.Elapsed), phaseTimes(each(r.Phases, dumpPhase)))
	}
	if !r.Complete() {
		g.warn("%s not in the archive", ui.Plural(int64(len(r.Skipped)), "object"))
		err = errIncomplete
	}
	return rep.close(ctx, dumpReport(r), err)
}

// someTables names the first of some tables.
func someTables(list []dump.AsText) string {
	var names []string
	for i, t := range list {
		if i == 3 {
			names = append(names, "...")
			break
		}
		names = append(names, quote.Qualified(t.Schema, t.Name))
	}
	return strings.Join(names, ", ")
}

// write makes the archive.
func (o *dumpFlags) write(ctx context.Context, g *globals, source *pgx.ConnConfig) (*dump.Report, error) {
	switch {
	case !o.custom:
		return dump.Run(ctx, source, o.Options)
	case o.Dir != "" && o.Dir != "-":
		return dump.RunCustom(ctx, source, nil, o.Options)
	case isTerminal(g.stdout):
		return nil, usagef("an archive is not written to a terminal: give -f FILE, or send it through a pipe")
	}
	noticeClosedPipe()
	return dump.RunCustom(ctx, source, g.stdout, o.Options)
}

// isTerminal reports whether w shows what is written to people.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// compressionLevels are the levels that pg_dump takes for each method.
var compressionLevels = map[archive.Compression][2]int{
	archive.CompressNone: {0, 0},
	archive.CompressGzip: {1, 9},
	archive.CompressLZ4:  {1, 12},
	archive.CompressZstd: {-131072, 22},
}

// parseCompression reads pg_dump's METHOD[:LEVEL], METHOD:level=N or a level of
// gzip alone. Level 0 is the method's default.
func parseCompression(s string) (archive.Compression, int, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n == 0 {
			return archive.CompressNone, 0, nil
		}
		s = "gzip:" + s
	}
	name, detail, hasDetail := strings.Cut(s, ":")
	method := archive.Compression(name)
	limits, known := compressionLevels[method]
	if !known {
		return "", 0, usagef("-Z/--compress %q: want zstd, lz4, gzip or none, with :LEVEL or not", s)
	}
	if !hasDetail {
		return method, 0, nil
	}
	number, _ := strings.CutPrefix(detail, "level=")
	level, err := strconv.Atoi(number)
	if err != nil {
		return "", 0, usagef("-Z/--compress %q: want a level after %q; other details are not supported yet", s, name+":")
	}
	if level == 0 && method == archive.CompressGzip {
		return archive.CompressNone, 0, nil // what pg_dump makes of it
	}
	if level != 0 && (level < limits[0] || level > limits[1]) {
		return "", 0, usagef("-Z/--compress %q: levels of %s go from %d to %d", s, name, limits[0], limits[1])
	}
	return method, level, nil
}

var timeout = regexp.MustCompile(`^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?\s*$`)

// parseTimeout reads a time as the server's settings take it: milliseconds, or
// a number with a unit.
func parseTimeout(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	units := map[string]time.Duration{
		"us": time.Microsecond, "": time.Millisecond, "ms": time.Millisecond, "s": time.Second,
		"min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}
	m := timeout.FindStringSubmatch(s)
	if m == nil {
		return 0, usagef("--lock-wait-timeout %q: want milliseconds, or a number with us, ms, s, min, h or d", s)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, usagef("--lock-wait-timeout %q: %v", s, err)
	}
	return time.Duration(n * float64(units[m[2]])), nil
}
