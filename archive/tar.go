package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// tarReader reads what pg_dump -Ft writes: the files of a directory archive
// without compression, one after the other.
type tarReader struct {
	path    string
	f       io.ReaderAt
	size    int64
	close   func() error
	header  Header
	entries []Entry
	byID    map[int]*Entry
	members map[string]*io.SectionReader
}

var _ Reader = (*tarReader)(nil)

// openTar lists the members of f, which has size bytes, and reads the table of
// contents. The Reader's Close calls close.
func openTar(path string, f io.ReaderAt, size int64, close func() error) (*tarReader, error) {
	t := &tarReader{path: path, f: f, size: size, close: close, members: make(map[string]*io.SectionReader), byID: make(map[int]*Entry)}
	if err := t.list(); err != nil {
		return nil, err
	}
	toc := t.members[tocName]
	if toc == nil {
		return nil, fmt.Errorf("open archive %s: %w: the tar file has no %s", path, ErrNotArchive, tocName)
	}
	text, err := readMember(t.name(tocName), toc)
	if err != nil {
		return nil, err
	}
	if t.header, t.entries, err = parseTOC(t.name(tocName), text); err != nil {
		return nil, err
	}
	if strings.Contains(t.header.DumpVersion, toolName) {
		return nil, fmt.Errorf("open archive %s: it is a directory archive of pghaul in a tar file; unpack it", path)
	}
	t.header.Format = FormatTar
	for i := range t.entries {
		e := &t.entries[i]
		t.byID[e.ID] = e
		// The entry names a file that is not there.
		if e.Kind == "BLOBS" && e.File == DataName(e.ID) {
			e.File = LOListName(e.ID)
		}
	}
	return t, nil
}

// list notes where the members are.
func (t *tarReader) list() error {
	in := io.NewSectionReader(t.f, 0, t.size)
	r := tar.NewReader(in)
	for {
		h, err := r.Next()
		off, serr := in.Seek(0, io.SeekCurrent)
		switch {
		case serr != nil:
			return fmt.Errorf("open archive: %w", serr)
		case errors.Is(err, io.EOF) && off < t.size:
			return t.blank(off, t.size)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &CorruptError{File: t.path, Offset: off, Reason: "the tar file is not complete", Err: err}
		}
		switch {
		case h.Typeflag == tar.TypeDir:
			continue
		case h.Typeflag != tar.TypeReg || len(h.PAXRecords) > 0 || h.Size > t.size-off:
			return &CorruptError{File: t.path, Offset: off, Reason: fmt.Sprintf("member %q is not a whole plain file", h.Name)}
		}
		name := strings.TrimPrefix(h.Name, "./")
		if !isFileName(name) || t.members[name] != nil {
			return &CorruptError{File: t.path, Offset: off, Reason: fmt.Sprintf("member %q is not a file name or there twice", h.Name)}
		}
		t.members[name] = io.NewSectionReader(t.f, off, h.Size)
	}
}

// blank checks that only zeros follow the end of the tar file.
func (t *tarReader) blank(off, end int64) error {
	buf := make([]byte, 32<<10)
	for off < end {
		n, err := t.f.ReadAt(buf[:min(int64(len(buf)), end-off)], off)
		if i := strings.IndexFunc(string(buf[:n]), func(r rune) bool { return r != 0 }); i >= 0 {
			return &CorruptError{File: t.path, Offset: off + int64(i), Reason: "something follows the end of the tar file"}
		}
		off += int64(n)
		if err != nil {
			return fmt.Errorf("open archive: %w", err)
		}
	}
	return nil
}

// name is how errors call a member.
func (t *tarReader) name(member string) string { return t.path + ":" + member }

func readMember(name string, r *io.SectionReader) ([]byte, error) {
	if r.Size() > maxText {
		return nil, &CorruptError{File: name, Offset: -1, Reason: "it is too large for a list"}
	}
	text := make([]byte, r.Size())
	if _, err := r.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read archive file %s: %w", name, err)
	}
	return text, nil
}

func (t *tarReader) Header() Header      { return t.header }
func (t *tarReader) Entries() []Entry    { return t.entries }
func (t *tarReader) Manifest() *Manifest { return nil }

// Close closes the file.
func (t *tarReader) Close() error { return t.close() }

// member finds a file of the archive.
func (t *tarReader) member(name string) (*io.SectionReader, error) {
	m := t.members[name]
	if m == nil {
		return nil, missing(t.name(name))
	}
	return io.NewSectionReader(m, 0, m.Size()), nil
}

func (t *tarReader) rows(id int) (*Entry, *io.SectionReader, error) {
	e := t.byID[id]
	switch {
	case e == nil:
		return nil, nil, fmt.Errorf("read archive %s: it has no entry %d", t.path, id)
	case !e.HasData || e.Kind == "BLOBS":
		return nil, nil, fmt.Errorf("read archive %s: entry %d, %s %s, has no rows", t.path, id, e.Kind, e.Tag)
	}
	m, err := t.member(e.File)
	return e, m, err
}

// Parts returns one: the whole member.
func (t *tarReader) Parts(id int) ([]Part, error) {
	_, m, err := t.rows(id)
	if err != nil {
		return nil, err
	}
	return []Part{{Rows: -1, Bytes: m.Size()}}, nil
}

// Open reads an entry's rows.
func (t *tarReader) Open(ctx context.Context, id int, part Part) (io.ReadCloser, error) {
	e, m, err := t.rows(id)
	if err != nil {
		return nil, err
	}
	if part.Frames > 0 {
		return nil, fmt.Errorf("read archive file %s: it has no frames to start from", t.path)
	}
	s, err := t.stream(ctx, e.File, m)
	if err != nil {
		return nil, err
	}
	s.setTail(e)
	return s, nil
}

func (t *tarReader) stream(ctx context.Context, name string, m *io.SectionReader) (*stream, error) {
	return newStream(ctx, place{path: t.name(name), compression: CompressNone}, io.NopCloser(m), nil)
}

// LargeObjects reads the list of a BLOBS entry.
func (t *tarReader) LargeObjects(id int) ([]LargeObject, error) {
	e := t.byID[id]
	if e == nil || e.Kind != "BLOBS" {
		return nil, fmt.Errorf("read archive %s: entry %d has no large objects", t.path, id)
	}
	m, err := t.member(e.File)
	if err != nil {
		return nil, err
	}
	text, err := readMember(t.name(e.File), m)
	if err != nil {
		return nil, err
	}
	return parseLOList(t.name(e.File), string(text))
}

// OpenLargeObject reads one large object.
func (t *tarReader) OpenLargeObject(ctx context.Context, lo LargeObject) (io.ReadCloser, error) {
	m, err := t.member(lo.File)
	if err != nil {
		return nil, err
	}
	return t.stream(ctx, lo.File, m)
}
