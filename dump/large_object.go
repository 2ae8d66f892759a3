package dump

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
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

// largeObjects copies a group of large objects into the archive.
func (r *run) largeObjects(ctx context.Context, conn *pgx.Conn, b *blobs) (err error) {
	if b.file == nil {
		r.log.Info("saving large objects " + b.group.Name)
		b.task = r.opts.Progress.Start("large objects", b.group.Name)
		b.done = map[uint32]bool{}
		if b.file, err = r.writer.LargeObjects(b.group.DumpID); err != nil {
			return err
		}
	}
	left := slices.DeleteFunc(slices.Clone(b.group.OIDs), func(oid uint32) bool { return b.done[oid] })
	err = r.readLargeObjects(ctx, conn, left, func(oid uint32) (largeObjectWriter, error) { return b.file.Create(oid) }, b.finished)
	if err != nil {
		return err
	}
	if err := b.file.Close(); err != nil {
		return err
	}
	b.task.Done(nil)
	r.addLargeObjects(int64(len(b.done)), b.bytes)
	return nil
}

func (b *blobs) finished(oid uint32, size int64) {
	b.done[oid] = true
	b.bytes += size
	b.task.Add(1, size)
}

// A largeObjectWriter takes the bytes of one large object.
type largeObjectWriter interface {
	io.WriteCloser
	Abort() error
}

// readLargeObjects reads large objects: all that fit into a chunk with one
// query, however far the server is, then the larger ones, one after the other.
func (l *Live) readLargeObjects(ctx context.Context, conn *pgx.Conn, oids []uint32,
	create func(oid uint32) (largeObjectWriter, error), finished func(oid uint32, size int64),
) error {
	write := func(oid uint32, fill func(io.Writer) (int64, error)) error {
		w, err := create(oid)
		if err != nil {
			return err
		}
		size, err := fill(w)
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return errors.Join(err, w.Abort())
		}
		finished(oid, size)
		return nil
	}
	var long []uint32
	err := firstChunks(ctx, conn, oids, loChunk, func(oid uint32, chunk []byte) error {
		if len(chunk) == loChunk {
			long = append(long, oid) // read again: it is not kept, nor its file open
			return nil
		}
		return write(oid, func(w io.Writer) (int64, error) {
			n, err := w.Write(chunk)
			return int64(n), err
		})
	})
	if err != nil {
		return l.failed(conn, "read large objects", err)
	}
	for _, oid := range long {
		if err := write(oid, func(w io.Writer) (int64, error) { return readLargeObject(ctx, conn, oid, w) }); err != nil {
			return l.failed(conn, fmt.Sprintf("read large object %d", oid), err)
		}
	}
	return nil
}

// firstChunks reads up to size bytes of each of some large objects with one
// query and hands them over in the order of oids. The slice is not to be kept.
func firstChunks(ctx context.Context, conn *pgx.Conn, oids []uint32, size int, each func(oid uint32, chunk []byte) error) error {
	ids := make([]string, len(oids))
	for i, oid := range oids {
		ids[i] = strconv.FormatUint(uint64(oid), 10)
	}
	const query = `SELECT t.oid, pg_catalog.lo_get(t.oid, 0, $2::int4) FROM pg_catalog.unnest($1::text::oid[]) AS t(oid)`
	return binaryRows(ctx, conn, func(row [][]byte) error {
		return each(binary.BigEndian.Uint32(row[0]), row[1])
	}, query, "{"+strings.Join(ids, ",")+"}", strconv.Itoa(size))
}

// binaryRows runs a query and hands over its rows as the server sends them in
// binary format: large objects are half as long that way. An error of each ends
// the connection.
func binaryRows(ctx context.Context, conn *pgx.Conn, each func(row [][]byte) error, sql string, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	rows := conn.PgConn().ExecParams(ctx, sql, params, nil, nil, []int16{1})
	for rows.NextRow() {
		if err := each(rows.Values()); err != nil {
			cancel()
			_, _ = rows.Close()
			return err
		}
	}
	_, err := rows.Close()
	return err
}

// chunksAtOnce is how many chunks of a large object one query returns.
const chunksAtOnce = 64

// readLargeObject reads a large object and returns its size.
func readLargeObject(ctx context.Context, conn *pgx.Conn, oid uint32, w io.Writer) (size int64, err error) {
	for more := true; more; {
		more, err = largeObjectChunks(ctx, conn, oid, size, chunksAtOnce, func(chunk []byte) error {
			n, err := w.Write(chunk)
			size += int64(n)
			return err
		})
		if err != nil {
			return size, err
		}
	}
	return size, nil
}

// largeObjectChunks reads up to n chunks of a large object from an offset on and
// reports whether there may be more.
func largeObjectChunks(ctx context.Context, conn *pgx.Conn, oid uint32, from int64, n int, each func(chunk []byte) error) (more bool, err error) {
	const query = `SELECT pg_catalog.lo_get($1::oid, $2::int8 + i * $3::int8, $3::int4) FROM pg_catalog.generate_series(0, $4::int8 - 1) AS i`
	more = true
	err = binaryRows(ctx, conn, func(row [][]byte) error {
		more = more && len(row[0]) == loChunk
		if len(row[0]) == 0 {
			return nil
		}
		return each(row[0])
	}, query, strconv.FormatUint(uint64(oid), 10), strconv.FormatInt(from, 10), strconv.Itoa(loChunk), strconv.Itoa(n))
	return more, err
}
