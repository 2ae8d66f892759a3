package verify

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
)

// An Engine is a way to digest the rows of a table.
type Engine string

// The engines.
const (
	// EngineAuto takes EnginePush for servers that are far or behind a slow network,
	// and EngineStream for others.
	EngineAuto Engine = "auto"
	// EngineStream reads all rows and digests them here.
	EngineStream Engine = "stream"
	// EnginePush lets each server digest its rows; no rows cross the network.
	// A table for which that would not do is streamed.
	EnginePush Engine = "push"
)

// ParseEngine reads the name of an engine; "" is EngineAuto.
func ParseEngine(name string) (Engine, error) {
	switch e := Engine(name); e {
	case "":
		return EngineAuto, nil
	case EngineAuto, EngineStream, EnginePush:
		return e, nil
	}
	return "", fmt.Errorf("engine %q: want auto, stream or push", name)
}

// far is the round trip from which a server is taken for one at the other end of
// a network that is slower than digesting on the server. Behind a network that is
// fast all the same, digesting there takes less than twice as long as streams do;
// behind a slow one streams take any number of times longer. So the network's
// speed, which takes many round trips to show, is measured only for near servers.
const far = 3 * time.Millisecond

// A near server's network is slow if it brings less than slow bytes a second. That
// is measured with speedSample bytes, if there are as many rows as would make
// worthMeasuring parts.
const (
	slow           = 64 << 20
	speedSample    = 4 << 20
	worthMeasuring = 4
)

// A pushed digest sums up the rows' text as a row value, (1,"a b",,""), which
// tells NULL from an empty string and from the text NULL, by two hashes of 64
// bits with different seeds. These are the server's hash functions for text, as
// hash partitions use them. PostgreSQL does not promise that they are the same
// on all machines and in all versions: so both ends hash samples first, and if
// these differ, all tables are streamed. md5 would not do: a server may be set up
// to refuse it.
//
// OFFSET 0 keeps the planner from computing the text once for each hash.
const (
	pushSeed   = -7046029254386353131 // 0x9e3779b97f4a7c15 as bigint
	pushSelect = `SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(r, 0)), 0), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(r, %d)), 0) FROM (SELECT ROW(%s)::text COLLATE pg_catalog."C" AS r %s OFFSET 0) AS x`
)

// pushStatement digests the rows of a FROM clause, of some columns.
func pushStatement(columns []string, from string) string {
	return fmt.Sprintf(pushSelect, int64(pushSeed), quote.Idents(columns), from)
}

// pushSamples are hashed at both ends: texts of all lengths up to a few blocks of
// the hash function, of all characters that one byte can hold or begin, and those
// that row values quote.
const pushSamples = `FROM (SELECT i, pg_catalog.repeat(pg_catalog.chr(i), i) AS a, pg_catalog.chr(i) AS b, NULL::text AS c, ''::text AS d, 'NULL'::text AS e, 'x' || pg_catalog.repeat('"(,) \', i % 7) AS f
  FROM pg_catalog.generate_series(1, CASE WHEN pg_catalog.getdatabaseencoding() = 'UTF8' OR pg_catalog.pg_encoding_max_length(pg_catalog.pg_char_to_encoding(pg_catalog.getdatabaseencoding())) = 1 THEN 255 ELSE 127 END) AS i) AS s`

// pushed asks a server for a digest.
func pushed(ctx context.Context, conn *pgconn.PgConn, sql string) (d copyproto.Digest, err error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return d, err
	}
	// Those of ROLLBACK and LOCK come first.
	row := results[len(results)-1].Rows[0]
	if d.Rows, err = strconv.ParseInt(string(row[0]), 10, 64); err != nil {
		return d, fmt.Errorf("read the number of rows: %w", err)
	}
	for i, sum := range []*uint64{&d.A, &d.B} {
		if *sum, err = modulo64(row[1+i]); err != nil {
			return d, err
		}
	}
	return d, nil
}

// modulo64 reads a sum of hashes, which may be any number, modulo 2^64.
func modulo64(text []byte) (uint64, error) {
	n, ok := new(big.Int).SetString(string(text), 10)
	if !ok {
		return 0, fmt.Errorf("the server's sum of hashes is %.40q", text)
	}
	return n.Mod(n, new(big.Int).Lsh(big.NewInt(1), 64)).Uint64(), nil // never negative
}

// chooseEngine decides which engine the run uses for tables that either would do
// for, and why.
func (c *comparison) chooseEngine(ctx context.Context) error {
	c.engine = EngineStream
	switch source, target := c.ends[0], c.ends[1]; {
	case !c.has(LevelDigest):
		c.engine = ""
	case source.rec != nil:
		c.engineReason = "what was recorded of the source is the digest of a stream"
	case c.opts.Engine == EngineStream:
		c.engineReason = "as asked for"
	case c.opts.Engine == EnginePush && source.encoding == target.encoding:
		return c.calibrate(ctx, "as asked for")
	case source.encoding != target.encoding:
		c.engineReason = fmt.Sprintf("the databases have different encodings, %s and %s", source.encoding, target.encoding)
	default:
		return c.measureEngine(ctx)
	}
	if c.opts.Engine == EnginePush {
		c.opts.Logger.Warn("all tables are read as a whole: " + c.engineReason)
	}
	return nil
}

// measureEngine takes the pushed engine if a server is far or its network slow.
func (c *comparison) measureEngine(ctx context.Context) error {
	source, target := c.ends[0], c.ends[1]
	trips := fmt.Sprintf("%v and %v for a round trip", source.roundTrip.Round(10*time.Microsecond), target.roundTrip.Round(10*time.Microsecond))
	if max(source.roundTrip, target.roundTrip) >= far {
		return c.calibrate(ctx, trips)
	}
	c.engineReason = "both servers are near: " + trips
	var bytes int64
	for _, it := range source.tables {
		bytes += it.size.Bytes
	}
	if bytes < worthMeasuring*c.leastPart() {
		return nil
	}
	a, b, err := both(ctx, c, (*end).speed)
	if err != nil {
		return err
	}
	speeds := fmt.Sprintf("%.0f and %.0f MB/s", a/1e6, b/1e6)
	if min(a, b) < slow {
		return c.calibrate(ctx, speeds)
	}
	c.engineReason += ", " + speeds
	return nil
}

// speed measures how many bytes a second a server sends. A busy machine is slow at
// times: the best of a few tries counts.
func (e *end) speed(ctx context.Context) (best float64, err error) {
	err = e.with(ctx, func(conn *pgx.Conn) error {
		for range 3 {
			began := time.Now()
			if _, err := conn.PgConn().Exec(ctx, fmt.Sprintf("SELECT pg_catalog.repeat('x', %d)", speedSample)).ReadAll(); err != nil {
				return fmt.Errorf("%s: measure the network: %w", e.name, err)
			}
			took := time.Since(began)
			best = max(best, speedSample/took.Seconds())
			if best >= slow || took > time.Second {
				break
			}
		}
		return nil
	})
	return best, err
}

// calibrate takes the pushed engine, for a reason, if both servers hash alike.
func (c *comparison) calibrate(ctx context.Context, why string) error {
	type sample struct {
		digest  copyproto.Digest
		refused error
	}
	source, target, err := both(ctx, c, func(e *end, ctx context.Context) (s sample, err error) {
		err = e.with(ctx, func(conn *pgx.Conn) (err error) {
			s.digest, err = pushed(ctx, conn.PgConn(), pushStatement([]string{"a", "b", "c", "d", "e", "f"}, pushSamples))
			return err
		})
		if fatal(err) {
			return s, err
		}
		s.refused = err
		return s, nil
	})
	refused := errors.Join(source.refused, target.refused)
	switch {
	case err != nil:
		return err
	case refused != nil:
		c.engineReason = "a server refuses to hash: " + explain(refused)
	case source.digest != target.digest:
		c.engineReason = "the two servers do not hash alike"
	default:
		c.engine, c.engineReason = EnginePush, why
		return nil
	}
	if c.opts.Engine == EnginePush {
		c.opts.Logger.Warn("all tables are read as a whole: " + c.engineReason)
	}
	return nil
}

// choose decides which engine a table's rows are digested by. It must be the
// same for all of them, at both ends.
func (c *comparison) choose(u *unit) {
	u.engine = c.engine
	if c.engine != EnginePush {
		return
	}
	if slices.ContainsFunc(u.pairs, func(p *pair) bool { return c.rewriters(p, 0) != nil || c.rewriters(p, 1) != nil }) {
		u.stream("servers before 12 write floating-point numbers in another way")
	}
}

// stream has the rows of a unit streamed.
func (u *unit) stream(reason string) { u.engine, u.engineReason = EngineStream, reason }
