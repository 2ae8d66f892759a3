//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// CacheDir is where binaries and prepared data directories are kept between
// runs: PGHAUL_TEST_CACHE, else a directory of the user's. It is made when
// missing. A privileged user's must lie outside the home directory, because
// the servers run as an account that cannot look into it.
func CacheDir() (string, error) {
	dir := os.Getenv("PGHAUL_TEST_CACHE")
	switch {
	case dir != "":
	case os.Geteuid() == 0:
		dir = "/var/cache/pghaul-test"
	default:
		home, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache directory (set PGHAUL_TEST_CACHE): %w", err)
		}
		dir = filepath.Join(home, "pghaul-test")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory (set PGHAUL_TEST_CACHE to another): %w", err)
	}
	return dir, nil
}

// lock holds name against other processes and goroutines until the returned
// function is called; a process that dies lets go of it.
func lock(cache, name string) (func(), error) {
	dir := filepath.Join(cache, "lock")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// An account is whom servers run as. PostgreSQL refuses to run as root.
type account struct{ uid, gid int }

// unprivileged is the account for servers: the caller's own (nil), or for
// root the first of postgres and nobody that exists.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			return nil, err
		}
		return &account{uid, gid}, nil
	}
	return nil, errors.New("root cannot run PostgreSQL, and there is no user postgres or nobody to run it as")
}

// attributes start a process as the account in a session of its own, so that
// a Ctrl-C at the terminal reaches the test and not its servers.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// own gives paths to the account.
func (a *account) own(paths ...string) error {
	if a == nil {
		return nil
	}
	for _, p := range paths {
		if err := os.Chown(p, a.uid, a.gid); err != nil {
			return err
		}
	}
	return nil
}

// freePort finds a port nobody listens on. It lies below the range that
// systems hand to outgoing connections, so that a server which is stopped for
// a while usually finds its port free again.
func freePort() (int, error) {
	for range 100 {
		port := 15000 + rand.IntN(17000)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("found no free port between 15000 and 32000 on " + host)
}
