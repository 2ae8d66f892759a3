package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Types of the blocks in a custom archive.
const (
	blockData  = 1
	blockBlobs = 3
)

// A blockReader reads what makes up the blocks of a custom archive: bytes,
// integers and chunks. It hashes what it reads, if asked.
type blockReader struct {
	ctx     context.Context
	path    string
	intSize int
	r       *bufio.Reader
	off     int64 // of the next byte in the file
	h       hash.Hash
}

// blocksAt reads the file from byte off to byte end.
func (c *customReader) blocksAt(ctx context.Context, off, end int64) *blockReader {
	return &blockReader{
		ctx: ctx, path: c.path, intSize: c.header.IntSize, off: off,
		r: bufio.NewReaderSize(io.NewSectionReader(c.f, off, end-off), 128<<10),
	}
}

func (b *blockReader) corrupt(off int64, reason string) error {
	return &CorruptError{File: b.path, Offset: off, Reason: reason}
}

// readFull fills p. The end of the file is damage here.
func (b *blockReader) readFull(p []byte) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	n, err := io.ReadFull(b.r, p)
	b.count(p[:n])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b.corrupt(b.off, "it ends too early")
	}
	if err != nil {
		return fmt.Errorf("read archive file %s: %w", b.path, err)
	}
	return nil
}

func (b *blockReader) count(p []byte) {
	b.off += int64(len(p))
	if b.h != nil {
		b.h.Write(p)
	}
}

// int reads an integer of the format that must not be negative.
func (b *blockReader) int() (int64, error) {
	start := b.off
	var p [9]byte
	if err := b.readFull(p[:1+b.intSize]); err != nil {
		return 0, err
	}
	var n uint64
	for i, c := range p[1 : 1+b.intSize] {
		n |= uint64(c) << (8 * i)
	}
	// An OID over two billion is written as a negative integer.
	if p[0] == 1 && n <= 1<<31 {
		return -int64(n), nil
	}
	if p[0] != 0 || n > 1<<32-1 {
		return 0, b.corrupt(start, "an integer is out of range")
	}
	return int64(n), nil
}

// oid reads the OID of a large object, 0 after the last.
func (b *blockReader) oid() (uint32, error) {
	n, err := b.int()
	return uint32(n), err // pg_dump writes it as a signed integer
}

// header reads the beginning of a block, io.EOF if there is no more.
func (b *blockReader) header() (kind byte, id int, err error) {
	if _, err := b.r.Peek(1); errors.Is(err, io.EOF) {
		return 0, 0, io.EOF
	}
	start := b.off
	var k [1]byte
	if err := b.readFull(k[:]); err != nil {
		return 0, 0, err
	}
	if k[0] != blockData && k[0] != blockBlobs {
		return 0, 0, b.corrupt(start, fmt.Sprintf("a block of data has the unknown type %d", k[0]))
	}
	n, err := b.int()
	if err == nil && n <= 0 {
		err = b.corrupt(start, fmt.Sprintf("a block of data belongs to entry %d", n))
	}
	return k[0], int(n), err
}

// length reads the length of a chunk, 0 after the last.
func (b *blockReader) length() (int64, error) {
	start := b.off
	n, err := b.int()
	if err == nil && n < 0 {
		err = b.corrupt(start, fmt.Sprintf("a chunk of data has length %d", n))
	}
	return n, err
}

// skip passes over chunks up to the end of their list.
func (b *blockReader) skip() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := b.length()
		if err != nil || n == 0 {
			return err
		}
		for n > 0 {
			p := buf[:min(n, int64(len(buf)))]
			if err := b.readFull(p); err != nil {
				return err
			}
			n -= int64(len(p))
		}
	}
}

// A chunkReader reads the content of a list of chunks. It returns io.EOF only
// after the end of the list, and what else is wanted there.
type chunkReader struct {
	b    *blockReader
	left int64 // of the current chunk
	end  func() error
	err  error
}

func (c *chunkReader) offset() int64 { return c.b.off }

func (c *chunkReader) Close() error { return nil }

// Read implements io.Reader.
func (c *chunkReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		if c.left, c.err = c.b.length(); c.err != nil {
			return 0, c.err
		}
		if c.left == 0 {
			c.err = io.EOF
			if c.end != nil {
				if err := c.end(); err != nil {
					c.err = err
				}
			}
			return 0, c.err
		}
	}
	p = p[:min(c.left, int64(len(p)))]
	if len(p) == 0 {
		return 0, nil
	}
	if c.err = c.b.ctx.Err(); c.err != nil {
		return 0, c.err
	}
	n, err := c.b.r.Read(p)
	c.b.count(p[:n])
	c.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF):
		c.err = c.b.corrupt(c.b.off, "it ends too early")
	case err != nil:
		c.err = fmt.Errorf("read archive file %s: %w", c.b.path, err)
	}
	return n, c.err
}
