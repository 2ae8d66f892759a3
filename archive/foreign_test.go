//go:build unix

package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// Every custom archive and tar file that pg_dump can make is read, of every
// version of pg_dump at hand, from a file and through a pipe.
func TestReadPgDumpFiles(t *testing.T) {
	for _, client := range []int{15, 18} {
		t.Run(fmt.Sprintf("pg_dump%d", client), func(t *testing.T) {
			if !slices.Contains(pgtest.Versions(t), client) {
				t.Skipf("PGHAUL_TEST_VERSIONS leaves out %d", client)
			}
			oracle, lister := pgtest.OracleOf(t, client), pgtest.Oracle(t)
			s := pgtest.Start(t, client)
			db := s.Database(t)
			s.Exec(t, db, sampleSQL)
			methods := []string{"0", "1"}
			if client >= 16 {
				methods = []string{"none", "gzip", "lz4", "zstd"}
			}
			for _, extra := range [][]string{nil, {"--inserts"}} {
				for _, method := range methods {
					t.Run(fmt.Sprint("custom", method, extra), func(t *testing.T) {
						path := filepath.Join(pgtest.TempDir(t), "dump")
						args := append([]string{"-Fc", "-Z", method, "-d", s.DSN(db)}, extra...)
						oracle.Dump(t, append(args, "-f", path)...)
						compareList(t, lister, path)
						comparePgDump(t, path, extra != nil)
						// To standard output it leaves the offsets unset.
						piped := path + "2"
						check(t, os.WriteFile(piped, []byte(oracle.Dump(t, args...)), 0o600))
						compareList(t, lister, piped)
						comparePgDump(t, piped, extra != nil)
						throughPipe(t, piped)
					})
				}
				t.Run(fmt.Sprint("tar", extra), func(t *testing.T) {
					path := filepath.Join(pgtest.TempDir(t), "dump.tar")
					oracle.Dump(t, append([]string{"-Ft", "-d", s.DSN(db), "-f", path}, extra...)...)
					compareList(t, lister, path)
					comparePgDump(t, path, extra != nil)
					throughPipe(t, path)
				})
			}
		})
	}
}

// throughPipe checks that an archive from a pipe is the one in the file, and
// that no spool is left.
func throughPipe(t *testing.T, path string) {
	t.Helper()
	cat := exec.CommandContext(t.Context(), "cat", path)
	pipe, err := cat.StdoutPipe()
	check(t, err)
	check(t, cat.Start())
	spool := t.TempDir()
	r, err := archive.OpenStream(pipe, "standard input", spool)
	check(t, err)
	check(t, cat.Wait())
	want, err := archive.Open(path)
	check(t, err)
	defer want.Close()
	var a, b bytes.Buffer
	check(t, archive.WriteList(&a, r))
	check(t, archive.WriteList(&b, want))
	if a.String() != b.String() {
		t.Errorf("list from a pipe:\n%s\nfrom the file:\n%s", &a, &b)
	}
	for _, e := range r.Entries() {
		check(t, archive.Verify(t.Context(), r, e.ID))
	}
	check(t, r.Close())
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("spool directory: %v, %v", left, err)
	}
}

// A custom archive or tar file of pg_dump that was cut anywhere is noticed,
// but for the last bytes, which no rows are in.
func TestCutPgDumpFiles(t *testing.T) {
	if !slices.Contains(pgtest.Versions(t), 18) {
		t.Skip("PGHAUL_TEST_VERSIONS leaves out 18")
	}
	oracle, s := pgtest.Oracle(t), pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 30) i; SELECT lo_from_bytea(6, 'six')")
	for _, args := range [][]string{{"-Fc", "-Z", "none"}, {"-Fc", "-Z", "gzip"}, {"-Fc", "-Z", "lz4"}, {"-Fc", "-Z", "zstd"}, {"-Ft"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			text := []byte(oracle.Dump(t, append(args, "-d", s.DSN(db))...))
			path := filepath.Join(t.TempDir(), "dump")
			end := len(text)
			if args[0] == "-Ft" {
				// It only repeats what the entries say; before it stands padding.
				end = bytes.LastIndex(text, []byte("restore.sql\x00")) - 512
			}
			for n := 0; n < end; n += 5 {
				check(t, os.WriteFile(path, text[:n], 0o600))
				_, err := readAll(t, path)
				if _, ok := errors.AsType[*archive.CorruptError](err); !ok && !errors.Is(err, archive.ErrNotArchive) {
					t.Fatalf("cut at %d of %d: err = %v", n, len(text), err)
				}
			}
		})
	}
}

// Of two files that could be an entry's data one is stale: pg_restore would
// silently load the first.
func TestStaleFile(t *testing.T) {
	t.Parallel()
	for _, foreign := range []bool{true, false} {
		dir := filepath.Join(t.TempDir(), "dump")
		if foreign {
			writeForeign(t, dir, archive.WriterOptions{})
		} else {
			write(t, dir, archive.WriterOptions{})
		}
		check(t, os.WriteFile(filepath.Join(dir, "7.dat"), []byte("stale\n\\.\n\n\n"), 0o600))
		got, err := readAll(t, dir)
		e, corrupt := errors.AsType[*archive.CorruptError](err)
		switch {
		case foreign && (!corrupt || e.File != filepath.Join(dir, "7.dat")):
			t.Errorf("err = %v, want a CorruptError of 7.dat", err)
		case !foreign && (err != nil || got["7/0"] != "1\n2\n"):
			t.Errorf("rows %q, %v: want those of the manifest's file", got["7/0"], err)
		}
		if foreign {
			continue
		}
		r, err := archive.Open(dir)
		check(t, err)
		strays, err := archive.Strays(r)
		if err != nil || !slices.Equal(strays, []string{filepath.Join(dir, "7.dat")}) {
			t.Errorf("strays %q, %v", strays, err)
		}
	}
}
