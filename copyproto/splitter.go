package copyproto

import "io"

// Rows takes the rows of a stream. Writers of archives do.
type Rows interface {
	// WriteRows takes n whole rows, and does not keep the slice.
	WriteRows(rows []byte, n int64) error
	// Row begins a row that is too long to be held in memory; its bytes are
	// written to what is returned, whose Close ends it.
	Row() (io.WriteCloser, error)
}

// longRow is the length from which a row is not held in memory, in bytes.
const longRow = 4 << 20

// A Splitter hashes a stream and hands it on row by row, or rather in runs of
// rows. It comes in pieces that may end inside a row, whose beginning then waits
// for the rest.
type Splitter struct {
	to    Rows
	hash  Hasher
	cut   cutter
	carry []byte         // the beginning of a row
	long  io.WriteCloser // takes a row that is too long to wait
}

// NewSplitter returns a Splitter of rows in a format, "" for Text, without header
// and trailer.
func NewSplitter(to Rows, f Format) *Splitter {
	return &Splitter{to: to, hash: Hasher{Format: f}, cut: cutter{format: f}}
}

// Sum returns the digest of the complete rows so far.
func (s *Splitter) Sum() Digest { return s.hash.Sum() }

// Between reports whether what was written ends with a row.
func (s *Splitter) Between() bool { return !s.hash.Partial() && len(s.carry) == 0 && s.long == nil }

// Write implements io.Writer.
func (s *Splitter) Write(p []byte) (int, error) {
	n := len(p)
	if s.long != nil && n > 0 {
		k, end, err := s.cut.next(p)
		if err == nil {
			err = s.piece(p[:k], end)
		}
		if err != nil {
			return 0, err
		}
		p = p[k:]
	}
	k, err := s.cut.last(p)
	if err == nil {
		err = s.whole(p[:k])
	}
	if err != nil {
		return 0, err
	}
	if rest := p[k:]; len(rest) > 0 {
		s.carry = append(s.carry, rest...)
		if len(s.carry) >= longRow {
			if err := s.begin(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// whole takes rows, of which the first may have begun before.
func (s *Splitter) whole(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if len(s.carry) > 0 {
		s.carry = append(s.carry, p...)
		p = s.carry
		s.carry = s.carry[:0]
	}
	before := s.hash.Sum().Rows
	if _, err := s.hash.Write(p); err != nil {
		return err
	}
	return s.to.WriteRows(p, s.hash.Sum().Rows-before)
}

// begin hands on the beginning of a long row.
func (s *Splitter) begin() (err error) {
	if s.long, err = s.to.Row(); err != nil {
		return err
	}
	first := s.carry
	s.carry = nil
	return s.piece(first, false)
}

// piece hands on a piece of a long row.
func (s *Splitter) piece(p []byte, end bool) error {
	if _, err := s.hash.Write(p); err != nil {
		return err
	}
	if _, err := s.long.Write(p); err != nil || !end {
		return err
	}
	err := s.long.Close()
	s.long = nil
	return err
}
