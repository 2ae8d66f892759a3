package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
)

// streams are the three of a process.
type streams struct{ in, out, err *os.File }

// globals are what all commands share.
type globals struct {
	verbose    int
	progress   string
	logFormat  string
	reportJSON string
	cpuProfile string
	auditLog   string

	stdout   io.Writer  // results
	screen   *ui.Screen // everything else
	terminal terminal
	log      *slog.Logger

	endProfile func() error // of --cpuprofile
}

func newGlobals(std streams) *globals {
	t := terminal{in: std.in, out: std.err}
	return &globals{
		stdout: std.out, screen: ui.NewScreen(std.err, t.width()), terminal: t,
		logFormat: "text", progress: string(ui.Auto),
		endProfile: func() error { return nil },
	}
}

// execute runs one command line and returns the exit status.
func execute(ctx context.Context, args []string, std streams) int {
	g := newGlobals(std)
	root := newRoot(g)
	root.SetArgs(args)
	root.SetOut(std.out)
	root.SetErr(g.screen)
	// Signals are handled here, not by cobra.
	cmd, err := root.ExecuteContextC(ctx)
	if e := g.endProfile(); err == nil {
		err = e
	}
	if err != nil {
		if u, ok := errors.AsType[*usageError](err); ok && u.command == "" && cmd != nil {
			u.command = cmd.CommandPath()
		}
		g.fail(ctx, err)
	}
	return exitCode(ctx, err)
}

// fail shows an error.
func (g *globals) fail(ctx context.Context, err error) {
	if _, told := errors.AsType[*toldError](err); told || errors.Is(err, errIncomplete) {
		return
	}
	m := explain(ctx, err)
	if g.logFormat == "json" {
		attrs := []any{}
		for _, a := range [][2]string{{"sqlstate", m.SQLState}, {"detail", m.Detail}, {"hint", m.Hint}} {
			if a[1] != "" {
				attrs = append(attrs, a[0], a[1])
			}
		}
		newLogger(g.screen, "json", 0).Error(m.Text, attrs...)
		return
	}
	g.printf("pghaul: error: %s", indent(m.Text, "    "))
	if m.Detail != "" {
		g.printf("pghaul: detail: %s", indent(m.Detail, "    "))
	}
	if m.Hint != "" {
		g.printf("pghaul: hint: %s", indent(m.Hint, "    "))
	}
}

// warn tells of something that did not go as it should have.
func (g *globals) warn(format string, args ...any) { g.log.Warn(fmt.Sprintf(format, args...)) }

// note tells what was decided on the way and is good to know.
func (g *globals) note(format string, args ...any) {
	if g.logFormat == "json" {
		g.log.Info(fmt.Sprintf(format, args...))
		return
	}
	g.printf("pghaul: "+format, args...)
}

// printf writes a line for people to stderr, without what could be a password.
func (g *globals) printf(format string, args ...any) {
	g.screen.Printf("%s", ui.Redact(fmt.Sprintf(format, args...)))
}

func newRoot(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "pghaul",
		Short: "Move, dump, restore and compare PostgreSQL databases",
		Long: `pghaul moves, dumps, restores and compares PostgreSQL databases, without pg_dump,
pg_restore or any other program of PostgreSQL. Its verbs take the options of
pg_dump and pg_restore, and its archives are theirs.

Connections are described as everywhere in PostgreSQL: by options, connection
strings, URLs, PG* environment variables, .pgpass and service files.`,
		Example: `  pghaul plan --source "$AZURE_URL" --target "$NEON_URL"
  pghaul migrate --source "$AZURE_URL" --target "$NEON_URL"
  pghaul dump -h db1 -U app -d shop -j 4 -f shop.dump
  pghaul restore -h db2 -U app -d shop -j 4 shop.dump
  pghaul verify --source postgres://app@db1/shop --target postgres://app@db2/shop`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return g.prepare(cmd.Flags().Changed("log-format"))
		},
	}
	f := root.PersistentFlags()
	f.SortFlags = false
	f.CountVarP(&g.verbose, "verbose", "v", "``tell what is done, a line for each object; twice for more")
	f.StringVar(&g.progress, "progress", g.progress, "how to show progress on stderr: `auto`, bar, plain, json or none")
	f.StringVar(&g.logFormat, "log-format", g.logFormat, "how to write messages to stderr: `text` or json; json with --progress json")
	f.StringVar(&g.cpuProfile, "cpuprofile", "", "write a CPU profile to `FILE`")
	if err := f.MarkHidden("cpuprofile"); err != nil {
		panic(err) // it is there
	}
	// -h is --host, as in every program of PostgreSQL.
	f.BoolP("help", "?", false, "show this help and exit")
	f.BoolP("version", "V", false, "show the version and exit")
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if u, ok := errors.AsType[*usageError](err); ok {
			return u // of a flag that is refused by name
		}
		return &usageError{err: err, command: cmd.CommandPath()}
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(newPlan(g), newMigrate(g), newRollback(g), newFollow(g), newCutover(g), newCutback(g), newDump(g), newRestore(g), newVerify(g), newList(g), newArchive(g), newVersion(g))
	for _, cmd := range root.Commands() {
		cmd.Version = root.Version
	}
	return root
}

// unknownCommand names the commands that may have been meant.
func unknownCommand(root *cobra.Command, given string) error {
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(given); len(near) > 0 {
		return usagef("there is no command %q; did you mean %s?", ui.Redact(given), strings.Join(near, " or "))
	}
	return usagef("there is no command %q", ui.Redact(given))
}

// prepare checks the shared flags and makes the logger. Who wants progress as
// JSON wants every line of stderr so, unless the format of messages is given.
func (g *globals) prepare(formatGiven bool) error {
	if g.progress == string(ui.JSON) && !formatGiven {
		g.logFormat = "json"
	}
	if !slices.Contains(ui.Modes, ui.Mode(g.progress)) {
		given := g.progress
		g.progress = string(ui.None)
		return usagef("--progress %q: want auto, bar, plain, json or none", given)
	}
	if g.logFormat != "text" && g.logFormat != "json" {
		given := g.logFormat
		g.logFormat = "text"
		return usagef("--log-format %q: want text or json", given)
	}
	g.log = newLogger(g.screen, g.logFormat, g.verbose)
	return g.startProfile(g.cpuProfile)
}

// A group is a titled part of a command's flags in its help.
type group struct {
	title string
	flags *pflag.FlagSet
}

func newGroup(title string) group {
	f := pflag.NewFlagSet(title, pflag.ContinueOnError)
	f.SortFlags = false
	return group{title, f}
}

// addGroups gives a command its flags and a help that shows them in groups.
func addGroups(cmd *cobra.Command, groups ...group) {
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.flags)
	}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		var b strings.Builder
		fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
		if cmd.HasExample() {
			fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
		}
		general := group{"General options", cmd.InheritedFlags()}
		for _, g := range append(groups, general) {
			fmt.Fprintf(&b, "\n%s:\n%s", g.title, g.flags.FlagUsages())
		}
		_, err := io.WriteString(cmd.OutOrStdout(), b.String())
		return err
	})
}
