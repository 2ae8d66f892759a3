package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgddl"
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
		t.Problem = fmt.Sprintf("the source's contents may be older than what the view reads; that takes running its query, which uses more than tables and harmless functions of the server, so that nobody but its owner, %s, should: refresh it there and compare again", owner)
	case now != kept:
		t.Expected = "the source's materialized view has older rows than its query would give now; the target's was refreshed"
	}
	return nil
}

// viewQuery asks for a view's query, whether the view is our own, and whether
// its query is made of tables only and of what the server brings with it; and
// for the server's functions that do more than compute.
const viewQuery = `SELECT pg_catalog.pg_get_viewdef(c.oid), pg_catalog.pg_get_userbyid(c.relowner)::text, pg_catalog.pg_get_userbyid(c.relowner) = current_user,
  NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
    LEFT JOIN pg_catalog.pg_class x ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND x.oid = d.refobjid
    LEFT JOIN pg_catalog.pg_type t ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.refobjid
    WHERE w.ev_class = c.oid AND coalesce(x.relkind, '-') NOT IN ('r', 'p', 'm') AND coalesce(t.typtype, '-') <> 'e'
      AND d.refclassid NOT IN ('pg_catalog.pg_collation'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass)),
  ARRAY(SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.provolatile = 'v')
FROM pg_catalog.pg_class c WHERE c.oid = $1`

// refreshed digests the rows that a view's query gives now, and those that the
// view has, both on the server. Whoever owns a view may have put into it what
// others should not run with their rights: owner is who would have to, "" for us.
func refreshed(ctx context.Context, conn *pgx.Conn, p *pair) (now, kept copyproto.Digest, owner string, err error) {
	it := p.items[0]
	var query string
	var own, plain bool
	var volatile []string
	if err := conn.QueryRow(ctx, viewQuery, it.data.Table.ID.OID).Scan(&query, &owner, &own, &plain, &volatile); err != nil {
		return now, kept, "", err
	}
	if !own && (!plain || !harmless(query, volatile)) {
		return now, kept, owner, nil
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

// harmless reports whether a query names none of some functions.
func harmless(query string, functions []string) bool {
	tokens, err := pgddl.Tokens(query)
	return err == nil && !slices.ContainsFunc(tokens, func(t pgddl.Token) bool {
		return (t.Kind == pgddl.Word || t.Kind == pgddl.Quoted) && slices.Contains(functions, t.Value)
	})
}
