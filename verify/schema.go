package verify

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
)

// schema compares the definitions of both ends.
func (c *comparison) schema(context.Context) (compared int, _ error) {
	compared, list := compareDefinitions(c.ends[0].entries, c.ends[1].entries, c.ends[0].version, c.ends[1].version)
	c.differ(list...)
	return compared, nil
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
// difference but one that the versions of the servers make count as equal.
func compareDefinitions(source, target []archive.Entry, sv, tv pg.Version) (compared int, out []Difference) {
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
	all := maps.Clone(ends[0])
	maps.Copy(all, ends[1])
	keys := slices.SortedFunc(maps.Keys(all), func(a, b entryKey) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.schema, b.schema), strings.Compare(a.name, b.name))
	})
	for _, k := range keys {
		compared++
		d := Difference{Level: LevelSchema, Kind: k.kind, Schema: k.schema, Name: k.name, Source: definition(ends[0][k]), Target: definition(ends[1][k])}
		d.Status = status(len(ends[0][k]) > 0, len(ends[1][k]) > 0)
		if d.Status == Different && (d.Source == d.Target || normal.text(ends[0][k], 0) == normal.text(ends[1][k], 1)) {
			continue
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
		texts[i] = strings.TrimSpace(e.Create)
		if e.AccessMethod != nil && *e.AccessMethod != "" && *e.AccessMethod != "heap" {
			texts[i] += "\n-- access method " + *e.AccessMethod
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, "\n")
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
