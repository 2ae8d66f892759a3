package archive_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
)

// A damaged byte anywhere must be noticed by reading the archive, and the
// message must name the file.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "dump")
			write(t, dir, archive.WriterOptions{Compression: c})
			list, err := os.ReadDir(dir)
			check(t, err)
			if len(list) != 6 {
				t.Fatalf("archive has %d files, want 6", len(list))
			}
			for _, f := range list {
				path := filepath.Join(dir, f.Name())
				whole, err := os.ReadFile(path)
				check(t, err)
				damage := func(what string, at int, text []byte) {
					check(t, os.WriteFile(path, text, 0o600))
					_, err := readAll(t, dir)
					if err == nil || !strings.Contains(err.Error(), path) {
						t.Errorf("%s: %s %d: err = %v, want one that names the file", f.Name(), what, at, err)
					}
					if _, ok := errors.AsType[*archive.CorruptError](err); !ok {
						t.Errorf("%s: %s %d: err = %v, want a CorruptError", f.Name(), what, at, err)
					}
				}
				common := f.Name() == archive.ManifestName || f.Name() == "toc.dat"
				for i := range whole {
					if common && c != archive.CompressZstd {
						break // they are the same with every compression
					}
					text := slices.Clone(whole)
					text[i] ^= 1 << (i % 8)
					damage("flipped byte", i, text)
					damage("cut at", i, whole[:i])
				}
				for _, more := range []string{"\x00", "\n", "}"} {
					damage("appended at", len(whole), append(slices.Clone(whole), more...))
				}
				check(t, os.Remove(path))
				_, err = readAll(t, dir)
				if f.Name() == archive.ManifestName {
					if !errors.Is(err, archive.ErrIncomplete) {
						t.Errorf("no manifest: err = %v, want ErrIncomplete", err)
					}
				} else if e, ok := errors.AsType[*archive.CorruptError](err); !ok || e.File != path {
					t.Errorf("%s is missing: err = %v", f.Name(), err)
				}
				check(t, os.WriteFile(path, whole, 0o600))
			}
			if _, err := readAll(t, dir); err != nil {
				t.Errorf("undamaged: %v", err)
			}
		})
	}
}

// Without a manifest, a file of pg_dump that was cut anywhere before the end of
// the terminator must be noticed. (A flipped byte only gzip can notice.)
func TestDamageForeign(t *testing.T) {
	t.Parallel()
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "dump")
			writeForeign(t, dir, archive.WriterOptions{Compression: c})
			list, err := filepath.Glob(filepath.Join(dir, "7.dat*"))
			check(t, err)
			path := list[0]
			whole, err := os.ReadFile(path)
			check(t, err)
			end := len(whole)
			if c == archive.CompressNone {
				end -= len("\n\n") // of the terminator: nothing is lost with them
			}
			for i := range end {
				if c == archive.CompressZstd && i == len(whole)-seekTableSize(whole) {
					continue // all frames are there and the table is not needed
				}
				check(t, os.WriteFile(path, whole[:i], 0o600))
				wantCorrupt(t, dir, path, "cut", i)
				if c == archive.CompressGzip {
					text := slices.Clone(whole)
					text[i] ^= 1
					check(t, os.WriteFile(path, text, 0o600))
					if _, err := readAll(t, dir); err == nil && !gzipIgnores(i, whole) {
						t.Errorf("flipped byte %d was not noticed", i)
					}
				}
			}
			check(t, os.WriteFile(path, append(slices.Clone(whole), "garbage"...), 0o600))
			wantCorrupt(t, dir, path, "appended", 0)
			check(t, os.WriteFile(path, whole, 0o600))
			got, err := readAll(t, dir)
			check(t, err)
			if got["7/0"] != "3\n\\\\.\n1\n2\n" {
				t.Errorf("rows = %q", got["7/0"])
			}
		})
	}
}

// seekTableSize returns the length of the seek table at the end of a file.
func seekTableSize(file []byte) int {
	footer := file[len(file)-9:]
	return 8 + 8*int(binary.LittleEndian.Uint32(footer)) + len(footer)
}

// gzipIgnores reports whether byte i of concatenated members is one of a header
// that no checksum covers: the time, the flags of the compressor and the system.
func gzipIgnores(i int, whole []byte) bool {
	start := strings.LastIndex(string(whole[:i+1]), "\x1f\x8b\x08")
	return start >= 0 && i-start >= 3 && i-start < 10
}

func wantCorrupt(tb testing.TB, dir, path, what string, at int) {
	tb.Helper()
	_, err := readAll(tb, dir)
	if e, ok := errors.AsType[*archive.CorruptError](err); !ok || e.File != path {
		tb.Errorf("%s at %d: err = %v, want a CorruptError of %s", what, at, err, path)
	}
}
