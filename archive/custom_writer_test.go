//go:build unix

package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// fillCustom writes what write does, in one part, and a second group of large
// objects.
func fillCustom(tb testing.TB, c *archive.CustomWriter) {
	tb.Helper()
	toc := append(entries(),
		archive.Entry{
			ID: 10, Class: 2613, OID: 3_000_000_000, Kind: "BLOB METADATA", Tag: "3000000000", Section: archive.SectionData,
			Create: "3000000000\n", Drop: "-- dummy", Owner: "p",
		},
		archive.Entry{
			ID: 12, Kind: "ACL", Tag: "LARGE OBJECTS 5..6", Owner: "o", After: []int{8},
			Create:  "REVOKE ALL ON LARGE OBJECT 5 FROM \"a ON LARGE OBJECT 5 \";\nGRANT SELECT ON LARGE OBJECT 5 TO PUBLIC;\n",
			Section: archive.SectionNone,
		},
		archive.Entry{
			ID: 13, Kind: "COMMENT", Tag: "LARGE OBJECT 6", Owner: "o", After: []int{8}, Section: archive.SectionNone,
			Create: "COMMENT ON LARGE OBJECT 6 IS 'six';\n",
		},
		archive.Entry{ID: 11, HasData: true, Kind: "BLOBS", Tag: "3000000000", Section: archive.SectionData, After: []int{10}},
	)
	check(tb, c.Begin(header, toc))
	d, err := c.Table(7)
	check(tb, err)
	check(tb, d.WriteRows([]byte("1\n2\n"), 2))
	r, err := d.Row()
	check(tb, err)
	for _, piece := range []string{"3", "\n"} {
		_, err = io.WriteString(r, piece)
		check(tb, err)
	}
	check(tb, r.Close())
	check(tb, d.WriteRows([]byte("\\\\.\n"), 1))
	check(tb, d.Close())
	for _, group := range []struct {
		id      int
		objects map[uint32]string
	}{{9, map[uint32]string{5: "", 6: "large object"}}, {11, map[uint32]string{3_000_000_000: strings.Repeat("x", 300_000)}}} {
		g, err := c.LargeObjects(group.id)
		check(tb, err)
		for oid, text := range group.objects {
			o, err := g.Create(oid)
			check(tb, err)
			_, err = io.WriteString(o, text)
			check(tb, err)
			check(tb, o.Close())
		}
		check(tb, g.Close())
	}
	check(tb, c.Commit(archive.Manifest{Tool: "pghaul 0.1.0", Tables: []archive.TableData{{Entry: 7, Rows: 4, Bytes: 10}}}))
}

// writeCustom makes a custom archive in a file, as a stream or not.
func writeCustom(tb testing.TB, path string, stream bool, o archive.WriterOptions) {
	tb.Helper()
	o.NoSync = true
	if !stream {
		c, err := archive.CreateCustomFile(path, o)
		check(tb, err)
		fillCustom(tb, c)
		return
	}
	var out bytes.Buffer
	c, err := archive.CreateCustom(&out, o)
	check(tb, err)
	fillCustom(tb, c)
	if c.Stored() != int64(out.Len()) {
		tb.Errorf("Stored() = %d, want %d", c.Stored(), out.Len())
	}
	check(tb, os.WriteFile(path, out.Bytes(), 0o600))
}

var customWant = map[string]string{
	"7/0": "1\n2\n3\n\\\\.\n", "blob_5.dat": "", "blob_6.dat": "large object", "blob_3000000000.dat": strings.Repeat("x", 300_000),
}

// eachCustom calls test with each kind of custom archive.
func eachCustom(t *testing.T, test func(t *testing.T, stream bool, o archive.WriterOptions)) {
	for _, stream := range []bool{false, true} {
		for _, v := range []archive.Version{archive.CurrentVersion, archive.Version15, archive.Version14} {
			for _, c := range compressions {
				if v == archive.Version14 && c != archive.CompressGzip && c != archive.CompressNone {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/stream=%t", v, c, stream), func(t *testing.T) {
					test(t, stream, archive.WriterOptions{Version: v, Compression: c})
				})
			}
		}
	}
}

func TestCustomRoundTrip(t *testing.T) {
	eachCustom(t, func(t *testing.T, stream bool, o archive.WriterOptions) {
		path := filepath.Join(t.TempDir(), "dump")
		writeCustom(t, path, stream, o)
		got, err := readAll(t, path)
		check(t, err)
		if diff := cmp.Diff(customWant, got); diff != "" {
			t.Error(diff)
		}
		r, err := archive.Open(path)
		check(t, err)
		defer r.Close()
		if h := r.Header(); h.Format != archive.FormatCustom || h.Version != o.Version || h.Compression != o.Compression {
			t.Errorf("header = %+v", h)
		}
		parts, err := r.Parts(7)
		check(t, err)
		if diff := cmp.Diff([]archive.Part{{Rows: 4, Bytes: 10}}, parts); diff != "" {
			t.Error(diff)
		}
		if m := r.Manifest(); m == nil || len(m.Tables) != 1 || m.Tables[0].File != "7.dat" {
			t.Errorf("manifest = %+v", m)
		}
		if _, err := os.Stat(path + ".tmp"); err == nil {
			t.Error("the temporary file is left")
		}
	})
}

// Each pg_restore reads the versions it knows, lists them as we do, and loads
// them into a server.
func TestPgRestoreReadsCustom(t *testing.T) {
	lister := pgtest.Oracle(t)
	for _, major := range []int{15, 18} {
		if !slices.Contains(pgtest.Versions(t), major) {
			t.Skipf("PGHAUL_TEST_VERSIONS leaves out %d", major)
		}
		oracle, s := pgtest.OracleOf(t, major), pgtest.Start(t, major)
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			eachCustom(t, func(t *testing.T, stream bool, o archive.WriterOptions) {
				if major < 16 && o.Version != archive.Version14 {
					return // pg_restore refuses it
				}
				db := s.Database(t)
				path := filepath.Join(pgtest.TempDir(t), "dump")
				writeCustom(t, path, stream, o)
				compareList(t, lister, path)
				args := []string{"--no-owner", "--no-acl", "-d", s.DSN(db), path}
				if !stream {
					args = append([]string{"-j", "2"}, args...)
				}
				if out, exit := oracle.Restore(t, args...); exit != 0 {
					t.Fatalf("pg_restore: exit %d: %s", exit, out)
				}
				s.Exec(t, db, `DO $$ BEGIN
					ASSERT (SELECT array_agg(a ORDER BY a COLLATE "C") FROM t) = ARRAY['1', '2', '3', '\.'], 'rows';
					ASSERT lo_get(5) = '' AND lo_get(6) = 'large object' AND length(lo_get(3000000000)) = 300000, 'large objects';
					ASSERT obj_description(6, 'pg_largeobject') = 'six', 'comment';
					END $$`)
				script, exit := oracle.Restore(t, "-f", "-", path)
				if exit != 0 {
					t.Fatalf("pg_restore: exit %d: %s", exit, script)
				}
				for _, want := range []string{
					"GRANT SELECT ON LARGE OBJECT 5 TO PUBLIC", "GRANT SELECT ON LARGE OBJECT 6 TO PUBLIC",
					`ON LARGE OBJECT 6 FROM "a ON LARGE OBJECT 5 "`, "ALTER LARGE OBJECT 6 OWNER TO o", "ALTER LARGE OBJECT 3000000000 OWNER TO p",
				} {
					if !strings.Contains(script, want) {
						t.Errorf("the script lacks %q", want)
					}
				}
			})
		})
	}
}

// A damaged byte anywhere must be noticed by reading the archive.
func TestDamageCustom(t *testing.T) {
	t.Parallel()
	for _, c := range compressions {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprint(c, stream), func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "dump")
				writeCustom(t, path, stream, archive.WriterOptions{Compression: c})
				whole, err := os.ReadFile(path)
				check(t, err)
				step := max(1, len(whole)/701) // about 700 places, at all distances from the frames' borders
				for i := 0; i < len(whole); i += step {
					text := slices.Clone(whole)
					text[i] ^= 1 << (i % 8)
					check(t, os.WriteFile(path, text, 0o600))
					wantDamage(t, path, "flipped byte", i)
					check(t, os.WriteFile(path, whole[:i], 0o600))
					wantDamage(t, path, "cut at", i)
				}
				for _, more := range []string{"\x00", "\n", "}"} {
					check(t, os.WriteFile(path, append(slices.Clone(whole), more...), 0o600))
					wantDamage(t, path, "appended at", len(whole))
				}
			})
		}
	}
}

// wantDamage checks that reading notices that an archive is not whole.
func wantDamage(tb testing.TB, path, what string, at int) {
	tb.Helper()
	_, err := readAll(tb, path)
	_, corrupt := errors.AsType[*archive.CorruptError](err)
	if !corrupt && !errors.Is(err, archive.ErrIncomplete) && !errors.Is(err, archive.ErrNotArchive) || !strings.Contains(err.Error(), path) {
		tb.Errorf("%s %d: err = %v, want one of damage that names the file", what, at, err)
	}
}

// A file is replaced when the new one is complete and not before, what a dump
// that died has left only where that is asked for.
func TestCustomReplaces(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "dump"), filepath.Join(dir, "link")
	check(t, os.WriteFile(path, []byte("old"), 0o600))
	check(t, os.Symlink(path, link))
	c, err := archive.CreateCustomFile(link, archive.WriterOptions{})
	check(t, err)
	second, err := archive.CreateCustomFile(path, archive.WriterOptions{})
	if err == nil || !strings.Contains(err.Error(), "dump.tmp exists: ") || !strings.Contains(err.Error(), "--overwrite") {
		t.Errorf("a second dump at the same time: %v, %v", second, err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Errorf("before Commit the file is %q, %v", text, err)
	}
	fillCustom(t, c)
	_, err = readAll(t, path)
	check(t, err)
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is now %v, %v", info, err)
	}

	check(t, os.WriteFile(path+".tmp", []byte("PGDMP and so on"), 0o600))
	if _, err := archive.CreateCustomFile(path, archive.WriterOptions{}); err == nil {
		t.Error("what a dump has left is overwritten without being asked")
	}
	first, err := archive.CreateCustomFile(path, archive.WriterOptions{Overwrite: true})
	check(t, err)
	check(t, first.Begin(header, entries()[:2]))
	last, err := archive.CreateCustomFile(path, archive.WriterOptions{Overwrite: true})
	check(t, err)
	if err := first.Commit(archive.Manifest{}); err == nil || !strings.Contains(err.Error(), "another dump") {
		t.Errorf("committing a file whose name another dump has taken: %v", err)
	}
	fillCustom(t, last)
	check(t, os.WriteFile(path+".tmp", []byte("mine"), 0o600))
	if _, err := archive.CreateCustomFile(path, archive.WriterOptions{Overwrite: true}); err == nil {
		t.Error("a file that no dump has left is overwritten")
	}
	if _, err := archive.CreateCustomFile(dir, archive.WriterOptions{}); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: err = %v", err)
	}
}

// What cannot be written is an error, stays one, and leaves no file.
func TestCustomErrors(t *testing.T) {
	for _, limit := range []int{0, 10, 1000, 3000} {
		c, err := archive.CreateCustom(&fullWriter{left: limit}, archive.WriterOptions{Compression: archive.CompressNone})
		check(t, err)
		err = c.Begin(header, entries())
		if err == nil {
			var d *archive.CustomRows
			if d, err = c.Table(7); err == nil {
				for range 1000 {
					_ = d.WriteRows([]byte("some row or other\n"), 1)
				}
				err = d.Close()
			}
		}
		if !errors.Is(err, errFull) {
			t.Errorf("limit %d: err = %v", limit, err)
		}
		if err := c.Commit(archive.Manifest{}); err == nil {
			t.Errorf("limit %d: the archive was committed", limit)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "dump")
	c, err := archive.CreateCustomFile(path, archive.WriterOptions{})
	check(t, err)
	check(t, c.Begin(header, entries()))
	d, err := c.Table(7)
	check(t, err)
	if _, err := c.LargeObjects(9); err == nil {
		t.Error("two entries' data at the same time")
	}
	check(t, d.Abort())
	if err := c.Commit(archive.Manifest{}); err == nil {
		t.Error("an archive with rows given up was committed")
	}
	check(t, c.Abort())
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, o := range []archive.WriterOptions{
		{Version: archive.Version14},
		{Version: archive.Version{1, 13, 0}},
		{Version: archive.Version14, Compression: archive.CompressLZ4},
		{Compression: "x"},
		{Level: 99},
	} {
		if _, err := archive.CreateCustom(io.Discard, o); err == nil {
			t.Errorf("options %+v are accepted", o)
		}
	}
}

var errFull = errors.New("full")

// A fullWriter takes so many bytes.
type fullWriter struct{ left int }

func (w *fullWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, errFull
	}
	w.left -= len(p)
	return len(p), nil
}
