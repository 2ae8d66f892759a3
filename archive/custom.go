package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// customReader reads a custom archive: the table of contents and blocks of data
// in one file. It reads at any place of the file, several at a time.
type customReader struct {
	path     string
	f        io.ReaderAt
	size     int64
	close    func() error
	header   Header
	entries  []Entry
	byID     map[int]*Entry
	manifest *Manifest
	files    map[string]File // of the manifest, by name
	start    int64           // of the first block
	decoders decoders

	mu      sync.Mutex
	places  map[int]int64 // offset of an entry's block, 0 where it is not known
	scanned bool
	scanErr error // what ended the scan too early
	objects map[uint32]int64
	lists   map[int][]LargeObject
}

var _ Reader = (*customReader)(nil)

// openCustom reads the table of contents of f, which has size bytes. The Reader's
// Close calls close.
func openCustom(path string, f io.ReaderAt, size int64, close func() error) (*customReader, error) {
	c := &customReader{
		path: path, f: f, size: size, close: close, byID: make(map[int]*Entry),
		objects: make(map[uint32]int64), lists: make(map[int][]LargeObject),
	}
	t := &tocReader{file: path, more: io.NewSectionReader(f, 0, c.size), custom: true, places: make(map[int]int64)}
	var format byte
	c.header, format = t.header()
	if t.err == nil && format != formatCustom {
		t.fail("it is not a custom archive")
	}
	c.header.Format = FormatCustom
	c.entries = t.entries(c.header.Version)
	if t.err != nil {
		return nil, c.incomplete(t.err)
	}
	c.start, c.places = int64(t.off), t.places
	for i := range c.entries {
		c.byID[c.entries[i].ID] = &c.entries[i]
	}
	for id, off := range c.places {
		if off != 0 && (off < c.start || off >= c.size) {
			return nil, c.incomplete(&CorruptError{
				File: path, Offset: -1, Reason: fmt.Sprintf("the data of entry %d is said to be at byte %d, where there is none", id, off),
			})
		}
	}
	if err := c.readManifest(t.in[:t.off]); err != nil {
		return nil, err
	}
	if c.manifest == nil && strings.Contains(c.header.DumpVersion, toolName) {
		return nil, fmt.Errorf("open archive %s: %w: it ends without its manifest; dump again", path, ErrIncomplete)
	}
	return c, nil
}

// incomplete marks damage in the table of contents of an archive that we made
// and that has no end as an interrupted dump.
func (c *customReader) incomplete(err *CorruptError) error {
	if strings.Contains(c.header.DumpVersion, toolName) && err.Err == nil {
		if _, ok := c.trailer(); !ok {
			err.Err = ErrIncomplete
		}
	}
	return err
}

func (c *customReader) Header() Header      { return c.header }
func (c *customReader) Entries() []Entry    { return c.entries }
func (c *customReader) Manifest() *Manifest { return c.manifest }

// Close closes the file.
func (c *customReader) Close() error { return c.close() }

// compression is that of the data, as the decoders name it.
func (c *customReader) compression() Compression {
	if c.header.Compression == CompressGzip {
		return compressZlib
	}
	return c.header.Compression
}

// blockName is how the manifest calls the block of an entry.
func blockName(e *Entry) string {
	if e.Kind == "BLOBS" {
		return LOListName(e.ID)
	}
	return DataName(e.ID)
}

// block opens the block of an entry, after its header. The file is what the
// manifest says of it, if there is one.
func (c *customReader) block(ctx context.Context, e *Entry) (*blockReader, *File, error) {
	off, err := c.locate(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	end := c.size
	var file *File
	if f, ok := c.files[blockName(e)]; ok {
		file, end = &f, f.Offset+f.Size
	}
	b := c.blocksAt(ctx, off, end)
	if file != nil {
		b.h = sha256.New()
	}
	kind, id, err := b.header()
	if errors.Is(err, io.EOF) {
		err = b.corrupt(off, "it ends too early")
	}
	if err == nil && (id != e.ID || (kind == blockBlobs) != (e.Kind == "BLOBS")) {
		err = b.corrupt(off, fmt.Sprintf("the data there is of entry %d (type %d) instead of entry %d, %s %s", id, kind, e.ID, e.Kind, e.Tag))
	}
	return b, file, err
}

// ended returns what is wrong with a block that has been read to its end.
func (b *blockReader) ended(file *File) error {
	if file == nil {
		return nil
	}
	if b.off != file.Offset+file.Size {
		return b.corrupt(b.off, "the data ends too early")
	}
	if hex.EncodeToString(b.h.Sum(nil)) != file.SHA256 {
		return b.corrupt(file.Offset, "the data that begins there does not match its checksum")
	}
	return nil
}

// locate returns where an entry's block begins.
func (c *customReader) locate(ctx context.Context, e *Entry) (int64, error) {
	if f, ok := c.files[blockName(e)]; ok {
		return f.Offset, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	off := c.places[e.ID]
	if off == 0 && !c.scanned {
		if err := c.scan(ctx); err != nil {
			return 0, err
		}
		off = c.places[e.ID]
	}
	switch {
	case off != 0:
		return off, nil
	case c.scanErr != nil:
		return 0, c.scanErr
	}
	return 0, &CorruptError{File: c.path, Offset: c.size, Reason: fmt.Sprintf("it ends without the data of entry %d, %s %s", e.ID, e.Kind, e.Tag)}
}

// scan reads the whole file and notes where the blocks are. Damage ends it
// without an error: what stands before is still of use. The caller holds mu.
func (c *customReader) scan(ctx context.Context) error {
	b := c.blocksAt(ctx, c.start, c.size)
	for {
		off := b.off
		kind, id, err := b.header()
		if errors.Is(err, io.EOF) {
			c.scanned = true
			return nil
		}
		if err == nil {
			if kind == blockData {
				err = b.skip()
			} else {
				err = b.eachObject(func(uint32) error { return b.skip() })
			}
		}
		if _, known := c.places[id]; err == nil && known && c.places[id] == 0 {
			c.places[id] = off
		}
		if _, ok := errors.AsType[*CorruptError](err); ok {
			c.scanned, c.scanErr = true, err
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// eachObject calls do with the OID of each large object of a block; do reads
// its chunks.
func (b *blockReader) eachObject(do func(oid uint32) error) error {
	for {
		oid, err := b.oid()
		if err != nil || oid == 0 {
			return err
		}
		if err := do(oid); err != nil {
			return err
		}
	}
}

func (c *customReader) entry(id int, blobs bool) (*Entry, error) {
	e := c.byID[id]
	switch {
	case e == nil:
		return nil, fmt.Errorf("read archive %s: it has no entry %d", c.path, id)
	case !e.HasData || blobs != (e.Kind == "BLOBS"):
		what := "rows"
		if blobs {
			what = "large objects"
		}
		return nil, fmt.Errorf("read archive %s: entry %d, %s %s, has no %s", c.path, id, e.Kind, e.Tag, what)
	}
	return e, nil
}

// Parts returns one: data of a custom archive is a single stream. Its size is
// that in the file, 0 if it is not known without reading the whole file.
func (c *customReader) Parts(id int) ([]Part, error) {
	e, err := c.entry(id, false)
	if err != nil {
		return nil, err
	}
	part := Part{Rows: -1, Bytes: c.stored(e)}
	if c.manifest != nil {
		for _, t := range c.manifest.Tables {
			if t.Entry == id {
				part.Rows, part.Bytes = t.Rows, t.Bytes
			}
		}
	}
	return []Part{part}, nil
}

// stored returns how many bytes an entry's block has at most, 0 if unknown.
func (c *customReader) stored(e *Entry) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	off := c.places[e.ID]
	if off == 0 {
		return 0
	}
	offs := make([]int64, 0, len(c.places)+1)
	for _, o := range c.places {
		offs = append(offs, o)
	}
	offs = append(offs, c.size)
	slices.SortFunc(offs, cmp.Compare[int64])
	i, _ := slices.BinarySearch(offs, off+1)
	return offs[i] - off
}

// Open reads an entry's rows.
func (c *customReader) Open(ctx context.Context, id int, part Part) (io.ReadCloser, error) {
	e, err := c.entry(id, false)
	if err != nil {
		return nil, err
	}
	if part.Frames > 0 {
		return nil, fmt.Errorf("read archive file %s: it has no frames to start from", c.path)
	}
	b, file, err := c.block(ctx, e)
	if err != nil {
		return nil, err
	}
	s, err := c.stream(ctx, b, func() error { return b.ended(file) })
	if err != nil {
		return nil, err
	}
	s.setTail(e)
	return s, nil
}

// stream decompresses a list of chunks.
func (c *customReader) stream(ctx context.Context, b *blockReader, end func() error) (*stream, error) {
	return newStream(ctx, place{path: c.path, compression: c.compression()}, &chunkReader{b: b, end: end}, &c.decoders)
}

// LargeObjects reads through the block of a BLOBS entry once, and checks it if
// there is a manifest.
func (c *customReader) LargeObjects(id int) ([]LargeObject, error) {
	e, err := c.entry(id, true)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	list, ok := c.lists[id]
	c.mu.Unlock()
	if ok {
		return slices.Clone(list), nil
	}
	b, file, err := c.block(context.Background(), e)
	if err != nil {
		return nil, err
	}
	places := make(map[uint32]int64)
	err = b.eachObject(func(oid uint32) error {
		if _, twice := places[oid]; twice {
			return b.corrupt(b.off, fmt.Sprintf("large object %d is there twice", oid))
		}
		places[oid] = b.off
		list = append(list, LargeObject{OID: oid, File: loName(oid)})
		return b.skip()
	})
	if err == nil {
		err = b.ended(file)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists[id] = list
	for oid, off := range places {
		c.objects[oid] = off
	}
	return slices.Clone(list), nil
}

// OpenLargeObject reads one large object.
func (c *customReader) OpenLargeObject(ctx context.Context, lo LargeObject) (io.ReadCloser, error) {
	off, err := c.object(lo.OID)
	if err != nil {
		return nil, err
	}
	return c.stream(ctx, c.blocksAt(ctx, off, c.size), nil)
}

// object returns where the chunks of a large object begin.
func (c *customReader) object(oid uint32) (int64, error) {
	c.mu.Lock()
	off, ok := c.objects[oid]
	c.mu.Unlock()
	if ok {
		return off, nil
	}
	for i := range c.entries {
		if e := &c.entries[i]; e.HasData && e.Kind == "BLOBS" {
			if _, err := c.LargeObjects(e.ID); err != nil {
				return 0, err
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if off, ok = c.objects[oid]; !ok {
		return 0, fmt.Errorf("read archive %s: it has no large object %d", c.path, oid)
	}
	return off, nil
}
