package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A codec compresses with one algorithm and level.
type codec struct {
	compression Compression
	voidable    bool // a frame can be turned into one that readers skip
	pool        sync.Pool
	buffers     sync.Pool // of *bufio.Writer
	newEncoder  func() (encoder, error)
}

// An encoder makes frames: pieces that can be decompressed alone and whose
// concatenation decompresses to the concatenation of their contents.
type encoder interface {
	// frame returns src compressed as one frame, appended to dst.
	frame(dst, src []byte) ([]byte, error)
	// stream returns a writer that writes one frame to w and ends it when
	// closed. size is the length of the content, -1 if unknown.
	stream(w io.Writer, size int64) (io.WriteCloser, error)
}

// buffer returns a buffer before w, which putBuffer takes back when it is flushed.
func (k *codec) buffer(w io.Writer) *bufio.Writer {
	if b, ok := k.buffers.Get().(*bufio.Writer); ok {
		b.Reset(w)
		return b
	}
	return bufio.NewWriterSize(w, 64<<10)
}

func (k *codec) putBuffer(b *bufio.Writer) {
	b.Reset(nil)
	k.buffers.Put(b)
}

// newCodec checks the level against what the algorithm knows; 0 is its default.
func newCodec(c Compression, level int) (*codec, error) {
	var lowest, highest int
	k := &codec{compression: c}
	switch c {
	case CompressZstd:
		lowest, highest, k.voidable = -131072, 22, true
		k.newEncoder = func() (encoder, error) { return newZstdEncoder(level) }
	case CompressGzip:
		lowest, highest = 1, 9
		k.newEncoder = func() (encoder, error) { return newGzipEncoder(level) }
	case CompressLZ4:
		lowest, highest, k.voidable = 1, 12, true
		k.newEncoder = func() (encoder, error) { return newLZ4Encoder(level) }
	case CompressNone:
		k.newEncoder = func() (encoder, error) { return plainEncoder{}, nil }
	default:
		return nil, fmt.Errorf("compression %q is not one of zstd, lz4, gzip and none", c)
	}
	switch {
	case level == 0:
	case c == CompressNone:
		return nil, fmt.Errorf("compression none takes no level, %d was given", level)
	case level < lowest || level > highest:
		return nil, fmt.Errorf("compression level %d of %s is not between %d and %d", level, c, lowest, highest)
	}
	return k, nil
}

func (k *codec) get() (encoder, error) {
	if e, ok := k.pool.Get().(encoder); ok {
		return e, nil
	}
	return k.newEncoder()
}

func (k *codec) put(e encoder) { k.pool.Put(e) }

// suffix returns what the name of a file compressed with c ends in.
func (c Compression) suffix() string {
	switch c {
	case CompressGzip:
		return ".gz"
	case CompressLZ4:
		return ".lz4"
	case CompressZstd:
		return ".zst"
	default:
		return ""
	}
}

// zstdWindow bounds what a reader must keep in memory. A frame is rarely longer,
// so a larger window would find nothing more.
const zstdWindow = 8 << 20

type zstdEncoder struct{ e *zstd.Encoder }

// newZstdEncoder maps the levels of the zstd library: below 3 is the fastest we
// have, 3 to 5 the default, 6 to 9 better and from 10 the best compression.
func newZstdEncoder(level int) (encoder, error) {
	l := zstd.SpeedFastest
	if level > 0 {
		l = zstd.EncoderLevelFromZstd(level)
	}
	// Values of type bytea are written in hexadecimal: no two stretches are the same,
	// and half of each is air. The fastest level would leave such blocks as they are.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(1), zstd.WithAllLitEntropyCompression(true),
		zstd.WithEncoderCRC(true), zstd.WithZeroFrames(true), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	return zstdEncoder{e}, nil
}

func (z zstdEncoder) frame(dst, src []byte) ([]byte, error) { return z.e.EncodeAll(src, dst), nil }

func (z zstdEncoder) stream(w io.Writer, size int64) (io.WriteCloser, error) {
	z.e.ResetContentSize(w, size)
	return z.e, nil
}

type gzipEncoder struct{ w *gzip.Writer }

func newGzipEncoder(level int) (encoder, error) {
	if level == 0 {
		level = gzip.DefaultCompression
	}
	w, err := gzip.NewWriterLevel(io.Discard, level)
	if err != nil {
		return nil, fmt.Errorf("set up gzip: %w", err)
	}
	return gzipEncoder{w}, nil
}

func (g gzipEncoder) frame(dst, src []byte) ([]byte, error) { return streamFrame(g, dst, src) }

func (g gzipEncoder) stream(w io.Writer, _ int64) (io.WriteCloser, error) {
	g.w.Reset(w)
	return g.w, nil
}

// zlibEncoder is gzip as custom archives have it.
type zlibEncoder struct{ w *zlib.Writer }

func newZlibEncoder(level int) (encoder, error) {
	if level == 0 {
		level = zlib.DefaultCompression
	}
	w, err := zlib.NewWriterLevel(io.Discard, level)
	if err != nil {
		return nil, fmt.Errorf("set up zlib: %w", err)
	}
	return zlibEncoder{w}, nil
}

func (z zlibEncoder) frame(dst, src []byte) ([]byte, error) { return streamFrame(z, dst, src) }

func (z zlibEncoder) stream(w io.Writer, _ int64) (io.WriteCloser, error) {
	z.w.Reset(w)
	return z.w, nil
}

type lz4Encoder struct{ w *lz4.Writer }

func newLZ4Encoder(level int) (encoder, error) {
	levels := []lz4.CompressionLevel{
		lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4,
		lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
	}
	w := lz4.NewWriter(io.Discard)
	err := w.Apply(lz4.CompressionLevelOption(levels[min(level, len(levels)-1)]),
		lz4.BlockSizeOption(lz4.Block1Mb), lz4.ChecksumOption(true), lz4.ConcurrencyOption(1))
	if err != nil {
		return nil, fmt.Errorf("set up lz4: %w", err)
	}
	return lz4Encoder{w}, nil
}

func (l lz4Encoder) frame(dst, src []byte) ([]byte, error) { return streamFrame(l, dst, src) }

func (l lz4Encoder) stream(w io.Writer, _ int64) (io.WriteCloser, error) {
	l.w.Reset(w)
	return l.w, nil
}

// streamFrame makes a frame with an encoder that can only stream.
func streamFrame(e encoder, dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w, err := e.stream(out, int64(len(src)))
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

type plainEncoder struct{}

func (plainEncoder) frame(dst, src []byte) ([]byte, error) { return append(dst, src...), nil }

func (plainEncoder) stream(w io.Writer, _ int64) (io.WriteCloser, error) { return nopCloser{w}, nil }

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Skippable frames are the same in zstd and lz4: one of sixteen magic numbers,
// the length of what follows, and bytes that every reader passes over.
const (
	skippableMagic  = 0x184D2A50 // up to 0x184D2A5F
	skippableHeader = 8
	maxSkippable    = 1<<32 - 1
)

// appendSkippable appends the header of a skippable frame of n more bytes.
// nibble, 0 to 15, tells kinds of them apart.
func appendSkippable(dst []byte, nibble, n uint32) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, skippableMagic+nibble)
	return binary.LittleEndian.AppendUint32(dst, n)
}
