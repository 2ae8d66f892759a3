package dump_test

import (
	"context"
	"encoding/binary"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// A turnConn counts the turns of a conversation: how often the client sends
// something after the server has said that it is ready for a query. Each costs
// a round trip.
type turnConn struct {
	net.Conn
	turns *atomic.Int64
	ready bool // the server has said so since the client last sent

	header []byte // of a message that is not complete yet
	skip   int    // bytes of the message's body still to come
}

func (c *turnConn) Write(p []byte) (int, error) {
	if c.ready {
		c.turns.Add(1)
		c.ready = false
	}
	return c.Conn.Write(p)
}

func (c *turnConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if c.skip > 0 {
			k := min(c.skip, len(rest))
			c.skip -= k
			rest = rest[k:]
			continue
		}
		k := min(5-len(c.header), len(rest))
		c.header = append(c.header, rest[:k]...)
		rest = rest[k:]
		if len(c.header) == 5 {
			c.ready = c.header[0] == 'Z'
			c.skip = int(binary.BigEndian.Uint32(c.header[1:])) - 4
			c.header = c.header[:0]
		}
	}
	return n, err
}

// TestRoundTrips shows that reading a catalog costs no more round trips for
// 2,000 tables than for 10, but for the batches of their locks.
func TestRoundTrips(t *testing.T) {
	majors := pgtest.Sources(t)
	for _, major := range []int{majors[0], majors[len(majors)-1]} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			// Two transactions lock everything: as many locks as that needs.
			s := pgtest.Private(t, major, pgtest.Options{Settings: map[string]string{"max_locks_per_transaction": "1024"}})
			turns := func(tables string) int64 {
				db := s.Database(t)
				s.Exec(t, db, `DO $$ BEGIN FOR i IN 1..`+tables+` LOOP
EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, v text DEFAULT ''x'' CHECK (v <> ''''))', i);
EXECUTE format('COMMENT ON TABLE t%s IS ''c''; CREATE INDEX ON t%s (v); CREATE VIEW v%s AS SELECT * FROM t%s; GRANT SELECT ON t%s TO pg_monitor', i, i, i, i, i);
END LOOP; END $$`)
				var n atomic.Int64
				config := s.Config(t, db)
				dial := config.DialFunc
				config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := dial(ctx, network, addr)
					return &turnConn{Conn: conn, turns: &n}, err
				}
				l, err := dump.Open(t.Context(), config, dump.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				if got, want := len(l.Entries()), 5; got < want {
					t.Fatalf("%d entries", got)
				}
				return n.Load()
			}
			few, many := turns("10"), turns("2000")
			t.Logf("round trips: %d for 10 tables, %d for 2,000", few, many)
			if few < 5 || many > few+4 {
				t.Errorf("%d round trips for 2,000 tables, %d for 10", many, few)
			}
		})
	}
}
