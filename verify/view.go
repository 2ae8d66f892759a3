package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/copyproto"
)

// judgeView finds out whether the contents of a materialized view had to differ.
// A restore refreshes it, so they do if the source's are older than what the view
// reads: then its query gives other rows now.
func (c *comparison) judgeView(ctx context.Context, u *unit, t *Table) error {
	p := u.pairs[0]
	for _, it := range p.items {
		if it == nil || !it.view {
			return nil
		}
	}
	if t.Problem != "" || t.Source == nil || t.Target == nil || *t.Source == *t.Target {
		return nil
	}
	var now, kept copyproto.Digest
	owner := ""
	err := c.ends[0].with(ctx, func(conn *pgx.Conn) (err error) {
		now, kept, owner, err = refreshed(ctx, conn, p)
		return err
	})
	switch {
	case fatal(err):
		return err
	case err != nil:
		t.Problem = "the source's contents may be older than what the view reads; that cannot be told: " + explain(err) + "; refresh it there and compare again"
	case owner != "":
		t.Problem = fmt.Sprintf("the source's contents may be older than what the view reads; only its owner, %s, is asked for that, since it takes running its query; refresh it there and compare again", owner)
	case now != kept:
		t.Expected = "the source's materialized view has older rows than its query would give now; the target's was refreshed"
	}
	return nil
}

// ownerQuery asks for a view's query, by its owner only: whoever owns a view can
// put into it what others should not run.
const ownerQuery = `SELECT CASE WHEN c.relowner = u.oid THEN '' ELSE pg_catalog.pg_get_userbyid(c.relowner)::text END, CASE WHEN c.relowner = u.oid THEN pg_catalog.pg_get_viewdef(c.oid) ELSE '' END
FROM pg_catalog.pg_class c, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) u WHERE c.oid = $1`

// refreshed digests the rows that a view's query gives now, and those that the
// view has, both on the server. owner is who would have to ask, "" for us.
func refreshed(ctx context.Context, conn *pgx.Conn, p *pair) (now, kept copyproto.Digest, owner string, err error) {
	it := p.items[0]
	var query string
	if err := conn.QueryRow(ctx, ownerQuery, it.data.Table.ID.OID).Scan(&owner, &query); err != nil || owner != "" {
		return now, kept, owner, err
	}
	digest := func(c *pgconn.PgConn, from string) (copyproto.Digest, error) {
		return pushed(ctx, c, undo+"; "+pushStatement(p.columns, from))
	}
	if kept, err = digest(conn.PgConn(), fromTable(p, it, "")); err != nil {
		return now, kept, "", err
	}
	now, err = digest(conn.PgConn(), " FROM ("+strings.TrimSuffix(strings.TrimSpace(query), ";")+") AS v")
	return now, kept, "", err
}
