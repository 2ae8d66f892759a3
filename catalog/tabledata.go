package catalog

import (
	"fmt"
	"strconv"

	"github.com/pghaul/pghaul/internal/quote"
)

// Foreign reports whether the rows are on another server.
func (d *TableData) Foreign() bool { return d.foreign }

// TableData is the rows of a table, the position of a sequence, or the refresh
// of a materialized view.
type TableData struct {
	Meta
	Table *Relation
	// Columns are what COPY moves, in the table's order.
	Columns []string
	// Condition filters an extension's configuration table ("WHERE …"), else "".
	Condition string
	// Root is the partitioned table the rows must be loaded through, nil for the
	// table itself: hash partitions by an enum differ between servers.
	Root    *Relation
	foreign bool
	// Pages is the size on the source in blocks of 8 KiB, with TOAST.
	Pages int64
}

// configTables finds the configuration tables of extensions whose rows are
// dumped although their definition is not.
func (l *loader) configTables() error {
	for _, e := range l.exts {
		if len(e.config) != len(e.conditions) {
			return fmt.Errorf("extension %s has %d configuration tables and %d conditions", e.Name, len(e.config), len(e.conditions))
		}
		for i, oid := range e.config {
			r := l.rels[oid]
			if r == nil {
				continue
			}
			s := l.schemas[r.schemaOID]
			take := e.want&partDefinition != 0 || l.sel.tables[oid] || s != nil && s.want&partData != 0
			if take && !l.sel.notTables[oid] && !l.sel.notSchemas[r.schemaOID] {
				r.config, r.condition = true, e.conditions[i]
			}
		}
	}
	return nil
}

// tableData adds the data objects.
func (l *loader) tableData() {
	sel := l.opts.Select
	for _, r := range l.relList {
		if !r.dumps(partData) && !r.config || l.sel.notData[r.ID.OID] || !sel.data() && (r.Relkind != 'S' || !sel.SequenceData) {
			continue
		}
		d := &TableData{Table: r, Condition: r.condition, Pages: r.pages + r.toastPages}
		rk := rankTableData
		switch r.Relkind {
		case 'r':
			d.Kind, d.Section, d.Columns = "TABLE DATA", Data, r.CopyColumns()
			if r.persistence == 'u' && sel.NoUnloggedData {
				continue
			}
			if r.persistence == 'u' && l.opts.Standby {
				l.skip(&Meta{Kind: "TABLE DATA", Schema: r.Schema, Name: r.Name}, "the server is a standby, which has no rows of unlogged tables")
				continue
			}
			d.Root = r.root(l.opts.ViaRoot)
		case 'f':
			if !l.sel.foreign[r.server] {
				continue
			}
			d.Kind, d.Section, d.Columns, d.foreign = "TABLE DATA", Data, r.CopyColumns(), true
		case 'S':
			d.Kind, d.Section, rk = "SEQUENCE SET", Data, rankSequenceSet
		case 'm':
			d.Kind, d.Section, rk = "MATERIALIZED VIEW DATA", PostData, rankRefresh
		default:
			continue
		}
		d.Schema, d.Name, d.Owner = r.Schema, r.Name, r.Owner
		d.want, d.has = partAll, partData
		l.add(d, ID{}, rk)
		d.ID = ID{0, r.ID.OID}
		d.dependOn(r.DumpID)
		r.data = d
	}
}

// root returns the topmost partitioned table if the rows must be loaded through
// it: always, or where their place among hash partitions depends on an enum's
// OIDs, which no other server has.
func (r *Relation) root(always bool) *Relation {
	if !r.partition || len(r.parents) == 0 {
		return nil
	}
	top := r
	for top.partition && len(top.parents) > 0 {
		top = top.parents[0]
		always = always || top.enumHash
	}
	if !always {
		return nil
	}
	return top
}

// CopyTo is the statement that reads the rows, of the whole table or of those
// that where selects ("" for all).
func (d *TableData) CopyTo(where string) string {
	name := d.Table.QualifiedName()
	if d.Condition == "" && where == "" && !d.foreign {
		return "COPY " + name + columnList(d.Columns) + " TO stdout;"
	}
	cond := d.Condition
	if where != "" {
		cond += " WHERE " + where
	}
	if !d.foreign {
		name = "ONLY " + name
	}
	return "COPY (SELECT " + quote.Idents(d.Columns) + " FROM " + name + " " + cond + ") TO stdout;"
}

// LoadsInto is the table that the rows are loaded into.
func (d *TableData) LoadsInto() *Relation {
	if d.Root != nil {
		return d.Root
	}
	return d.Table
}

// InsertColumns are what an INSERT of a table's rows holds.
type InsertColumns struct {
	Names     []string // unquoted
	Select    []string // expressions that read the values
	Generated []bool   // the value is DEFAULT
	// OverridesIdentity is set when a column is GENERATED ALWAYS AS IDENTITY.
	OverridesIdentity bool
}

// InsertColumns returns the columns of an INSERT. Generated ones are left out
// where the columns are named, and stand as DEFAULT where they are not.
func (d *TableData) InsertColumns(named bool) InsertColumns {
	var out InsertColumns
	for _, c := range d.Table.columns {
		if c.dropped || named && c.generated != 0 {
			continue
		}
		expr := quote.Ident(c.name)
		if c.generated != 0 {
			expr = "NULL"
		}
		out.Names = append(out.Names, c.name)
		out.Select = append(out.Select, expr)
		out.Generated = append(out.Generated, c.generated != 0)
		out.OverridesIdentity = out.OverridesIdentity || c.identity == 'a'
	}
	return out
}

// CopyFrom is the statement that loads them, as an archive holds it.
func (d *TableData) CopyFrom() string {
	return "COPY " + d.LoadsInto().QualifiedName() + columnList(d.Columns) + " FROM stdin;\n"
}

func columnList(columns []string) string {
	if len(columns) == 0 {
		return " " // as pg_dump writes it
	}
	return " (" + quote.Idents(columns) + ")"
}

// Create implements Object.
func (d *TableData) Create() string {
	switch d.Kind {
	case "SEQUENCE SET":
		last := d.Table.seq.last
		if last == nil {
			return ""
		}
		return "SELECT pg_catalog.setval(" + quote.Literal(d.Table.QualifiedName()) + ", " + strconv.FormatInt(*last, 10) + ", " +
			strconv.FormatBool(d.Table.seq.called) + ");\n"
	case "MATERIALIZED VIEW DATA":
		return "REFRESH MATERIALIZED VIEW " + d.Table.QualifiedName() + ";\n"
	}
	if d.Root != nil {
		return "-- load via partition root " + d.Root.QualifiedName()
	}
	return ""
}

// Drop implements Object.
func (d *TableData) Drop() string { return "" }

// Refreshes reports whether the materialized view is to be filled: it is now,
// and nothing it reads is an unfilled one.
func (d *TableData) Refreshes() bool { return d.Table.populated && !d.Table.unpopSrc }

// checkPositions reports sequences whose position could not be read.
func (l *loader) checkPositions() {
	for _, r := range l.relList {
		if r.Relkind == 'S' && r.data != nil && r.seq.last == nil {
			l.skip(&r.data.Meta, "its position cannot be read: no privilege, or dropped meanwhile")
			r.data.want = 0
		}
	}
}

// enumHashQuery finds the hash-partitioned tables with an enum in their key.
func (l *loader) enumHashQuery() query {
	return query{
		what: "hash partition keys",
		sql: `SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass)
WHERE p.partstrat = 'h' AND o.opcintype = 'pg_catalog.anyenum'::regtype ORDER BY 1`,
		scan: scanOID(func(oid uint32) {
			if r := l.rels[oid]; r != nil {
				r.enumHash = true
			}
		}),
	}
}

// Position is where the sequence of a SEQUENCE SET stands; ok is false if it
// could not be read.
func (d *TableData) Position() (last int64, called, ok bool) {
	if d.Table.seq.last == nil {
		return 0, false, false
	}
	return *d.Table.seq.last, d.Table.seq.called, true
}
