package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

// Rollback undoes the run whose journal is in the target: everything it made is
// dropped, and what was there before is as it was. It is for migrations and
// restores alike. What cannot be taken back is in the report; an error says that
// it could not go on, as when the target is lost, and then it can be called
// again. Without a journal it is restore.ErrNoJournal.
func Rollback(ctx context.Context, target *pgx.ConnConfig, opts RollbackOptions) (*RollbackReport, error) {
	f, err := facts(ctx, "target", target, "")
	if err != nil {
		return nil, err
	}
	if host, changed := platform.OfHost(target.Host).DirectHost(target.Host); changed {
		return nil, fmt.Errorf("%s is a pooler, which gives every statement another session: connect to %s", target.Host, host)
	}
	j := restore.NewJournal(target, restore.JournalOptions{Any: true, Logger: opts.Logger})
	if err := j.Start(ctx); err != nil {
		return nil, err
	}
	defer j.Close()
	var kept details
	if text := j.Run().Details; text != "" {
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
	}
	first := max(0, slices.IndexFunc(Phases(), func(p Phase) bool { return slices.Contains(opts.Phases, p) }))
	w := &worker{target: j.Target(), journal: j}
	defer w.close()
	var warnings []string
	t := &temporary{
		worker: w, journal: j, me: f.User.Name, version: f.Version, super: f.User.Superuser,
		warn: func(text string) { warnings = append(warnings, text) },
	}
	if remains, err := t.lower(ctx); err != nil {
		return nil, err
	} else if len(remains) > 0 {
		return nil, fmt.Errorf("rights that the run had for a time cannot be taken back: %s: %w", remains[0].Key, remains[0].Err)
	}
	opts.Progress.Phase("rollback")
	var rep *RollbackReport
	err = t.with(ctx, kept.Owners, nil, func() (err error) {
		rep, err = undo(ctx, j, Phases()[first:])
		return err
	})
	if err != nil {
		return rep, err
	}
	if first > 0 || len(rep.Remains) > 0 {
		return rep, nil
	}
	keys, err := j.Keys(ctx)
	if err == nil && len(keys) > 0 {
		err = errors.New("the journal has steps of phases that this version does not know")
	}
	if err != nil {
		return rep, err
	}
	return rep, j.Finish(ctx)
}
