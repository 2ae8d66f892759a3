//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/redact"
)

// secrets are the passwords that the stories use. No output may hold them. The
// servers let everybody in, so that no story depends on them.
var secrets = map[string]string{"azadmin": "Azure-s3cr3t-1", "neondb_owner": "Neon-s3cr3t-22", "app_rw": "App-rw-s3cr3t-333"}

// TestPlatformStories runs the stories of moves from Azure to Neon, each in a
// Neon of its own, since roles belong to the whole server. Azure is shared: it
// is only read, but for databases that a story makes.
func TestPlatformStories(t *testing.T) {
	azure := pgtest.Azure(t)
	azure.LogStatements(t)
	files, err := filepath.Glob("testdata/platform/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			neon := pgtest.Neon(t)
			neon.LogStatements(t)
			s := &platformStory{t, azure, neon}
			testscript.Run(t, testscript.Params{
				Files: []string{file}, RequireExplicitExec: true, Setup: s.setup,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"haul": s.haul, "source": s.source, "target": s.target, "query": s.query, "sql": s.sql,
					"secretless": s.secretless, "audited": s.audited, "when": s.when,
				},
			})
		})
	}
}

type platformStory struct {
	t           *testing.T
	azure, neon *pgtest.Server
}

// dsn is the URL by which a customer connects, with the password.
func dsn(server *pgtest.Server, user, database string) string {
	u, err := url.Parse(server.UserDSN(user, database))
	if err != nil {
		panic(err)
	}
	u.User = url.UserPassword(user, secrets[user])
	return u.String()
}

func (s *platformStory) setup(env *testscript.Env) error {
	env.Setenv("AZURE", dsn(s.azure, "azadmin", "appdb"))
	env.Setenv("NEON", dsn(s.neon, "neondb_owner", "neondb"))
	env.Setenv("PGHAUL_SOURCE", dsn(s.azure, "azadmin", "appdb"))
	env.Setenv("PGHAUL_TARGET", dsn(s.neon, "neondb_owner", "neondb"))
	return scriptEnv(env)
}

// haul STATUS ARG... runs pghaul, which must end with this status and show no
// secrets.
func (s *platformStory) haul(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, append([]string{args[0], "pghaul"}, args[1:]...))
	for _, stream := range []string{"stdout", "stderr"} {
		leaks(ts, stream, ts.ReadFile(stream))
	}
}

func leaks(ts *testscript.TestScript, name, text string) {
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			ts.Fatalf("%s shows the password %s", name, secret)
		}
	}
}

// source NAME makes an empty database of azadmin's on Azure; PGHAUL_SOURCE is its
// URL.
func (s *platformStory) source(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.azure.Server.ExecAs(s.t.Context(), "azadmin", "postgres", "CREATE DATABASE "+args[0]))
	ts.Setenv("PGHAUL_SOURCE", dsn(s.azure, "azadmin", args[0]))
}

// target NAME makes an empty database on Neon; PGHAUL_TARGET is its URL.
func (s *platformStory) target(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.neon.Server.Exec(s.t.Context(), "postgres", "CREATE DATABASE "+args[0]+" OWNER neondb_owner"))
	ts.Setenv("PGHAUL_TARGET", dsn(s.neon, "neondb_owner", args[0]))
}

func (s *platformStory) at(ts *testscript.TestScript, variable string) (*pgtest.Server, string) {
	u, err := url.Parse(ts.Getenv(variable))
	ts.Check(err)
	server := s.neon
	if u.Port() == strconv.Itoa(s.azure.Port) {
		server = s.azure
	}
	return server, strings.TrimPrefix(u.Path, "/")
}

// query VAR SQL prints what a superuser sees.
func (s *platformStory) query(ts *testscript.TestScript, _ bool, args []string) {
	server, database := s.at(ts, args[0])
	_, err := ts.Stdout().Write([]byte(s.text(ts, server, database, args[1]) + "\n"))
	ts.Check(err)
}

func (s *platformStory) text(ts *testscript.TestScript, server *pgtest.Server, database, sql string) string {
	rows, err := server.Query(s.t.Context(), database, sql)
	ts.Check(err)
	if len(rows) != 1 || len(rows[0]) != 1 {
		ts.Fatalf("%s: want one value, got %q", sql, rows)
	}
	return rows[0][0]
}

// sql VAR USER SQL runs statements.
func (s *platformStory) sql(ts *testscript.TestScript, _ bool, args []string) {
	server, database := s.at(ts, args[0])
	ts.Check(server.Server.ExecAs(s.t.Context(), args[1], database, args[2]))
}

// when VAR SQL waits until a query of a superuser returns true.
func (s *platformStory) when(ts *testscript.TestScript, _ bool, args []string) {
	server, database := s.at(ts, args[0])
	for range 3000 {
		if s.text(ts, server, database, args[1]) == "t" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("never true: %s", args[1])
}

// secretless looks for secrets in all files that a story has made, apart from
// those that are meant to hold them.
func (s *platformStory) secretless(ts *testscript.TestScript, _ bool, _ []string) {
	work := ts.MkAbs(".")
	checked := 0
	ts.Check(filepath.WalkDir(work, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == ".bin" {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || strings.Contains(d.Name(), "passwords") {
			return nil
		}
		text, err := os.ReadFile(path)
		leaks(ts, path, string(text))
		checked++
		return err
	}))
	if checked == 0 {
		ts.Fatalf("there are no files to look into")
	}
}

// audited FILE compares an audit log with what the servers have logged: every
// statement of neondb_owner, and every one of the sessions with Azure.
func (s *platformStory) audited(ts *testscript.TestScript, _ bool, args []string) {
	type key struct {
		pid       int
		statement string
	}
	sent := map[key]int{}
	sessions := map[int]bool{}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var r struct {
			Event      string
			Connection struct {
				User string
				PID  int
			}
			Role, Statement, Result string
			Rows                    *int64
		}
		d := json.NewDecoder(bytes.NewReader([]byte(line)))
		ts.Check(d.Decode(&r))
		switch r.Event {
		case "connect":
			if r.Connection.User == "azadmin" {
				sessions[r.Connection.PID] = true
			}
		case "send":
			sent[key{r.Connection.PID, r.Statement}]++
			if r.Role == "" {
				ts.Fatalf("no role: %s", line)
			}
		}
	}
	for _, server := range []*pgtest.Server{s.azure, s.neon} {
		checked := 0
		for _, st := range server.Statements(s.t) {
			if server == s.azure && !sessions[st.PID] || server == s.neon && st.User != "neondb_owner" {
				continue
			}
			text := redact.SQL(st.Text)
			k := key{st.PID, text[:min(len(text), 64<<10)]}
			if sent[k] == 0 {
				ts.Fatalf("PostgreSQL %d was sent this by session %d, of which the audit does not tell: %.300s", server.Major, st.PID, text)
			}
			sent[k]--
			checked++
		}
		if checked < 20 {
			ts.Fatalf("only %d statements in the log of PostgreSQL %d", checked, server.Major)
		}
	}
}
