package pg_test

import (
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// As many connections as there are processors, unless that leaves too little
// room for others.
func TestJobs(t *testing.T) {
	pgtest.EachSource(t, func(t *testing.T, s *pgtest.Server) {
		t.Setenv("GOMAXPROCS", "") // keeps this test from running beside others
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
		db, role := s.Database(t), s.Role(t, "LOGIN CONNECTION LIMIT 7")
		jobs := func(user string) int {
			cfg := s.Config(t, db)
			if user != "" {
				cfg.User = user
			}
			conn, err := pgx.ConnectConfig(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer pg.Close(conn)
			n, err := pg.Jobs(t.Context(), conn)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := jobs(""); n != 8 {
			t.Errorf("%d jobs on 16 processors, want 8", n)
		}
		if n := jobs(role); n != 3 {
			t.Errorf("%d jobs for a role with 6 connections left, want 3", n)
		}
		s.Exec(t, db, "ALTER DATABASE "+db+" CONNECTION LIMIT 2")
		if n := jobs(""); n != 1 {
			t.Errorf("%d jobs in a database that takes 2 connections, want 1", n)
		}
	})
}
