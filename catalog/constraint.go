package catalog

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// A Constraint is a row of pg_constraint: a check of a table or domain, a NOT
// NULL that is not yet valid, or the key that an index enforces. Foreign keys
// are in foreign_key.go.
type Constraint struct {
	Meta
	contype              byte
	table                *Relation // nil for a domain's
	domain               *Type
	index                *Index // of keys
	definition           string
	local, separate      bool
	maker                *Constraint // an ancestor's, whose entry makes this one; nil where that does not matter
	deferrable, deferred bool
	period               bool
	refTable, refIndex   uint32 // of foreign keys
}

func (l *loader) checkQuery(rels string) query {
	return query{
		what: "CHECK CONSTRAINT objects",
		sql: `SELECT c.oid, c.conrelid, c.conname, pg_catalog.pg_get_constraintdef(c.oid), c.conislocal, c.convalidated
FROM pg_catalog.pg_constraint c WHERE c.conrelid IN (SELECT pg_catalog.unnest($1::oid[])) AND c.contype = 'c' ORDER BY c.conrelid, c.conname`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			k := &Constraint{contype: 'c'}
			var oid, rel uint32
			var valid bool
			if err := row.Scan(&oid, &rel, &k.Name, &k.definition, &k.local, &valid); err != nil {
				return err
			}
			k.separate = !valid // rows that violate it must load first
			l.addConstraint(k, oid, l.rels[rel], nil)
			k.table.checksList = append(k.table.checksList, k)
			if !k.separate {
				k.table.dependOn(k.DumpID)
			}
			return nil
		},
	}
}

// countChecks compares the checks that were read with those a table says it
// has: a difference means that the catalog is damaged or was changed meanwhile.
func (l *loader) countChecks() error {
	for _, r := range l.relList {
		if r.wide && r.want != 0 && len(r.checksList) != r.checks {
			return fmt.Errorf("table %s has %d CHECK constraints and %d were found: the catalog is damaged, or another session changes the table", r.QualifiedName(), r.checks, len(r.checksList))
		}
	}
	return nil
}

// notNullQuery reads the NOT NULLs that are not valid (18+): they are added
// after the rows.
func (l *loader) notNullQuery(rels string) query {
	if !l.v.AtLeast(18) {
		return query{}
	}
	return query{
		what: "NOT NULL constraints",
		sql: `SELECT c.oid, c.conrelid, c.conname, pg_catalog.pg_get_constraintdef(c.oid), c.conislocal
FROM pg_catalog.pg_constraint c WHERE c.conrelid IN (SELECT pg_catalog.unnest($1::oid[])) AND c.contype = 'n' AND NOT c.convalidated ORDER BY c.conrelid, c.conname`,
		args: []any{rels},
		scan: func(row pgx.Rows) error {
			k := &Constraint{contype: 'n', separate: true}
			var oid, rel uint32
			if err := row.Scan(&oid, &rel, &k.Name, &k.definition, &k.local); err != nil {
				return err
			}
			l.addConstraint(k, oid, l.rels[rel], nil)
			return nil
		},
	}
}

func (l *loader) domainCheckQuery() query {
	return query{
		what: "DOMAIN constraints",
		sql: `SELECT c.oid, c.contypid, c.conname, pg_catalog.pg_get_constraintdef(c.oid), c.convalidated, c.contype::text
FROM pg_catalog.pg_constraint c WHERE c.contypid IN (SELECT pg_catalog.unnest($1::oid[])) AND c.contype IN ('c', 'n') ORDER BY c.contypid, c.conname`,
		args: []any{l.wantedTypes('d')},
		scan: func(row pgx.Rows) error {
			k := &Constraint{local: true}
			var oid, typ uint32
			var valid bool
			var contype string
			if err := row.Scan(&oid, &typ, &k.Name, &k.definition, &valid, &contype); err != nil {
				return err
			}
			k.contype, k.separate = contype[0], !valid
			l.addConstraint(k, oid, nil, l.types[typ])
			k.domain.constraints = append(k.domain.constraints, k)
			if k.contype == 'n' {
				k.domain.domain.notNullCo = k
			}
			if !k.separate {
				k.domain.dependOn(k.DumpID)
			}
			return nil
		},
	}
}

func (l *loader) addConstraint(k *Constraint, oid uint32, r *Relation, t *Type) {
	k.table, k.domain = r, t
	k.Section = PostData
	owner := &Meta{}
	if r != nil {
		owner = &r.Meta
	} else if t != nil {
		owner = &t.Meta
	}
	k.Schema, k.Owner, k.want = owner.Schema, owner.Owner, owner.want
	k.Tag = owner.Name + " " + k.Name
	switch k.contype {
	case 'c':
		k.Kind = "CHECK CONSTRAINT"
	case 'f':
		k.Kind = "FK CONSTRAINT"
	default:
		k.Kind = "CONSTRAINT"
	}
	rk := rankConstraint
	if k.contype == 'f' {
		rk = rankForeignKey
	}
	l.add(k, ID{classConstraint, oid}, rk)
}

// followParents puts the comment on a constraint that an ancestor's entry makes
// behind that entry: by name alone it would often come first. Constraints
// without a comment stay where they are, as they have no entry.
func (l *loader) followParents() {
	type name struct {
		table   *Relation
		contype byte
		name    string
	}
	later := map[name]*Constraint{}
	var inherited []*Constraint
	for _, o := range l.objs {
		if k, ok := o.(*Constraint); ok && k.table != nil && k.separate && (k.contype == 'c' || k.contype == 'n') {
			later[name{k.table, k.contype, k.Name}] = k
			if !k.local && len(l.comments[k.ID]) > 0 {
				inherited = append(inherited, k)
			}
		}
	}
	for _, k := range inherited {
		seen := map[*Relation]bool{}
		var climb func(r *Relation)
		climb = func(r *Relation) {
			for _, p := range r.parents {
				if seen[p] {
					continue
				}
				seen[p] = true
				if made := later[name{p, k.contype, k.Name}]; made != nil && made.local {
					k.dependOn(made.DumpID)
					k.maker = made
				}
				climb(p)
			}
		}
		climb(k.table)
	}
}

// Create implements Object.
func (k *Constraint) Create() string {
	name := quote.Ident(k.Name)
	switch {
	case k.index != nil:
		return k.createKey()
	case k.contype == 'f':
		only := "ONLY "
		if k.table.Relkind == 'p' {
			only = "" // it reaches the partitions by itself
		}
		return k.table.alter() + only + k.table.QualifiedName() + "\n    ADD CONSTRAINT " + name + " " + k.definition + ";\n"
	case !k.separate, !k.local: // the table has it, or the parent's reaches it
		return ""
	case k.domain != nil:
		return "ALTER DOMAIN " + k.domain.QualifiedName() + "\n    ADD CONSTRAINT " + name + " " + k.definition + ";\n"
	}
	return k.table.alter() + k.table.QualifiedName() + "\n    ADD CONSTRAINT " + name + " " + k.definition + ";\n"
}

// Drop implements Object.
func (k *Constraint) Drop() string {
	drop := " DROP CONSTRAINT " + quote.Ident(k.Name) + ";\n"
	switch {
	case k.domain != nil:
		return "ALTER DOMAIN " + k.domain.QualifiedName() + drop
	case k.index != nil, k.contype == 'f' && k.table.Relkind != 'p':
		return k.table.alter() + "ONLY " + k.table.QualifiedName() + drop
	}
	return k.table.alter() + k.table.QualifiedName() + drop
}

// createKey writes a primary key, unique or exclusion constraint with the
// settings of its index.
func (k *Constraint) createKey() string {
	var s sqlText
	x, t := k.index, k.table
	s.add(t.alter(), "ONLY ", t.QualifiedName(), "\n    ADD CONSTRAINT ", quote.Ident(k.Name), " ")
	if k.contype == 'x' || k.definition != "" {
		s.add(k.definition)
	} else {
		if k.contype == 'p' {
			s.add("PRIMARY KEY")
		} else {
			s.add("UNIQUE")
			if x.nullsNotDistinct {
				s.add(" NULLS NOT DISTINCT")
			}
		}
		s.add(" (", x.columnNames(0, x.keyColumns))
		if k.period {
			s.add(" WITHOUT OVERLAPS")
		}
		s.add(")")
		if x.keyColumns < len(x.columns) {
			s.add(" INCLUDE (", x.columnNames(x.keyColumns, len(x.columns)), ")")
		}
		if w := strings.Join(reloptions(x.options, ""), ", "); w != "" {
			s.add(" WITH (", w, ")")
		}
		if k.deferrable {
			s.add(" DEFERRABLE")
			if k.deferred {
				s.add(" INITIALLY DEFERRED")
			}
		}
	}
	s.add(";\n")
	x.writeSettings(&s)
	return s.String()
}
