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
// the stream is cut, and a Cutter agrees with it on the rows.
func FuzzBinaryDigest(f *testing.F) {
	f.Add([]byte("one"), []byte{}, uint16(3))
	f.Add([]byte("\xff\xff"), []byte("two\n"), uint16(1))
	f.Fuzz(func(t *testing.T, a, b []byte, piece uint16) {
		rows := tuples(string(a), string(b), string(a))
		digest := func(piece int, rows ...[]byte) copyproto.Digest {
			h := copyproto.Hasher{Format: copyproto.Binary}
			c := copyproto.NewCutter(copyproto.Binary)
			var count int64
			p := bytes.Join(rows, nil)
			for len(p) > 0 {
				k := min(piece, len(p))
				if _, err := h.Write(p[:k]); err != nil {
					t.Fatal(err)
				}
				at, n, err := c.Last(p[:k])
				if err != nil || at > k || c.Inside() != h.Partial() || !c.Inside() && at != k {
					t.Fatalf("at %d of %d, %v", at, k, err)
				}
				p, count = p[k:], count+n
			}
			if h.Partial() || h.Sum().Rows != count {
				t.Fatalf("%d rows, and %d", h.Sum().Rows, count)
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
