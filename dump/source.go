package dump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
)

// Header describes the database as the header of an archive does.
func (l *Live) Header() archive.Header { return l.header }

// Entries are what an archive would list, in order.
func (l *Live) Entries() []archive.Entry { return l.toc }

// Manifest holds what is known before the rows are read: where they come from,
// roles, and what is left out.
func (l *Live) Manifest() *archive.Manifest { return &l.manifest }

// table returns the rows of a TABLE DATA entry.
func (l *Live) table(id int) (*catalog.TableData, error) {
	d, ok := l.db.Object(id).(*catalog.TableData)
	if !ok {
		return nil, fmt.Errorf("entry %d has no rows", id)
	}
	return d, nil
}

// Parts returns the one part every entry has.
func (l *Live) Parts(e *archive.Entry) ([]archive.Part, error) {
	if o, ok := l.db.Object(e.ID).(*catalog.LargeObjects); ok {
		return []archive.Part{{Rows: int64(len(o.OIDs))}}, nil
	}
	d, err := l.table(e.ID)
	if err != nil {
		return nil, err
	}
	return []archive.Part{{Rows: -1, Bytes: d.Pages * 8192}}, nil
}

// Data reads the rows of an entry over a connection of its own.
func (l *Live) Data(_ context.Context, e *archive.Entry, _ archive.Part) (copyproto.Source, error) {
	d, err := l.table(e.ID)
	if err != nil {
		return nil, err
	}
	return liveRows{l, d}, nil
}

// liveRows is the rows of one table.
type liveRows struct {
	l *Live
	d *catalog.TableData
}

// CopyTo implements copyproto.Source.
func (r liveRows) CopyTo(ctx context.Context, w io.Writer) (rows int64, err error) {
	l := r.l
	conn, err := l.pool.get(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { l.pool.put(conn) }()
	if err := l.lockRows(ctx, conn, r.d); err != nil {
		return 0, err
	}
	l.log.Info("dumping contents of table " + r.d.QualifiedName())
	if l.opts.Inserts != nil {
		err = l.opts.Inserts.write(ctx, conn.PgConn(), r.d, "", func(statement []byte, n int64) error {
			rows += n
			_, err := w.Write(statement)
			return err
		})
	} else {
		rows, err = copyproto.Query{Conn: conn.PgConn(), SQL: r.d.CopyTo("")}.CopyTo(ctx, w)
	}
	if err != nil {
		return rows, l.failed(conn, "dump "+r.d.QualifiedName(), err)
	}
	return rows, nil
}

// LargeObjects lists what a BLOBS entry holds.
func (l *Live) LargeObjects(e *archive.Entry) ([]archive.LargeObject, error) {
	g, ok := l.db.Object(e.ID).(*catalog.LargeObjects)
	if !ok {
		return nil, fmt.Errorf("entry %d has no large objects", e.ID)
	}
	out := make([]archive.LargeObject, len(g.OIDs))
	for i, oid := range g.OIDs {
		out[i] = archive.LargeObject{OID: oid, File: "blob_" + strconv.FormatUint(uint64(oid), 10) + ".dat"}
	}
	return out, nil
}

// OpenLargeObject reads one large object, a chunk at a time.
func (l *Live) OpenLargeObject(ctx context.Context, lo archive.LargeObject) (io.ReadCloser, error) {
	return &liveLargeObject{ctx: ctx, l: l, oid: lo.OID}, nil
}

type liveLargeObject struct {
	ctx  context.Context // of the reader's whole life, as io.Reader has none
	l    *Live
	oid  uint32
	at   int64
	have bytes.Reader
	end  bool
}

// Read implements io.Reader.
func (r *liveLargeObject) Read(p []byte) (int, error) {
	for r.have.Len() == 0 {
		if r.end {
			return 0, io.EOF
		}
		conn, err := r.l.pool.get(r.ctx)
		if err != nil {
			return 0, err
		}
		var chunk []byte
		err = conn.QueryRow(r.ctx, "SELECT pg_catalog.lo_get($1, $2::int8, $3::int4)", r.oid, r.at, loChunk).Scan(&chunk)
		r.l.pool.put(conn)
		if err != nil {
			return 0, r.l.failed(conn, fmt.Sprintf("read large object %d", r.oid), err)
		}
		r.at += int64(len(chunk))
		r.end = len(chunk) < loChunk
		r.have.Reset(chunk)
	}
	return r.have.Read(p)
}

// Close implements io.Closer.
func (r *liveLargeObject) Close() error { return nil }
