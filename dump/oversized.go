package dump

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/longrow"
)

// oversized finds the row by which a COPY in a format was ended that had sent so
// many rows of where; nil if no row is to blame.
func (l *Live) oversized(ctx context.Context, conn *pgx.Conn, d *catalog.TableData, where string, sent int64, f copyproto.Format) (*longrow.Row, error) {
	return longrow.Find(ctx, conn, d, where, sent, f, func(where string, f copyproto.Format) string { return copyTo(d, where, f) })
}

// leaveOut notes that a row is not in the archive.
func (l *Live) leaveOut(r *longrow.Row) {
	l.log.Warn("row left out: "+r.Reason, "row", r.String())
	l.opts.Progress.Skip("data", "ROW "+r.String(), r.Reason)
	l.mu.Lock()
	defer l.mu.Unlock()
	skipped := archive.Skipped{Kind: "ROW", Name: r.String(), Reason: r.Reason}
	if !slices.Contains(l.leftOut, skipped) { // a part may be read again
		l.leftOut = append(l.leftOut, skipped)
	}
}
