package replicate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// followedQuery reads the tables by the names in $1 and $2, and the partitions below
// those that are partitioned. Identity "d" without a usable primary key has no key.
const followedQuery = `WITH RECURSIVE wanted AS (
  SELECT i, 0 AS depth, c.oid FROM ROWS FROM (pg_catalog.unnest($1::text::text[]), pg_catalog.unnest($2::text::text[])) WITH ORDINALITY AS t(schema, name, i)
    JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
  UNION ALL
  SELECT w.i, w.depth + 1, h.inhrelid FROM wanted w JOIN pg_catalog.pg_class p ON p.oid = w.oid AND p.relkind = 'p'
    JOIN pg_catalog.pg_inherits h ON h.inhparent = p.oid)
SELECT w.i, w.depth, c.oid, n.nspname, c.relname, c.relreplident::text, c.relkind::text, c.relpersistence::text
FROM wanted w JOIN pg_catalog.pg_class c ON c.oid = w.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY w.i, w.depth, n.nspname, c.relname`

// publishedQuery reads what the source publishes of tables.
const publishedQuery = `SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod,
  c.relreplident = 'f' OR a.attnum = ANY (coalesce(i.indkey::int2[], '{}'))
FROM pg_catalog.unnest($1::text::oid[]) AS t(oid) JOIN pg_catalog.pg_class c ON c.oid = t.oid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped%s
  LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
    AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)
ORDER BY a.attrelid, a.attnum`

// readTables fills in what the source knows of the wanted tables, and adds the
// partitions of those that are partitioned. With viaRoot the partitions are left
// out instead, for their changes come as those of the topmost table.
func readTables(ctx context.Context, conn *pgx.Conn, wanted []Table, viaRoot bool) ([]Table, error) {
	v, err := pg.ServerVersion(conn.PgConn())
	if err != nil {
		return nil, err
	}
	schemas, names := make([]string, len(wanted)), make([]string, len(wanted))
	for i, t := range wanted {
		schemas[i], names[i] = t.Schema, t.Name
	}
	rows, err := conn.Query(ctx, followedQuery, array(schemas), array(names))
	if err != nil {
		return nil, fmt.Errorf("read the tables to follow: %w", err)
	}
	var list []Table
	byOID := map[uint32]int{}    // place in list
	listed := map[int]bool{}     // of wanted
	covered := map[uint32]bool{} // partitions of a table that is published
	var number, depth int
	var t Table
	var kind, persistence string
	_, err = pgx.ForEachRow(rows, []any{&number, &depth, &t.OID, &t.Schema, &t.Name, &t.Identity, &kind, &persistence}, func() error {
		t := t
		root := wanted[number-1]
		listed[number-1] = true
		switch {
		case kind != "r" && kind != "p":
			return fmt.Errorf("%s is no table: it cannot be followed", &t)
		case persistence != "p":
			return fmt.Errorf("%s is not in the source's log, for it is unlogged or temporary: leave it out, or make it permanent with ALTER TABLE ... SET LOGGED", &t)
		}
		t.Partitioned = kind == "p"
		if depth > 0 && v.AtLeast(13) {
			covered[t.OID] = true
		}
		t.TargetSchema, t.InsertsOnly = root.TargetSchema, root.InsertsOnly
		if depth == 0 {
			t.TargetName = root.TargetName
		} else if t.Schema != root.Schema {
			t.TargetSchema = ""
		}
		if at, ok := byOID[t.OID]; ok {
			if depth == 0 { // its own entry says more than that of what it is a partition of
				list[at].TargetSchema, list[at].TargetName, list[at].InsertsOnly = t.TargetSchema, t.TargetName, t.InsertsOnly
			}
			return nil
		}
		byOID[t.OID] = len(list)
		list = append(list, t)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the tables to follow: %w", err)
	}
	for i := range wanted {
		if !listed[i] {
			return nil, fmt.Errorf("the source has no table %s", &wanted[i])
		}
	}
	for i := range list {
		list[i].Covered = covered[list[i].OID]
	}
	list = slices.DeleteFunc(list, func(t Table) bool {
		return viaRoot && t.Covered || t.Partitioned && (!v.AtLeast(13))
	})
	return list, readColumns(ctx, conn, list, v)
}

func readColumns(ctx context.Context, conn *pgx.Conn, list []Table, v pg.Version) error {
	oids := make([]string, len(list))
	byOID := make(map[uint32]*Table, len(list))
	for i := range list {
		oids[i] = fmt.Sprint(list[i].OID)
		byOID[list[i].OID] = &list[i]
	}
	generated := ""
	if v.AtLeast(12) {
		generated = " AND a.attgenerated = ''"
	}
	rows, err := conn.Query(ctx, fmt.Sprintf(publishedQuery, generated), "{"+strings.Join(oids, ",")+"}")
	if err != nil {
		return fmt.Errorf("read the columns of the tables to follow: %w", err)
	}
	var oid uint32
	var c Column
	_, err = pgx.ForEachRow(rows, []any{&oid, &c.Name, &c.Type, &c.OID, &c.Mod, &c.Key}, func() error {
		byOID[oid].Columns = append(byOID[oid].Columns, c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the columns of the tables to follow: %w", err)
	}
	return nil
}

// array writes a text[] as a server reads it.
func array(list []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// published is how CREATE PUBLICATION names the table. Tables that inherit from
// it without being partitions are listed by themselves.
func (t *Table) published() string {
	if t.Partitioned {
		return quote.Qualified(t.Schema, t.Name)
	}
	return "ONLY " + quote.Qualified(t.Schema, t.Name)
}
