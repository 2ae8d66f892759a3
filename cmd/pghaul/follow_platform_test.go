//go:build unix

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// TestFollowPlatformStories runs the stories of following from Azure to Neon, each
// between servers of its own, as their customers: without superusers, and with a
// source that asks for passwords.
func TestFollowPlatformStories(t *testing.T) {
	files, err := filepath.Glob("testdata/follow/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			azure, neon := pgtest.Azure(t), pgtest.Neon(t)
			azure.Exec(t, "postgres", "ALTER SYSTEM SET wal_level = logical")
			azure.Exec(t, "postgres", "ALTER ROLE azadmin WITH REPLICATION PASSWORD '"+secrets["azadmin"]+"'; GRANT pg_signal_backend TO azadmin")
			azure.Exec(t, "postgres", `DO $$ BEGIN EXECUTE format('COPY (SELECT line FROM (VALUES (1, ''host all azuresu 127.0.0.1/32 trust''), (2, ''host all,replication all 127.0.0.1/32 scram-sha-256'')) v(n, line) ORDER BY n) TO %L', current_setting('hba_file')); END $$`)
			azure.Restart(t)
			neon.Exec(t, "postgres", "ALTER SYSTEM SET wal_level = logical")
			neon.Restart(t)
			azure.LogStatements(t)
			neon.LogStatements(t)
			s := &platformStory{t, azure, neon}
			testscript.Run(t, testscript.Params{
				Files: []string{file}, RequireExplicitExec: true, Setup: s.setup,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"haul": s.haul, "source": s.ownedSource, "target": s.target, "query": s.query, "sql": s.application,
					"secretless": s.secretless, "audited": s.audited, "when": s.when,
				},
			})
		})
	}
}

// ownedSource NAME makes an empty database of azadmin's; PGHAUL_SOURCE is its URL.
func (s *platformStory) ownedSource(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.azure.Server.Exec(s.t.Context(), "postgres", "CREATE DATABASE "+args[0]+" OWNER azadmin"))
	ts.Setenv("PGHAUL_SOURCE", dsn(s.azure, "azadmin", args[0]))
}

// application VAR SQL runs statements with the rights of the customer, in a session
// of a superuser's, so that the customer's are pghaul's alone.
func (s *platformStory) application(ts *testscript.TestScript, _ bool, args []string) {
	server, database := s.at(ts, args[0])
	role := "azadmin"
	if server == s.neon {
		role = "neondb_owner"
	}
	ts.Check(server.Server.Exec(s.t.Context(), database, "SET ROLE "+role+"; SET search_path = public; "+args[1]))
}
