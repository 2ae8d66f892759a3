package verify

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/progress"
)

const (
	// loChunk is how much of a large object is read at a time, in bytes.
	loChunk = 1 << 20
	// loBatch is how many are asked for at once.
	loBatch = 200
	// maxListed is how many differences of large objects a report lists.
	maxListed = 100
)

// A content is what a large object holds.
type content struct {
	size   int64
	hash   uint64
	reason string // why it cannot be read
}

func (c content) String() string {
	if c.reason != "" {
		return c.reason
	}
	return fmt.Sprintf("%d bytes, digest %016x", c.size, c.hash)
}

// LargeObjects sum up the large objects of an end.
type LargeObjects struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
}

// largeObjects compares the contents of large objects.
func (c *comparison) largeObjects(ctx context.Context) (int, error) {
	var have [2]map[uint32]content
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range c.ends {
		g.Go(func() (err error) {
			var task *progress.Task
			if i == 0 {
				task = c.opts.Progress.Start(LevelLargeObjects.phase(), "large objects")
			}
			have[i], err = e.contents(ctx, task)
			task.Done(err)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	for i, sum := range []*LargeObjects{&c.report.LargeObjects.Source, &c.report.LargeObjects.Target} {
		for _, o := range have[i] {
			sum.Count++
			sum.Bytes += o.size
		}
	}
	all := maps.Clone(have[0])
	if !c.opts.IgnoreExtra {
		maps.Copy(all, have[1])
	}
	differ := 0
	for _, oid := range slices.Sorted(maps.Keys(all)) {
		s, inSource := have[0][oid]
		t, inTarget := have[1][oid]
		if inSource && inTarget && s == t && s.reason == "" {
			continue
		}
		if differ++; differ > maxListed {
			continue
		}
		d := Difference{Level: LevelLargeObjects, Kind: "LARGE OBJECT", Name: strconv.FormatUint(uint64(oid), 10), Status: status(inSource, inTarget)}
		if inSource {
			d.Source = s.String()
		}
		if inTarget {
			d.Target = t.String()
		}
		c.differ(d)
	}
	if differ > maxListed {
		c.differ(Difference{Level: LevelLargeObjects, Kind: "LARGE OBJECT", Name: fmt.Sprintf("and %d more", differ-maxListed), Status: Different})
		c.unlisted = differ - maxListed - 1
	}
	return len(all), nil
}

// contents reads all large objects of an end.
func (e *end) contents(ctx context.Context, task *progress.Task) (map[uint32]content, error) {
	out := map[uint32]content{}
	if e.rec != nil {
		return out, e.rec.contents(ctx, out, task)
	}
	if len(e.objects) == 0 {
		return out, nil
	}
	err := e.with(ctx, func(conn *pgx.Conn) error {
		// What was read over a connection that was lost need not be read again.
		left := slices.DeleteFunc(slices.Clone(e.objects), func(oid uint32) bool { _, done := out[oid]; return done })
		for batch := range slices.Chunk(left, loBatch) {
			if err := e.readBatch(ctx, conn, batch, out, task); err != nil {
				return fmt.Errorf("%s: read large objects: %w", e.name, err)
			}
		}
		return nil
	})
	return out, err
}

// readBatch reads large objects; which of them may not be read it finds out one
// by one.
func (e *end) readBatch(ctx context.Context, conn *pgx.Conn, batch []uint32, out map[uint32]content, task *progress.Task) error {
	err := e.readObjects(ctx, conn, batch, out, task)
	if pg.Code(err) == "" || conn.IsClosed() {
		return err
	}
	heal := func() error {
		_, err := conn.PgConn().Exec(ctx, undo).ReadAll()
		return err
	}
	for _, oid := range batch {
		if _, done := out[oid]; done {
			continue
		}
		if err := heal(); err != nil {
			return err
		}
		err := e.readObjects(ctx, conn, []uint32{oid}, out, task)
		if pg.Code(err) != "" && !conn.IsClosed() {
			out[oid], err = content{reason: explain(err)}, nil
		}
		if err != nil {
			return err
		}
	}
	return heal()
}

// readObjects reads large objects: the beginning of all in one query, then what
// is left of the longer ones.
func (e *end) readObjects(ctx context.Context, conn *pgx.Conn, oids []uint32, out map[uint32]content, task *progress.Task) error {
	ids := make([]string, len(oids))
	for i, oid := range oids {
		ids[i] = strconv.FormatUint(uint64(oid), 10)
	}
	const query = `SELECT t.oid, pg_catalog.lo_get(t.oid, 0, $2::int4) FROM pg_catalog.unnest($1::text::oid[]) AS t(oid)`
	rows, err := conn.Query(ctx, query, "{"+strings.Join(ids, ",")+"}", loChunk)
	if err != nil {
		return err
	}
	var oid uint32
	var chunk []byte
	type part struct {
		oid  uint32
		hash *xxhash.Digest
	}
	var long []part
	if _, err := pgx.ForEachRow(rows, []any{&oid, &chunk}, func() error {
		if len(chunk) < loChunk {
			out[oid] = content{size: int64(len(chunk)), hash: xxhash.Sum64(chunk)}
			task.Add(1, int64(len(chunk)))
			return nil
		}
		h := xxhash.New()
		_, _ = h.Write(chunk)
		long = append(long, part{oid, h})
		return nil
	}); err != nil {
		return err
	}
	for _, l := range long {
		size := int64(loChunk)
		for {
			if err := conn.QueryRow(ctx, "SELECT pg_catalog.lo_get($1, $2::int8, $3::int4)", l.oid, size, loChunk).Scan(&chunk); err != nil {
				return err
			}
			_, _ = l.hash.Write(chunk)
			size += int64(len(chunk))
			if len(chunk) < loChunk {
				break
			}
		}
		out[l.oid] = content{size: size, hash: l.hash.Sum64()}
		task.Add(1, size)
	}
	return nil
}

// contents reads the large objects of an archive, or what was noted of them.
func (r *recording) contents(ctx context.Context, out map[uint32]content, task *progress.Task) error {
	if r.reader == nil {
		for _, o := range r.objects {
			out[o.OID] = content{size: o.Bytes, hash: o.Hash}
			task.Add(1, o.Bytes)
		}
		return nil
	}
	for _, e := range r.reader.Entries() {
		if e.Kind != "BLOBS" || !e.HasData {
			continue
		}
		list, err := r.reader.LargeObjects(e.ID)
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		for _, lo := range list {
			c, err := r.content(ctx, lo)
			if ctx.Err() != nil {
				return fmt.Errorf("source: %w", context.Cause(ctx))
			}
			if err != nil {
				c = content{reason: err.Error()}
			}
			out[lo.OID] = c
			task.Add(1, c.size)
		}
	}
	return nil
}

func (r *recording) content(ctx context.Context, lo archive.LargeObject) (content, error) {
	rc, err := r.reader.OpenLargeObject(ctx, lo)
	if err != nil {
		return content{}, err
	}
	h := xxhash.New()
	n, err := io.Copy(h, rc)
	return content{size: n, hash: h.Sum64()}, cmp.Or(err, rc.Close())
}
