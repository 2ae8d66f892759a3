package catalog

import (
	"fmt"

	"github.com/jackc/pgx/v5"
)

// A Role is a role of the cluster. Passwords are never read.
type Role struct {
	Name       string
	Attributes []string // "LOGIN", "CREATEDB", ...
	Members    []Member
	oid        uint32
}

// A Member is a role that has been granted another.
type Member struct {
	Name  string
	Admin bool
}

func (l *loader) roleQuery() query {
	return query{
		what: "roles",
		sql: `SELECT r.oid, r.rolname, pg_catalog.array_remove(ARRAY[
  CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN NOT r.rolinherit THEN 'NOINHERIT' END,
  CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
  CASE WHEN r.rolcanlogin THEN 'LOGIN' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
  CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL)
FROM pg_catalog.pg_roles r ORDER BY r.rolname`,
		scan: func(row pgx.Rows) error {
			var r Role
			if err := row.Scan(&r.oid, &r.Name, &r.Attributes); err != nil {
				return err
			}
			l.roles[r.oid] = r.Name
			l.db.Roles = append(l.db.Roles, r)
			return nil
		},
	}
}

func (l *loader) membershipQuery() query {
	byOID := map[uint32]int{}
	return query{
		what: "role memberships",
		sql:  `SELECT m.roleid, m.member, pg_catalog.bool_or(m.admin_option) FROM pg_catalog.pg_auth_members m GROUP BY 1, 2 ORDER BY 1, 2`,
		scan: func(row pgx.Rows) error {
			if len(byOID) == 0 {
				for i, r := range l.db.Roles {
					byOID[r.oid] = i
				}
			}
			var role, member uint32
			var admin bool
			if err := row.Scan(&role, &member, &admin); err != nil {
				return err
			}
			if i, ok := byOID[role]; ok && l.roles[member] != "" {
				l.db.Roles[i].Members = append(l.db.Roles[i].Members, Member{l.roles[member], admin})
			}
			return nil
		},
	}
}

// role names an owner. One without a row in pg_roles is a damaged catalog;
// the number stands in for the name, as it does in the server's own output.
func (l *loader) role(oid uint32) string {
	if n, ok := l.roles[oid]; ok {
		return n
	}
	return fmt.Sprint(oid)
}
