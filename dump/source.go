package dump

import (
	"context"
	"fmt"
	"io"

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
	l.log.Info("dumping contents of table " + r.d.QualifiedName())
	if l.opts.Inserts != nil {
		err = l.insertRows(ctx, conn, r.d, "", func(statement []byte, n int64) error {
			rows += n
			_, err := w.Write(statement)
			return err
		})
		return rows, err
	}
	rows, err = copyproto.Query{Conn: conn.PgConn(), SQL: lockRows(r.d) + r.d.CopyTo("")}.CopyTo(ctx, w)
	return rows, l.dumped(conn, r.d, err)
}
