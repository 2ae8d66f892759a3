package catalog

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// A Size is how large a table is now.
type Size struct {
	Blocks int64 // of the heap
	Bytes  int64 // with TOAST
	// Rewritten says that the table was truncated or rewritten after the snapshot
	// of the session that asked. What it held is not in the file that it has now:
	// under the snapshot it looks empty.
	Rewritten bool
}

// Sizes asks for the sizes of tables at once, by OID: the statistics in pg_class
// may be old or missing. conn must be in a transaction.
//
// To measure a table takes a lock on it for a moment. A session that waits to
// change one, behind a lock of our own on another connection, would make that
// moment last for ever: then the statistics have to do.
func Sizes(ctx context.Context, conn *pgx.Conn, list []*TableData) (map[uint32]Size, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out, err := sizes(ctx, conn, list, "coalesce(pg_catalog.pg_relation_size(t.oid), 0) / pg_catalog.current_setting('block_size')::int8", "coalesce(pg_catalog.pg_table_size(t.oid), 0)")
	if pg.Code(err) == "55P03" {
		if _, err := conn.PgConn().Exec(ctx, "ROLLBACK TO SAVEPOINT pghaul_size").ReadAll(); err != nil {
			return nil, fmt.Errorf("read sizes of tables: %w", err)
		}
		out, err = sizes(ctx, conn, list, "coalesce(c.relpages, 0)",
			"(coalesce(c.relpages, 0) + coalesce((SELECT x.relpages FROM pg_catalog.pg_class x WHERE x.oid = c.reltoastrelid), 0))::int8 * pg_catalog.current_setting('block_size')::int8")
	}
	if err != nil {
		return nil, fmt.Errorf("read sizes of tables: %w", err)
	}
	return out, nil
}

// sizeWait is how long measuring waits for locks.
const sizeWait = time.Second

// sizes asks with two expressions for the blocks and the bytes of a table.
func sizes(ctx context.Context, conn *pgx.Conn, list []*TableData, blocks, bytes string) (map[uint32]Size, error) {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = strconv.FormatUint(uint64(d.Table.ID.OID), 10)
	}
	results, err := conn.PgConn().Exec(ctx, fmt.Sprintf(`SAVEPOINT pghaul_size; SET LOCAL lock_timeout = %d;
SELECT t.oid, %s, %s,
  coalesce(c.relkind IN ('r', 'm') AND c.relfilenode <> 0 AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode, false)
FROM pg_catalog.unnest('{%s}'::oid[]) AS t(oid) LEFT JOIN pg_catalog.pg_class c ON c.oid = t.oid;
ROLLBACK TO SAVEPOINT pghaul_size; RELEASE SAVEPOINT pghaul_size`, sizeWait.Milliseconds(), blocks, bytes, strings.Join(ids, ","))).ReadAll()
	if err != nil {
		return nil, err
	}
	out := make(map[uint32]Size, len(list))
	for _, row := range results[2].Rows {
		var n [3]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(string(row[i]), 10, 64); err != nil {
				return nil, err
			}
		}
		out[uint32(n[0])] = Size{Blocks: n[1], Bytes: n[2], Rewritten: string(row[3]) == "t"}
	}
	return out, nil
}

// TIDRanges cuts a table into conditions on ctid, each of about the same number
// of blocks, so that several connections read it at once: as many as there are
// pieces of least bytes in it, four for each of the jobs at most. Servers before
// 14 would scan the whole table for each range, so there it stays whole, which
// is one condition "". The last range has no end: rows may stand in blocks that
// came after the table was measured and before the snapshot.
func TIDRanges(s Size, jobs int, least int64, v pg.Version) []string {
	n := min(s.Bytes/least, int64(jobs)*4, s.Blocks)
	if n < 2 || jobs < 2 || !v.AtLeast(14) {
		return []string{""}
	}
	out := make([]string, n)
	for i := range n {
		from, to := s.Blocks*i/n, s.Blocks*(i+1)/n
		switch i {
		case 0:
			out[i] = fmt.Sprintf("ctid < '(%d,0)'", to)
		case n - 1:
			out[i] = fmt.Sprintf("ctid >= '(%d,0)'", from)
		default:
			out[i] = fmt.Sprintf("ctid >= '(%d,0)' AND ctid < '(%d,0)'", from, to)
		}
	}
	return out
}
