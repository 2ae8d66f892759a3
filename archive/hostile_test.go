//go:build unix

package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// hostileArchive makes an archive like one of pg_dump, with these files beside
// its table of contents.
func hostileArchive(t *testing.T, toc []Entry, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["toc.dat"] = string(oldTOC(CurrentVersion, 4, 3, CompressNone, toc))
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// readFirst reads the data of the entry 1, its rows or its large objects.
func readFirst(t *testing.T, dir string) (string, error) {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var rc io.ReadCloser
	if r.Entries()[0].Kind == "BLOBS" {
		list, err := r.LargeObjects(1)
		if err != nil {
			return "", err
		}
		rc, err = r.OpenLargeObject(context.Background(), list[0])
		if err != nil {
			return "", err
		}
	} else if rc, err = r.Open(context.Background(), 1, Part{}); err != nil {
		return "", err
	}
	defer rc.Close()
	text, err := io.ReadAll(rc)
	return string(text), err
}

// Whatever an archive calls its files, nothing outside of it is read, and
// nothing that is not a file is waited for.
func TestHostileFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret\n\\.\n\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []Entry{{ID: 1, Kind: "TABLE DATA", HasData: true, Section: SectionData, Copy: "COPY t FROM stdin;\n", File: "1.dat"}}
	objects := []Entry{{ID: 1, Kind: "BLOBS", HasData: true, Section: SectionData, File: "blobs_1.toc"}}
	link := func(name, to string) func(dir string) error {
		return func(dir string) error { return os.Symlink(to, filepath.Join(dir, name)) }
	}
	nothing := func(string) error { return nil }
	tests := []struct {
		name  string
		toc   []Entry
		files map[string]string
		make  func(dir string) error
		want  string // part of the error
	}{
		{"a link outside", rows, map[string]string{}, link("1.dat", secret), "1.dat is damaged: it is a symbolic link"},
		{"a link to a directory outside", rows, map[string]string{}, func(dir string) error {
			return errors.Join(link("out", filepath.Dir(secret))(dir), link("1.dat", "out/secret")(dir))
		}, "1.dat is damaged: it is a symbolic link"},
		{"a link upwards", rows, map[string]string{}, link("1.dat", "../../../../../../../../"+secret), "1.dat is damaged: it is a symbolic link"},
		{"a large object's link", objects, map[string]string{"blobs_1.toc": "5 blob_5.dat\n"}, link("blob_5.dat", secret), "blob_5.dat is damaged: it is a symbolic link"},
		{"the list's link", objects, map[string]string{}, link("blobs_1.toc", secret), "blobs_1.toc is damaged: it is a symbolic link"},
		{"the manifest's link", rows, map[string]string{"1.dat": "\\.\n\n\n"}, link("manifest.json", secret), "manifest.json is damaged: it is a symbolic link"},
		{"a pipe", rows, map[string]string{}, func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "1.dat"), 0o600) }, "1.dat is damaged: it is not a plain file"},
		{"a directory", rows, map[string]string{}, func(dir string) error { return os.Mkdir(filepath.Join(dir, "1.dat"), 0o700) }, "1.dat is damaged: it is not a plain file"},
		{"a large object upwards", objects, map[string]string{"blobs_1.toc": "5 ../secret\n"}, nothing, "blobs_1.toc is damaged at byte 0"},
		{"an absolute large object", objects, map[string]string{"blobs_1.toc": "5 " + secret + "\n"}, nothing, "blobs_1.toc is damaged at byte 0"},
		{"a list upwards", []Entry{{ID: 1, Kind: "BLOBS", HasData: true, Section: SectionData, File: "../blobs_1.toc"}}, map[string]string{}, nothing, "is not a file name"},
		{"rows upwards", []Entry{{ID: 1, Kind: "TABLE DATA", HasData: true, Section: SectionData, File: "../secret"}}, map[string]string{}, nothing, `"../secret" is not a file name`},
		{"absolute rows", []Entry{{ID: 1, Kind: "TABLE DATA", HasData: true, Section: SectionData, File: secret}}, map[string]string{}, nothing, "is not a file name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := hostileArchive(t, tt.toc, tt.files)
			if err := tt.make(dir); err != nil {
				t.Fatal(err)
			}
			text, err := readFirst(t, dir)
			if _, ok := errors.AsType[*CorruptError](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q, err = %v, want one with %q", text, err, tt.want)
			}
		})
	}
	// A link within the archive is fine, and so is one to the archive.
	dir := hostileArchive(t, rows, map[string]string{"data": "1\n\\.\n\n\n"})
	if err := link("1.dat", "data")(dir); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(dir, other); err != nil {
		t.Fatal(err)
	}
	if text, err := readFirst(t, other); err != nil || text != "1\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// What decompresses to very much takes no memory for it.
func TestBombs(t *testing.T) {
	const size = 256 << 20
	var packed strings.Builder
	w, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("0", 1<<20-1) + "\n")
	for range size / len(line) {
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(func() error { _, err := io.WriteString(w, textRows.end); return err }(), w.Close()); err != nil {
		t.Fatal(err)
	}
	dir := hostileArchive(t, []Entry{{ID: 1, Kind: "TABLE DATA", HasData: true, Section: SectionData, Copy: "COPY t FROM stdin;\n", File: "1.dat"}},
		map[string]string{"1.dat.zst": packed.String()})
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rc, err := r.Open(t.Context(), 1, Part{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, rc); err != nil || n != size {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := rc.Close(); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
		t.Errorf("%d MB were allocated for %d bytes on disk", used>>20, packed.Len())
	}
	// A window that is larger than what pg_restore takes is refused.
	huge := "\x28\xb5\x2f\xfd\x00\xa8" + strings.Repeat("\x00", 20) // window of 2 GiB
	dir = hostileArchive(t, []Entry{{ID: 1, Kind: "TABLE DATA", HasData: true, Section: SectionData, Copy: "x", File: "1.dat"}}, map[string]string{"1.dat.zst": huge})
	if _, err := readFirst(t, dir); err == nil || !strings.Contains(err.Error(), "1.dat.zst is damaged") {
		t.Errorf("a huge window: err = %v", err)
	}
}

// Names with line breaks make no lines of their own.
func TestHostileList(t *testing.T) {
	const evil = "x\n99; 1 1 TABLE public evil o\r\n-- x"
	dir := hostileArchive(t, []Entry{{ID: 1, Kind: "TABLE " + evil, Tag: evil, Namespace: evil, Owner: evil, Section: SectionPreData, Create: "x"}}, map[string]string{})
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out strings.Builder
	if err := WriteList(&out, r); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, ";") && !strings.HasPrefix(line, "1; 0 0 TABLE x ") || strings.Contains(line, "\r") {
			t.Errorf("line %q", line)
		}
	}
}
