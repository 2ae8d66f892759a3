package catalog

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// An Index is an index of a table; one that enforces a constraint is made by
// the constraint.
type Index struct {
	Meta
	table                                 *Relation
	definition                            string // "" for that of a constraint
	columns                               []int  // attribute numbers, 0 for expressions
	keyColumns                            int
	clustered, identity, nullsNotDistinct bool
	options                               []string
	statColumns, statTargets              []int
	parent                                uint32 // index of the partitioned table
	constraint                            *Constraint
	attaches                              []*IndexAttach
	extDeps                               []string
}

// indexQuery reads indexes. Invalid ones, which a failed CREATE INDEX
// CONCURRENTLY leaves behind, are left out, but not those of partitioned
// tables: they are invalid until every partition has its own.
func (l *loader) indexQuery(rels string) query {
	return query{
		what: "INDEX objects",
		sql: `SELECT i.indexrelid, i.indrelid, t.relname, n.nspname, CASE WHEN c.oid IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid) ELSE '' END, i.indkey::int2[], i.indnkeyatts, i.indisclustered, i.indisreplident,
  ` + l.since(15, "i.indnullsnotdistinct", "false") + `, coalesce(ts.spcname, ''), t.reloptions, coalesce(inh.inhparent, 0),
  st.columns, st.targets,
  coalesce(c.oid, 0), coalesce(c.contype::text, ''), coalesce(c.conname, ''), coalesce(c.condeferrable, false), coalesce(c.condeferred, false),
  ` + l.since(18, "coalesce(c.conperiod, false)", "false") + `,
  CASE WHEN c.contype = 'x' THEN pg_catalog.pg_get_constraintdef(c.oid, false) ELSE '' END
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class t ON t.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_class t2 ON t2.oid = i.indrelid
LEFT JOIN pg_catalog.pg_constraint c ON c.conrelid = i.indrelid AND c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_inherits inh ON inh.inhrelid = i.indexrelid
LEFT JOIN (SELECT a.attrelid, pg_catalog.array_agg(a.attnum::int4 ORDER BY a.attnum) AS columns, pg_catalog.array_agg(a.attstattarget::int4 ORDER BY a.attnum) AS targets
  FROM pg_catalog.pg_attribute a WHERE a.attstattarget >= 0 AND a.attnum > 0 GROUP BY a.attrelid) st ON st.attrelid = i.indexrelid
LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = t.reltablespace
WHERE i.indrelid IN (SELECT pg_catalog.unnest($1::oid[])) AND (i.indisvalid OR t2.relkind = 'p') AND i.indisready
ORDER BY i.indrelid, t.relname`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			x := &Index{}
			k := &Constraint{local: true, separate: true}
			var oid, rel, conOID uint32
			var tablespace, contype string
			if err := row.Scan(&oid, &rel, &x.Name, &x.Schema, &x.definition, &x.columns, &x.keyColumns, &x.clustered, &x.identity,
				&x.nullsNotDistinct, &tablespace, &x.options, &x.parent, &x.statColumns, &x.statTargets,
				&conOID, &contype, &k.Name, &k.deferrable, &k.deferred, &k.period, &k.definition); err != nil {
				return err
			}
			x.table = l.rels[rel]
			x.Kind, x.Section, x.Owner, x.want = "INDEX", PostData, x.table.Owner, x.table.want
			x.Tablespace = &tablespace
			l.add(x, ID{classRel, oid}, rankIndex)
			l.indexes[oid] = x
			x.table.indexes = append(x.table.indexes, x)
			if conOID != 0 {
				k.contype, k.index = contype[0], x
				l.addConstraint(k, conOID, x.table, nil)
				k.Tablespace = x.Tablespace
				x.constraint = k
			}
			return nil
		},
	}
}

// attachIndexes makes an ATTACH for each index that belongs to a partitioned
// one. It follows both indexes and both tables, so that no parallel restore
// runs it beside work on them.
func (l *loader) attachIndexes() {
	for _, r := range l.relList {
		if !r.partition {
			continue
		}
		for _, x := range r.indexes {
			p := l.indexes[x.parent]
			if p == nil {
				continue
			}
			a := &IndexAttach{parent: p, child: x}
			a.Kind, a.Section = "INDEX ATTACH", PostData
			a.Schema, a.Name, a.Owner, a.want = x.Schema, x.Name, p.table.Owner, x.want
			l.add(a, ID{}, rankIndexAttach)
			for _, id := range []int{x.DumpID, p.DumpID, x.table.DumpID, p.table.DumpID} {
				a.dependOn(id)
			}
			p.attaches = append(p.attaches, a)
		}
	}
}

func (x *Index) columnNames(from, to int) string {
	var list []string
	for _, num := range x.columns[from:to] {
		if c := x.table.column(num); c != nil {
			list = append(list, quote.Ident(c.name))
		}
	}
	return strings.Join(list, ", ")
}

// writeSettings writes what belongs to the index and has no place in CREATE.
func (x *Index) writeSettings(s *sqlText) {
	if x.constraint == nil {
		for i, num := range x.statColumns {
			s.add("ALTER INDEX ", x.QualifiedName(), " ALTER COLUMN ", strconv.Itoa(num), " SET STATISTICS ", strconv.Itoa(x.statTargets[i]), ";\n")
		}
	}
	if x.clustered {
		s.add("\nALTER TABLE ", x.table.QualifiedName(), " CLUSTER ON ", quote.Ident(x.Name), ";\n")
	}
	if x.identity {
		s.add("\nALTER TABLE ONLY ", x.table.QualifiedName(), " REPLICA IDENTITY USING INDEX ", quote.Ident(x.Name), ";\n")
	}
	s.add(dependsOnExtension("INDEX", x.QualifiedName(), x.extDeps))
}

// Create implements Object.
func (x *Index) Create() string {
	if x.constraint != nil {
		return ""
	}
	var s sqlText
	s.add(x.definition, ";\n")
	x.writeSettings(&s)
	return s.String()
}

// Drop implements Object. An index of a partition goes with its parent's.
func (x *Index) Drop() string {
	if x.parent != 0 {
		return ""
	}
	return "DROP INDEX " + x.QualifiedName() + ";\n"
}

// An IndexAttach makes an index a part of a partitioned table's index.
type IndexAttach struct {
	Meta
	parent, child *Index
}

// Create implements Object.
func (a *IndexAttach) Create() string {
	return "ALTER INDEX " + a.parent.QualifiedName() + " ATTACH PARTITION " + a.child.QualifiedName() + ";\n"
}

// Drop implements Object.
func (a *IndexAttach) Drop() string { return "" }
