package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/pghaul/pghaul/internal/copybin"
)

// A stream reads the content of a whole file. It returns io.EOF only when the
// compressed data is complete, the tail is as it must be and the hash, if the
// manifest has one, matches.
type stream struct {
	path  string
	file  *dataFile // what the manifest says of the file, nil if nothing
	src   *source
	buf   *bufio.Reader
	dec   io.ReadCloser
	tail  tail // nil if any content will do
	chunk []byte
	out   []byte // of chunk or tail, to be handed out
	err   error  // what follows out
}

// A tail takes off what ends the content of a file.
type tail interface {
	// filter takes the next piece of content and returns what may be handed
	// out. The result is valid until the next call.
	filter(p []byte) ([]byte, error)
	// end returns why the content is not complete.
	end() error
}

// A source reads a file, or a stretch of one, and remembers why it stopped.
type source struct {
	ctx context.Context
	f   io.ReadCloser
	h   hash.Hash // nil if nobody asks
	n   int64
	err error // why reading failed before anything was decompressed
}

func (s *source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.f.Read(p)
	s.n += int64(n)
	if s.h != nil {
		s.h.Write(p[:n])
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
		if _, ok := errors.AsType[*CorruptError](err); !ok {
			s.err = fmt.Errorf("read archive file: %w", err)
		}
		err = s.err
	}
	return n, err
}

func (r *dirReader) openStream(ctx context.Context, p place) (*stream, error) {
	f, err := p.open()
	if err != nil {
		return nil, err
	}
	return newStream(ctx, p, f, &r.decoders)
}

// newStream reads what f, which it closes, holds of the content of p.
func newStream(ctx context.Context, p place, f io.ReadCloser, d *decoders) (*stream, error) {
	src := &source{ctx: ctx, f: f}
	if p.file != nil {
		src.h = sha256.New()
	}
	size := int64(128 << 10)
	if p.file != nil {
		size = min(size, p.file.Size+1) // there may be a million files of a few bytes
	}
	buf := bufio.NewReaderSize(src, int(size))
	dec, err := d.open(p.compression, buf)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &stream{path: p.path, file: p.file, src: src, buf: buf, dec: dec}, nil
}

// setTail makes the stream end as the rows of e must.
func (s *stream) setTail(e *Entry) {
	switch {
	case e.Copy == "":
		s.tail = &statementList{}
	case e.Binary():
		s.tail = &tuples{}
	default:
		s.tail = newTerminated()
	}
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.tail == nil {
			n, err := s.read(p)
			s.err = err
			if n > 0 || err != nil || len(p) == 0 {
				return n, err
			}
			continue
		}
		s.out, s.err = s.fill()
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// fill returns the next piece of content without the tail. With io.EOF it may
// return the last one.
func (s *stream) fill() ([]byte, error) {
	if s.chunk == nil {
		s.chunk = make([]byte, 64<<10)
	}
	n, err := s.read(s.chunk)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	out, ferr := s.tail.filter(s.chunk[:n])
	if ferr != nil {
		return nil, s.corrupt(ferr.Error(), nil)
	}
	if err == nil {
		return out, nil
	}
	if ferr := s.tail.end(); ferr != nil {
		return nil, s.corrupt(ferr.Error(), nil)
	}
	return out, io.EOF
}

func (s *stream) corrupt(reason string, err error) error {
	at := s.src.n - int64(s.buf.Buffered())
	if p, ok := s.src.f.(interface{ offset() int64 }); ok {
		at = p.offset()
	}
	return &CorruptError{File: s.path, Offset: at, Reason: reason, Err: err}
}

// read decompresses, and judges the end of the file.
func (s *stream) read(p []byte) (int, error) {
	n, err := s.dec.Read(p)
	switch {
	case err == nil:
		return n, nil
	case s.src.err != nil:
		return n, s.src.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, s.corrupt("it ends too early", nil)
	case !errors.Is(err, io.EOF):
		return n, s.corrupt("it cannot be decompressed", err)
	}
	if _, err := s.buf.Peek(1); !errors.Is(err, io.EOF) {
		if s.src.err != nil {
			return n, s.src.err
		}
		return n, s.corrupt("something follows the compressed data", nil)
	}
	if f := s.file; f != nil {
		if err := compareHash(s.path, 0, s.src.n == f.Size, s.src.h.Sum(nil), f.SHA256); err != nil {
			return n, err
		}
	}
	return n, io.EOF
}

// Close ends the reading, at whatever place.
func (s *stream) Close() error {
	if s.err == nil {
		s.err = os.ErrClosed
	}
	s.out = nil
	return errors.Join(s.dec.Close(), s.src.f.Close())
}

// terminated takes the line `\.` and the newlines after it off COPY text. A row
// can never be that line: COPY doubles backslashes.
type terminated struct {
	buf  []byte // content that begins with a newline: the start is one as well
	used int    // of buf, handed out by the last call
	seen bool   // the terminator was
	skip int    // bytes of buf that are not of the content
}

var endLine = []byte("\n\\.\n")

func newTerminated() *terminated { return &terminated{buf: []byte{'\n'}, skip: 1} }

func (t *terminated) filter(p []byte) ([]byte, error) {
	if t.seen {
		return nil, t.onlyNewlines(p)
	}
	t.buf = append(t.buf[:copy(t.buf, t.buf[t.used:])], p...)
	var err error
	if i := bytes.Index(t.buf, endLine); i >= 0 {
		t.seen, t.used = true, i+1
		err = t.onlyNewlines(t.buf[i+len(endLine):])
	} else {
		// The last bytes may be the beginning of the terminator.
		t.used = max(0, len(t.buf)-len(endLine)+1)
	}
	out := t.buf[:t.used]
	skip := min(t.skip, len(out))
	t.skip -= skip
	return out[skip:], err
}

func (t *terminated) onlyNewlines(p []byte) error {
	if len(bytes.Trim(p, "\n")) > 0 {
		return errors.New(`something follows the line \. that ends the rows`)
	}
	return nil
}

func (t *terminated) end() error {
	if !t.seen {
		return errors.New(`it ends without the line \. that follows the last row`)
	}
	return nil
}

// statementList takes the empty line off that ends a file of INSERTs.
type statementList struct {
	buf  []byte
	used int // of buf, handed out by the last call
}

func (s *statementList) filter(p []byte) ([]byte, error) {
	s.buf = append(s.buf[:copy(s.buf, s.buf[s.used:])], p...)
	s.used = max(0, len(s.buf)-len(statements.end))
	return s.buf[:s.used], nil
}

func (s *statementList) end() error {
	if string(s.buf[s.used:]) != statements.end {
		return errors.New("it ends without the empty line that follows the last statement")
	}
	return nil
}

// tuples takes header and trailer off a stream of COPY's binary format, and
// makes sure of the form of its rows.
type tuples struct {
	buf   []byte
	used  int  // of buf, handed out by the last call
	begun bool // the header was seen
	rows  copybin.Splitter
}

func (t *tuples) filter(p []byte) ([]byte, error) {
	t.buf = append(t.buf[:copy(t.buf, t.buf[t.used:])], p...)
	t.used = 0
	if !t.begun {
		if len(t.buf) < len(copybin.Header) {
			return nil, nil
		}
		if err := copybin.CheckHeader(t.buf[:len(copybin.Header)]); err != nil {
			return nil, err
		}
		t.begun = true
		t.buf = t.buf[:copy(t.buf, t.buf[len(copybin.Header):])]
	}
	// The last bytes may be the trailer.
	t.used = max(0, len(t.buf)-len(copybin.Trailer))
	out := t.buf[:t.used]
	for at := 0; at < len(out); {
		n, _, err := t.rows.Next(out[at:])
		if err != nil {
			return nil, err
		}
		at += n
	}
	return out, nil
}

func (t *tuples) end() error {
	if !t.begun || t.rows.Inside() || string(t.buf[t.used:]) != copybin.Trailer {
		return errors.New("it ends without what follows the last row in the binary format")
	}
	return nil
}
