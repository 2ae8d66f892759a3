// Package copybin knows the frame of COPY's binary format: what a stream begins
// and ends with, and where a row ends. It knows nothing of the values.
package copybin

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// Header is what a stream begins with: the signature, no flags and no
	// extension.
	Header = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	// Trailer is what a stream ends with, in the place of a row's number of values.
	Trailer = "\xff\xff"
)

// maxFields is how many values a row can have (MaxTupleAttributeNumber of the
// server).
const maxFields = 1664

// ErrRow says that a stream does not have the form of rows.
var ErrRow = errors.New("this is not a row in the binary format")

// CheckHeader judges the beginning of a stream, as long as Header. Flags and an
// extension, which no server writes, are refused rather than passed over: they
// may change what follows.
func CheckHeader(p []byte) error {
	if string(p) != Header {
		return fmt.Errorf("it begins with %.40q and not as a stream in the binary format does", p)
	}
	return nil
}

// A Splitter finds the ends of rows in a stream without its header and trailer,
// which may be cut anywhere. A row is the number of its values in 16 bits, and
// of each value the length in 32, -1 for NULL, and its bytes. The zero Splitter
// is at the beginning of a row.
type Splitter struct {
	head   [4]byte // what there is of a number or a length
	have   int
	inside bool  // a row has begun
	fields int   // that are to come, or have begun
	value  int64 // bytes that are to come of a value
}

// Inside reports whether a row has begun that has not ended.
func (s *Splitter) Inside() bool { return s.inside }

// Next returns how much of p belongs to the row that begins or goes on there,
// and whether that is its end; if it is not, n is len(p). p is not empty.
func (s *Splitter) Next(p []byte) (n int, end bool, err error) {
	if !s.inside {
		s.inside, s.fields, s.value = true, -1, 0
	}
	for {
		if s.fields < 0 {
			head := s.number(p, &n, 2)
			if head == nil {
				return n, false, nil
			}
			s.fields = int(int16(binary.BigEndian.Uint16(head)))
			if s.fields < 0 || s.fields > maxFields {
				return n, false, fmt.Errorf("%w: it has %d values", ErrRow, s.fields)
			}
		}
		if s.value > 0 {
			k := min(s.value, int64(len(p)-n))
			n += int(k)
			if s.value -= k; s.value > 0 {
				return n, false, nil
			}
			s.fields--
		}
		if s.fields == 0 {
			s.inside = false
			return n, true, nil
		}
		head := s.number(p, &n, 4)
		if head == nil {
			return n, false, nil
		}
		switch length := int32(binary.BigEndian.Uint32(head)); {
		case length < -1:
			return n, false, fmt.Errorf("%w: a value has %d bytes", ErrRow, length)
		case length <= 0:
			s.fields--
		default:
			s.value = int64(length)
		}
	}
}

// number returns size bytes from p at *n on, the first of which may have come
// before; nil if there are not as many yet.
func (s *Splitter) number(p []byte, n *int, size int) []byte {
	if s.have == 0 && len(p)-*n >= size {
		*n += size
		return p[*n-size : *n]
	}
	k := copy(s.head[s.have:size], p[*n:])
	s.have += k
	*n += k
	if s.have < size {
		return nil
	}
	s.have = 0
	return s.head[:size]
}

// Cut returns the length of the longest run of whole rows that p, which begins
// with one, has within its first limit bytes, and how many these are.
func Cut(p []byte, limit int) (n int, rows int64, err error) {
	var s Splitter
	for n < len(p) {
		k, end, err := s.Next(p[n:])
		if err != nil {
			return n, rows, err
		}
		if !end || n+k > limit {
			break
		}
		n, rows = n+k, rows+1
	}
	return n, rows, nil
}
