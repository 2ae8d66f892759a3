package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/verify"
)

type verifyFlags struct {
	verify.Options
	ends
	archive string
	format  string
}

func newVerify(g *globals) *cobra.Command {
	o := new(verifyFlags)
	cmd := &cobra.Command{
		Use:   "verify [flags] (--source URL | --archive PATH) --target URL",
		Short: "Compare two databases, or an archive and a database",
		Long: `verify reads two databases, each under one snapshot, and compares the exact row
count and a digest of every table, and where each sequence stands. The digest
does not depend on the order of the rows.

With --archive the source need not be there: what an archive of pghaul says of
its rows is compared with the target, and an archive of pg_dump, which says
nothing, is read. ("pghaul archive check" tells whether an archive is what it
was when it was made.)

Each end is described by its own URL or connection string, or by PGHAUL_SOURCE
and PGHAUL_TARGET. PG* variables are ignored, so that no password reaches the
wrong server; .pgpass (PGPASSFILE) and service files (PGSERVICEFILE) are read.

` + fmt.Sprintf(exitHelp, "the databases differ"),
		Example: `  pghaul verify --source postgres://app@db1/shop --target postgres://app@db2/shop
  pghaul verify --archive shop.dump --target postgres://app@db2/shop
  pghaul verify --source service=old --target service=new -N audit --format json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), o, g, args) },
	}
	ends := newGroup("The two ends")
	f := ends.flags
	o.addFlags(f, "the original", "the copy")
	f.StringVar(&o.archive, "archive", "", "compare with the archive in `PATH` instead of a source")
	what := newGroup("What to compare")
	f = what.flags
	addSelection(f, &o.Select)
	f.BoolVar(&o.NoDigest, "no-digest", false, "compare row counts only")
	out := newGroup("Output options")
	f = out.flags
	f.IntVarP(&o.Jobs, "jobs", "j", 2, "read on `N` connections on each side")
	f.StringVar(&o.format, "format", "text", "`FORMAT` of the result: text or json")
	addReportFlag(f, g)
	addGroups(cmd, ends, what, out)
	return cmd
}

func runVerify(ctx context.Context, o *verifyFlags, g *globals, args []string) error {
	switch {
	case len(args) > 0:
		return usagef("verify takes no arguments: the ends are --source and --target")
	case o.Jobs < 1:
		return usagef("-j/--jobs must be 1 or more")
	case o.format != "text" && o.format != "json":
		return usagef("--format %q: want text or json", o.format)
	}
	switch {
	case o.archive != "" && o.source != "":
		return usagef("either --source or --archive is the original, not both")
	case o.archive != "" && !reflect.DeepEqual(o.Select, catalog.Selection{}):
		return usagef("what to compare cannot be selected with --archive: all that it holds is compared")
	case o.archive == "":
		if err := o.check(); err != nil {
			return err
		}
	}
	rep, err := g.openReport("verify")
	if err != nil {
		return err
	}
	r, err := o.verify(ctx, g)
	return rep.close(ctx, verifyReport(r, !o.NoDigest), err)
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
	front := ui.Start(ctx, g.screen, ui.Mode(g.progress), "comparing")
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
	if !r.Equal() {
		return r, errIncomplete
	}
	return r, nil
}

func (o *verifyFlags) print(g *globals, r *verify.Report) error {
	if o.format == "json" {
		e := json.NewEncoder(g.stdout)
		e.SetIndent("", "  ")
		return e.Encode(verifyReport(r, !o.NoDigest))
	}
	if len(r.Tables) > 0 {
		if _, err := tableTable(r.Tables, !o.NoDigest).WriteTo(g.stdout); err != nil {
			return err
		}
	}
	if len(r.Sequences) > 0 {
		if _, err := fmt.Fprintln(g.stdout); err != nil {
			return err
		}
		if _, err := sequenceTable(r.Sequences).WriteTo(g.stdout); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(g.stdout, "\n%s\n", verdict(r))
	return err
}

// tableTable is the comparison of tables as text.
func tableTable(tables []verify.Table, digests bool) *ui.Table {
	t := &ui.Table{Header: []string{"table_name", "source", "target"}, Right: []bool{false, true, true}}
	last := "digest"
	if !digests {
		last = "rows"
	}
	t.Header, t.Right = append(t.Header, last), append(t.Right, false)
	for _, row := range tables {
		t.Rows = append(t.Rows, []string{name(row.Schema, row.Name), rows(row.Source), rows(row.Target), finding(row)})
	}
	return t
}

func rows(d *copyproto.Digest) string {
	if d == nil {
		return "-"
	}
	return strconv.FormatInt(d.Rows, 10)
}

// finding says in a few words how a table compares.
func finding(t verify.Table) string {
	switch {
	case t.Equal && t.CountOnly != "":
		return "equal in number: " + t.CountOnly
	case t.Equal:
		return "equal"
	case t.Source == nil && t.Target != nil && t.Problem == "":
		return "MISSING in source"
	case t.Target == nil && t.Source != nil && t.Problem == "":
		return "MISSING in target"
	case t.Problem != "":
		return "DIFFERENT: " + t.Problem
	}
	return "DIFFERENT"
}

// sequenceTable is the comparison of sequences as text.
func sequenceTable(sequences []verify.Sequence) *ui.Table {
	t := &ui.Table{Header: []string{"sequence_name", "source", "target", "position"}, Right: []bool{false, true, true, false}}
	for _, s := range sequences {
		result := "equal"
		switch {
		case s.Problem != "":
			result = "DIFFERENT: " + s.Problem
		case s.Source == nil:
			result = "MISSING in source"
		case s.Target == nil:
			result = "MISSING in target"
		case !s.Equal:
			result = "DIFFERENT"
		}
		t.Rows = append(t.Rows, []string{name(s.Schema, s.Name), value(s.Source), value(s.Target), result})
	}
	return t
}

// value is where a sequence stands, with a remark if it has not been used.
func value(v *verify.SequenceValue) string {
	if v == nil {
		return "-"
	}
	s := strconv.FormatInt(v.Last, 10)
	if !v.Called {
		s += " (unused)"
	}
	return s
}

func name(schema, object string) string { return quote.Ident(schema) + "." + quote.Ident(object) }

// verdict is the last line of a comparison.
func verdict(r *verify.Report) string {
	var tables, sequences, count int64
	for _, t := range r.Tables {
		if !t.Equal {
			tables++
		}
		if t.Source != nil {
			count += t.Source.Rows
		}
	}
	for _, s := range r.Sequences {
		if !s.Equal {
			sequences++
		}
	}
	all := fmt.Sprintf("%s with %s and %s", ui.Plural(int64(len(r.Tables)), "table"), ui.Plural(count, "row"),
		ui.Plural(int64(len(r.Sequences)), "sequence"))
	if r.Equal() {
		return fmt.Sprintf("equal: %s, compared in %s", all, ui.Duration(r.Elapsed))
	}
	return fmt.Sprintf("DIFFERENT: %s and %s, of %s, compared in %s", ui.Plural(tables, "table"),
		ui.Plural(sequences, "sequence"), all, ui.Duration(r.Elapsed))
}

func side(d *copyproto.Digest, digests bool) *jsonSide {
	if d == nil {
		return nil
	}
	s := &jsonSide{Rows: d.Rows}
	if digests {
		s.Digest = d.String()
	}
	return s
}

func position(v *verify.SequenceValue) *jsonPosition {
	if v == nil {
		return nil
	}
	return &jsonPosition{v.Last, v.Called}
}
