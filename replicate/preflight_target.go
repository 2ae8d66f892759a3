package replicate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/platform"
)

// engine chooses one. A subscription is preferred: the target's server applies by
// itself, also while no pghaul runs. Whatever speaks against it speaks for our own.
func (p *preflight) engine(ctx context.Context) error {
	c := p.checks
	if p.opts.Engine == EngineApply {
		c.Engine, c.Reason = EngineApply, "it was asked for"
		return nil
	}
	against, err := p.againstNative(ctx)
	if err != nil {
		return err
	}
	switch {
	case p.opts.Engine == EngineNative:
		c.Engine, c.Reason = EngineNative, "it was asked for"
		if len(p.ambiguous) > 0 {
			c.add(Warn, "rows without a key", ambiguousRows(p.ambiguous), "give the tables a key, or use engine apply, which tells such rows apart")
		}
		for _, why := range against {
			c.add(Block, "engine native", why, "engine apply, in which pghaul applies the changes itself")
		}
	case len(against) == 0 && len(p.ambiguous) > 0:
		c.Engine, c.Reason = EngineApply, ambiguousRows(p.ambiguous)
	case len(against) > 0:
		c.Engine, c.Reason = EngineApply, "a subscription is not possible: "+strings.Join(against, "; ")
	default:
		c.Engine, c.Reason = EngineNative, "the target may subscribe, and reaches the source"
	}
	return nil
}

// againstNative returns what speaks against a subscription at the target.
func (p *preflight) againstNative(ctx context.Context) ([]string, error) {
	var against []string
	add := func(format string, args ...any) { against = append(against, fmt.Sprintf(format, args...)) }
	v, err := version(p.target)
	if err != nil {
		return nil, err
	}
	if !v.AtLeast(15) && p.opts.Engine != EngineNative {
		add("PostgreSQL %s tells nobody but its log of errors of a subscription", v)
	}
	if len(p.incomparable) > 0 {
		add("the rows of %s are identified by all their columns, and a type of those has no equality", strings.Join(p.incomparable, ", "))
	}
	if len(p.renamed) > 0 {
		add("%s have another name at the target, and a subscription cannot rename", strings.Join(p.renamed, ", "))
	}
	missing, err := p.mayNotSubscribe(ctx, v)
	if err != nil {
		return nil, err
	}
	against = append(against, missing...)
	if len(missing) > 0 {
		return against, nil
	}
	if v.AtLeast(16) {
		// An ordinary role's subscription must come with a password, see below.
		if super, err := p.targetSuperuser(ctx); err != nil {
			return nil, err
		} else if !super && p.opts.Reach.Password == "" {
			add("a subscription of a role that is no superuser needs a password for the source, and none is given")
		}
	}
	unreached, err := p.unreached(ctx)
	if err != nil {
		return nil, err
	}
	if unreached != "" {
		add("the target's server does not reach the source: %s", unreached)
	}
	return against, nil
}

func ambiguousRows(tables []string) string {
	return "the rows of " + strings.Join(tables, ", ") + " are identified by all their columns, of which these have values that are equal and differ, as 0 and -0: a subscription may change the other one of two such rows"
}

func (p *preflight) targetSuperuser(ctx context.Context) (bool, error) {
	var super bool
	err := p.target.QueryRow(ctx, `SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user`).Scan(&super)
	if err != nil {
		return false, fmt.Errorf("read the role at the target: %w", err)
	}
	return super, nil
}

// A worker of a subscription keeps its place in a replication origin, the number
// of which is limited under different names.
const subscribeQuery = `SELECT r.rolname::text, r.rolsuper,
  coalesce(pg_catalog.pg_has_role(p.oid, 'USAGE'), false),
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
  coalesce(pg_catalog.current_setting('max_active_replication_origins', true), pg_catalog.current_setting('max_replication_slots'))::int,
  pg_catalog.current_setting('max_logical_replication_workers')::int,
  (SELECT count(*) FROM pg_catalog.pg_subscription)
FROM pg_catalog.pg_roles r LEFT JOIN pg_catalog.pg_roles p ON p.rolname = 'pg_create_subscription' WHERE r.rolname = current_user`

// mayNotSubscribe returns what the target's role or server lacks for a subscription.
func (p *preflight) mayNotSubscribe(ctx context.Context, v pg.Version) ([]string, error) {
	var user string
	var super, member, create bool
	var origins, workers, subscriptions int
	err := p.target.QueryRow(ctx, subscribeQuery).Scan(&user, &super, &member, &create, &origins, &workers, &subscriptions)
	if err != nil {
		return nil, fmt.Errorf("read the right to subscribe at the target: %w", err)
	}
	var missing []string
	switch {
	case super || p.targetOn == platform.Neon:
	case !v.AtLeast(16):
		missing = append(missing, "only superusers may subscribe at the target, PostgreSQL "+v.String()+", and role "+user+" is none")
	case !member:
		missing = append(missing, "role "+user+" may not subscribe at the target: GRANT pg_create_subscription TO "+quote.Ident(user))
	}
	if !super && !create {
		missing = append(missing, "role "+user+" has not the privilege CREATE on the target database, which a subscription takes")
	}
	if subscriptions >= origins || subscriptions >= workers {
		missing = append(missing, fmt.Sprintf("the target has %d subscriptions, and room for %d", subscriptions, min(origins, workers)))
	}
	return missing, nil
}

// unreached finds out whether the target's server reaches the source, and returns
// why not. It has the target connect there for a subscription, in a transaction
// that is rolled back, as a role that does not exist: no secret is told, and
// nothing is made. The source refuses that role, and the refusal names it. What
// fails on the way names no role.
//
// Which server has answered is not known then. That it is the source shows when the
// subscription is made, as a role that only the source has.
func (p *preflight) unreached(ctx context.Context) (string, error) {
	if local(p.opts.Reach.Host) && !local(p.target.Config().Host) {
		return "the source's address " + p.opts.Reach.Host + " leads to this machine: give the address by which the target reaches it", nil
	}
	role := "pghaul_" + strings.ToLower(rand.Text()[:12])
	reach := p.opts.Reach.Copy()
	reach.User, reach.Password = role, "-"
	conninfo := subscriptionConninfo(reach, "pghaul preflight")
	// The server's message names the subscription, which thus is not to be called
	// like the role.
	sql := "CREATE SUBSCRIPTION pghaul_preflight CONNECTION " + quote.Literal(conninfo) + " PUBLICATION pghaul_preflight" +
		" WITH (connect = true, enabled = false, create_slot = false, copy_data = false, slot_name = NONE)"
	// The server's own way of connecting knows no connect_timeout, so that a host
	// that says nothing would be waited for without end.
	_, err := p.target.PgConn().Exec(ctx, fmt.Sprintf("BEGIN; SET LOCAL statement_timeout = %d", p.opts.ReachTimeout.Milliseconds())).ReadAll()
	if err == nil {
		_, err = p.target.PgConn().Exec(ctx, sql).ReadAll()
	}
	if _, rollback := p.target.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); rollback != nil {
		return "", fmt.Errorf("ask the target's server to reach the source: %w", errors.Join(err, rollback))
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		return "", nil // whoever asks is let in
	case !ok:
		return "", fmt.Errorf("ask the target's server to reach the source: %w", err)
	case refused.Code == "57014":
		return fmt.Sprintf("nothing has answered at %s within %v: allow the addresses of the target in the firewall of the source", p.opts.Reach.Host, p.opts.ReachTimeout), nil
	case strings.Contains(refused.Message, "pg_hba.conf"):
		// The source has answered, but lets nobody in from there. The name of the
		// file is the same in all languages.
		return fmt.Sprintf("the source's rules for hosts keep it out (%s): allow the addresses of the target in the firewall of the source", refused.Message), nil
	case strings.Contains(refused.Message, role):
		return "", nil
	}
	return refused.Message, nil
}

// local says that a host's address means another host elsewhere: a socket or
// this machine itself.
func local(host string) bool {
	if host == "localhost" || strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// subscriptionConninfo is the connection string by which the target's server
// connects to the source. TLS is asked for where our own connection has it; the
// certificate cannot be checked there, for the target need not have ours.
func subscriptionConninfo(cfg *pgx.ConnConfig, application string) string {
	var b strings.Builder
	set := func(name, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(name + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'")
	}
	set("host", cfg.Host)
	set("port", fmt.Sprint(cfg.Port))
	set("dbname", cfg.Database)
	set("user", cfg.User)
	set("password", cfg.Password)
	if cfg.TLSConfig != nil {
		set("sslmode", "require")
	} else {
		set("sslmode", "prefer")
	}
	set("application_name", application)
	return b.String()
}
