package dump

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/catalog"
)

// sizes asks for the sizes of all tables.
//
// It fails for a table that was truncated or rewritten after the snapshot and
// before its lock: a dump of what the snapshot shows of it would pass for whole.
func sizes(ctx context.Context, conn *pgx.Conn, list []*catalog.TableData) (map[uint32]catalog.Size, error) {
	out, err := catalog.Sizes(ctx, conn, list)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, d := range list {
		if out[d.Table.ID.OID].Rewritten {
			changed = append(changed, d.QualifiedName())
		}
	}
	if len(changed) > 0 {
		return nil, fmt.Errorf("another session has truncated or rewritten %s after the snapshot was taken, which hides the rows from it: run this again", strings.Join(changed, ", "))
	}
	return out, nil
}

// partSize is the least that is worth a part of its own, in bytes, where
// Options.PartSize does not say otherwise.
const partSize = 64 << 20

// ranges cuts a table's rows into parts. Rows that a condition selects, that
// are on another server or that become INSERT statements stay together.
func (l *Live) ranges(d *catalog.TableData) []string {
	if d.Condition != "" || d.Foreign() || l.opts.Inserts != nil {
		return []string{""}
	}
	least := l.opts.PartSize
	if least <= 0 {
		least = partSize
	}
	return catalog.TIDRanges(l.size[d.Table.ID.OID], l.opts.Jobs, least, l.db.Version)
}
