package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/internal/pg"
)

// An index is what a server says of an index.
type index struct {
	table        key
	definition   string
	valid, ready bool
}

const indexQuery = `SELECT n.nspname::text, c.relname::text, tn.nspname::text, t.relname::text, pg_catalog.pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE ` + ofUser + ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.objid = t.oid AND x.deptype = 'e' AND x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)`

func (e *end) indexes(ctx context.Context) (map[key]index, error) {
	out := map[key]index{}
	return out, e.query(ctx, "indexes", indexQuery, func(rows pgx.Rows) error {
		var k key
		var x index
		if err := rows.Scan(&k.schema, &k.name, &x.table.schema, &x.table.name, &x.definition, &x.valid, &x.ready); err != nil {
			return err
		}
		out[k] = x
		return nil
	})
}

// query runs a query of the catalog under the snapshot. scan may see rows again
// from the first, if the connection is lost.
func (e *end) query(ctx context.Context, what, sql string, scan func(pgx.Rows) error) error {
	return e.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, sql)
		if err == nil {
			defer rows.Close()
			for err == nil && rows.Next() {
				err = scan(rows)
			}
		}
		if err == nil {
			err = rows.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: read %s: %w", e.name, what, err)
		}
		return nil
	})
}

// both reads the same of both ends at once.
func both[T any](ctx context.Context, c *comparison, read func(*end, context.Context) (T, error)) (source, target T, err error) {
	var out [2]T
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range c.ends {
		g.Go(func() (err error) {
			out[i], err = read(e, ctx)
			return err
		})
	}
	err = g.Wait()
	return out[0], out[1], err
}

// indexes compares indexes, and whether servers can use them.
func (c *comparison) indexes(ctx context.Context) (int, error) {
	source, target, err := both(ctx, c, (*end).indexes)
	if err != nil {
		return 0, err
	}
	normal := &normalizer{versions: [2]pg.Version{c.ends[0].version, c.ends[1].version}, schemas: map[string]bool{}}
	mapped := map[key]index{}
	for k, x := range source {
		to := key{c.mapping.schema(k.schema), k.name}
		mapped[to] = x
		normal.schemas[k.schema], normal.schemas[to.schema] = true, true
	}
	all := maps.Clone(mapped)
	if !c.opts.IgnoreExtra {
		maps.Copy(all, target)
	}
	for _, k := range sortedKeys(all) {
		s, inSource := mapped[k]
		t, inTarget := target[k]
		d := Difference{Level: LevelIndexes, Kind: "INDEX", Schema: k.schema, Name: k.name, Status: status(inSource, inTarget)}
		if inSource {
			d.Source = s.String()
		}
		if inTarget {
			d.Target = t.String()
		}
		switch {
		case inSource && inTarget && t.valid && t.ready && (c.mapping.schema(s.table.schema) != s.table.schema || normal.same(s.definition, t.definition)):
			continue
		case inSource && !inTarget && !s.valid:
			d.Expected = "the source cannot use the index either: a dump leaves it out"
		case inSource && !inTarget:
			d.Expected = c.mapping.skipped("INDEX", k.schema, k.name)
		case !inSource:
			d.Expected = c.mapping.own("INDEX", k.schema, k.name)
		}
		c.differ(d)
	}
	return len(all), nil
}

func (x index) String() string {
	s := x.definition
	if !x.valid {
		s += "\nnot valid: it is kept up to date, but no query uses it"
	}
	if !x.ready {
		s += "\nnot ready: it is not kept up to date"
	}
	return s
}

func sortedKeys[T any](m map[key]T) []key {
	return slices.SortedFunc(maps.Keys(m), compareKeys)
}

// statisticsQuery tells which tables the planner has numbers of.
const statisticsQuery = `SELECT n.nspname::text, c.relname::text,
  EXISTS (SELECT FROM pg_catalog.pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname),
  pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND ` + ofUser

// planned is what the planner knows of a table.
type planned struct{ columns, visible bool }

func (e *end) planned(ctx context.Context) (map[key]planned, error) {
	out := map[key]planned{}
	return out, e.query(ctx, "statistics", statisticsQuery, func(rows pgx.Rows) error {
		var k key
		var p planned
		if err := rows.Scan(&k.schema, &k.name, &p.columns, &p.visible); err != nil {
			return err
		}
		out[k] = p
		return nil
	})
}

// statistics looks whether the target's planner knows what the source's knows.
func (c *comparison) statistics(ctx context.Context) (compared int, err error) {
	source, target, err := both(ctx, c, (*end).planned)
	if err != nil {
		return 0, err
	}
	for _, k := range sortedKeys(source) {
		s := source[k]
		t, there := target[key{c.mapping.schema(k.schema), k.name}]
		if !there || !s.columns || !t.visible {
			continue
		}
		compared++
		if !t.columns {
			c.differ(Difference{
				Level: LevelStatistics, Kind: "TABLE", Schema: k.schema, Name: k.name, Status: MissingInTarget,
				Source: "the planner has statistics of its columns", Target: "none: run ANALYZE",
			})
		}
	}
	return compared, nil
}
