package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Relation is a row of pg_class that can be dumped: a table, partitioned
// table, view, materialized view, sequence or foreign table, or the relation
// behind a composite type. Table, view and sequence files say how each is
// written.
type Relation struct {
	Meta
	schemaOID, ofType, server                uint32
	persistence, replicaIdentity             byte
	pages, toastPages                        int64
	checks                                   int // how many CHECK constraints it has (relchecks)
	populated, rowSecurity, forceRowSecurity bool
	partition                                bool
	options, toastOptions                    []string
	checkOption                              string
	acl                                      acl
	columnACLs                               []columnACL

	ownerTable uint32 // of a sequence
	ownerCol   int
	identity   bool // sequence of an identity column

	wide                       bool // columns and constraints are read
	columns                    []*column
	parents                    []*Relation
	checksList                 []*Constraint
	indexes                    []*Index
	bound, key                 string // partition bound and partition key
	definition                 string // of a view, as the server deparses it
	dummy                      bool   // a view first made without its query, to break a ring
	unpopSrc                   bool   // a materialized view on an unpopulated one
	seq                        sequenceFacts
	config                     bool   // configuration table of an extension whose rows are dumped
	condition                  string // which of its rows
	enumHash                   bool   // hash-partitioned by an enum
	data                       *TableData
	extDeps                    []string // extensions it automatically depends on
	serverName, foreignOptions string   // of a foreign table
	catalog                    *loader  // for names of types and collations
}

func (l *loader) relationQuery() query {
	return query{
		what: "relations",
		sql: `SELECT c.oid, c.relname, c.relnamespace, c.relkind::text, c.relowner, c.relchecks,
  c.relpages, c.relpersistence::text, c.reloftype, c.relacl::text[],
  pg_catalog.acldefault(CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::"char", c.relowner)::text[],
  c.relispopulated, c.relreplident::text, c.relrowsecurity, c.relforcerowsecurity, c.relispartition,
  pg_catalog.array_remove(pg_catalog.array_remove(c.reloptions, 'check_option=local'), 'check_option=cascaded'),
  CASE WHEN 'check_option=local' = ANY (c.reloptions) THEN 'LOCAL' WHEN 'check_option=cascaded' = ANY (c.reloptions) THEN 'CASCADED' ELSE '' END,
  tc.reloptions, coalesce(tc.relpages, 0), am.amname, coalesce(t.spcname, ''), coalesce(f.ftserver, 0),
  coalesce(d.refobjid, 0), coalesce(d.refobjsubid, 0), coalesce(d.deptype = 'i', false)
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_depend d ON c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
  AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
LEFT JOIN pg_catalog.pg_class tc ON tc.oid = c.reltoastrelid AND tc.relkind = 't' AND c.relkind <> 'p'
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = c.oid
WHERE c.relkind IN ('r', 'S', 'v', 'c', 'm', 'f', 'p')
ORDER BY c.oid`,
		scan: l.scanRelation,
	}
}

func (l *loader) scanRelation(row pgx.Rows) error {
	r := &Relation{catalog: l}
	var oid, owner uint32
	var kind, persistence, replica, tablespace string
	if err := row.Scan(&oid, &r.Name, &r.schemaOID, &kind, &owner, &r.checks,
		&r.pages, &persistence, &r.ofType, &r.acl.items, &r.acl.base,
		&r.populated, &replica, &r.rowSecurity, &r.forceRowSecurity, &r.partition,
		&r.options, &r.checkOption, &r.toastOptions, &r.toastPages, &r.AccessMethod, &tablespace, &r.server,
		&r.ownerTable, &r.ownerCol, &r.identity); err != nil {
		return err
	}
	r.Relkind, r.persistence, r.replicaIdentity = kind[0], persistence[0], replica[0]
	r.Section, r.Schema, r.Owner = PreData, l.schema(r.schemaOID), l.role(owner)
	r.Kind = map[byte]string{
		'r': "TABLE", 'p': "TABLE", 'S': "SEQUENCE", 'v': "VIEW", 'm': "MATERIALIZED VIEW", 'f': "FOREIGN TABLE", 'c': "COMPOSITE TYPE",
	}[r.Relkind]
	if strings.IndexByte("rpm", r.Relkind) >= 0 {
		r.Tablespace = &tablespace
	}
	if r.acl.items != nil {
		r.has |= partACL
	}
	if r.Relkind != 'c' {
		r.has |= partData
	}
	l.add(r, ID{classRel, oid}, rankTable)
	l.rels[oid] = r
	l.relList = append(l.relList, r)
	return nil
}

// ownSequences makes sequences follow the tables they belong to: an identity
// column's exactly, a serial column's at least.
func (l *loader) ownSequences() {
	for _, s := range l.relList {
		t := l.rels[s.ownerTable]
		if s.Relkind != 'S' || s.ownerTable == 0 || t == nil || t.want == 0 && s.want == 0 {
			continue
		}
		if s.identity {
			s.want = t.want
		} else {
			s.want |= t.want
		}
	}
}

// isTable reports whether the relation holds rows of its own that COPY reads.
func (r *Relation) isTable() bool { return r.Relkind == 'r' || r.Relkind == 'p' }

// alter is "ALTER TABLE" or "ALTER FOREIGN TABLE".
func (r *Relation) alter() string {
	if r.Relkind == 'f' {
		return "ALTER FOREIGN TABLE "
	}
	return "ALTER TABLE "
}

// Create implements Object.
func (r *Relation) Create() string {
	switch r.Relkind {
	case 'r', 'p', 'm', 'f':
		return r.createTable()
	case 'v':
		return r.createView()
	case 'S':
		return r.createSequence()
	}
	return ""
}

// Drop implements Object.
func (r *Relation) Drop() string {
	if r.Relkind == 'c' || r.identity {
		return ""
	}
	return "DROP " + r.Kind + " " + r.QualifiedName() + ";\n"
}

// reloptions writes storage parameters for WITH (...).
func reloptions(options []string, prefix string) []string {
	var out []string
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		s := prefix + quote.Ident(name) + "="
		if quote.Ident(value) == value {
			s += value
		} else {
			s += quote.Literal(value)
		}
		out = append(out, s)
	}
	return out
}

func (r *Relation) with() string {
	all := append(reloptions(r.options, ""), reloptions(r.toastOptions, "toast.")...)
	return strings.Join(all, ", ")
}

func (r *Relation) column(num int) *column {
	if num < 1 || num > len(r.columns) {
		return nil
	}
	return r.columns[num-1]
}

// inheritsQuery reads parents in the order of the INHERITS clause.
func (l *loader) inheritsQuery() query {
	return query{
		what: "inheritance",
		sql: `SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind NOT IN ('i', 'I') ORDER BY i.inhrelid, i.inhseqno`,
		scan: func(row pgx.Rows) error {
			var child, parent uint32
			if err := row.Scan(&child, &parent); err != nil {
				return err
			}
			if c, p := l.rels[child], l.rels[parent]; c != nil && p != nil {
				c.parents = append(c.parents, p)
			}
			return nil
		},
	}
}

// inherit makes an ATTACH for each partition and marks the parents whose
// columns decide what their children print.
func (l *loader) inherit() {
	for _, r := range l.relList {
		if r.want != 0 {
			for _, p := range r.parents {
				p.wide = true
			}
		}
		if r.want != 0 && r.partition && len(r.parents) > 0 {
			a := &Attach{parent: r.parents[0], child: r}
			a.Kind, a.Section = "TABLE ATTACH", PreData
			a.Schema, a.Name, a.Owner = r.Schema, r.Name, r.Owner
			a.want = r.want
			l.add(a, ID{}, rankAttach)
			a.dependOn(r.parents[0].DumpID)
			a.dependOn(r.DumpID)
		}
	}
}

// interesting returns the relations whose columns are read: those wanted and
// their parents.
func (l *loader) interesting() string {
	var list []uint32
	for _, r := range l.relList {
		if r.Relkind == 'S' || r.Relkind == 'c' {
			continue
		}
		if r.want&(partDefinition|partData|partPolicy) != 0 || r.config {
			r.wide = true
		}
		if r.wide {
			list = append(list, r.ID.OID)
		}
	}
	return oids(list)
}

// An Attach makes a table a partition of another.
type Attach struct {
	Meta
	parent, child *Relation
}

// Create implements Object.
func (a *Attach) Create() string {
	return "ALTER TABLE ONLY " + a.parent.QualifiedName() + " ATTACH PARTITION " + a.child.QualifiedName() + " " + a.child.bound + ";\n"
}

// Drop implements Object.
func (a *Attach) Drop() string { return "" }

func (l *loader) partitionQuery() query {
	var list []uint32 // in OID order, as the rows come
	for _, r := range l.relList {
		if r.wide && (r.partition || r.Relkind == 'p') {
			list = append(list, r.ID.OID)
		}
	}
	read := 0
	return query{
		what: "partitions",
		// The rows are sorted before their definitions are written, one by one.
		sql: `SELECT p.oid, coalesce(pg_catalog.pg_get_expr(p.relpartbound, p.oid), ''), coalesce(pg_catalog.pg_get_partkeydef(p.oid), '') FROM (
  SELECT c.oid, c.relpartbound FROM pg_catalog.pg_class c WHERE c.oid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY c.oid OFFSET 0) p`,
		args: []any{oids(list)},
		at: func() string {
			if read == len(list) {
				return ""
			}
			return l.rels[list[read]].QualifiedName()
		},
		scan: func(row pgx.Rows) error {
			read++
			var oid uint32
			var bound, key string
			if err := row.Scan(&oid, &bound, &key); err != nil {
				return err
			}
			l.rels[oid].bound, l.rels[oid].key = bound, key
			return nil
		},
	}
}
