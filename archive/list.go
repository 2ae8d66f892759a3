package archive

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteList writes the table of contents as pg_restore -l does: a line for each
// entry that a restore without options takes, which can be cut and reordered
// and given to a restore as its list.
func WriteList(w io.Writer, r Reader) error {
	return WriteEntries(w, r, slices.DeleteFunc(slices.Clone(r.Entries()), func(e Entry) bool { return !listed(&e) }))
}

// WriteEntries is WriteList for the entries given.
func WriteEntries(w io.Writer, r Reader, entries []Entry) error {
	var out strings.Builder
	h := r.Header()
	fmt.Fprintf(&out, ";\n; Archive created at %s\n", h.Created.Format("2006-01-02 15:04:05 MST"))
	fmt.Fprintf(&out, ";     dbname: %s\n;     TOC Entries: %d\n;     Compression: %s\n",
		oneLine(h.Database), len(r.Entries()), h.Compression)
	fmt.Fprintf(&out, ";     Dump Version: %s\n;     Format: %s\n", h.Version, h.Format)
	fmt.Fprintf(&out, ";     Integer: %d bytes\n;     Offset: %d bytes\n", h.IntSize, h.OffSize)
	fmt.Fprintf(&out, ";     Dumped from database version: %s\n", h.ServerVersion)
	fmt.Fprintf(&out, ";     Dumped by pg_dump version: %s\n", oneLine(h.DumpVersion))
	fmt.Fprint(&out, ";\n;\n; Selected TOC Entries:\n;\n")
	for i := range entries {
		e := &entries[i]
		schema := "-"
		if e.Namespace != "" {
			schema = oneLine(e.Namespace)
		}
		fmt.Fprintf(&out, "%d; %d %d %s %s %s %s\n", e.ID, e.Class, e.OID, oneLine(e.Kind), schema, oneLine(e.Tag), oneLine(e.Owner))
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("write list of entries: %w", err)
	}
	return nil
}

// listed reports whether a restore without options takes the entry: not the
// database's own, and none that does nothing.
func listed(e *Entry) bool {
	switch e.Kind {
	case "ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES":
		return false
	case "COMMENT", "ACL", "SECURITY LABEL":
		if strings.HasPrefix(e.Tag, "DATABASE ") {
			return false
		}
	}
	return e.HasData || e.Create != "" || e.Kind == "STATISTICS DATA"
}

// oneLine keeps a name with line breaks from looking like a line of its own.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(s)
}
