package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A RowWriter takes the rows of an entry, or of one part of them.
type RowWriter interface {
	// WriteRows adds n rows: whole lines of COPY text, whole rows of its binary
	// format, or whole statements. It does not keep the slice.
	WriteRows(rows []byte, n int64) error
	// Row begins a row that is too long to be held in memory. Its bytes, the
	// newline at the end of a line among them, are written to what is returned,
	// whose Close ends the row; until then nothing else may be written.
	Row() (io.WriteCloser, error)
	// Close commits the rows.
	Close() error
	// Abort drops them. After Close it does nothing.
	Abort() error
}

var (
	_ RowWriter = (*PartWriter)(nil)
	_ RowWriter = (*CustomRows)(nil)
)

// A CustomWriter makes a custom archive: one file, or a stream. Everything is
// written one after the other, by one goroutine: Begin, then the data of each
// entry, then Commit. What failed cannot be taken back; the whole archive must
// be aborted then.
type CustomWriter struct {
	opts  WriterOptions
	codec *codec

	out    io.Writer
	f      storeFile // nil for a stream
	path   string    // the file's name once it is complete
	device *os.File  // what out is, to be closed
	buf    []byte    // not yet written to out
	off    int64     // of the next byte
	hash   hash.Hash

	header Header
	toc    []Entry
	byID   map[int]*Entry
	places map[int]int64
	files  []File
	open   string // the block that is being written
	groups int    // of large objects, in versions that have one block for all
	err    error
	state  int
}

// States of a CustomWriter.
const (
	customNew = iota
	customBegun
	customCommitted
	customAborted
)

// CreateCustom begins a custom archive in a stream, which must be empty. As its
// beginning cannot be changed any more, pg_restore has to read through it for
// each entry, and cannot load it in parallel. Of o, FrameSize has no meaning.
func CreateCustom(w io.Writer, o WriterOptions) (*CustomWriter, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	k, err := newCodec(o.Compression, o.Level)
	if err != nil {
		return nil, err
	}
	if o.Compression == CompressGzip {
		k.newEncoder = func() (encoder, error) { return newZlibEncoder(o.Level) }
	}
	return &CustomWriter{opts: o, codec: k, out: w, byID: make(map[int]*Entry), places: make(map[int]int64)}, nil
}

// CreateCustomFile begins a custom archive in the file path. It has the name
// path.tmp until Commit, which puts it in the place of a file path that exists,
// as pg_dump does at once. A device or a pipe is written to as a stream.
func CreateCustomFile(path string, o WriterOptions) (*CustomWriter, error) {
	c, err := CreateCustom(nil, o)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("create archive: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("create archive: %s is a directory; name a file", path)
	case !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("create archive: %w", err)
		}
		c.out, c.device = f, f
		return c, nil
	default:
		// What a symbolic link points to is replaced, not the link.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, fmt.Errorf("create archive: %w", err)
		}
	}
	c.path = path
	temp := path + ".tmp"
	c.f, err = c.opts.store.create(temp, 0o600)
	if errors.Is(err, fs.ErrExist) && c.opts.Overwrite && startsLike(temp, tocMagic, true) {
		if err = c.opts.store.remove(temp); err == nil {
			c.f, err = c.opts.store.create(temp, 0o600)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create archive: %s exists: a dump was interrupted, or is still running; start it over with --overwrite, or name another file", temp)
	}
	if err != nil {
		return nil, fileError("create archive", temp, err)
	}
	c.out = c.f
	return c, nil
}

// Begin writes the table of contents. Of h, Version and Compression are filled
// in, and Created if it is zero.
func (c *CustomWriter) Begin(h Header, toc []Entry) error {
	if c.state != customNew {
		return errors.New("begin archive: it is begun already")
	}
	h.Version, h.Compression = c.opts.Version, c.opts.Compression
	if h.Created.IsZero() {
		h.Created = time.Now()
	}
	c.header, c.toc = h, slices.Clone(h.Version.convert(toc))
	for i := range c.toc {
		c.byID[c.toc[i].ID] = &c.toc[i]
	}
	if c.byID[manifestID] != nil {
		return fmt.Errorf("begin archive: entry ID %d is reserved", manifestID)
	}
	text, err := c.formatTOC()
	if err != nil {
		return err
	}
	c.state = customBegun
	return c.piece(tocName, func() { c.add(text) })
}

func (c *CustomWriter) formatTOC() ([]byte, error) {
	w := &tocWriter{v: c.opts.Version, level: c.opts.Level, custom: true}
	if c.f != nil {
		w.places = c.places
	}
	return w.format(c.header, c.toc)
}

// piece writes a part of the file and notes it for the manifest.
func (c *CustomWriter) piece(name string, write func()) error {
	c.begin(name)
	write()
	return c.end()
}

func (c *CustomWriter) begin(name string) {
	c.hash = sha256.New()
	c.files = append(c.files, File{Name: name, Offset: c.off})
	c.open = name
}

func (c *CustomWriter) end() error {
	c.flush()
	f := &c.files[len(c.files)-1]
	f.Size, f.SHA256 = c.off-f.Offset, hex.EncodeToString(c.hash.Sum(nil))
	c.open = ""
	return c.err
}

// add appends bytes to what is written. The first error stays.
func (c *CustomWriter) add(p []byte) {
	c.buf = append(c.buf, p...)
	if len(c.buf) >= 256<<10 {
		c.flush()
	}
}

func (c *CustomWriter) addInt(n int) {
	w := &tocWriter{}
	w.int(n)
	c.add(w.out)
}

// addOID writes an OID as pg_dump does, as a signed integer.
func (c *CustomWriter) addOID(oid uint32) {
	n := int64(int32(oid))
	var sign byte
	if n < 0 {
		sign, n = 1, -n
	}
	c.add(binary.LittleEndian.AppendUint32([]byte{sign}, uint32(n)))
}

func (c *CustomWriter) flush() {
	if c.err != nil || len(c.buf) == 0 {
		return
	}
	n, err := c.out.Write(c.buf)
	if err == nil && n < len(c.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		c.err = fileError("write archive", c.name(), err)
		return
	}
	if c.hash != nil {
		c.hash.Write(c.buf)
	}
	c.off += int64(n)
	c.buf = c.buf[:0]
}

// Stored returns how many bytes the archive has so far.
func (c *CustomWriter) Stored() int64 { return c.off + int64(len(c.buf)) }

// block begins the data of an entry.
func (c *CustomWriter) block(id int, kind byte) error {
	if c.inBlobs() {
		if err := c.endBlobs(); err != nil {
			return err
		}
	}
	e := c.byID[id]
	switch {
	case c.state != customBegun:
		return errors.New("write archive: it is not begun, or closed")
	case c.err != nil:
		return c.err
	case c.open != "":
		return fmt.Errorf("write archive: the data of %s is not closed", c.open)
	case e == nil || !e.HasData || (kind == blockBlobs) != (e.Kind == "BLOBS"):
		return fmt.Errorf("write archive: entry %d has no such data", id)
	case slices.ContainsFunc(c.files, func(f File) bool { return f.Name == blockName(e) }):
		return fmt.Errorf("write archive: the data of entry %d is there already", id)
	}
	c.places[id] = c.off
	c.begin(blockName(e))
	c.add([]byte{kind})
	c.addInt(id)
	return c.err
}

// Commit writes the manifest, puts the places of the data into the table of
// contents of a file, and makes the file last under its name. Of m, Version,
// Files and the File of each table are filled in.
func (c *CustomWriter) Commit(m Manifest) error {
	if err := c.commit(m); err != nil {
		return c.fail(err)
	}
	c.state = customCommitted
	if c.device != nil {
		return closeFile(c.device)
	}
	if c.f == nil {
		return nil
	}
	f := c.f
	if !c.opts.NoSync {
		if err := f.Sync(); err != nil {
			return errors.Join(fileError("sync archive", f.Name(), err), f.Close(), c.removeTemp())
		}
	}
	if err := c.stillThere(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return errors.Join(fileError("close archive", f.Name(), err), c.removeTemp())
	}
	if err := c.opts.store.rename(f.Name(), c.path); err != nil {
		return errors.Join(fmt.Errorf("complete archive: %w", err), c.removeTemp())
	}
	if c.opts.NoSync {
		return nil
	}
	return c.opts.store.syncDir(filepath.Dir(c.path))
}

// stillThere checks that the file was not removed, and that another dump has not
// taken its name.
func (c *CustomWriter) stillThere() error {
	own, err := c.f.Stat()
	if err != nil {
		return fileError("complete archive", c.f.Name(), err)
	}
	named, err := os.Lstat(c.f.Name())
	if err != nil {
		return fmt.Errorf("complete archive: %w", err)
	}
	if !os.SameFile(own, named) {
		return fmt.Errorf("complete archive: another dump has taken the place of %s", c.f.Name())
	}
	return nil
}

// name is how errors call what is written to.
func (c *CustomWriter) name() string {
	if f, ok := c.out.(interface{ Name() string }); ok {
		return f.Name()
	}
	return "stream"
}

func (c *CustomWriter) commit(m Manifest) error {
	switch {
	case c.state != customBegun:
		return errors.New("commit archive: it is not begun, or closed")
	case c.err != nil:
		return c.err
	case c.open != "" && !c.inBlobs():
		return fmt.Errorf("commit archive: the data of %s is not closed", c.open)
	}
	if err := c.endBlobs(); err != nil {
		return err
	}
	for i := range c.toc {
		if e := &c.toc[i]; e.HasData && c.places[e.ID] == 0 {
			return fmt.Errorf("commit archive: entry %d, %s %s, has no data", e.ID, e.Kind, e.Tag)
		}
	}
	text, err := c.formatTOC()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	c.files[0].SHA256 = hex.EncodeToString(sum[:])
	c.writeManifest(m)
	c.flush()
	if c.err != nil || c.f == nil {
		return c.err
	}
	if _, err := c.f.WriteAt(text, 0); err != nil {
		return fileError("write archive", c.f.Name(), err)
	}
	return nil
}

// writeManifest writes the last block.
func (c *CustomWriter) writeManifest(m Manifest) {
	m.Version, m.Files = ManifestVersion, c.files
	m.Tables = slices.Clone(m.Tables)
	for i, t := range m.Tables {
		m.Tables[i].File = DataName(t.Entry)
	}
	text, err := sealManifest(&m)
	if err != nil {
		_ = c.fail(err)
		return
	}
	c.flush()
	start := c.off
	c.add([]byte{blockData})
	c.addInt(manifestID)
	for p := range slices.Chunk(text, chunkSize) {
		c.addInt(len(p))
		c.add(p)
	}
	c.addInt(trailerChunk)
	c.add(binary.LittleEndian.AppendUint64([]byte(trailerMagic), uint64(start)))
	c.addInt(0)
}

// Abort gives the archive up and removes the file. After Commit it does nothing.
func (c *CustomWriter) Abort() error {
	if c.state == customCommitted || c.state == customAborted {
		return nil
	}
	c.state = customAborted
	_ = c.fail(errors.New("write archive: it was given up"))
	if c.device != nil {
		return closeFile(c.device)
	}
	if c.f == nil {
		return nil
	}
	return errors.Join(closeFile(c.f), c.removeTemp())
}

func closeFile(f interface {
	io.Closer
	Name() string
},
) error {
	if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fileError("close archive", f.Name(), err)
	}
	return nil
}

// removeTemp removes the file that is not complete, if it is still ours.
func (c *CustomWriter) removeTemp() error {
	if err := c.opts.store.remove(c.f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove archive: %w", err)
	}
	return nil
}

func (c *CustomWriter) inBlobs() bool { return strings.HasPrefix(c.open, "blobs") && c.groups > 0 }
