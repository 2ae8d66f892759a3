package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// markName is the first file of a directory archive. Until the table of contents
// is there, it tells that the files beside it are those of a dump.
const markName = tocName + ".tmp"

// newSuffix is what the names of toc.dat and the manifest end in until they are
// complete.
const newSuffix = ".new"

// These match the names of spool files and of lists of large objects.
var (
	spoolPattern  = regexp.MustCompile(`^[0-9]+\.dat(\.gz|\.lz4|\.zst)?\.[0-9]+\.spool$`)
	loListPattern = regexp.MustCompile(`^blobs(_[0-9]+)?\.toc$`)
)

// makeDir makes the directory path, or checks that it is an empty one or that it
// may be emptied.
func (w *Writer) makeDir() error {
	err := w.opts.store.mkdir(w.dir)
	if err == nil {
		w.madeDir = true
		return nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create archive: %w", err)
	}
	info, err := os.Stat(w.dir)
	if err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("create archive: %s exists and is not a directory; name another path", w.dir)
	}
	names, err := listNames(w.dir)
	if err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	if len(names) == 0 {
		return nil
	}
	if _, err = archiveFiles(w.dir); err != nil {
		return fmt.Errorf("create archive: %w", err)
	}
	if w.opts.Overwrite {
		w.overwrite = true
		return nil
	}
	what := "an archive"
	if r, err := OpenDir(w.dir); errors.Is(err, ErrIncomplete) {
		what = "an interrupted dump"
	} else if err == nil {
		_ = r.Close()
	}
	return fmt.Errorf("create archive: directory %s holds %s; start it over with --overwrite, or name another", w.dir, what)
}

// isArchiveName reports whether a file of this name could be of an archive.
func isArchiveName(name string) bool {
	base := strings.TrimSuffix(name, compressionOf(name).suffix())
	return base == tocName || name == ManifestName || isTemporary(name) || isDataName(name) || loListPattern.MatchString(base)
}

// isTemporary reports whether only a dump that was interrupted leaves a file of
// this name.
func isTemporary(name string) bool {
	return name == markName || name == tocName+newSuffix || name == ManifestName+newSuffix || spoolPattern.MatchString(name)
}

// archiveFiles returns the names in a directory that holds an archive and
// nothing else: a complete one, a damaged one or an interrupted dump, of ours or
// of pg_dump. What could be somebody's other data is an error that names it.
func archiveFiles(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	manifest, manifestErr := readManifest(dir)
	own := map[string]bool{ManifestName: manifest != nil}
	if manifest != nil {
		for _, f := range manifest.Files {
			own[f.Name] = true
		}
	}
	// A table of contents, or what stands in for it, vouches for the names.
	known := manifest != nil || startsLike(filepath.Join(dir, tocName), tocMagic, false) || startsLike(filepath.Join(dir, markName), tocMagic, true)
	var names, strays []string
	for _, e := range list {
		name := e.Name()
		names = append(names, name)
		var ours bool
		switch {
		case !e.Type().IsRegular():
		case manifest != nil:
			ours = own[name] || isTemporary(name)
		case name == ManifestName:
			ours = known && manifestErr != nil // it is damaged
		case known:
			ours = isArchiveName(name)
		case loListPattern.MatchString(name):
			text, err := os.ReadFile(filepath.Join(dir, name))
			_, listErr := parseLOList(name, string(text))
			ours = err == nil && listErr == nil
		default:
			ours = isArchiveName(name) && compressedAsNamed(filepath.Join(dir, name))
		}
		if !ours {
			strays = append(strays, name)
		}
	}
	const most = 5
	if n := len(strays); n > most {
		strays = append(strays[:most], fmt.Sprintf("%d more", n-most))
	}
	if len(strays) > 0 {
		return nil, fmt.Errorf("directory %s is not empty, and what is in it is not all of one archive (%s); remove that, or name another directory",
			dir, strings.Join(strays, ", "))
	}
	return names, nil
}

// compressedAsNamed reports whether a file begins as its suffix says. That tells
// the data of an archive without a table of contents from other files.
func compressedAsNamed(path string) bool {
	switch compressionOf(path) {
	case CompressGzip:
		return startsLike(path, "\x1f\x8b", true)
	case CompressLZ4:
		return startsLike(path, "\x04\x22\x4d\x18", true) || startsLike(path, "\x50\x2a\x4d\x18", true)
	case CompressZstd:
		return startsLike(path, "\x28\xb5\x2f\xfd", true) || startsLike(path, "\x50\x2a\x4d\x18", true)
	default:
		return false
	}
}

// startsLike reports whether a file begins with the magic bytes, or, if that will
// do, has none at all.
func startsLike(path, magic string, empty bool) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	if err != nil {
		return empty && n == 0 && errors.Is(err, io.EOF)
	}
	return bytes.Equal(head, []byte(magic))
}

// start makes the directory ready for the first file: until then an archive that
// is to be overwritten is untouched, so that a dump that fails early costs
// nothing. The caller holds mu.
func (w *Writer) start() error {
	if w.started {
		return nil
	}
	var old []string
	if w.overwrite {
		var err error
		if old, err = archiveFiles(w.dir); err != nil {
			return fmt.Errorf("overwrite archive: %w", err)
		}
	}
	// From the mark on, what is left of a run that dies is an interrupted dump.
	if !slices.Contains(old, markName) {
		f, err := w.opts.store.create(filepath.Join(w.dir, markName), 0o666)
		if err != nil {
			return fileError("create archive file", filepath.Join(w.dir, markName), err)
		}
		_, err = io.WriteString(f, tocMagic)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return errors.Join(fileError("write archive file", f.Name(), err), w.opts.store.remove(f.Name()))
		}
	}
	w.made[markName] = true
	w.started = true
	return w.removeOld(old)
}

// removeOld removes the files of an archive, what makes it one first.
func (w *Writer) removeOld(names []string) error {
	first := []string{ManifestName, tocName, tocName + ".gz", tocName + ".lz4", tocName + ".zst"}
	remove := func(name string) error {
		if err := w.opts.store.remove(filepath.Join(w.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("overwrite archive: %w", err)
		}
		return nil
	}
	for _, name := range first {
		if slices.Contains(names, name) {
			if err := remove(name); err != nil {
				return err
			}
		}
	}
	if len(names) > 0 && !w.opts.NoSync {
		if err := w.opts.store.syncDir(w.dir); err != nil {
			return err
		}
	}
	for _, name := range names {
		if name == markName || slices.Contains(first, name) {
			continue
		}
		if err := remove(name); err != nil {
			return err
		}
	}
	return nil
}
