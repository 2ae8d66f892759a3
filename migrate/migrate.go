package migrate

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/platform"
)

var errUnfinished = errors.New("migrate is being written")

// NewPlan reads both ends and says what a migration would do. It changes
// nothing.
func NewPlan(ctx context.Context, source, target *pgx.ConnConfig, opts Options) (*platform.Plan, error) {
	return nil, errUnfinished
}

// Run moves the source's database into the target's, which exists.
//
// The error says why the run did not come to its end; what could be done is in
// the Report, which is nil only if nothing was begun. A *BlockedError says that
// the plan has something to decide first. With KeepGoing failed steps are in
// the Report, and so are rows that differ.
func Run(ctx context.Context, source, target *pgx.ConnConfig, opts Options) (*Report, error) {
	return nil, errUnfinished
}

// Rollback undoes the run whose journal is in the target: everything it made is
// dropped, and what was there before is as it was. It is for migrations and
// restores alike.
func Rollback(ctx context.Context, target *pgx.ConnConfig, opts RollbackOptions) (*RollbackReport, error) {
	return nil, errUnfinished
}

// A BlockedError is a plan in which something blocks: nothing has been done.
type BlockedError struct{ Plan *platform.Plan }

func (e *BlockedError) Error() string {
	return "the plan blocks: see what it says and decide, with a rule or by editing the plan"
}
