package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
)

type listFlags struct {
	format string
}

func newList(g *globals) *cobra.Command {
	o := new(listFlags)
	cmd := &cobra.Command{
		Use:   "list [flags] ARCHIVE",
		Short: "Print the table of contents of an archive",
		Long: `list prints the table of contents of an archive as pg_restore -l does, or with the
format table or json the size, rows and digest of all data, too, as far as the
archive tells. On a terminal the table is made to fit.

` + fmt.Sprintf(exitHelp, "does not happen here"),
		Example: `  pghaul list shop.dump
  pghaul list --format table shop.dump
  pghaul list --format json shop.dump`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runList(cmd.Context(), o, g, args) },
	}
	out := newGroup("Output options")
	out.flags.StringVar(&o.format, "format", "text", "`FORMAT` of the output: text, as pg_restore -l prints it, table or json")
	addGroups(cmd, out)
	return cmd
}

type jsonEntry struct {
	ID        int    `json:"id"`
	Kind      string `json:"kind"`
	Section   string `json:"section"`
	Namespace string `json:"schema,omitempty"`
	Tag       string `json:"name"`
	Owner     string `json:"owner,omitempty"`
	After     []int  `json:"after"`
	Rows      *int64 `json:"rows,omitempty"`   // or large objects
	Bytes     *int64 `json:"bytes,omitempty"`  // before compression
	Stored    *int64 `json:"stored,omitempty"` // in the archive
	Digest    string `json:"digest,omitempty"`
	File      string `json:"file,omitempty"`

	hasData bool
}

type jsonList struct {
	Format        string      `json:"format"` // the table of contents' version
	Compression   string      `json:"compression"`
	Created       string      `json:"created"`
	Database      string      `json:"database"`
	ServerVersion string      `json:"server_version"`
	DumpVersion   string      `json:"dump_version"`
	Entries       []jsonEntry `json:"entries"`
}

func runList(_ context.Context, o *listFlags, g *globals, args []string) (err error) {
	switch {
	case len(args) == 0:
		return usagef("ARCHIVE is missing: the archive to list, or - for stdin")
	case len(args) > 1:
		return usagef("too many arguments: one archive at a time")
	case o.format != "text" && o.format != "table" && o.format != "json":
		return usagef("--format %q: want text, table or json", o.format)
	}
	r, err := openArchive(args[0])
	if err != nil {
		return err
	}
	defer func() { err = cmpErr(err, r.Close()) }()
	switch o.format {
	case "text":
		return archive.WriteList(g.stdout, r)
	case "table":
		return writeListTable(g.stdout, listOf(r))
	}
	return writeJSON(g.stdout, listOf(r))
}

// listOf gathers what an archive says of itself. Rows, bytes and digests are
// known of our own archives only.
func listOf(r archive.Reader) jsonList {
	h := r.Header()
	out := jsonList{
		Format: h.Version.String(), Compression: string(h.Compression), Created: h.Created.Format("2006-01-02T15:04:05"),
		Database: h.Database, ServerVersion: h.ServerVersion, DumpVersion: h.DumpVersion, Entries: []jsonEntry{},
	}
	data := map[int]*archive.TableData{}
	m := r.Manifest()
	if m != nil {
		for i := range m.Tables {
			data[m.Tables[i].Entry] = &m.Tables[i]
		}
	}
	groups := 0 // of large objects
	for _, entry := range r.Entries() {
		if entry.HasData && entry.Kind == "BLOBS" {
			groups++
		}
	}
	for _, entry := range r.Entries() {
		e := jsonEntry{
			ID: entry.ID, Kind: entry.Kind, Section: entry.Section.String(), Namespace: entry.Namespace,
			Tag: entry.Tag, Owner: entry.Owner, After: append([]int{}, entry.After...), File: entry.File,
			hasData: entry.HasData,
		}
		if t := data[entry.ID]; t != nil {
			e.Rows, e.Bytes, e.Digest = &t.Rows, &t.Bytes, t.Digest
		}
		// The manifest only has the sum over all groups.
		if entry.HasData && entry.Kind == "BLOBS" && m != nil && groups == 1 {
			e.Rows, e.Bytes = &m.LargeObjects.Count, &m.LargeObjects.Bytes
		}
		if n := archive.Stored(r, entry.ID); entry.HasData && n >= 0 {
			e.Stored = &n
		}
		out.Entries = append(out.Entries, e)
	}
	return out
}

// writeListTable draws the entries as a table, with sums, that fits a terminal.
func writeListTable(w io.Writer, list jsonList) error {
	t := &ui.Table{
		Header: []string{"kind", "name", "owner", "stored", "size", "ratio", "rows", "digest"},
		Right:  []bool{false, false, false, true, true, true, true, false},
	}
	cell := func(n *int64, text func(int64) string) string {
		if n == nil {
			return ""
		}
		return text(*n)
	}
	ratio := func(stored, size *int64) string {
		if stored == nil || size == nil || *stored == 0 || *size == 0 {
			return ""
		}
		return fmt.Sprintf("%.1f", float64(*size)/float64(*stored))
	}
	// What is not known of one entry is not known of all of them.
	var stored, size, rows int64
	total := [3]*int64{&stored, &size, &rows}
	add := func(i int, n *int64) {
		if n == nil {
			total[i] = nil
		} else if total[i] != nil {
			*total[i] += *n
		}
	}
	for _, e := range list.Entries {
		name := e.Tag
		if e.Namespace != "" {
			name = e.Namespace + "." + name
		}
		t.Rows = append(t.Rows, []string{
			e.Kind, name, e.Owner, cell(e.Stored, ui.Bytes), cell(e.Bytes, ui.Bytes), ratio(e.Stored, e.Bytes), cell(e.Rows, ui.Count), e.Digest,
		})
		if !e.hasData {
			continue
		}
		add(0, e.Stored)
		add(1, e.Bytes)
		if e.Kind != "BLOBS" {
			add(2, e.Rows)
		}
	}
	t.Rows = append(t.Rows, []string{
		"total", ui.Count(int64(len(list.Entries))) + " entries", "", cell(total[0], ui.Bytes), cell(total[1], ui.Bytes),
		ratio(total[0], total[1]), cell(total[2], ui.Count), "",
	})
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			fitList(t, width)
		}
	}
	_, err := t.WriteTo(w)
	return err
}

// fitList makes a table of entries fit: without the digests first, then without
// the owners, then with shorter names.
func fitList(t *ui.Table, width int) {
	const name, owner, digest, least = 1, 2, 7, 12
	if t.Width() > width {
		t.Drop(digest)
	}
	if t.Width() > width {
		t.Drop(owner)
	}
	t.Shorten(name, width, least)
}
