package dump_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// The live database is a source to restore from.
var _ restore.Source = (*dump.Live)(nil)

// TestScript loads the plain SQL of every input with psql, as COPY data and as
// INSERT statements, and compares the copy.
func TestScript(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input: %v", err)
	}
	s := pgtest.Start(t, 18)
	for _, f := range files {
		ways := map[string]*dump.Inserts{"copy": nil}
		switch filepath.Base(f) {
		case "nasty.sql", "tables.sql": // those with rows
			ways["inserts"] = &dump.Inserts{}
			ways["columns"] = &dump.Inserts{Columns: true, RowsPerInsert: 3, OnConflictDoNothing: true}
		}
		for name, inserts := range ways {
			t.Run(strings.TrimSuffix(filepath.Base(f), ".sql")+"/"+name, func(t *testing.T) {
				db := s.Database(t)
				loadSince(t, s, db, f)
				var script bytes.Buffer
				l, err := dump.Open(t.Context(), s.Config(t, db), dump.Options{Inserts: inserts})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				if err := restore.WriteScript(t.Context(), &script, l, restore.Options{}, "key"); err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(pgtest.TempDir(t), "script.sql")
				if err := os.WriteFile(file, script.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				copied := s.DatabaseFrom(t, "template0")
				_, stderr, exit := pgtest.Oracle(t).Run(t, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull, "-f", file, s.DSN(copied))
				if exit != 0 {
					t.Fatalf("psql exits with %d:\n%s", exit, stderr)
				}
				sameContents(t, s, db, s, copied)
			})
		}
	}
}

// TestInsertArchive restores an archive whose rows are INSERT statements.
func TestInsertArchive(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	loadSince(t, s, db, "testdata/nasty.sql")
	dir := haul(t, s, db, dump.Options{Inserts: &dump.Inserts{}})
	copied := s.DatabaseFrom(t, "template0")
	restoreInto(t, s, copied, dir)
	sameContents(t, s, db, s, copied)
	again := s.DatabaseFrom(t, "template0")
	if out, exit := pgtest.Oracle(t).Restore(t, "-d", s.DSN(again), dir); exit != 0 {
		t.Errorf("pg_restore exits with %d:\n%s", exit, out)
	}
	sameContents(t, s, db, s, again)
	r, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, x := range r.Manifest().Tables {
		if x.Digest != "" {
			t.Errorf("%s has a digest of statements: %s", x.Name, x.Digest)
		}
	}
}
