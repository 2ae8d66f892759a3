package restore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// journalFormat is the version of the journal's tables.
const journalFormat = 1

// journalLock is the key of the advisory lock that a run holds on its target.
const journalLock = 0x70676861756c // "pghaul"

// journalTables make the journal. What was there before a phase is kept as the
// catalogs have it, OIDs included, for it is compared with the same database.
const journalTables = `CREATE SCHEMA pghaul;
COMMENT ON SCHEMA pghaul IS 'journal of a restore or migration under way; pghaul drops it at the end';
CREATE TABLE pghaul.run (id text PRIMARY KEY, format int NOT NULL, verb text NOT NULL, tool text NOT NULL, source text NOT NULL,
  application text NOT NULL, started timestamptz NOT NULL DEFAULT pg_catalog.now(), details text NOT NULL);
CREATE TABLE pghaul.step (run text NOT NULL, key text NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY, phase text NOT NULL,
  hash text NOT NULL, undo text, void int, done timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), PRIMARY KEY (run, key));
CREATE TABLE pghaul.phase (phase text PRIMARY KEY, seq int GENERATED ALWAYS AS IDENTITY, done timestamptz);
CREATE TABLE pghaul.object (phase text NOT NULL, classid oid NOT NULL, objid oid NOT NULL, objsubid int NOT NULL, objtype "char",
  owner oid, acl aclitem[], comment text);
CREATE TABLE pghaul.default_acl (phase text NOT NULL, role oid NOT NULL, schema oid NOT NULL, objtype "char" NOT NULL, acl aclitem[]);
CREATE TABLE pghaul.setting (phase text NOT NULL, database oid NOT NULL, role oid NOT NULL, config text[]);
`

// ReadJournal returns the run whose journal is in the target and the keys of the
// steps it has done, and changes nothing. The run is nil if there is none.
func ReadJournal(ctx context.Context, target *pgx.ConnConfig) (*JournalRun, map[string]bool, error) {
	j := NewJournal(target, JournalOptions{})
	defer j.Close()
	if err := j.connect(ctx); err != nil {
		return nil, nil, err
	}
	run, err := j.read(ctx)
	if err != nil || run == nil {
		return nil, nil, err
	}
	rows, err := j.conn.Query(ctx, "SELECT key FROM pghaul.step WHERE void IS NULL")
	if err != nil {
		return nil, nil, fmt.Errorf("read the journal: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, nil, fmt.Errorf("read the journal: %w", err)
	}
	keys := make(map[string]bool, len(list))
	for _, k := range list {
		keys[k] = true
	}
	return run, keys, nil
}

// Start opens the journal: it makes one, or takes up that of the run to be gone
// on with, once no session of that run is left. Calling it again does nothing.
func (j *TargetJournal) Start(ctx context.Context) error {
	if j.conn != nil {
		return nil
	}
	if err := j.start(ctx); err != nil {
		j.Close()
		return err
	}
	return nil
}

func (j *TargetJournal) start(ctx context.Context) error {
	if err := j.connect(ctx); err != nil {
		return err
	}
	if err := j.lock(ctx); err != nil {
		return err
	}
	earlier, err := j.read(ctx)
	switch {
	case err != nil:
		return err
	case earlier == nil && j.opts.Resume:
		return fmt.Errorf("cannot resume: %w", ErrNoJournal)
	case earlier == nil && j.opts.Any:
		return ErrNoJournal
	case earlier == nil:
		return j.create(ctx)
	}
	if !j.opts.Resume && !j.opts.Discard && !j.opts.Any {
		return &UnfinishedError{*earlier}
	}
	if err := j.endSessions(ctx, earlier.Application); err != nil {
		return err
	}
	if j.opts.Discard {
		if err := exec(ctx, j.conn.PgConn(), "DROP SCHEMA pghaul CASCADE"); err != nil {
			return fmt.Errorf("discard the journal of an earlier run: %w", err)
		}
		return j.create(ctx)
	}
	return j.take(ctx, earlier)
}

// lock keeps other runs away from the database. A session of a run that was
// killed is given time to end.
func (j *TargetJournal) lock(ctx context.Context) error {
	const lock = "SELECT pg_catalog.pg_try_advisory_lock($1)"
	for try := 0; ; try++ {
		var mine bool
		if err := j.conn.QueryRow(ctx, lock, int64(journalLock)).Scan(&mine); err != nil {
			return fmt.Errorf("lock the target: %w", err)
		}
		if mine {
			return nil
		}
		if try == 50 {
			break
		}
		if err := pg.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	var pid int32
	var app string
	_ = j.conn.QueryRow(ctx, `SELECT l.pid, coalesce(a.application_name, '') FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
AND l.classid::bigint << 32 | l.objid::bigint = $1`, int64(journalLock)).Scan(&pid, &app)
	return fmt.Errorf("another run of pghaul is at work on the target database: session %d, %q; wait for it, or end it with pg_terminate_backend(%d)", pid, app, pid)
}

// read returns the run whose journal is in the target, nil if there is none.
func (j *TargetJournal) read(ctx context.Context) (*JournalRun, error) {
	// What the journal says is run as SQL: it must be ours, and nobody else's to
	// write to.
	var schema, ours bool
	err := j.conn.QueryRow(ctx, `WITH me AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user),
  n AS (SELECT oid, nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'pghaul'),
  c AS (SELECT relname, relowner, relacl FROM pg_catalog.pg_class WHERE relnamespace = (SELECT oid FROM n) AND relkind = 'r')
SELECT EXISTS (SELECT FROM n),
  EXISTS (SELECT FROM c WHERE relname = 'run') AND NOT EXISTS (SELECT FROM n WHERE nspowner <> (SELECT oid FROM me))
  AND NOT EXISTS (SELECT FROM c WHERE relowner <> (SELECT oid FROM me)
    OR EXISTS (SELECT FROM pg_catalog.aclexplode(relacl) a WHERE a.grantee <> relowner AND a.privilege_type <> 'SELECT'))`).Scan(&schema, &ours)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for a journal: %w", err)
	case !schema:
		return nil, nil
	case !ours:
		return nil, fmt.Errorf("the target has a schema %q that is not a journal of this role: rename or drop it, or connect as the role that began the run", JournalSchema)
	}
	r := &JournalRun{}
	var format int
	err = j.conn.QueryRow(ctx, "SELECT id, format, verb, tool, source, application, started, details FROM pghaul.run").
		Scan(&r.ID, &format, &r.Verb, &r.Tool, &r.Source, &r.Application, &r.Started, &r.Details)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	if format != journalFormat {
		return nil, fmt.Errorf("the target has a journal of another version, made by %s: use that one", r.Tool)
	}
	return r, nil
}

// create makes a new journal.
func (j *TargetJournal) create(ctx context.Context) error {
	sql := fmt.Sprintf("BEGIN;\n%sINSERT INTO pghaul.run (id, format, verb, tool, source, application, details) VALUES ('%s', %d, %s, %s, %s, %s, %s);\nCOMMIT",
		journalTables, j.run.ID, journalFormat, literal(j.opts.Verb), literal(j.opts.Tool), literal(j.opts.Source), literal(j.app), literal(j.opts.Details))
	if err := exec(ctx, j.conn.PgConn(), sql); err != nil {
		_ = exec(ctx, j.conn.PgConn(), "ROLLBACK")
		return &JournalError{err}
	}
	j.run.Verb, j.run.Tool, j.run.Source, j.run.Application, j.run.Details = j.opts.Verb, j.opts.Tool, j.opts.Source, j.app, j.opts.Details
	j.run.Started = time.Now()
	if j.opts.Verb == "restore" {
		return j.Begin(ctx, "schema-data")
	}
	return nil
}

// take goes on with an earlier run.
func (j *TargetJournal) take(ctx context.Context, earlier *JournalRun) error {
	switch {
	case j.opts.Any:
	case earlier.Verb != j.opts.Verb:
		return fmt.Errorf("cannot resume: the journal in the target is of a %s", earlier.Verb)
	case earlier.Source != j.opts.Source:
		return fmt.Errorf("cannot resume: the run that was not finished was from another source, or by other rules; resume with those, or undo it with pghaul rollback")
	}
	if err := j.own(ctx); err != nil {
		return err
	}
	rows, err := j.conn.Query(ctx, "SELECT key, phase, hash FROM pghaul.step WHERE run = $1", earlier.ID)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	var key string
	var r recorded
	_, err = pgx.ForEachRow(rows, []any{&key, &r.phase, &r.hash}, func() error {
		j.steps[key] = r
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	j.run, j.resumed = *earlier, true
	j.run.Application = j.app
	return nil
}

// own makes the sessions of this run those of the journal. What is void has
// served: no session of the earlier run is left.
func (j *TargetJournal) own(ctx context.Context) error {
	sql := fmt.Sprintf("BEGIN; UPDATE pghaul.run SET application = %s; DELETE FROM pghaul.step WHERE void IS NOT NULL; COMMIT", literal(j.app))
	if err := exec(ctx, j.conn.PgConn(), sql); err != nil {
		return fmt.Errorf("take up the journal: %w", err)
	}
	return nil
}

// endSessions ends the sessions that a run has left behind: a CREATE INDEX goes
// on when the program that sent it is gone.
func (j *TargetJournal) endSessions(ctx context.Context, application string) error {
	const end = `SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
WHERE a.application_name = $1 AND a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()`
	var pids []string
	for range 300 {
		rows, err := j.conn.Query(ctx, end, application)
		if err != nil {
			return fmt.Errorf("end the sessions of the earlier run: %w", err)
		}
		pids = pids[:0]
		var pid int32
		var signalled bool
		if _, err := pgx.ForEachRow(rows, []any{&pid, &signalled}, func() error {
			pids = append(pids, fmt.Sprint(pid))
			return nil
		}); err != nil {
			return fmt.Errorf("end the sessions of the earlier run: %w", err)
		}
		if len(pids) == 0 {
			return nil
		}
		j.log.Info("ending sessions that the earlier run has left behind", "pids", strings.Join(pids, " "))
		if err := pg.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("sessions of the earlier run do not end: %s", strings.Join(pids, ", "))
}
