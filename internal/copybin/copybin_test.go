package copybin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// row writes a row with values of the given lengths; -1 is NULL.
func row(lengths ...int) []byte {
	out := binary.BigEndian.AppendUint16(nil, uint16(len(lengths)))
	for _, n := range lengths {
		out = binary.BigEndian.AppendUint32(out, uint32(int32(n)))
		out = append(out, bytes.Repeat([]byte{0xff}, max(n, 0))...)
	}
	return out
}

// ends feeds a stream in pieces and returns where its rows end.
func ends(t *testing.T, p []byte, piece int) (at []int, err error) {
	t.Helper()
	var s Splitter
	for pos := 0; pos < len(p); {
		n, end, err := s.Next(p[pos:min(pos+piece, len(p))])
		if err != nil {
			return at, err
		}
		if n == 0 || !end && n != min(piece, len(p)-pos) {
			t.Fatalf("at %d: took %d bytes, end %v", pos, n, end)
		}
		if pos += n; end != !s.Inside() {
			t.Fatalf("at %d: end %v and inside %v", pos, end, s.Inside())
		}
		if end {
			at = append(at, pos)
		}
	}
	return at, nil
}

func TestSplitter(t *testing.T) {
	var stream []byte
	var want []int
	for _, r := range [][]byte{row(), row(-1), row(0), row(4, -1, 0, 7), row(300), row(), row(1, 1)} {
		stream = append(stream, r...)
		want = append(want, len(stream))
	}
	for piece := 1; piece <= len(stream); piece++ {
		got, err := ends(t, stream, piece)
		if err != nil || len(got) != len(want) {
			t.Fatalf("in pieces of %d: %v, %v, want %v", piece, got, err, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("in pieces of %d: %v, want %v", piece, got, want)
			}
		}
	}
	for limit := range len(stream) + 5 {
		n, rows, err := Cut(stream, limit)
		i := 0
		for i < len(want) && want[i] <= limit {
			i++
		}
		expected := 0
		if i > 0 {
			expected = want[i-1]
		}
		if n != expected || rows != int64(i) || err != nil {
			t.Errorf("within %d: %d bytes, %d rows, %v; want %d and %d", limit, n, rows, err, expected, i)
		}
	}
}

func TestNotRows(t *testing.T) {
	for name, p := range map[string][]byte{
		"trailer": []byte(Trailer), "too many values": {0x7f, 0xff}, "negative length": {0, 1, 0xff, 0xff, 0xff, 0xfe}, "header": []byte(Header),
	} {
		for piece := 1; piece <= len(p); piece++ {
			if _, err := ends(t, p, piece); !errors.Is(err, ErrRow) {
				t.Errorf("%s in pieces of %d: %v", name, piece, err)
			}
		}
		if _, _, err := Cut(p, len(p)); !errors.Is(err, ErrRow) {
			t.Errorf("%s: Cut: %v", name, err)
		}
	}
}

func TestCheckHeader(t *testing.T) {
	if err := CheckHeader([]byte(Header)); err != nil {
		t.Error(err)
	}
	for _, p := range []string{"", Header[:18], "PGCOPY\n\xff\r\n\x00\x00\x01\x00\x00\x00\x00\x00\x00", "1\tone\n"} {
		if CheckHeader([]byte(p)) == nil {
			t.Errorf("%q passes", p)
		}
	}
}

// FuzzSplitter finds the same ends however a stream is cut.
func FuzzSplitter(f *testing.F) {
	f.Add(append(row(4, -1, 0, 7), row(300)...), uint8(3))
	f.Add([]byte(Header), uint8(1))
	f.Add([]byte(Trailer), uint8(1))
	f.Add([]byte{0, 1, 0x7f, 0xff, 0xff, 0xff, 1, 2}, uint8(4))
	f.Fuzz(func(t *testing.T, p []byte, piece uint8) {
		whole, wholeErr := ends(t, p, len(p)+1)
		cut, cutErr := ends(t, p, int(piece)+1)
		if (wholeErr == nil) != (cutErr == nil) || len(whole) != len(cut) {
			t.Fatalf("whole: %v %v, cut: %v %v", whole, wholeErr, cut, cutErr)
		}
		for i := range whole {
			if whole[i] != cut[i] {
				t.Fatalf("whole: %v, cut: %v", whole, cut)
			}
		}
		n, rows, err := Cut(p, len(p))
		if int(rows) != len(whole) || len(whole) > 0 && n != whole[len(whole)-1] || (err == nil) != (wholeErr == nil) {
			t.Fatalf("Cut: %d bytes, %d rows, %v; ends %v, %v", n, rows, err, whole, wholeErr)
		}
	})
}
