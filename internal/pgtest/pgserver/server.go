//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds how long a server may take to start or to stop.
const patience = 60 * time.Second

// A Server is one running PostgreSQL server.
type Server struct {
	Major int
	// Host and Port are where it listens; a restart keeps them.
	Host string
	Port int
	// Superuser is the bootstrap superuser, who needs no password.
	Superuser string
	// CA is the path of the certificate authority's file, "" without TLS.
	CA string
	// Data is the data directory and Log the server's log.
	Data, Log string

	fleet    *Fleet
	binaries Binaries

	mu  sync.Mutex
	pid int // 0 while stopped
}

// Start starts a server of a major version and waits until it takes
// connections. Binaries are found as Find does.
func (f *Fleet) Start(ctx context.Context, major int, opts Options) (*Server, error) {
	b, err := Find(ctx, major)
	if err != nil {
		return nil, err
	}
	if opts.PreloadCron && !b.HasCron() {
		return nil, fmt.Errorf("start PostgreSQL %d with pg_cron: it is not installed beside %s", major, b.Bin)
	}
	dir, err := f.place(major)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Major: major, Host: host, Superuser: opts.initUser(),
		Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"),
		fleet: f, binaries: b,
	}
	if err := s.create(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL %d: %w", major, err), os.RemoveAll(dir))
	}
	f.add(s)
	return s, nil
}

func (s *Server) create(ctx context.Context, opts Options) error {
	who := s.fleet.who
	create := initdb
	if opts.Template {
		create = copyTemplate
	}
	if err := create(ctx, s.binaries, who, s.Data, opts); err != nil {
		return err
	}
	if err := configure(s.Data, who, opts); err != nil {
		return err
	}
	if opts.TLS {
		s.CA = filepath.Join(filepath.Dir(s.Data), "ca.crt")
		if err := certify(s.Data, s.CA, who); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Between the look for a free port and its use another process may take it.
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.Port = port
		err = s.start(ctx)
		if !errors.Is(err, errPortTaken) || try == 10 {
			return err
		}
	}
}

var errPortTaken = errors.New("the port is taken")

// start runs the postmaster and waits until it is ready. The caller holds mu.
func (s *Server) start(ctx context.Context) error {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := log.Seek(0, 2)
	if err != nil {
		return err
	}
	// The server outlives ctx: only the starting is bound by it.
	cmd := s.binaries.command(context.WithoutCancel(ctx), s.fleet.who, "postgres", "-D", s.Data, "-p", strconv.Itoa(s.Port))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.pid = cmd.Process.Pid
	// The pid is waited for by number, without the goroutine of Cmd.Wait.
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	if err := os.WriteFile(s.pidFile(), []byte(strconv.Itoa(s.pid)), 0o644); err != nil {
		return errors.Join(err, s.end(syscall.SIGQUIT))
	}
	err = s.poll(ctx, func() (bool, error) {
		if s.exited() {
			text, _ := os.ReadFile(s.Log)
			said := strings.TrimSpace(string(text[min(int(before), len(text)):]))
			if strings.Contains(said, "could not bind") || strings.Contains(said, "could not create any TCP/IP sockets") {
				return false, fmt.Errorf("listen on port %d: %w", s.Port, errPortTaken)
			}
			return false, fmt.Errorf("the server ended while starting: %s", said)
		}
		return s.ready(), nil
	})
	if err != nil && s.pid != 0 {
		err = errors.Join(err, s.end(syscall.SIGQUIT))
	}
	return err
}

func (s *Server) pidFile() string { return filepath.Join(filepath.Dir(s.Data), "pid") }

// ready reads the status that a postmaster keeps in its eighth line; the first
// one tells that the file is not left over from an earlier start.
func (s *Server) ready() bool {
	text, err := os.ReadFile(filepath.Join(s.Data, "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	return len(lines) >= 8 && lines[0] == strconv.Itoa(s.pid) && strings.TrimSpace(lines[7]) == "ready"
}

// exited reports whether the postmaster is gone, and collects its status.
func (s *Server) exited() bool {
	if s.pid == 0 {
		return true
	}
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(s.pid, &status, syscall.WNOHANG, nil)
	if pid != s.pid && !errors.Is(err, syscall.ECHILD) {
		return false
	}
	s.pid = 0
	// Without this file the watcher leaves a later process of that number alone.
	_ = os.Remove(s.pidFile())
	return true
}

// poll calls done until it is true, fails, or patience or ctx ends.
func (s *Server) poll(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// end sends the postmaster a signal and waits until it is gone. The caller
// holds mu.
func (s *Server) end(signal syscall.Signal) error {
	if s.pid == 0 {
		return nil
	}
	if err := syscall.Kill(s.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop PostgreSQL %d on port %d: %w", s.Major, s.Port, err)
	}
	err := s.poll(context.Background(), func() (bool, error) { return s.exited(), nil })
	if err != nil {
		return fmt.Errorf("stop PostgreSQL %d on port %d: %w", s.Major, s.Port, err)
	}
	return nil
}

// Stop shuts the server down in fast mode: sessions are ended, nothing
// committed is lost. Restart starts it again.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(syscall.SIGINT)
}

// Kill ends the server as a crash would, without a checkpoint; its sessions'
// processes follow it. Restart then goes through crash recovery.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(syscall.SIGKILL)
}

// Crash ends the server as "pg_ctl stop -m immediate" does: its sessions are
// told so, and nothing else is done. Restart then goes through crash recovery.
func (s *Server) Crash() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(syscall.SIGQUIT)
}

// Restart stops the server if it runs and starts it on the same port.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end(syscall.SIGINT); err != nil {
		return err
	}
	// A killed server's orphans hold the shared memory, and thereby the data
	// directory, until they notice; and the port may be lent out for a moment.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := s.start(ctx)
		held := err != nil && (errors.Is(err, errPortTaken) || strings.Contains(err.Error(), "shared memory block"))
		if !held || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// Destroy stops the server at once and removes all it held.
func (s *Server) Destroy() error {
	s.fleet.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.end(syscall.SIGQUIT)
	s.removeSharedMemory()
	return errors.Join(err, os.RemoveAll(filepath.Dir(s.Data)))
}

// reap collects the status of a server that the watcher stopped.
func (s *Server) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.poll(context.Background(), func() (bool, error) { return s.exited(), nil })
}

// removeSharedMemory removes the small segment that a killed server left; its
// id is the last word of the seventh line of the postmaster.pid left with it.
// It is best effort: the system has room for thousands of them. The caller
// holds mu.
func (s *Server) removeSharedMemory() {
	text, err := os.ReadFile(filepath.Join(s.Data, "postmaster.pid"))
	if err != nil {
		return
	}
	if lines := strings.Split(string(text), "\n"); len(lines) >= 7 {
		if words := strings.Fields(lines[6]); len(words) == 2 {
			_ = exec.Command("ipcrm", "-m", words[1]).Run()
		}
	}
}

// DSN is the URL of a database for the superuser.
func (s *Server) DSN(database string) string { return s.UserDSN(s.Superuser, database) }

// UserDSN is the URL of a database for a user, without a password.
func (s *Server) UserDSN(user, database string) string {
	query := url.Values{"sslmode": {"disable"}}
	if s.CA != "" {
		query = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {s.CA}}
	}
	u := url.URL{
		Scheme: "postgres", User: url.User(user), Host: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)),
		Path: "/" + database, RawPath: "/" + url.PathEscape(database), RawQuery: query.Encode(),
	}
	return u.String()
}

// Running reports whether the server has been started and not ended since.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.exited()
}
