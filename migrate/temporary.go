package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/restore"
)

// temporaryPhase is the phase, in the journal, of what is there only while a
// run is at work: whatever becomes of the run, it is taken back at the end, and
// by the next run if this one is killed.
const temporaryPhase = "temporary"

// helper is the name of the role by which owners may create in schemas for the
// time of a run. To give a table to somebody, one needs to be a member of him,
// and he needs the right to create in the schema; he does not keep it.
//
// One role that all owners are members of, instead of grants to each owner,
// leaves nothing behind that could be taken for the source's own grants: what is
// granted to it goes with it.
func helper(run string) string { return "pghaul_helper_" + run }

// temporary is what a run needs of rights and does not leave behind.
type temporary struct {
	worker  *worker
	journal *restore.TargetJournal
	me      string
	version int // server_version_num of the target
	super   bool
	warn    func(string)
	raised  bool
}

func (t *temporary) v16() bool { return t.version >= 160000 }

// raise makes the target's user a member of owners, and lets these create in
// schemas. Owners and schemas that are not there are left out. Calling it again
// does nothing. Without schemas owners are not to create anything.
func (t *temporary) raise(ctx context.Context, owners, schemas []string) error {
	if t.super || len(owners) == 0 || t.raised {
		return nil
	}
	t.raised = true
	there, err := t.worker.texts(ctx, "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::text[]) AND rolname <> $2 AND rolname NOT LIKE 'pg\\_%' ORDER BY 1", owners, t.me)
	if err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	for _, x := range there {
		if err := t.member(ctx, x); err != nil {
			return fmt.Errorf("become a member of role %q, to give it what it owns: %w", x, err)
		}
	}
	if len(there) == 0 || len(schemas) == 0 {
		return nil
	}
	if err := t.inherit(ctx, there); err != nil {
		return err
	}
	return t.help(ctx, there, schemas)
}

// member makes the user a member of a role.
func (t *temporary) member(ctx context.Context, x string) error {
	able := "pg_catalog.pg_has_role($1, 'USAGE')"
	if t.v16() {
		able += " AND pg_catalog.pg_has_role($1, 'SET')"
	}
	is, err := t.worker.texts(ctx, "SELECT ("+able+")::text", x)
	if err != nil {
		return err
	}
	if is[0] == "true" {
		return nil
	}
	have, err := t.worker.texts(ctx, membershipQuery(t.v16()), x, t.me, "")
	if err != nil {
		return err
	}
	role, me := quote.Ident(x), quote.Ident(t.me)
	grant, undo := "GRANT "+role+" TO "+me, "REVOKE "+role+" FROM "+me
	if t.v16() {
		if len(have) > 0 {
			undo = fmt.Sprintf("%s WITH INHERIT %t, SET %t", grant, have[0][1] == 't', have[0][2] == 't')
		}
		grant += " WITH INHERIT TRUE, SET TRUE"
	} else if len(have) > 0 {
		return nil // there is one row a role and member
	}
	return t.worker.step(ctx, restore.Note{Key: "temporary membership in " + role, Phase: temporaryPhase, Undo: literal(ifRole(x, undo))}, grant+";")
}

// ifRole runs a statement only if a role is there: it may have been taken back.
func ifRole(name, sql string) string {
	return "DO " + quote.Dollar(fmt.Sprintf("BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN EXECUTE %s; END IF; END",
		quote.Literal(name), quote.Literal(sql)))
}

// inherit has owners inherit what the helper may, where that is an attribute of
// the member and not of the membership.
func (t *temporary) inherit(ctx context.Context, owners []string) error {
	if t.v16() {
		return nil
	}
	not, err := t.worker.texts(ctx, "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::text[]) AND NOT rolinherit", owners)
	if err != nil {
		return fmt.Errorf("read roles: %w", err)
	}
	for _, x := range not {
		role := quote.Ident(x)
		err := t.worker.step(ctx, restore.Note{
			Key: "temporary INHERIT of " + role, Phase: temporaryPhase, Undo: literal(ifRole(x, "ALTER ROLE "+role+" NOINHERIT")),
		}, "ALTER ROLE "+role+" INHERIT;")
		if err != nil {
			return fmt.Errorf("have role %q inherit for the time of the run, to give it what it owns: %w", x, err)
		}
	}
	return nil
}

// help makes the helper role.
func (t *temporary) help(ctx context.Context, owners, schemas []string) error {
	name := helper(t.journal.Run().ID)
	role := quote.Ident(name)
	inherit := ""
	if t.v16() {
		inherit = " WITH INHERIT TRUE"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE ROLE %s NOLOGIN;\nGRANT %s TO %s%s;\n", role, role, quote.Ident(t.me), inherit)
	for _, x := range owners {
		fmt.Fprintf(&b, "GRANT %s TO %s%s;\n", role, quote.Ident(x), inherit)
	}
	note := restore.Note{Key: "temporary role " + role, Phase: temporaryPhase, Undo: literal(dropRole(name, t.v16()))}
	if err := t.worker.step(ctx, note, b.String()); err != nil {
		return fmt.Errorf("make a role for the time of the run, by which owners may create: %w", err)
	}
	grants, err := t.worker.texts(ctx, `SELECT 'DATABASE ' || pg_catalog.quote_ident(pg_catalog.current_database())
UNION ALL SELECT 'SCHEMA ' || pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1::text[])`, schemas)
	if err != nil {
		return fmt.Errorf("read schemas: %w", err)
	}
	for _, on := range grants {
		rights := "CREATE"
		if strings.HasPrefix(on, "SCHEMA ") {
			rights = "USAGE, CREATE"
		}
		if err := t.worker.exec(ctx, fmt.Sprintf("GRANT %s ON %s TO %s", rights, on, role)); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t.warn(fmt.Sprintf("owners cannot be given the right to create in %s for the time of the run: what they own there may fail (%v)", strings.ToLower(on[:1])+on[1:], err))
		}
	}
	return nil
}

// lowerFor is how long the taking back of what is temporary may take when the
// run has been cancelled.
const lowerFor = time.Minute

// lower takes everything temporary back. It does so even after ctx has ended.
func (t *temporary) lower(ctx context.Context) ([]restore.Remain, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lowerFor)
	defer cancel()
	t.raised = false
	u, err := t.journal.Rollback(ctx, nil, temporaryPhase)
	if err != nil {
		return nil, fmt.Errorf("take back temporary rights: %w", err)
	}
	return u.Remains, nil
}

// with runs do with temporary rights.
func (t *temporary) with(ctx context.Context, owners, schemas []string, do func() error) (err error) {
	defer func() {
		remains, lowered := t.lower(ctx)
		for _, r := range remains {
			lowered = errors.Join(lowered, fmt.Errorf("%s: %w", r.Key, r.Err))
		}
		if lowered != nil {
			err = errors.Join(err, fmt.Errorf("rights that were for the time of the run are left in the target: %w", lowered))
		}
	}()
	if err := t.raise(ctx, owners, schemas); err != nil {
		return err
	}
	return do()
}

// unique sorts names and leaves out "" and what is there twice.
func unique(names []string) []string {
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	slices.Sort(names)
	return slices.Compact(names)
}
