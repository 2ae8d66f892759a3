package dump

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/longrow"
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

// Parts cuts the rows of a large table into several parts, which any number of
// connections may read at the same time: Options.Jobs and Options.PartSize say
// how. Another Live of the same database may cut them at other places.
func (l *Live) Parts(e *archive.Entry) ([]archive.Part, error) {
	if o, ok := l.db.Object(e.ID).(*catalog.LargeObjects); ok {
		return []archive.Part{{Rows: int64(len(o.OIDs))}}, nil
	}
	d, err := l.table(e.ID)
	if err != nil {
		return nil, err
	}
	parts := make([]archive.Part, len(l.ranges(d)))
	for i := range parts {
		parts[i] = archive.Part{Number: i, Rows: -1, Bytes: l.size[d.Table.ID.OID].Bytes / int64(len(parts))}
	}
	return parts, nil
}

// Data reads one part of the rows of an entry over a connection of its own.
func (l *Live) Data(_ context.Context, e *archive.Entry, part archive.Part) (copyproto.Source, error) {
	d, err := l.table(e.ID)
	if err != nil {
		return nil, err
	}
	ranges := l.ranges(d)
	if part.Number < 0 || part.Number >= len(ranges) {
		return nil, fmt.Errorf("%s has %d parts, and no part %d", d.QualifiedName(), len(ranges), part.Number)
	}
	return liveRows{l: l, d: d, where: ranges[part.Number], format: copyproto.FormatOf(e.Copy)}, nil
}

// liveRows is the rows of one table, or those of a TID range.
type liveRows struct {
	l      *Live
	d      *catalog.TableData
	where  string
	format copyproto.Format
	strict bool
}

// Strict implements copyproto.Strict.
func (r liveRows) Strict() copyproto.Source {
	r.strict = true
	return r
}

// CopyTo implements copyproto.Source. Rows that COPY cannot send are left out,
// and listed by LeftOut.
func (r liveRows) CopyTo(ctx context.Context, w io.Writer) (rows int64, err error) {
	l := r.l
	conn, err := l.pool.get(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { l.pool.put(conn) }()
	l.log.Info("dumping contents of table " + r.d.QualifiedName())
	if l.opts.Inserts != nil {
		err = l.insertRows(ctx, conn, r.d, r.where, func(statement []byte, n int64) error {
			rows += n
			_, err := w.Write(statement)
			return err
		})
		return rows, err
	}
	out := &copyproto.Counter{To: w, Format: r.format}
	for where := r.where; ; {
		before := out.Rows()
		n, err := copyproto.Query{Conn: conn.PgConn(), SQL: lockRows(r.d) + copyTo(r.d, where, r.format), Format: r.format}.CopyTo(ctx, out)
		if err == nil || !longrow.Refused(err) || out.Inside() {
			return before + n, l.dumped(conn, r.d, err)
		}
		row, lookErr := l.oversized(ctx, conn, r.d, where, out.Rows()-before, r.format)
		switch {
		case row == nil:
			return out.Rows(), l.dumped(conn, r.d, errors.Join(err, lookErr))
		case r.strict && row.Fits:
			return out.Rows(), fmt.Errorf("dump %s: %w", row, copyproto.ErrNeedsBinary)
		}
		l.leaveOut(row)
		where = row.After(where)
	}
}
