package archive_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
)

// files makes a directory with these files.
func files(tb testing.TB, texts map[string]string) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "dump")
	check(tb, os.Mkdir(dir, 0o700))
	for name, text := range texts {
		check(tb, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

// Overwrite takes every directory that holds an archive or what is left of one,
// and none with anything else in it, which it leaves alone.
func TestOverwrite(t *testing.T) {
	t.Parallel()
	ours := func(c archive.Compression, change func(dir string) error) func(t *testing.T) string {
		return func(t *testing.T) string {
			dir := filepath.Join(t.TempDir(), "dump")
			write(t, dir, archive.WriterOptions{Compression: c})
			check(t, change(dir))
			return dir
		}
	}
	add := func(name, text string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	}
	drop := func(names ...string) func(dir string) error {
		return func(dir string) (err error) {
			for _, name := range names {
				err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
			}
			return err
		}
	}
	these := func(texts map[string]string) func(t *testing.T) string {
		return func(t *testing.T) string { return files(t, texts) }
	}
	tests := []struct {
		name   string
		make   func(t *testing.T) string
		refuse string // part of the error, if there is one
	}{
		{"complete", ours("zstd", func(string) error { return nil }), ""},
		{"without a manifest", ours("none", drop(archive.ManifestName)), ""},
		{"without a table of contents", ours("gzip", drop(archive.ManifestName, "toc.dat")), ""},
		{"damaged manifest", ours("lz4", add(archive.ManifestName, "{")), ""},
		{"of pg_dump", func(t *testing.T) string {
			dir := filepath.Join(t.TempDir(), "dump")
			writeForeign(t, dir, archive.WriterOptions{})
			return dir
		}, ""},
		{"of pg_dump 15", these(map[string]string{"toc.dat": "PGDMP\x01\x0e", "3.dat.gz": "", "blobs.toc": "", "blob_7.dat.gz": "?"}), ""},
		{"only just begun", these(map[string]string{"toc.dat.tmp": ""}), ""},
		{"begun, with spool files", these(map[string]string{"toc.dat.tmp": "PGDMP", "3.dat": "1\n", "3.dat.1.spool": "1\n"}), ""},

		{"with a file of somebody's", ours("zstd", add("notes", "")), "(notes)"},
		{"with a file of another archive", ours("zstd", add("99.dat", "")), "(99.dat)"},
		{"without a manifest, with a file of somebody's", ours("zstd", func(dir string) error {
			return errors.Join(drop(archive.ManifestName)(dir), add("README", "")(dir))
		}), "(README)"},
		{"with a directory", ours("zstd", func(dir string) error { return os.Mkdir(filepath.Join(dir, "8.dat"), 0o700) }), "(8.dat)"},
		{"with a link", ours("zstd", func(dir string) error {
			return errors.Join(drop("7.dat.zst")(dir), os.Symlink("/etc/hostname", filepath.Join(dir, "7.dat.zst")))
		}), "(7.dat.zst)"},
		{"numbers of somebody's", these(map[string]string{"1.dat": "0.5", "2.dat": "0.7"}), "(1.dat, 2.dat)"},
		{"compressed only by name", these(map[string]string{"1.dat.gz": "0.5"}), "(1.dat.gz)"},
		{"a manifest of somebody's", these(map[string]string{"manifest.json": `{"name":"app"}`}), "(manifest.json)"},
		{"another toc.dat", these(map[string]string{"toc.dat": "contents"}), "(toc.dat)"},
		{"many files", these(map[string]string{"a": "", "b": "", "c": "", "d": "", "e": "", "f": "", "g": ""}), "(a, b, c, d, e, 2 more)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := tt.make(t)
			before := contents(t, dir)
			if _, err := archive.CreateDir(dir, archive.WriterOptions{}); err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("without Overwrite: err = %v", err)
			}
			err := tryWrite(dir, archive.WriterOptions{Overwrite: true, NoSync: true}, header)
			if tt.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refuse) || !strings.Contains(err.Error(), dir) {
					t.Errorf("err = %v, want one with %q", err, tt.refuse)
				}
				if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
					t.Error(diff)
				}
				return
			}
			check(t, err)
			got, err := readAll(t, dir)
			check(t, err)
			if got["7/0"] != "1\n2\n" || len(names(t, dir)) != 6 {
				t.Errorf("the archive has the files %v and the rows %q", names(t, dir), got["7/0"])
			}
		})
	}
}

// contents reads the files of a directory.
func contents(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	texts := make(map[string]string)
	for _, name := range names(tb, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, syscall.EISDIR) {
			tb.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

// An archive that is to be overwritten stays as it is until the first file is
// written.
func TestOverwriteLate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dump")
	write(t, dir, archive.WriterOptions{})
	before := contents(t, dir)
	w, err := archive.CreateDir(dir, archive.WriterOptions{Overwrite: true})
	check(t, err)
	check(t, w.Abort())
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Error(diff)
	}
	w, err = archive.CreateDir(dir, archive.WriterOptions{Overwrite: true})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "late"), nil, 0o600))
	if _, err := w.Table(7); err == nil || !strings.Contains(err.Error(), "(late)") {
		t.Errorf("a file that came later: err = %v", err)
	}
	check(t, w.Abort())
	before["late"] = ""
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// A run that dies at any call of the file system, and cleans nothing up, leaves
// the old archive, or the new one, or an interrupted dump that can be started
// over; never something that looks whole and is not.
func TestOverwriteDies(t *testing.T) {
	t.Parallel()
	for _, c := range []archive.Compression{archive.CompressZstd, archive.CompressNone} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "dump")
			seen := map[string]int{}
			for n := 0; ; n++ {
				check(t, os.RemoveAll(dir))
				old := header
				old.Database = "old"
				writeHeader(t, dir, archive.WriterOptions{Compression: c}, old)
				o, fired := dying(archive.WriterOptions{Overwrite: true, Compression: c}, n)
				err := tryWrite(dir, o, header)
				if !fired() {
					check(t, err)
					break
				}
				if err == nil || !strings.Contains(err.Error(), dir) {
					t.Errorf("call %d: err = %v, want one that names a file", n, err)
				}
				r, err := archive.Open(dir)
				switch {
				case err == nil:
					seen[r.Header().Database]++
					check(t, r.Close())
					_, err := readAll(t, dir)
					check(t, err)
				case errors.Is(err, archive.ErrIncomplete):
					seen["interrupted"]++
				default:
					t.Errorf("call %d: it is left as %v", n, err)
				}
				if err := tryWrite(dir, archive.WriterOptions{Overwrite: true, NoSync: true}, header); err != nil {
					t.Errorf("call %d: starting over: %v", n, err)
				}
			}
			if seen["old"] == 0 || seen["interrupted"] == 0 || seen[header.Database] == 0 {
				t.Errorf("left behind: %v", seen)
			}
		})
	}
}

// dying makes all calls of the file system from the nth fail.
func dying(o archive.WriterOptions, n int) (archive.WriterOptions, func() bool) {
	calls := 0
	return archive.WithFaults(o, func(op, path string) error {
		if calls++; calls <= n {
			return nil
		}
		return &fs.PathError{Op: op, Path: path, Err: syscall.EIO}
	}), func() bool { return calls > n }
}

// failing makes the nth call of the file system fail, but for removals, which
// clean up after a failure.
func failing(o archive.WriterOptions, n int, err error) (_ archive.WriterOptions, failed func() string) {
	calls := 0
	var at string
	return archive.WithFaults(o, func(op, path string) error {
		if op == "remove" {
			return nil
		}
		if calls++; calls != n+1 {
			return nil
		}
		at = op + " " + path
		if op == "write" && n%2 == 0 {
			return err // without the path, as a short write is
		}
		return &fs.PathError{Op: op, Path: path, Err: err}
	}), func() string { return at }
}

// Every call that fails, one at a time, is an error that names the file, and
// nothing is left.
func TestWriteFaults(t *testing.T) {
	t.Parallel()
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "dump")
			ops := map[string]bool{}
			for n := 0; ; n++ {
				o, failed := failing(archive.WriterOptions{Compression: c}, n, syscall.ENOSPC)
				err := tryWrite(dir, o, header)
				if failed() == "" {
					check(t, err)
					break
				}
				op, path, _ := strings.Cut(failed(), " ")
				ops[op] = true
				if err == nil && strings.HasSuffix(path, ".spool") {
					_, err := readAll(t, dir)
					check(t, err) // what failed was of the part that is given up anyway
					check(t, os.RemoveAll(dir))
					continue
				}
				if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(fmt.Sprint(err), strings.TrimSuffix(path, ".new")) {
					t.Errorf("%s fails: err = %v", failed(), err)
				}
				if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s fails: left: %v, %v", failed(), err, names(t, dir))
					check(t, os.RemoveAll(dir))
				}
			}
			if got := slices.Sorted(maps.Keys(ops)); !slices.Equal(got, []string{"close", "create", "mkdir", "rename", "sync", "syncdir", "write"}) {
				t.Errorf("only these were called: %v", got)
			}
		})
	}
}
