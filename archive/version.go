package archive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Older versions of the table of contents, for older versions of pg_restore.
var (
	Version15 = Version{1, 15, 0} // pg_restore 16
	Version14 = Version{1, 14, 0} // pg_restore 12 to 15, which know gzip only
)

// check fills in defaults and reports what does not go together.
func (o *WriterOptions) check() error {
	if o.Compression == "" {
		o.Compression = CompressZstd
	}
	if o.FrameSize <= 0 {
		o.FrameSize = frameSize
	}
	if o.Version == (Version{}) {
		o.Version = CurrentVersion
	}
	if o.store == nil {
		o.store = localStore{}
	}
	switch o.Version {
	case CurrentVersion, Version15:
	case Version14:
		if o.Compression != CompressGzip && o.Compression != CompressNone {
			return fmt.Errorf("archive version 1.14 has no compression %s: use gzip or none", o.Compression)
		}
	default:
		return fmt.Errorf("archive version %s is not one of 1.16, 1.15 and 1.14", o.Version)
	}
	return nil
}

// listName returns the file that lists the large objects of a BLOBS entry.
func (v Version) listName(id int) string {
	if v.less(CurrentVersion) {
		return loListName
	}
	return LOListName(id)
}

// convert returns the entries as version v has them. Before 1.16 each large
// object has an entry of its own, made before any data, privileges are for one
// each, and one BLOBS entry holds the data of all. Dump IDs of what has data are
// kept, except that the first BLOBS entry stands for all.
func (v Version) convert(toc []Entry) []Entry {
	if !v.less(CurrentVersion) || !slices.ContainsFunc(toc, isLargeObject) {
		return toc
	}
	c := converter{
		objects: make(map[int][]string), ids: make(map[string]int),
		groups: make(map[int]bool),
	}
	for i := range toc {
		c.next = max(c.next, toc[i].ID+1)
		for _, id := range toc[i].After {
			c.next = max(c.next, id+1)
		}
	}
	blobs := c.blobs(toc)
	firstData := slices.IndexFunc(toc, func(e Entry) bool { return e.Section == SectionData })
	var out []Entry
	for i := range toc {
		if i == firstData {
			out = append(out, blobs...)
		}
		out = append(out, c.entry(toc[i])...)
	}
	return out
}

func isLargeObject(e Entry) bool { return e.Kind == "BLOB METADATA" || e.Kind == "BLOBS" }

// A converter replaces groups of large objects by single ones.
type converter struct {
	next    int              // unused dump ID
	objects map[int][]string // OIDs of each BLOB METADATA entry
	ids     map[string]int   // dump ID of each large object's new entry
	groups  map[int]bool     // IDs of the BLOBS entries
	merged  int              // the one of them that stays
}

// blobs returns the new entries of the large objects and notes the old ones.
func (c *converter) blobs(toc []Entry) []Entry {
	var out []Entry
	for i := range toc {
		e := &toc[i]
		if e.Kind == "BLOBS" {
			c.groups[e.ID] = true
			if c.merged == 0 {
				c.merged = e.ID
			}
		}
		if e.Kind != "BLOB METADATA" {
			continue
		}
		c.objects[e.ID] = strings.Fields(e.Create)
		for _, oid := range c.objects[e.ID] {
			n, _ := strconv.ParseUint(oid, 10, 32)
			c.ids[oid] = c.next
			out = append(out, Entry{
				ID: c.next, Class: e.Class, OID: uint32(n), Kind: "BLOB", Tag: oid, Section: SectionPreData, Owner: e.Owner,
				Create: "SELECT pg_catalog.lo_create('" + oid + "');\n", Drop: "SELECT pg_catalog.lo_unlink('" + oid + "');\n",
				After: slices.Clone(e.After),
			})
			c.next++
		}
	}
	return out
}

// entry returns what becomes of an entry.
func (c *converter) entry(e Entry) []Entry {
	old := e.After
	switch {
	case e.Kind == "BLOB METADATA", e.Kind == "BLOBS" && e.ID != c.merged:
		return nil
	case e.Kind == "BLOBS":
		e.Tag, e.Owner = "BLOBS", ""
		e.After = c.depend(old, nil)
		return []Entry{e}
	case e.Kind == "ACL" && strings.HasPrefix(e.Tag, "LARGE OBJECTS "):
		return c.privileges(e)
	}
	if oid, ok := strings.CutPrefix(e.Tag, "LARGE OBJECT "); ok && c.ids[oid] > 0 {
		e.After = c.depend(old, []string{oid})
	} else {
		e.After = c.depend(old, c.of(old))
	}
	return []Entry{e}
}

// of returns the large objects of the groups among the IDs.
func (c *converter) of(after []int) []string {
	var oids []string
	for _, id := range after {
		oids = append(oids, c.objects[id]...)
	}
	return oids
}

// depend replaces the IDs of groups in after: by those of the large objects
// named, and by that of the one BLOBS entry.
func (c *converter) depend(after []int, oids []string) []int {
	var out []int
	for _, id := range after {
		switch {
		case c.groups[id]:
			id = c.merged
		case c.objects[id] != nil:
			continue
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	for _, oid := range oids {
		out = append(out, c.ids[oid])
	}
	return out
}

// privileges gives each large object of a group the statements that the entry
// has for the first.
func (c *converter) privileges(e Entry) []Entry {
	oids := c.of(e.After)
	out := make([]Entry, 0, len(oids))
	for i, oid := range oids {
		n := e
		if i > 0 {
			n.ID = c.next
			c.next++
		}
		n.Tag = "LARGE OBJECT " + oid
		n.After = c.depend(e.After, []string{oid})
		n.Create = replaceUnquoted(e.Create, "ON LARGE OBJECT "+oids[0]+" ", "ON LARGE OBJECT "+oid+" ")
		out = append(out, n)
	}
	return out
}

// replaceUnquoted replaces text outside quoted names.
func replaceUnquoted(sql, from, to string) string {
	var out strings.Builder
	quoted := false
	for len(sql) > 0 {
		if !quoted && strings.HasPrefix(sql, from) {
			out.WriteString(to)
			sql = sql[len(from):]
			continue
		}
		quoted = quoted != (sql[0] == '"')
		out.WriteByte(sql[0])
		sql = sql[1:]
	}
	return out.String()
}
