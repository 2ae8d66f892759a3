package main

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

// policyOptions are what restore has of migrate: an archive is restored by the
// policy of the target's platform.
type policyOptions struct {
	mode string // auto, on, off
	move migrateFlags
}

func (o *policyOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.mode, "platform-policy", "auto", "restore by the policy of the target's platform: `auto`, if it is a managed one; on; off")
	f.StringVar(&o.move.plan, "plan", "", "follow the plan in `FILE`, made by pghaul plan --archive -o and edited maybe")
	o.move.addPolicy(f)
	o.move.addOutputs(f)
}

// check turns the flags into options.
func (o *policyOptions) check(r *restoreFlags) (err error) {
	switch o.mode {
	case "auto", "off":
		if o.move.plan != "" && o.mode == "auto" {
			o.mode = "on"
		}
	case "on":
	default:
		return usagef("--platform-policy %q: want auto, on or off", o.mode)
	}
	if name := r.unlikeMigrate(); name != "" && o.mode == "on" {
		return usagef("%s is not for a restore by a platform's policy: leave it out, or take --platform-policy off", name)
	}
	if o.mode == "off" && o.move.plan != "" {
		return usagef("--plan and --platform-policy off contradict each other")
	}
	o.move.Jobs, o.move.Resume = r.Jobs, r.journal.resume
	return o.move.options()
}

// unlikeMigrate names an option that was given and has no meaning for a restore
// by policy, "" for none.
func (o *restoreFlags) unlikeMigrate() string {
	for _, x := range []struct {
		name  string
		given bool
	}{
		{"-C/--create", o.Create},
		{"-1/--single-transaction", o.SingleTransaction},
		{"--transaction-size", o.txSize > 0},
		{"--section", len(o.sections) > 0},
		{"-a/--data-only", o.DataOnly},
		{"--no-schema", o.NoSchema},
		{"--statistics-only", o.StatisticsOnly},
		{"--disable-triggers", o.DisableTriggers},
		{"-L/--use-list", o.useList != ""},
		{"--role", o.Role != ""},
		{"--no-journal", o.journal.none},
		{"--discard-journal", o.journal.discard},
	} {
		if x.given {
			return x.name
		}
	}
	return ""
}

// byPolicy decides whether the policy of the target's platform is followed.
func (o *restoreFlags) byPolicy(ctx context.Context, g *globals, target *pgx.ConnConfig) bool {
	if o.policy.mode != "auto" {
		return o.policy.mode == "on"
	}
	name := platform.Name(o.policy.move.targetPlatform)
	if name == "" {
		conn, err := pg.Connect(ctx, target, pg.ReadCatalog, pg.Options{Application: "pghaul restore"})
		if err != nil {
			return false // the restore will meet the same error, and tell it
		}
		defer pg.Close(conn)
		if name, err = platform.Recognise(ctx, conn); err != nil {
			return false
		}
	}
	if name == platform.Plain {
		return false
	}
	if flag := o.unlikeMigrate(); flag != "" {
		g.note("restoring as pg_restore does, without the policy for %s, because of %s", name.Title(), flag)
		return false
	}
	return true
}

// runPolicy restores as migrate does.
func (o *restoreFlags) runPolicy(ctx context.Context, g *globals, source restore.Source, target *pgx.ConnConfig) (*migrate.Report, error) {
	part, err := o.part(source)
	if err != nil {
		return nil, err
	}
	m := &o.policy.move
	m.verb, m.blockedHint = "restored", "; --platform-policy off restores as pg_restore does"
	if m.rules.Collision = platform.Ignore; o.Clean {
		m.rules.Collision = platform.Clean
	}
	// Without owners and privileges no roles are needed.
	m.rules.NoRoles = m.rules.NoRoles || o.NoOwner && o.NoPrivileges
	m.Rules = m.rules
	// As pg_restore: go on after errors, or stop and leave what is there.
	m.KeepGoing, m.NoRollback = !o.ExitOnError, true
	m.NoVerify, m.NoAnalyze = true, true
	r, err := m.run(ctx, g, "restoring", func(opts migrate.Options) (*migrate.Report, error) {
		return migrate.RunArchive(ctx, part, target, opts)
	})
	if closeErr := m.secrets.close(); closeErr != nil && err == nil {
		err = closeErr
	}
	return r, err
}

// part is what the options select of an archive, and what that says of the
// database as a whole, which pg_restore takes with --create only: the plan makes
// it about the target's own database, and goes by its owner.
func (o *restoreFlags) part(source restore.Source) (restore.Source, error) {
	wanted, err := restore.Select(source, o.Options)
	if err != nil {
		return nil, err
	}
	ids := map[int]bool{}
	for i := range wanted {
		ids[wanted[i].ID] = true
	}
	var entries []archive.Entry
	for _, e := range source.Entries() {
		if ids[e.ID] || o.aboutDatabase(&e) {
			entries = append(entries, e)
		}
	}
	for i := range entries {
		if o.NoOwner {
			entries[i].Owner = ""
		}
		if o.NoTablespaces && entries[i].Tablespace != nil {
			entries[i].Tablespace = new(string)
		}
		if o.NoTableAccessMethod {
			entries[i].AccessMethod = nil
		}
	}
	return selected{source, entries}, nil
}

// aboutDatabase says that an entry is about the archive or its database as a
// whole, and is not left out by an option.
func (o *restoreFlags) aboutDatabase(e *archive.Entry) bool {
	whole := len(o.Schemas)+len(o.Tables)+len(o.Indexes)+len(o.Functions)+len(o.Triggers) == 0
	ofDatabase := whole && strings.HasPrefix(e.Tag, "DATABASE ")
	switch e.Kind {
	case "DATABASE", "DATABASE PROPERTIES", "ENCODING", "STDSTRINGS", "SEARCHPATH":
		return true
	case "ACL":
		return ofDatabase && !o.NoPrivileges
	case "COMMENT":
		return ofDatabase && !o.NoComments
	case "SECURITY LABEL":
		return ofDatabase && !o.NoSecurityLabels
	}
	return false
}

// selected is a part of a source.
type selected struct {
	restore.Source
	entries []archive.Entry
}

// Entries implements restore.Source.
func (s selected) Entries() []archive.Entry { return s.entries }
