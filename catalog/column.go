package catalog

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A column is a row of pg_attribute; dropped ones keep their place.
type column struct {
	num                  int
	name, typeName       string
	statsTarget          int // -1 is the default
	storage, typeStorage byte
	compression          byte
	dropped, local       bool
	identity, generated  byte // 0 for neither
	options, fdwOptions  string
	collation            uint32 // 0 if it is the type's

	notNull          bool
	notNullName      string // "" lets the server name it
	notNullLocal     bool
	notNullNoInherit bool
	notNullComment   string // of a named constraint (18+)
	notNullInvalid   uint32 // OID of a NOT VALID one (18+)

	def *Default
}

func (l *loader) columnQuery(rels string) query {
	notNull := `NULL, false, NULL, 0::oid, a.attnotnull, (a.attislocal OR a.attnotnull)`
	join := ""
	if l.v.AtLeast(18) {
		notNull = `co.conname, coalesce(co.connoinherit, false), CASE WHEN co.convalidated THEN pt.description END,
  CASE WHEN NOT co.convalidated THEN co.oid ELSE 0 END, co.oid IS NOT NULL, coalesce(co.conislocal, false)`
		join = `
LEFT JOIN pg_catalog.pg_constraint co ON a.attrelid = co.conrelid AND a.attnum = co.conkey[1] AND co.contype = 'n' AND pg_catalog.array_length(co.conkey, 1) = 1
LEFT JOIN pg_catalog.pg_description pt ON pt.classoid = co.tableoid AND pt.objoid = co.oid`
	}
	return query{
		what: "columns",
		sql: `SELECT a.attrelid, a.attnum, a.attname, coalesce(a.attstattarget, -1), a.attstorage::text, coalesce(t.typstorage::text, a.attstorage::text), a.attisdropped, a.attislocal,
  coalesce(pg_catalog.format_type(t.oid, a.atttypmod), ''), coalesce(pg_catalog.array_to_string(a.attoptions, ', '), ''),
  CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation ELSE 0 END,
  CASE WHEN a.attfdwoptions IS NULL THEN '' ELSE pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.quote_ident(option_name) || ' ' || pg_catalog.quote_literal(option_value)
    FROM pg_catalog.pg_options_to_table(a.attfdwoptions) ORDER BY option_name), E',\n    ') END,
  a.attidentity::text, ` + l.since(12, "a.attgenerated::text", "''") + `, ` + l.since(14, "a.attcompression::text", "''") + `, ` + notNull + `
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid` + join + `
WHERE a.attrelid IN (SELECT pg_catalog.unnest($1::oid[])) AND a.attnum > 0
ORDER BY a.attrelid, a.attnum`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var storage, typeStorage, identity, generated, compression string
			var notNullName, comment *string
			c := &column{}
			if err := row.Scan(&oid, &c.num, &c.name, &c.statsTarget, &storage, &typeStorage, &c.dropped, &c.local,
				&c.typeName, &c.options, &c.collation, &c.fdwOptions, &identity, &generated, &compression,
				&notNullName, &c.notNullNoInherit, &comment, &c.notNullInvalid, &c.notNull, &c.notNullLocal); err != nil {
				return err
			}
			c.storage, c.typeStorage = char(storage), char(typeStorage)
			c.identity, c.generated, c.compression = char(identity), char(generated), char(compression)
			r := l.rels[oid]
			if c.notNullInvalid != 0 {
				c.notNull = false // printed as nullable; the constraint follows
			}
			if notNullName != nil && c.notNull {
				if *notNullName != r.Name+"_"+c.name+"_not_null" || comment != nil {
					c.notNullName = *notNullName
				}
				if comment != nil {
					c.notNullComment = *comment
				}
			}
			if c.num != len(r.columns)+1 {
				return fmt.Errorf("column numbers of %s have a gap before %d", r.QualifiedName(), c.num)
			}
			r.columns = append(r.columns, c)
			return nil
		},
	}
}

func char(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

// ownNotNull reports whether the table itself made the column NOT NULL, be the
// column its own or inherited.
func (c *column) ownNotNull() bool { return !c.dropped && c.notNull && c.notNullLocal }

// prints reports whether the column stands in the CREATE statement: a
// partition lists all, an inheritance child its own only.
func (r *Relation) prints(c *column) bool { return !c.dropped && (c.local || r.partition) }

// CopyColumns are the columns that COPY moves: neither dropped nor generated.
func (r *Relation) CopyColumns() []string {
	var out []string
	for _, c := range r.columns {
		if !c.dropped && c.generated == 0 {
			out = append(out, c.name)
		}
	}
	return out
}

// StoredColumns are the generated columns whose values are stored: COPY leaves
// them out.
func (r *Relation) StoredColumns() []string {
	var out []string
	for _, c := range r.columns {
		if !c.dropped && c.generated == 's' {
			out = append(out, c.name)
		}
	}
	return out
}

// ColumnType is the type of a column as the server formats it, "" for none of
// that name.
func (r *Relation) ColumnType(name string) string {
	if i := indexColumn(r.columns, name); i >= 0 {
		return r.columns[i].typeName
	}
	return ""
}

// A Default is a column's default or generation expression.
type Default struct {
	Meta
	table    *Relation
	num      int
	expr     string
	separate bool // an entry of its own instead of a part of CREATE TABLE
}

func (l *loader) defaultQuery(rels string) query {
	// Only a generated column's expression names columns. To look a table up for
	// the others would take the server six times as long.
	relation := "0"
	if l.v.AtLeast(12) {
		relation = `CASE WHEN (d.adrelid, d.adnum) IN (SELECT a.attrelid, a.attnum FROM pg_catalog.pg_attribute a WHERE a.attgenerated <> '') THEN d.adrelid ELSE 0 END`
	}
	return query{
		what: "DEFAULT objects",
		sql: `SELECT d.oid, d.adrelid, d.adnum, pg_catalog.pg_get_expr(d.adbin, ` + relation + `)
FROM pg_catalog.pg_attrdef d WHERE d.adrelid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY d.adrelid, d.adnum`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			var oid, rel uint32
			var num int
			var expr string
			if err := row.Scan(&oid, &rel, &num, &expr); err != nil {
				return err
			}
			r := l.rels[rel]
			c := r.column(num)
			if c == nil || c.dropped {
				return nil
			}
			d := l.newDefault(r, c, ID{classAttrdef, oid}, expr)
			switch {
			case c.generated != 0: // has no syntax of its own
			case r.Relkind == 'v' || !r.prints(c):
				d.separate = true
				d.dependOn(r.DumpID)
			}
			if !d.separate {
				r.dependOn(d.DumpID) // what the expression needs comes before the table
			}
			return nil
		},
	}
}

func (l *loader) newDefault(r *Relation, c *column, id ID, expr string) *Default {
	d := &Default{table: r, num: c.num, expr: expr}
	d.Kind, d.Section = "DEFAULT", PreData
	d.Schema, d.Name, d.Owner = r.Schema, r.Name, r.Owner
	d.Tag = r.Name + " " + c.name
	d.want = r.want
	l.add(d, id, rankDefault)
	c.def = d
	return d
}

// inline reports whether the column's expression is printed with the column.
func (c *column) inline() bool { return c.def != nil && !c.def.separate && c.def.Wanted() }

// Create implements Object.
func (d *Default) Create() string {
	if !d.separate {
		return ""
	}
	return d.table.alter() + "ONLY " + d.table.QualifiedName() + " ALTER COLUMN " + quote.Ident(d.table.columns[d.num-1].name) + " SET DEFAULT " + d.expr + ";\n"
}

// Drop implements Object.
func (d *Default) Drop() string {
	return d.table.alter() + d.table.QualifiedName() + " ALTER COLUMN " + quote.Ident(d.table.columns[d.num-1].name) + " DROP DEFAULT;\n"
}

// inheritColumns settles what a child prints of what its parents have: NOT
// NULLs, a default that was taken away, equal generation expressions.
func (l *loader) inheritColumns() {
	for _, r := range l.relList {
		if !r.wide || len(r.parents) == 0 || r.want == 0 {
			continue
		}
		for _, c := range r.columns {
			if c.dropped {
				continue
			}
			var notNull, invalid, hasDefault, same, different bool
			found := false
			for _, p := range r.parents {
				i := indexColumn(p.columns, c.name)
				if i < 0 {
					continue
				}
				pc := p.columns[i]
				found = true
				notNull = notNull || pc.notNull
				invalid = invalid || !pc.notNull
				if pc.generated == 0 {
					hasDefault = hasDefault || pc.def != nil && pc.def.expr != "NULL"
				} else if pc.def != nil && c.def != nil && pc.def.expr == c.def.expr {
					same = true
				} else {
					different = true
				}
			}
			if !l.v.AtLeast(18) {
				if notNull {
					c.notNullLocal = false
				}
			} else if found && invalid && !notNull && c.notNull {
				c.notNullLocal = true // the parents' constraint is missing or NOT VALID
			}
			if hasDefault && c.def == nil {
				d := l.newDefault(r, c, ID{}, "NULL")
				if !r.prints(c) {
					d.separate = true
					d.dependOn(r.DumpID)
				}
			}
			if same && !different && !r.partition {
				c.def.want = 0
			}
		}
	}
}

func indexColumn(cols []*column, name string) int {
	for i, c := range cols {
		if !c.dropped && c.name == name {
			return i
		}
	}
	return -1
}
