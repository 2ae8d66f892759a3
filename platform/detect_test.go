package platform

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// azure and neonServer start servers that look like the platforms, of any major.
func azure(t *testing.T, major int) *pgtest.Server {
	t.Helper()
	if major == 15 {
		return pgtest.Azure(t)
	}
	s := pgtest.Private(t, major, pgtest.Options{InitUser: "azuresu"})
	pgtest.RunChunks(t, s, filepath.Join("..", "testdata", "sql", "azure_sim.sql"))
	return s
}

func neonServer(t *testing.T, major int) *pgtest.Server {
	t.Helper()
	if major == 17 {
		return pgtest.Neon(t)
	}
	opts := pgtest.Options{InitUser: "cloud_admin", Locale: "C.UTF-8"}
	if major >= 17 {
		opts.LocaleProvider = "builtin"
	}
	s := pgtest.Private(t, major, opts)
	pgtest.RunChunks(t, s, filepath.Join("..", "testdata", "sql", "neon_sim.sql"))
	return s
}

func facts(t *testing.T, s *pgtest.Server, user, database string) *Facts {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.UserDSN(user, database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	f, err := Detect(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := Recognise(t.Context(), conn); err != nil || name != f.Platform {
		t.Errorf("recognised %q and detected %q: %v", name, f.Platform, err)
	}
	return f
}

func TestDetectPlain(t *testing.T) {
	t.Parallel()
	pgtest.EachSource(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		role := s.Role(t, "LOGIN")
		db := s.Database(t)
		s.Exec(t, db, `CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, s serial);
			CREATE FUNCTION public."F x"(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';
			CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS int; CREATE SCHEMA s2; CREATE TYPE c AS (a int);
			CREATE PUBLICATION p FOR TABLE t; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER far FOREIGN DATA WRAPPER w`)
		f := facts(t, s, role, db)
		if f.Platform != Plain || f.Privileged != "" {
			t.Errorf("platform %q, privileged %q", f.Platform, f.Privileged)
		}
		if f.Version/10000 != s.Major || f.Database != db || f.User.Name != role || !f.User.Login || f.User.ConnLimit != -1 {
			t.Errorf("facts %+v", f)
		}
		want := []Object{
			{"domain", "public", "d"},
			{"function", "public", `"F x"(integer, text)`},
			{"publication", "", "p"},
			{"schema", "", "s2"},
			{"server", "", "far"},
			{"table", "public", "t"},
			{"type", "public", "c"},
			{"type", "public", "e"},
		}
		if len(f.Objects) != len(want) {
			t.Fatalf("objects %v", f.Objects)
		}
		for i := range want {
			if f.Objects[i] != want[i] {
				t.Errorf("object %v, want %v", f.Objects[i], want[i])
			}
		}
		if f.Size <= 0 || f.LSN == "" || len(f.Collations) < 2 || len(f.Available) == 0 || f.Parameters["work_mem"].Context != "user" {
			t.Errorf("size %d, lsn %q, %d collations, %d extensions", f.Size, f.LSN, len(f.Collations), len(f.Available))
		}
		if f.PublicCreate != (s.Major < 15) {
			t.Errorf("PUBLIC may create: %v", f.PublicCreate)
		}
	})
}
