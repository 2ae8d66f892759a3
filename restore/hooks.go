package restore

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
)

// A Journal keeps, in the target itself, which steps are done, so that a run
// that was ended can be gone on with or be undone. Run calls Open first and the
// other methods from several goroutines at once.
//
// Without a journal, Run works as pg_restore does. With one, every step and the
// note that it is done are committed together.
type Journal interface {
	// Open is called once, on the first connection to the database that is
	// restored into, before the first step. What it returns ends the run.
	Open(ctx context.Context, conn *pgconn.PgConn, plan *Plan) error
	// Done reports whether an earlier run of the same plan has committed a step.
	// The executor leaves it out and takes a table it made as made by this run.
	Done(step *Step) bool
	// Record returns SQL that notes steps as done. It is sent in the steps' own
	// transaction, just before COMMIT, without a round trip of its own: one call a
	// transaction. For a step that cannot be in a transaction block it is sent
	// right after the step. It must be safe to run again, after a rollback.
	Record(steps []*Step) string
	// Committed asks the target which of steps were committed. It is called after
	// a connection was lost during COMMIT, on another one, outside a transaction.
	// It must not answer while the lost session can still commit.
	Committed(ctx context.Context, conn *pgconn.PgConn, steps []*Step) ([]*Step, error)
}

// defaultApplication is the application_name of sessions where
// Options.Application does not say otherwise.
const defaultApplication = "pghaul restore"

func (o Options) application() string {
	if o.Application == "" {
		return defaultApplication
	}
	return o.Application
}
