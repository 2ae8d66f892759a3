package longrow

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/internal/quote"
)

// columnTypes asks for the types of tables' columns, domains resolved.
const columnTypes = `WITH RECURSIVE d AS (
  SELECT oid AS domain, typbasetype AS base FROM pg_catalog.pg_type WHERE typtype = 'd'
  UNION ALL SELECT d.domain, t.typbasetype FROM d JOIN pg_catalog.pg_type t ON t.oid = d.base AND t.typtype = 'd')
SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), t.oid, t.typtype::text,
  coalesce((SELECT e.oid FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND t.typcategory = 'A' AND t.typlen = -1), 0)
FROM pg_catalog.pg_attribute a
LEFT JOIN (SELECT d.domain, d.base FROM d JOIN pg_catalog.pg_type b ON b.oid = d.base AND b.typtype <> 'd') x ON x.domain = a.atttypid
JOIN pg_catalog.pg_type t ON t.oid = coalesce(x.base, a.atttypid)
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`

// A columnType is one row of it.
type columnType struct {
	Table        uint32
	Name, Spoken string
	Base         uint32
	Kind         string
	Element      uint32
}

// Unfit returns, for those tables of which ok refuses the type of a column that
// COPY moves, why.
func Unfit(ctx context.Context, conn *pgx.Conn, list []*catalog.TableData, ok func(oid uint32, kind byte, element uint32) bool) (map[*catalog.TableData]string, error) {
	byOID := make(map[uint32]*catalog.TableData, len(list))
	oids := make([]uint32, len(list))
	for i, d := range list {
		oids[i] = d.Table.ID.OID
		byOID[oids[i]] = d
	}
	rows, err := conn.Query(ctx, columnTypes, oids)
	if err != nil {
		return nil, fmt.Errorf("read types of columns: %w", err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[columnType])
	if err != nil {
		return nil, fmt.Errorf("read types of columns: %w", err)
	}
	reasons := make(map[*catalog.TableData]string)
	for _, c := range columns {
		d := byOID[c.Table]
		if slices.Contains(d.Columns, c.Name) && reasons[d] == "" && !ok(c.Base, c.Kind[0], c.Element) {
			reasons[d] = fmt.Sprintf("column %s is of type %s, whose binary form is not known to depend on the value alone", quote.Ident(c.Name), c.Spoken)
		}
	}
	return reasons, nil
}
