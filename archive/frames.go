package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// memoryFrame is the size on disk up to which a frame is read once, into
// memory; a larger one is read twice, to check it and to decompress it.
const memoryFrame = 8 << 20

// openFrames reads a run of frames, after it has made sure of the bytes of the
// file that belong to no run.
func (r *dirReader) openFrames(ctx context.Context, p place, part Part) (io.ReadCloser, error) {
	rows := p.file.rows
	run := rows
	if part.Frames > 0 {
		if part.First < 0 || part.Frames > len(rows) || part.First > len(rows)-part.Frames {
			return nil, fmt.Errorf("read archive file %s: it has no frames %d to %d", p.path, part.First, part.First+part.Frames-1)
		}
		run = rows[part.First : part.First+part.Frames]
	}
	f, err := p.open()
	if err != nil {
		return nil, err
	}
	if err := p.file.checkRest(ctx, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &frameReader{ctx: ctx, r: r, p: p, f: f, run: run}, nil
}

// checkRest checks, once, the voided frames, the terminator and the tail.
// With the frames of all parts that makes every byte of the file.
func (d *dataFile) checkRest(ctx context.Context, f *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.checked {
		return nil
	}
	for _, fr := range d.Frames {
		if fr.Part >= 0 {
			continue
		}
		if err := checkHash(ctx, f, fr.Offset, fr.Size, fr.SHA256); err != nil {
			return err
		}
	}
	if d.Tail != "" {
		off := d.tail()
		if err := checkHash(ctx, f, off, d.Size-off, d.Tail); err != nil {
			return err
		}
	}
	d.checked = true
	return nil
}

// checkHash compares a stretch of a file with its hash.
func checkHash(ctx context.Context, f *os.File, off, size int64, want string) error {
	h := sha256.New()
	n, err := io.Copy(h, &ctxReader{ctx, io.NewSectionReader(f, off, size)})
	if err != nil {
		return fmt.Errorf("read archive file %s: %w", f.Name(), err)
	}
	return compareHash(f.Name(), off, n == size, h.Sum(nil), want)
}

func compareHash(path string, off int64, whole bool, got []byte, want string) error {
	if !whole {
		return &CorruptError{File: path, Offset: off, Reason: "it ends too early"}
	}
	if hex.EncodeToString(got) != want {
		return &CorruptError{File: path, Offset: off, Reason: "what begins there does not match its checksum"}
	}
	return nil
}

// A ctxReader stops reading when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// A frameReader reads the rows of a run of frames. It hands out nothing of a
// frame before the whole frame has been found undamaged.
type frameReader struct {
	ctx context.Context
	r   *dirReader
	p   place
	f   *os.File
	run []Frame // not yet begun

	cur  io.ReadCloser // content of the current frame
	at   Frame         // the current frame
	left int64         // bytes of its content still to come
	mem  []byte
	err  error
}

func (r *frameReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.read(p)
	if err != nil {
		r.err = err
	}
	return n, err
}

func (r *frameReader) read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	for {
		if r.cur == nil {
			if len(r.run) == 0 {
				return 0, io.EOF
			}
			if err := r.next(); err != nil {
				return 0, err
			}
		}
		n, err := r.cur.Read(p)
		r.left -= int64(n)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return 0, r.corrupt("it cannot be decompressed", err)
		case r.left < 0 || err != nil && r.left > 0:
			return 0, r.corrupt("its content does not have the length the manifest says", nil)
		case err != nil:
			if err := r.cur.Close(); err != nil {
				return n, r.corrupt("it cannot be decompressed", err)
			}
			r.cur = nil
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (r *frameReader) corrupt(reason string, err error) error {
	return &CorruptError{File: r.p.path, Offset: r.at.Offset, Reason: reason, Err: err}
}

// next checks the next frame and starts to decompress it.
func (r *frameReader) next() error {
	fr := r.run[0]
	r.run, r.at, r.left = r.run[1:], fr, fr.Raw
	src := io.Reader(io.NewSectionReader(r.f, fr.Offset, fr.Size))
	if fr.Size <= memoryFrame {
		if int64(cap(r.mem)) < fr.Size {
			r.mem = make([]byte, fr.Size)
		}
		mem := r.mem[:fr.Size]
		n, err := io.ReadFull(src, mem)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read archive file: %w", err)
		}
		sum := sha256.Sum256(mem)
		if err := compareHash(r.p.path, fr.Offset, n == len(mem), sum[:], fr.SHA256); err != nil {
			return err
		}
		src = bytes.NewReader(mem)
	} else if err := checkHash(r.ctx, r.f, fr.Offset, fr.Size, fr.SHA256); err != nil {
		return err
	}
	cur, err := r.r.decoders.open(r.p.compression, bufio.NewReader(src))
	r.cur = cur
	return err
}

// Close ends the reading, at whatever place.
func (r *frameReader) Close() error {
	var err error
	if r.cur != nil {
		err = r.cur.Close()
		r.cur = nil
	}
	if r.err == nil {
		r.err = os.ErrClosed
	}
	return errors.Join(err, r.f.Close())
}
