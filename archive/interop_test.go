//go:build unix

package archive_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, func() error { return goleak.Find() }) }

// pg_restore reads what a Writer makes: voided frames, seek tables and all.
func TestPgRestoreReads(t *testing.T) {
	oracle := pgtest.Oracle(t)
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			dir := filepath.Join(pgtest.TempDir(t), "dump")
			write(t, dir, archive.WriterOptions{Compression: c})
			compareList(t, oracle, dir)
			out, exit := oracle.Restore(t, "-a", "-f", "-", dir)
			if exit != 0 {
				t.Fatalf("pg_restore: exit %d: %s", exit, out)
			}
			for _, want := range []string{
				"COPY public.t (a) FROM stdin;\n", "3\n\\\\.\n", "1\n2\n",
				"lo_open('5'", "lowrite(0, '\\\\x6c61726765206f626a656374')",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("pg_restore's script lacks %q:\n%s", want, out)
				}
			}
		})
	}
}

// pg_restore loads what a Writer makes.
func TestPgRestoreLoads(t *testing.T) {
	if !slices.Contains(pgtest.Versions(t), 18) {
		t.Skip("PGHAUL_TEST_VERSIONS leaves out 18")
	}
	oracle, s := pgtest.Oracle(t), pgtest.Start(t, 18)
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			db := s.Database(t)
			dir := filepath.Join(pgtest.TempDir(t), "dump")
			write(t, dir, archive.WriterOptions{Compression: c})
			if out, exit := oracle.Restore(t, "-j", "2", "--no-owner", "-d", s.DSN(db), dir); exit != 0 {
				t.Fatalf("pg_restore: exit %d: %s", exit, out)
			}
			s.Exec(t, db, `DO $$ BEGIN
				ASSERT (SELECT array_agg(a ORDER BY a COLLATE "C") FROM t) = ARRAY['1', '2', '3', '\.'], 'rows';
				ASSERT lo_get(5) = '' AND lo_get(6) = 'large object', 'large objects';
				END $$`)
		})
	}
}

// compareList checks that our list of entries is pg_restore's.
func compareList(t *testing.T, oracle *pgtest.Client, dir string) {
	t.Helper()
	want, exit := oracle.Restore(t, "-l", dir)
	if exit != 0 {
		t.Fatalf("pg_restore -l: exit %d: %s", exit, want)
	}
	r, err := archive.Open(dir)
	check(t, err)
	var got bytes.Buffer
	check(t, archive.WriteList(&got, r))
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("list (-pg_restore +ours):\n%s", diff)
	}
}

const sampleSQL = `
CREATE SCHEMA "a
b";
CREATE TABLE "a
b".t (a text);
INSERT INTO "a
b".t VALUES (E'\\.'), (E'x\ny'), (NULL), ('');
CREATE TABLE many (a int, b text);
INSERT INTO many SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
CREATE TABLE empty (a int);
CREATE TABLE wide ();
INSERT INTO wide DEFAULT VALUES;
INSERT INTO wide DEFAULT VALUES;
CREATE INDEX ON many (a);
ALTER TABLE many ADD CHECK (a > 0);
COMMENT ON TABLE many IS 'many';
GRANT SELECT ON many TO PUBLIC;
CREATE MATERIALIZED VIEW m AS SELECT * FROM many;
SELECT lo_from_bytea(5, ''), lo_from_bytea(6, 'six'), lo_from_bytea(7, decode(repeat('ab', 100000), 'hex'));`

// Every archive that pg_dump can make in a directory is read, of every version
// of pg_dump at hand.
func TestReadPgDump(t *testing.T) {
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
			for _, method := range methods {
				for _, extra := range []string{"", "--inserts", "--create"} {
					t.Run(method+extra, func(t *testing.T) {
						dir := filepath.Join(pgtest.TempDir(t), "dump")
						args := []string{"-Fd", "-Z", method, "-f", dir, "-d", s.DSN(db)}
						if extra != "" {
							args = append(args, extra)
						}
						oracle.Dump(t, args...)
						compareList(t, lister, dir)
						comparePgDump(t, dir, extra == "--inserts")
					})
				}
			}
		})
	}
}

// comparePgDump checks the data of sampleSQL.
func comparePgDump(t *testing.T, dir string, inserts bool) {
	t.Helper()
	got, err := readAll(t, dir)
	check(t, err)
	r, err := archive.Open(dir)
	check(t, err)
	los := map[string]string{"blob_5.dat": "", "blob_6.dat": "six", "blob_7.dat": strings.Repeat("\xab", 100_000)}
	for name, want := range los {
		if got[name] != want {
			t.Errorf("%s has %d bytes, want %d", name, len(got[name]), len(want))
		}
	}
	if r.Manifest() != nil {
		t.Error("pg_dump's archive has a manifest")
	}
	rows := map[string]string{"t": "\\\\.\nx\\ny\n\\N\n\n", "empty": "", "wide": "\n\n"}
	for _, e := range r.Entries() {
		check(t, archive.Verify(t.Context(), r, e.ID))
		if e.Kind != "TABLE DATA" {
			continue
		}
		text := got[fmt.Sprintf("%d/0", e.ID)]
		lines := strings.Count(text, "\n")
		want, exact := rows[e.Tag]
		switch {
		case inserts:
			if n := strings.Count(text, "INSERT INTO"); n == 0 && e.Tag != "empty" {
				t.Errorf("%s has no statements: %.50q", e.Tag, text)
			}
		case exact && text != want:
			t.Errorf("rows of %s = %q, want %q", e.Tag, text, want)
		case e.Tag == "many" && (lines != 20_000 || !strings.HasSuffix(text, "\n20000\td9798cdf31c02d86b8b81cc119d94836\n")):
			t.Errorf("many has %d rows and ends with %q", lines, text[max(0, len(text)-60):])
		}
	}
}
