package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/restore"
)

// journalOptions say what becomes of the journal by which a restore that was
// killed goes on.
type journalOptions struct {
	resume, none, discard bool
}

func (o *journalOptions) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.resume, "resume", false, "go on with the restore that the target's journal tells of")
	f.BoolVar(&o.none, "no-journal", false, "keep no journal in the target, in schema pghaul, while the restore runs")
	f.BoolVar(&o.discard, "discard-journal", false, "forget the journal of a run that was not finished, and keep what it made")
}

func (o *journalOptions) check(r *restoreFlags) error {
	for _, pair := range []struct {
		both          bool
		first, second string
	}{
		{o.resume && o.none, "--resume", "--no-journal"},
		{o.resume && o.discard, "--resume", "--discard-journal"},
		{o.none && o.discard, "--no-journal", "--discard-journal"},
		{o.resume && r.SingleTransaction, "--resume", "-1/--single-transaction"},
		{o.resume && r.txSize > 0, "--resume", "--transaction-size"},
		{o.resume && r.Create, "--resume", "-C/--create"},
		{o.resume && r.Clean, "--resume", "-c/--clean"},
	} {
		if pair.both {
			return usagef("%s and %s contradict each other", pair.first, pair.second)
		}
	}
	return nil
}

// open returns the journal of a restore, nil for one that keeps none: in single
// transactions, where nothing is there before all is, and where the database is
// created by the run.
func (o *journalOptions) open(r *restoreFlags, g *globals, source restore.Source, target *pgx.ConnConfig) *restore.TargetJournal {
	if o.none || r.SingleTransaction || r.txSize > 0 || r.Create {
		return nil
	}
	return restore.NewJournal(target, restore.JournalOptions{
		Verb: "restore", Tool: toolName(), Source: restore.Fingerprint(source), Role: r.Role,
		Resume: o.resume, Discard: o.discard, Logger: g.log,
	})
}

// closeJournal ends the journal of a run that ended with err. It goes with a run
// that came to its end, be it that it stopped at an error as it was told to, and
// stays for --resume with one that was interrupted or lost its target.
func closeJournal(ctx context.Context, j *restore.TargetJournal, err error) error {
	if j == nil {
		return err
	}
	defer j.Close()
	if _, stopped := errors.AsType[*restore.StepError](err); err != nil && (!stopped || ctx.Err() != nil) {
		return err
	}
	return cmpErr(err, j.Finish(ctx))
}
