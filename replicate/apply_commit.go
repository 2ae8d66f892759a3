package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// flush makes permanent what the target's transaction holds, with the position.
// It must not be called inside a transaction of the source.
func (a *applier) flush(ctx context.Context) error {
	if a.pipe == nil {
		return nil
	}
	const progress = `UPDATE pghaul_follow.follow SET applied_lsn = $1::pg_lsn, commit_time = pg_catalog.to_timestamp($2::int8 / 1000000) + ($2::int8 % 1000000) * interval '1 microsecond',
  transactions = transactions + $3::int8, changes = changes + $4::int8, updated = pg_catalog.clock_timestamp()
WHERE id = $5 AND runner = $6 AND applied_lsn = $7::pg_lsn RETURNING stage, pause, coalesce(stop_at, '0/0')::text`
	text := func(v any) []byte { return []byte(fmt.Sprint(v)) }
	// Whatever is deferred is checked here, where its error is not one of COMMIT.
	a.pipe.SendQueryParams("SET CONSTRAINTS ALL IMMEDIATE", nil, nil, nil, nil)
	a.sent = append(a.sent, sentChange{any: true, change: "check"})
	if err := a.sync(ctx); err != nil {
		return err
	}
	a.pipe.SendQueryParams(progress, [][]byte{
		text(a.end), text(a.commit.UnixMicro()), text(a.transactions), text(a.changes), text(a.f.ID), text(a.f.Runner), text(a.f.Applied),
	}, nil, nil, nil)
	if err := a.pipe.Sync(); err != nil {
		return fmt.Errorf("write the position: %w", err)
	}
	row, err := pipelineRow(a.pipe)
	if err != nil {
		return fmt.Errorf("write the position: %w", err)
	}
	if row == nil {
		return errMoved
	}
	a.pipe.SendQueryParams("COMMIT", nil, nil, nil, nil)
	if err := a.pipe.Sync(); err != nil {
		return fmt.Errorf("commit on the target: %w", err)
	}
	if _, err := pipelineRow(a.pipe); err != nil {
		return fmt.Errorf("commit on the target: %w", err)
	}
	if err := a.pipe.Close(); err != nil {
		return fmt.Errorf("commit on the target: %w", err)
	}
	a.pipe = nil
	a.advance(a.end)
	a.f.CommitTime = a.commit
	a.f.Transactions += a.transactions
	a.f.Changes += a.changes
	a.changed, a.transactions, a.changes = false, 0, 0
	if a.careful {
		a.single++
		a.careful = a.single < a.f.opts.batchChanges() // the batch that failed has passed
	}
	return a.wanted(row)
}

// advance notes what is on the target for good.
func (a *applier) advance(lsn LSN) {
	a.f.Applied = lsn
	a.stream.applied.Store(uint64(lsn))
}

// errMoved says that the record is not as this process has left it.
var errMoved = errors.New("another session has written the position of the follow")

// pipelineRow reads the results of one statement and the end of the pipeline, and
// returns its row, nil if there was none.
func pipelineRow(p *pgconn.Pipeline) ([][]byte, error) {
	res, err := p.GetResults()
	if err != nil {
		return nil, err
	}
	rr, ok := res.(*pgconn.ResultReader)
	if !ok {
		return nil, fmt.Errorf("%T where a result is expected", res)
	}
	r := rr.Read()
	if r.Err != nil {
		return nil, r.Err
	}
	if res, err = p.GetResults(); err != nil {
		return nil, err
	}
	if _, ok := res.(*pgconn.PipelineSync); !ok {
		return nil, fmt.Errorf("%T where the end of the results is expected", res)
	}
	if r.CommandTag.String() == "ROLLBACK" {
		return nil, errors.New("the target has rolled back")
	}
	if len(r.Rows) == 0 {
		return nil, nil
	}
	return slices.Clone(r.Rows[0]), nil
}

// rollback gives up the target's transaction with its session, where it is open.
func (a *applier) rollback() {
	if a.pipe != nil {
		_ = a.conn.PgConn().Conn().Close() // the results that are left are nobody's
		_ = a.pipe.Close()
		a.pipe = nil
	}
}

// wanted obeys what others have written into the record.
func (a *applier) wanted(row [][]byte) error {
	stop, err := ParseLSN(string(row[2]))
	if err != nil {
		return err
	}
	a.f.StopAt = stop
	a.stream.eager.Store(stop != 0)
	switch stage := Stage(row[0]); {
	case stage == CutOver || stage == Aborted:
		return ErrEnded
	case string(row[1]) == "t":
		return ErrPaused
	}
	return nil
}

// look reads what is wanted, and writes the position of a source that has nothing
// to send.
func (a *applier) look(ctx context.Context) error {
	a.lastLook = time.Now()
	sql := "SELECT stage, pause, coalesce(stop_at, '0/0')::text FROM pghaul_follow.follow WHERE id = $1 AND runner = $2 AND applied_lsn = $3::text::pg_lsn"
	args := []any{a.f.ID, a.f.Runner, a.f.Applied.String()}
	lsn := a.idle
	if a.f.StopAt != 0 {
		lsn = min(lsn, a.f.StopAt)
	}
	write := lsn > a.f.Applied && (a.f.StopAt != 0 || time.Since(a.lastIdle) >= idleEvery)
	if write {
		a.lastIdle = time.Now()
		sql = `UPDATE pghaul_follow.follow SET applied_lsn = $4::text::pg_lsn, updated = pg_catalog.clock_timestamp()
WHERE id = $1 AND runner = $2 AND applied_lsn = $3::text::pg_lsn RETURNING stage, pause, coalesce(stop_at, '0/0')::text`
		args = append(args, lsn.String())
	}
	var stage, stop string
	var pause bool
	err := a.conn.QueryRow(ctx, sql, args...).Scan(&stage, &pause, &stop)
	if errors.Is(err, pgx.ErrNoRows) {
		return errMoved
	}
	if err != nil {
		return fmt.Errorf("read the state of the follow: %w", err)
	}
	if write {
		a.advance(lsn)
	}
	row := [][]byte{[]byte(stage), []byte("f"), []byte(stop)}
	if pause {
		row[1] = []byte("t")
	}
	return a.wanted(row)
}

// stop ends the run where StopAt says.
func (a *applier) stop(ctx context.Context) error {
	if err := a.flush(ctx); err != nil {
		return err
	}
	a.idle = max(a.idle, a.f.StopAt)
	return a.look(ctx)
}
