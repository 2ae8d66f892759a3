//go:build unix

// Package pgtest gives tests real PostgreSQL servers.
//
// The servers of one test process are started when a test first asks for them,
// one a major version, and shared by its tests; each test takes databases of
// its own. A package that uses them has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// and its tests
//
//	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
//		db := s.Database(t)
//		s.Exec(t, db, "CREATE TABLE t (a int)")
//	})
//
// PGHAUL_TEST_VERSIONS ("13,18") narrows the versions. A server or tool this
// machine cannot have skips the test with the reason; with CI=true it fails.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
)

// Options say how a private server differs from a plain one.
type Options = pgserver.Options

// supported are the majors that tests run on when nothing narrows them.
var supported = []int{13, 14, 15, 16, 17, 18}

// shared is what the tests of this process have in common. It is the one piece
// of global state: the testing package has no other place for it.
var shared struct {
	mu      sync.Mutex
	fleet   *pgserver.Fleet
	servers map[kind]*once
}

// A kind of shared server.
type kind struct {
	major   int
	logical bool
}

type once struct {
	sync.Once
	server *pgserver.Server
	err    error
}

// Main runs the tests of a package and stops its servers. The checks run after
// that, for instance for leaked goroutines; an error of theirs fails the run.
//
// Examples are skipped where their server cannot be had.
func Main(m *testing.M, checks ...func() error) {
	if err := skipExamples(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	for _, check := range checks {
		if err := check(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func stop() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.fleet == nil {
		return nil
	}
	err := shared.fleet.Close()
	shared.fleet, shared.servers = nil, nil
	return err
}

func fleet() (*pgserver.Fleet, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.fleet == nil {
		f, err := pgserver.NewFleet()
		if err != nil {
			return nil, err
		}
		shared.fleet, shared.servers = f, map[kind]*once{}
	}
	return shared.fleet, nil
}

// Versions are the majors to test, oldest first: those of PGHAUL_TEST_VERSIONS
// from 13 on, else all of them.
func Versions(tb testing.TB) []int {
	tb.Helper()
	majors := Sources(tb)
	for len(majors) > 1 && majors[0] < supported[0] {
		majors = majors[1:]
	}
	return majors
}

// Sources are the majors to test reading from, oldest first: those of
// PGHAUL_TEST_VERSIONS, else all from 11 on. Servers before 13 are read and
// compared with pg_dump; the other tests leave them alone.
func Sources(tb testing.TB) []int {
	tb.Helper()
	list := os.Getenv("PGHAUL_TEST_VERSIONS")
	if list == "" {
		return append([]int{11, 12}, supported...)
	}
	var majors []int
	for word := range strings.SplitSeq(list, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			tb.Fatalf("PGHAUL_TEST_VERSIONS=%q: want majors such as 13,18", list)
		}
		majors = append(majors, major)
	}
	return majors
}

// Each runs a subtest for each version, named pg13 and so on.
func Each(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	each(t, Versions(t), test)
}

// EachSource is Each with the versions that are read only.
func EachSource(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	each(t, Sources(t), test)
}

func each(t *testing.T, majors []int, test func(t *testing.T, s *Server)) {
	t.Helper()
	for _, major := range majors {
		t.Run("pg"+strconv.Itoa(major), func(t *testing.T) {
			test(t, Start(t, major))
		})
	}
}

// Start returns the shared server of a major. All of them are of one cluster
// layout, so use Private for tests that tell servers apart by their system
// identifier, change settings, or make roles whose names others could use.
func Start(tb testing.TB, major int) *Server {
	tb.Helper()
	s, err := start(tb.Context(), kind{major: major})
	require(tb, err)
	return &Server{s}
}

// Logical returns the shared server of a major that has wal_level = logical, with
// room for 30 replication slots and for prepared transactions.
func Logical(tb testing.TB, major int) *Server {
	tb.Helper()
	s, err := start(tb.Context(), kind{major: major, logical: true})
	require(tb, err)
	return &Server{s}
}

// LogicalSettings are those that make a server a source of logical replication.
func LogicalSettings() map[string]string {
	return map[string]string{
		"wal_level": "logical", "max_replication_slots": "30", "max_wal_senders": "30", "max_worker_processes": "30",
		"max_prepared_transactions": "20",
	}
}

func start(ctx context.Context, k kind) (*pgserver.Server, error) {
	f, err := fleet()
	if err != nil {
		return nil, err
	}
	shared.mu.Lock()
	o := shared.servers[k]
	if o == nil {
		o = &once{}
		shared.servers[k] = o
	}
	shared.mu.Unlock()
	opts := Options{Template: true}
	if k.logical {
		opts.Settings = LogicalSettings()
	}
	o.Do(func() { o.server, o.err = f.Start(ctx, k.major, opts) })
	return o.server, o.err
}

// require ends the test for err: what the machine lacks skips it, but fails in
// CI; anything else fails.
func require(tb testing.TB, err error) {
	tb.Helper()
	switch {
	case err == nil:
	case errors.Is(err, pgserver.ErrNoBinaries):
		Missing(tb, "%v", err)
	default:
		tb.Fatal(err)
	}
}

// Missing skips a test for want of a tool that this machine does not have;
// with CI=true, where every tool must be there, it fails the test.
func Missing(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("missing in CI: "+format, args...)
	}
	tb.Skipf(format, args...)
}

// Private starts a server for one test alone, with a system identifier of its
// own, and removes it when the test ends. A failed test logs its last lines.
func Private(tb testing.TB, major int, opts Options) *Server {
	tb.Helper()
	f, err := fleet()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := f.Start(tb.Context(), major, opts)
	require(tb, err)
	return keep(tb, s)
}

// Azure starts a private server that looks like Azure Database for PostgreSQL:
// version 15, superuser azuresu, admin azadmin, the customer's database appdb.
func Azure(tb testing.TB) *Server {
	tb.Helper()
	f, err := fleet()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := f.Azure(tb.Context(), root(tb))
	require(tb, err)
	return keep(tb, s)
}

// Neon starts a private server that looks like a Neon compute: version 17,
// superuser cloud_admin, the customer's role neondb_owner and database neondb.
func Neon(tb testing.TB) *Server {
	tb.Helper()
	f, err := fleet()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := f.Neon(tb.Context(), root(tb))
	require(tb, err)
	return keep(tb, s)
}

func keep(tb testing.TB, s *pgserver.Server) *Server {
	tb.Helper()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the end of the log of PostgreSQL %d on port %d:\n%s", s.Major, s.Port, tail(s.Log, 50))
		}
		if err := s.Destroy(); err != nil {
			tb.Error(err)
		}
	})
	return &Server{s}
}

func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func root(tb testing.TB) string {
	tb.Helper()
	dir, err := pgserver.ModuleRoot()
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Sample is the path of a file in the module's testdata/sql.
func Sample(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(root(tb), "testdata", "sql", name)
	if _, err := os.Stat(path); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Shared is the path of an optional sample database of others, such as
// northwind.sql, in the directory PGHAUL_SAMPLE_DATA, by default shared/data
// beside the module. The data is not part of this project: where it is absent
// the test is skipped, in CI too.
func Shared(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv("PGHAUL_SAMPLE_DATA")
	if dir == "" {
		dir = filepath.Join(root(tb), "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("the optional sample %s is not there (PGHAUL_SAMPLE_DATA names its directory): %v", name, err)
	}
	return path
}

// TempDir is a directory below /tmp that every user can read, removed when the
// test or its process ends. Archives for the client tools belong there: some
// installations of them see nothing else of the file system.
func TempDir(tb testing.TB) string {
	tb.Helper()
	f, err := fleet()
	if err != nil {
		tb.Fatal(err)
	}
	parent := f.Dir()
	if !strings.HasPrefix(parent, "/tmp/") {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "pghaul-test-") //nolint:usetesting // tb.TempDir is private and follows TMPDIR
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	return dir
}
