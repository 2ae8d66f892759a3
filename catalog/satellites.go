package catalog

import (
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A columnACL is the privileges of one column.
type columnACL struct {
	num  int
	name string
	acl  acl
}

// columnACLQuery reads the columns whose privileges are, or once were, not the
// default.
func (l *loader) columnACLQuery() query {
	if l.opts.NoPrivileges {
		return query{}
	}
	return query{
		what: "column privileges",
		sql: `SELECT a.attrelid, a.attnum, a.attname, a.attacl::text[] FROM pg_catalog.pg_attribute a
WHERE NOT a.attisdropped AND a.attnum > 0 AND (a.attacl IS NOT NULL
  OR EXISTS (SELECT FROM pg_catalog.pg_init_privs p WHERE p.classoid = 'pg_catalog.pg_class'::regclass AND p.objoid = a.attrelid AND p.objsubid = a.attnum))
ORDER BY a.attrelid, a.attnum`,
		scan: func(row pgx.Rows) error {
			var oid uint32
			var c columnACL
			if err := row.Scan(&oid, &c.num, &c.name, &c.acl.items); err != nil {
				return err
			}
			if r := l.rels[oid]; r != nil {
				r.columnACLs = append(r.columnACLs, c)
				r.has |= partACL
			}
			return nil
		},
	}
}

// finish writes the comments, security labels and privileges of every object, in the order in
// which they follow it.
func (l *loader) finish() {
	for id := range l.initPriv {
		if o := l.byID[id]; o != nil {
			o.Info().has |= partACL
		}
	}
	for _, o := range l.db.Objects {
		if t, ok := o.(*Transform); ok {
			t.RawDeps = t.Deps // as pg_dump writes them
		}
		l.objectComments(o)
		l.objectLabels(o)
		l.objectACL(o)
	}
}

func (l *loader) objectACL(o Object) {
	m := o.Info()
	switch o := o.(type) {
	case *DatabaseObject:
		l.aclSatellite(m, "DATABASE", quote.Ident(m.Name), quote.Ident(m.Name), o.acl)
	case *Schema:
		a := l.withInitial(m.ID, o.acl)
		if m.Name == "public" {
			a = l.publicACL(o)
		}
		l.aclSatellite(m, "SCHEMA", quote.Ident(m.Name), quote.Ident(m.Name), a)
	case *Type:
		if !o.dummy {
			l.aclSatellite(m, "TYPE", quote.Ident(m.Name), m.QualifiedName(), l.withInitial(m.ID, o.acl))
		}
	case *Function:
		kind := m.Kind
		if kind == "AGGREGATE" {
			kind = "FUNCTION"
		}
		l.aclSatellite(m, kind, o.signature(), quote.Ident(m.Schema)+"."+o.signature(), l.withInitial(m.ID, o.acl))
	case *Relation:
		l.relationACL(o)
	case *Language:
		if o.trusted {
			l.aclSatellite(m, "LANGUAGE", quote.Ident(m.Name), quote.Ident(m.Name), l.withInitial(m.ID, o.acl))
		}
	case *ForeignWrapper:
		l.aclSatellite(m, "FOREIGN DATA WRAPPER", quote.Ident(m.Name), quote.Ident(m.Name), l.withInitial(m.ID, o.acl))
	case *ForeignServer:
		l.aclSatellite(m, "FOREIGN SERVER", quote.Ident(m.Name), quote.Ident(m.Name), l.withInitial(m.ID, o.acl))
		if m.Wanted() {
			m.Satellites = append(m.Satellites, o.mappings...)
		}
	case *LargeObjects:
		if o.Contents {
			return
		}
		first := strconv.FormatUint(uint64(o.OIDs[0]), 10)
		l.aclSatellite(m, "LARGE OBJECT", first, first, o.acl)
		if n := len(m.Satellites); n > 0 && len(o.OIDs) > 1 && m.Satellites[n-1].Kind == "ACL" {
			// One entry stands for all; restorers repeat it for each.
			m.Satellites[n-1].Tag = "LARGE OBJECTS " + m.Name
		}
	}
}

// publicACL compares the public schema with what PostgreSQL 15 and later make,
// so that what older servers grant to all is granted explicitly. If pg_init_privs
// says nothing the schema was made anew by a user.
func (l *loader) publicACL(s *Schema) acl {
	a := s.acl
	if a.items == nil {
		a.items = a.base
	}
	owner := aclQuote(s.Owner)
	a.base = []string{owner + "=UC/" + owner, "=U/" + owner}
	return a
}

// aclQuote writes a role name as aclitem does.
func aclQuote(name string) string {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c < 0x80 {
			return `"` + quoteDouble(name) + `"`
		}
	}
	return name
}

func quoteDouble(s string) string {
	var b []byte
	for i := range len(s) {
		if s[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, s[i])
	}
	return string(b)
}

func (l *loader) relationACL(r *Relation) {
	if r.Relkind == 'c' {
		return
	}
	kind := "TABLE"
	if r.Relkind == 'S' {
		kind = "SEQUENCE"
	}
	before := len(r.Satellites)
	l.aclSatellite(&r.Meta, kind, quote.Ident(r.Name), r.QualifiedName(), l.withInitial(r.ID, r.acl))
	if l.opts.NoPrivileges || !r.dumps(partACL) || kind != "TABLE" {
		return
	}
	tableACL := len(r.Satellites) > before
	for _, c := range r.columnACLs {
		a := c.acl
		if p, ok := l.initPriv[r.ID][int32(c.num)]; ok {
			a.base = p.items
			if a.items == nil {
				a.items = []string{}
			}
		}
		if slices.Equal(a.items, a.base) {
			continue
		}
		sql := grants("COLUMN", "TABLE "+r.QualifiedName(), quote.Ident(c.name), r.Owner, a)
		if sql != "" {
			r.Satellites = append(r.Satellites, Satellite{
				Kind: "ACL", Tag: "COLUMN " + quote.Ident(r.Name) + "." + quote.Ident(c.name),
				SQL: sql, Owner: r.Owner, Schema: r.Schema, AfterTableACL: tableACL,
			})
		}
	}
}
