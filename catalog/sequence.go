package catalog

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// sequenceFacts are a row of pg_sequence and the sequence's position. The
// position is not transactional: it is read at dump time and is never behind
// the snapshot's rows.
type sequenceFacts struct {
	typeName                     string
	start, increment, minv, maxv int64
	cache                        int64
	cycle                        bool
	last                         *int64
	called                       bool
}

func (l *loader) wantedSequences(p parts) []*Relation {
	var out []*Relation
	for _, r := range l.relList {
		if r.Relkind == 'S' && (r.dumps(p) || r.config) {
			out = append(out, r)
		}
	}
	return out
}

func relationOIDs(rels []*Relation) string {
	list := make([]uint32, len(rels))
	for i, r := range rels {
		list[i] = r.ID.OID
	}
	return oids(list)
}

func (l *loader) sequenceQuery() query {
	return query{
		what: "SEQUENCE objects",
		sql: `SELECT s.seqrelid, pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle
FROM pg_catalog.pg_sequence s WHERE s.seqrelid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY s.seqrelid`,
		args: []any{relationOIDs(l.wantedSequences(partDefinition))},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var f sequenceFacts
			if err := row.Scan(&oid, &f.typeName, &f.start, &f.increment, &f.minv, &f.maxv, &f.cache, &f.cycle); err != nil {
				return err
			}
			l.rels[oid].seq = f
			return nil
		},
	}
}

// sequenceBatch is how many sequences one statement reads before 18, which has
// no function for it. Each is locked, as a table is.
const sequenceBatch = 200

// positionQueries read where the sequences stand.
func (l *loader) positionQueries() []query {
	if !l.opts.Select.data() && !l.opts.Select.SequenceData {
		return nil
	}
	var all []*Relation
	for _, r := range l.wantedSequences(partData) {
		if !l.sel.notData[r.ID.OID] {
			all = append(all, r)
		}
	}
	scan := func(row pgx.Rows) error {
		var oid uint32
		var last *int64
		var called *bool
		if err := row.Scan(&oid, &last, &called); err != nil {
			return err
		}
		l.rels[oid].seq.last = last
		l.rels[oid].seq.called = called != nil && *called
		return nil
	}
	if l.v.AtLeast(18) {
		return []query{{
			what: "positions of sequences", scan: scan, args: []any{relationOIDs(all)},
			sql: `SELECT s.seqrelid, d.last_value, d.is_called FROM pg_catalog.pg_sequence s, pg_catalog.pg_get_sequence_data(s.seqrelid) d
WHERE s.seqrelid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY s.seqrelid`,
		}}
	}
	var out []query
	for len(all) > 0 {
		n := min(len(all), sequenceBatch)
		selects := make([]string, n)
		for i, r := range all[:n] {
			selects[i] = "SELECT " + strconv.FormatUint(uint64(r.ID.OID), 10) + "::pg_catalog.oid, last_value, is_called FROM " + r.QualifiedName()
		}
		out = append(out, query{what: "positions of sequences", sql: strings.Join(selects, " UNION ALL "), scan: scan})
		all = all[n:]
	}
	return out
}

func (r *Relation) createSequence() string {
	var s sqlText
	f := r.seq
	owner := r.catalog.rels[r.ownerTable]
	if r.identity && owner != nil {
		c := owner.column(r.ownerCol)
		if c == nil {
			return ""
		}
		s.add("ALTER TABLE ", owner.QualifiedName(), " ALTER COLUMN ", quote.Ident(c.name), " ADD GENERATED ")
		if c.identity == 'a' {
			s.add("ALWAYS")
		} else {
			s.add("BY DEFAULT")
		}
		s.add(" AS IDENTITY (\n    SEQUENCE NAME ", r.QualifiedName(), "\n")
		if r.persistence != owner.persistence {
			if r.persistence == 'u' {
				s.add("    UNLOGGED\n")
			} else if r.catalog.v.AtLeast(15) { // before, sequences know no such word, nor was there a choice
				s.add("    LOGGED\n")
			}
		}
	} else {
		s.add("CREATE ")
		if r.persistence == 'u' {
			s.add("UNLOGGED ")
		}
		s.add("SEQUENCE ", r.QualifiedName(), "\n")
		if f.typeName != "bigint" {
			s.add("    AS ", f.typeName, "\n")
		}
	}
	s.add("    START WITH ", strconv.FormatInt(f.start, 10), "\n    INCREMENT BY ", strconv.FormatInt(f.increment, 10), "\n")
	low, high := sequenceBounds(f)
	if f.minv == low {
		s.add("    NO MINVALUE\n")
	} else {
		s.add("    MINVALUE ", strconv.FormatInt(f.minv, 10), "\n")
	}
	if f.maxv == high {
		s.add("    NO MAXVALUE\n")
	} else {
		s.add("    MAXVALUE ", strconv.FormatInt(f.maxv, 10), "\n")
	}
	s.add("    CACHE ", strconv.FormatInt(f.cache, 10))
	if f.cycle {
		s.add("\n    CYCLE")
	}
	if r.identity {
		s.add("\n);\n")
	} else {
		s.add(";\n")
	}
	return s.String()
}

// sequenceBounds are the limits the server would choose itself.
func sequenceBounds(f sequenceFacts) (low, high int64) {
	low, high = -1<<63, 1<<63-1
	switch f.typeName {
	case "smallint":
		low, high = -1<<15, 1<<15-1
	case "integer":
		low, high = -1<<31, 1<<31-1
	}
	if f.increment >= 0 {
		return 1, high
	}
	return low, -1
}

// OwnedBy is the statement that ties the sequence to its column, "" for none.
func (r *Relation) OwnedBy() string {
	t := r.catalog.rels[r.ownerTable]
	if r.Relkind != 'S' || r.identity || t == nil || !t.Wanted() {
		return ""
	}
	c := t.column(r.ownerCol)
	if c == nil {
		return ""
	}
	return "ALTER SEQUENCE " + r.QualifiedName() + " OWNED BY " + t.QualifiedName() + "." + quote.Ident(c.name) + ";\n"
}
