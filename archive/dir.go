package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// dirReader reads a directory archive. It opens files when they are needed.
type dirReader struct {
	path     string
	header   Header
	entries  []Entry
	byID     map[int]*Entry
	manifest *Manifest
	files    map[string]*dataFile // of the manifest, by name on disk
	decoders decoders
}

var _ Reader = (*dirReader)(nil)

// A dataFile is a file the manifest vouches for.
type dataFile struct {
	File
	rows []Frame // those with rows, by part number and offset

	mu      sync.Mutex
	checked bool // the bytes outside rows are as the manifest says
}

func newDataFile(f File) *dataFile {
	d := &dataFile{File: f}
	for _, fr := range f.Frames {
		if fr.Part >= 0 {
			d.rows = append(d.rows, fr)
		}
	}
	slices.SortStableFunc(d.rows, func(a, b Frame) int { return cmp.Compare(a.Part, b.Part) })
	return d
}

func (r *dirReader) Header() Header      { return r.header }
func (r *dirReader) Entries() []Entry    { return r.entries }
func (r *dirReader) Manifest() *Manifest { return r.manifest }
func (r *dirReader) Close() error        { return nil }

// A place is where the content of a name is found on disk.
type place struct {
	path        string
	compression Compression
	file        *dataFile // nil without a manifest
}

// suffixes is the order in which pg_restore looks for a file.
var suffixes = []Compression{CompressNone, CompressGzip, CompressLZ4, CompressZstd}

// locate finds a file by its name in the table of contents: the one the
// manifest names, or else the one that exists.
func (r *dirReader) locate(name string) (place, error) {
	if !isFileName(name) {
		return place{}, &CorruptError{File: filepath.Join(r.path, tocName), Offset: -1, Reason: fmt.Sprintf("%q is not a file name", name)}
	}
	var found []place
	for _, c := range suffixes {
		p := place{path: filepath.Join(r.path, name+c.suffix()), compression: c}
		if c == CompressNone {
			p.compression = compressionOf(name)
		}
		if r.manifest != nil {
			if p.file = r.files[name+c.suffix()]; p.file != nil {
				return p, nil
			}
			continue
		}
		_, err := os.Stat(p.path)
		if err == nil {
			found = append(found, p)
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return place{}, fmt.Errorf("read archive: %w", err)
		}
	}
	if r.manifest != nil {
		return place{}, &CorruptError{
			File: filepath.Join(r.path, ManifestName), Offset: -1,
			Reason: fmt.Sprintf("it does not list %s, which the table of contents names", name),
		}
	}
	switch len(found) {
	case 0:
		return place{}, missing(filepath.Join(r.path, name))
	case 1:
		return found[0], nil
	}
	// pg_restore takes the first without a word. One of them is not of this dump.
	return place{}, &CorruptError{
		File: found[0].path, Offset: -1,
		Reason: fmt.Sprintf("%s stands beside it and only one of them can be of this archive; remove the other", filepath.Base(found[1].path)),
	}
}

// Strays returns the files of an archive that look as if they were its data but
// are not: pg_restore would read some of them instead. It knows of archives
// with a manifest only, in a directory.
func Strays(r Reader) ([]string, error) {
	d, ok := r.(*dirReader)
	if !ok || d.manifest == nil {
		return nil, nil
	}
	names, err := listNames(d.path)
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	var strays []string
	for _, name := range names {
		base := strings.TrimSuffix(name, compressionOf(name).suffix())
		if d.files[name] == nil && (isDataName(name) || base == tocName || strings.HasPrefix(base, "blobs")) {
			strays = append(strays, filepath.Join(d.path, name))
		}
	}
	return strays, nil
}

func missing(path string) error {
	return &CorruptError{File: path, Offset: -1, Reason: "it is missing", Err: fs.ErrNotExist}
}

// compressionOf tells by its name how a file is compressed.
func compressionOf(name string) Compression {
	for _, c := range suffixes {
		if c != CompressNone && strings.HasSuffix(name, c.suffix()) {
			return c
		}
	}
	return CompressNone
}

// open opens the file and compares its size with the manifest's. A symbolic link
// must not lead out of the archive, whose maker may not be trusted, and what is
// no plain file could keep us waiting for ever.
func (p *place) open() (*os.File, error) {
	f, err := openInside(p.path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read archive: %w", err), f.Close())
	}
	if size := info.Size(); p.file != nil && size != p.file.Size {
		return nil, errors.Join(&CorruptError{
			File: p.path, Offset: min(size, p.file.Size),
			Reason: fmt.Sprintf("it has %d bytes instead of %d", size, p.file.Size),
		}, f.Close())
	}
	return f, nil
}

// openInside opens a file of an archive.
func openInside(path string) (*os.File, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	defer func() { _ = root.Close() }()
	name := filepath.Base(path)
	if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil, missing(path)
	}
	info, err := root.Stat(name)
	if link, lerr := root.Lstat(name); err != nil && lerr == nil && link.Mode()&fs.ModeSymlink != 0 {
		return nil, &CorruptError{File: path, Offset: -1, Reason: "it is a symbolic link that does not lead to a file of the archive", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &CorruptError{File: path, Offset: -1, Reason: "it is not a plain file"}
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return f, nil
}

// data finds the data of a table entry.
func (r *dirReader) data(id int) (*Entry, place, error) {
	e := r.byID[id]
	switch {
	case e == nil:
		return nil, place{}, fmt.Errorf("read archive %s: it has no entry %d", r.path, id)
	case !e.HasData || e.Kind == "BLOBS":
		return nil, place{}, fmt.Errorf("read archive %s: entry %d, %s %s, has no rows", r.path, id, e.Kind, e.Tag)
	}
	p, err := r.locate(e.File)
	return e, p, err
}

// Parts returns a Part for each part number of the manifest, or one for the
// whole file.
func (r *dirReader) Parts(id int) ([]Part, error) {
	_, p, err := r.data(id)
	if err != nil {
		return nil, err
	}
	if p.file == nil || len(p.file.Frames) == 0 {
		info, err := os.Stat(p.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, missing(p.path)
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		return []Part{{Rows: -1, Bytes: info.Size()}}, nil
	}
	var parts []Part
	for i, f := range p.file.rows {
		if n := len(parts); n == 0 || parts[n-1].Number != f.Part {
			parts = append(parts, Part{Number: f.Part, First: i})
		}
		last := &parts[len(parts)-1]
		last.Frames++
		last.Rows += f.Rows
		last.Bytes += f.Raw
	}
	if len(parts) == 0 {
		parts = []Part{{}}
	}
	return parts, nil
}

// Open reads one part of an entry's rows, or the statements of an entry that
// has INSERTs instead.
func (r *dirReader) Open(ctx context.Context, id int, part Part) (io.ReadCloser, error) {
	e, p, err := r.data(id)
	if err != nil {
		return nil, err
	}
	if p.file != nil && len(p.file.Frames) > 0 {
		return r.openFrames(ctx, p, part)
	}
	if part.Frames > 0 {
		return nil, fmt.Errorf("read archive file %s: it has no frames to start from", p.path)
	}
	s, err := r.openStream(ctx, p)
	if err != nil {
		return nil, err
	}
	s.setTail(e)
	return s, nil
}

// LargeObjects reads the list of a BLOBS entry.
func (r *dirReader) LargeObjects(id int) ([]LargeObject, error) {
	e := r.byID[id]
	if e == nil || e.Kind != "BLOBS" {
		return nil, fmt.Errorf("read archive %s: entry %d has no large objects", r.path, id)
	}
	p, err := r.locate(e.File)
	if err != nil {
		return nil, err
	}
	text, err := r.readSmall(p)
	if err != nil {
		return nil, err
	}
	return parseLOList(p.path, string(text))
}

// maxText bounds the memory that a compressed list can ask for.
const maxText = 1 << 30

// readSmall reads the content of a file that is kept in memory.
func (r *dirReader) readSmall(p place) ([]byte, error) {
	s, err := r.openStream(context.Background(), p)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(s, maxText))
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(text) == maxText {
		err = &CorruptError{File: p.path, Offset: -1, Reason: "it is too large for a list"}
	}
	return text, err
}

// parseLOList reads lines of an OID and a file name.
func parseLOList(path, text string) ([]LargeObject, error) {
	var list []LargeObject
	off := 0
	for line := range strings.Lines(text) {
		var lo LargeObject
		if _, err := fmt.Sscanf(line, "%d %s\n", &lo.OID, &lo.File); err != nil || !isFileName(lo.File) || !strings.HasSuffix(line, "\n") {
			return nil, &CorruptError{File: path, Offset: int64(off), Reason: "a line is not an OID and a file name"}
		}
		off += len(line)
		list = append(list, lo)
	}
	return list, nil
}

// OpenLargeObject reads one large object.
func (r *dirReader) OpenLargeObject(ctx context.Context, lo LargeObject) (io.ReadCloser, error) {
	p, err := r.locate(lo.File)
	if err != nil {
		return nil, err
	}
	return r.openStream(ctx, p)
}
