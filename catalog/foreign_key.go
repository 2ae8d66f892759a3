package catalog

import "github.com/jackc/pgx/v5"

// foreignKeyQuery reads foreign keys; those that partitions have from their
// parent come back with it.
func (l *loader) foreignKeyQuery(rels string) query {
	return query{
		what: "FK CONSTRAINT objects",
		sql: `SELECT c.oid, c.conrelid, c.conname, c.confrelid, c.conindid, pg_catalog.pg_get_constraintdef(c.oid)
FROM pg_catalog.pg_constraint c
WHERE c.conrelid IN (SELECT pg_catalog.unnest($1::oid[])) AND c.contype = 'f' AND c.conparentid = 0 ORDER BY c.conrelid, c.conname`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			k := &Constraint{contype: 'f', local: true, separate: true}
			var oid, rel uint32
			if err := row.Scan(&oid, &rel, &k.Name, &k.refTable, &k.refIndex, &k.definition); err != nil {
				return err
			}
			r := l.rels[rel]
			if r.want&partDefinition == 0 {
				return nil
			}
			l.addConstraint(k, oid, r, nil)
			return nil
		},
	}
}

// foreignKeyParents makes a foreign key to a partitioned table wait until
// every partition's index is attached.
func (l *loader) foreignKeyParents() {
	for _, o := range l.objs {
		k, ok := o.(*Constraint)
		if !ok || k.contype != 'f' {
			continue
		}
		if ref := l.rels[k.refTable]; ref == nil || ref.Relkind != 'p' {
			continue
		}
		if x := l.indexes[k.refIndex]; x != nil {
			k.dependOnAttaches(x)
		}
	}
}

func (k *Constraint) dependOnAttaches(x *Index) {
	for _, a := range x.attaches {
		k.dependOn(a.DumpID)
		k.dependOnAttaches(a.child)
	}
}

// orderRows makes the rows of a referencing table follow those of the table it
// references, for dumps of rows alone: the constraints are there when they are
// restored.
func (l *loader) orderRows() {
	if !l.opts.Select.DataOnly {
		return
	}
	for _, o := range l.objs {
		k, ok := o.(*Constraint)
		if !ok || k.contype != 'f' {
			continue
		}
		ref := l.rels[k.refTable]
		if k.table.data != nil && ref != nil && ref.data != nil && ref != k.table {
			k.table.data.dependOn(ref.data.DumpID)
		}
	}
}
