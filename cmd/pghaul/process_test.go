//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// limited is the command, started by a shell that runs setup first.
func limited(t *testing.T, setup string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", setup + `; exec "$0" "$@"`, os.Args[0]}, args...)
	return cmd
}

// closedPipe is the end to write to of a pipe that nobody reads from.
func closedPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	r.Close()
	return w
}

// Who reads the messages may go away: the work is done all the same. Who wants
// the result is told that it could not be written.
func TestClosedPipes(t *testing.T) {
	s := pgtest.Start(t, newest(t))
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
	dir := filepath.Join(t.TempDir(), "out")
	dump := command(t, "dump", "-vv", "-d", s.DSN(db), "-f", dir)
	dump.Stderr = closedPipe(t)
	if err := dump.Run(); err != nil {
		t.Errorf("dump with stderr closed: %v", err)
	}
	if out, err := command(t, "archive", "check", dir).CombinedOutput(); err != nil {
		t.Errorf("the archive is not whole: %v\n%s", err, out)
	}
	var messages bytes.Buffer
	verify := command(t, "verify", "--archive", dir, "--target", s.DSN(db))
	verify.Stdout, verify.Stderr = closedPipe(t), &messages
	if err := verify.Run(); verify.ProcessState.ExitCode() != exitFailed || !strings.Contains(messages.String(), "broken pipe") {
		t.Errorf("verify with stdout closed: %v\n%s", err, &messages)
	}
}

// A process that was started to ignore signals, as by nohup, ignores them.
func TestIgnoredSignals(t *testing.T) {
	s := pgtest.Start(t, newest(t))
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE held AS SELECT 1 AS i")
	holder := s.Conn(t, db)
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := limited(t, `trap "" HUP INT`, "dump", "-d", s.DSN(db), "-f", filepath.Join(t.TempDir(), "out"))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const waits = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'held' AND NOT l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
	for deadline := time.Now().Add(time.Minute); s.Text(t, db, waits) != "t"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the dump does not come to wait for the lock")
			break
		}
	}
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if err := cmd.Process.Signal(signal); err != nil {
			t.Error(err)
		}
	}
	if _, err := holder.Exec(context.Background(), "COMMIT"); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the dump was stopped: %v\n%s", err, &out)
	}
}

// Without file descriptors nothing is half done, and the reason is told.
func TestFewDescriptors(t *testing.T) {
	s := pgtest.Start(t, newest(t))
	db, target := s.Database(t), s.Database(t)
	s.Exec(t, db, "DO $$ BEGIN FOR i IN 1..12 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT generate_series(1, 20000) AS i', i); END LOOP; END $$")
	dir := filepath.Join(t.TempDir(), "out")
	out, err := limited(t, "ulimit -n 14", "dump", "-j", "10", "-d", s.DSN(db), "-f", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "too many open files") {
		t.Errorf("dump without descriptors: %v\n%s", err, out)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind: %v", dir, err)
	}
	if out, err := command(t, "dump", "-d", s.DSN(db), "-f", dir).CombinedOutput(); err != nil {
		t.Fatalf("dump: %v\n%s", err, out)
	}
	out, err = limited(t, "ulimit -n 14", "restore", "-j", "12", "-d", s.DSN(target), dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "too many open files") {
		t.Errorf("restore without descriptors: %v\n%s", err, out)
	}
}
