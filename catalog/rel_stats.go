package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// RelStats is what the planner knows of a table, materialized view or index,
// as calls of the import functions of PostgreSQL 18: older targets refuse them.
// Statistics of extended statistics objects cannot be imported and are not
// part of it.
type RelStats struct {
	Meta
	version        int
	byNumber       map[string]int // columns of an expression index, by name
	pages, visible int64
	frozen         int64
	tuples         string
	attributes     []attributeStats
	withFrozen     bool
}

// attributeStats is a row of pg_stats: its values in the order of statArgs.
type attributeStats struct {
	name   string
	values []*string
}

// statArgs are the arguments of pg_restore_attribute_stats with their types,
// which are also the columns of pg_stats.
var statArgs = []struct {
	name, typ string
	since     int
}{
	{"inherited", "boolean", 0},
	{"null_frac", "real", 0},
	{"avg_width", "integer", 0},
	{"n_distinct", "real", 0},
	{"most_common_vals", "text", 0},
	{"most_common_freqs", "real[]", 0},
	{"histogram_bounds", "text", 0},
	{"correlation", "real", 0},
	{"most_common_elems", "text", 0},
	{"most_common_elem_freqs", "real[]", 0},
	{"elem_count_histogram", "real[]", 0},
	{"range_length_histogram", "text", 17},
	{"range_empty_frac", "real", 17},
	{"range_bounds_histogram", "text", 17},
}

// relationStats adds the statistics of every relation and index that is dumped.
func (l *loader) relationStats() {
	if !l.opts.Select.Statistics && !l.opts.Select.StatisticsOnly {
		return
	}
	for _, r := range l.relList {
		if r.want&partStatistics == 0 || !r.wide || strings.IndexByte("rpmf", r.Relkind) < 0 {
			continue
		}
		s := l.addStats(&r.Meta, Data)
		s.dependOn(r.DumpID)
		if r.data != nil && r.data.Kind == "MATERIALIZED VIEW DATA" && r.data.Refreshes() {
			s.Section = PostData // the refresh would throw them away
			s.dependOn(r.data.DumpID)
		}
		for _, x := range r.indexes {
			xs := l.addStats(&x.Meta, PostData)
			xs.dependOn(x.DumpID)
			if x.constraint != nil {
				xs.dependOn(x.constraint.DumpID)
			}
		}
	}
}

func (l *loader) addStats(of *Meta, section Section) *RelStats {
	s := &RelStats{version: int(l.v), withFrozen: l.v.AtLeast(18)}
	s.Kind, s.Section, s.Schema, s.Name, s.want = "STATISTICS DATA", section, of.Schema, of.Name, partAll
	l.add(s, ID{}, rankStatisticsData)
	l.stats[of.ID.OID] = s
	return s
}

func (l *loader) statsOIDs() string {
	list := make([]uint32, 0, len(l.stats))
	for oid := range l.stats {
		list = append(list, oid)
	}
	return oids(list)
}

// relStatsQuery reads sizes and, of expression indexes, the columns' numbers:
// their names are not the same everywhere.
func (l *loader) relStatsQuery() query {
	if len(l.stats) == 0 {
		return query{}
	}
	return query{
		what: "statistics of relations",
		sql: `SELECT c.oid, c.relpages, c.reltuples::text, c.relallvisible, ` + l.since(18, "c.relallfrozen", "0") + `,
  CASE WHEN i.indexprs IS NOT NULL THEN ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid ORDER BY a.attnum) END
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
WHERE c.oid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY c.oid`,
		args: []any{l.statsOIDs()},
		scan: func(row pgx.Rows) error {
			var oid uint32
			var pages, visible, frozen int64
			var tuples string
			var names []string
			if err := row.Scan(&oid, &pages, &tuples, &visible, &frozen, &names); err != nil {
				return err
			}
			s := l.stats[oid]
			s.pages, s.tuples, s.visible, s.frozen = pages, tuples, visible, frozen
			for i, n := range names {
				if s.byNumber == nil {
					s.byNumber = map[string]int{}
				}
				s.byNumber[n] = i + 1
			}
			return nil
		},
	}
}

func (l *loader) attributeStatsQuery() query {
	if len(l.stats) == 0 {
		return query{}
	}
	columns := make([]string, len(statArgs))
	for i, a := range statArgs {
		columns[i] = "NULL"
		if l.v.AtLeast(a.since) {
			columns[i] = "s." + a.name + "::text"
		}
	}
	columns[0] = "CASE WHEN s.inherited THEN 't' ELSE 'f' END" // not what ::text makes of it
	return query{
		what: "statistics of columns",
		sql: `SELECT c.oid, s.attname, ` + strings.Join(columns, ", ") + `
FROM pg_catalog.pg_stats s
JOIN pg_catalog.pg_namespace n ON n.nspname = s.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
WHERE c.oid IN (SELECT pg_catalog.unnest($1::oid[])) ORDER BY c.oid, s.attname, s.inherited`,
		args: []any{l.statsOIDs()},
		scan: func(row pgx.Rows) error {
			var oid uint32
			a := attributeStats{values: make([]*string, len(statArgs))}
			into := []any{&oid, &a.name}
			for i := range a.values {
				into = append(into, &a.values[i])
			}
			if err := row.Scan(into...); err != nil {
				return err
			}
			l.stats[oid].attributes = append(l.stats[oid].attributes, a)
			return nil
		},
	}
}

// Create implements Object.
func (s *RelStats) Create() string {
	var out sqlText
	version := "\t'version', '" + strconv.Itoa(s.version) + "'::integer,\n"
	name := "\t'schemaname', " + quote.Literal(s.Schema) + ",\n\t'relname', " + quote.Literal(s.Name)
	tuples := s.tuples
	if s.version < 140000 && tuples == "0" {
		tuples = "-1" // before 14 nobody could tell an empty table from one never analyzed
	}
	out.add("SELECT * FROM pg_catalog.pg_restore_relation_stats(\n", version, name, ",\n",
		fmt.Sprintf("\t'relpages', '%d'::integer,\n\t'reltuples', '%s'::real,\n\t'relallvisible', '%d'::integer", s.pages, tuples, s.visible))
	if s.withFrozen {
		out.add(fmt.Sprintf(",\n\t'relallfrozen', '%d'::integer", s.frozen))
	}
	out.add("\n);\n")
	for _, a := range s.attributes {
		out.add("SELECT * FROM pg_catalog.pg_restore_attribute_stats(\n", version, name)
		if n, ok := s.byNumber[a.name]; ok {
			out.add(fmt.Sprintf(",\n\t'attnum', '%d'::smallint", n))
		} else {
			out.add(",\n\t'attname', ", quote.Literal(a.name))
		}
		for i, arg := range statArgs {
			if v := a.values[i]; v != nil {
				out.add(",\n\t'", arg.name, "', ", quote.Literal(*v), "::", arg.typ)
			}
		}
		out.add("\n);\n")
	}
	return out.String()
}

// Drop implements Object.
func (s *RelStats) Drop() string { return "" }
