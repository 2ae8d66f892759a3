package restore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
)

// sections returns the section each entry runs in. Entries without one, such as
// comments, are in that of the entry before them, which is the one they are
// about.
func sections(entries []archive.Entry) []archive.Section {
	in := make([]archive.Section, len(entries))
	last := archive.SectionPreData
	for i := range entries {
		if entries[i].Section != archive.SectionNone {
			last = entries[i].Section
		}
		in[i] = last
	}
	return in
}

// content says what of an entry is to be restored.
type content int

const (
	contentSchema content = 1 << iota
	contentData
	contentStatistics
)

// A filter says what of each entry is to be restored, by the rules of
// pg_restore 18. It is asked in the order of the entries: what belongs to an
// object is taken if the object was.
type filter struct {
	o      Options
	byID   map[int]*archive.Entry
	listed map[int]bool // dump IDs of Options.List
	parts  content      // what is to be restored at all
	taken  map[int]bool // dump IDs of entries of which something is restored

	schemas, exclude, tables, indexes, functions, triggers *names
}

func newFilter(o Options, byID map[int]*archive.Entry) *filter {
	f := &filter{
		o: o, byID: byID, taken: make(map[int]bool),
		schemas: newNames("schema", o.Schemas), exclude: newNames("schema", o.ExcludeSchemas),
		tables: newNames("table", o.Tables), indexes: newNames("index", o.Indexes),
		functions: newNames("function", o.Functions), triggers: newNames("trigger", o.Triggers),
	}
	if o.List != nil {
		f.listed = make(map[int]bool)
		for _, id := range o.List {
			f.listed[id] = true
		}
	}
	only := o.SchemaOnly || o.DataOnly || o.StatisticsOnly
	if (!only || o.SchemaOnly) && !o.NoSchema {
		f.parts |= contentSchema
	}
	if (!only || o.DataOnly) && !o.NoData {
		f.parts |= contentData
	}
	if (!only || o.StatisticsOnly) && !o.NoStatistics {
		f.parts |= contentStatistics
	}
	return f
}

// take says what of an entry in a section is to be restored.
func (f *filter) take(e *archive.Entry, section archive.Section) content {
	c := f.content(e, section)
	if c != 0 {
		f.taken[e.ID] = true
	}
	return c
}

func (f *filter) content(e *archive.Entry, section archive.Section) content {
	switch e.Kind {
	case "ENCODING", "STDSTRINGS", "SEARCHPATH", "<Init>": // the session's
		return 0
	case "DATABASE", "DATABASE PROPERTIES":
		if f.o.Create {
			return contentSchema
		}
		return 0
	}
	switch {
	case f.unwanted(e),
		len(f.o.Sections) > 0 && !slices.Contains(f.o.Sections, section),
		f.listed != nil && !f.listed[e.ID],
		!f.selected(e):
		return 0
	}
	return consists(e) & f.parts
}

// unwanted reports whether an entry is of a kind that is left out.
func (f *filter) unwanted(e *archive.Entry) bool {
	about := func(kinds ...string) bool {
		return slices.ContainsFunc(kinds, func(kind string) bool {
			return e.Kind == kind || (e.Kind == "COMMENT" || e.Kind == "SECURITY LABEL") && strings.HasPrefix(e.Tag, kind+" ")
		})
	}
	switch o := &f.o; {
	case isACL(e):
		return o.NoPrivileges
	case o.NoComments && e.Kind == "COMMENT",
		o.NoSecurityLabels && e.Kind == "SECURITY LABEL",
		o.NoPolicies && about("POLICY", "ROW SECURITY"),
		o.NoPublications && about("PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA"),
		o.NoSubscriptions && about("SUBSCRIPTION"):
		return true
	}
	return false
}

// selected reports whether an entry passes the names that are given.
func (f *filter) selected(e *archive.Entry) bool {
	byKind := !f.tables.none() || !f.indexes.none() || !f.functions.none() || !f.triggers.none()
	if satellite(e) {
		switch {
		case strings.HasPrefix(e.Tag, "DATABASE "):
			return f.o.Create
		case f.schemas.none() && f.exclude.none() && !byKind:
			return true
		}
		return f.parentTaken(e)
	}
	if !f.schemas.none() && (e.Namespace == "" || !f.schemas.has(e.Namespace)) {
		return false
	}
	if e.Namespace != "" && f.exclude.has(e.Namespace) {
		return false
	}
	if !byKind {
		return true
	}
	switch e.Kind {
	case "TABLE", "TABLE DATA", "VIEW", "FOREIGN TABLE", "MATERIALIZED VIEW", "MATERIALIZED VIEW DATA", "SEQUENCE", "SEQUENCE SET":
		return f.tables.has(e.Tag)
	case "STATISTICS DATA":
		return f.parentTaken(e)
	case "INDEX":
		return f.indexes.has(e.Tag)
	case "FUNCTION", "AGGREGATE", "PROCEDURE":
		return f.functions.has(e.Tag)
	case "TRIGGER":
		return f.triggers.has(e.Tag)
	}
	return false
}

// parentTaken reports whether what an entry is about is restored. Privileges of
// columns come after those of their table, which is no reason to take them.
func (f *filter) parentTaken(e *archive.Entry) bool {
	return slices.ContainsFunc(e.After, func(id int) bool {
		parent := f.byID[id]
		return parent != nil && parent.Kind != "ACL" && f.taken[id]
	})
}

// strict returns an error for the first name that selected nothing.
func (f *filter) strict() error {
	if !f.o.StrictNames {
		return nil
	}
	for _, n := range []*names{f.schemas, f.tables, f.indexes, f.functions, f.triggers} {
		if name, missed := n.missed(); missed {
			return fmt.Errorf("plan restore: %s %q not found in the archive", n.kind, name)
		}
	}
	return nil
}

// consists says what an entry is made of.
func consists(e *archive.Entry) content {
	c := contentSchema
	switch {
	case e.Kind == "STATISTICS DATA":
		return contentStatistics
	case e.HasData:
		c |= contentData
	case isData(e):
		return contentData
	}
	if e.Create == "" || strings.HasPrefix(e.Create, viaRoot) {
		c &^= contentSchema
	}
	return c
}

func satellite(e *archive.Entry) bool {
	return e.Kind == "ACL" || e.Kind == "COMMENT" || e.Kind == "SECURITY LABEL"
}

// isData says whether an entry is data rather than schema. Everything about
// large objects is.
func isData(e *archive.Entry) bool {
	switch e.Kind {
	case "SEQUENCE SET", "BLOB", "BLOB METADATA", "BLOBS":
		return true
	}
	return e.HasData || satellite(e) && strings.HasPrefix(e.Tag, "LARGE OBJECT")
}
