package dump

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
)

// loChunk is how much of a large object is read at a time, in bytes.
const loChunk = 1 << 20

// largeObjects copies a group of large objects into the archive: the first
// chunk of all in one query, then what is left of the larger ones.
func (r *run) largeObjects(ctx context.Context, conn *pgx.Conn, g *catalog.LargeObjects) (err error) {
	r.log.Info("saving large objects " + g.Name)
	task := r.opts.Progress.Start("large objects", g.Name)
	defer func() { task.Done(err) }()
	group, err := r.writer.LargeObjects(g.DumpID)
	if err != nil {
		return err
	}
	ids := make([]string, len(g.OIDs))
	for i, oid := range g.OIDs {
		ids[i] = strconv.FormatUint(uint64(oid), 10)
	}
	var total int64
	// Large objects that do not fit a chunk are read to the end after the query:
	// their first chunks wait in their files.
	open := map[uint32]*archive.LOWriter{}
	defer func() {
		if err != nil {
			for _, w := range open {
				err = errors.Join(err, w.Abort())
			}
		}
	}()
	const query = `SELECT t.oid, pg_catalog.lo_get(t.oid, 0, $2::int4) FROM pg_catalog.unnest($1::text::oid[]) AS t(oid)`
	rows, err := conn.Query(ctx, query, "{"+strings.Join(ids, ",")+"}", loChunk)
	if err != nil {
		return r.failed(conn, "read large objects "+g.Name, err)
	}
	var oid uint32
	var bytes []byte
	var long []uint32
	if _, err := pgx.ForEachRow(rows, []any{&oid, &bytes}, func() error {
		w, err := group.Create(oid)
		if err != nil {
			return err
		}
		open[oid] = w
		if _, err := w.Write(bytes); err != nil {
			return err
		}
		total += int64(len(bytes))
		task.Add(1, int64(len(bytes)))
		if len(bytes) == loChunk {
			long = append(long, oid)
			return nil
		}
		delete(open, oid)
		return w.Close()
	}); err != nil {
		return r.failed(conn, "read large objects "+g.Name, err)
	}
	for _, oid := range long {
		n, err := r.restOfLargeObject(ctx, conn, oid, open[oid], func(n int64) { task.Add(0, n) })
		if err != nil {
			return r.failed(conn, fmt.Sprintf("read large object %d", oid), err)
		}
		delete(open, oid)
		total += n
	}
	if err := group.Close(); err != nil {
		return err
	}
	r.addLargeObjects(int64(len(g.OIDs)), total)
	return nil
}

func (r *run) restOfLargeObject(ctx context.Context, conn *pgx.Conn, oid uint32, w *archive.LOWriter, count func(int64)) (total int64, err error) {
	for {
		var bytes []byte
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.lo_get($1, $2::int8, $3::int4)", oid, total+loChunk, loChunk).Scan(&bytes); err != nil {
			return total, err
		}
		if _, err := w.Write(bytes); err != nil {
			return total, err
		}
		total += int64(len(bytes))
		count(int64(len(bytes)))
		if len(bytes) < loChunk {
			return total, w.Close()
		}
	}
}
