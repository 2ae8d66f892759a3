//go:build unix

// Package pgserver runs throwaway PostgreSQL servers for tests and for the
// demonstration: real servers on free loopback ports, as an unprivileged user,
// with durability switched off.
//
// A Fleet owns one directory below the system's temporary directory and one
// watching process. When the Fleet is closed, or the process that made it ends
// in any way, kill -9 included, the watcher stops every server and removes the
// directory. No goroutine runs between calls.
//
// The servers trust every connection from the machine itself unless told
// otherwise: they hold test data only.
package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// host is where servers listen.
const host = "127.0.0.1"

// watch is the watcher's program. Its standard input is a pipe that only the
// Fleet's process holds open, so reading it ends when that process ends. An
// immediate shutdown keeps PostgreSQL's own cleaning of shared memory, which
// a kill -9 does not. A server removes its postmaster.pid last; where one is
// left, its seventh line ends in the id of a segment that nobody has removed.
const watch = `
trap '' INT TERM HUP
cat >/dev/null
for s in "$1"/*/pid; do
	[ -e "$s" ] && kill -QUIT "$(cat "$s")" 2>/dev/null
done
for s in "$1"/*/pid; do
	[ -e "$s" ] || continue
	tries=0
	while [ -e "${s%pid}data/postmaster.pid" ] && [ $tries -lt 100 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	[ $tries -lt 100 ] || kill -KILL "$(cat "$s")" 2>/dev/null
done
for p in "$1"/*/data/postmaster.pid; do
	[ -e "$p" ] && ipcrm -m "$(awk 'NR == 7 { print $2 }' "$p")" 2>/dev/null
done
rm -rf "$1"
`

// A Fleet is a set of servers that live no longer than the process.
type Fleet struct {
	dir     string
	who     *account
	alive   *os.File
	watcher *exec.Cmd

	mu      sync.Mutex
	started int
	servers map[*Server]bool
}

// NewFleet returns a Fleet without servers. Close it.
func NewFleet() (*Fleet, error) {
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pghaul-test-")
	if err != nil {
		return nil, err
	}
	f := &Fleet{dir: dir, who: who, servers: map[*Server]bool{}}
	if err := f.startWatcher(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start the watcher of test servers: %w", err)
	}
	return f, nil
}

func (f *Fleet) startWatcher() error {
	if err := os.Chmod(f.dir, 0o755); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", watch, "pghaul-test-watcher", f.dir)
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return err
	}
	f.alive, f.watcher = w, cmd
	return nil
}

// Dir is the Fleet's directory; Close removes it.
func (f *Fleet) Dir() string { return f.dir }

// Close stops every server at once and removes all they held.
func (f *Fleet) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alive == nil {
		return nil
	}
	err := f.alive.Close()
	f.alive = nil
	if waitErr := f.watcher.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("stop test servers: %w", waitErr))
	}
	for s := range f.servers {
		s.reap()
	}
	clear(f.servers)
	return err
}

// place makes the directory of a new server.
func (f *Fleet) place(major int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alive == nil {
		return "", errors.New("start a test server: the fleet is closed")
	}
	f.started++
	dir := filepath.Join(f.dir, fmt.Sprintf("%d-%d", major, f.started))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, f.who.own(dir)
}

func (f *Fleet) add(s *Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers[s] = true
}

func (f *Fleet) remove(s *Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.servers, s)
}
