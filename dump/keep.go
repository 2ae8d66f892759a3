package dump

import (
	"context"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
)

// KeepAlive keeps the snapshot of a Live from being taken for idle until ctx
// ends, and returns the error by which it was lost; nil if it was not. Call it
// beside whatever reads, and before Close.
func (l *Live) KeepAlive(ctx context.Context) error {
	if err := l.snapshot.Heartbeat(ctx, heartbeat); err != nil {
		return err
	}
	// Once more at the end: without the locks a table could have changed between
	// the reading of its definition and of its rows.
	alive, done := pg.Outlive(ctx)
	defer done()
	return l.snapshot.Alive(alive)
}

// Columns are those of the rows of a TABLE DATA entry, in their order.
func (l *Live) Columns(e *archive.Entry) ([]string, error) {
	d, err := l.table(e.ID)
	if err != nil {
		return nil, err
	}
	return d.Columns, nil
}
