package replicate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// subscribeWait is how long the target's server may take to reach the source.
const subscribeWait = 30 * time.Second

// subscription is what the target knows of one of its own.
type subscription struct {
	there, enabled bool
}

func readSubscription(ctx context.Context, target *pgx.Conn, name string) (subscription, error) {
	s := subscription{there: true}
	err := target.QueryRow(ctx, `SELECT subenabled FROM pg_catalog.pg_subscription
WHERE subname = $1 AND subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`, name).Scan(&s.enabled)
	if errors.Is(err, pgx.ErrNoRows) {
		return subscription{}, nil
	}
	if err != nil {
		return subscription{}, fmt.Errorf("look for subscription %s on the target: %w", name, err)
	}
	return s, nil
}

// subscribe makes the subscription where it is not there, and enables it. The
// slot is where the copy ended, so that it begins with what the copy has not.
//
// Two processes at a time would give the subscription's role a password each, and
// one might make again what a cut-over has just dropped: the second waits, and finds
// that the follow has ended.
func (f *Follow) subscribe(ctx context.Context, source, target *pgx.Conn) error {
	return locked(ctx, target, f.Subscription, func() error { return f.subscribeLocked(ctx, source, target) })
}

// locked does something to a subscription while nobody else does.
func locked(ctx context.Context, target *pgx.Conn, subscription string, do func() error) (err error) {
	const key = "pg_catalog.hashtextextended('pghaul subscription ' || $1, 0)"
	if _, err := target.Exec(ctx, "SELECT pg_catalog.pg_advisory_lock("+key+")", subscription); err != nil {
		return fmt.Errorf("lock subscription %s: %w", subscription, err)
	}
	defer func() {
		if target.IsClosed() {
			return // and the lock with it
		}
		if _, unlock := target.Exec(ctx, "SELECT pg_catalog.pg_advisory_unlock("+key+")", subscription); err == nil && unlock != nil {
			err = fmt.Errorf("unlock subscription %s: %w", subscription, unlock)
		}
	}()
	return do()
}

func (f *Follow) subscribeLocked(ctx context.Context, source, target *pgx.Conn) error {
	r, err := readRecord(ctx, target, f.ID)
	if err != nil {
		return err
	}
	if r.Done() {
		return ErrEnded
	}
	sub, err := readSubscription(ctx, target, f.Subscription)
	if err != nil {
		return err
	}
	if !sub.there {
		if err := f.createSubscription(ctx, source, target); err != nil {
			return err
		}
	}
	if !sub.enabled {
		if _, err := target.Exec(ctx, "ALTER SUBSCRIPTION "+quote.Ident(f.Subscription)+" ENABLE"); err != nil {
			return fmt.Errorf("enable subscription %s on the target: %w", f.Subscription, err)
		}
	}
	return nil
}

func (f *Follow) createSubscription(ctx context.Context, source, target *pgx.Conn) error {
	for i := range f.Tables {
		if t := &f.Tables[i]; t.targetSchema() != t.Schema || t.targetName() != t.Name {
			return fmt.Errorf("table %s is called %s on the target, and a subscription cannot rename: use engine %s", t, t.Target(), EngineApply)
		}
	}
	cfg, warning, err := f.subscriber(ctx, source)
	if err != nil {
		return err
	}
	publications := quote.Ident(f.Publication)
	if f.InsertPublication != "" {
		publications += ", " + quote.Ident(f.InsertPublication)
	}
	// Not disable_on_error: a lost connection is an error to it, too, and would end
	// the following when nobody looks.
	with := "copy_data = false, create_slot = false, enabled = false, slot_name = " + quote.Literal(f.Slot)
	// For the statement's time see preflight.unreached.
	statements := []string{
		fmt.Sprintf("BEGIN; SET LOCAL statement_timeout = %d", subscribeWait.Milliseconds()),
		"CREATE SUBSCRIPTION " + quote.Ident(f.Subscription) + " CONNECTION " + quote.Literal(subscriptionConninfo(cfg, f.targetName())) +
			" PUBLICATION " + publications + " WITH (" + with + ")",
		"COMMIT",
	}
	for _, sql := range statements {
		if _, err := target.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			if pg.Code(err) == "57014" {
				err = fmt.Errorf("the source did not answer at %s within %v", cfg.Host, subscribeWait)
			}
			_, rollback := target.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
			return fmt.Errorf("create subscription %s on the target: %w", f.Subscription, errors.Join(unquoted(err, cfg.Password), rollback))
		}
	}
	if warning != "" {
		f.log.Warn(warning)
		return addWarning(ctx, target, f.ID, warning)
	}
	return nil
}

// unquoted takes a password out of an error of the server.
func unquoted(err error, password string) error {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || password == "" {
		return err
	}
	c := *pe
	for _, text := range []*string{&c.Message, &c.Detail, &c.Hint, &c.Where, &c.InternalQuery} {
		*text = strings.ReplaceAll(*text, password, "***")
	}
	return &c
}

// addWarning keeps a warning with the follow, once.
func addWarning(ctx context.Context, target *pgx.Conn, id, text string) error {
	return setRecord(ctx, target, id, "warnings = CASE WHEN warnings ? $2 THEN warnings ELSE warnings || pg_catalog.to_jsonb($2::text) END", text)
}

// disable stops a subscription, if it is there.
func disable(ctx context.Context, target *pgx.Conn, name string) error {
	sub, err := readSubscription(ctx, target, name)
	if err != nil || !sub.enabled {
		return err
	}
	if _, err := target.Exec(ctx, "ALTER SUBSCRIPTION "+quote.Ident(name)+" DISABLE"); err != nil {
		return fmt.Errorf("disable subscription %s on the target: %w", name, err)
	}
	return nil
}

// dropSubscription drops a subscription, if it is there, and leaves the slot, for
// which the source need not be reached. Its worker has ended when it returns.
func dropSubscription(ctx context.Context, target *pgx.Conn, name string) error {
	if name == "" {
		return nil
	}
	return locked(ctx, target, name, func() error { return dropLocked(ctx, target, name) })
}

func dropLocked(ctx context.Context, target *pgx.Conn, name string) error {
	if err := disable(ctx, target, name); err != nil {
		return err
	}
	sub, err := readSubscription(ctx, target, name)
	if err != nil || !sub.there {
		return err
	}
	sql := "ALTER SUBSCRIPTION " + quote.Ident(name) + " SET (slot_name = NONE); DROP SUBSCRIPTION " + quote.Ident(name)
	if _, err := target.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("drop subscription %s on the target: %w", name, err)
	}
	return nil
}
