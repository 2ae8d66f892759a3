package replicate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// defaultHeadroom is how many values are left out of each sequence at the cut-over.
const defaultHeadroom = 100

// A sequence of the source.
type sequence struct {
	schema, name string
	last         *int64 // nil if it has never been called, or may not be read
	readable     bool
	increment    int64
	lowest       int64
	highest      int64
}

// Sequences of extensions are the extensions' business.
const sequencesQuery = `SELECT n.nspname::text, c.relname::text, pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE'),
  CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE') THEN pg_catalog.pg_sequence_last_value(c.oid) END,
  s.seqincrement, s.seqmin, s.seqmax
FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^(pg_|pghaul)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2`

// readSequences reads all sequences of the source.
func (c *control) readSequences(ctx context.Context) ([]sequence, error) {
	rows, err := c.source.Query(ctx, sequencesQuery)
	if err != nil {
		return nil, fmt.Errorf("read the sequences of the source: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s sequence, err error) {
		return s, row.Scan(&s.schema, &s.name, &s.readable, &s.last, &s.increment, &s.lowest, &s.highest)
	})
	if err != nil {
		return nil, fmt.Errorf("read the sequences of the source: %w", err)
	}
	return all, nil
}

// ahead is the value to set: headroom calls further, within the bounds.
func (s *sequence) ahead(headroom int64) int64 {
	step, last := s.increment, *s.last
	if step > 0 {
		if room := (s.highest - last) / step; s.highest-last >= 0 && room < headroom {
			headroom = room
		}
	} else if step != math.MinInt64 && last-s.lowest >= 0 {
		if room := (last - s.lowest) / -step; room < headroom {
			headroom = room
		}
	}
	if headroom <= 0 || step == math.MinInt64 {
		return last
	}
	return last + headroom*step
}

// setSequencesQuery sets sequences that are not further already, in the direction
// in which they count. The reading and the setting are one statement.
const setSequencesQuery = `SELECT w.i, c.oid IS NOT NULL, coalesce(pg_catalog.has_sequence_privilege(c.oid, 'UPDATE'), false),
  CASE WHEN $5 AND c.oid IS NOT NULL AND coalesce(CASE WHEN w.step > 0 THEN pg_catalog.pg_sequence_last_value(c.oid) < w.value ELSE pg_catalog.pg_sequence_last_value(c.oid) > w.value END, true)
    THEN pg_catalog.setval(c.oid::regclass, w.value, true) END
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int8[]), pg_catalog.unnest($4::int8[])) WITH ORDINALITY AS w(nsp, rel, value, step, i)
LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) ON n.nspname = w.nsp AND c.relname = w.rel AND c.relkind = 'S'
ORDER BY w.i`

// sequences brings the target's sequences to where the source's are and headroom
// further, and returns how many there are, and what to warn of. Those of schemas
// without followed tables are brought along if the target has them. Without set it
// only finds out whether it could.
func (c *control) sequences(ctx context.Context, headroom int64, set bool) (n int, warnings []string, err error) {
	all, err := c.readSequences(ctx)
	if err != nil {
		return 0, nil, err
	}
	var called []sequence
	for _, s := range all {
		if !s.readable && !c.followsSchema(s.schema) {
			warnings = append(warnings, "sequence "+quote.Qualified(s.schema, s.name)+" of the source may not be read, and is not brought along")
			continue
		}
		if !s.readable {
			return 0, nil, fmt.Errorf("sequence %s of the source may not be read: GRANT SELECT ON SEQUENCE %[1]s to the role that pghaul connects as", quote.Qualified(s.schema, s.name))
		}
		if s.last != nil {
			called = append(called, s)
		}
	}
	schemas, names := make([]string, len(called)), make([]string, len(called))
	values, steps := make([]int64, len(called)), make([]int64, len(called))
	for i, s := range called {
		schemas[i], names[i], values[i], steps[i] = c.targetSchemaOf(s.schema), s.name, s.ahead(headroom), s.increment
	}
	rows, err := c.target.Query(ctx, setSequencesQuery, schemas, names, values, steps, set)
	if err != nil {
		return 0, nil, fmt.Errorf("set the sequences of the target: %w", err)
	}
	var number int
	var there, may bool
	var to *int64
	var refused error
	_, err = pgx.ForEachRow(rows, []any{&number, &there, &may, &to}, func() error {
		name := quote.Qualified(schemas[number-1], names[number-1])
		switch {
		case !there && !c.followsSchema(called[number-1].schema):
		case !there:
			warnings = append(warnings, "the target has no sequence "+name+", which the source has")
		case !may:
			refused = errors.Join(refused, fmt.Errorf("sequence %s of the target may not be set: GRANT UPDATE ON SEQUENCE %[1]s to the role that pghaul connects as", name))
		default:
			n++
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return 0, nil, fmt.Errorf("set the sequences of the target: %w", err)
	}
	return n, warnings, nil
}

// behindQuery finds sequences that stand before a value, in the direction in which
// they count.
const behindQuery = `SELECT w.i FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int8[]), pg_catalog.unnest($4::int8[])) WITH ORDINALITY AS w(nsp, rel, value, step, i)
JOIN pg_catalog.pg_namespace n ON n.nspname = w.nsp JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.rel AND c.relkind = 'S'
WHERE CASE WHEN c.relkind <> 'S' OR NOT pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE') THEN false -- in this order, whatever the plan
  WHEN w.step > 0 THEN coalesce(pg_catalog.pg_sequence_last_value(c.oid) < w.value, true) ELSE coalesce(pg_catalog.pg_sequence_last_value(c.oid) > w.value, true) END
ORDER BY w.i`

// compareSequences returns an error if a sequence of the target would return a
// value that the source's has returned. Of sequences that the target lacks, or that
// may not be read there, nothing is said here: setting them has told.
func (c *control) compareSequences(ctx context.Context) error {
	all, err := c.readSequences(ctx)
	if err != nil {
		return err
	}
	var schemas, names []string
	var values, steps []int64
	for _, s := range all {
		if s.last != nil {
			schemas, names = append(schemas, c.targetSchemaOf(s.schema)), append(names, s.name)
			values, steps = append(values, *s.last), append(steps, s.increment)
		}
	}
	rows, err := c.target.Query(ctx, behindQuery, schemas, names, values, steps)
	if err != nil {
		return fmt.Errorf("compare the sequences: %w", err)
	}
	behind, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("compare the sequences: %w", err)
	}
	if len(behind) > 0 {
		i := behind[0] - 1
		return fmt.Errorf("compare the sequences: %d of the target are behind those of the source, among them %s, which stands at %d at the source", len(behind), quote.Qualified(schemas[i], names[i]), values[i])
	}
	return nil
}

// followsSchema says that tables of a schema of the source are followed.
func (c *control) followsSchema(schema string) bool {
	return slices.ContainsFunc(c.Tables, func(t Table) bool { return t.Schema == schema })
}

// targetSchemaOf is the target's name of a schema of followed tables.
func (c *control) targetSchemaOf(schema string) string {
	for i := range c.Tables {
		if t := &c.Tables[i]; t.Schema == schema {
			return t.targetSchema()
		}
	}
	return schema
}
