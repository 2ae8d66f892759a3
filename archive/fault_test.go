//go:build unix

package archive_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/archive/convert"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// convertTo copies an archive with what fails by itself or by the options.
func convertTo(t *testing.T, from, to string, format archive.Format, o archive.WriterOptions) error {
	t.Helper()
	r, err := archive.Open(from)
	check(t, err)
	defer r.Close()
	_, err = convert.Run(t.Context(), r, to, convert.Options{Format: format, Writer: o, Jobs: 1})
	return err
}

// eachFormat calls test with each compression and format, and an archive to
// convert.
func eachFormat(t *testing.T, test func(t *testing.T, from string, format archive.Format, c archive.Compression)) {
	for _, format := range []archive.Format{archive.FormatDirectory, archive.FormatCustom} {
		for _, c := range compressions {
			t.Run(fmt.Sprint(format, "/", c), func(t *testing.T) {
				from := filepath.Join(t.TempDir(), "from")
				write(t, from, archive.WriterOptions{})
				test(t, from, format, c)
			})
		}
	}
}

// Every call of the file system that fails makes the conversion fail with the
// name of the file, and leaves nothing, or the file that was there before.
func TestConvertFaults(t *testing.T) {
	t.Parallel()
	eachFormat(t, func(t *testing.T, from string, format archive.Format, c archive.Compression) {
		t.Parallel()
		dir := t.TempDir()
		to := filepath.Join(dir, "to")
		before := map[string]string{}
		if format == archive.FormatCustom {
			before["to"] = "the one before"
		}
		for n := 0; ; n++ {
			for name, text := range before {
				check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			o, failed := failing(archive.WriterOptions{Compression: c, Overwrite: true}, n, syscall.ENOSPC)
			err := convertTo(t, from, to, format, o)
			if failed() == "" {
				check(t, err)
				break
			}
			op, path, _ := strings.Cut(failed(), " ")
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(fmt.Sprint(err), strings.TrimSuffix(path, ".new")) {
				t.Errorf("%s fails: err = %v", failed(), err)
			}
			if format == archive.FormatCustom && op == "syncdir" {
				_, err := readAll(t, to)
				check(t, err) // it is whole, and only its name may not last
				continue
			}
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Errorf("%s fails: %s", failed(), diff)
				check(t, os.RemoveAll(to))
			}
		}
		_, err := readAll(t, to)
		check(t, err)
	})
}

// A conversion that dies at any call leaves nothing that looks whole and is not.
func TestConvertDies(t *testing.T) {
	t.Parallel()
	eachFormat(t, func(t *testing.T, from string, format archive.Format, c archive.Compression) {
		t.Parallel()
		for n := 0; ; n++ {
			to := filepath.Join(t.TempDir(), "to")
			o, fired := dying(archive.WriterOptions{Compression: c}, n)
			err := convertTo(t, from, to, format, o)
			if !fired() {
				check(t, err)
				break
			}
			if err == nil {
				t.Errorf("call %d: no error", n)
			}
			for _, path := range []string{to, to + ".tmp"} {
				r, err := archive.Open(path)
				if err == nil {
					check(t, r.Close())
					_, err := readAll(t, path)
					check(t, err)
				} else if _, damaged := errors.AsType[*archive.CorruptError](err); !damaged && !errors.Is(err, archive.ErrIncomplete) && !errors.Is(err, archive.ErrNotArchive) && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("call %d: %s is left as %v", n, path, err)
				}
			}
		}
	})
}

// tmpfs makes a small file system, which only root can.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	mount := pgtest.TempDir(t)
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", mount).CombinedOutput(); err != nil {
		t.Skipf("only root can make a small file system: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return mount
}

// A full disk is an error that names the file, and the space is given back.
func TestDiskFull(t *testing.T) {
	mount := tmpfs(t, "64k")
	from := filepath.Join(t.TempDir(), "from")
	w, err := archive.CreateDir(from, archive.WriterOptions{NoSync: true})
	check(t, err)
	d, err := w.Table(7)
	check(t, err)
	p := d.Part(0)
	for i := range 20_000 {
		check(t, p.WriteRows(fmt.Appendf(nil, "%x\n", i*i*7919*7919), 1))
	}
	check(t, p.Close())
	_, err = d.Close()
	check(t, err)
	commit(t, w)
	for _, format := range []archive.Format{archive.FormatDirectory, archive.FormatCustom} {
		for _, c := range compressions {
			to := filepath.Join(mount, "to")
			err := convertTo(t, from, to, format, archive.WriterOptions{Compression: c, FrameSize: 16 << 10})
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), to) {
				t.Errorf("%s %s: err = %v", format, c, err)
			}
			if left := names(t, mount); len(left) > 0 {
				t.Errorf("%s %s: left %v", format, c, left)
			}
		}
	}
}

// A directory that vanishes, and one that may not be written, are errors that
// name the file.
func TestVanishedAndReadOnly(t *testing.T) {
	for _, c := range []archive.Compression{archive.CompressZstd, archive.CompressNone} {
		dir := filepath.Join(t.TempDir(), "dump")
		w, err := archive.CreateDir(dir, archive.WriterOptions{Compression: c, NoSync: true})
		check(t, err)
		d, err := w.Table(7)
		check(t, err)
		check(t, os.RemoveAll(dir))
		_, closeErr := d.Close() // the file is open and can be written
		check(t, closeErr)
		err = w.Commit(header, entries()[:3], archive.Manifest{})
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
			t.Errorf("vanished directory: err = %v", err)
		}
		check(t, w.Abort())

		parent := t.TempDir()
		path := filepath.Join(parent, "dump")
		custom, err := archive.CreateCustomFile(path, archive.WriterOptions{Compression: c, NoSync: true})
		check(t, err)
		check(t, custom.Begin(header, entries()[:2]))
		check(t, os.RemoveAll(parent))
		err = custom.Commit(archive.Manifest{})
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("vanished file: err = %v", err)
		}
	}
	mount := tmpfs(t, "64k")
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,ro", mount).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(mount, "to")
	write(t, from, archive.WriterOptions{})
	for _, format := range []archive.Format{archive.FormatDirectory, archive.FormatCustom} {
		if err := convertTo(t, from, to, format, archive.WriterOptions{}); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), to) {
			t.Errorf("%s: read-only file system: err = %v", format, err)
		}
	}
}

// A file that may not be read is an error that names it, not a missing table.
func TestUnreadable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dump")
	write(t, dir, archive.WriterOptions{})
	path := filepath.Join(dir, "7.dat.zst")
	check(t, os.Remove(path))
	check(t, os.Mkdir(path, 0o700)) // root may read all files, but nobody a directory
	if _, err := readAll(t, dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("err = %v", err)
	}
}
