package replicate

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// A targetTable is what applying has to know of a table on the target.
type targetTable struct {
	partitioned bool
	columns     map[string]targetColumn
}

type targetColumn struct {
	typ string // with modifier
	// always is GENERATED ALWAYS AS IDENTITY, which an UPDATE cannot set.
	always bool
	// generated is computed by the target.
	generated bool
	// composite is a row type, of which a parameter has to be told.
	composite bool
	equal     equality
}

// An equality says how values of a column are compared where a row is looked for
// by all its columns.
type equality int

const (
	// byText compares what the type writes, for types whose values may be equal and
	// differ (1.0 and 1.00), or that have no equality (json).
	byText equality = iota
	// byValue compares with =, which an index can answer.
	byValue
	// byValueFirst is byValue for types of which equal values may differ: among
	// several the one with the same text is taken.
	byValueFirst
)

const targetQuery = `SELECT t.i, c.oid, c.relkind::text, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attidentity::text = 'a', a.attgenerated::text <> '',
  y.typtype = 'c' OR y.typtype = 'd' AND EXISTS (SELECT FROM pg_catalog.pg_type b WHERE b.oid = y.typbasetype AND b.typtype IN ('c', 'd')),
  CASE WHEN a.atttypid IN ('pg_catalog.float4'::regtype, 'pg_catalog.float8'::regtype, 'pg_catalog._float4'::regtype, 'pg_catalog._float8'::regtype,
      'pg_catalog.bpchar'::regtype) THEN 2
    WHEN NOT coalesce(o.collisdeterministic, true) THEN 0
    WHEN y.typtype = 'e' OR a.atttypid IN ('pg_catalog.bool'::regtype, 'pg_catalog.int2'::regtype, 'pg_catalog.int4'::regtype, 'pg_catalog.int8'::regtype,
      'pg_catalog.text'::regtype, 'pg_catalog.varchar'::regtype, 'pg_catalog.bytea'::regtype, 'pg_catalog.uuid'::regtype, 'pg_catalog.date'::regtype,
      'pg_catalog.time'::regtype, 'pg_catalog.timestamp'::regtype, 'pg_catalog.timestamptz'::regtype, 'pg_catalog.oid'::regtype, 'pg_catalog.name'::regtype) THEN 1
    ELSE 0 END
FROM ROWS FROM (pg_catalog.unnest($1::text::text[]), pg_catalog.unnest($2::text::text[])) WITH ORDINALITY AS t(schema, name, i)
  JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name AND c.relkind IN ('r', 'p')
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_type y ON y.oid = a.atttypid LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation`

// readTarget reads the tables on the target, by the OIDs that they have on the
// source, and refuses those that changes cannot be applied to.
func readTarget(ctx context.Context, conn *pgx.Conn, tables []Table) (map[uint32]*targetTable, error) {
	out, oids, err := targetTables(ctx, conn, tables)
	if err != nil {
		return nil, err
	}
	for i := range tables {
		if err := fits(&tables[i], out[tables[i].OID]); err != nil {
			return nil, err
		}
	}
	return out, checkActing(ctx, conn, oids)
}

// targetTables reads the tables on the target, by the OIDs that they have on the
// source, and lists those that they have on the target.
func targetTables(ctx context.Context, conn *pgx.Conn, tables []Table) (out map[uint32]*targetTable, oids []string, err error) {
	v, err := pg.ServerVersion(conn.PgConn())
	if err != nil {
		return nil, nil, err
	}
	query := targetQuery
	if !v.AtLeast(12) {
		query = strings.NewReplacer("a.attgenerated::text <> ''", "false", "coalesce(o.collisdeterministic, true)", "true").Replace(query)
	}
	schemas, names := make([]string, len(tables)), make([]string, len(tables))
	for i := range tables {
		schemas[i], names[i] = tables[i].targetSchema(), tables[i].targetName()
	}
	rows, err := conn.Query(ctx, query, array(schemas), array(names))
	if err != nil {
		return nil, nil, fmt.Errorf("read the tables of the target: %w", err)
	}
	out = make(map[uint32]*targetTable, len(tables))
	var number, equal int
	var oid uint32
	var kind string
	var name, typ *string
	var always, generated, composite *bool
	_, err = pgx.ForEachRow(rows, []any{&number, &oid, &kind, &name, &typ, &always, &generated, &composite, &equal}, func() error {
		t := out[tables[number-1].OID]
		if t == nil {
			t = &targetTable{partitioned: kind == "p", columns: map[string]targetColumn{}}
			out[tables[number-1].OID] = t
			oids = append(oids, fmt.Sprint(oid))
		}
		if name != nil {
			t.columns[*name] = targetColumn{typ: *typ, always: *always, generated: *generated, composite: *composite, equal: equality(equal)}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the tables of the target: %w", err)
	}
	return out, oids, nil
}

// fits reports what of a table cannot be applied to the target's.
func fits(t *Table, there *targetTable) error {
	if there == nil {
		if t.Partitioned {
			return nil // its rows are in its partitions, unless changes come as its own
		}
		return &SchemaError{Table: t.Target() + " on the target", Diffs: []string{"is missing: there is no such table"}}
	}
	var diffs []string
	for _, c := range t.Columns {
		switch tc, ok := there.columns[c.Name]; {
		case !ok:
			diffs = append(diffs, fmt.Sprintf("has no column %q, which the source's has", c.Name))
		case tc.generated:
			diffs = append(diffs, fmt.Sprintf("computes the column %q, which the source stores", c.Name))
		}
	}
	if diffs != nil {
		return &SchemaError{Table: t.Target() + " on the target", Diffs: diffs}
	}
	return nil
}

// actingQuery finds what would do something when changes are applied. What a
// foreign key or trigger has done on the source comes as changes by itself.
const actingQuery = `WITH tables AS (SELECT oid FROM pg_catalog.unnest($1::text::oid[]) AS t(oid))
SELECT 'trigger ' || pg_catalog.quote_ident(t.tgname) || ' on ' || t.tgrelid::regclass::text FROM pg_catalog.pg_trigger t JOIN tables ON tables.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
UNION ALL
SELECT 'foreign key ' || pg_catalog.quote_ident(k.conname) || ' of ' || k.conrelid::regclass::text FROM pg_catalog.pg_constraint k
WHERE k.contype = 'f' AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('c', 'n', 'd')) AND k.confrelid IN (SELECT oid FROM tables)
  AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgenabled IN ('O', 'A'))
UNION ALL
SELECT 'rule ' || pg_catalog.quote_ident(r.rulename) || ' on ' || r.ev_class::regclass::text FROM pg_catalog.pg_rewrite r JOIN tables ON tables.oid = r.ev_class
WHERE r.ev_type <> '1' AND r.ev_enabled IN ('O', 'A')
ORDER BY 1`

// An ActingError names what on the target would act when changes are applied.
type ActingError struct{ Objects []string }

// Error implements error.
func (e *ActingError) Error() string {
	list := e.Objects
	more := ""
	if len(list) > 10 {
		list, more = list[:10], fmt.Sprintf(" and %d more", len(e.Objects)-10)
	}
	return "the target has " + strings.Join(list, ", ") + more +
		", which would do again what the source has done: disable triggers and rules until the cut-over (ALTER TABLE ... DISABLE TRIGGER USER), and add foreign keys that act after it"
}

func checkActing(ctx context.Context, conn *pgx.Conn, oids []string) error {
	rows, err := conn.Query(ctx, actingQuery, "{"+strings.Join(oids, ",")+"}")
	if err != nil {
		return fmt.Errorf("read the triggers of the target: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the triggers of the target: %w", err)
	}
	if len(list) > 0 {
		return &ActingError{list}
	}
	return nil
}
