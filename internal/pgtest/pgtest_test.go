//go:build unix

package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
)

func TestMain(m *testing.M) {
	if end := os.Getenv("PGTEST_CHILD"); end != "" {
		fmt.Println(child(end))
		os.Exit(2)
	}
	pgtest.Main(m, func() error { return goleak.Find() })
}

func TestEachVersionIsItself(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2);")
		if got := s.Text(t, db, "SELECT count(*) FROM t"); got != "2" {
			t.Errorf("rows: got %s, want 2", got)
		}
		version, err := strconv.Atoi(s.Text(t, db, "SHOW server_version_num"))
		if err != nil || version/10000 != s.Major {
			t.Errorf("version: got %d (%v), want %d", version, err, s.Major)
		}
		if again := pgtest.Start(t, s.Major); again.Port != s.Port {
			t.Errorf("a second Start gave port %d, the first %d", again.Port, s.Port)
		}
	})
}

func TestDatabaseIsDroppedUnderASession(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		var db, role string
		var conn *pgx.Conn
		t.Run("use", func(t *testing.T) {
			role = s.Role(t, "LOGIN")
			db = s.Database(t)
			var err error
			if conn, err = pgx.ConnectConfig(t.Context(), s.Config(t, db)); err != nil {
				t.Fatal(err)
			}
			s.ExecAs(t, role, "postgres", "SELECT 1")
		})
		if err := conn.Ping(t.Context()); err == nil {
			t.Error("the session outlived its database")
		}
		conn.Close(t.Context())
		if got := s.Text(t, "postgres", "SELECT count(*) FROM pg_database WHERE datname = '"+db+"'"); got != "0" {
			t.Errorf("database %s is still there", db)
		}
		if got := s.Text(t, "postgres", "SELECT count(*) FROM pg_roles WHERE rolname = '"+role+"'"); got != "0" {
			t.Errorf("role %s is still there", role)
		}
	})
}

func TestExecNamesTheLine(t *testing.T) {
	t.Parallel()
	major := pgtest.Versions(t)[0]
	s := pgtest.Start(t, major)
	err := s.Server.Exec(t.Context(), "postgres", "SELECT 1;\nSELECT 2;\nSELECT nonsense;")
	if err == nil || !strings.Contains(err.Error(), "line 3: ") {
		t.Errorf("got %v, want an error in line 3", err)
	}
}

func TestLoadUnderstandsPsqlScripts(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Versions(t)[0])
	db := s.Database(t)
	path := filepath.Join(t.TempDir(), "in.sql")
	script := "CREATE DATABASE other;\n\\connect other\nCREATE TABLE t (a int, b text);\n" +
		"COPY t (a, b) FROM stdin;\n1\tx\n2\t\\N\n\\.\n\nINSERT INTO t VALUES (3, 'z');\n"
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Load(t, db, path)
	if got := s.Text(t, db, "SELECT string_agg(a || coalesce(b, '-'), ' ' ORDER BY a) FROM t"); got != "1x 2- 3z" {
		t.Errorf("rows: got %s", got)
	}
}

func TestLoadOptionalSamples(t *testing.T) {
	for name, query := range map[string]string{
		"northwind.sql": "SELECT count(*) > 500 FROM orders",
		"chinook.sql":   "SELECT count(*) > 1000 FROM track",
	} {
		t.Run(name, func(t *testing.T) {
			s := pgtest.Start(t, 15)
			db := s.Database(t)
			s.Load(t, db, pgtest.Shared(t, name))
			if got := s.Text(t, db, query); got != "t" {
				t.Errorf("%s: got %s", query, got)
			}
		})
	}
}

func TestPrivateServerRestarts(t *testing.T) {
	t.Parallel()
	s := pgtest.Private(t, 17, pgtest.Options{InitUser: "boss", Settings: map[string]string{"wal_level": "logical"}})
	s.Exec(t, "postgres", "CREATE TABLE t (a int); INSERT INTO t VALUES (1);")
	if got := s.Text(t, "postgres", "SELECT current_setting('wal_level') || current_user"); got != "logicalboss" {
		t.Errorf("settings: got %s", got)
	}
	port := s.Port
	s.Restart(t)
	s.Exec(t, "postgres", "INSERT INTO t VALUES (2); CHECKPOINT")
	s.Kill(t)
	if err := s.Server.Exec(t.Context(), "postgres", "SELECT 1"); err == nil {
		t.Error("a killed server answers")
	}
	s.Restart(t)
	s.Stop(t)
	s.Restart(t)
	if got := s.Text(t, "postgres", "SELECT sum(a) FROM t"); got != "3" || s.Port != port {
		t.Errorf("after restarts: sum %s on port %d, want 3 on %d", got, s.Port, port)
	}
}

func TestPrivateServersHaveTheirOwnIdentifier(t *testing.T) {
	t.Parallel()
	const query = "SELECT system_identifier FROM pg_control_system()"
	a := pgtest.Private(t, 15, pgtest.Options{}).Text(t, "postgres", query)
	b := pgtest.Start(t, 15).Text(t, "postgres", query)
	if a == b {
		t.Errorf("both servers are %s", a)
	}
}

func TestTLSAndSCRAM(t *testing.T) {
	t.Parallel()
	s := pgtest.Private(t, 17, pgtest.Options{TLS: true, HBA: "hostssl all alice 127.0.0.1/32 scram-sha-256\nhostnossl all alice 127.0.0.1/32 reject"})
	if got := s.Text(t, "postgres", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "t" {
		t.Errorf("ssl: got %s", got)
	}
	s.Exec(t, "postgres", "CREATE ROLE alice LOGIN PASSWORD 'right'")
	cfg := s.Config(t, "postgres")
	cfg.User, cfg.Password = "alice", "right"
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	cfg.Password = "wrong"
	_, err = pgx.ConnectConfig(t.Context(), cfg)
	if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != "28P01" {
		t.Errorf("with the wrong password: got %v, want 28P01", err)
	}
	cfg.Password, cfg.TLSConfig = "right", nil
	if _, err = pgx.ConnectConfig(t.Context(), cfg); err == nil {
		t.Error("connected without TLS")
	}
}

func TestAzure(t *testing.T) {
	t.Parallel()
	s := pgtest.Azure(t)
	if got := s.Text(t, "appdb", "SELECT rolsuper FROM pg_roles WHERE rolname = 'azadmin'"); got != "f" {
		t.Errorf("azadmin is superuser: %s", got)
	}
	if got := s.Text(t, "postgres", "SELECT extowner::regrole FROM pg_extension WHERE extname = 'pg_cron'"); got != "azuresu" {
		t.Errorf("pg_cron belongs to %q", got)
	}
	if _, err := os.Stat("/usr/lib/postgresql/15/lib/pg_cron.so"); err == nil {
		if got := s.Text(t, "postgres", "SHOW shared_preload_libraries"); got != "pg_cron" {
			t.Errorf("pg_cron is installed, but the preloaded libraries are %q", got)
		}
	}
	s.LoadAs(t, "azadmin", "postgres", pgtest.Sample(t, "shop.sql"))
	if got := s.Text(t, "postgres", "SELECT count(*) FROM public.order_items"); got != "15044" {
		t.Errorf("order_items: got %s rows", got)
	}
}

func TestNeon(t *testing.T) {
	t.Parallel()
	s := pgtest.Neon(t)
	s.ExecAs(t, "neondb_owner", "neondb", "CREATE TABLE t (a int)")
	if got := s.Text(t, "neondb", "SELECT datlocprovider::text || ' ' || pg_get_userbyid(relowner) FROM pg_database, pg_class WHERE datname = 'neondb' AND relname = 't'"); got != "b neondb_owner" {
		t.Errorf("got %s", got)
	}
}

func TestOracleReadsEveryVersion(t *testing.T) {
	oracle := pgtest.Oracle(t)
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, "CREATE TABLE t (a int); COMMENT ON TABLE t IS 'x'")
		text := oracle.SchemaText(t, s.DSN(db))
		if !strings.Contains(text, "CREATE TABLE public.t (\n    a integer\n);\n") || strings.Contains(text, "\n--") || strings.Contains(text, `\restrict`) {
			t.Errorf("got\n%s", text)
		}
		archive := filepath.Join(pgtest.TempDir(t), "a")
		oracle.Dump(t, "-Fd", "-f", archive, s.DSN(db))
		list, exit := oracle.Restore(t, "-l", archive)
		if exit != 0 || !strings.Contains(list, "TABLE public t") {
			t.Errorf("pg_restore -l: exit %d: %s", exit, list)
		}
	})
}

// child is the process that TestServersDieWithTheProcess ends. It has a running
// server and one that was killed.
func child(end string) error {
	major, err := strconv.Atoi(os.Getenv("PGHAUL_TEST_VERSIONS"))
	if err != nil {
		return err
	}
	f, err := pgserver.NewFleet()
	if err != nil {
		return err
	}
	killed, err := f.Start(context.Background(), major, pgserver.Options{Template: true})
	if err != nil {
		return err
	}
	if err := killed.Kill(); err != nil {
		return err
	}
	s, err := f.Start(context.Background(), major, pgserver.Options{Template: true})
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.Data, "postmaster.pid"))
	if err != nil {
		return err
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	fmt.Printf("server %d %s %s\n", s.Port, pid, f.Dir())
	switch end {
	case "panic":
		panic("the child panics on purpose")
	case "exit":
		os.Exit(1)
	}
	select {}
}

func TestServersDieWithTheProcess(t *testing.T) {
	major := pgtest.Versions(t)[0]
	pgtest.Start(t, major) // skips here when there is none
	for _, end := range []string{"hang", "panic", "exit"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "PGTEST_CHILD="+end, fmt.Sprintf("PGHAUL_TEST_VERSIONS=%d", major))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var port, pid int
			var dir string
			var said strings.Builder
			for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
				fmt.Fprintln(&said, lines.Text())
				if n, _ := fmt.Sscanf(lines.Text(), "server %d %d %s", &port, &pid, &dir); n != 3 {
					dir = ""
				}
			}
			if dir == "" {
				t.Fatalf("the child started no server: %s", said.String())
			}
			if end == "hang" {
				// The child waits until it is killed, with its server running.
				conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
				if err != nil {
					t.Fatal(err)
				}
				conn.Close()
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the child ended without an error")
			}
			waitFor(t, "the directory to go", func() bool {
				_, err := os.Stat(dir)
				return errors.Is(err, fs.ErrNotExist)
			})
			waitFor(t, "the server to go", func() bool { return gone(pid) })
			if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
				conn.Close()
				t.Errorf("port %d still answers", port)
			}
		})
	}
}

// gone reports that a process runs no more; an orphan that nobody has
// collected yet has ended too.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
