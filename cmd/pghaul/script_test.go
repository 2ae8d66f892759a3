//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// runAsCommand makes the test binary behave as the command itself.
const runAsCommand = "PGHAUL_TEST_RUN_AS_COMMAND"

// newest is the newest version under test.
func newest(t *testing.T) int { return slices.Max(pgtest.Versions(t)) }

// command is the command itself, in a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), runAsCommand+"=1", "HOME="+t.TempDir())
	return cmd
}

func TestMain(m *testing.M) {
	if os.Getenv(runAsCommand) != "" {
		main()
		return
	}
	pgtest.Main(m, func() error { return goleak.Find() })
}

// scriptEnv puts the command on the path of a script.
func scriptEnv(env *testscript.Env) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(env.WorkDir, ".bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(bin, "pghaul")); err != nil {
		return err
	}
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv(runAsCommand, "1")
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("LC_ALL", "C.UTF-8")
	return keepSecret(env)
}

// storySecret is the password of every connection in scripts and stories.
const storySecret = "kX9-whispered-only"

// keepSecret gives a script the password, and fails it if any file that the
// script leaves shows it, such as a report or an audit log.
func keepSecret(env *testscript.Env) error {
	passfile := filepath.Join(env.WorkDir, ".pgpass")
	env.Defer(func() {
		err := filepath.WalkDir(env.WorkDir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || path == passfile {
				return err
			}
			text, err := os.ReadFile(path)
			if err == nil && bytes.Contains(text, []byte(storySecret)) {
				err = fmt.Errorf("%s shows the password", path)
			}
			return err
		})
		if err != nil {
			env.T().Log(err)
			env.T().FailNow()
		}
	})
	return os.WriteFile(passfile, []byte("*:*:*:*:"+storySecret+"\n"), 0o600)
}

// A listener hears all that a script's commands print, and fails if a password
// is in it.
type listener struct{ *testing.T }

// Run implements testscript.T.
func (l listener) Run(name string, f func(testscript.T)) {
	l.T.Run(name, func(t *testing.T) { f(listener{t}) })
}

// Log implements testscript.T.
func (l listener) Log(args ...any) {
	l.Helper()
	if strings.Contains(fmt.Sprint(args...), storySecret) {
		l.Error("the password was printed")
	}
	l.T.Log(args...)
}

// Verbose implements testscript.T: everything is to be heard.
func (listener) Verbose() bool { return true }

// TestScripts runs the stories that need no server.
func TestScripts(t *testing.T) {
	testscript.RunT(listener{t}, testscript.Params{
		Dir: "testdata/script", Setup: scriptEnv, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// TestStories runs those that need one, on the newest version under test.
func TestStories(t *testing.T) {
	server := pgtest.Start(t, newest(t))
	testscript.RunT(listener{t}, testscript.Params{
		Dir: "testdata/story", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOST", server.Host)
			env.Setenv("PORT", strconv.Itoa(server.Port))
			env.Setenv("USER", server.Superuser)
			return scriptEnv(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			// database VAR makes a database; $VAR is its URL and $VAR_NAME its name.
			"database": func(ts *testscript.TestScript, _ bool, args []string) {
				name := server.Database(t)
				ts.Setenv(args[0], server.DSN(name))
				ts.Setenv(args[0]+"_NAME", name)
			},
			// sql VAR FILE runs a script in a database.
			"sql": func(ts *testscript.TestScript, _ bool, args []string) {
				server.Exec(t, ts.Getenv(args[0]+"_NAME"), ts.ReadFile(args[1]))
			},
			// query VAR SQL prints what a query returns, for stdout.
			"query": func(ts *testscript.TestScript, _ bool, args []string) {
				_, err := ts.Stdout().Write([]byte(server.Text(t, ts.Getenv(args[0]+"_NAME"), args[1]) + "\n"))
				ts.Check(err)
			},
		},
	})
}

// exits STATUS COMMAND... runs a command that must end with this exit status.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		text, found := strings.CutPrefix(err.Error(), "exit status ")
		if got, err = strconv.Atoi(text); !found || err != nil {
			ts.Fatalf("%s: not an exit status", text)
		}
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}
