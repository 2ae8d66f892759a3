package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tocName is the file name of the table of contents in a directory archive.
const tocName = "toc.dat"

// WriterOptions say how an archive is stored. The zero value compresses with
// zstd and waits for the disk.
type WriterOptions struct {
	// Compression of the data files; "" means zstd.
	Compression Compression
	// Level of the compression: -131072 to 22 for zstd, 1 to 9 for gzip, 1 to 12
	// for lz4; 0 means the fastest for zstd and lz4 and 6 for gzip.
	Level int
	// FrameSize is how many bytes of rows, before compression, make a frame: what
	// a restore reads at a time and the least it can share out; 0 means 2 MiB.
	// Larger frames compress less than 1 % better.
	FrameSize int
	// Version of the table of contents: CurrentVersion, which the zero value means,
	// Version15 or Version14.
	Version Version
	// NoSync does not wait for the files to reach the disk.
	NoSync bool
	// Overwrite lets CreateDir start an archive over that is in the directory,
	// complete or not, and CreateCustomFile replace what an interrupted dump left.
	Overwrite bool

	store store // nil means the file system
}

// A Writer makes a directory archive. Until Commit has returned nil the
// directory is recognisably an interrupted dump. Its methods may be called
// concurrently, except Commit and Abort, which nothing else may overlap.
type Writer struct {
	dir       string
	madeDir   bool
	overwrite bool // an archive in dir is to be removed
	opts      WriterOptions
	codec     *codec
	stored    atomic.Int64
	buffers   sync.Pool // of *[]byte, for rows on their way to a frame

	mu        sync.Mutex
	started   bool                // the first file may be made
	open      map[closer]struct{} // what Abort must close
	made      map[string]bool     // names of the files in dir that are ours
	files     map[string]File     // complete ones, by name
	oids      []uint32            // of all groups, for versions with one list
	committed bool
	aborted   bool
}

// A closer releases a file without finishing it.
type closer interface{ release() error }

// CreateDir begins an archive in the directory path, which must be empty or not
// exist, while its parent must. With Overwrite it may hold an archive, but
// nothing else: that is removed when the first file is written, its manifest and
// table of contents first.
func CreateDir(path string, o WriterOptions) (*Writer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	k, err := newCodec(o.Compression, o.Level)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		dir: path, opts: o, codec: k,
		open: make(map[closer]struct{}), made: make(map[string]bool), files: make(map[string]File),
	}
	if err := w.makeDir(); err != nil {
		return nil, err
	}
	return w, nil
}

func listNames(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names, nil
}

// DataName returns the file of a TABLE DATA entry, without compression suffix.
func DataName(id int) string { return strconv.Itoa(id) + ".dat" }

// LOListName returns the file that lists the large objects of a BLOBS entry.
func LOListName(id int) string { return "blobs_" + strconv.Itoa(id) + ".toc" }

// loName returns the file of a large object, without compression suffix.
func loName(oid uint32) string { return "blob_" + strconv.FormatUint(uint64(oid), 10) + ".dat" }

// isDataName reports whether a file of this name holds the data of an archive.
func isDataName(name string) bool {
	for _, s := range []string{".gz", ".lz4", ".zst"} {
		name = strings.TrimSuffix(name, s)
	}
	base, ok := strings.CutSuffix(name, ".dat")
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(strings.TrimPrefix(base, "blob_"), 10, 32)
	return err == nil
}

// Stored returns how many bytes the archive takes on disk so far.
func (w *Writer) Stored() int64 { return w.stored.Load() }

// create makes a file of the archive. It must not exist: every file has one
// writer.
func (w *Writer) create(name string) (storeFile, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.committed || w.aborted {
		return nil, fmt.Errorf("create archive file %s: the archive is closed", name)
	}
	if err := w.start(); err != nil {
		return nil, err
	}
	path := filepath.Join(w.dir, name)
	f, err := w.opts.store.create(path, 0o666)
	if err != nil {
		return nil, fileError("create archive file", path, err)
	}
	w.made[name] = true
	return f, nil
}

// remove deletes a file that create made.
func (w *Writer) remove(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.opts.store.remove(filepath.Join(w.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove archive file: %w", err)
	}
	delete(w.made, name)
	return nil
}

// finish flushes a complete file to the disk and closes it.
func (w *Writer) finish(f storeFile) error {
	if !w.opts.NoSync {
		if err := f.Sync(); err != nil {
			return errors.Join(fileError("sync archive file", f.Name(), err), f.Close())
		}
	}
	if err := f.Close(); err != nil {
		return fileError("close archive file", f.Name(), err)
	}
	return nil
}

func (w *Writer) track(c closer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[c] = struct{}{}
}

// untrack forgets c; file, if not nil, is what became of it.
func (w *Writer) untrack(c closer, file *File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
	if file != nil {
		w.files[file.Name] = *file
	}
}

// Commit writes the table of contents and, last, the manifest: from then on the
// archive is complete. Every Data, LOGroup and LOWriter must be closed. Of h,
// Version and Compression are filled in, and Created if it is zero; of toc, the
// File of entries with data; of m, Version, Files and the File of each table.
func (w *Writer) Commit(h Header, toc []Entry, m Manifest) error {
	h.Version, h.Compression = w.opts.Version, w.opts.Compression
	toc = slices.Clone(h.Version.convert(toc))
	for i := range toc {
		toc[i].File = h.Version.entryFile(&toc[i])
	}
	if err := w.writeOneList(toc); err != nil {
		return err
	}
	if err := w.checkComplete(toc); err != nil {
		return err
	}
	if h.Created.IsZero() {
		h.Created = time.Now()
	}
	text, err := formatTOC(h, w.opts.Level, toc)
	if err != nil {
		return err
	}
	if err := w.replace(tocName, text); err != nil {
		return err
	}
	if err := w.remove(markName); err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	w.files[tocName] = File{Name: tocName, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}

	m.Version = ManifestVersion
	m.Tables = slices.Clone(m.Tables)
	for i, t := range m.Tables {
		m.Tables[i].File = DataName(t.Entry) + w.codec.compression.suffix()
	}
	m.Files = m.Files[:0:0]
	for _, f := range w.files {
		m.Files = append(m.Files, f)
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	sealed, err := sealManifest(&m)
	if err != nil {
		return err
	}
	if err := w.replace(ManifestName, sealed); err != nil {
		return err
	}
	if err := w.syncDirs(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed = true
	return nil
}

// entryFile returns the name an entry's data is stored under.
func (v Version) entryFile(e *Entry) string {
	switch {
	case !e.HasData:
		return ""
	case e.Kind == "BLOBS":
		return v.listName(e.ID)
	}
	return DataName(e.ID)
}

// checkComplete checks that every entry has its data and all data its entry.
func (w *Writer) checkComplete(toc []Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.committed || w.aborted:
		return errors.New("commit archive: it is closed already")
	case len(w.open) > 0:
		return fmt.Errorf("commit archive: %d data files are not closed", len(w.open))
	}
	wanted := make(map[string]bool)
	for i := range toc {
		e := &toc[i]
		if !e.HasData {
			continue
		}
		name := e.File
		if e.Kind != "BLOBS" {
			name += w.codec.compression.suffix()
		}
		if _, ok := w.files[name]; !ok {
			return fmt.Errorf("commit archive: entry %d, %s %s, has no data file", e.ID, e.Kind, e.Tag)
		}
		wanted[name] = true
	}
	for name := range w.files {
		if !wanted[name] && !strings.HasPrefix(name, "blob_") {
			return fmt.Errorf("commit archive: file %s belongs to no entry", name)
		}
	}
	return nil
}

// replace puts a file into the directory at once, complete or not at all.
func (w *Writer) replace(name string, text []byte) error {
	temp := name + newSuffix
	f, err := w.create(temp)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(fileError("write archive file", f.Name(), err), f.Close())
	}
	if err := w.finish(f); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.opts.store.rename(filepath.Join(w.dir, temp), filepath.Join(w.dir, name)); err != nil {
		return fmt.Errorf("write archive file: %w", err)
	}
	delete(w.made, temp)
	w.made[name] = true
	w.stored.Add(int64(len(text)))
	return nil
}

// syncDirs makes the names of the files last, as finish did with their bytes.
func (w *Writer) syncDirs() error {
	if w.opts.NoSync {
		return nil
	}
	if err := w.opts.store.syncDir(w.dir); err != nil {
		return err
	}
	if w.madeDir {
		return w.opts.store.syncDir(filepath.Dir(filepath.Clean(w.dir)))
	}
	return nil
}

// Abort removes what the Writer made, the directory included unless it was
// there before. It closes what is still open; after Commit it does nothing.
func (w *Writer) Abort() error {
	w.mu.Lock()
	if w.committed || w.aborted {
		w.mu.Unlock()
		return nil
	}
	w.aborted = true
	open := w.open
	w.open = make(map[closer]struct{})
	w.mu.Unlock()

	var errs []error
	for c := range open {
		errs = append(errs, c.release())
	}
	names := make([]string, 0, len(w.made))
	for name := range w.made {
		names = append(names, name)
	}
	for _, name := range names {
		errs = append(errs, w.remove(name))
	}
	if w.madeDir {
		if err := w.opts.store.remove(w.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove archive: %w", err))
		}
	}
	return errors.Join(errs...)
}
