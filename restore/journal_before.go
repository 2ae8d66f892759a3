package restore

import (
	"context"
	"fmt"
)

// journalObjects lists what was there before a phase: who owns it, who may do
// what with it, and what is said of it. A phase may change all that of things it
// has not made, such as schema public. OIDs are those of the database itself.
const journalObjects = `
SELECT 1262::oid AS classid, oid AS objid, 0 AS objsubid, 'd'::"char" AS objtype, datdba AS owner, datacl AS acl, pg_catalog.shobj_description(oid, 'pg_database') AS comment
  FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
UNION ALL SELECT 2615, oid, 0, 'n', nspowner, nspacl, pg_catalog.obj_description(oid, 'pg_namespace')
  FROM pg_catalog.pg_namespace WHERE nspname <> 'pghaul' AND nspname !~ '^pg_(temp|toast)'
UNION ALL SELECT 3079, oid, 0, NULL, extowner, NULL, pg_catalog.obj_description(oid, 'pg_extension') FROM pg_catalog.pg_extension
UNION ALL SELECT 2612, oid, 0, 'l', lanowner, lanacl, pg_catalog.obj_description(oid, 'pg_language') FROM pg_catalog.pg_language
UNION ALL SELECT 2328, oid, 0, 'F', fdwowner, fdwacl, pg_catalog.obj_description(oid, 'pg_foreign_data_wrapper') FROM pg_catalog.pg_foreign_data_wrapper
UNION ALL SELECT 1417, oid, 0, 'S', srvowner, srvacl, pg_catalog.obj_description(oid, 'pg_foreign_server') FROM pg_catalog.pg_foreign_server
UNION ALL SELECT 1259, oid, 0, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner, relacl, NULL
  FROM pg_catalog.pg_class WHERE relkind IN ('r', 'v', 'm', 'p', 'f', 'S') AND relnamespace <> pg_catalog.to_regnamespace('pghaul')
UNION ALL SELECT 1259, a.attrelid, a.attnum, 'c', c.relowner, a.attacl, NULL
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
UNION ALL SELECT 1255, oid, 0, 'f', proowner, proacl, NULL FROM pg_catalog.pg_proc
UNION ALL SELECT 1247, oid, 0, 'T', typowner, typacl, NULL FROM pg_catalog.pg_type WHERE typrelid = 0 AND typelem = 0
UNION ALL SELECT 2613, oid, 0, 'L', lomowner, lomacl, NULL FROM pg_catalog.pg_largeobject_metadata`

const (
	journalDefaultACLs = `SELECT defaclrole AS role, defaclnamespace AS schema, defaclobjtype AS objtype, defaclacl AS acl FROM pg_catalog.pg_default_acl`
	journalSettings    = `SELECT setdatabase AS database, setrole AS role, setconfig AS config FROM pg_catalog.pg_db_role_setting
  WHERE setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))`
)

// Begin notes that a phase begins, and what the database is like before it. A
// phase that has begun already stays as it was noted.
func (j *TargetJournal) Begin(ctx context.Context, phase string) error {
	p := literal(phase)
	sql := fmt.Sprintf(`BEGIN;
INSERT INTO pghaul.object SELECT %[1]s, q.* FROM (%[2]s) q WHERE NOT EXISTS (SELECT FROM pghaul.phase WHERE phase = %[1]s);
INSERT INTO pghaul.default_acl SELECT %[1]s, q.* FROM (%[3]s) q WHERE NOT EXISTS (SELECT FROM pghaul.phase WHERE phase = %[1]s);
INSERT INTO pghaul.setting SELECT %[1]s, q.* FROM (%[4]s) q WHERE NOT EXISTS (SELECT FROM pghaul.phase WHERE phase = %[1]s);
INSERT INTO pghaul.phase (phase) VALUES (%[1]s) ON CONFLICT DO NOTHING;
COMMIT`, p, journalObjects, journalDefaultACLs, journalSettings)
	if err := j.do(ctx, sql); err != nil {
		return fmt.Errorf("note in the journal that phase %s begins: %w", phase, err)
	}
	return nil
}

// End notes that a phase is done.
func (j *TargetJournal) End(ctx context.Context, phase string) error {
	if err := j.do(ctx, "UPDATE pghaul.phase SET done = pg_catalog.clock_timestamp() WHERE phase = "+literal(phase)); err != nil {
		return fmt.Errorf("note in the journal that phase %s is done: %w", phase, err)
	}
	return nil
}

// Ended returns which phases are done.
func (j *TargetJournal) Ended(ctx context.Context) (map[string]bool, error) {
	rows, err := j.query(ctx, "SELECT phase, (done IS NOT NULL)::text FROM pghaul.phase")
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	done := make(map[string]bool)
	for _, r := range rows {
		done[r[0]] = r[1] == "true"
	}
	return done, nil
}

// query returns the rows of a query on the journal's connection as text.
func (j *TargetJournal) query(ctx context.Context, sql string) ([][]string, error) {
	if err := j.do(ctx, "SELECT 1"); err != nil {
		return nil, err
	}
	results, err := j.conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, r := range results {
		for _, row := range r.Rows {
			text := make([]string, len(row))
			for i, v := range row {
				text[i] = string(v)
			}
			rows = append(rows, text)
		}
	}
	return rows, nil
}
