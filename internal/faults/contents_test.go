//go:build unix

package faults_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// described lists what a database holds beside rows, a line an object. It is
// written without a look at how pghaul does it, which it is to judge.
const described = `WITH ours AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public'))
SELECT concat_ws(' ', 'schema', nspname) FROM ours
UNION ALL SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.relacl) FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
UNION ALL SELECT concat_ws(' ', 'column', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, pg_get_expr(d.adbin, d.adrelid))
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN ours ON ours.oid = c.relnamespace
	LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT concat_ws(' ', 'constraint', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid), k.convalidated) FROM pg_constraint k JOIN ours ON ours.oid = k.connamespace
UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisvalid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN ours ON ours.oid = c.relnamespace
UNION ALL SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(g.oid), g.tgenabled) FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN ours ON ours.oid = c.relnamespace WHERE NOT g.tgisinternal
UNION ALL SELECT concat_ws(' ', 'view', c.oid::regclass, pg_get_viewdef(c.oid)) FROM pg_class c JOIN ours ON ours.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')
UNION ALL SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid)) FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace
UNION ALL SELECT concat_ws(' ', 'enum', e.enumtypid::regtype, string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)) FROM pg_enum e GROUP BY e.enumtypid
UNION ALL SELECT concat_ws(' ', 'domain', t.oid::regtype, format_type(t.typbasetype, t.typtypmod)) FROM pg_type t JOIN ours ON ours.oid = t.typnamespace WHERE t.typtype = 'd'
UNION ALL SELECT concat_ws(' ', 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description) FROM pg_description d WHERE d.objoid >= 16384
UNION ALL SELECT concat_ws(' ', 'sequence', schemaname, sequencename, coalesce(last_value::text, 'not called')) FROM pg_sequences
UNION ALL SELECT concat_ws(' ', 'large object', oid, md5(lo_get(oid))) FROM pg_largeobject_metadata`

// contents is what a database holds, a line an object, sorted; "" is an empty
// database.
func contents(tb testing.TB, s *pgtest.Server, db string) string {
	tb.Helper()
	conn, err := pgx.ConnectConfig(tb.Context(), s.Config(tb, db))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(tb.Context())
	lines := func(sql string) []string {
		rows, err := conn.Query(tb.Context(), sql)
		if err != nil {
			tb.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
		return list
	}
	if _, err := conn.Exec(tb.Context(), "SET search_path = ''; SET TimeZone = 'UTC'", pgx.QueryExecModeSimpleProtocol); err != nil {
		tb.Fatal(err)
	}
	all := lines(described)
	const tables = `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1`
	for _, name := range lines(tables) {
		all = append(all, lines(fmt.Sprintf("SELECT 'rows of %s: ' || count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM ONLY %s t", name, name))...)
	}
	for i, line := range all {
		all[i] = strings.ReplaceAll(line, "\n", " ")
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
