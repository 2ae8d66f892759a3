package replicate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// reverseOptions are those of the follow in the other direction. It applies by
// itself, for the source has seldom the right to subscribe.
func (c *control) reverseOptions() Options {
	o := c.opts
	o.Source, o.Target, o.Engine, o.Reach, o.ViaRoot = c.opts.Target, c.opts.Source, EngineApply, nil, false
	o.ID = c.ID[:min(len(c.ID), 31)] + "r"
	o.Tables = nil
	for i := range c.Tables {
		t := &c.Tables[i]
		if !t.Covered {
			o.Tables = append(o.Tables, Table{Schema: t.targetSchema(), Name: t.targetName(), TargetSchema: t.Schema, TargetName: t.Name, InsertsOnly: t.InsertsOnly})
		}
	}
	return o
}

// reversible finds what would keep the other direction from working.
func (c *cutter) reversible(ctx context.Context) error {
	o := c.reverseOptions()
	checks, err := Preflight(ctx, o.Source, o.Target, o.Tables, PreflightOptions{Engine: EngineApply})
	if err != nil {
		return fmt.Errorf("see whether the cut-over can be reversible: %w", err)
	}
	var why []string
	for _, f := range checks.Findings {
		if f.Severity == Block {
			why = append(why, f.What+": "+f.Why+" ("+f.Do+")")
		}
	}
	if why != nil {
		return fmt.Errorf("the cut-over cannot be reversible, for the target cannot be followed: %s", strings.Join(why, "; "))
	}
	var owned bool
	err = c.source.QueryRow(ctx, "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')").Scan(&owned)
	if err != nil {
		return fmt.Errorf("see whether the cut-over can be reversible: %w", err)
	}
	if !owned {
		return errors.New("the cut-over cannot be reversible: the role that pghaul connects to the source as may not make a schema there, for the state of the follow back")
	}
	return nil
}

// startReverse makes the follow in the other direction. Both ends are equal and
// nobody writes to either, so there is nothing to copy, and no change of the first
// direction comes back.
func (c *cutter) startReverse(ctx context.Context) error {
	o := c.reverseOptions()
	f, err := Start(ctx, o)
	if err != nil {
		return fmt.Errorf("begin to follow in the other direction: %w", err)
	}
	c.reverse = f
	c.report.Reverse = f.ID
	if err := quieten(ctx, c.source, f.ID, f.Tables); err != nil {
		return err
	}
	if err := f.CopyDone(ctx); err != nil {
		return fmt.Errorf("begin to follow in the other direction: %w", err)
	}
	return nil
}

// stopReverse takes back what startReverse has made, also in a process before.
func (c *cutter) stopReverse(ctx context.Context) error {
	if !c.cut.Reversible {
		return nil
	}
	if c.reverse != nil {
		c.reverse.Close()
		c.reverse = nil
	}
	c.report.Reverse = ""
	if err := Abort(ctx, c.reverseOptions()); err != nil && !errors.Is(err, ErrNoFollow) {
		return fmt.Errorf("take the follow in the other direction back: %w", err)
	}
	return nil
}

// quietTable keeps, at the end where it was done, how to undo what quieten did.
const quietTable = `CREATE TABLE IF NOT EXISTS pghaul_follow.quiet (id text NOT NULL, seq int NOT NULL, redo text NOT NULL, PRIMARY KEY (id, seq))`

// quietQuery writes for each object that acts by itself the statement that stops
// it, and the one that brings it back. What partitions have by their parents comes
// with those.
const quietQuery = `WITH tables AS (SELECT pg_catalog.to_regclass(t.name) AS rel FROM pg_catalog.unnest($1::text[]) AS t(name)), acting AS (
SELECT 1 AS rank, pg_catalog.format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname) AS stop,
  pg_catalog.format('ALTER TABLE %s ENABLE %sTRIGGER %I', t.tgrelid::regclass, CASE t.tgenabled WHEN 'A' THEN 'ALWAYS ' ELSE '' END, t.tgname) AS redo
FROM pg_catalog.pg_trigger t JOIN tables ON rel = t.tgrelid WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
UNION ALL
SELECT 2, pg_catalog.format('ALTER TABLE %s DISABLE RULE %I', r.ev_class::regclass, r.rulename),
  pg_catalog.format('ALTER TABLE %s ENABLE %sRULE %I', r.ev_class::regclass, CASE r.ev_enabled WHEN 'A' THEN 'ALWAYS ' ELSE '' END, r.rulename)
FROM pg_catalog.pg_rewrite r JOIN tables ON rel = r.ev_class WHERE r.ev_type <> '1' AND r.ev_enabled IN ('O', 'A')
UNION ALL
SELECT 3, pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname),
  pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname, pg_catalog.pg_get_constraintdef(k.oid))
FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid IN (SELECT rel FROM tables)
  AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('c', 'n', 'd')))
SELECT stop, redo FROM acting ORDER BY rank, stop`

// quieten stops what would act by itself when changes are applied: triggers and
// rules are disabled, and foreign keys that act (ON DELETE CASCADE and such) are
// dropped. All of that is undone by unquieten. It is done to a database that
// nobody writes to.
func quieten(ctx context.Context, conn *pgx.Conn, id string, tables []Table) error {
	names := make([]string, len(tables))
	for i := range tables {
		names[i] = tables[i].Target()
	}
	rows, err := conn.Query(ctx, quietQuery, names)
	if err != nil {
		return fmt.Errorf("look for triggers: %w", err)
	}
	var stops, redos []string
	var stop, redo string
	_, err = pgx.ForEachRow(rows, []any{&stop, &redo}, func() error {
		stops, redos = append(stops, stop), append(redos, redo)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for triggers: %w", err)
	}
	if len(stops) == 0 {
		return nil
	}
	sql := []string{"BEGIN", quietTable}
	for i := range stops {
		sql = append(sql, fmt.Sprintf("INSERT INTO pghaul_follow.quiet SELECT %s, coalesce(max(seq), 0) + 1, %s FROM pghaul_follow.quiet WHERE id = %[1]s", quote.Literal(id), quote.Literal(redos[i])), stops[i])
	}
	return transaction(ctx, conn, append(sql, "COMMIT"))
}

// unquieten undoes quieten, and does nothing where there is nothing to undo.
func unquieten(ctx context.Context, conn *pgx.Conn, id string) error {
	rows, err := conn.Query(ctx, "SELECT redo FROM pghaul_follow.quiet WHERE id = $1 ORDER BY seq DESC", id)
	var redos []string
	if err == nil {
		redos, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	switch {
	case pg.Code(err) == "42P01" || pg.Code(err) == "3F000" || err == nil && len(redos) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("read which triggers were disabled: %w", err)
	}
	sql := append([]string{"BEGIN"}, redos...)
	return transaction(ctx, conn, append(sql, "DELETE FROM pghaul_follow.quiet WHERE id = "+quote.Literal(id), "COMMIT"))
}

// transaction runs statements from BEGIN to COMMIT, and rolls back at an error.
func transaction(ctx context.Context, conn *pgx.Conn, statements []string) error {
	for _, sql := range statements {
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			_, rollback := conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
			return fmt.Errorf("%s: %w", sql, errors.Join(err, rollback))
		}
	}
	return nil
}

// Cutback goes back to the source after a Cutover that was Reversible: it is a
// cut-over of the follow in the other direction, after which writes are let in at
// the source again, and the target is fenced. Triggers, rules and foreign keys of
// the source that were out of action meanwhile are brought back before. opts are
// those of Cutover: Source is the old one. The follow in the other direction has
// to be run until then, for which ReverseOptions are.
//
// The failure of a cutback leaves the target in charge, as that of a Cutover the
// source.
func Cutback(ctx context.Context, opts Options, cut CutoverOptions) (*CutoverReport, error) {
	forward, err := openHandedOver(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer forward.close()
	back := forward.reverseOptions()
	cut.Reversible = false
	return cutover(ctx, back, cut, forward)
}

// ReverseOptions are the options to Attach to the follow in the other direction
// that a Reversible cut-over has made. opts are those of Cutover.
func ReverseOptions(ctx context.Context, opts Options) (Options, error) {
	forward, err := openHandedOver(ctx, opts)
	if err != nil {
		return Options{}, err
	}
	defer forward.close()
	return forward.reverseOptions(), nil
}

// openHandedOver finds a follow that was cut over.
func openHandedOver(ctx context.Context, opts Options) (*control, error) {
	if opts.ID == "" {
		id, err := handedOver(ctx, opts)
		if err != nil {
			return nil, err
		}
		opts.ID = id
	}
	forward, err := openControl(ctx, opts)
	if err != nil {
		return nil, err
	}
	if forward.Stage != CutOver {
		forward.close()
		return nil, fmt.Errorf("follow %s was not cut over (stage %q): there is nothing to go back from", forward.ID, forward.Stage)
	}
	return forward, nil
}

// handedOver is the ID of the newest follow that was cut over.
func handedOver(ctx context.Context, opts Options) (string, error) {
	conn, err := pg.Connect(ctx, opts.Target, pg.Write, pg.Options{Application: "pghaul control", Encoding: "UTF8", Direct: true})
	if err != nil {
		return "", fmt.Errorf("connect to the target: %w", err)
	}
	defer pg.Close(conn)
	list, err := readRecords(ctx, conn)
	if err != nil {
		return "", err
	}
	id := ""
	for _, r := range list {
		if r.Stage == CutOver {
			id = r.ID
		}
	}
	if id == "" {
		return "", fmt.Errorf("none was cut over: %w", ErrNoFollow)
	}
	return id, nil
}
