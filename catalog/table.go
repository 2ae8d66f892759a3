package catalog

import (
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

var storageNames = map[byte]string{'p': "PLAIN", 'e': "EXTERNAL", 'm': "MAIN", 'x': "EXTENDED"}

var compressionNames = map[byte]string{'p': "pglz", 'l': "lz4"}

// createTable writes a table, partitioned table, foreign table or materialized
// view, and the ALTERs that CREATE has no place for.
func (r *Relation) createTable() string {
	var s sqlText
	s.add("CREATE ")
	if r.persistence == 'u' && r.Relkind != 'p' { // 18 refuses unlogged partitioned tables; 17 ignored the word
		s.add("UNLOGGED ")
	}
	s.add(r.Kind, " ", r.QualifiedName())
	if r.ofType != 0 {
		s.add(" OF ", r.catalog.typeName(r.ofType))
	}
	if r.Relkind != 'm' {
		r.writeColumns(&s)
		if len(r.parents) > 0 && !r.partition {
			names := make([]string, len(r.parents))
			for i, p := range r.parents {
				names[i] = p.QualifiedName()
			}
			s.add("\nINHERITS (", strings.Join(names, ", "), ")")
		}
		if r.Relkind == 'p' {
			s.add("\nPARTITION BY ", r.key)
		}
	}
	if r.Relkind == 'f' {
		s.add("\nSERVER ", quote.Ident(r.serverName))
	}
	if w := r.with(); w != "" {
		s.add("\nWITH (", w, ")")
	}
	s.add(optionClause("\n", r.foreignOptions))
	if r.Relkind == 'm' {
		s.add(" AS\n", r.definition, "\n  WITH NO DATA;\n")
	} else {
		s.add(";\n")
	}
	if r.Relkind == 'm' {
		s.add(dependsOnExtension("MATERIALIZED VIEW", r.QualifiedName(), r.extDeps))
	}
	r.writeColumnSettings(&s)
	if strings.IndexByte("rpm", r.Relkind) >= 0 {
		switch r.replicaIdentity {
		case 'n':
			s.add("\nALTER TABLE ONLY ", r.QualifiedName(), " REPLICA IDENTITY NOTHING;\n")
		case 'f':
			s.add("\nALTER TABLE ONLY ", r.QualifiedName(), " REPLICA IDENTITY FULL;\n")
		}
	}
	if r.forceRowSecurity {
		s.add("\nALTER TABLE ONLY ", r.QualifiedName(), " FORCE ROW LEVEL SECURITY;\n")
	}
	return s.String()
}

func (r *Relation) writeColumns(s *sqlText) {
	items := 0
	item := func() {
		if items == 0 {
			s.add(" (")
		} else {
			s.add(",")
		}
		s.add("\n    ")
		items++
	}
	for _, c := range r.columns {
		switch {
		case r.prints(c):
			withNotNull := c.notNull && (c.notNullLocal || r.partition)
			if r.ofType != 0 && !c.inline() && !withNotNull {
				continue // the type says it all
			}
			item()
			s.add(quote.Ident(c.name))
			if r.ofType == 0 {
				s.add(" ", c.typeName)
			}
			if c.inline() {
				switch c.generated {
				case 's':
					s.add(" GENERATED ALWAYS AS (", c.def.expr, ") STORED")
				case 'v':
					s.add(" GENERATED ALWAYS AS (", c.def.expr, ")")
				default:
					s.add(" DEFAULT ", c.def.expr)
				}
			}
			if withNotNull {
				if c.notNullName != "" {
					s.add(" CONSTRAINT ", quote.Ident(c.notNullName))
				}
				s.add(" NOT NULL")
				if c.notNullNoInherit {
					s.add(" NO INHERIT")
				}
			}
			if c.collation != 0 {
				s.add(" COLLATE ", r.catalog.collName[c.collation])
			}
		case c.ownNotNull() && r.catalog.v.AtLeast(18):
			item()
			if c.notNullName != "" {
				// pg_dump 18.6 leaves this name unquoted, which does not restore.
				s.add("CONSTRAINT ", quote.Ident(c.notNullName), " ")
			}
			s.add("NOT NULL ", quote.Ident(c.name))
			if c.notNullNoInherit {
				s.add(" NO INHERIT")
			}
		}
	}
	for _, k := range r.checksList {
		if k.separate || !k.local && !r.partition {
			continue
		}
		item()
		s.add("CONSTRAINT ", quote.Ident(k.Name), " ", k.definition)
	}
	switch {
	case items > 0:
		s.add("\n)")
	case r.ofType == 0:
		s.add(" (\n)")
	}
}

// writeColumnSettings writes per-column settings in column order, also those
// of inherited columns.
func (r *Relation) writeColumnSettings(s *sqlText) {
	for _, c := range r.columns {
		if c.dropped {
			continue
		}
		alter := func(what ...string) {
			s.add(r.alter(), "ONLY ", r.QualifiedName(), " ALTER COLUMN ", quote.Ident(c.name), " ")
			s.add(what...)
			s.add(";\n")
		}
		if !r.prints(c) && c.ownNotNull() && !r.catalog.v.AtLeast(18) {
			// pg_dump 18 writes it into CREATE TABLE, as no server before 18 reads it.
			alter("SET NOT NULL")
		}
		if c.statsTarget >= 0 {
			alter("SET STATISTICS ", strconv.Itoa(c.statsTarget))
		}
		if c.storage != c.typeStorage {
			alter("SET STORAGE ", storageNames[c.storage])
		}
		if n := compressionNames[c.compression]; n != "" && !r.catalog.opts.NoToastCompression {
			alter("SET COMPRESSION ", n)
		}
		if c.options != "" {
			alter("SET (", c.options, ")")
		}
		if c.fdwOptions != "" && r.Relkind == 'f' {
			s.add("ALTER FOREIGN TABLE ONLY ", r.QualifiedName(), " ALTER COLUMN ", quote.Ident(c.name), " OPTIONS (\n    ", c.fdwOptions, "\n);\n")
		}
	}
}

// dependsOnExtension ties an object to an extension's life.
func dependsOnExtension(kind, name string, extensions []string) string {
	var s sqlText
	for _, e := range extensions {
		s.add("\nALTER ", kind, " ", name, " DEPENDS ON EXTENSION ", quote.Ident(e), ";")
	}
	return s.String()
}
