package verify

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/platform"
)

// schema compares the definitions of both ends.
func (c *comparison) schema(context.Context) (compared int, _ error) {
	entries, skipped := c.mapping.apply(c.ends[0].entries)
	compared, list := compareDefinitions(entries, c.ends[0].entries, c.ends[1].entries, c.ends[0].version, c.ends[1].version)
	for _, d := range list {
		if d.Expected == "" && d.Status == MissingInSource {
			if c.opts.IgnoreExtra {
				continue
			}
			d.Expected = c.mapping.own(d.Kind, d.Schema, d.Name)
		}
		c.differ(d)
	}
	c.differ(skipped...)
	return compared + len(skipped), nil
}

// apply turns the source's entries into what the target should have. What is
// left behind is returned as differences that have to be.
func (m *mapping) apply(entries []archive.Entry) (out []archive.Entry, skipped []Difference) {
	if m.plan == nil {
		return entries, nil
	}
	for _, e := range entries {
		it := m.item(e.Kind, e.Namespace, e.Tag)
		if it != nil && it.Verdict == platform.Skip {
			if !notCompared[e.Kind] && !ofLargeObject(&e) && !ofDatabase(&e) {
				skipped = append(skipped, Difference{
					Level: LevelSchema, Kind: e.Kind, Schema: e.Namespace, Name: e.Tag, Status: MissingInTarget,
					Source: public(strings.TrimSpace(e.Create)), Expected: m.skipped(e.Kind, e.Namespace, e.Tag),
				})
			}
			continue
		}
		renamed := e.Kind == "SCHEMA" && m.schema(e.Tag) != e.Tag
		m.plan.MapEntry(&e)
		switch {
		case renamed: // it may have been there, or have brought privileges with it
			e.Create = "CREATE SCHEMA " + quote.Ident(e.Tag) + ";\n"
			if e.Tag == "public" {
				e.Create = "-- *not* creating schema, since initdb creates it\n"
			}
		case it != nil && it.SQL != "":
			e.Create = it.SQL
		default:
			e.Create = m.plan.MapSQL(e.Create)
		}
		out = append(out, e)
	}
	return out, skipped
}

// notCompared are kinds of entries that other levels compare, and what is not a
// part of the database's own definition.
var notCompared = map[string]bool{
	"ENCODING": true, "STDSTRINGS": true, "SEARCHPATH": true, "DATABASE": true, "DATABASE PROPERTIES": true,
	"TABLE DATA": true, "SEQUENCE SET": true, "MATERIALIZED VIEW DATA": true, "STATISTICS DATA": true,
	"BLOBS": true, "BLOB": true, "BLOB METADATA": true, "BLOB COMMENTS": true,
	"ACL": true, "DEFAULT ACL": true, "SECURITY LABEL": true, "ACL LANGUAGE": true,
}

// An entryKey tells entries of one end from each other.
type entryKey struct{ kind, schema, name string }

// compareDefinitions compares the entries of both ends. Those that have no
// difference but one that the versions of the servers make count as equal, and
// so do those that a plan rewrites and that the target has as they were.
func compareDefinitions(source, unmapped, target []archive.Entry, sv, tv pg.Version) (compared int, out []Difference) {
	normal := &normalizer{versions: [2]pg.Version{sv, tv}, schemas: map[string]bool{}}
	var ends [2]map[entryKey][]*archive.Entry
	for i, list := range [2][]archive.Entry{source, target} {
		ends[i] = map[entryKey][]*archive.Entry{}
		for n := range list {
			e := &list[n]
			normal.learn(e, i)
			if notCompared[e.Kind] || ofLargeObject(e) || ofDatabase(e) || strings.HasPrefix(e.Create, "-- *not*") {
				continue
			}
			k := entryKey{e.Kind, e.Namespace, normal.name(e)}
			ends[i][k] = append(ends[i][k], e)
		}
	}
	before := map[int]*archive.Entry{}
	for i := range unmapped {
		before[unmapped[i].ID] = &unmapped[i]
	}
	all := maps.Clone(ends[0])
	maps.Copy(all, ends[1])
	keys := slices.SortedFunc(maps.Keys(all), func(a, b entryKey) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.schema, b.schema), strings.Compare(a.name, b.name))
	})
	for _, k := range keys {
		compared++
		d := Difference{Level: LevelSchema, Kind: k.kind, Schema: k.schema, Name: k.name, Source: definition(ends[0][k]), Target: definition(ends[1][k])}
		d.Status = status(len(ends[0][k]) > 0, len(ends[1][k]) > 0)
		if d.Status == Different {
			if normal.equal(ends[0][k], ends[1][k]) {
				continue
			}
			original := make([]*archive.Entry, len(ends[0][k]))
			for i, e := range ends[0][k] {
				original[i] = before[e.ID]
			}
			if normal.equal(original, ends[1][k]) {
				continue
			}
		}
		if k.kind == "COMMENT" && strings.HasPrefix(k.name, "EXTENSION ") {
			d.Expected = "an extension brings its own comment, which differs between its versions"
		}
		out = append(out, d)
	}
	return compared, out
}

// definition is the text of entries as reports show it.
func definition(list []*archive.Entry) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = public(strings.TrimSpace(e.Create))
		if e.AccessMethod != nil && *e.AccessMethod != "" && *e.AccessMethod != "heap" {
			texts[i] += "\n-- access method " + *e.AccessMethod
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, "\n")
}

var (
	secretOption = regexp.MustCompile(`(?im)^(\s*"?(?:password|passfile|sslkey|sslpassword)"? )'(?:[^']|'')*'`)
	connection   = regexp.MustCompile(`(?i)( CONNECTION )'(?:[^']|'')*'`)
)

// public is a definition without passwords: those of user mappings and servers,
// and the connection strings of subscriptions.
func public(sql string) string {
	return connection.ReplaceAllString(secretOption.ReplaceAllString(sql, "$1'***'"), "$1'***'")
}

// ofLargeObject reports whether an entry is a comment or so on a large object.
func ofLargeObject(e *archive.Entry) bool {
	return strings.HasPrefix(e.Tag, "LARGE OBJECT ") || strings.HasPrefix(e.Tag, "LARGE OBJECTS ")
}

// ofDatabase reports whether an entry is a comment on the database itself,
// whose name may be another one.
func ofDatabase(e *archive.Entry) bool {
	return e.Kind == "COMMENT" && strings.HasPrefix(e.Tag, "DATABASE ")
}
