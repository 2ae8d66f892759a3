//go:build unix

package verify_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

var updateInterop = flag.Bool("update-interop", false, "write docs/interop.md from what the test found")

const interopSample = `
CREATE TABLE many (a int PRIMARY KEY, b text);
INSERT INTO many SELECT i, md5(i::text) FROM generate_series(1, 3000) i;
CREATE TABLE odd (t text, f float8, b bytea);
INSERT INTO odd VALUES (E'\\.', 0.1, '\x00ff'), (E'x\ny\t', 'nan', NULL), (NULL, 'infinity', ''), ('', -0.0, 'z');
CREATE TABLE none (a int);
COMMENT ON TABLE many IS 'many';
SELECT lo_from_bytea(5, ''), lo_from_bytea(6, 'six'), lo_from_bytea(7, decode(repeat('ab', 100000), 'hex'));
COMMENT ON LARGE OBJECT 6 IS 'six';
GRANT SELECT ON LARGE OBJECT 6 TO PUBLIC;
GRANT SELECT ON LARGE OBJECT 7 TO PUBLIC;`

const largeObjectDigest = `SELECT string_agg(concat(m.oid, md5(lo_get(m.oid)), m.lomacl IS NULL, obj_description(m.oid, 'pg_largeobject')), ' ' ORDER BY m.oid)
	FROM pg_largeobject_metadata m`

// An interopArchive is a row of the matrix.
type interopArchive struct {
	writer, format, version string
	compression             string
	make                    func(t *testing.T, path string)
}

// interopArchives are those that each program can make of a database.
func interopArchives(t *testing.T, s *pgtest.Server, db string) []interopArchive {
	var list []interopArchive
	pgDump := func(major int, version string, formats ...string) {
		methods := []string{"none", "gzip", "lz4", "zstd"}
		if major < 16 {
			methods = []string{"0", "6"}
		}
		oracle := pgtest.OracleOf(t, major)
		for _, format := range formats {
			for _, method := range methods {
				args := []string{"-F" + format, "-d", s.DSN(db), "-Z", method}
				if format == "t" {
					if method != methods[0] {
						continue
					}
					args = args[:3]
				}
				name := strings.NewReplacer("0", "none", "6", "gzip").Replace(method)
				writer := fmt.Sprintf("pg_dump %d", major)
				list = append(list, interopArchive{writer, "-F" + format, version, name, func(t *testing.T, path string) {
					oracle.Dump(t, append(slices.Clone(args), "-f", path)...)
				}})
				if format == "c" && name == "gzip" {
					list = append(list, interopArchive{writer, "-Fc, piped", version, name, func(t *testing.T, path string) {
						if err := os.WriteFile(path, []byte(oracle.Dump(t, args...)), 0o600); err != nil {
							t.Fatal(err)
						}
					}})
				}
			}
		}
	}
	for _, c := range compressions {
		for _, v := range []archive.Version{archive.CurrentVersion, archive.Version15, archive.Version14} {
			if v == archive.Version14 && c != archive.CompressGzip && c != archive.CompressNone {
				continue
			}
			o := dump.Options{NoSync: true, Compression: c, ArchiveVersion: v}
			add := func(format string, make func(o dump.Options) error) {
				list = append(list, interopArchive{"pghaul", format, v.String()[:4], string(c), func(t *testing.T, path string) {
					o := o
					o.Dir = path
					if err := make(o); err != nil {
						t.Fatal(err)
					}
				}})
			}
			add("-Fd", func(o dump.Options) error {
				_, err := dump.Run(t.Context(), s.Config(t, db), o)
				return err
			})
			add("-Fc", func(o dump.Options) error {
				_, err := dump.RunCustom(t.Context(), s.Config(t, db), nil, o)
				return err
			})
			if c != archive.CompressZstd && v != archive.Version14 || v == archive.Version15 {
				continue
			}
			add("-Fc, piped", func(o dump.Options) error {
				f, err := os.Create(o.Dir)
				if err != nil {
					return err
				}
				_, err = dump.RunCustom(t.Context(), s.Config(t, db), f, o)
				return errors.Join(err, f.Close())
			})
		}
	}
	pgDump(15, "1.14", "d", "c", "t")
	pgDump(18, "1.16", "d", "c", "t")
	slices.SortStableFunc(list, func(a, b interopArchive) int {
		return strings.Compare(a.writer+a.format+a.version+a.compression, b.writer+b.format+b.version+b.compression)
	})
	return list
}

// An interopReader is a column.
type interopReader struct {
	name  string
	major int // of the server it restores into
	jobs  int
	run   func(t *testing.T, s *pgtest.Server, db, path string)
}

func interopReaders(t *testing.T) []interopReader {
	list := []interopReader{}
	for _, jobs := range []int{1, 4} {
		list = append(list, interopReader{fmt.Sprintf("pghaul -j%d", jobs), 18, jobs, func(t *testing.T, s *pgtest.Server, db, path string) {
			r, err := archive.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			report, err := restore.Run(t.Context(), s.Config(t, db), restore.FromArchive(r), restore.Options{Jobs: jobs, NoOwner: true})
			if err != nil || !report.Complete() {
				t.Fatalf("restore: %v, %+v", err, report)
			}
		}})
	}
	for _, major := range []int{15, 18} {
		oracle := pgtest.OracleOf(t, major)
		for _, jobs := range []int{1, 4} {
			list = append(list, interopReader{fmt.Sprintf("pg_restore %d -j%d", major, jobs), major, jobs, func(t *testing.T, s *pgtest.Server, db, path string) {
				if out, exit := oracle.Restore(t, "-j", fmt.Sprint(jobs), "--no-owner", "-d", s.DSN(db), path); exit != 0 {
					t.Fatalf("pg_restore: exit %d: %s", exit, out)
				}
			}})
		}
	}
	return list
}

// why says why a program does not read an archive by design, "" if it does.
func why(r interopReader, a interopArchive) string {
	if strings.HasPrefix(r.name, "pg_restore 15") && a.version != "1.14" {
		return "newer"
	}
	if strings.HasPrefix(r.name, "pg_restore") && r.jobs > 1 && (a.format == "-Ft" || strings.HasSuffix(a.format, "piped")) {
		return "never"
	}
	return ""
}

// Every archive that pghaul, pg_dump 15 and pg_dump 18 can make restores with
// pghaul, pg_restore 15 and 18, one by one and in parallel, to the same rows and
// large objects. The table of docs/interop.md is what this test finds.
func TestInterop(t *testing.T) {
	for _, major := range []int{15, 18} {
		if !slices.Contains(pgtest.Versions(t), major) {
			t.Skipf("PGHAUL_TEST_VERSIONS leaves out %d", major)
		}
	}
	servers := map[int]*pgtest.Server{15: pgtest.Start(t, 15), 18: pgtest.Start(t, 18)}
	source := servers[15]
	db := source.Database(t)
	source.Exec(t, db, interopSample)
	objects := source.Text(t, db, largeObjectDigest)
	readers := interopReaders(t)
	var out strings.Builder
	out.WriteString("| Written by | Format | Version | Compression |")
	for _, r := range readers {
		fmt.Fprintf(&out, " %s |", r.name)
	}
	out.WriteString("\n|" + strings.Repeat("---|", 4+len(readers)) + "\n")
	cells := 0
	for _, a := range interopArchives(t, source, db) {
		path := filepath.Join(pgtest.TempDir(t), "dump")
		a.make(t, path)
		report, err := checkArchive(t.Context(), path)
		if err != nil || !report.Intact() {
			t.Fatalf("check of %+v: %v, %+v", a, err, report.Problems)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |", a.writer, a.format, a.version, a.compression)
		for _, r := range readers {
			cell := why(r, a)
			if cell == "" {
				cell = "equal"
				cells++
				t.Run(strings.Join([]string{a.writer, a.format, a.version, a.compression, r.name}, "/"), func(t *testing.T) {
					s := servers[r.major]
					to := s.Database(t)
					r.run(t, s, to, path)
					same, err := verify.Run(t.Context(), source.Config(t, db), s.Config(t, to), verify.Options{Jobs: 1})
					if err != nil || !same.Equal() || len(same.Tables) != 3 {
						t.Errorf("verify: %v, %+v", err, same)
					}
					if got := s.Text(t, to, largeObjectDigest); got != objects {
						t.Errorf("large objects %s, want %s", got, objects)
					}
				})
				if t.Failed() {
					cell = "differs"
				}
			}
			fmt.Fprintf(&out, " %s |", cell)
		}
		out.WriteString("\n")
	}
	t.Logf("%d cells restored and compared", cells)
	compareInterop(t, interopHead+out.String())
}

const interopHead = `# Interoperability

This page is made by a test that writes, reads and compares every combination: the archives of a PostgreSQL 15 database that each program can make, restored by each program, with one connection and with four. "-F" is pg_dump's letter of the format: d, a directory, c, a custom archive, t, a tar file. "Piped" archives were written to standard output.

- **equal**: it restored without an error, and the digests of all tables, the large objects, their comments and privileges are those of the source.
- **newer**: the archive's version, 1.16 or 1.15, is one that this pg_restore refuses. ` + "`pghaul archive convert --archive-version 1.14`" + ` makes it one that it reads.
- **never**: pg_restore does not restore tar files in parallel, nor custom archives that went through a pipe (and so do not say where their data is).

pghaul restores into PostgreSQL 18 here, each pg_restore into its own version. Every archive also passed ` + "`pghaul archive check`" + `.

`

func compareInterop(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join("..", "docs", "interop.md")
	if *updateInterop {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), text); diff != "" {
		t.Errorf("docs/interop.md is not what the test found; run it with -update-interop: %s", diff)
	}
}
