package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// fenceTable keeps on the target what the fence has changed at the source, so that
// whoever comes after a process that was killed can undo it. previous is the
// database's own default_transaction_read_only, NULL where it had none; since is
// by the source's clock.
const fenceTable = `CREATE TABLE IF NOT EXISTS pghaul_follow.fence (id text PRIMARY KEY, previous text, since timestamptz NOT NULL)`

// sessionsWait is how long sessions that were told to end are waited for.
const sessionsWait = 10 * time.Second

// A FenceError says why writes at the source cannot be kept out.
type FenceError struct{ Why []string }

// Error implements error.
func (e *FenceError) Error() string {
	return "the source cannot be fenced: " + strings.Join(e.Why, "; ")
}

// readFence returns the setting that a fence has replaced, and since when; since
// is zero where there is no fence.
func (c *control) readFence(ctx context.Context) (previous *string, since time.Time, err error) {
	var micros int64
	err = c.target.QueryRow(ctx, `SELECT previous, (extract(epoch FROM since) * 1000000)::int8 FROM pghaul_follow.fence WHERE id = $1`, c.ID).Scan(&previous, &micros)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || pg.Code(err) == "42P01":
		return nil, time.Time{}, nil
	case err != nil:
		return nil, time.Time{}, fmt.Errorf("read the fence of follow %s: %w", c.ID, err)
	}
	return previous, time.UnixMicro(micros), nil
}

// fenced says whether the source is fenced for a cut-over that has not ended.
func (c *control) fenced(ctx context.Context) (bool, error) {
	_, since, err := c.readFence(ctx)
	return !since.IsZero(), err
}

// A role's own setting is stronger than the database's.
const fenceQuery = `SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE'), d.datdba::regrole::text,
  coalesce((SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(r.rolname), ', ') FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
    WHERE s.setdatabase IN (0, d.oid) AND EXISTS (SELECT FROM pg_catalog.unnest(s.setconfig) c WHERE c LIKE 'default\_transaction\_read\_only=%'
      AND pg_catalog.lower(pg_catalog.split_part(c, '=', 2)) NOT IN ('on', 'true', 'yes', '1'))), ''),
  coalesce((SELECT pg_catalog.string_agg(gid, ', ' ORDER BY gid) FROM pg_catalog.pg_prepared_xacts WHERE database = d.datname), '')
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`

// fenceable returns a FenceError where a fence could not hold.
func (c *control) fenceable(ctx context.Context) error {
	var owner bool
	var name, roles, prepared string
	if err := c.source.QueryRow(ctx, fenceQuery).Scan(&owner, &name, &roles, &prepared); err != nil {
		return fmt.Errorf("see whether the source can be fenced: %w", err)
	}
	var why []string
	if !owner {
		why = append(why, "only the owner of its database, "+name+", may change the database's settings: GRANT "+name+" TO the role that pghaul connects as")
	}
	if roles != "" {
		why = append(why, "roles "+roles+" have default_transaction_read_only switched off for themselves, which is stronger than the database's: ALTER ROLE ... RESET default_transaction_read_only")
	}
	if prepared != "" {
		why = append(why, "prepared transactions could still be committed: COMMIT PREPARED or ROLLBACK PREPARED "+prepared)
	}
	if why != nil {
		return &FenceError{why}
	}
	return nil
}

// fence keeps writes out of the source's database: new transactions are read-only
// by default, and sessions that were there before are ended. It returns the
// sessions of superusers that it may not end. A write in a session of its own shows
// that the fence holds.
func (c *control) fence(ctx context.Context) ([]string, error) {
	if err := c.raise(ctx); err != nil {
		return nil, err
	}
	// A session that begins at this moment may have read its settings before they
	// were changed and be listed only afterwards: a second look finds it.
	var kept []string
	for range 2 {
		var err error
		if kept, err = c.endSessions(ctx, time.Time{}); err != nil {
			return nil, err
		}
		if err := pg.Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := c.probe(ctx); err != nil {
		return nil, err
	}
	return kept, c.unwritten(ctx)
}

// raise notes the fence, and then sets it.
func (c *control) raise(ctx context.Context) error {
	previous, since, err := c.readFence(ctx)
	if err != nil {
		return err
	}
	if since.IsZero() {
		if previous, since, err = c.noteFence(ctx); err != nil {
			return err
		}
	}
	c.lifting, c.raised = previous, since
	if _, err := c.source.Exec(ctx, "ALTER DATABASE "+quote.Ident(c.SourceDatabase)+" SET default_transaction_read_only = on"); err != nil {
		return fmt.Errorf("make the source read-only: %w", err)
	}
	return nil
}

// noteFence keeps what is about to be changed.
func (c *control) noteFence(ctx context.Context) (previous *string, since time.Time, err error) {
	if _, err := c.target.Exec(ctx, fenceTable); err != nil {
		return nil, since, fmt.Errorf("note the fence: %w", err)
	}
	var micros int64
	err = c.source.QueryRow(ctx, `SELECT (SELECT pg_catalog.split_part(u, '=', 2) FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) u
  WHERE s.setrole = 0 AND s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AND u LIKE 'default\_transaction\_read\_only=%'),
  (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::int8`).Scan(&previous, &micros)
	if err != nil {
		return nil, since, fmt.Errorf("read the settings of the source's database: %w", err)
	}
	_, err = c.target.Exec(ctx, `INSERT INTO pghaul_follow.fence (id, previous, since) VALUES ($1, $2, pg_catalog.to_timestamp($3::int8::float8 / 1000000))`, c.ID, previous, micros)
	if err != nil {
		return nil, since, fmt.Errorf("note the fence: %w", err)
	}
	return previous, time.UnixMicro(micros), nil
}

// unfence lets writes in at the source again, if there is a fence. Sessions that
// were begun behind it stay read-only, and are ended so that applications make
// new ones.
func (c *control) unfence(ctx context.Context) error {
	previous, since, err := c.readFence(ctx)
	if err != nil || since.IsZero() {
		return err
	}
	if err := c.lift(ctx, previous, since); err != nil {
		return err
	}
	return c.forgetFence(ctx)
}

func (c *control) forgetFence(ctx context.Context) error {
	if _, err := c.target.Exec(ctx, "DELETE FROM pghaul_follow.fence WHERE id = $1", c.ID); err != nil {
		return fmt.Errorf("forget the fence: %w", err)
	}
	return nil
}

// lift is the part of unfence at the source.
func (c *control) lift(ctx context.Context, previous *string, since time.Time) error {
	if c.lifted {
		return nil // the sessions that have begun since can write
	}
	if _, err := c.source.Exec(ctx, liftStatement(c.SourceDatabase, previous)); err != nil {
		return fmt.Errorf("let writes in at the source again: %w", err)
	}
	_, err := c.endSessions(ctx, since)
	if refused, ok := errors.AsType[*FenceError](err); ok {
		c.log.Warn("the fence is lifted, but sessions that were begun behind it stay read-only until they end", "why", refused.Why)
	} else if err != nil {
		return fmt.Errorf("end the sessions of the source that were begun behind the fence and are read-only: %w", err)
	}
	c.lifted = true
	return nil
}

// liftStatement gives a database its own setting back.
func liftStatement(database string, previous *string) string {
	if previous == nil {
		return "ALTER DATABASE " + quote.Ident(database) + " RESET default_transaction_read_only"
	}
	return "ALTER DATABASE " + quote.Ident(database) + " SET default_transaction_read_only = " + quote.Literal(*previous)
}

// A session at the source.
type session struct {
	pid   int32
	user  string
	super bool
}

// When a session began is not told to everybody.
const sessionsQuery = `SELECT a.pid, coalesce(a.usename::text, ''), coalesce(r.rolsuper, false)
FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = pg_catalog.current_database() AND a.usesysid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication s WHERE s.pid = a.pid)
  AND NOT (a.usename = current_user AND a.application_name IN ($1, 'pghaul control'))
  AND ($2::int8 = 0 OR a.backend_start IS NULL OR a.backend_start >= pg_catalog.to_timestamp($2::int8::float8 / 1000000))
ORDER BY a.pid`

func (c *control) sessions(ctx context.Context, since time.Time) ([]session, error) {
	micros := int64(0)
	if !since.IsZero() {
		micros = since.UnixMicro()
	}
	rows, err := c.source.Query(ctx, sessionsQuery, c.sourceName(), micros)
	if err != nil {
		return nil, fmt.Errorf("read the sessions of the source: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s session, err error) {
		return s, row.Scan(&s.pid, &s.user, &s.super)
	})
	if err != nil {
		return nil, fmt.Errorf("read the sessions of the source: %w", err)
	}
	return list, nil
}

// endSessions ends the sessions of the source's database that are not ours, or
// those of them that began since. It waits for them, and returns those of
// superusers that it may not end.
func (c *control) endSessions(ctx context.Context, since time.Time) (kept []string, err error) {
	list, err := c.sessions(ctx, since)
	if err != nil {
		return nil, err
	}
	var refused []string
	ending := map[int32]bool{}
	for _, s := range list {
		_, err := c.source.Exec(ctx, "SELECT pg_catalog.pg_terminate_backend($1)", s.pid)
		switch {
		case err == nil:
			ending[s.pid] = true
		case pg.Code(err) != "42501":
			return nil, fmt.Errorf("end session %d of the source: %w", s.pid, err)
		case s.super:
			kept = append(kept, fmt.Sprintf("%d of superuser %s", s.pid, s.user))
		default:
			refused = append(refused, fmt.Sprintf("%d of role %s", s.pid, s.user))
		}
	}
	if refused != nil {
		return nil, &FenceError{[]string{"sessions " + strings.Join(refused, ", ") + " may not be ended by this role: GRANT pg_signal_backend TO it, or end them"}}
	}
	deadline := time.Now().Add(sessionsWait)
	for {
		list, err := c.sessions(ctx, time.Time{})
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(s session) bool { return ending[s.pid] })
		if i < 0 {
			return kept, nil
		}
		if time.Now().After(deadline) {
			return nil, &FenceError{[]string{fmt.Sprintf("session %d of role %s was told to end and has not within %v", list[i].pid, list[i].user, sessionsWait)}}
		}
		if err := pg.Sleep(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// probe tries to write in a session such as an application opens. It must be
// refused. Where it is not, nothing was written either.
func (c *control) probe(ctx context.Context) error {
	cfg := c.opts.Source.Copy()
	delete(cfg.RuntimeParams, "default_transaction_read_only")
	cfg.RuntimeParams["application_name"] = "pghaul probe"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to the source to see whether the fence holds: %w", err)
	}
	defer pg.Close(conn)
	_, err = conn.PgConn().Exec(ctx, "BEGIN; CREATE SCHEMA pghaul_probe; ROLLBACK").ReadAll()
	switch {
	case pg.Code(err) == "25006":
		return nil
	case err == nil:
		return &FenceError{[]string{"a session that was begun behind the fence can still write"}}
	}
	return fmt.Errorf("see whether the fence holds: %w", err)
}

// connectable opens a session as the probe does.
func (c *control) connectable(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, c.opts.Source.Copy())
	if err != nil {
		return fmt.Errorf("connect to the source: %w", err)
	}
	pg.Close(conn)
	return nil
}

// unwritten refuses transactions that have written and are still open, which are
// those of sessions that may not be ended.
func (c *control) unwritten(ctx context.Context) error {
	var open string
	err := c.source.QueryRow(ctx, `SELECT coalesce(pg_catalog.string_agg(a.pid::text || ' of role ' || a.usename, ', '), '') FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND NOT (a.usename = current_user AND a.application_name IN ($1, 'pghaul control'))`, c.sourceName()).Scan(&open)
	if err != nil {
		return fmt.Errorf("look for open transactions of the source: %w", err)
	}
	if open != "" {
		return &FenceError{[]string{"sessions " + open + " are in a transaction that has written"}}
	}
	return c.fenceable(ctx)
}
