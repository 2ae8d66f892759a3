package copyproto

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/pghaul/pghaul/internal/copybin"
)

// secondSeed makes the second hash independent of the first, whose seed is 0.
const secondSeed = 0x9e3779b97f4a7c15

// A Digest sums up the rows of a table regardless of their order: two
// independently seeded 64-bit xxHashes of each row's COPY text (without its
// newline) or of each row in the binary format, each summed modulo 2^64, and the
// number of rows. Equal tables have equal digests in the same format however
// they were read; it guards against accidents, not against a forger. The zero
// Digest is that of no rows.
type Digest struct {
	Rows int64
	A, B uint64
}

// Add returns the digest of the rows of both.
func (d Digest) Add(o Digest) Digest { return Digest{d.Rows + o.Rows, d.A + o.A, d.B + o.B} }

// String returns "rows-hex-hex", which ParseDigest reads.
func (d Digest) String() string { return fmt.Sprintf("%d-%016x-%016x", d.Rows, d.A, d.B) }

// ParseDigest reads what String wrote.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	f := strings.Split(s, "-")
	if len(f) != 3 {
		return d, fmt.Errorf("parse digest %q: want rows-hex-hex", s)
	}
	var err error
	if d.Rows, err = strconv.ParseInt(f[0], 10, 64); err == nil {
		if d.A, err = strconv.ParseUint(f[1], 16, 64); err == nil {
			d.B, err = strconv.ParseUint(f[2], 16, 64)
		}
	}
	if err != nil {
		return Digest{}, fmt.Errorf("parse digest: %w", err)
	}
	return d, nil
}

// A Hasher adds up the digest of the rows written to it. Rows of text end with a
// newline, which COPY text never has inside a row; those of the binary format
// come without the stream's header and trailer. They may be cut anywhere between
// two Writes, and it keeps none of them. The zero Hasher is ready to use.
type Hasher struct {
	// Format is that of the rows; "" is Text. It is not to be changed once rows
	// were written.
	Format Format

	sum    Digest
	cut    bool // a row has begun whose end has not come yet
	a, b   xxhash.Digest
	tuples copybin.Splitter
}

// Write adds rows. It never fails for text; what is not in the form of binary
// rows is an error.
func (h *Hasher) Write(p []byte) (int, error) {
	if h.Format == Binary {
		return h.binary(p)
	}
	n := len(p)
	if h.cut {
		p = p[h.finish(p):]
	}
	for len(p) > 0 {
		i := indexNewline(p)
		if i < 0 {
			h.a.Reset()
			h.b.ResetWithSeed(secondSeed)
			h.cut = true
			h.finish(p)
			break
		}
		row := p[:i]
		h.sum.A += xxhash.Sum64(row)
		h.b.ResetWithSeed(secondSeed)
		_, _ = h.b.Write(row)
		h.sum.B += h.b.Sum64()
		h.sum.Rows++
		p = p[i+1:]
	}
	return n, nil
}

// finish goes on with a row that was cut and returns how much of p was its.
func (h *Hasher) finish(p []byte) int {
	i := indexNewline(p)
	if i < 0 {
		_, _ = h.a.Write(p)
		_, _ = h.b.Write(p)
		return len(p)
	}
	_, _ = h.a.Write(p[:i])
	_, _ = h.b.Write(p[:i])
	h.sum = h.sum.Add(Digest{1, h.a.Sum64(), h.b.Sum64()})
	h.cut = false
	return i + 1
}

// binary adds rows in the binary format.
func (h *Hasher) binary(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, end, err := h.tuples.Next(p[done:])
		if err != nil {
			return done, err
		}
		piece := p[done : done+n]
		done += n
		switch {
		case !h.cut && end: // all of it at once, which is faster
			h.b.ResetWithSeed(secondSeed)
			_, _ = h.b.Write(piece)
			h.sum = h.sum.Add(Digest{1, xxhash.Sum64(piece), h.b.Sum64()})
			continue
		case !h.cut:
			h.a.Reset()
			h.b.ResetWithSeed(secondSeed)
			h.cut = true
		}
		_, _ = h.a.Write(piece)
		_, _ = h.b.Write(piece)
		if end {
			h.sum = h.sum.Add(Digest{1, h.a.Sum64(), h.b.Sum64()})
			h.cut = false
		}
	}
	return done, nil
}

// Sum returns the digest of the complete rows written so far.
func (h *Hasher) Sum() Digest { return h.sum }

// Partial reports whether the stream so far ends inside a row.
func (h *Hasher) Partial() bool { return h.cut }
