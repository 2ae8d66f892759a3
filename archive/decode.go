package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxWindow is the most memory a zstd frame may ask for, as in pg_restore.
const maxWindow = 128 << 20

// decoders keeps what is costly to make.
type decoders struct{ zstd sync.Pool }

// open returns the content of src, which may hold any number of frames or
// members. What ends in the middle of one yields an error, not io.EOF.
func (p *decoders) open(c Compression, src *bufio.Reader) (io.ReadCloser, error) {
	switch c {
	case CompressZstd:
		return p.openZstd(src)
	case CompressGzip:
		return &gzipReader{src: src}, nil
	case compressZlib:
		return &zlibReader{src: src}, nil
	case CompressLZ4:
		r := lz4.NewReader(&lz4Frames{src: src})
		if err := r.Apply(lz4.ConcurrencyOption(1)); err != nil {
			return nil, fmt.Errorf("set up lz4: %w", err)
		}
		return io.NopCloser(r), nil
	default:
		return io.NopCloser(src), nil
	}
}

func (p *decoders) openZstd(src io.Reader) (io.ReadCloser, error) {
	d, ok := p.zstd.Get().(*zstd.Decoder)
	if !ok {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("set up zstd: %w", err)
		}
	}
	if err := d.Reset(src); err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	return &zstdReader{d, p}, nil
}

type zstdReader struct {
	*zstd.Decoder
	p *decoders
}

// Close gives the decoder back, without its source.
func (z *zstdReader) Close() error {
	if z.Decoder == nil {
		return nil
	}
	err := z.Reset(nil)
	z.p.zstd.Put(z.Decoder)
	z.Decoder = nil
	return err
}

// A gzipReader opens its source at the first read and takes an empty one for
// empty content, as pg_restore does.
type gzipReader struct {
	src *bufio.Reader
	r   *gzip.Reader
}

func (g *gzipReader) Read(p []byte) (int, error) {
	if g.r == nil {
		if _, err := g.src.Peek(1); err != nil {
			return 0, err
		}
		r, err := gzip.NewReader(g.src)
		if err != nil {
			return 0, noEOF(err)
		}
		g.r = r
	}
	return g.r.Read(p)
}

func (g *gzipReader) Close() error { return nil }

// compressZlib is how a custom archive stores what its header calls gzip:
// the same algorithm in another wrapping.
const compressZlib Compression = "zlib"

// A zlibReader opens its source at the first read and takes an empty one for
// empty content, as pg_restore does.
type zlibReader struct {
	src *bufio.Reader
	r   io.ReadCloser
}

func (z *zlibReader) Read(p []byte) (int, error) {
	if z.r == nil {
		if _, err := z.src.Peek(1); err != nil {
			return 0, err
		}
		r, err := zlib.NewReader(z.src)
		if err != nil {
			return 0, noEOF(err)
		}
		z.r = r
	}
	return z.r.Read(p)
}

func (z *zlibReader) Close() error { return nil }

// noEOF makes an end in the middle of something an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

const (
	lz4Magic            = 0x184D2204
	lz4ContentSize      = 1 << 3
	lz4ContentChecksum  = 1 << 2
	lz4BlockChecksum    = 1 << 4
	lz4DictID           = 1 << 0
	lz4UncompressedFlag = 1 << 31
)

// lz4Frames passes lz4 frames through and watches where they end: the decoder
// takes a file that was cut between two blocks for a whole one. Skippable
// frames it leaves out.
type lz4Frames struct {
	src     *bufio.Reader
	left    int64 // bytes up to the next place to look at
	inFrame bool
	flags   byte
}

func (l *lz4Frames) Read(p []byte) (int, error) {
	for l.left == 0 {
		if err := l.look(); err != nil {
			return 0, err
		}
	}
	n, err := l.src.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, noEOF(err)
}

// look reads on which bytes come next. It returns io.EOF between frames only.
func (l *lz4Frames) look() error {
	b, err := l.src.Peek(4)
	if err != nil {
		if len(b) == 0 && !l.inFrame {
			return err
		}
		return noEOF(err)
	}
	word := binary.LittleEndian.Uint32(b)
	switch {
	case l.inFrame && word == 0:
		l.left, l.inFrame = 4, false
		if l.flags&lz4ContentChecksum != 0 {
			l.left += 4
		}
	case l.inFrame:
		l.left = 4 + int64(word&^lz4UncompressedFlag)
		if l.flags&lz4BlockChecksum != 0 {
			l.left += 4
		}
	case word&^0xF == skippableMagic:
		return l.skip()
	case word == lz4Magic:
		return l.header()
	default:
		return fmt.Errorf("%#x is not the magic number of lz4", word)
	}
	return nil
}

func (l *lz4Frames) header() error {
	b, err := l.src.Peek(5)
	if err != nil {
		return noEOF(err)
	}
	l.inFrame, l.flags, l.left = true, b[4], 7
	if l.flags&lz4ContentSize != 0 {
		l.left += 8
	}
	if l.flags&lz4DictID != 0 {
		l.left += 4
	}
	return nil
}

func (l *lz4Frames) skip() error {
	b, err := l.src.Peek(skippableHeader)
	if err != nil {
		return noEOF(err)
	}
	n := int64(binary.LittleEndian.Uint32(b[4:])) + skippableHeader
	if m, err := io.CopyN(io.Discard, l.src, n); err != nil || m < n {
		return noEOF(err)
	}
	return nil
}
