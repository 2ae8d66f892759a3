package catalog

import "github.com/jackc/pgx/v5"

// dependQuery reads who depends on whom. The members of operator families
// count as the family.
func (l *loader) dependQuery() query {
	return query{
		what: "dependencies",
		sql: `SELECT d.classid, d.objid, d.refclassid, d.refobjid, d.deptype::text FROM pg_catalog.pg_depend d
WHERE d.deptype <> 'p' AND d.deptype <> 'e'
UNION ALL
SELECT 'pg_catalog.pg_opfamily'::regclass, o.amopfamily, d.refclassid, d.refobjid, d.deptype::text FROM pg_catalog.pg_depend d, pg_catalog.pg_amop o
WHERE d.deptype NOT IN ('p', 'e', 'i') AND d.classid = 'pg_catalog.pg_amop'::regclass AND d.objid = o.oid
  AND NOT (d.refclassid = 'pg_catalog.pg_opfamily'::regclass AND o.amopfamily = d.refobjid)
UNION ALL
SELECT 'pg_catalog.pg_opfamily'::regclass, p.amprocfamily, d.refclassid, d.refobjid, d.deptype::text FROM pg_catalog.pg_depend d, pg_catalog.pg_amproc p
WHERE d.deptype NOT IN ('p', 'e', 'i') AND d.classid = 'pg_catalog.pg_amproc'::regclass AND d.objid = p.oid
  AND NOT (d.refclassid = 'pg_catalog.pg_opfamily'::regclass AND p.amprocfamily = d.refobjid)
ORDER BY 1, 2, 3, 4`,
		scan: func(row pgx.Rows) error {
			var id, ref ID
			var kind string
			if err := row.Scan(&id.Class, &id.OID, &ref.Class, &ref.OID, &kind); err != nil {
				return err
			}
			o, r := l.byID[id], l.byID[ref]
			if o == nil || r == nil {
				return nil // built in, or a TOAST table
			}
			_, isType := r.(*Type)
			_, isRel := o.(*Relation)
			if kind == "i" && isRel && isType {
				// A composite type depends on its relation here, so that what the
				// columns need comes first; the catalog has it the other way.
				r.Info().dependOn(o.Info().DumpID)
				return nil
			}
			if e, ok := r.(*Extension); ok && kind == "x" {
				addExtensionDependency(o, e.Name)
			}
			o.Info().dependOn(r.Info().DumpID)
			return nil
		},
	}
}

// addExtensionDependency records ALTER … DEPENDS ON EXTENSION for the kinds
// that have it.
func addExtensionDependency(o Object, extension string) {
	switch o := o.(type) {
	case *Function:
		o.extDeps = append(o.extDeps, extension)
	case *Relation:
		o.extDeps = append(o.extDeps, extension)
	case *Index:
		o.extDeps = append(o.extDeps, extension)
	case *Trigger:
		o.extDeps = append(o.extDeps, extension)
	}
}

// refreshQuery orders the refreshes of materialized views that read others,
// directly or through views.
func (l *loader) refreshQuery() query {
	return query{
		what: "dependencies of materialized views",
		sql: `WITH RECURSIVE w AS (
  SELECT r.ev_class AS objid, d.refobjid, c2.relkind
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind = 'm'
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refobjid <> r.ev_class
  JOIN pg_catalog.pg_class c2 ON c2.oid = d.refobjid AND c2.relkind IN ('m', 'v') AND d.refclassid = 'pg_catalog.pg_class'::regclass
  UNION
  SELECT w.objid, d.refobjid, c3.relkind
  FROM w JOIN pg_catalog.pg_rewrite r ON r.ev_class = w.refobjid
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refobjid <> w.refobjid
  JOIN pg_catalog.pg_class c3 ON c3.oid = d.refobjid AND c3.relkind IN ('m', 'v') AND d.refclassid = 'pg_catalog.pg_class'::regclass)
SELECT w.objid, w.refobjid FROM w WHERE w.relkind = 'm' ORDER BY 1, 2`,
		scan: func(row pgx.Rows) error {
			var oid, ref uint32
			if err := row.Scan(&oid, &ref); err != nil {
				return err
			}
			m, r := l.rels[oid], l.rels[ref]
			if m == nil || r == nil || m.data == nil || r.data == nil {
				return nil
			}
			m.data.dependOn(r.data.DumpID)
			if !r.populated {
				m.unpopSrc = true
			}
			return nil
		},
	}
}

// A boundary stands between two sections in the sort.
type boundary struct{ Meta }

// IsBoundary reports whether an object is one of the two borders between
// sections, which no dependency in an archive crosses.
func IsBoundary(o Object) bool {
	_, ok := o.(*boundary)
	return ok
}

func (*boundary) Create() string { return "" }
func (*boundary) Drop() string   { return "" }

// boundaries puts every object on its side of the two borders between
// pre-data, data and post-data.
func (l *loader) boundaries() {
	n := len(l.objs)
	pre, post := &boundary{}, &boundary{}
	pre.Kind, post.Kind = "pre-data boundary", "post-data boundary"
	l.add(pre, ID{}, rankPreBoundary)
	l.add(post, ID{}, rankPostBoundary)
	l.boundary = [2]*boundary{pre, post}
	for _, o := range l.objs[:n] {
		m := o.Info()
		switch o := o.(type) {
		case *DatabaseObject:
		case *Constraint:
			if o.separate {
				m.dependOn(post.DumpID)
			}
		case *Rule:
			if o.separate {
				m.dependOn(post.DumpID)
			}
		default:
			switch m.Section {
			case PreData:
				pre.dependOn(m.DumpID)
			case Data:
				m.dependOn(pre.DumpID)
				post.dependOn(m.DumpID)
			case PostData:
				m.dependOn(post.DumpID)
			}
		}
	}
	post.dependOn(pre.DumpID)
}
