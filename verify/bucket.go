package verify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/internal/quote"
)

// Rows that differ are found by reading both ends again. Every row falls into a
// bucket by the hash of its key's text, never by the key's place in the order of
// a collation, which differs between servers. In a first pass the buckets are
// summed up; in later ones the hashes of the rows in buckets that differ are
// compared. Memory is bounded by taking no more buckets at a time than there is
// room for.
const (
	buckets = 1 << 16
	// roomForRows is how many rows' hashes of one end are held at once.
	roomForRows = 1 << 20
	// roomForText is how many bytes of rows of one end are held at once.
	roomForText = 32 << 20
	// maxPasses is how often both ends are read for the hashes of rows; what is
	// beyond is not counted.
	maxPasses = 8
)

// keyHash is the hash of a row's key.
func (d *drill) keyHash(row []byte) uint64 {
	if d.key == nil {
		return xxhash.Sum64(row)
	}
	if len(d.key) == 1 && d.key[0] == 0 {
		first, _, _ := bytes.Cut(row, []byte{'\t'})
		return xxhash.Sum64(first)
	}
	h := xxhash.New()
	fields := bytes.Split(row, []byte{'\t'})
	for _, n := range d.key {
		if n < len(fields) {
			_, _ = h.Write(fields[n])
		}
		_, _ = h.Write([]byte{'\t'})
	}
	return h.Sum64()
}

func bucketOf(hash uint64) int { return int(hash >> 48) }

// A bucket sums up the rows whose keys' hashes begin alike.
type bucket struct {
	hash        uint64 // the rows' hashes, added up
	rows, bytes int64
}

// sums fills the buckets of both ends.
func (d *drill) sums(ctx context.Context) (sums [2][]bucket, err error) {
	g, ctx := errgroup.WithContext(ctx)
	for i := range sums {
		g.Go(func() error {
			return d.each(ctx, i, func() { sums[i] = make([]bucket, buckets) }, func(row []byte) {
				b := &sums[i][bucketOf(d.keyHash(row))]
				b.hash += xxhash.Sum64(row)
				b.rows++
				b.bytes += int64(len(row))
			})
		})
	}
	return sums, g.Wait()
}

// pushedKey is the number of a row's bucket, as a server computes it.
func (d *drill) pushedKey() string {
	names := d.columns
	if d.key != nil {
		names = d.report.Key
	}
	return "(pg_catalog.hashtextextended(ROW(" + quote.Idents(names) + `)::text COLLATE pg_catalog."C", 0) & ` + strconv.Itoa(buckets-1) + ")"
}

// ofBuckets is the condition on the rows of some buckets.
func (d *drill) ofBuckets(list []int) string {
	numbers := make([]string, len(list))
	for i, n := range list {
		numbers[i] = strconv.Itoa(n)
	}
	return d.pushedKey() + " = ANY ('{" + strings.Join(numbers, ",") + "}'::int8[])"
}

// pushedSums has the servers fill the buckets.
func (d *drill) pushedSums(ctx context.Context) (sums [2][]bucket, err error) {
	const query = `SELECT b, pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(r, %d)), pg_catalog.sum(pg_catalog.octet_length(r))
FROM (SELECT %s AS b, ROW(%s)::text COLLATE pg_catalog."C" AS r%s OFFSET 0) AS x GROUP BY b`
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range d.c.ends {
		g.Go(func() error {
			return e.with(ctx, func(conn *pgx.Conn) error {
				sums[i] = make([]bucket, buckets)
				for _, p := range d.pairs {
					it := p.items[i]
					if it == nil {
						continue
					}
					sql := begin(it) + fmt.Sprintf(query, int64(pushSeed), d.pushedKey(), quote.Idents(d.columns), fromTable(p, it, ""))
					results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
					if err != nil {
						return fmt.Errorf("%s: %w", e.name, err)
					}
					for _, row := range results[len(results)-1].Rows {
						if err := addPushed(sums[i], row); err != nil {
							return fmt.Errorf("%s: %w", e.name, err)
						}
					}
				}
				return nil
			})
		})
	}
	return sums, g.Wait()
}

// addPushed adds what a server says of a bucket.
func addPushed(sums []bucket, row [][]byte) error {
	var n [3]int64 // the bucket, its rows and bytes
	for i, field := range []int{0, 1, 3} {
		var err error
		if n[i], err = strconv.ParseInt(string(row[field]), 10, 64); err != nil {
			return fmt.Errorf("read a sum of rows: %w", err)
		}
	}
	hash, err := modulo64(row[2])
	if err != nil {
		return err
	}
	b := &sums[n[0]]
	b.hash, b.rows, b.bytes = b.hash+hash, b.rows+n[1], b.bytes+n[2]
	return nil
}

// An entry is a row of a bucket that differs.
type entry struct {
	key, hash uint64
	text      []byte // nil where there is no room for it
}

// search compares the rows of the buckets that differ.
func (d *drill) search(ctx context.Context, sums [2][]bucket) error {
	var todo []int
	var text int64
	for n := range buckets {
		if s, t := sums[0][n], sums[1][n]; s.hash != t.hash || s.rows != t.rows {
			todo = append(todo, n)
			text += max(s.bytes, t.bytes)
		}
	}
	keep := text <= roomForText
	if d.push {
		defer func(all []int) { d.filter = d.ofBuckets(all) }(todo) // for the repair
	}
	for pass := 0; len(todo) > 0; pass++ {
		if pass == maxPasses {
			d.report.AtLeast = true
			return nil
		}
		take, rows := make([]bool, buckets), int64(0)
		n := 0
		for ; n < len(todo); n++ {
			more := max(sums[0][todo[n]].rows, sums[1][todo[n]].rows)
			if n > 0 && rows+more > roomForRows {
				break
			}
			rows += more
			take[todo[n]] = true
		}
		if d.push {
			d.filter = d.ofBuckets(todo[:n])
		}
		todo = todo[n:]
		found, err := d.collect(ctx, take, keep)
		if err != nil {
			return err
		}
		shown, err := d.compare(ctx, found, keep)
		if err != nil {
			return err
		}
		d.report.Rows = append(d.report.Rows, shown...)
	}
	return nil
}

// collect reads the rows of some buckets of both ends, sorted by the hashes of
// their keys.
func (d *drill) collect(ctx context.Context, take []bool, keep bool) (found [2][]entry, err error) {
	g, ctx := errgroup.WithContext(ctx)
	for i := range found {
		g.Go(func() error {
			err := d.each(ctx, i, func() { found[i] = nil }, func(row []byte) {
				k := d.keyHash(row)
				if !d.push && !take[bucketOf(k)] {
					return
				}
				e := entry{key: k, hash: xxhash.Sum64(row)}
				if keep {
					e.text = bytes.Clone(row)
				}
				found[i] = append(found[i], e)
			})
			slices.SortFunc(found[i], func(a, b entry) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.hash, b.hash)) })
			return err
		})
	}
	return found, g.Wait()
}

// fetch reads the rows of some keys again, to show them.
func (d *drill) fetch(ctx context.Context, wanted map[uint64]bool) (texts [2]map[[2]uint64][]byte, err error) {
	g, ctx := errgroup.WithContext(ctx)
	for i := range texts {
		var room int
		g.Go(func() error {
			return d.each(ctx, i, func() { texts[i], room = map[[2]uint64][]byte{}, roomForText }, func(row []byte) {
				if k := d.keyHash(row); wanted[k] && len(row) <= room {
					room -= len(row)
					texts[i][[2]uint64{k, xxhash.Sum64(row)}] = bytes.Clone(row)
				}
			})
		})
	}
	return texts, g.Wait()
}
