package restore

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
)

// pipeline is exchange for texts alone. done is told each text with the rows it
// affected, or the server's refusal.
func pipeline(ctx context.Context, c *pgconn.PgConn, flight int, next func() (string, bool), done func(sql string, rows int64, refused error) error) error {
	return exchange(ctx, c, flight, func() (*message, bool) {
		sql, more := next()
		return &message{sql: sql}, more
	}, func(m *message, a answer) error { return done(m.sql, a.rows, a.err) })
}

// exec runs one text and waits for it.
func exec(ctx context.Context, c *pgconn.PgConn, sql string) error {
	_, err := c.Exec(ctx, sql).ReadAll()
	return err
}
