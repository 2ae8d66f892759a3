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

// Open opens an archive. Errors wrap ErrNotArchive, ErrIncomplete or are
// *CorruptError where that is the cause.
func Open(path string) (Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	if info.IsDir() {
		return OpenDir(path)
	}
	return nil, rejectFile(path)
}

// rejectFile says why a file cannot be read as an archive.
func rejectFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if cerr := f.Close(); cerr != nil {
		err = cerr
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("open archive: %w", err)
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte(tocMagic)):
		return fmt.Errorf("open archive %s: custom archives are not read yet; make a directory archive with pg_dump -Fd", path)
	case n > 262 && string(head[257:262]) == "ustar":
		return fmt.Errorf("open archive %s: tar archives are not read yet; unpack it into a directory or use pg_dump -Fd", path)
	case bytes.Contains(head, []byte("PostgreSQL database dump")):
		return fmt.Errorf("open archive %s: %w but an SQL script; run it with psql", path, ErrNotArchive)
	}
	return fmt.Errorf("open archive %s: %w: name the directory that a dump has made", path, ErrNotArchive)
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
		return nil, fmt.Errorf("open archive %s: %w: it has no %s; dump again", path, ErrIncomplete, ManifestName)
	}
	for i := range r.entries {
		r.byID[r.entries[i].ID] = &r.entries[i]
	}
	return r, nil
}

// readManifest returns nil if there is none.
func readManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, ManifestName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
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
	if slices.ContainsFunc(names, isDataName) {
		return fmt.Errorf("open archive %s: %w: it has data files but no %s; dump again", r.path, ErrIncomplete, tocName)
	}
	return fmt.Errorf("open archive %s: %w: the directory has no %s", r.path, ErrNotArchive, tocName)
}
