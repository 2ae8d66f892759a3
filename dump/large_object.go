package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/progress"
)

// loChunk is how much of a large object is read at a time, in bytes.
const loChunk = 1 << 20

// blobs is a group of large objects on its way into the archive. Those already
// written stay so when the connection is lost and the group goes on.
type blobs struct {
	group *catalog.LargeObjects
	file  *archive.LOGroup
	done  map[uint32]bool
	bytes int64
	task  *progress.Task
}

// largeObjects copies a group of large objects into the archive: the first
// chunk of all in one query, then what is left of the larger ones.
func (r *run) largeObjects(ctx context.Context, conn *pgx.Conn, b *blobs) (err error) {
	if b.file == nil {
		r.log.Info("saving large objects " + b.group.Name)
		b.task = r.opts.Progress.Start("large objects", b.group.Name)
		b.done = map[uint32]bool{}
		if b.file, err = r.writer.LargeObjects(b.group.DumpID); err != nil {
			return err
		}
	}
	long, err := r.firstChunks(ctx, conn, b)
	defer func() {
		for _, l := range long {
			err = errors.Join(err, l.w.Abort()) // does nothing after Close
		}
	}()
	if err != nil {
		return r.failed(conn, "read large objects "+b.group.Name, err)
	}
	for _, l := range long {
		if err := b.rest(ctx, conn, l); err != nil {
			return r.failed(conn, fmt.Sprintf("read large object %d", l.oid), err)
		}
	}
	if err := b.file.Close(); err != nil {
		return err
	}
	b.task.Done(nil)
	r.addLargeObjects(int64(len(b.done)), b.bytes)
	return nil
}

// A longObject is a large object of which a chunk is written and more follow.
type longObject struct {
	oid uint32
	w   *archive.LOWriter
}

// firstChunks reads the beginning of every object not yet done and returns
// those that go on.
func (r *run) firstChunks(ctx context.Context, conn *pgx.Conn, b *blobs) (long []longObject, err error) {
	var ids []string
	for _, oid := range b.group.OIDs {
		if !b.done[oid] {
			ids = append(ids, strconv.FormatUint(uint64(oid), 10))
		}
	}
	const query = `SELECT t.oid, pg_catalog.lo_get(t.oid, 0, $2::int4) FROM pg_catalog.unnest($1::text::oid[]) AS t(oid)`
	rows, err := conn.Query(ctx, query, "{"+strings.Join(ids, ",")+"}", loChunk)
	if err != nil {
		return nil, err
	}
	var oid uint32
	var chunk []byte
	_, err = pgx.ForEachRow(rows, []any{&oid, &chunk}, func() error {
		w, err := b.file.Create(oid)
		if err != nil {
			return err
		}
		if _, err := w.Write(chunk); err != nil {
			return errors.Join(err, w.Abort())
		}
		if len(chunk) == loChunk {
			long = append(long, longObject{oid, w})
			return nil
		}
		return b.finish(oid, w, int64(len(chunk)))
	})
	return long, err
}

// rest reads what follows the first chunk.
func (b *blobs) rest(ctx context.Context, conn *pgx.Conn, l longObject) error {
	size, err := readLargeObject(ctx, conn, l.oid, loChunk, l.w)
	if err != nil {
		return err
	}
	return b.finish(l.oid, l.w, size)
}

// readLargeObject reads a large object from an offset to its end and returns
// where that is.
func readLargeObject(ctx context.Context, conn *pgx.Conn, oid uint32, from int64, w io.Writer) (size int64, err error) {
	for size = from; ; {
		var chunk []byte
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.lo_get($1, $2::int8, $3::int4)", oid, size, loChunk).Scan(&chunk); err != nil {
			return size, err
		}
		if _, err := w.Write(chunk); err != nil {
			return size, err
		}
		size += int64(len(chunk))
		if len(chunk) < loChunk {
			return size, nil
		}
	}
}

func (b *blobs) finish(oid uint32, w *archive.LOWriter, size int64) error {
	if err := w.Close(); err != nil {
		return err
	}
	b.done[oid] = true
	b.bytes += size
	b.task.Add(1, size)
	return nil
}
