package pg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// cutStream gives what it has in pieces of random sizes, as a network does.
type cutStream struct {
	data []byte
	rng  *rand.Rand
}

func (p *cutStream) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.data[:min(len(p.data), 1+p.rng.IntN(len(p.data)))])
	p.data = p.data[n:]
	return n, nil
}

// parted reads what a server sends the plain way: rows is what is in CopyData
// messages, other all other messages, both with what has come of the last one.
// whole is how much of rows is in messages that came in full.
func parted(data []byte) (rows, other []byte, whole int) {
	for len(data) >= 5 {
		n := int(max(binary.BigEndian.Uint32(data[1:]), 4)) + 1
		body := data[:min(n, len(data))]
		if body[0] == 'd' {
			rows = append(rows, body[5:]...)
			if n <= len(data) {
				whole = len(rows)
			}
		} else {
			other = append(other, body...)
		}
		data = data[len(body):]
	}
	return rows, other, whole
}

// FuzzTap sends anything through the reader of COPY data: rows and all else must
// be told apart wherever the network has cut the stream, and nothing be lost.
func FuzzTap(f *testing.F) {
	message := func(kind byte, body string) []byte {
		b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
		return append(b, body...)
	}
	usual := bytes.Join([][]byte{
		message('H', "\x00\x00\x02\x00\x00\x00\x00"), message('d', "1\ta\n"), message('d', ""), message('N', "SNOTICE\x00\x00"),
		message('d', "2\tb\n"), message('c', ""), message('C', "COPY 2\x00"), message('Z', "T"),
	}, nil)
	f.Add(usual, uint64(1))
	f.Add(append(message('d', string(bytes.Repeat([]byte("long "), 80))), usual...), uint64(2))
	f.Add([]byte("d\xff\xff\xff\xffrows of a message without end"), uint64(3))
	f.Add([]byte("d\x00\x00\x00\x00E\x00\x00\x00\x01"), uint64(4))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var rows, other bytes.Buffer
		// A small block has its ends where an input of a few bytes finds them.
		tap := &tap{r: &cutStream{bytes.Clone(data), rng}, buf: make([]byte, 16+rng.IntN(200))}
		tap.start(&rows)
		buf := make([]byte, 1+rng.IntN(300))
		for {
			n, err := tap.Read(buf)
			other.Write(buf[:n])
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		wantRows, wantOther, whole := parted(data)
		if !bytes.HasPrefix(wantRows, rows.Bytes()) || rows.Len() < whole {
			t.Errorf("%d bytes of rows of %d, or others", rows.Len(), len(wantRows))
		}
		if !bytes.Equal(other.Bytes(), wantOther) {
			t.Errorf("passed on %q, want %q", other.Bytes(), wantOther)
		}
	})
}
