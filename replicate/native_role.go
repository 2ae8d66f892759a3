package replicate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// subscriber returns how the target's server is to connect to the source. The
// connection string is kept in the target, where its superusers can read it, so a
// role of its own is made on the source, which may replicate and nothing else, and
// is dropped with the subscription. Where none can be made it is the source's user,
// whose password the target then knows, and a warning.
//
// A configuration in Options.Reach with a user of its own is taken as it is.
func (f *Follow) subscriber(ctx context.Context, source *pgx.Conn) (*pgx.ConnConfig, string, error) {
	reach := f.opts.Source.Copy()
	if f.opts.Reach != nil {
		reach = f.opts.Reach.Copy()
	}
	if reach.User != f.opts.Source.User {
		return reach, "", nil
	}
	role, password, err := f.makeRole(ctx, source)
	switch {
	case err == nil:
		reach.User, reach.Password = role, password
		return reach, "", nil
	case pg.Code(err) == "42501":
		return reach, fmt.Sprintf("a role for the subscription alone could not be made on the source (%v): the target keeps the password of role %s until the subscription is dropped, so change it afterwards", err, reach.User), nil
	}
	return nil, "", err
}

// makeRole makes the subscription's role on the source, or gives the one that is
// there another password. The server is told a verifier, so that its log holds no
// password.
func (f *Follow) makeRole(ctx context.Context, source *pgx.Conn) (role, password string, err error) {
	role = subscriptionRole(&f.Record)
	// Three kinds of characters, for services that ask for them.
	password = rand.Text() + "a1"
	verifier, _, err := pg.Scram(password) // letters and digits
	if err != nil {
		return "", "", err
	}
	var there, connect bool
	if err := source.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", role).Scan(&there); err != nil {
		return "", "", fmt.Errorf("look for role %s on the source: %w", role, err)
	}
	verb := "CREATE"
	if there {
		verb = "ALTER"
	}
	sql := verb + " ROLE " + quote.Ident(role) + " LOGIN REPLICATION PASSWORD " + quote.Literal(verifier)
	if _, err := source.Exec(ctx, sql); err != nil {
		return "", "", fmt.Errorf("make role %s on the source for the subscription: %w", role, err)
	}
	err = source.QueryRow(ctx, "SELECT pg_catalog.has_database_privilege($1, pg_catalog.current_database(), 'CONNECT')", role).Scan(&connect)
	if err == nil && !connect {
		_, err = source.Exec(ctx, "GRANT CONNECT ON DATABASE "+quote.Ident(f.SourceDatabase)+" TO "+quote.Ident(role))
	}
	if err != nil {
		return "", "", fmt.Errorf("let role %s connect to the source: %w", role, err)
	}
	return role, password, nil
}

// subscriptionRole is the name of the role that a subscription connects as.
func subscriptionRole(r *Record) string { return "pghaul_" + r.ID }

// dropRole drops the subscription's role on the source, if there is one.
func dropRole(ctx context.Context, source *pgx.Conn, r *Record) error {
	if r.Engine != EngineNative {
		return nil
	}
	role := subscriptionRole(r)
	var granted bool
	err := source.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE d.datname = pg_catalog.current_database() AND a.grantee = r.oid)
FROM pg_catalog.pg_roles r WHERE r.rolname = $1`, role).Scan(&granted)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil && granted {
		_, err = source.Exec(ctx, "REVOKE ALL ON DATABASE "+quote.Ident(r.SourceDatabase)+" FROM "+quote.Ident(role))
	}
	if err == nil {
		_, err = source.Exec(ctx, "DROP ROLE IF EXISTS "+quote.Ident(role))
	}
	if err != nil {
		return fmt.Errorf("drop role %s on the source: %w", role, err)
	}
	return nil
}
