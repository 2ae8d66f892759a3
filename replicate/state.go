package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
)

// StateSchema is the schema on the target that holds what is known of follows. It
// is not that of the journal of migrations, which goes away with the migration.
const StateSchema = "pghaul_follow"

// stateFormat is the version of the table.
const stateFormat = 1

// stateTable makes the schema. Every batch of changes updates a row of the
// table: half of each page is left free for that.
const stateTable = `CREATE SCHEMA IF NOT EXISTS pghaul_follow;
COMMENT ON SCHEMA pghaul_follow IS 'state of pghaul, which follows another database; pghaul drops it at the end';
CREATE TABLE IF NOT EXISTS pghaul_follow.follow (
  id text PRIMARY KEY, format int NOT NULL, engine text NOT NULL,
  slot text NOT NULL, publication text NOT NULL, insert_publication text NOT NULL, subscription text NOT NULL,
  source_system text NOT NULL, source_database text NOT NULL,
  stage text NOT NULL, pause bool NOT NULL DEFAULT false, stop_at pg_lsn, runner text NOT NULL DEFAULT '',
  consistent_lsn pg_lsn, applied_lsn pg_lsn, commit_time timestamptz,
  transactions int8 NOT NULL DEFAULT 0, changes int8 NOT NULL DEFAULT 0,
  tables jsonb NOT NULL, via_root bool NOT NULL, detail text NOT NULL DEFAULT '', warnings jsonb NOT NULL DEFAULT '[]',
  created timestamptz NOT NULL DEFAULT pg_catalog.now(), updated timestamptz NOT NULL DEFAULT pg_catalog.now()
) WITH (fillfactor = 50);
`

// A Record is what the target knows of a follow.
type Record struct {
	ID     string `json:"id"`
	Engine Engine `json:"engine"`
	// These are the names of what was made for it, "" where nothing was.
	Slot              string `json:"slot"`
	Publication       string `json:"publication"`
	InsertPublication string `json:"insert_publication,omitempty"` // of the tables with InsertsOnly
	Subscription      string `json:"subscription,omitempty"`
	// SourceSystem is the system identifier of the source's cluster.
	SourceSystem   string `json:"source_system"`
	SourceDatabase string `json:"source_database"`
	Stage          Stage  `json:"stage"`
	// Pause says that somebody wants it to be paused.
	Pause bool `json:"pause"`
	// StopAt is where to stop: what is committed before is applied, nothing after.
	StopAt LSN `json:"stop_at"`
	// Runner tells the process that applies from those before it.
	Runner string `json:"-"`
	// Consistent is the position of the snapshot.
	Consistent LSN `json:"consistent_lsn"`
	// Applied is the position up to which everything is on the target. Only EngineApply
	// writes it; of a subscription the slot's confirmed position tells.
	Applied LSN `json:"applied_lsn"`
	// CommitTime is when the last transaction applied was committed on the source.
	CommitTime time.Time `json:"commit_time,omitzero"`
	// Transactions and Changes count what was applied.
	Transactions int64     `json:"transactions"`
	Changes      int64     `json:"changes"`
	Tables       []Table   `json:"tables"`
	ViaRoot      bool      `json:"via_root,omitempty"`
	Detail       string    `json:"detail,omitempty"` // why it failed
	Warnings     []string  `json:"warnings"`
	Created      time.Time `json:"created"`
	Updated      time.Time `json:"updated"` // when the runner last wrote
}

// Done reports whether the follow has ended.
func (r *Record) Done() bool { return r.Stage == CutOver || r.Stage == Aborted }

const stateColumns = `id, format, engine, slot, publication, insert_publication, subscription, source_system, source_database, stage, pause,
  coalesce(stop_at, '0/0')::text, runner, coalesce(consistent_lsn, '0/0')::text, coalesce(applied_lsn, '0/0')::text,
  coalesce((extract(epoch FROM commit_time) * 1000000)::int8, 0), transactions, changes, tables::text, via_root, detail, warnings::text,
  (extract(epoch FROM created) * 1000000)::int8, (extract(epoch FROM updated) * 1000000)::int8`

// readRecords returns the records of all follows into the target, oldest first,
// none where there has never been one.
func readRecords(ctx context.Context, conn *pgx.Conn) ([]*Record, error) {
	if err := checkState(ctx, conn); err != nil {
		if errors.Is(err, ErrNoFollow) {
			return nil, nil
		}
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT "+stateColumns+" FROM pghaul_follow.follow ORDER BY created, id")
	if err != nil {
		return nil, fmt.Errorf("read the state of follows: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanRecord)
	if err != nil {
		return nil, fmt.Errorf("read the state of follows: %w", err)
	}
	return list, nil
}

// readRecord returns the record of one follow, by its ID or as the only one that
// has not ended.
func readRecord(ctx context.Context, conn *pgx.Conn, id string) (*Record, error) {
	list, err := readRecords(ctx, conn)
	if err != nil {
		return nil, err
	}
	var found []*Record
	var ids []string
	for _, r := range list {
		if id == r.ID || id == "" && !r.Done() {
			found = append(found, r)
			ids = append(ids, r.ID)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("the target follows several times (%s): say which", strings.Join(ids, ", "))
	case id == "":
		return nil, ErrNoFollow
	default:
		return nil, fmt.Errorf("follow %s: %w", id, ErrNoFollow)
	}
}

var errOthersState = errors.New("the schema pghaul_follow on the target belongs to another role: connect as that role, or, if it is not pghaul's, rename it")

// checkState refuses a table that others may write to: its contents decide what is
// dropped on both ends.
func checkState(ctx context.Context, conn *pgx.Conn) error {
	var there, ours bool
	err := conn.QueryRow(ctx, `SELECT c.oid IS NOT NULL, coalesce(pg_catalog.pg_has_role(c.relowner, 'USAGE') AND pg_catalog.pg_has_role(n.nspowner, 'USAGE'), false)
FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'follow' WHERE n.nspname = 'pghaul_follow'`).Scan(&there, &ours)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || err == nil && !there:
		return ErrNoFollow
	case err != nil:
		return fmt.Errorf("look for the state of follows: %w", err)
	case !ours:
		return errOthersState
	}
	return nil
}

func scanRecord(row pgx.CollectableRow) (*Record, error) {
	var r Record
	var format int
	var commit, created, updated int64
	var tables, warnings string
	err := row.Scan(&r.ID, &format, &r.Engine, &r.Slot, &r.Publication, &r.InsertPublication, &r.Subscription, &r.SourceSystem, &r.SourceDatabase,
		&r.Stage, &r.Pause, &r.StopAt, &r.Runner, &r.Consistent, &r.Applied, &commit, &r.Transactions, &r.Changes, &tables, &r.ViaRoot,
		&r.Detail, &warnings, &created, &updated)
	if err != nil {
		return nil, err
	}
	if format != stateFormat {
		return nil, fmt.Errorf("the state of follow %s has format %d, this pghaul knows %d: use the version that made it", r.ID, format, stateFormat)
	}
	if err := json.Unmarshal([]byte(tables), &r.Tables); err != nil {
		return nil, fmt.Errorf("tables of follow %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(warnings), &r.Warnings); err != nil {
		return nil, fmt.Errorf("warnings of follow %s: %w", r.ID, err)
	}
	if commit != 0 {
		r.CommitTime = time.UnixMicro(commit)
	}
	r.Created, r.Updated = time.UnixMicro(created), time.UnixMicro(updated)
	return &r, nil
}

// insertRecord writes a new follow, and makes the table where there is none.
func insertRecord(ctx context.Context, conn *pgx.Conn, r *Record) error {
	if err := checkState(ctx, conn); errors.Is(err, ErrNoFollow) {
		if _, err := conn.PgConn().Exec(ctx, stateTable).ReadAll(); err != nil {
			return fmt.Errorf("make the schema pghaul_follow on the target: %w", err)
		}
	} else if err != nil {
		return err
	}
	tables, err := json.Marshal(r.Tables)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `INSERT INTO pghaul_follow.follow
  (id, format, engine, slot, publication, insert_publication, subscription, source_system, source_database, stage, tables, via_root)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, r.ID, stateFormat, string(r.Engine), r.Slot, r.Publication, r.InsertPublication,
		r.Subscription, r.SourceSystem, r.SourceDatabase, string(r.Stage), string(tables), r.ViaRoot)
	if pg.Code(err) == "23505" {
		return fmt.Errorf("the target has a follow %s already: choose another ID, or abort that one", r.ID)
	}
	if err != nil {
		return fmt.Errorf("write the state of the follow: %w", err)
	}
	return nil
}

// setRecord updates columns of a follow: set is the list of an UPDATE whose
// parameters begin with $2.
func setRecord(ctx context.Context, conn *pgx.Conn, id, set string, args ...any) error {
	var tag pgconn.CommandTag
	tag, err := conn.Exec(ctx, "UPDATE pghaul_follow.follow SET "+set+", updated = pg_catalog.clock_timestamp() WHERE id = $1", append([]any{id}, args...)...)
	if err != nil {
		return fmt.Errorf("write the state of follow %s: %w", id, err)
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("follow %s: %w", id, ErrNoFollow)
	}
	return nil
}

// setStage notes how far a follow is, and why if it failed.
func setStage(ctx context.Context, conn *pgx.Conn, id string, stage Stage, detail string) error {
	return setRecord(ctx, conn, id, "stage = $2, detail = $3", string(stage), detail)
}

// deleteRecord forgets a follow, and drops the schema with the last one.
func deleteRecord(ctx context.Context, conn *pgx.Conn, id string) error {
	if err := checkState(ctx, conn); errors.Is(err, ErrNoFollow) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "DELETE FROM pghaul_follow.follow WHERE id = $1", id); err != nil {
		return fmt.Errorf("delete the state of follow %s: %w", id, err)
	}
	var left bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pghaul_follow.follow)").Scan(&left); err != nil || left {
		return err
	}
	if _, err := conn.Exec(ctx, "DROP SCHEMA pghaul_follow CASCADE"); err != nil {
		return fmt.Errorf("drop the schema pghaul_follow on the target: %w", err)
	}
	return nil
}
