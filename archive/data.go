package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pghaul/pghaul/internal/copybin"
)

// A layout is what stands around the rows of a data file and where they end.
type layout struct {
	begin, end string
	// binary says that rows are those of COPY's binary format; others end with a
	// newline.
	binary bool
}

// The layouts: for readers that stream a file to COPY, and for those that run it
// as statements.
var (
	textRows   = layout{end: "\\.\n\n\n"}
	binaryRows = layout{begin: copybin.Header, end: copybin.Trailer, binary: true}
	statements = layout{end: "\n\n"}
)

// whole reports whether rows may end with p, as far as that is quickly told.
func (l *layout) whole(p []byte) bool { return l.binary || p[len(p)-1] == '\n' }

// cut returns the length of the longest run of whole rows within the first limit
// bytes of p, which begins with one, and how many these are.
func (l *layout) cut(p []byte, limit int) (n int, rows int64, err error) {
	if l.binary {
		return copybin.Cut(p, limit)
	}
	n = bytes.LastIndexByte(p[:max(0, min(len(p), limit))], '\n') + 1
	return n, int64(bytes.Count(p[:n], []byte{'\n'})), nil
}

// first returns the length of the first row of p.
func (l *layout) first(p []byte) (int, error) {
	if !l.binary {
		return bytes.IndexByte(p, '\n') + 1, nil
	}
	var s copybin.Splitter
	n, end, err := s.Next(p)
	if err == nil && !end {
		err = errors.New("rows end inside a row")
	}
	return n, err
}

// Data is the data file of one entry while it is being written: parts that are
// read at the same time append their frames as they fill.
type Data struct {
	w      *Writer
	name   string // on disk
	layout *layout

	mu     sync.Mutex
	f      storeFile
	off    int64   // where the next frame goes
	frames []Frame // what stands before off, without a gap
	parts  int     // not yet closed or aborted
	spools int     // made so far, to name them
	err    error   // the file's state is unknown: nothing more may be written
}

// Table begins the data file of the entry with dump ID id.
func (w *Writer) Table(id int) (*Data, error) { return w.data(id, &textRows) }

// BinaryTable begins the data file of the entry with dump ID id, which is Binary.
// Rows come without the stream's header and trailer.
func (w *Writer) BinaryTable(id int) (*Data, error) { return w.data(id, &binaryRows) }

// Statements begins the data file of the entry with dump ID id, whose rows are
// INSERT statements; WriteRows takes them as it takes rows, whole.
func (w *Writer) Statements(id int) (*Data, error) { return w.data(id, &statements) }

func (w *Writer) data(id int, l *layout) (*Data, error) {
	name := DataName(id) + w.codec.compression.suffix()
	f, err := w.create(name)
	if err != nil {
		return nil, err
	}
	d := &Data{w: w, name: name, layout: l, f: f}
	w.track(d)
	if err := d.around(l.begin); err != nil {
		return nil, errors.Join(err, d.Abort())
	}
	return d, nil
}

// around writes what stands before or after the rows. Nobody else may write
// meanwhile.
func (d *Data) around(text string) error {
	if text == "" {
		return nil
	}
	e, err := d.w.codec.get()
	if err != nil {
		return err
	}
	defer d.w.codec.put(e)
	frame, err := e.frame(nil, []byte(text))
	if err != nil {
		return fmt.Errorf("compress %s: %w", d.name, err)
	}
	return d.write(frame, Frame{Part: -1, Raw: int64(len(text))})
}

// Part begins one part of the rows. Parts are numbered from 0 in the order the
// source has them; a part that was aborted may be begun again. A PartWriter is
// for one goroutine, different ones work side by side.
func (d *Data) Part(number int) *PartWriter {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parts++
	p := &PartWriter{d: d, number: number}
	p.direct = d.w.codec.voidable
	return p
}

// Close ends the file, whose parts must all be closed or aborted, and returns
// what the manifest will say about it.
func (d *Data) Close() (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.f == nil:
		return File{}, fmt.Errorf("close archive file %s: it is closed already", d.name)
	case d.err != nil:
		return File{}, fmt.Errorf("close archive file %s: %w", d.name, d.err)
	case d.parts > 0:
		return File{}, fmt.Errorf("close archive file %s: %d of its parts are not closed", d.name, d.parts)
	}
	file, err := d.end()
	if err != nil {
		return File{}, d.fail(err)
	}
	f := d.f
	d.f = nil
	if err := d.w.finish(f); err != nil {
		return File{}, d.fail(err)
	}
	d.w.untrack(d, file)
	return *file, nil
}

// end writes what follows the rows and describes the file. The caller holds mu.
func (d *Data) end() (*File, error) {
	if err := d.around(d.layout.end); err != nil {
		return nil, err
	}
	file := &File{Name: d.name, Size: d.off, Frames: d.frames, SHA256: hashFrames(d.frames)}
	if d.w.codec.compression == CompressZstd {
		table, err := seekTable(d.frames)
		if err != nil {
			return nil, err
		}
		if _, err := d.f.WriteAt(table, d.off); err != nil {
			return nil, fileError("write archive file", d.f.Name(), err)
		}
		d.w.stored.Add(int64(len(table)))
		file.Size += int64(len(table))
		sum := sha256.Sum256(table)
		file.Tail = hex.EncodeToString(sum[:])
	}
	return file, nil
}

// Abort drops the file, as if Table had not been called. Parts that are still
// open fail from then on.
func (d *Data) Abort() error {
	d.w.untrack(d, nil)
	err := d.release()
	return errors.Join(err, d.w.remove(d.name))
}

func (d *Data) release() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.f == nil {
		return nil
	}
	d.w.stored.Add(-d.off)
	f := d.f
	d.f = nil
	if err := f.Close(); err != nil {
		return fileError("close archive file", f.Name(), err)
	}
	return nil
}

// fail records an error that left the file in an unknown state. The caller
// holds mu.
func (d *Data) fail(err error) error {
	if d.err == nil {
		d.err = err
	}
	return err
}

func (d *Data) usable() error {
	if d.err != nil {
		return d.err
	}
	if d.f == nil {
		return fmt.Errorf("write archive file %s: it is closed", d.name)
	}
	return nil
}

// write appends one frame and records it; f lacks its place and hash. The
// caller holds mu.
func (d *Data) write(p []byte, f Frame) error {
	if err := d.usable(); err != nil {
		return err
	}
	if _, err := d.f.WriteAt(p, d.off); err != nil {
		return d.fail(fileError("write archive file", d.f.Name(), err))
	}
	sum := sha256.Sum256(p)
	f.SHA256 = hex.EncodeToString(sum[:])
	f.Size = int64(len(p))
	d.record(f)
	return nil
}

// record adds a frame that stands at the end of the file. The caller holds mu.
func (d *Data) record(f Frame) {
	f.Offset = d.off
	d.frames = append(d.frames, f)
	d.off += f.Size
	d.w.stored.Add(f.Size)
}

// copyFrames appends the frames of a spool file, which start at its beginning,
// and returns the number of the first in the data file.
func (d *Data) copyFrames(r io.Reader, frames []Frame) (first int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		return 0, err
	}
	var size int64
	for _, f := range frames {
		size += f.Size
	}
	n, err := io.Copy(io.NewOffsetWriter(d.f, d.off), io.LimitReader(r, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, d.fail(fileError("write archive file", d.f.Name(), err))
	}
	first = len(d.frames)
	for _, f := range frames {
		d.record(f)
	}
	return first, nil
}

// void turns the frames of a part into frames that readers skip.
func (d *Data) void(indexes []int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range indexes {
		if err := d.usable(); err != nil {
			return err
		}
		if err := d.voidFrame(&d.frames[i]); err != nil {
			return d.fail(fileError("void a frame of archive file", d.f.Name(), err))
		}
	}
	return nil
}

func (d *Data) voidFrame(f *Frame) error {
	if f.Size < skippableHeader || f.Size-skippableHeader > maxSkippable {
		return fmt.Errorf("a frame of %d bytes cannot be skipped", f.Size)
	}
	header := appendSkippable(nil, 0, uint32(f.Size-skippableHeader))
	if _, err := d.f.WriteAt(header, f.Offset); err != nil {
		return err
	}
	// The hash is that of the bytes as they now are.
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(d.f, f.Offset, f.Size)); err != nil {
		return err
	}
	*f = Frame{Part: -1, Offset: f.Offset, Size: f.Size, SHA256: hex.EncodeToString(h.Sum(nil))}
	return nil
}

// hashFrames returns the hash of a file made of frames: that of their hashes,
// as 32 bytes each, in the order of the file.
func hashFrames(frames []Frame) string {
	h := sha256.New()
	for _, f := range frames {
		b, _ := hex.DecodeString(f.SHA256)
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}
