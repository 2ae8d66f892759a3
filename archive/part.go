package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// frameSize is the default of WriterOptions.FrameSize. Row text of a benchmark
// was stored 3.80 times smaller in frames of 2 MiB, 3.81 in 4 MiB.
const frameSize = 2 << 20

// hugeRow is the length in frames from which a row is streamed into a frame of
// its own instead of being copied first.
const hugeRow = 8

// A PartWriter takes the rows of one part. It compresses one frame in the
// background while the next fills.
type PartWriter struct {
	d      *Data
	number int
	direct bool // frames go straight to the file: they can be voided there
	frames []int
	spool  *spool // where they wait otherwise

	buf   []byte // rows of the next frame
	rows  int64  // in buf
	spare []byte // the other buffer, when no frame is being compressed
	busy  chan error
	done  bool
	err   error
}

var errPartClosed = errors.New("the part is closed")

// WriteRows adds n rows: whole lines of COPY text, each with its newline, or
// whole rows of the binary format. It does not keep the slice. After an error
// only Abort is of use.
func (p *PartWriter) WriteRows(rows []byte, n int64) error {
	if p.done {
		return fmt.Errorf("write archive file %s: %w", p.d.name, errPartClosed)
	}
	if p.err != nil {
		return p.err
	}
	if len(rows) == 0 {
		return nil
	}
	if !p.d.layout.whole(rows) {
		return p.fail(fmt.Errorf("write archive file %s: rows end without a newline", p.d.name))
	}
	if err := p.add(rows, n); err != nil {
		return p.fail(err)
	}
	return nil
}

func (p *PartWriter) fail(err error) error {
	p.err = err
	return err
}

// add cuts the rows into frames, at row boundaries.
func (p *PartWriter) add(rows []byte, n int64) error {
	size := p.d.w.opts.FrameSize
	for len(p.buf)+len(rows) > size {
		cut, count, err := p.d.layout.cut(rows, size-len(p.buf))
		if err != nil {
			return fmt.Errorf("write archive file %s: %w", p.d.name, err)
		}
		if cut == 0 {
			// Not even the first row fits. A frame worth having is closed
			// before it, one that is nearly empty takes it on.
			if len(p.buf) >= max(1, size/4) {
				if err := p.flush(); err != nil {
					return err
				}
				continue
			}
			count = 1
			if cut, err = p.d.layout.first(rows); err != nil {
				return fmt.Errorf("write archive file %s: %w", p.d.name, err)
			}
		}
		if cut >= hugeRow*size {
			if err := p.writeHuge(rows[:cut], count); err != nil {
				return err
			}
		} else {
			p.append(rows[:cut], count)
			if err := p.flush(); err != nil {
				return err
			}
		}
		rows, n = rows[cut:], n-count
	}
	p.append(rows, n)
	return nil
}

func (p *PartWriter) append(rows []byte, n int64) {
	if p.buf == nil {
		p.buf = p.d.w.buffer()
	}
	p.buf = append(p.buf, rows...)
	p.rows += n
}

// flush hands the buffered rows to the background as one frame.
func (p *PartWriter) flush() error {
	if err := p.wait(); err != nil {
		return err
	}
	if len(p.buf) == 0 {
		return nil
	}
	full, rows := p.buf, p.rows
	p.buf, p.spare, p.rows = p.spare, nil, 0
	p.busy = make(chan error, 1)
	go func() { p.busy <- p.writeFrame(full, rows) }()
	p.spare = full[:0]
	return nil
}

// wait returns when the frame in the background is written.
func (p *PartWriter) wait() error {
	if p.busy == nil {
		return nil
	}
	err := <-p.busy
	p.busy = nil
	return err
}

// writeFrame compresses rows into one frame and stores it.
func (p *PartWriter) writeFrame(raw []byte, rows int64) error {
	w := p.d.w
	e, err := w.codec.get()
	if err != nil {
		return err
	}
	defer w.codec.put(e)
	out := raw
	if w.codec.compression != CompressNone {
		dst := w.buffer()
		defer func() { w.release(dst) }()
		if dst, err = e.frame(dst, raw); err != nil {
			return fmt.Errorf("compress %s: %w", p.d.name, err)
		}
		out = dst
	}
	f := Frame{Part: p.number, Raw: int64(len(raw)), Rows: rows}
	if p.direct {
		p.d.mu.Lock()
		defer p.d.mu.Unlock()
		return p.record(p.d.write(out, f))
	}
	s, err := p.spooled()
	if err != nil {
		return err
	}
	return s.write(func(w io.Writer) error { _, err := w.Write(out); return err }, f)
}

// record notes that the file's last frame is one of the part's. The caller
// holds the lock of the file.
func (p *PartWriter) record(err error) error {
	if err == nil {
		p.frames = append(p.frames, len(p.d.frames)-1)
	}
	return err
}

// writeHuge compresses a row that is too long to copy. Other parts wait.
func (p *PartWriter) writeHuge(row []byte, n int64) error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.wait(); err != nil {
		return err
	}
	w := p.d.w
	e, err := w.codec.get()
	if err != nil {
		return err
	}
	defer w.codec.put(e)
	compress := func(out io.Writer) error {
		s, err := e.stream(out, int64(len(row)))
		if err != nil {
			return err
		}
		if _, err := s.Write(row); err != nil {
			return err
		}
		return s.Close()
	}
	f := Frame{Part: p.number, Raw: int64(len(row)), Rows: n}
	if p.direct {
		p.d.mu.Lock()
		defer p.d.mu.Unlock()
		return p.record(p.d.stream(compress, f))
	}
	s, err := p.spooled()
	if err != nil {
		return err
	}
	return s.write(compress, f)
}

// stream appends one frame as it is made. The caller holds mu.
func (d *Data) stream(compress func(io.Writer) error, f Frame) error {
	if err := d.usable(); err != nil {
		return err
	}
	m := newMeter(io.NewOffsetWriter(d.f, d.off))
	if err := compress(m); err != nil {
		return d.fail(fileError("write archive file", d.f.Name(), err))
	}
	f.Size, f.SHA256 = m.n, m.sum()
	d.record(f)
	return nil
}

// Close commits the part: its rows are in the archive.
func (p *PartWriter) Close() error {
	if p.done {
		return fmt.Errorf("close a part of archive file %s: %w", p.d.name, errPartClosed)
	}
	if p.err != nil {
		return p.err
	}
	if err := p.wait(); err != nil {
		return p.fail(err)
	}
	// What is one frame at most needs no spool: it is complete now.
	p.direct = p.direct || p.spool == nil
	if err := p.flush(); err != nil {
		return p.fail(err)
	}
	if err := p.wait(); err != nil {
		return p.fail(err)
	}
	if p.spool != nil {
		if _, err := p.spool.appendTo(p.d); err != nil {
			return p.fail(err)
		}
	}
	return p.end()
}

// Abort takes the part's rows out of the archive again. After Close or Abort it
// does nothing, so it can be deferred.
func (p *PartWriter) Abort() error {
	if p.done {
		return nil
	}
	waitErr := p.wait()
	err := p.d.void(p.frames)
	if err != nil && waitErr != nil {
		err = nil // the same failure again; its writer has been told
	}
	return errors.Join(err, p.end())
}

// end gives back what the part holds.
func (p *PartWriter) end() error {
	p.done = true
	p.d.w.release(p.buf)
	p.d.w.release(p.spare)
	p.buf, p.spare = nil, nil
	var err error
	if p.spool != nil {
		err = p.spool.remove()
	}
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.parts--
	return err
}

// buffer returns an empty buffer for rows or a frame.
func (w *Writer) buffer() []byte {
	if b, ok := w.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

// release takes a buffer back, unless a long row has made it too large to keep.
func (w *Writer) release(b []byte) {
	if cap(b) > 0 && cap(b) <= 2*w.opts.FrameSize {
		w.buffers.Put(&b)
	}
}

// A meter counts and hashes what passes through.
type meter struct {
	w io.Writer
	h hash.Hash
	n int64
}

func newMeter(w io.Writer) *meter { return &meter{w: w, h: sha256.New()} }

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.h.Write(p[:n])
	m.n += int64(n)
	return n, err
}

func (m *meter) sum() string { return hex.EncodeToString(m.h.Sum(nil)) }
