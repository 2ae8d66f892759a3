//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// A dump that waits for a lock can be interrupted, gives up by itself if it is
// told to, and leaves nothing behind either way.
func TestInterruptedDump(t *testing.T) {
	// Under nohup SIGHUP is ignored, here and in what is started from here. What
	// is listened to is not, and falls back to its default in a new program.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(heard) })
	s := pgtest.Start(t, newest(t))
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE held (i int)")
	holder := s.Conn(t, db)
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	// The server may not notice for long that a dump is gone while it waits, so
	// waiters are told apart.
	const waiting = `SELECT coalesce(array_agg(l.pid), '{}') FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'held' AND NOT l.granted`
	start := func(t *testing.T, args ...string) (cmd *exec.Cmd, out *bytes.Buffer, dir string) {
		t.Helper()
		dir = filepath.Join(t.TempDir(), "out")
		cmd = command(t, append([]string{"dump", "-d", s.DSN(db), "-f", dir}, args...)...)
		out = new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // if it still runs
		return cmd, out, dir
	}
	check := func(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer, dir string, status int, says string) {
		t.Helper()
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != status || !strings.Contains(out.String(), says) {
			t.Errorf("exit status %d, want %d and %q:\n%s", got, status, says, out)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s was left behind: %v", dir, err)
		}
	}
	for _, c := range []struct {
		signal syscall.Signal
		status int
		says   string
	}{
		{syscall.SIGINT, 130, "pghaul: error: interrupted"},
		{syscall.SIGTERM, 143, "pghaul: error: terminated"},
		{syscall.SIGHUP, 129, "pghaul: error: the terminal was closed"},
	} {
		t.Run(c.signal.String(), func(t *testing.T) {
			before := s.Text(t, db, waiting)
			cmd, out, dir := start(t)
			arrived := "SELECT NOT ('" + before + "'::int[] @> (" + waiting + "))"
			for deadline := time.Now().Add(30 * time.Second); s.Text(t, db, arrived) != "t"; {
				if time.Now().After(deadline) {
					t.Fatalf("the dump does not come to wait for the lock:\n%s", out)
				}
				time.Sleep(20 * time.Millisecond)
			}
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			check(t, cmd, out, dir, c.status, c.says)
		})
	}
	t.Run("lock-wait-timeout", func(t *testing.T) {
		cmd, out, dir := start(t, "--lock-wait-timeout", "0.2s")
		check(t, cmd, out, dir, 1, "held")
	})
}
