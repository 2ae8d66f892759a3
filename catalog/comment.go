package catalog

import (
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A comment is a row of pg_description.
type comment struct {
	sub  int32 // column number, or 0 for the whole object
	text string
}

func (l *loader) commentQuery() query {
	if l.opts.NoComments {
		return query{}
	}
	return query{
		what: "comments",
		sql: `SELECT d.classoid, d.objoid, d.objsubid, d.description FROM pg_catalog.pg_description d
WHERE d.objoid >= 16384 OR d.classoid IN ('pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_largeobject'::regclass) ORDER BY d.classoid, d.objoid, d.objsubid`,
		scan: func(row pgx.Rows) error {
			var id ID
			var c comment
			if err := row.Scan(&id.Class, &id.OID, &c.sub, &c.text); err != nil {
				return err
			}
			l.comments[id] = append(l.comments[id], c)
			return nil
		},
	}
}

// comment adds a comment entry to an object. kind and name are those of
// COMMENT ON; name is quoted, without its schema.
func (l *loader) comment(m *Meta, kind, schema, name, text string) {
	if !m.want.has(partComment) {
		return
	}
	on := kind + " "
	if schema != "" {
		on += quote.Ident(schema) + "."
	}
	m.Satellites = append(m.Satellites, Satellite{
		Kind: "COMMENT", Tag: kind + " " + name, Schema: schema, Owner: m.Owner,
		SQL: "COMMENT ON " + on + name + " IS " + quote.Literal(text) + ";\n",
	})
}

func (p parts) has(q parts) bool { return p&q != 0 }

// objectComments adds the comments on an object and its columns.
func (l *loader) objectComments(o Object) {
	m := o.Info()
	whole := func(kind, schema, name string) {
		for _, c := range l.comments[m.ID] {
			if c.sub == 0 {
				l.comment(m, kind, schema, name, c.text)
			}
		}
	}
	onTable := func(kind string, t *Relation) {
		for _, c := range l.comments[m.ID] {
			l.commentOn(m, kind, m.Name, t, c.text)
		}
	}
	switch o := o.(type) {
	case *Schema:
		l.schemaComment(o)
	case *Extension:
		whole("EXTENSION", "", quote.Ident(m.Name))
	case *Function:
		whole(m.Kind, m.Schema, o.signature())
	case *Type:
		l.typeComments(o)
	case *Relation:
		l.relationComments(o)
	case *Index:
		whole("INDEX", m.Schema, quote.Ident(m.Name))
		if o.constraint != nil { // the constraint makes the index
			for i := range m.Satellites {
				m.Satellites[i].After = o.constraint.DumpID
			}
		}
	case *Constraint:
		if !o.separate {
			return // the table or domain has it
		}
		if o.table != nil {
			onTable("CONSTRAINT", o.table)
			if o.maker != nil {
				for i := range m.Satellites {
					m.Satellites[i].After = o.maker.DumpID
				}
			}
		} else {
			l.domainConstraintComment(m, o)
		}
	case *Trigger:
		onTable("TRIGGER", o.table)
	case *Rule:
		onTable("RULE", o.table)
	case *Policy:
		if !o.enables {
			onTable("POLICY", o.table)
		}
	case *LargeObjects:
		l.largeObjectComments(o)
	case interface{ commentOn() (kind, name string) }:
		kind, name := o.commentOn()
		whole(kind, m.Schema, name)
	}
}

// commentOn adds a comment on something that has a table.
func (l *loader) commentOn(m *Meta, kind, name string, t *Relation, text string) {
	if !m.want.has(partComment) {
		return
	}
	n := quote.Ident(name) + " ON "
	m.Satellites = append(m.Satellites, Satellite{
		Kind: "COMMENT", Tag: kind + " " + n + quote.Ident(t.Name), Schema: t.Schema, Owner: t.Owner,
		SQL: "COMMENT ON " + kind + " " + n + t.QualifiedName() + " IS " + quote.Literal(text) + ";\n",
	})
}

// schemaComment: the public schema comes with a comment of its own, so only a
// different one counts, and none at all must be restored as none.
func (l *loader) schemaComment(s *Schema) {
	text := ""
	for _, c := range l.comments[s.ID] {
		text = c.text
	}
	if l.opts.NoComments || s.create && text == "" || !s.create && text == "standard public schema" {
		return
	}
	l.comment(&s.Meta, "SCHEMA", "", quote.Ident(s.Name), text)
}

func (l *loader) typeComments(t *Type) {
	if t.dummy {
		return // pg_dump has no entry it could follow
	}
	for _, c := range l.comments[t.ID] {
		l.comment(&t.Meta, t.Kind, t.Schema, quote.Ident(t.Name), c.text)
	}
	if t.typtype == 'c' {
		for _, c := range l.comments[ID{classRel, t.relOID}] {
			for _, a := range t.attributes {
				if a.num == int(c.sub) && !a.dropped {
					l.columnComment(&t.Meta, t.Name, a.name, c.text)
				}
			}
		}
	}
	for _, k := range t.constraints {
		if !k.separate {
			l.domainConstraintComment(&t.Meta, k)
		}
	}
}

func (l *loader) domainConstraintComment(m *Meta, k *Constraint) {
	for _, c := range l.comments[k.ID] {
		if m.want.has(partComment) {
			n := quote.Ident(k.Name) + " ON DOMAIN "
			m.Satellites = append(m.Satellites, Satellite{
				Kind: "COMMENT", Tag: "CONSTRAINT " + n + quote.Ident(k.domain.Name), Schema: k.domain.Schema, Owner: k.domain.Owner,
				SQL: "COMMENT ON CONSTRAINT " + n + k.domain.QualifiedName() + " IS " + quote.Literal(c.text) + ";\n",
			})
		}
	}
}

func (l *loader) columnComment(m *Meta, table, column, text string) {
	l.comment(m, "COLUMN", m.Schema, quote.Ident(table)+"."+quote.Ident(column), text)
}

func (l *loader) relationComments(r *Relation) {
	if r.Relkind == 'c' {
		return // the type has them
	}
	for _, c := range l.comments[r.ID] {
		if c.sub == 0 {
			l.comment(&r.Meta, r.Kind, r.Schema, quote.Ident(r.Name), c.text)
		} else if col := r.column(int(c.sub)); col != nil && !col.dropped {
			l.columnComment(&r.Meta, r.Name, col.name, c.text)
		}
	}
	for _, c := range r.columns {
		if c.notNullComment != "" && !l.opts.NoComments {
			l.commentOn(&r.Meta, "CONSTRAINT", c.notNullName, r, c.notNullComment)
		}
	}
	for _, k := range r.checksList {
		if !k.separate && k.local {
			for _, c := range l.comments[k.ID] {
				l.commentOn(&r.Meta, "CONSTRAINT", k.Name, r, c.text)
			}
		}
	}
}

func (l *loader) largeObjectComments(g *LargeObjects) {
	if g.Contents {
		return
	}
	for _, oid := range g.OIDs {
		for _, c := range l.comments[ID{classLargeObj, oid}] {
			l.comment(&g.Meta, "LARGE OBJECT", "", strconv.FormatUint(uint64(oid), 10), c.text)
		}
	}
}
