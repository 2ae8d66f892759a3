package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/internal/quote"
)

// An Undo says what Rollback took back.
type Undo struct {
	Steps int
	// Remains are things that could not be taken back.
	Remains []Remain
}

// A Remain is something that could not be taken back.
type Remain struct {
	Key string // of the step, or what the statement is about
	SQL string
	Err error
}

// undoBatch is how many steps are taken back in one transaction.
const undoBatch = 50

// Rollback takes back the steps of phases, the last step first, and then puts
// back what the first of the phases has changed of things that were there before
// it. Phases are those that follow each other, in their order. What cannot be
// taken back is in the result and stays in the journal. ignore names roles whose
// privileges are not looked at.
func (j *TargetJournal) Rollback(ctx context.Context, ignore []string, phases ...string) (*Undo, error) {
	u := &Undo{}
	if len(phases) > 1 {
		// What roles were given of what was there before, and what others have granted
		// them, goes while they are still there: the first phase made them.
		if err := j.undoSteps(ctx, u, phases[1:], nil); err != nil {
			return u, err
		}
		for _, which := range []int{owners, revokes} {
			if err := j.revert(ctx, &Undo{}, ignore, phases, which); err != nil {
				return u, err
			}
		}
		if err := j.undoSteps(ctx, u, phases[:1], nil); err != nil {
			return u, err
		}
	} else if err := j.undoSteps(ctx, u, phases, nil); err != nil {
		return u, err
	}
	if err := j.revert(ctx, u, ignore, phases, everything); err != nil || len(u.Remains) > 0 {
		return u, err
	}
	return u, j.forgetPhases(ctx, phases)
}

// A done step as the journal has it.
type undoable struct{ key, undo string }

// RollbackSteps takes back those steps of a phase whose keys are wanted, the last
// one first.
func (j *TargetJournal) RollbackSteps(ctx context.Context, phase string, want func(key string) bool) (*Undo, error) {
	u := &Undo{}
	return u, j.undoSteps(ctx, u, []string{phase}, want)
}

func (j *TargetJournal) undoSteps(ctx context.Context, u *Undo, phases []string, want func(key string) bool) error {
	rows, err := j.query(ctx, "SELECT key, coalesce(undo, '') FROM pghaul.step WHERE void IS NULL AND phase IN ("+literals(phases)+") ORDER BY seq DESC")
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	var steps []undoable
	for _, r := range rows {
		if want == nil || want(r[0]) {
			steps = append(steps, undoable{r[0], r[1]})
		}
	}
	// What another step's object still needs goes after that has gone: the index of
	// a partition, for instance, only with that of the table it is attached to,
	// whichever of them was made first.
	for {
		now := &Undo{}
		for batch := range slices.Chunk(steps, undoBatch) {
			if err := j.undo(ctx, now, batch); err != nil {
				return err
			}
		}
		u.Steps += now.Steps
		if now.Steps == 0 || len(now.Remains) == 0 {
			u.Remains = append(u.Remains, now.Remains...)
			return nil
		}
		steps = steps[:0]
		for _, r := range now.Remains {
			steps = append(steps, undoable{r.Key, r.SQL})
		}
	}
}

// undo takes steps back in one transaction, or one by one if that fails.
func (j *TargetJournal) undo(ctx context.Context, u *Undo, steps []undoable) error {
	var b strings.Builder
	var keys []string
	b.WriteString("BEGIN;\n")
	for _, s := range steps {
		if s.undo != "" {
			b.WriteString(strings.TrimRight(s.undo, "; \n") + ";\n")
			j.log.Info("taking back " + s.key)
		}
		keys = append(keys, s.key)
	}
	b.WriteString("DELETE FROM pghaul.step WHERE key IN (" + literals(keys) + ");\nCOMMIT")
	err := j.do(ctx, b.String())
	switch {
	case err == nil:
		j.mu.Lock()
		for _, k := range keys {
			delete(j.steps, k)
		}
		j.mu.Unlock()
		u.Steps += len(steps)
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("roll back: %w", context.Cause(ctx))
	case len(steps) == 1:
		u.Remains = append(u.Remains, Remain{steps[0].key, steps[0].undo, err})
		return nil
	}
	for i := range steps {
		if err := j.undo(ctx, u, steps[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// everything, owners and revokes say which of revertQueries to follow.
const (
	everything = -1
	owners     = 0
	revokes    = 1
)

// revert puts back what phases have changed of what was there before, by one of
// revertQueries or all.
func (j *TargetJournal) revert(ctx context.Context, u *Undo, ignore, phases []string, which int) error {
	begun, err := j.Ended(ctx)
	if err != nil {
		return err
	}
	first := slices.IndexFunc(phases, func(p string) bool { _, ok := begun[p]; return ok })
	if first < 0 {
		return nil
	}
	for i, list := range revertQueries(phases[first], ignore) {
		if which != everything && which != i {
			continue
		}
		if err := j.putBack(ctx, u, list); err != nil {
			return err
		}
	}
	return nil
}

// forgetPhases removes what was noted of the state before phases.
func (j *TargetJournal) forgetPhases(ctx context.Context, phases []string) error {
	in := "(" + literals(phases) + ")"
	err := j.do(ctx, fmt.Sprintf(`BEGIN; DELETE FROM pghaul.object WHERE phase IN %[1]s; DELETE FROM pghaul.default_acl WHERE phase IN %[1]s;
DELETE FROM pghaul.setting WHERE phase IN %[1]s; DELETE FROM pghaul.phase WHERE phase IN %[1]s; COMMIT`, in))
	if err != nil {
		return fmt.Errorf("note in the journal what was taken back: %w", err)
	}
	return nil
}

// putBack runs the statements that a query lists until it lists none: one that
// revokes with CASCADE may leave nothing to do for another, which fails then.
func (j *TargetJournal) putBack(ctx context.Context, u *Undo, list string) error {
	for before := ""; ; {
		rows, err := j.query(ctx, list)
		if err != nil {
			return fmt.Errorf("compare with what was there before: %w", err)
		}
		var statements []string
		for _, r := range leavesFirst(rows) {
			statements = append(statements, r[0])
		}
		again := before != "" && strings.Join(statements, "\x00") == before
		before = strings.Join(statements, "\x00")
		if len(statements) == 0 {
			return nil
		}
		for _, sql := range statements {
			if !again {
				j.log.Info("putting back: " + sql)
			}
			err := j.do(ctx, sql)
			if ctx.Err() != nil {
				return fmt.Errorf("roll back: %w", context.Cause(ctx))
			}
			if again {
				u.Remains = append(u.Remains, Remain{"what was there before", sql, cmp.Or(err, errNoEffect)})
			}
		}
		if again {
			return nil
		}
	}
}

// leavesFirst sorts revocations (statement, object, grantor, grantee) so that
// nobody loses the right to revoke before he has revoked what he granted. To
// leave that to CASCADE is not enough: it spares grants of a member of a role
// that may still grant, and then nobody can revoke them any more.
func leavesFirst(rows [][]string) [][]string {
	if len(rows) == 0 || len(rows[0]) < 4 {
		return rows
	}
	type by struct{ object, grantor string }
	left := make(map[by]int)
	for _, r := range rows {
		left[by{r[1], r[2]}]++
	}
	out := make([][]string, 0, len(rows))
	for rest := rows; len(rest) > 0; {
		var later [][]string
		for _, r := range rest {
			if left[by{r[1], r[3]}] > 0 && r[3] != r[2] {
				later = append(later, r)
				continue
			}
			left[by{r[1], r[2]}]--
			out = append(out, r)
		}
		if len(later) == len(rest) {
			return append(out, later...)
		}
		rest = later
	}
	return out
}

var errNoEffect = errors.New("it is as if it had not been run")

func literals(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = literal(s)
	}
	if len(q) == 0 {
		return "NULL"
	}
	return strings.Join(q, ", ")
}

// revertQueries return queries that list the statements by which the database
// becomes what it was before a phase. Each is run when the statements of the one
// before it have been. The second, of revocations, has the object, the grantor and
// the grantee, too.
func revertQueries(phase string, ignore []string) []string {
	ignored := "(SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN (" + literals(ignore) + "))"
	objects := fmt.Sprintf(`WITH now AS (%s),
was AS (SELECT classid, objid, objsubid, objtype, owner, acl, comment FROM pghaul.object WHERE phase = %s),
k AS (SELECT classid, objid, objsubid, objtype FROM now UNION SELECT classid, objid, objsubid, objtype FROM was),
common AS (SELECT classid, objid FROM now n JOIN was w USING (classid, objid, objsubid) WHERE objsubid = 0),
o AS (SELECT k.*, n.owner AS nowner, w.owner AS wowner, n.comment AS ncomment, w.comment AS wcomment, coalesce(n.owner, w.owner) AS owner,
    coalesce(n.acl, pg_catalog.acldefault(coalesce(k.objtype, 'c'), n.owner)) AS nacl,
    coalesce(w.acl, pg_catalog.acldefault(coalesce(k.objtype, 'c'), w.owner)) AS wacl,
    CASE k.classid WHEN 1262 THEN 'DATABASE ' || pg_catalog.quote_ident(pg_catalog.current_database())
      WHEN 2615 THEN 'SCHEMA ' || (SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace WHERE oid = k.objid)
      WHEN 3079 THEN 'EXTENSION ' || (SELECT pg_catalog.quote_ident(extname) FROM pg_catalog.pg_extension WHERE oid = k.objid)
      WHEN 2612 THEN 'LANGUAGE ' || (SELECT pg_catalog.quote_ident(lanname) FROM pg_catalog.pg_language WHERE oid = k.objid)
      WHEN 2328 THEN 'FOREIGN DATA WRAPPER ' || (SELECT pg_catalog.quote_ident(fdwname) FROM pg_catalog.pg_foreign_data_wrapper WHERE oid = k.objid)
      WHEN 1417 THEN 'SERVER ' || (SELECT pg_catalog.quote_ident(srvname) FROM pg_catalog.pg_foreign_server WHERE oid = k.objid)
      WHEN 1259 THEN CASE k.objtype WHEN 's' THEN 'SEQUENCE ' ELSE 'TABLE ' END || k.objid::regclass::text
      WHEN 1255 THEN (SELECT CASE prokind WHEN 'p' THEN 'PROCEDURE ' WHEN 'a' THEN 'AGGREGATE ' ELSE 'FUNCTION ' END FROM pg_catalog.pg_proc WHERE oid = k.objid) || k.objid::regprocedure::text
      WHEN 1247 THEN 'TYPE ' || k.objid::regtype::text
      WHEN 2613 THEN 'LARGE OBJECT ' || k.objid END AS name,
    (SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute WHERE attrelid = k.objid AND attnum = k.objsubid AND k.objsubid > 0) AS col
  FROM k LEFT JOIN now n USING (classid, objid, objsubid) LEFT JOIN was w USING (classid, objid, objsubid)
    JOIN common b ON b.classid = k.classid AND b.objid = k.objid
  WHERE n.owner IS DISTINCT FROM w.owner OR n.acl IS DISTINCT FROM w.acl OR n.comment IS DISTINCT FROM w.comment),
c AS (SELECT o.*, CASE WHEN classid = 1417 THEN 'FOREIGN ' || name WHEN name LIKE 'AGGREGATE %%' THEN 'FUNCTION' || substr(name, 10) ELSE name END AS grantname
  FROM o WHERE nacl IS DISTINCT FROM wacl AND classid <> 3079),
ni AS (SELECT c.*, x.* FROM c, pg_catalog.aclexplode(c.nacl) x),
wi AS (SELECT c.*, x.* FROM c, pg_catalog.aclexplode(c.wacl) x)
`, journalObjects, literal(phase))
	defaults := fmt.Sprintf(`WITH now AS (%s),
was AS (SELECT role, schema, objtype, acl FROM pghaul.default_acl WHERE phase = %s),
k AS (SELECT role, schema, objtype FROM now UNION SELECT role, schema, objtype FROM was),
c AS (SELECT k.*, 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || pg_catalog.quote_ident(r.rolname) || coalesce(' IN SCHEMA ' || pg_catalog.quote_ident(s.nspname), '') AS head,
    CASE k.objtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS kind,
    coalesce(n.acl, CASE WHEN k.schema = 0 THEN pg_catalog.acldefault(CASE k.objtype WHEN 'S' THEN 's' ELSE k.objtype END, k.role) END) AS nacl,
    coalesce(w.acl, CASE WHEN k.schema = 0 THEN pg_catalog.acldefault(CASE k.objtype WHEN 'S' THEN 's' ELSE k.objtype END, k.role) END) AS wacl
  FROM k LEFT JOIN now n USING (role, schema, objtype) LEFT JOIN was w USING (role, schema, objtype)
  JOIN pg_catalog.pg_roles r ON r.oid = k.role LEFT JOIN pg_catalog.pg_namespace s ON s.oid = k.schema
  WHERE k.schema = 0 OR s.oid IS NOT NULL),
ni AS (SELECT c.*, x.* FROM c, pg_catalog.aclexplode(c.nacl) x),
wi AS (SELECT c.*, x.* FROM c, pg_catalog.aclexplode(c.wacl) x)
`, journalDefaultACLs, literal(phase))
	const who = `CASE %s.grantee WHEN 0 THEN 'PUBLIC' ELSE (SELECT pg_catalog.quote_ident(rolname) FROM pg_catalog.pg_roles WHERE oid = %[1]s.grantee) END`
	nwho, wwho := fmt.Sprintf(who, "ni"), fmt.Sprintf(who, "wi")
	asGrantor := func(from, sql string) string {
		return fmt.Sprintf(`CASE WHEN %[1]s.grantor::regrole::text <> pg_catalog.quote_ident(current_user) AND pg_catalog.pg_has_role(current_user, %[1]s.grantor, 'MEMBER')
  THEN 'SET ROLE ' || %[1]s.grantor::regrole || '; ' || %[2]s || '; RESET ROLE' ELSE %[2]s END`, from, sql)
	}
	exists := func(from string) string {
		return fmt.Sprintf(`(%[1]s.grantee = 0 OR EXISTS (SELECT FROM pg_catalog.pg_roles WHERE oid = %[1]s.grantee)) AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE oid = %[1]s.grantor)
  AND %[1]s.grantee NOT IN %[2]s AND %[1]s.grantor NOT IN %[2]s`, from, ignored)
	}
	return []string{
		objects + `SELECT 'ALTER ' || name || ' OWNER TO ' || r.rolname_q FROM o JOIN (SELECT oid, pg_catalog.quote_ident(rolname) AS rolname_q FROM pg_catalog.pg_roles) r ON r.oid = wowner
WHERE objsubid = 0 AND nowner <> wowner AND classid <> 3079`,
		objects + `SELECT ` + asGrantor("ni", `'REVOKE ' || CASE WHEN wi.grantee IS NOT NULL THEN 'GRANT OPTION FOR ' ELSE '' END || ni.privilege_type || coalesce(' (' || ni.col || ')', '') || ' ON ' || ni.grantname || ' FROM ' || `+nwho+` || ' CASCADE'`) + `, ni.name, ni.grantor::text, ni.grantee::text
FROM ni LEFT JOIN wi USING (classid, objid, objsubid, grantor, grantee, privilege_type)
WHERE (wi.grantee IS NULL OR ni.is_grantable AND NOT wi.is_grantable) AND ` + exists("ni"),
		objects + `SELECT ` + asGrantor("wi", `'GRANT ' || wi.privilege_type || coalesce(' (' || wi.col || ')', '') || ' ON ' || wi.grantname || ' TO ' || `+wwho+` || CASE WHEN wi.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END`) + `
FROM wi LEFT JOIN ni USING (classid, objid, objsubid, grantor, grantee, privilege_type)
WHERE (ni.grantee IS NULL OR wi.is_grantable AND NOT ni.is_grantable) AND ` + exists("wi"),
		objects + `SELECT 'COMMENT ON ' || name || ' IS ' || coalesce(pg_catalog.quote_literal(wcomment), 'NULL') FROM o WHERE objsubid = 0 AND ncomment IS DISTINCT FROM wcomment`,
		defaults + `SELECT ni.head || ' REVOKE ' || CASE WHEN wi.grantee IS NOT NULL THEN 'GRANT OPTION FOR ' ELSE '' END || ni.privilege_type || ' ON ' || ni.kind || ' FROM ' || ` + nwho + `
FROM ni LEFT JOIN wi USING (role, schema, objtype, grantee, privilege_type)
WHERE wi.grantee IS NULL OR ni.is_grantable AND NOT wi.is_grantable`,
		defaults + `SELECT wi.head || ' GRANT ' || wi.privilege_type || ' ON ' || wi.kind || ' TO ' || ` + wwho + ` || CASE WHEN wi.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
FROM wi LEFT JOIN ni USING (role, schema, objtype, grantee, privilege_type)
WHERE (ni.grantee IS NULL OR wi.is_grantable AND NOT ni.is_grantable) AND (wi.grantee = 0 OR EXISTS (SELECT FROM pg_catalog.pg_roles WHERE oid = wi.grantee))`,
		fmt.Sprintf(`WITH now AS (SELECT database, role, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value FROM (%s) q, unnest(config) c),
was AS (SELECT database, role, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value FROM pghaul.setting, unnest(config) c WHERE phase = %s),
d AS (SELECT database, role, name, n.value AS nvalue, w.value AS wvalue,
    CASE WHEN role = 0 THEN 'ALTER DATABASE ' || pg_catalog.quote_ident(pg_catalog.current_database())
      ELSE 'ALTER ROLE ' || (SELECT pg_catalog.quote_ident(rolname) FROM pg_catalog.pg_roles WHERE oid = role) || CASE WHEN database <> 0 THEN ' IN DATABASE ' || pg_catalog.quote_ident(pg_catalog.current_database()) ELSE '' END END AS head
  FROM now n FULL JOIN was w USING (database, role, name))
SELECT CASE WHEN wvalue IS NULL THEN head || ' RESET ' || name
  WHEN name IN (%s) THEN 'BEGIN; SELECT pg_catalog.set_config(' || pg_catalog.quote_literal(name) || ', ' || pg_catalog.quote_literal(wvalue) || ', true); ' || head || ' SET ' || name || ' FROM CURRENT; COMMIT'
  ELSE head || ' SET ' || name || ' TO ' || pg_catalog.quote_literal(wvalue) END
FROM d WHERE nvalue IS DISTINCT FROM wvalue AND head IS NOT NULL`, journalSettings, literal(phase), literals(quotedLists)),
	}
}

// quotedLists are the settings whose value is a list of quoted names: as a
// literal it would be one name.
var quotedLists = []string{"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories"}

// SettingSQL returns the statements that store a setting as a catalog has it.
// head is "ALTER DATABASE d" or "ALTER ROLE r"; they belong in a transaction.
func SettingSQL(head, name, value string) string {
	quoted := quote.Qualified(strings.Split(name, ".")...)
	if slices.Contains(quotedLists, name) {
		return fmt.Sprintf("SELECT pg_catalog.set_config(%s, %s, true);\n%s SET %s FROM CURRENT;", literal(name), literal(value), head, quoted)
	}
	return fmt.Sprintf("%s SET %s TO %s;", head, quoted, literal(value))
}
