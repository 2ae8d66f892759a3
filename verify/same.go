package verify

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// sameQuery tells databases apart, by whatever address they are reached: no two
// servers were started in the same microsecond.
const sameQuery = `SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_postmaster_start_time(), d.oid) FROM pg_catalog.pg_database d WHERE d.datname = current_database()`

// isSame reports whether both ends are one database, which is equal to itself.
func (c *comparison) isSame(ctx context.Context) (bool, error) {
	if c.ends[0].rec != nil {
		return false, nil
	}
	source, target, err := both(ctx, c, func(e *end, ctx context.Context) (id string, err error) {
		err = e.with(ctx, func(conn *pgx.Conn) error {
			if err := conn.QueryRow(ctx, sameQuery).Scan(&id); err != nil {
				return fmt.Errorf("%s: tell databases apart: %w", e.name, err)
			}
			return nil
		})
		return id, err
	})
	return source == target, err
}
