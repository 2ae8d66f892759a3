package replicate

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// tablesQuery reads of each wanted relation, and of each partition of those that
// are partitioned, what publishing it depends on.
//
// The index of a replica identity must be unique at once, whole, and over columns
// that are never null. Whether a type has an equality is what its default operator
// classes say, those of the type that it is stored like included. Of some types
// equal values can differ, as 0 and -0 of float8, and 1.0 and 1.00 of numeric.
const tablesQuery = `WITH RECURSIVE wanted AS (
  SELECT w.ord, c.oid, w.nsp, w.rel FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) WITH ORDINALITY AS w(nsp, rel, ord)
  LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) ON n.nspname = w.nsp AND c.relname = w.rel
    AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 't', 'c')
), leaf AS (
  SELECT oid, ord FROM wanted
  UNION
  SELECT i.inhrelid, l.ord FROM leaf l JOIN pg_catalog.pg_class c ON c.oid = l.oid AND c.relkind = 'p' JOIN pg_catalog.pg_inherits i ON i.inhparent = l.oid
), rel AS (
  SELECT oid, min(ord) AS ord FROM leaf WHERE oid IS NOT NULL GROUP BY oid
  UNION ALL
  SELECT NULL, ord FROM wanted WHERE oid IS NULL
), elem AS (
  SELECT a.attrelid, a.attname, CASE WHEN b.typelem <> 0 AND b.typlen = -1 THEN e.oid ELSE b.oid END AS typ
  FROM rel JOIN pg_catalog.pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
  LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem
), unequal AS (
  SELECT e.attrelid, pg_catalog.string_agg(e.attname::text, ', ' ORDER BY e.attname) AS columns
  FROM elem e JOIN pg_catalog.pg_type t ON t.oid = e.typ
  WHERE t.typtype = 'b' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod AND m.amname IN ('btree', 'hash')
    WHERE o.opcdefault AND (o.opcintype = t.oid OR EXISTS (
      SELECT FROM pg_catalog.pg_cast x WHERE x.castsource = t.oid AND x.casttarget = o.opcintype AND x.castmethod = 'b' AND x.castcontext = 'i')))
  GROUP BY e.attrelid
), ambiguous AS (
  SELECT e.attrelid, pg_catalog.string_agg(e.attname::text, ', ' ORDER BY e.attname) AS columns
  FROM elem e JOIN pg_catalog.pg_type t ON t.oid = e.typ
  WHERE t.typtype <> 'e' AND NOT (t.typnamespace = 'pg_catalog'::regnamespace AND t.typname IN ('bool', 'char', 'int2', 'int4', 'int8', 'text', 'varchar',
    'bytea', 'uuid', 'date', 'time', 'timestamp', 'timestamptz', 'oid', 'name', 'bit', 'varbit', 'inet', 'cidr', 'macaddr', 'macaddr8'))
  GROUP BY e.attrelid
), idx AS (
  SELECT i.indrelid, c.relname::text AS name, i.indisprimary, i.indisreplident,
    i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND pg_catalog.bool_and(a.attnotnull) AS usable,
    coalesce(pg_catalog.bool_or(pg_catalog.to_jsonb(a) ->> 'attgenerated' <> ''), false) AS generated, i.indnkeyatts
  FROM rel JOIN pg_catalog.pg_index i ON i.indrelid = rel.oid JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
  GROUP BY i.indexrelid, i.indrelid, c.relname, i.indisprimary, i.indisreplident, i.indisvalid, i.indisunique, i.indimmediate,
    i.indpred, i.indexprs, i.indnkeyatts
)
SELECT w.nsp, w.rel, coalesce(n.nspname::text, ''), coalesce(c.relname::text, ''), coalesce(c.relkind::text, ''),
  coalesce(c.relpersistence::text, ''), coalesce(c.relreplident::text, ''), coalesce(o.rolname::text, ''),
  coalesce(pg_catalog.pg_has_role(c.relowner, 'USAGE'), false),
  coalesce(id.usable, false), coalesce(id.generated, false),
  coalesce((SELECT x.name FROM idx x WHERE x.indrelid = c.oid AND x.usable AND NOT x.generated ORDER BY x.indnkeyatts, x.name LIMIT 1), ''),
  EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND pg_catalog.to_jsonb(a) ->> 'attgenerated' <> ''),
  coalesce(u.columns, ''), coalesce(b.columns, ''),
  CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_relation_size(c.oid) ELSE 0 END
FROM wanted w JOIN rel ON rel.ord = w.ord
LEFT JOIN pg_catalog.pg_class c ON c.oid = rel.oid LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_roles o ON o.oid = c.relowner LEFT JOIN unequal u ON u.attrelid = c.oid LEFT JOIN ambiguous b ON b.attrelid = c.oid
LEFT JOIN LATERAL (SELECT usable, generated FROM idx WHERE indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN indisprimary WHEN 'i' THEN indisreplident ELSE false END LIMIT 1) id ON true
ORDER BY w.ord, n.nspname, c.relname`

// checkedTable is a row of tablesQuery.
type checkedTable struct {
	wantedSchema, wantedName  string
	schema, name              string
	kind, persistence, ident  string
	owner                     string
	owned                     bool
	identUsable, identOnGener bool   // of the index that the identity is by
	candidate                 string // an index that could be the identity
	generated                 bool   // has generated columns
	unequal                   string // columns whose types have no equality
	ambiguous                 string // columns whose types may have equal values that differ
	size                      int64  // in bytes, without TOAST
	insertsOnly               bool   // only these are to be followed
}

// fullWarnSize is the size from which a table that is followed by whole rows is
// told as slow: each change reads it through.
const fullWarnSize = 64 << 20

// tables checks each table and each of its partitions.
func (p *preflight) tables(ctx context.Context, tables []Table) error {
	schemas, names := make([]string, len(tables)), make([]string, len(tables))
	for i, t := range tables {
		schemas[i], names[i] = t.Schema, t.Name
	}
	rows, err := p.source.Query(ctx, tablesQuery, schemas, names)
	if err != nil {
		return fmt.Errorf("read the tables of the source: %w", err)
	}
	unfit, insertsOnly := map[[2]string]bool{}, map[[2]string]bool{}
	for _, t := range tables {
		insertsOnly[[2]string{t.Schema, t.Name}] = t.InsertsOnly
	}
	generated, partitioned := 0, 0
	var r checkedTable
	_, err = pgx.ForEachRow(rows, []any{
		&r.wantedSchema, &r.wantedName, &r.schema, &r.name, &r.kind, &r.persistence, &r.ident, &r.owner, &r.owned,
		&r.identUsable, &r.identOnGener, &r.candidate, &r.generated, &r.unequal, &r.ambiguous, &r.size,
	}, func() error {
		if r.kind == "p" {
			partitioned++
		}
		if r.generated {
			generated++
		}
		r.insertsOnly = insertsOnly[[2]string{r.wantedSchema, r.wantedName}]
		if !p.table(r) {
			if r.kind == "" {
				r.schema, r.name = r.wantedSchema, r.wantedName
			}
			unfit[[2]string{r.schema, r.name}] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the tables of the source: %w", err)
	}
	for _, t := range tables {
		if t.targetSchema() != t.Schema || t.targetName() != t.Name {
			p.renamed = append(p.renamed, t.String())
		}
		if !unfit[[2]string{t.Schema, t.Name}] {
			p.checks.Tables = append(p.checks.Tables, t)
		}
	}
	if len(p.checks.Tables) == 0 {
		p.checks.add(Block, "tables", "there are none to follow", "migrate without following")
	}
	if partitioned > 0 {
		p.checks.add(Warn, "partitions", "one that is made at the source while it is followed is DDL, which is not replicated",
			"make the partitions that will be needed until the cut-over before the migration, and suspend jobs that make or drop them")
	}
	if generated > 0 {
		p.checks.add(Info, "generated columns", fmt.Sprintf("%d tables have such, whose values the target computes by itself", generated), "")
	}
	return nil
}

// table tells what is to be told of one relation, and whether it has changes that
// can be followed.
func (p *preflight) table(r checkedTable) bool {
	c := p.checks
	title := "table " + quote.Qualified(r.schema, r.name)
	switch {
	case r.kind == "":
		c.add(Block, "table "+quote.Qualified(r.wantedSchema, r.wantedName), "it is not there (any more)", "leave it out, or start again")
		return false
	case r.kind == "f":
		c.add(Warn, "foreign "+title, "its rows are on another server, and their changes are not in this one's WAL: it is not followed", "")
		return false
	case r.kind != "r" && r.kind != "p":
		c.add(Block, quote.Qualified(r.schema, r.name), "it is not a table, and cannot be followed", "leave it out")
		return false
	case r.persistence == "t":
		c.add(Block, title, "it is temporary, and cannot be followed", "leave it out")
		return false
	case r.persistence == "u":
		c.add(Warn, title, "it is unlogged: its changes are not in the WAL, and it is not followed: the target has its rows as they were when they were copied",
			"ALTER TABLE "+quote.Qualified(r.schema, r.name)+" SET LOGGED, which writes it anew; or move its rows again after the cut-over")
		return false
	}
	if !r.owned {
		c.add(Block, title, "it is owned by role "+r.owner+", and only the owner may publish it", "GRANT "+quote.Ident(r.owner)+" TO the role that pghaul connects as")
	}
	switch {
	case r.insertsOnly:
		c.add(Warn, title, "only its inserts are followed: an UPDATE or DELETE at the source is not seen, and the target differs from then on", "make none until the cut-over")
	case r.kind == "r":
		p.identity(r, title)
	}
	return true
}

// identity checks by what the rows of a table are told apart.
func (p *preflight) identity(r checkedTable, title string) {
	alter := "ALTER TABLE " + quote.Qualified(r.schema, r.name) + " REPLICA IDENTITY "
	var ways []string
	if r.candidate != "" {
		ways = append(ways, alter+"USING INDEX "+quote.Ident(r.candidate))
	}
	ways = append(ways, alter+"FULL, with which each change writes the whole old row to the WAL and finds its row at the target by all columns",
		"follow its inserts only, where there is nothing else")
	broken := func(why string) {
		p.checks.add(Block, title, why+": once it is published, the application's own UPDATE and DELETE on it would fail", strings.Join(ways, "; or "))
	}
	switch {
	case r.ident == "n":
		broken("its replica identity is NOTHING")
	case r.ident == "i" && !r.identUsable:
		broken("the index that is its replica identity is gone or not valid")
	case r.ident == "d" && !r.identUsable:
		broken("it has no primary key that could identify its rows (none, or a deferrable one), nor another replica identity")
	case r.ident != "f" && r.identOnGener:
		p.checks.add(Block, title, "its replica identity has a generated column, whose value is not replicated, so that changes would find no row", strings.Join(ways, "; or "))
	case r.ident == "f":
		p.full(r, title, alter)
	}
}

// full checks a table whose rows are identified by all of their columns.
func (p *preflight) full(r checkedTable, title, alter string) {
	if v, err := version(p.source); err == nil && v.AtLeast(18) && r.generated {
		do := "drop the generated column, or leave the table out"
		if r.candidate != "" {
			do = alter + "USING INDEX " + quote.Ident(r.candidate)
		}
		p.checks.add(Block, title, "its replica identity is FULL and it has a generated column: from PostgreSQL 18 on the application's own UPDATE and DELETE would fail once it is published", do)
		return
	}
	if r.unequal != "" {
		p.incomparable = append(p.incomparable, quote.Qualified(r.schema, r.name)+" ("+r.unequal+")")
	} else if r.ambiguous != "" {
		p.ambiguous = append(p.ambiguous, quote.Qualified(r.schema, r.name)+" ("+r.ambiguous+")")
	}
	if r.size >= fullWarnSize {
		do := "give it a primary key"
		if r.candidate != "" {
			do = alter + "USING INDEX " + quote.Ident(r.candidate)
		}
		p.checks.add(Warn, title, fmt.Sprintf("its replica identity is FULL and it has %d MB: each UPDATE and DELETE may read all of it at the target", r.size>>20), do)
	}
}
