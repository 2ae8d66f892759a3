//go:build unix

package pgtest

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
)

// A Server is a running server with helpers that fail the test for it. Major,
// Host, Port, Superuser, CA, DSN and UserDSN come from pgserver.Server.
type Server struct{ *pgserver.Server }

var databases atomic.Int64

var notInDatabase = regexp.MustCompile(`[^a-z0-9]+`)

// Database creates an empty database named after the test, returns its name
// and drops it when the test ends, whoever is still connected.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	return s.DatabaseFrom(tb, "template0")
}

// DatabaseFrom is Database with a copy of template, to which nobody may be
// connected.
func (s *Server) DatabaseFrom(tb testing.TB, template string) string {
	tb.Helper()
	base := strings.Trim(notInDatabase.ReplaceAllString(strings.ToLower(tb.Name()), "_"), "_")
	name := base[:min(len(base), 50)] + "_" + strconv.FormatInt(databases.Add(1), 10)
	s.Exec(tb, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{template}.Sanitize())
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			tb.Errorf("drop database %s: %v", name, err)
		}
	})
	return name
}

// Role creates a role named after the test, returns its name and drops it when
// the test ends. Call it before Database: what is made last is removed first,
// and a role that still owns something cannot be dropped. options follow
// CREATE ROLE name, for instance "LOGIN".
func (s *Server) Role(tb testing.TB, options string) string {
	tb.Helper()
	base := strings.Trim(notInDatabase.ReplaceAllString(strings.ToLower(tb.Name()), "_"), "_")
	name := base[:min(len(base), 50)] + "_r" + strconv.FormatInt(databases.Add(1), 10)
	s.Exec(tb, "postgres", "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" "+options)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Server.Exec(ctx, "postgres", "DROP ROLE IF EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
			tb.Errorf("drop role %s: %v", name, err)
		}
	})
	return name
}

// drop removes a database, ending its sessions first. A database that is gone
// is fine, and so is a private server that the test has left stopped.
func (s *Server) drop(ctx context.Context, name string) error {
	if !s.Running() {
		return nil
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if s.Major >= 13 {
		return s.Server.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)")
	}
	// Before 13 sessions must be ended by hand, and new ones kept out.
	err := s.Server.Exec(ctx, "postgres", "UPDATE pg_catalog.pg_database SET datallowconn = false WHERE datname = '"+name+
		"'; SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = '"+name+"'")
	if err != nil {
		return err
	}
	return s.Server.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+quoted)
}

// Exec runs a script of any number of statements as the superuser, in one
// simple-protocol query.
func (s *Server) Exec(tb testing.TB, database, sql string) {
	tb.Helper()
	s.ExecAs(tb, s.Superuser, database, sql)
}

// ExecAs is Exec for another user.
func (s *Server) ExecAs(tb testing.TB, user, database, sql string) {
	tb.Helper()
	if err := s.Server.ExecAs(tb.Context(), user, database, sql); err != nil {
		tb.Fatalf("PostgreSQL %d, database %s: %v", s.Major, database, err)
	}
}

// RunChunks runs a platform script, which changes databases on its own; see
// pgserver.Server.RunChunks.
func RunChunks(tb testing.TB, s *Server, path string) {
	tb.Helper()
	if err := s.RunChunks(tb.Context(), read(tb, path)); err != nil {
		tb.Fatalf("%s on PostgreSQL %d: %v", path, s.Major, err)
	}
}

// Load runs a script file written for psql as the superuser; see
// pgserver.Server.Load for what it understands.
func (s *Server) Load(tb testing.TB, database, path string) {
	tb.Helper()
	s.LoadAs(tb, s.Superuser, database, path)
}

// LoadAs is Load for another user.
func (s *Server) LoadAs(tb testing.TB, user, database, path string) {
	tb.Helper()
	if err := s.Server.Load(tb.Context(), user, database, read(tb, path)); err != nil {
		tb.Fatalf("%s on PostgreSQL %d: %v", path, s.Major, err)
	}
}

// Config is the superuser's connection configuration for a database.
func (s *Server) Config(tb testing.TB, database string) *pgx.ConnConfig {
	tb.Helper()
	cfg, err := pgx.ParseConfig(s.DSN(database))
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// Conn is a superuser's connection to a database, closed when the test ends.
func (s *Server) Conn(tb testing.TB, database string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.ConnectConfig(tb.Context(), s.Config(tb, database))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		conn.Close(ctx)
	})
	return conn
}

// Text is the single value a query returns, as text.
func (s *Server) Text(tb testing.TB, database, sql string) string {
	tb.Helper()
	rows, err := s.Query(tb.Context(), database, sql)
	if err != nil {
		tb.Fatalf("PostgreSQL %d, database %s: %v", s.Major, database, err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		tb.Fatalf("%s: want one value, got %q", sql, rows)
	}
	return rows[0][0]
}

// Stop shuts a private server down; committed data stays.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	if err := s.Server.Stop(); err != nil {
		tb.Fatal(err)
	}
}

// Kill ends a private server as a crash would.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	if err := s.Server.Kill(); err != nil {
		tb.Fatal(err)
	}
}

// Restart stops a private server if it runs and starts it on the same port.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if err := s.Server.Restart(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
