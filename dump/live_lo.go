package dump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
)

// Large objects are mostly small, and a query for each costs a round trip: the
// first of a group that is opened brings the beginning of those after it along.
const (
	aheadObjects = 256
	aheadBytes   = 16 << 10 // of each
)

// readAhead holds beginnings of large objects that nobody has opened yet.
type readAhead struct {
	mu    sync.Mutex
	group map[uint32]*catalog.LargeObjects // of the entries that were listed
	have  map[uint32][]byte
}

// LargeObjects lists what a BLOBS entry holds.
func (l *Live) LargeObjects(e *archive.Entry) ([]archive.LargeObject, error) {
	g, ok := l.db.Object(e.ID).(*catalog.LargeObjects)
	if !ok {
		return nil, fmt.Errorf("entry %d has no large objects", e.ID)
	}
	a := &l.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.group == nil {
		a.group, a.have = map[uint32]*catalog.LargeObjects{}, map[uint32][]byte{}
	}
	out := make([]archive.LargeObject, len(g.OIDs))
	for i, oid := range g.OIDs {
		a.group[oid] = g
		out[i] = archive.LargeObject{OID: oid, File: "blob_" + strconv.FormatUint(uint64(oid), 10) + ".dat"}
	}
	return out, nil
}

// OpenLargeObject reads one large object. Those of an entry are read fastest in
// the order in which LargeObjects lists them.
func (l *Live) OpenLargeObject(ctx context.Context, lo archive.LargeObject) (io.ReadCloser, error) {
	first, err := l.beginning(ctx, lo.OID)
	if err != nil {
		return nil, err
	}
	r := &liveLargeObject{ctx: ctx, l: l, oid: lo.OID, at: int64(len(first)), end: len(first) < aheadBytes}
	r.have.Write(first)
	return r, nil
}

// beginning returns the first aheadBytes of a large object.
func (l *Live) beginning(ctx context.Context, oid uint32) ([]byte, error) {
	a := &l.ahead
	a.mu.Lock()
	first, ok := a.have[oid]
	delete(a.have, oid)
	next := []uint32{oid}
	if g := a.group[oid]; g != nil {
		next = g.OIDs[slices.Index(g.OIDs, oid):]
		next = next[:min(len(next), aheadObjects)]
	}
	a.mu.Unlock()
	if ok {
		return first, nil
	}
	conn, err := l.pool.get(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { l.pool.put(conn) }()
	got := make(map[uint32][]byte, len(next))
	err = firstChunks(ctx, conn, next, aheadBytes, func(oid uint32, chunk []byte) error {
		got[oid] = bytes.Clone(chunk)
		return nil
	})
	if err != nil {
		return nil, l.failed(conn, fmt.Sprintf("read large object %d and those after it", oid), err)
	}
	first = got[oid]
	delete(got, oid)
	a.mu.Lock()
	defer a.mu.Unlock()
	for oid, chunk := range got {
		a.have[oid] = chunk
	}
	return first, nil
}

type liveLargeObject struct {
	ctx  context.Context // of the reader's whole life, as io.Reader has none
	l    *Live
	oid  uint32
	at   int64
	have bytes.Buffer
	end  bool
}

// Read implements io.Reader.
func (r *liveLargeObject) Read(p []byte) (int, error) {
	for r.have.Len() == 0 {
		if r.end {
			return 0, io.EOF
		}
		if err := r.more(); err != nil {
			return 0, err
		}
	}
	return r.have.Read(p)
}

// more reads a few chunks: not so many that those of all workers fill memory.
func (r *liveLargeObject) more() error {
	const chunks = 4
	conn, err := r.l.pool.get(r.ctx)
	if err != nil {
		return err
	}
	defer func() { r.l.pool.put(conn) }()
	more, err := largeObjectChunks(r.ctx, conn, r.oid, r.at, chunks, func(chunk []byte) error {
		r.at += int64(len(chunk))
		r.have.Write(chunk)
		return nil
	})
	r.end = !more
	if err != nil {
		return r.l.failed(conn, fmt.Sprintf("read large object %d", r.oid), err)
	}
	return nil
}

// Close implements io.Closer.
func (r *liveLargeObject) Close() error { return nil }
