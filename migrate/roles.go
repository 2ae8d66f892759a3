package migrate

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

// roleKey names the step that makes a role.
func roleKey(name string) string { return "ROLE " + quote.Ident(name) }

// roles makes the roles of the plan, each in a transaction of its own: what a
// platform refuses at COMMIT could not be told apart otherwise.
func (m *migration) roles(ctx context.Context) error {
	for i := range m.plan.Roles {
		it := &m.plan.Roles[i]
		if it.Verdict == platform.Skip {
			continue
		}
		role := Role{Name: it.To, From: it.From, Note: it.Reason}
		if !it.Exists {
			err := m.role(ctx, it, &role)
			if failed := m.failed(ctx, "ROLE", it.To, err); failed != nil {
				return failed
			}
			role.Created = err == nil // by this run or by the one it goes on with
		}
		m.report.Roles = append(m.report.Roles, role)
	}
	return nil
}

func (m *migration) role(ctx context.Context, it *platform.RoleItem, made *Role) error {
	key := roleKey(it.To)
	if m.journal.Has(key) {
		m.report.Earlier++
		return nil
	}
	password, sent, err := m.password(it, made)
	if err != nil {
		return err
	}
	m.log.Info("creating role " + quote.Ident(it.To))
	note := restore.Note{Key: key, Phase: string(PreSchema), Undo: literal(m.dropRole(it.To))}
	r := it.Role
	err = m.worker.step(ctx, note, createRole(it.To, r, sent))
	if pg.Code(err) == "42501" && (r.Replication || r.BypassRLS) && !strings.HasPrefix(err.Error(), "at COMMIT") {
		m.warn(fmt.Sprintf("role %q is made without REPLICATION and BYPASSRLS, which the target refuses to give: %v", it.To, mask(err, password)))
		r.Replication, r.BypassRLS = false, false
		err = m.worker.step(ctx, note, createRole(it.To, r, sent))
	}
	if err != nil {
		return mask(mask(err, sent), password)
	}
	m.done(PreSchema)
	if r.Comment != "" {
		err := m.worker.exec(ctx, "COMMENT ON ROLE "+quote.Ident(it.To)+" IS "+quote.Literal(r.Comment))
		if err != nil {
			m.warn(fmt.Sprintf("role %q has no comment: %v", it.To, err))
		}
	}
	return nil
}

// password returns the password of a login role, "" for other roles, and the
// text that is sent to the server.
func (m *migration) password(it *platform.RoleItem, made *Role) (password, sent string, err error) {
	if !it.Role.Login {
		return "", "", nil
	}
	password, given := m.opts.Passwords[it.To]
	switch {
	case given:
		made.Password = "given"
		if err := check(password); err != nil {
			return "", "", fmt.Errorf("the password given for role %q: %w", it.To, err)
		}
	case m.opts.Secrets == nil:
		return "", "", fmt.Errorf("role %q needs a password: give one, or a place to write generated ones to", it.To)
	default:
		made.Password = "generated"
		if password, err = generate(); err != nil {
			return "", "", err
		}
		// Before the role is there, so that no password is ever lost.
		if err := m.opts.Secrets(it.To, password); err != nil {
			return "", "", fmt.Errorf("keep the password of role %q: %w", it.To, err)
		}
	}
	if m.plan.Target.Platform == platform.Neon {
		return password, password, nil // takes nothing else
	}
	text, ok, err := pg.Scram(password)
	if err != nil {
		return "", "", err
	}
	if !ok {
		text = password
	}
	return password, text, nil
}

// createRole makes a role with the attributes that are true. Those that are
// false are not named: some may not even be denied.
func createRole(name string, r platform.Role, password string) string {
	var b strings.Builder
	b.WriteString("CREATE ROLE " + quote.Ident(name))
	for _, a := range []struct {
		name string
		has  bool
	}{
		{"LOGIN", r.Login},
		{"NOINHERIT", !r.Inherit},
		{"CREATEDB", r.CreateDB},
		{"CREATEROLE", r.CreateRole},
		{"REPLICATION", r.Replication},
		{"BYPASSRLS", r.BypassRLS},
		{"SUPERUSER", r.Superuser},
	} {
		if a.has {
			b.WriteString(" " + a.name)
		}
	}
	if r.ConnLimit >= 0 {
		fmt.Fprintf(&b, " CONNECTION LIMIT %d", r.ConnLimit)
	}
	if password != "" {
		b.WriteString(" PASSWORD " + escaped(password))
	}
	if r.ValidUntil != "" {
		b.WriteString(" VALID UNTIL " + quote.Literal(r.ValidUntil))
	}
	return b.String() + ";"
}

// escaped quotes a value that may hold backslashes for a session with any
// standard_conforming_strings.
func escaped(s string) string {
	q := quote.Literal(s)
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// dropRole is the statement that takes a role back: with the privileges it has
// been granted, but not if it owns anything, which nobody but others can have
// given it. Privileges are revoked as whoever has granted them: a member of
// several roles that could have revokes those of one of them only.
func (m *migration) dropRole(name string) string { return dropRole(name, m.target16()) }

func dropRole(name string, v16 bool) string {
	options := ""
	if v16 {
		options = " WITH INHERIT TRUE"
	}
	body := fmt.Sprintf(`DECLARE r oid := (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %[1]s); what text; g record;
BEGIN
  IF r IS NULL THEN RETURN; END IF;
  SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) INTO what FROM pg_catalog.pg_shdepend d
    WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r AND d.deptype = 'o' AND d.classid <> 'pg_catalog.pg_default_acl'::regclass
      AND d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) LIMIT 1;
  IF what IS NOT NULL THEN RAISE EXCEPTION 'role %% owns %%, which this run has not made or could not drop', %[1]s, what; END IF;
  IF NOT pg_catalog.pg_has_role(current_user, r, 'USAGE') THEN EXECUTE %[2]s; END IF;
  FOR g IN SELECT DISTINCT o.name, x.grantor::regrole::text AS grantor FROM (
      SELECT 'DATABASE ' || pg_catalog.quote_ident(datname) AS name, datacl AS acl FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
      UNION ALL SELECT 'SCHEMA ' || pg_catalog.quote_ident(nspname), nspacl FROM pg_catalog.pg_namespace
      UNION ALL SELECT 'TABLE ' || oid::regclass, relacl FROM pg_catalog.pg_class WHERE relacl IS NOT NULL) o, pg_catalog.aclexplode(o.acl) x
    WHERE x.grantee = r AND x.grantor::regrole::text <> pg_catalog.quote_ident(current_user) AND pg_catalog.pg_has_role(current_user, x.grantor, 'MEMBER') LOOP
    EXECUTE 'SET ROLE ' || g.grantor;
    EXECUTE 'REVOKE ALL ON ' || g.name || ' FROM ' || %[5]s || ' CASCADE';
    RESET ROLE;
  END LOOP;
  EXECUTE %[3]s;
  EXECUTE %[4]s;
END`, quote.Literal(name), quote.Literal("GRANT "+quote.Ident(name)+" TO CURRENT_USER"+options), quote.Literal("DROP OWNED BY "+quote.Ident(name)), quote.Literal("DROP ROLE "+quote.Ident(name)), quote.Literal(quote.Ident(name)))
	return "DO " + quote.Dollar(body)
}

// memberships grants roles to roles. Those of the target's own user come last,
// when it is done with the memberships it has only for the time of the run.
func (m *migration) memberships(ctx context.Context, own bool) error {
	for i := range m.plan.Memberships {
		it := &m.plan.Memberships[i]
		s := it.Membership
		if it.Verdict == platform.Skip || own != (s.Member == m.me || s.Role == m.me) {
			continue
		}
		err := m.membership(ctx, s, own)
		if failed := m.failed(ctx, "MEMBERSHIP", fmt.Sprintf("%s in %s", s.Member, s.Role), err); failed != nil {
			return failed
		}
	}
	return nil
}

func (m *migration) membership(ctx context.Context, s platform.Membership, own bool) error {
	key := fmt.Sprintf("MEMBERSHIP %s %s %s", quote.Ident(s.Role), quote.Ident(s.Member), quote.Ident(s.Grantor))
	if m.journal.Has(key) {
		m.report.Earlier++
		return nil
	}
	have, err := m.worker.texts(ctx, membershipQuery(m.target16()), s.Role, s.Member, s.Grantor)
	if err != nil {
		return fmt.Errorf("read memberships: %w", err)
	}
	grant := "GRANT " + quote.Ident(s.Role) + " TO " + quote.Ident(s.Member)
	by := ""
	if s.Grantor != "" {
		by = " GRANTED BY " + quote.Ident(s.Grantor)
	}
	options := func(admin, inherit, set bool) string {
		if m.target16() {
			return fmt.Sprintf(" WITH ADMIN %t, INHERIT %t, SET %t", admin, inherit, set)
		}
		if admin {
			return " WITH ADMIN OPTION"
		}
		return ""
	}
	undo := "REVOKE " + quote.Ident(s.Role) + " FROM " + quote.Ident(s.Member) + by
	if len(have) > 0 {
		admin, inherit, set := have[0][0] == 't', have[0][1] == 't', have[0][2] == 't'
		s.Admin = s.Admin || admin
		if m.target16() {
			s.Inherit, s.Set = s.Inherit || inherit, s.Set || set
			undo = grant + options(admin, inherit, set) + by
		} else if s.Admin && !admin {
			undo = "REVOKE ADMIN OPTION FOR " + quote.Ident(s.Role) + " FROM " + quote.Ident(s.Member)
		} else {
			return nil
		}
	}
	phase := PreSchema
	if own {
		phase = PostSchema
	}
	m.log.Info("granting role " + quote.Ident(s.Role) + " to " + quote.Ident(s.Member))
	err = m.worker.step(ctx, restore.Note{Key: key, Phase: string(phase), Undo: literal(undo)}, grant+options(s.Admin, s.Inherit, s.Set)+by+";")
	if err == nil {
		m.done(phase)
	}
	return err
}

// membershipQuery finds the membership that a GRANT would change: on 16 and
// later each grantor has one of his own.
func membershipQuery(v16 bool) string {
	columns := "true, true"
	grantor := "($3 = '' OR true)"
	if v16 {
		columns = "m.inherit_option, m.set_option"
		grantor = "g.rolname = CASE $3 WHEN '' THEN current_user ELSE $3 END"
	}
	return `SELECT pg_catalog.concat(m.admin_option, ` + columns + `) FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member LEFT JOIN pg_catalog.pg_roles g ON g.oid = m.grantor
WHERE r.rolname = $1 AND u.rolname = $2 AND ` + grantor
}

// settings stores what ALTER DATABASE and ALTER ROLE have stored at the source.
func (m *migration) settings(ctx context.Context) error {
	for i := range m.plan.Settings {
		it := &m.plan.Settings[i]
		s := it.Setting
		if it.Verdict == platform.Skip {
			continue
		}
		head, name := "ALTER DATABASE "+quote.Ident(s.Database), "database "+s.Database
		if s.Role != "" {
			head, name = "ALTER ROLE "+quote.Ident(s.Role), "role "+s.Role
			if s.Database != "" {
				head += " IN DATABASE " + quote.Ident(s.Database)
			}
		} else if s.Database == "" {
			head, name = "ALTER ROLE ALL", "all roles"
		}
		key := "SETTING " + s.Name + " of " + head
		if m.journal.Has(key) {
			m.report.Earlier++
			continue
		}
		sql, undo := restore.SettingSQL(head, s.Name, s.Value), "NULL"
		if s.Name == platform.ConnectionLimit {
			limit, err := strconv.Atoi(s.Value)
			if err != nil {
				return fmt.Errorf("the plan's %s of database %q: %w", s.Name, s.Database, err)
			}
			sql, undo = fmt.Sprintf("%s CONNECTION LIMIT %d;", head, limit), literal(fmt.Sprintf("%s CONNECTION LIMIT %d", head, m.to.ConnLimit))
		}
		err := m.worker.step(ctx, restore.Note{Key: key, Phase: string(PreSchema), Undo: undo}, sql)
		if failed := m.failed(ctx, "SETTING", s.Name+" of "+name, err); failed != nil {
			return failed
		}
		if err == nil {
			m.done(PreSchema)
		}
	}
	return nil
}

// failed enters the failure of a step of our own into the report. It returns
// what ends the run.
func (m *migration) failed(ctx context.Context, kind, name string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &restore.StepError{Kind: kind, Name: name, Err: err}
	m.report.Failed = append(m.report.Failed, e)
	m.log.Info("failed: " + e.Error())
	if m.opts.KeepGoing {
		return nil
	}
	return e
}
