package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pghaul/pghaul/archive"
)

type listFlags struct {
	format string
}

func newList(g *globals) *cobra.Command {
	o := new(listFlags)
	cmd := &cobra.Command{
		Use:   "list [flags] ARCHIVE",
		Short: "Print the table of contents of an archive",
		Long: `list prints the table of contents of an archive as pg_restore -l does.

` + fmt.Sprintf(exitHelp, "does not happen here"),
		Example: `  pghaul list shop.dump
  pghaul list --format json shop.dump`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runList(cmd.Context(), o, g, args) },
	}
	out := newGroup("Output options")
	out.flags.StringVar(&o.format, "format", "text", "`FORMAT` of the output: text, as pg_restore -l prints it, or json")
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
	Rows      *int64 `json:"rows,omitempty"`
	Bytes     *int64 `json:"bytes,omitempty"`
	Digest    string `json:"digest,omitempty"`
	File      string `json:"file,omitempty"`
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
	case o.format != "text" && o.format != "json":
		return usagef("--format %q: want text or json", o.format)
	}
	r, err := openArchive(args[0])
	if err != nil {
		return err
	}
	defer func() { err = cmpErr(err, r.Close()) }()
	if o.format == "text" {
		return archive.WriteList(g.stdout, r)
	}
	e := json.NewEncoder(g.stdout)
	e.SetIndent("", "  ")
	return e.Encode(listOf(r))
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
	if m := r.Manifest(); m != nil {
		for i := range m.Tables {
			data[m.Tables[i].Entry] = &m.Tables[i]
		}
	}
	for _, entry := range r.Entries() {
		e := jsonEntry{
			ID: entry.ID, Kind: entry.Kind, Section: entry.Section.String(), Namespace: entry.Namespace,
			Tag: entry.Tag, Owner: entry.Owner, After: append([]int{}, entry.After...), File: entry.File,
		}
		if t := data[entry.ID]; t != nil {
			e.Rows, e.Bytes, e.Digest = &t.Rows, &t.Bytes, t.Digest
		}
		out.Entries = append(out.Entries, e)
	}
	return out
}
