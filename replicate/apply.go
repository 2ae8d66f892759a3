package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// An applier brings the source's transactions to the target through one session,
// in their order. Several become one transaction of the target where they are
// small; the position is written in it.
type applier struct {
	f      *Follow
	conn   *pgx.Conn
	stream *stream
	target map[uint32]*targetTable
	tables map[uint32]*applyTable // those the source has described, by its OIDs
	byOID  map[uint32]*Table
	// unknown are the names of those it has described that are not followed.
	unknown map[uint32]string

	// careful commits each of the source's transactions by itself, so that those
	// before one that fails are kept, and the error is told of the right one.
	careful bool
	single  int // how many were committed so

	pipe     *pgconn.Pipeline // of the target's transaction, nil outside of one
	prepared map[string]string
	sent     []sentChange // whose results have not been read
	bytes    int          // of their values

	inside       bool // a transaction of the source
	skip         bool // it was applied before
	begun        msgBegin
	changed      bool // the target's transaction holds something
	opened       time.Time
	end          LSN // of the last transaction in it
	commit       time.Time
	transactions int64
	changes      int64

	idle     LSN // the source has nothing before this
	lastIdle time.Time
	lastLook time.Time
}

// A sentChange is what is needed of a change to tell why it was refused.
type sentChange struct {
	any    bool // any number of rows is right
	change string
	table  *applyTable
	row    tuple
}

// maxPrepared is how many statements a session keeps.
const maxPrepared = 1000

// applySettings make the target read and write values as the source's session does.
const applySettings = `SET synchronous_commit = on; SET extra_float_digits = 3; SET TimeZone = 'UTC'; SET bytea_output = hex; SET lc_monetary = 'C'; SET array_nulls = on;
SET enable_seqscan = off; SET jit = off; SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off`

// newApplier prepares a session of the target.
func newApplier(ctx context.Context, f *Follow, conn *pgx.Conn) (*applier, error) {
	settings := applySettings
	if v, err := pg.ServerVersion(conn.PgConn()); err != nil {
		return nil, err
	} else if v.AtLeast(12) {
		settings += "; SET plan_cache_mode = auto"
	}
	settings += "; SET client_encoding = " + quote.Literal(f.encoding)
	if _, err := conn.PgConn().Exec(ctx, settings).ReadAll(); err != nil {
		return nil, fmt.Errorf("set up the target's session: %w", err)
	}
	a := &applier{f: f, conn: conn, tables: map[uint32]*applyTable{}, byOID: map[uint32]*Table{}, unknown: map[uint32]string{}, prepared: map[string]string{}}
	for i := range f.Tables {
		a.byOID[f.Tables[i].OID] = &f.Tables[i]
	}
	var err error
	a.target, err = readTarget(ctx, conn, f.Tables)
	return a, err
}

// run applies what the stream receives. It returns nil when StopAt is reached.
func (a *applier) run(ctx context.Context) error {
	defer a.rollback()
	for {
		wait := lookEvery
		if a.changed && !a.inside {
			wait = 0
		}
		events, err := a.stream.queue.take(ctx, wait)
		if err != nil {
			return err
		}
		for i := range events {
			stop, err := a.handle(ctx, &events[i])
			if err != nil {
				return err
			}
			if stop {
				return a.stop(ctx)
			}
		}
		if a.inside {
			continue
		}
		if a.changed && len(events) == 0 { // nothing waits: what there is is made permanent
			if err := a.flush(ctx); err != nil {
				return err
			}
		}
		if a.changed || len(events) > 0 && time.Since(a.lastLook) < lookEvery && !a.reached(a.idle) {
			continue
		}
		if err := a.look(ctx); err != nil {
			return err
		}
		if a.reached(a.f.Applied) {
			return nil
		}
	}
}

// maxOpen is how long transactions of the source wait for others to be committed
// together on the target.
const maxOpen = 200 * time.Millisecond

// lookEvery is how often a session with nothing to do looks what is wanted of it.
const lookEvery = 500 * time.Millisecond

// idleEvery is how often the position of an idle source is written down.
const idleEvery = 5 * time.Second

// reached reports whether everything up to StopAt is on the target if everything
// up to lsn is.
func (a *applier) reached(lsn LSN) bool { return a.f.StopAt != 0 && lsn >= a.f.StopAt }

// handle applies an event. stop says that what comes now is behind StopAt.
func (a *applier) handle(ctx context.Context, e *event) (stop bool, err error) {
	switch m := e.message.(type) {
	case nil:
		if !a.inside {
			a.idle = max(a.idle, e.upTo)
		}
	case msgBegin:
		if a.inside {
			return false, &protocolError{errors.New("the source has begun a transaction inside another")}
		}
		if a.reached(m.lsn) {
			return true, nil
		}
		a.inside, a.begun = true, m
		// The position is always the end of a transaction or between two, so that one
		// that begins before it is behind it as a whole.
		a.skip = m.lsn < a.f.Applied
	case msgCommit:
		if !a.inside || m.lsn != a.begun.lsn {
			return false, &protocolError{errors.New("the source has ended a transaction that it has not begun")}
		}
		a.inside = false
		a.idle = max(a.idle, m.end)
		if a.skip || !a.changed {
			return false, nil
		}
		a.end, a.commit = m.end, m.commit
		a.transactions++
		if a.careful || a.full() || time.Since(a.opened) > maxOpen {
			return false, a.flush(ctx)
		}
	case msgRelation:
		return false, a.relation(&m)
	case msgInsert, msgUpdate, msgDelete, msgTruncate:
		if !a.inside {
			return false, &protocolError{errors.New("the source has sent a change outside of a transaction")}
		}
		if a.skip {
			return false, nil
		}
		return false, a.change(ctx, m, e.bytes)
	case msgOrigin, msgType, msgMessage: // say nothing that is needed
	}
	return false, nil
}

// relation takes up a table as it is where the log has come to.
func (a *applier) relation(m *msgRelation) error {
	t := a.byOID[m.oid]
	if t == nil {
		// It is of no account by itself: where changes of partitions come as those of
		// their root, the partitions are described as well.
		a.unknown[m.oid] = quoted(m)
		return nil
	}
	target := a.target[m.oid]
	if target == nil {
		if diffs := compare(t, m); len(diffs) > 0 {
			return &SchemaError{Table: t.String() + " on the source", Diffs: diffs, LSN: a.begun.lsn}
		}
		return &SchemaError{Table: t.Target() + " on the target", Diffs: []string{"is missing: there is no such table"}}
	}
	if diffs := t.takes(m, a.begun.lsn, target); len(diffs) > 0 {
		return &SchemaError{Table: t.String() + " on the source", Diffs: diffs, LSN: a.begun.lsn}
	}
	a.tables[m.oid] = newApplyTable(m, t, target)
	return nil
}

// change sends the statement for a change.
func (a *applier) change(ctx context.Context, m any, bytes int) error {
	var s *statement
	c := sentChange{}
	var err error
	switch m := m.(type) {
	case msgInsert:
		c.change, c.row = "insert", m.row
		if c.table, err = a.known(m.relation, m.row); err == nil {
			s, err = c.table.insert(m.row)
		}
	case msgUpdate:
		c.change, c.row = "update", m.row
		rows := []tuple{m.row}
		if m.oldKind != 0 {
			rows, c.row = append(rows, m.old), m.old
		}
		if c.table, err = a.known(m.relation, rows...); err == nil {
			s, err = c.table.update(m.old, m.row)
		}
	case msgDelete:
		c.change, c.row = "delete", m.old
		if c.table, err = a.known(m.relation, m.old); err == nil {
			s, err = c.table.delete(m.old)
		}
	case msgTruncate:
		c.change, c.any = "truncate", true
		var list []*applyTable
		for _, oid := range m.relations {
			t, err := a.known(oid)
			if err != nil {
				return definite(err)
			}
			list = append(list, t)
		}
		if len(list) == 0 {
			return nil
		}
		c.table, s = list[0], truncate(list, m.flags)
	}
	if err != nil {
		return definite(err)
	}
	a.begin(ctx)
	a.send(s, c, bytes)
	a.changes++
	if a.full() {
		return a.sync(ctx)
	}
	return nil
}

// definite makes an error of reading a change one that does not pass.
func definite(err error) error {
	if _, ok := errors.AsType[*SchemaError](err); ok {
		return err
	}
	return &protocolError{err}
}

// known returns a table that the source has described and checks that rows have its
// columns.
func (a *applier) known(oid uint32, rows ...tuple) (*applyTable, error) {
	t := a.tables[oid]
	if name := a.unknown[oid]; t == nil && name != "" {
		return nil, &SchemaError{Table: name, LSN: a.begun.lsn, Diffs: []string{"is new: it has been created, or was created anew, since the follow was started"}}
	}
	if t == nil {
		return nil, fmt.Errorf("the source has sent a change of table %d without describing it", oid)
	}
	for _, row := range rows {
		if len(row) != len(t.columns) {
			return nil, fmt.Errorf("the source has sent a row of %d columns of %s, which has %d", len(row), t.table, len(t.columns))
		}
	}
	return t, nil
}

func (a *applier) full() bool {
	return len(a.sent) >= a.f.opts.batchChanges() || a.bytes >= a.f.opts.batchBytes()
}

// begin opens the target's transaction if there is none. Constraints that can be
// are checked at its end, as they may have been on the source.
func (a *applier) begin(ctx context.Context) {
	if a.pipe != nil {
		return
	}
	a.pipe = a.conn.PgConn().StartPipeline(ctx)
	a.changed, a.opened = true, time.Now()
	for _, sql := range []string{"BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE", "SET CONSTRAINTS ALL DEFERRED"} {
		a.pipe.SendQueryParams(sql, nil, nil, nil, nil)
		a.sent = append(a.sent, sentChange{any: true, change: "begin"})
	}
}

// send queues a statement, prepared where the session keeps it.
func (a *applier) send(s *statement, c sentChange, bytes int) {
	sql := s.sql.String()
	name, ok := a.prepared[sql]
	switch {
	case !ok && len(a.prepared) < maxPrepared:
		name = fmt.Sprintf("pghaul_%d", len(a.prepared))
		a.prepared[sql] = name
		a.pipe.SendPrepare(name, sql, nil)
		a.sent = append(a.sent, c) // for the result of the preparation
		fallthrough
	case ok:
		a.pipe.SendQueryPrepared(name, s.values, nil, nil)
	default:
		a.pipe.SendQueryParams(sql, s.values, nil, nil, nil)
	}
	a.sent = append(a.sent, c)
	a.bytes += bytes
}

// sync waits for the results of what was sent and checks them.
func (a *applier) sync(ctx context.Context) error {
	if err := a.pipe.Sync(); err != nil {
		return fmt.Errorf("apply changes: %w", err)
	}
	sent := a.sent
	a.sent, a.bytes = a.sent[:0], 0
	var refused error
	for _, c := range sent {
		res, err := a.pipe.GetResults()
		if rr, ok := res.(*pgconn.ResultReader); ok && err == nil {
			tag, closeErr := rr.Close()
			if err = closeErr; err == nil && !c.any && tag.RowsAffected() != 1 {
				err = fmt.Errorf("%d rows there instead of one", tag.RowsAffected())
				if refused == nil {
					refused = a.conflict(c, err)
				}
				continue
			}
		}
		if err != nil {
			if refused == nil {
				refused = a.refused(c, err)
			}
			break // what follows in the pipeline is skipped
		}
	}
	if refused != nil {
		return refused
	}
	res, err := a.pipe.GetResults()
	if _, ok := res.(*pgconn.PipelineSync); !ok && err == nil {
		err = fmt.Errorf("%T where the end of the results is expected", res)
	}
	if err != nil {
		return fmt.Errorf("apply changes: %w", err)
	}
	return ctx.Err()
}

// refused tells a change that the target does not take from a target that is not
// there.
func (a *applier) refused(c sentChange, err error) error {
	if temporary(err) {
		return fmt.Errorf("apply changes: %w", err)
	}
	return a.conflict(c, err)
}

func (a *applier) conflict(c sentChange, err error) error {
	e := &ConflictError{Change: c.change, LSN: a.begun.lsn, Err: err}
	if c.table != nil {
		e.Table = c.table.table.Target()
	} else if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		e.Table = quote.Qualified(pe.SchemaName, pe.TableName)
	}
	if c.row != nil {
		e.Row = c.table.row(c.row)
	}
	return e
}
