package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/archive/convert"
	"github.com/pghaul/pghaul/verify"
)

func newArchive(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "archive COMMAND",
		Short: "Check and convert archives, without a server",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newArchiveCheck(g), newArchiveConvert(g))
	return cmd
}

// stdinName is how messages call an archive that comes through a pipe.
const stdinName = "standard input"

// openArchive opens an archive, "-" for one on standard input, which is copied
// into a temporary file first: it must be read at several places.
func openArchive(path string) (archive.Reader, error) {
	if path == "-" {
		return archive.OpenStream(os.Stdin, stdinName, "")
	}
	return archive.Open(path)
}

type checkFlags struct {
	format string
	jobs   int
}

func newArchiveCheck(g *globals) *cobra.Command {
	o := new(checkFlags)
	cmd := &cobra.Command{
		Use:   "check [flags] ARCHIVE",
		Short: "Read all of an archive and tell what is damaged",
		Long: `check reads every byte of an archive and compares it with what the archive says:
checksums, terminators, numbers of rows and digests. Of an archive that pg_dump
made it checks that every data file is complete and undamaged as far as its
compression can tell. ARCHIVE is a directory, a custom archive, a tar file, or -
for a custom archive or tar file on standard input.

` + fmt.Sprintf(exitHelp, "something is damaged, and each damaged file and\n       table is named"),
		Example: `  pghaul archive check shop.dump
  pghaul archive check --format json shop.dump
  ssh db1 pg_dump -Fc shop | pghaul archive check -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runArchiveCheck(cmd.Context(), o, g, args) },
	}
	out := newGroup("Options")
	out.flags.StringVar(&o.format, "format", "text", "`FORMAT` of the output: text or json")
	out.flags.IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "how many stretches of data to read at once")
	addGroups(cmd, out)
	return cmd
}

// jsonCheck is the result of a check.
type jsonCheck struct {
	Archive string `json:"archive"`
	Intact  bool   `json:"intact"`
	*verify.ArchiveReport
	Digests map[int]string `json:"digests"` // of the rows, by dump ID
}

func runArchiveCheck(ctx context.Context, o *checkFlags, g *globals, args []string) error {
	switch {
	case len(args) == 0:
		return usagef("ARCHIVE is missing: the archive to check")
	case len(args) > 1:
		return usagef("too many arguments: one archive at a time")
	case o.format != "text" && o.format != "json":
		return usagef("--format %q: want text or json", o.format)
	case o.jobs < 1:
		return usagef("-j/--jobs must be 1 or more")
	}
	report, err := checkArchive(ctx, args[0], o.jobs)
	if err != nil {
		return err
	}
	if err := writeCheck(g.stdout, args[0], o.format, report); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if !report.Intact() {
		return errIncomplete
	}
	return nil
}

// checkArchive checks an archive. One that cannot even be opened, for damage,
// has that as its one problem.
func checkArchive(ctx context.Context, path string, jobs int) (_ *verify.ArchiveReport, err error) {
	r, err := openArchive(path)
	if err != nil {
		p := verify.ArchiveProblem{File: path, Reason: err.Error()}
		corrupt, ok := errors.AsType[*archive.CorruptError](err)
		if !ok && !errors.Is(err, archive.ErrIncomplete) {
			return nil, err
		}
		if ok {
			p.File = corrupt.File
		}
		return &verify.ArchiveReport{Entries: []verify.ArchiveEntry{}, Problems: []verify.ArchiveProblem{p}}, nil
	}
	defer func() { err = cmpErr(err, r.Close()) }()
	return verify.Archive(ctx, r, jobs)
}

func writeCheck(w io.Writer, path, format string, r *verify.ArchiveReport) error {
	if format == "json" {
		out := jsonCheck{Archive: path, Intact: r.Intact(), ArchiveReport: r, Digests: map[int]string{}}
		for _, e := range r.Entries {
			if e.Digest != nil {
				out.Digests[e.Entry] = e.Digest.String()
			}
		}
		return writeJSON(w, out)
	}
	var b strings.Builder
	for _, p := range r.Problems {
		name := ""
		if p.Name != "" {
			name = p.Name + ": "
		}
		fmt.Fprintf(&b, "damaged: %s\n", oneLine(name+p.Reason))
	}
	damaged := 0
	for _, e := range r.Entries {
		if !e.Intact {
			damaged++
		}
	}
	fmt.Fprintf(&b, "%d of %d data entries intact, %d rows, %d large objects, %d bytes, in %s\n",
		len(r.Entries)-damaged, len(r.Entries), r.Rows, r.LargeObjects, r.Bytes, r.Elapsed.Round(time.Millisecond))
	if r.Intact() && !r.Manifest {
		b.WriteString("the archive has no manifest: only what its format tells could be checked; pghaul archive convert gives it one\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine keeps a name with line breaks from looking like a line of its own.
func oneLine(s string) string { return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s) }

type convertFlags struct {
	format   string
	compress string
	version  string
	jobs     int
	noSync   bool
}

func newArchiveConvert(g *globals) *cobra.Command {
	o := new(convertFlags)
	cmd := &cobra.Command{
		Use:   "convert [flags] SOURCE DESTINATION",
		Short: "Copy an archive into another format or compression",
		Long: `convert copies an archive into a new one, checking all of it on the way. The new
one has a manifest with checksums and digests, and as a directory frames that
load in parallel, also if pg_dump made the old one. SOURCE is a directory, a
custom archive, a tar file, or - for one of these files on standard input.
DESTINATION must not exist; - is standard output, for a custom archive.

` + fmt.Sprintf(exitHelp, "does not happen here"),
		Example: `  pghaul archive convert old.dump shop.dump
  pghaul archive convert -Fc -Z gzip --archive-version 1.14 shop.dump for-12.dump`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runArchiveConvert(cmd.Context(), o, g, args) },
	}
	out := newGroup("Options")
	f := out.flags
	f.StringVarP(&o.format, "format", "F", "d", "format to write: d, a directory, or c, a custom archive")
	f.StringVarP(&o.compress, "compress", "Z", "zstd", "`METHOD[:LEVEL]`: zstd, lz4, gzip or none; 0 to 9 is gzip")
	f.StringVar(&o.version, "archive-version", "1.16", "version of the table of contents: 1.16, 1.15 for pg_restore 16, or 1.14\nfor 12 to 15, with gzip or none")
	f.IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "how many stretches of data to copy at once into a directory")
	f.BoolVar(&o.noSync, "no-sync", false, "do not wait for the files to reach the disk")
	addGroups(cmd, out)
	return cmd
}

// options turns the flags into options.
func (o *convertFlags) options(args []string) (opts convert.Options, err error) {
	switch {
	case len(args) < 2:
		return opts, usagef("SOURCE or DESTINATION is missing")
	case len(args) > 2:
		return opts, usagef("too many arguments: one source and one destination")
	case o.jobs < 1:
		return opts, usagef("-j/--jobs must be 1 or more")
	}
	opts = convert.Options{Jobs: o.jobs, Tool: toolName(), Writer: archive.WriterOptions{NoSync: o.noSync}}
	if opts.Writer.Compression, opts.Writer.Level, err = parseCompression(o.compress); err != nil {
		return opts, err
	}
	switch o.format {
	case "d", "directory":
		opts.Format = archive.FormatDirectory
	case "c", "custom":
		opts.Format = archive.FormatCustom
	default:
		return opts, usagef("-F/--format %q: want d, a directory, or c, a custom archive", o.format)
	}
	if opts.Writer.Version, err = parseArchiveVersion(o.version, opts.Writer.Compression); err != nil {
		return opts, err
	}
	if args[1] == "-" && opts.Format != archive.FormatCustom {
		return opts, usagef("a directory cannot be written to standard output: use -Fc")
	}
	return opts, nil
}

// parseArchiveVersion reads --archive-version, which must fit the compression.
func parseArchiveVersion(s string, c archive.Compression) (archive.Version, error) {
	switch s {
	case "1.16":
		return archive.CurrentVersion, nil
	case "1.15":
		return archive.Version15, nil
	case "1.14":
		if c != archive.CompressGzip && c != archive.CompressNone {
			return archive.Version{}, usagef("--archive-version 1.14 knows no %s: use -Z gzip or -Z none", c)
		}
		return archive.Version14, nil
	}
	return archive.Version{}, usagef("--archive-version %q: want 1.16, 1.15 or 1.14", s)
}

func runArchiveConvert(ctx context.Context, o *convertFlags, g *globals, args []string) (err error) {
	opts, err := o.options(args)
	if err != nil {
		return err
	}
	r, err := openArchive(args[0])
	if err != nil {
		return err
	}
	defer func() { err = cmpErr(err, r.Close()) }()
	var report *convert.Report
	if args[1] == "-" {
		noticeClosedPipe()
		report, err = convert.Stream(ctx, r, g.stdout, opts)
	} else {
		report, err = convert.Run(ctx, r, args[1], opts)
	}
	if err != nil {
		return err
	}
	g.log.Info(fmt.Sprintf("copied %d tables with %d rows and %d large objects, %d bytes, into %d bytes, in %s",
		report.Tables, report.Rows, report.LargeObjects, report.Bytes, report.Stored, report.Elapsed.Round(time.Millisecond)))
	return nil
}
