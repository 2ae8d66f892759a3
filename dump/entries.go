package dump

import (
	"slices"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/internal/quote"
)

// Entries turns a sorted graph into a table of contents, with every object's
// comments and privileges behind it, as pg_dump orders them.
func Entries(db *catalog.Database, encoding string, opts Options) []archive.Entry {
	n := 3
	for _, o := range db.Objects {
		n += 1 + len(o.Info().Satellites)
	}
	b := &builder{opts: opts, next: db.MaxDumpID, stored: make(map[int]bool, n), toc: make([]archive.Entry, 0, n)}
	b.fixed("ENCODING", "ENCODING", "SET client_encoding = "+quote.Literal(encoding)+";\n")
	b.fixed("STDSTRINGS", "STDSTRINGS", "SET standard_conforming_strings = 'on';\n")
	b.fixed("SEARCHPATH", "SEARCHPATH", "SELECT pg_catalog.set_config('search_path', '', false);\n")
	for _, o := range db.Objects {
		b.object(o)
	}
	b.selectSections()
	for _, e := range b.toc {
		b.stored[e.ID] = true
	}
	b.resolve(db)
	return b.toc
}

// selectSections drops the entries of sections that are not wanted. Entries
// without a section are in that of the entry before them.
func (b *builder) selectSections() {
	if len(b.opts.Sections) == 0 {
		return
	}
	section := archive.SectionPreData
	b.toc = slices.DeleteFunc(b.toc, func(e archive.Entry) bool {
		if e.Section != archive.SectionNone {
			section = e.Section
		}
		switch e.Kind {
		case "ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES":
			return false // a restorer needs them whatever the section
		}
		return !slices.Contains(b.opts.Sections, section)
	})
}

// leftOut reports whether the options leave out a kind of objects.
func (o Options) leftOut(kind string) bool {
	switch kind {
	case "POLICY", "ROW SECURITY":
		return o.NoPolicies
	case "PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA":
		return o.NoPublications
	case "SUBSCRIPTION":
		return o.NoSubscriptions
	case "SECURITY LABEL":
		return o.NoSecurityLabels
	}
	return false
}

type builder struct {
	opts   Options
	next   int // last dump ID given out
	toc    []archive.Entry
	stored map[int]bool // dump IDs that have an entry
}

func (b *builder) id() int {
	b.next++
	return b.next
}

func (b *builder) fixed(kind, tag, sql string) {
	b.toc = append(b.toc, archive.Entry{ID: b.id(), Kind: kind, Tag: tag, Section: archive.SectionPreData, Create: sql})
}

func (b *builder) add(e archive.Entry) {
	if b.opts.NoOwner && e.Kind != "DATABASE" {
		// Owners stay in the table of contents for pg_dump's archives too; with
		// NoOwner nobody shall restore them.
		e.Owner = ""
	}
	b.toc = append(b.toc, e)
}

func (b *builder) object(o catalog.Object) {
	m := o.Info()
	sel := b.opts.Select
	if b.opts.leftOut(m.Kind) {
		return
	}
	taken := m.Kind == "STATISTICS DATA" || !sel.StatisticsOnly && (!sel.DataOnly || m.Section == catalog.Data)
	wanted := m.Wanted() && (taken || m.Kind == "DATABASE") && b.main(o)
	if taken {
		b.satellites(m)
	}
	if d, ok := o.(*catalog.DatabaseObject); ok && wanted {
		if create, drop := d.Properties(); create != "" {
			b.add(archive.Entry{ID: b.id(), Kind: "DATABASE PROPERTIES", Tag: m.Name, Section: archive.SectionPreData, Create: create, Drop: drop, Owner: m.Owner})
		}
	}
}

// main adds the object's own entry and reports whether it has one.
func (b *builder) main(o catalog.Object) bool {
	m := o.Info()
	e := archive.Entry{
		ID: m.DumpID, Class: m.ID.Class, OID: m.ID.OID, Tag: m.DisplayTag(), Kind: m.Kind, Section: archive.Section(m.Section),
		Create: o.Create(), Drop: o.Drop(), Namespace: m.Schema, Tablespace: m.Tablespace, AccessMethod: m.AccessMethod,
		Owner: m.Owner, After: slices.Clone(m.RawDeps),
	}
	switch o := o.(type) {
	case *catalog.TableData:
		switch m.Kind {
		case "TABLE DATA":
			e.HasData, e.File = true, archive.DataName(m.DumpID)
			if b.opts.Inserts == nil {
				e.Copy = o.CopyFrom()
			}
			e.After = []int{o.Table.DumpID}
		case "SEQUENCE SET":
			e.Class, e.OID = 0, 0
			e.After = []int{o.Table.DumpID}
		default:
			if !o.Refreshes() {
				return false
			}
			e.After = slices.Clone(m.Deps)
		}
	case *catalog.RelStats:
		e.After = slices.Clone(m.Deps)
	case *catalog.LargeObjects:
		if o.Contents {
			e.HasData, e.File = true, archive.LOListName(m.DumpID)
			e.After = slices.Clone(m.Deps)
		}
	case *catalog.Relation:
		if o.Relkind != 'S' {
			e.Relkind = o.Relkind
		}
	}
	if e.Create == "" && !e.HasData {
		return false
	}
	b.add(e)
	if s, ok := o.(*catalog.Relation); ok {
		if sql := s.OwnedBy(); sql != "" {
			b.add(archive.Entry{ID: b.id(), Kind: "SEQUENCE OWNED BY", Tag: m.Name, Section: archive.SectionPreData, Create: sql, Namespace: m.Schema, Owner: m.Owner, After: []int{m.DumpID}})
		}
	}
	return true
}

func (b *builder) satellites(m *catalog.Meta) {
	tableACL := 0
	for _, s := range m.Satellites {
		if b.opts.leftOut(s.Kind) {
			continue
		}
		e := archive.Entry{ID: b.id(), Kind: s.Kind, Tag: s.Tag, Section: archive.SectionNone, Create: s.SQL, Namespace: s.Schema, Owner: s.Owner, After: []int{m.DumpID}}
		if s.After != 0 {
			e.After[0] = s.After
		}
		if s.Section != 0 {
			e.Section, e.Drop, e.After = archive.Section(s.Section), s.Drop, nil
		}
		if s.Kind == "ACL" {
			if s.AfterTableACL {
				e.After = append(e.After, tableACL)
			} else {
				tableACL = e.ID
			}
		}
		b.add(e)
	}
}

// resolve fills in the dependencies of the entries that have none of their own:
// through objects that have no entry to those that do, not across the borders
// of sections.
func (b *builder) resolve(db *catalog.Database) {
	for i := range b.toc {
		e := &b.toc[i]
		if len(e.After) > 0 {
			continue
		}
		if o := db.Object(e.ID); o != nil {
			e.After = b.reach(db, o.Info().Deps, nil, map[int]bool{e.ID: true})
		}
	}
}

func (b *builder) reach(db *catalog.Database, deps, into []int, seen map[int]bool) []int {
	for _, d := range deps {
		if seen[d] {
			continue
		}
		seen[d] = true
		if b.stored[d] {
			into = append(into, d)
		} else if o := db.Object(d); o != nil && !catalog.IsBoundary(o) {
			into = b.reach(db, o.Info().Deps, into, seen)
		}
	}
	return into
}
