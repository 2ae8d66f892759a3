package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// toolName is in the DumpVersion of every archive of ours.
const toolName = "pghaul"

// Open opens an archive: a directory, a custom archive or a tar file of ours or
// of pg_dump. Errors wrap ErrNotArchive, ErrIncomplete or are *CorruptError
// where that is the cause.
func Open(path string) (Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	if info.IsDir() {
		return OpenDir(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	if !info.Mode().IsRegular() {
		r, err := OpenStream(f, path, "")
		return r, errors.Join(err, f.Close())
	}
	r, err := openFile(path, f, func() error {
		if err := f.Close(); err != nil {
			return fmt.Errorf("close archive: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// OpenStream opens a custom archive or a tar file that comes through a pipe: it
// copies all of it into a file without a name in the directory spool, "" for
// the system's temporary one, and reads that. name is for errors. It does not
// close r. Closing the Reader gives the space back.
func OpenStream(r io.Reader, name, spool string) (Reader, error) {
	f, err := os.CreateTemp(spool, "pghaul-*.spool")
	if err != nil {
		return nil, fmt.Errorf("open archive %s: %w", name, err)
	}
	// Where a file that is open can be removed, nothing is left of it if the
	// process dies.
	removed := os.Remove(f.Name()) == nil
	done := func() error {
		if err := f.Close(); err != nil {
			return fmt.Errorf("close archive: %w", err)
		}
		if removed {
			return nil
		}
		return removeSpool(f)
	}
	if _, err := io.Copy(f, r); err != nil {
		return nil, errors.Join(fmt.Errorf("copy archive %s into a temporary file: %w", name, err), done())
	}
	in, err := openFile(name, f, done)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	return in, nil
}

func removeSpool(f *os.File) error {
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("remove temporary file: %w", err)
	}
	return nil
}

// openFile opens the archive in one file. It closes f with the Reader's Close,
// by calling close, and not if it returns an error.
func openFile(path string, f *os.File, close func() error) (Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte(tocMagic)):
		c, err := openCustom(path, f, info.Size(), close)
		if err != nil {
			return nil, err
		}
		return c, nil
	case n > 262 && string(head[257:262]) == "ustar":
		t, err := openTar(path, f, info.Size(), close)
		if err != nil {
			return nil, err
		}
		return t, nil
	case bytes.Contains(head, []byte("PostgreSQL database dump")):
		return nil, fmt.Errorf("open archive %s: %w but an SQL script; run it with psql", path, ErrNotArchive)
	case n == 0:
		return nil, fmt.Errorf("open archive %s: %w: the file is empty", path, ErrNotArchive)
	}
	return nil, fmt.Errorf("open archive %s: %w: name a directory, a custom archive or a tar file that a dump has made", path, ErrNotArchive)
}

// OpenDir opens a directory archive of ours or of pg_dump. It reads the table
// of contents and the manifest; the data files are checked as they are read.
func OpenDir(path string) (Reader, error) {
	manifest, err := readManifest(path)
	if err != nil {
		return nil, err
	}
	r := &dirReader{path: path, manifest: manifest, files: make(map[string]*dataFile), byID: make(map[int]*Entry)}
	if manifest != nil {
		for _, f := range manifest.Files {
			r.files[f.Name] = newDataFile(f)
		}
	}
	file, text, err := r.readTOC()
	if err != nil {
		return nil, err
	}
	if r.header, r.entries, err = parseTOC(file, text); err != nil {
		return nil, err
	}
	if manifest == nil && strings.Contains(r.header.DumpVersion, toolName) {
		return nil, fmt.Errorf("open archive %s: %w: it has no %s; dump again with --overwrite, or into a new directory", path, ErrIncomplete, ManifestName)
	}
	for i := range r.entries {
		r.byID[r.entries[i].ID] = &r.entries[i]
	}
	return r, nil
}

// readManifest returns nil if there is none.
func readManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, ManifestName)
	f, err := openInside(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	if len(text) == maxManifest {
		return nil, &CorruptError{File: path, Offset: -1, Reason: "it is too large for a manifest"}
	}
	return openManifest(path, text)
}

// readTOC returns the text of the table of contents, checked if there is a
// manifest, and the file it stands in.
func (r *dirReader) readTOC() (file string, text []byte, err error) {
	p, err := r.locate(tocName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, r.noTOC()
	}
	if err != nil {
		return "", nil, err
	}
	text, err = r.readSmall(p)
	return p.path, text, err
}

// noTOC says what a directory without a table of contents is.
func (r *dirReader) noTOC() error {
	names, err := listNames(r.path)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	if slices.ContainsFunc(names, func(name string) bool { return isDataName(name) || isTemporary(name) }) {
		return fmt.Errorf("open archive %s: %w: it has no %s; dump again with --overwrite, or into a new directory", r.path, ErrIncomplete, tocName)
	}
	return fmt.Errorf("open archive %s: %w: the directory has no %s", r.path, ErrNotArchive, tocName)
}
