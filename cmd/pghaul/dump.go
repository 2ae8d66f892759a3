package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/dump"
)

type dumpFlags struct {
	dump.Options
	conn        connOptions
	format      string
	compress    string
	lockTimeout string
}

func newDump(g *globals) *cobra.Command {
	o := new(dumpFlags)
	cmd := &cobra.Command{
		Use:   "dump [flags] [DBNAME|URL]",
		Short: "Dump a database into an archive",
		Long: `dump writes a database into an archive, a directory in pg_dump's format that
pghaul restore and pg_restore read. Everything is read under one snapshot; the
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
	f.StringVarP(&o.Dir, "file", "f", "", "`DIR` to make; it must not exist or be empty")
	f.StringVarP(&o.format, "format", "F", "d", "archive format: d for directory, the only `FORMAT` yet")
	f.IntVarP(&o.Jobs, "jobs", "j", 2, "read tables on `N` connections")
	f.StringVarP(&o.compress, "compress", "Z", "zstd", "`METHOD[:LEVEL]`: zstd, lz4, gzip or none; 0 to 9 is gzip")
	f.BoolVar(&o.NoSync, "no-sync", false, "do not wait for the files to reach the disk")
	f.StringVar(&o.lockTimeout, "lock-wait-timeout", "", "fail when a table lock takes longer than `TIME`: ms, or with a unit (5s)")
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
	f.StringVarP(&o.Encoding, "encoding", "E", "", "write the archive in `ENCODING` instead of the database's")
	f.StringVar(&o.Snapshot, "snapshot", "", "use the snapshot exported as `ID`")

	conn := newGroup("Connection options")
	o.conn.AddFlags(conn.flags)
	conn.flags.StringVar(&o.Role, "role", "", "SET ROLE `NAME` on every connection")
	addGroups(cmd, out, what, conn)

	alias(cmd.Flags(), "blobs", "large-objects")
	alias(cmd.Flags(), "no-blobs", "no-large-objects")
	alias(cmd.Flags(), "no-acl", "no-privileges")
	addPgOptions(cmd.Flags(), "pg_dump", dumpOptions)
}

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
	case o.Jobs < 1:
		return usagef("-j/--jobs must be 1 or more")
	case o.Select.SchemaOnly && o.Select.DataOnly:
		return usagef("-s/--schema-only and -a/--data-only contradict each other")
	case o.Select.LargeObjects && o.Select.NoLargeObjects:
		return usagef("-b/--large-objects and -B/--no-large-objects contradict each other")
	}
	if len(args) == 1 {
		o.conn.dbname = args[0]
	}
	switch o.format {
	case "d", "directory":
	case "c", "custom", "t", "tar", "p", "plain":
		return usagef("format %q is not supported yet: use -Fd", o.format)
	default:
		return usagef("format %q: want d, the directory format", o.format)
	}
	if o.Dir == "" {
		return usagef("-f DIR is missing: the directory to write the archive into")
	}
	var err error
	if o.Compression, o.Level, err = parseCompression(o.compress); err != nil {
		return err
	}
	o.LockWaitTimeout, err = parseTimeout(o.lockTimeout)
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
	source, err := o.conn.endpoint(ctx, g.terminal)
	if err != nil {
		return rep.close(ctx, nil, err)
	}
	front := ui.Start(ctx, g.screen, ui.Mode(g.progress), "dumping")
	defer front.Stop()
	o.Tool, o.Logger, o.Progress = toolName(), g.log, front.Tracker
	o.Encoding = cmp.Or(o.Encoding, source.encoding)
	r, err := dump.Run(ctx, source.config, o.Options)
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
	if g.summaries() {
		g.printf("dumped %s of %s, %s → %s in %s%s", ui.Plural(r.Rows, "row"), ui.Plural(int64(r.Tables), "table"),
			ui.Bytes(r.Bytes), ui.Bytes(r.Stored), ui.Duration(r.Elapsed), phaseTimes(dumpPhases(r.Phases)))
	}
	if !r.Complete() {
		g.warn("%s not in the archive", ui.Plural(int64(len(r.Skipped)), "object"))
		err = errIncomplete
	}
	return rep.close(ctx, dumpReport(r), err)
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
