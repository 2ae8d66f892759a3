package replicate

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// laterTable holds on the target the statements that take back what Quiet has done,
// to be run from the highest number down.
const laterTable = `CREATE TABLE IF NOT EXISTS pghaul_follow.later (id text NOT NULL, n int NOT NULL, sql text NOT NULL, PRIMARY KEY (id, n))`

// A change is a statement and what takes it back.
type change struct {
	do   string
	undo []string // in the order in which they are to be run
}

// Quiet makes the target's tables ready to have changes applied to them, and notes how to take
// that back, which Wake and Abort do. The user becomes a member of the
// tables' owners. For EngineApply triggers and rules are disabled, and foreign keys
// dropped: what they did on the source comes as changes by itself, and within one
// statement of the source rows may come in an order that they would refuse. For
// EngineNative the server sees to that.
//
// All of it is done or nothing. To call it again is no error, and finds what was
// made since.
func (f *Follow) Quiet(ctx context.Context) error {
	conn, err := f.target(ctx)
	if err != nil {
		return err
	}
	defer pg.Close(conn)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("make the target's tables ready: %w", err)
	}
	err = f.quiet(ctx, tx)
	if err == nil {
		err = tx.Commit(ctx)
	} else if rollback := tx.Rollback(ctx); rollback != nil && !conn.IsClosed() {
		err = errors.Join(err, rollback)
	}
	if err != nil {
		return fmt.Errorf("make the target's tables ready to have changes applied: %w", err)
	}
	return nil
}

func (f *Follow) quiet(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, laterTable); err != nil {
		return err
	}
	schemas, names := make([]string, len(f.Tables)), make([]string, len(f.Tables))
	for i := range f.Tables {
		schemas[i], names[i] = f.Tables[i].targetSchema(), f.Tables[i].targetName()
	}
	queries := []string{ownersQuery}
	if f.Engine == EngineApply {
		queries = append(queries, triggersQuery, keysQuery)
	}
	for _, query := range queries {
		rows, err := tx.Query(ctx, query, array(schemas), array(names))
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c change, err error) {
			return c, row.Scan(&c.do, &c.undo)
		})
		if err != nil {
			return err
		}
		for _, c := range list {
			if err := f.apply(ctx, tx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply makes a change, and notes what takes it back.
func (f *Follow) apply(ctx context.Context, tx pgx.Tx, c change) error {
	f.log.Info("follow: " + c.do)
	if _, err := tx.Exec(ctx, c.do); err != nil {
		return fmt.Errorf("%s: %w", c.do, err)
	}
	for i := len(c.undo) - 1; i >= 0; i-- {
		_, err := tx.Exec(ctx, "INSERT INTO pghaul_follow.later (id, n, sql) SELECT $1, coalesce(max(n), 0) + 1, $2 FROM pghaul_follow.later", f.ID, c.undo[i])
		if err != nil {
			return err
		}
	}
	return nil
}

// quietTables are the target's tables among those named in $1 and $2, with their
// partitions, to which triggers and keys are passed on.
const quietTables = `WITH RECURSIVE tables AS (
  SELECT c.oid, c.relowner FROM ROWS FROM (pg_catalog.unnest($1::text::text[]), pg_catalog.unnest($2::text::text[])) AS w(schema, name)
    JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')
  UNION
  SELECT c.oid, c.relowner FROM tables JOIN pg_catalog.pg_inherits i ON i.inhparent = tables.oid JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
)
`

// ownersQuery finds the owners whose rights the user lacks.
const ownersQuery = quietTables + `SELECT 'GRANT ' || pg_catalog.quote_ident(r.rolname) || ' TO ' || pg_catalog.quote_ident(current_user),
  ARRAY['REVOKE ' || pg_catalog.quote_ident(r.rolname) || ' FROM ' || pg_catalog.quote_ident(current_user)]
FROM pg_catalog.pg_roles r WHERE r.oid IN (SELECT relowner FROM tables) AND NOT pg_catalog.pg_has_role(r.oid, 'USAGE') ORDER BY 1`

// triggersQuery finds triggers and rules that fire. The order makes partitions
// follow what they are partitions of, whose triggers may be disabled with theirs.
const triggersQuery = quietTables + `SELECT 'ALTER TABLE ONLY ' || c.name || ' DISABLE ' || a.what, ARRAY['ALTER TABLE ONLY ' || c.name || ' ENABLE ' || CASE a.enabled WHEN 'A' THEN 'ALWAYS ' ELSE '' END || a.what]
FROM tables
  CROSS JOIN LATERAL (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(k.relname) FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace n ON n.oid = k.relnamespace WHERE k.oid = tables.oid) c(name)
  CROSS JOIN LATERAL (
    SELECT 'TRIGGER ' || pg_catalog.quote_ident(t.tgname), t.tgenabled::text, t.oid FROM pg_catalog.pg_trigger t WHERE t.tgrelid = tables.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
    UNION ALL
    SELECT 'RULE ' || pg_catalog.quote_ident(r.rulename), r.ev_enabled::text, r.oid FROM pg_catalog.pg_rewrite r WHERE r.ev_class = tables.oid AND r.ev_type <> '1' AND r.ev_enabled IN ('O', 'A')
  ) a(what, enabled, oid)
ORDER BY a.oid`

// keysQuery finds foreign keys of and to the tables. They come back without a look
// at the rows, which is taken afterwards and keeps nobody out; the key of a
// partitioned table cannot come back so.
const keysQuery = quietTables + `SELECT 'ALTER TABLE ' || c.name || ' DROP CONSTRAINT ' || pg_catalog.quote_ident(k.conname),
  pg_catalog.array_remove(ARRAY[
    'ALTER TABLE ' || c.name || ' ADD CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' ' || pg_catalog.pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated AND c.relkind = 'r' THEN ' NOT VALID' ELSE '' END,
    'COMMENT ON CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' ON ' || c.name || ' IS ' || pg_catalog.quote_literal(pg_catalog.obj_description(k.oid, 'pg_constraint')),
    CASE WHEN k.convalidated AND c.relkind = 'r' THEN 'ALTER TABLE ' || c.name || ' VALIDATE CONSTRAINT ' || pg_catalog.quote_ident(k.conname) END], NULL)
FROM pg_catalog.pg_constraint k
  CROSS JOIN LATERAL (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(r.relname), r.relkind FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = k.conrelid) c(name, relkind)
WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid IN (SELECT oid FROM tables) OR k.confrelid IN (SELECT oid FROM tables))
ORDER BY k.oid`

// A WakeError is a statement that Quiet has left to be run and that the target
// refuses. It stays noted, and Wake tries it again.
type WakeError struct {
	SQL string
	Err error
}

// Error implements error.
func (e *WakeError) Error() string {
	return "the target refuses what was put off while it followed: " + e.SQL + ": " + e.Err.Error()
}

// Unwrap returns the server's error.
func (e *WakeError) Unwrap() error { return e.Err }

// Wake takes back what Quiet has done to the target's tables, when nothing is
// applied to them any more. To call it twice is no error.
func Wake(ctx context.Context, opts Options) error {
	c, err := openTarget(ctx, opts)
	if err != nil {
		return err
	}
	defer c.close()
	return wake(ctx, c.target, c.ID, false)
}

// wake is Wake. With quick it leaves for later what nobody has to wait for: to look
// through the rows for foreign keys, and to take rights back, which that needs.
func wake(ctx context.Context, conn *pgx.Conn, id string, quick bool) error {
	rows, err := conn.Query(ctx, `SELECT n, sql FROM pghaul_follow.later
WHERE id = $1 AND NOT ($2 AND (sql LIKE 'REVOKE %' OR sql LIKE 'ALTER TABLE % VALIDATE CONSTRAINT %')) ORDER BY n DESC`, id, quick)
	type statement struct {
		n   int
		sql string
	}
	var list []statement
	if err == nil {
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s statement, err error) { return s, row.Scan(&s.n, &s.sql) })
	}
	if pg.Code(err) == "42P01" {
		return nil // nothing was ever put off
	}
	if err != nil {
		return fmt.Errorf("read what was put off while the target followed: %w", err)
	}
	for _, s := range list {
		sql := fmt.Sprintf("BEGIN; %s; DELETE FROM pghaul_follow.later WHERE id = %s AND n = %d; COMMIT", s.sql, quote.Literal(id), s.n)
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			_, rollback := conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
			if pg.Code(err) == "" {
				return fmt.Errorf("run what was put off while the target followed: %w", errors.Join(err, rollback))
			}
			return &WakeError{s.sql, err}
		}
	}
	return nil
}
