package dump

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/internal/pg"
)

// A size is how large a table is on the source now.
type size struct {
	blocks int64 // of the heap
	total  int64 // bytes, with TOAST
}

// sizes asks for the sizes of all tables at once: the statistics in pg_class
// may be old or missing.
//
// It fails for a table that was truncated or rewritten after the snapshot and
// before its lock. What it held is not in the file that it has now: under the
// snapshot it looks empty, and a dump of it would pass for whole.
func sizes(ctx context.Context, conn *pgx.Conn, list []*catalog.TableData) (map[uint32]size, error) {
	out := make(map[uint32]size, len(list))
	if len(list) == 0 {
		return out, nil
	}
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = strconv.FormatUint(uint64(d.Table.ID.OID), 10)
	}
	const query = `SELECT t.oid, coalesce(pg_catalog.pg_relation_size(t.oid), 0) / pg_catalog.current_setting('block_size')::int8, coalesce(pg_catalog.pg_table_size(t.oid), 0),
  coalesce(c.relkind IN ('r', 'm') AND c.relfilenode <> 0 AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode, false)
FROM pg_catalog.unnest($1::text::oid[]) AS t(oid) LEFT JOIN pg_catalog.pg_class c ON c.oid = t.oid`
	rows, err := conn.Query(ctx, query, "{"+strings.Join(ids, ",")+"}")
	if err != nil {
		return nil, fmt.Errorf("read sizes of tables: %w", err)
	}
	var oid uint32
	var s size
	var rewritten bool
	var changed []string
	if _, err := pgx.ForEachRow(rows, []any{&oid, &s.blocks, &s.total, &rewritten}, func() error {
		out[oid] = s
		if rewritten {
			i := slices.IndexFunc(list, func(d *catalog.TableData) bool { return d.Table.ID.OID == oid })
			changed = append(changed, list[i].QualifiedName())
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read sizes of tables: %w", err)
	}
	if len(changed) > 0 {
		return nil, fmt.Errorf("another session has truncated or rewritten %s after the snapshot was taken, which hides the rows from it: run this again", strings.Join(changed, ", "))
	}
	return out, nil
}

// partSize is the least that is worth a part of its own, in bytes, where
// Options.PartSize does not say otherwise.
const partSize = 64 << 20

// tidRanges cuts a table into conditions on ctid, each of about the same number
// of blocks, so that several connections read it at once. Servers before 14
// would scan the whole table for each range, so there it stays whole. The last
// range has no end: rows may stand in blocks that came after the table was
// measured and before the snapshot.
func tidRanges(s size, jobs int, least int64, v pg.Version) []string {
	n := min(s.total/least, int64(jobs)*4, s.blocks)
	if n < 2 || jobs < 2 || !v.AtLeast(14) {
		return []string{""}
	}
	out := make([]string, n)
	for i := range n {
		from, to := s.blocks*i/n, s.blocks*(i+1)/n
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

// ranges cuts a table's rows into parts. Rows that a condition selects, that
// are on another server or that become INSERT statements stay together.
func (l *Live) ranges(d *catalog.TableData) []string {
	if d.Condition != "" || d.Foreign() || l.opts.Inserts != nil {
		return []string{""}
	}
	least := l.opts.PartSize
	if least <= 0 {
		least = partSize
	}
	return tidRanges(l.size[d.Table.ID.OID], l.opts.Jobs, least, l.db.Version)
}
