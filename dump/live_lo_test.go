package dump_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/pgtest/proxy"
)

// TestLiveLargeObjects reads large objects of all lengths from a Live, and many
// of them with one query.
func TestLiveLargeObjects(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Versions(t)[0])
	db := s.Database(t)
	const small = 600
	s.Exec(t, db, fmt.Sprintf(`SELECT lo_from_bytea(1000 + i, convert_to(repeat('x', i), 'UTF8')) FROM generate_series(1, %d) i;
SELECT lo_from_bytea(5000 + n, convert_to(repeat('y', n), 'UTF8')) FROM unnest(ARRAY[0, 16384, 16385]) n;
SELECT lo_from_bytea(9000000, convert_to(repeat('z', 7000000), 'UTF8')), lo_from_bytea(9000001, '')`, small))
	cfg := s.Config(t, db)
	far, err := proxy.Start(fmt.Sprintf("%s:%d", cfg.Host, cfg.Port), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	cfg.Port, cfg.Fallbacks = uint16(far.Port()), nil
	l, err := dump.Open(t.Context(), cfg, dump.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before, seen := far.Turns(), 0
	for _, e := range l.Entries() {
		if e.Kind != "BLOBS" {
			continue
		}
		list, err := l.LargeObjects(&e)
		if err != nil {
			t.Fatal(err)
		}
		for _, lo := range list {
			var want []byte
			switch {
			case lo.OID < 5000:
				want = bytes.Repeat([]byte("x"), int(lo.OID)-1000)
			case lo.OID < 9000000:
				want = bytes.Repeat([]byte("y"), int(lo.OID)-5000)
			case lo.OID == 9000000:
				want = bytes.Repeat([]byte("z"), 7000000)
			}
			r, err := l.OpenLargeObject(t.Context(), lo)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("large object %d: %d bytes, %v, want %d", lo.OID, len(got), err, len(want))
			}
			seen++
		}
	}
	if seen != small+5 {
		t.Errorf("read %d large objects, want %d", seen, small+5)
	}
	if n := far.Turns() - before; n > small/10 {
		t.Errorf("%d round trips for %d large objects", n, seen)
	}
}
