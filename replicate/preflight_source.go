package replicate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/platform"
)

const settingsQuery = `SELECT pg_catalog.current_setting('wal_level'),
  coalesce((SELECT pending_restart FROM pg_catalog.pg_settings WHERE name = 'wal_level'), false),
  pg_catalog.current_setting('max_replication_slots')::int,
  (SELECT count(*) FROM pg_catalog.pg_replication_slots),
  coalesce((SELECT pg_catalog.string_agg(slot_name::text, ', ' ORDER BY slot_name) FROM pg_catalog.pg_replication_slots WHERE NOT active), ''),
  pg_catalog.current_setting('max_wal_senders')::int,
  (SELECT count(*) FROM pg_catalog.pg_stat_replication),
  pg_catalog.pg_is_in_recovery(),
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
  pg_catalog.current_database()::text, current_user::text,
  (SELECT CASE WHEN pg_catalog.pg_has_role(datdba, 'USAGE') THEN '' ELSE datdba::regrole::text END FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
  pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')`

// serverSettings checks the source's settings, and the right to publish.
func (p *preflight) serverSettings(ctx context.Context) error {
	var level, inactive, database, user, owner string
	var pending, standby, mayCreate, maySignal bool
	var maxSlots, slots, maxSenders, senders int
	err := p.source.QueryRow(ctx, settingsQuery).Scan(&level, &pending, &maxSlots, &slots, &inactive, &maxSenders, &senders, &standby, &mayCreate, &database, &user, &owner, &maySignal)
	if err != nil {
		return fmt.Errorf("read the settings of the source: %w", err)
	}
	c := p.checks
	if standby {
		c.add(Block, "server", "the source is a read replica, on which nothing can be published", "connect to its primary")
	}
	switch {
	case level == "logical":
	case pending:
		c.add(Block, "wal_level", "it has been changed, but the running server still has "+level, "restart the server")
	default:
		c.add(Block, "wal_level", "it is "+level+"; decoding changes takes logical, which the server reads only when it starts", p.setParameter("wal_level", "logical"))
	}
	if slots >= maxSlots {
		do := p.setParameter("max_replication_slots", fmt.Sprint(slots+2))
		if inactive != "" {
			do = "drop a slot that nobody uses any more (inactive now: " + inactive + ") with pg_drop_replication_slot; or " + do
		}
		c.add(Block, "max_replication_slots", fmt.Sprintf("all %d replication slots are taken, and following takes one", maxSlots), do)
	} else if inactive != "" {
		c.add(Info, "replication slots", "nobody reads from "+inactive+", which keeps WAL at the source for as long as that lasts", "drop what is not needed any more with pg_drop_replication_slot")
	}
	if senders >= maxSenders {
		c.add(Block, "max_wal_senders", fmt.Sprintf("all %d WAL senders are in use, and following takes one", maxSenders), p.setParameter("max_wal_senders", fmt.Sprint(senders+2)))
	}
	if !mayCreate {
		c.add(Block, "database "+database, "role "+user+" may not create a publication in it, which takes the privilege CREATE on the database",
			"as its owner: GRANT CREATE ON DATABASE "+quote.Ident(database)+" TO "+quote.Ident(user))
	}
	if owner != "" {
		c.add(Warn, "cut-over", "only the owner of database "+database+", "+owner+", can keep writes out of it for the cut-over", "GRANT "+owner+" TO "+quote.Ident(user))
	}
	if !maySignal {
		c.add(Warn, "sessions", "role "+user+" can end sessions of other roles for the cut-over only as a member of pg_signal_backend", "GRANT pg_signal_backend TO "+quote.Ident(user))
	}
	return nil
}

// setParameter tells how to change a parameter of the source that is read when
// the server starts.
func (p *preflight) setParameter(name, value string) string {
	switch {
	case azure(p.sourceOn):
		return "set " + name + " to " + value + " under Server parameters in the portal, or: az postgres flexible-server parameter set --resource-group GROUP --server-name SERVER --name " + name + " --value " + value +
			"; then restart the server: az postgres flexible-server restart --resource-group GROUP --name SERVER"
	case p.sourceOn == platform.Neon && name == "wal_level":
		return "enable logical replication in the settings of the project, which restarts its computes and cannot be undone"
	case p.sourceOn == platform.Neon:
		return "ask the platform's support for a larger " + name
	}
	return "ALTER SYSTEM SET " + name + " = " + value + ", then restart the server; on a managed service set it in the service's own way, which ends in a restart, too"
}

const replicationRightQuery = `SELECT r.rolname::text, r.rolreplication OR r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = session_user`

// replicationRight tries to open a replication connection to the source, which is
// the only way to know that one can be had: the right to it is the role's, but
// also pg_hba.conf and poolers have a say.
func (p *preflight) replicationRight(ctx context.Context) error {
	var user string
	var right bool
	if err := p.source.QueryRow(ctx, replicationRightQuery).Scan(&user, &right); err != nil {
		return fmt.Errorf("read the role's right to replicate: %w", err)
	}
	err := tryReplication(ctx, p.source.Config())
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !right:
		do := "as a superuser: ALTER ROLE " + quote.Ident(user) + " WITH REPLICATION"
		if azure(p.sourceOn) {
			do = "as the server's admin, who may give it to himself: ALTER ROLE " + quote.Ident(user) + " WITH REPLICATION"
		}
		p.checks.add(Block, "role "+user, "it has not the attribute REPLICATION, without which the server gives no changes away", do)
	case pg.Code(err) == "53300":
		// The senders are counted elsewhere, but this may be a matter of a moment.
		p.checks.add(Block, "replication connection", "the source has no WAL sender free: "+err.Error(), p.setParameter("max_wal_senders", "a larger number"))
	default:
		p.checks.add(Block, "replication connection", "the source refuses it: "+err.Error(),
			"allow role "+quote.Ident(user)+" to replicate in pg_hba.conf (a line for this database, not for \"replication\"), and connect to the server itself and not to a pooler")
	}
	return nil
}

// tryReplication opens a connection for logical replication and closes it.
func tryReplication(ctx context.Context, cfg *pgx.ConnConfig) error {
	c := cfg.Config.Copy()
	c.RuntimeParams["replication"] = "database"
	c.RuntimeParams["application_name"] = "pghaul preflight"
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing was done with it
	_, err = conn.Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
	return err
}

// Any role may see who holds the lock of a transaction that writes, but the age
// of a transaction only its own and members of pg_monitor.
const transactionsQuery = `SELECT l.pid::text, coalesce(a.usename::text, ''), coalesce(a.datname::text, ''),
  extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8, coalesce(a.state, '')
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
GROUP BY 1, 2, 3, 4, 5
ORDER BY 4 DESC NULLS LAST, 1`

const preparedQuery = `SELECT gid, owner::text, database::text, extract(epoch FROM pg_catalog.clock_timestamp() - prepared)::float8
FROM pg_catalog.pg_prepared_xacts ORDER BY prepared, gid`

// transactions tells of those that have written and are still open: the slot is
// ready when they have ended. Those of all databases of the server count.
func (p *preflight) transactions(ctx context.Context) error {
	rows, err := p.source.Query(ctx, transactionsQuery)
	if err != nil {
		return fmt.Errorf("read the open transactions of the source: %w", err)
	}
	var pid, user, database, state string
	var age *float64
	_, err = pgx.ForEachRow(rows, []any{&pid, &user, &database, &age, &state}, func() error {
		why := "a transaction of role " + user + " in database " + database + " that has written is open"
		if age == nil {
			p.checks.add(Info, "session "+pid, why+", since when this role may not see; the slot is ready when it has ended", "GRANT pg_monitor TO this role to see more")
			return nil
		}
		if d := seconds(*age); d >= p.opts.LongTransaction {
			p.checks.add(Warn, "session "+pid, fmt.Sprintf("%s since %v (%s); the slot is ready, and copying begins, when it has ended", why, d.Round(time.Second), state),
				"end it, or SELECT pg_terminate_backend("+pid+")")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the open transactions of the source: %w", err)
	}
	rows, err = p.source.Query(ctx, preparedQuery)
	if err != nil {
		return fmt.Errorf("read the prepared transactions of the source: %w", err)
	}
	var gid string
	var old float64
	_, err = pgx.ForEachRow(rows, []any{&gid, &user, &database, &old}, func() error {
		if d := seconds(old); d >= p.opts.LongTransaction {
			p.checks.add(Warn, "prepared transaction "+gid, fmt.Sprintf("role %s has left it in database %s %v ago; the slot is ready, and copying begins, when it has ended", user, database, d.Round(time.Second)),
				"COMMIT PREPARED or ROLLBACK PREPARED "+quote.Literal(gid)+" in that database")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the prepared transactions of the source: %w", err)
	}
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// largeObjects tells of what no publication has.
func (p *preflight) largeObjects(ctx context.Context) error {
	var there bool
	var views int
	err := p.source.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata),
  (SELECT count(*) FROM pg_catalog.pg_class WHERE relkind = 'm')`).Scan(&there, &views)
	if err != nil {
		return fmt.Errorf("look for large objects: %w", err)
	}
	if there {
		p.checks.add(Warn, "large objects", "changes to them are not replicated: the target has them as they were when they were copied",
			"do not change them until the cut-over, or leave them out and move them then")
	}
	if views > 0 {
		p.checks.add(Info, "materialized views", "what is in them is not replicated", "REFRESH MATERIALIZED VIEW at the target before the cut-over, or after it")
	}
	return nil
}

// disk tells what SQL can know of the room for the WAL that a slot keeps.
func (p *preflight) disk(ctx context.Context) error {
	v, err := version(p.source)
	if err != nil {
		return err
	}
	var keep, idle, perHour string
	err = p.source.QueryRow(ctx, `SELECT coalesce(pg_catalog.current_setting('max_slot_wal_keep_size', true), '-1'),
  coalesce(pg_catalog.current_setting('idle_replication_slot_timeout', true), '0')`).Scan(&keep, &idle)
	if err != nil {
		return fmt.Errorf("read what WAL the source keeps: %w", err)
	}
	if v.AtLeast(14) {
		err = p.source.QueryRow(ctx, `SELECT coalesce((SELECT pg_catalog.pg_size_pretty((wal_bytes / extract(epoch FROM pg_catalog.now() - stats_reset)::numeric * 3600)::numeric)
  FROM pg_catalog.pg_stat_wal WHERE stats_reset < pg_catalog.now() - interval '1 minute'), '')`).Scan(&perHour)
		if err != nil {
			return fmt.Errorf("read how much WAL the source writes: %w", err)
		}
	}
	var room strings.Builder
	if perHour != "" {
		room.WriteString("; it has written " + perHour + " an hour on average")
	}
	if kept, err := walSize(ctx, p.source); err == nil {
		room.WriteString("; there are " + kept + " of WAL now")
	} else if pg.Code(err) != "42501" {
		return fmt.Errorf("read the size of the source's WAL: %w", err)
	}
	if keep == "-1" {
		do := "see that the disk has room for the WAL of the copy and of each pause, and watch the state of the slot; or set max_slot_wal_keep_size"
		if azure(p.sourceOn) {
			do = "switch on storage autogrow, or see that the disk has room for the WAL of the copy and of each pause: Azure drops a slot when the disk is nearly full"
		}
		p.checks.add(Warn, "disk of the source", "the slot keeps all WAL that is not applied at the target yet, without a limit"+room.String(), do)
	} else {
		p.checks.add(Warn, "max_slot_wal_keep_size", "the slot is lost, and all has to be copied again, when the target is further behind than "+keep+room.String(),
			"set it so that it holds the WAL of the copy and of each pause")
	}
	if idle != "0" {
		p.checks.add(Warn, "idle_replication_slot_timeout", "the server gives up a slot that nobody has read from for "+idle+": while the tables are copied nobody does", "set it to 0 for the time of the migration")
	}
	return nil
}

// walSize is the size of the directory with the WAL. Not every role may see it.
func walSize(ctx context.Context, conn *pgx.Conn) (string, error) {
	var size string
	err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_size_pretty(sum(size)) FROM pg_catalog.pg_ls_waldir()`).Scan(&size)
	return size, err
}
