package replicate

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// An AbortError says what of a follow is left, because an end could not be reached
// or has refused. Abort goes on with it when it is called again.
type AbortError struct {
	Left []string
	Err  error
}

// Error implements error.
func (e *AbortError) Error() string {
	text := "not everything could be taken away:"
	for i, l := range e.Left {
		if i > 0 {
			text += ","
		}
		text += " " + l
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *AbortError) Unwrap() error { return e.Err }

// Abort ends a follow, at whatever stage, and takes away what was made for it: the
// subscription, the slot, the publications and the subscription's role, a fence of
// an unfinished cut-over, what Quiet has done, and last the record. Rows that were copied stay. What is
// gone already is no error, so that it can be called again; ErrNoFollow says that
// the target knows of no such follow.
//
// Where the source cannot be reached all is done at the target that can be, so
// that nothing changes there any more, and an *AbortError names what is left. With
// the target out of reach see AbortSource.
//
// A follow that was cut over is forgotten only: its fence is the hand-over's.
func Abort(ctx context.Context, opts Options) error {
	c, err := openTarget(ctx, opts)
	if err != nil {
		return err
	}
	defer c.close()
	if c.Stage != CutOver { // first, so that nobody makes the subscription again
		if err := setStage(ctx, c.target, c.ID, Aborted, ""); err != nil {
			return err
		}
	}
	if err := dropSubscription(ctx, c.target, c.Subscription); err != nil {
		return err
	}
	if err := c.endRunners(ctx); err != nil {
		return err
	}
	left := c.sourceObjects()
	if err := c.openSource(ctx); err != nil {
		return &AbortError{left, err}
	}
	if c.Stage != CutOver {
		if err := c.takeBack(ctx); err != nil {
			return &AbortError{append(left, "the fence"), err}
		}
	}
	if err := errors.Join(dropSource(ctx, c.source, &c.Record), dropRole(ctx, c.source, &c.Record)); err != nil {
		return &AbortError{left, err}
	}
	if err := wake(ctx, c.target, c.ID, false); err != nil {
		return &AbortError{[]string{"what was put off at the target"}, err}
	}
	return deleteRecord(ctx, c.target, c.ID)
}

// sourceObjects names what a follow has on its source.
func (c *control) sourceObjects() []string {
	list := []string{"replication slot " + c.Slot, "publication " + c.Publication}
	if c.InsertPublication != "" {
		list = append(list, "publication "+c.InsertPublication)
	}
	if c.Engine == EngineNative {
		list = append(list, "role "+subscriptionRole(&c.Record))
	}
	return list
}

// endRunners ends the sessions of processes that run the follow.
func (c *control) endRunners(ctx context.Context) error {
	_, err := c.target.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE application_name = $1 AND usename = current_user AND datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()`, c.targetName())
	if err != nil {
		return fmt.Errorf("end the sessions that run follow %s: %w", c.ID, err)
	}
	return nil
}

// AbortSource takes away what a follow has on its source, for when the target is
// gone for good: a slot that nobody reads makes the source keep its WAL until the
// disk is full. id must be given.
func AbortSource(ctx context.Context, source *pgx.ConnConfig, id string) error {
	if !idPattern.MatchString(id) {
		return fmt.Errorf("the ID %q of a follow: up to 32 lower case letters and digits", id)
	}
	conn, err := pg.Connect(ctx, source, pg.Write, pg.Options{Application: "pghaul control", Encoding: "UTF8", Direct: true})
	if err != nil {
		return fmt.Errorf("connect to the source: %w", err)
	}
	defer pg.Close(conn)
	name := "pghaul_" + id
	r := &Record{ID: id, Engine: EngineNative, Slot: name, Publication: name, InsertPublication: name + "_inserts"}
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_database()::text").Scan(&r.SourceDatabase); err != nil {
		return fmt.Errorf("identify the source: %w", err)
	}
	return errors.Join(dropSource(ctx, conn, r), dropRole(ctx, conn, r))
}
