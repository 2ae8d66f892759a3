package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// maxLargeObjects is how many large objects share an entry, as in pg_dump.
const maxLargeObjects = 1000

// LargeObjects is a group of large objects with the same owner and privileges.
type LargeObjects struct {
	Meta
	OIDs []uint32
	// Contents is false for the entry that makes the objects and true for the
	// one that holds their bytes.
	Contents bool
	acl      acl
}

func (l *loader) largeObjectQuery() query {
	sel := l.opts.Select
	if !sel.data() || sel.NoLargeObjects || !sel.everything() && !sel.LargeObjects {
		return query{}
	}
	var g *LargeObjects
	return query{
		what: "large objects",
		sql: `SELECT m.oid, m.lomowner, m.lomacl::text[], pg_catalog.acldefault('L', m.lomowner)::text[]
FROM pg_catalog.pg_largeobject_metadata m ORDER BY m.lomowner, m.lomacl::text, m.oid`,
		scan: func(row pgx.Rows) error {
			var oid, owner uint32
			var a acl
			if err := row.Scan(&oid, &owner, &a.items, &a.base); err != nil {
				return err
			}
			if g == nil || len(g.OIDs) == maxLargeObjects || g.Owner != l.role(owner) ||
				(g.acl.items == nil) != (a.items == nil) || !slices.Equal(g.acl.items, a.items) {
				g = &LargeObjects{acl: a}
				g.Kind, g.Section, g.Owner, g.want = "BLOB METADATA", Data, l.role(owner), partAll
				if a.items != nil {
					g.has |= partACL
				}
				l.add(g, ID{classLargeObj, oid}, rankLargeObjects)
				l.blobs = append(l.blobs, g)
			}
			g.OIDs = append(g.OIDs, oid)
			return nil
		},
	}
}

// largeObjectContents adds the entries of the bytes, once the groups are known.
func (l *loader) largeObjectContents() {
	for _, g := range l.blobs {
		g.Name = strconv.FormatUint(uint64(g.OIDs[0]), 10)
		if n := len(g.OIDs); n > 1 {
			g.Name = fmt.Sprintf("%d..%d", g.OIDs[0], g.OIDs[n-1])
		}
		d := &LargeObjects{OIDs: g.OIDs, Contents: true}
		d.Kind, d.Section, d.Name, d.Owner, d.want = "BLOBS", Data, g.Name, g.Owner, partAll
		l.add(d, ID{}, rankLargeObjectData)
		d.dependOn(g.DumpID)
	}
}

// Create implements Object: the OIDs, a line each, which the restorer makes
// into calls of lo_create.
func (g *LargeObjects) Create() string {
	if g.Contents {
		return ""
	}
	var b strings.Builder
	for _, oid := range g.OIDs {
		b.WriteString(strconv.FormatUint(uint64(oid), 10))
		b.WriteByte('\n')
	}
	return b.String()
}

// Drop implements Object.
func (g *LargeObjects) Drop() string {
	if g.Contents {
		return ""
	}
	return "-- dummy"
}
