package copyproto_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/copyproto"
)

// tuples are rows in the binary format with one value each.
func tuples(values ...string) [][]byte {
	var rows [][]byte
	for _, v := range values {
		row := binary.BigEndian.AppendUint32([]byte{0, 1}, uint32(len(v)))
		rows = append(rows, append(row, v...))
	}
	return rows
}

func TestStatements(t *testing.T) {
	const text = "COPY s.t (a, b) FROM stdin;\n"
	if copyproto.FormatOf(text) != copyproto.Text {
		t.Error("text is taken for binary")
	}
	bin := copyproto.InBinary(text)
	if bin != "COPY s.t (a, b) FROM stdin WITH (FORMAT binary);\n" || copyproto.FormatOf(bin) != copyproto.Binary || copyproto.FormatOf(strings.TrimSpace(bin)) != copyproto.Binary {
		t.Errorf("%q", bin)
	}
	if got := copyproto.InText(bin); got != text || copyproto.InText(text) != text {
		t.Errorf("%q", got)
	}
	if got := copyproto.InBinary(`COPY t TO stdout;`); got != "COPY t TO stdout WITH (FORMAT binary);" {
		t.Errorf("%q", got)
	}
}

// A stream loses its header and trailer, whatever the pieces it comes in.
func TestTupleWriter(t *testing.T) {
	rows := bytes.Join(tuples("one", "", "\xff\xfe", strings.Repeat("x", 300)), nil)
	for _, want := range [][]byte{nil, rows} {
		var stream bytes.Buffer
		if err := copyproto.WriteStream(&stream, func(w io.Writer) error { _, err := w.Write(want); return err }); err != nil {
			t.Fatal(err)
		}
		for piece := 1; piece <= stream.Len(); piece++ {
			var got bytes.Buffer
			w := copyproto.NewTuples(&got)
			for range 2 { // one stream after the other
				got.Reset()
				for p := stream.Bytes(); len(p) > 0; p = p[min(piece, len(p)):] {
					if _, err := w.Write(p[:min(piece, len(p))]); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.End(); err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Fatalf("in pieces of %d: %q, %v", piece, got.Bytes(), err)
				}
			}
		}
		for cut := range stream.Len() {
			var got bytes.Buffer
			w := copyproto.NewTuples(&got)
			if _, err := w.Write(stream.Bytes()[:cut]); err != nil {
				t.Fatal(err)
			}
			if w.End() == nil {
				t.Errorf("a stream cut at %d passes", cut)
			}
		}
	}
	if _, err := copyproto.NewTuples(io.Discard).Write([]byte("1\tone\n2\ttwo\n3\tthree\n")); err == nil {
		t.Error("text passes")
	}
}

// What came before a server's error reaches the end of the last row.
func TestTupleWriterFlush(t *testing.T) {
	rows := bytes.Join(tuples("one", "two"), nil)
	var stream, got bytes.Buffer
	if err := copyproto.WriteStream(&stream, func(w io.Writer) error { _, err := w.Write(rows); return err }); err != nil {
		t.Fatal(err)
	}
	w := copyproto.NewTuples(&got)
	if _, err := w.Write(stream.Bytes()[:stream.Len()-2]); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil || !bytes.Equal(got.Bytes(), rows) {
		t.Errorf("%q, %v", got.Bytes(), err)
	}
}

// FuzzBinaryDigest: the digest depends neither on the order of rows nor on where
// the stream is cut, and a Counter finds as many rows.
func FuzzBinaryDigest(f *testing.F) {
	f.Add([]byte("one"), []byte{}, uint16(3))
	f.Add([]byte("\xff\xff"), []byte("two\n"), uint16(1))
	f.Fuzz(func(t *testing.T, a, b []byte, piece uint16) {
		rows := tuples(string(a), string(b), string(a))
		digest := func(piece int, rows ...[]byte) copyproto.Digest {
			h := copyproto.Hasher{Format: copyproto.Binary}
			c := copyproto.Counter{Format: copyproto.Binary}
			p := bytes.Join(rows, nil)
			for len(p) > 0 {
				k := min(piece, len(p))
				if _, err := h.Write(p[:k]); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Write(p[:k]); err != nil || c.Inside() != h.Partial() {
					t.Fatal(c.Inside(), err)
				}
				p = p[k:]
			}
			if h.Partial() || h.Sum().Rows != c.Rows() {
				t.Fatalf("%d rows, and %d", h.Sum().Rows, c.Rows())
			}
			return h.Sum()
		}
		want := digest(1<<20, rows...)
		if got := digest(int(piece)+1, rows[1], rows[0], rows[2]); got != want || want.Rows != 3 {
			t.Errorf("%v, want %v", got, want)
		}
		if string(a) != string(b) && digest(1<<20, rows[0], rows[1], rows[1]) == want {
			t.Error("other rows have the same digest")
		}
	})
}

func BenchmarkBinaryHasher(b *testing.B) {
	block := bytes.Repeat(bytes.Join(tuples(strings.Repeat("x", 100)), nil), 2000)
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		h := copyproto.Hasher{Format: copyproto.Binary}
		_, _ = h.Write(block)
	}
}

// sink keeps what a Splitter hands on.
type sink struct {
	runs [][]byte // of whole rows
	long [][]byte
	rows int64
	open bool
}

func (s *sink) WriteRows(p []byte, n int64) error {
	s.runs, s.rows = append(s.runs, bytes.Clone(p)), s.rows+n
	return nil
}

func (s *sink) Row() (io.WriteCloser, error) {
	s.long, s.rows, s.open = append(s.long, nil), s.rows+1, true
	return longSink{s}, nil
}

type longSink struct{ s *sink }

func (l longSink) Write(p []byte) (int, error) {
	last := &l.s.long[len(l.s.long)-1]
	*last = append(*last, p...)
	return len(p), nil
}

func (l longSink) Close() error { l.s.open = false; return nil }

// However a stream is cut, rows are handed on whole, and long ones in pieces.
func TestSplitter(t *testing.T) {
	long := strings.Repeat("y", 5<<20)
	short := []string{"one", "", strings.Repeat("x", 100)}
	streams := map[copyproto.Format][][]byte{copyproto.Binary: tuples(append(short, long, "two", "three", long)...)}
	for _, v := range append(short, long, "two", "three", long) {
		streams[copyproto.Text] = append(streams[copyproto.Text], []byte(v+"\n"))
	}
	for f, rows := range streams {
		stream := bytes.Join(rows, nil)
		for _, piece := range []int{100, 1 << 16, 3 << 20, len(stream)} {
			to := &sink{}
			s := copyproto.NewSplitter(to, f)
			for p := stream; len(p) > 0; p = p[min(piece, len(p)):] {
				if _, err := s.Write(p[:min(piece, len(p))]); err != nil {
					t.Fatal(err)
				}
			}
			h := copyproto.Hasher{Format: f}
			_, _ = h.Write(stream)
			if !s.Between() || to.open || s.Sum() != h.Sum() || to.rows != int64(len(rows)) {
				t.Fatalf("%s in pieces of %d: between %v, %d rows, %v, want %v", f, piece, s.Between(), to.rows, s.Sum(), h.Sum())
			}
			var total int
			for _, run := range append(to.runs, to.long...) {
				whole := copyproto.Hasher{Format: f}
				_, err := whole.Write(run)
				if total += len(run); err != nil || whole.Partial() {
					t.Errorf("%s in pieces of %d: a run of %d bytes ends inside a row, %v", f, piece, len(run), err)
				}
			}
			if total != len(stream) || piece < len(long)/2 && len(to.long) != 2 {
				t.Errorf("%s in pieces of %d: %d of %d bytes, %d long rows", f, piece, total, len(stream), len(to.long))
			}
			if _, err := s.Write(rows[2][:50]); err != nil || s.Between() {
				t.Errorf("inside a row: %v", err)
			}
		}
	}
}
