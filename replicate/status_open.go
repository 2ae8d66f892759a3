package replicate

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// A control is a follow seen by who looks after it and does not run it. Its
// sessions have another name than those that run it, which are ended when the
// follow is taken over.
type control struct {
	*Follow
	source, target *pgx.Conn
	// raised is since when there is a fence of ours, by the source's clock, and
	// lifting the setting that it has replaced, nil for none.
	raised  time.Time
	lifting *string
	lifted  bool // writes are let in again, which the target may not know yet
}

// openControl finds a follow, and opens a session at each end. Where the target
// knows of none the error is ErrNoFollow.
func openControl(ctx context.Context, opts Options) (*control, error) {
	c, err := openTarget(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := c.openSource(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// openTarget is openControl without the source.
func openTarget(ctx context.Context, opts Options) (*control, error) {
	f, err := newFollow(opts)
	if err != nil {
		return nil, err
	}
	c := &control{Follow: f}
	if c.target, err = pg.Connect(ctx, opts.Target, pg.Write, pg.Options{Application: "pghaul control", Encoding: "UTF8", Direct: true}); err != nil {
		return nil, fmt.Errorf("connect to the target: %w", err)
	}
	if err := c.reread(ctx, opts.ID); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *control) openSource(ctx context.Context) (err error) {
	if c.source, err = pg.Connect(ctx, c.opts.Source, pg.Write, pg.Options{Application: "pghaul control", Encoding: "UTF8", Direct: true}); err != nil {
		return fmt.Errorf("connect to the source: %w", err)
	}
	return c.checkSource(ctx)
}

// checkSource refuses another source than that of the follow: what is of the same
// name there is not the follow's.
func (c *control) checkSource(ctx context.Context) error {
	var database string
	if err := c.source.QueryRow(ctx, "SELECT pg_catalog.current_database()::text").Scan(&database); err != nil {
		return fmt.Errorf("identify the source: %w", err)
	}
	if database != c.SourceDatabase {
		return fmt.Errorf("follow %s is of database %s, and the source given is database %s", c.ID, c.SourceDatabase, database)
	}
	var system string
	err := c.source.QueryRow(ctx, "SELECT system_identifier::text FROM pg_catalog.pg_control_system()").Scan(&system)
	switch {
	case pg.Code(err) == "42501":
		return nil // a platform may have revoked the function
	case err != nil:
		return fmt.Errorf("identify the source: %w", err)
	case system != c.SourceSystem:
		return fmt.Errorf("follow %s is of another server than the source given: its system identifier is %s, not %s", c.ID, c.SourceSystem, system)
	}
	return nil
}

// reread reads the record again.
func (c *control) reread(ctx context.Context, id string) error {
	r, err := readRecord(ctx, c.target, id)
	if err != nil {
		return err
	}
	c.Record = *r
	return nil
}

func (c *control) close() {
	for _, conn := range []*pgx.Conn{c.source, c.target} {
		if conn != nil {
			pg.Close(conn)
		}
	}
}
