package pg

import (
	"bytes"
	"encoding/binary"
)

// messages takes a stream of protocol messages apart without keeping more of
// them than is asked for.
type messages struct {
	// untyped says that the next message has no type: the first of a client.
	untyped bool
	// keep says of which types to tell, and how many bytes of their bodies.
	keep map[byte]int

	head   []byte
	inside bool // a body is under way
	kind   byte
	told   bool // somebody wants to know of it
	size   int  // of the body
	left   int  // of the body, to come
	room   int  // of the body, to be kept
	body   []byte
}

// feed takes the next bytes. each is called at the end of each message it wants,
// with the beginning of its body, which it must not hold on to, and the body's
// length; kind 0 is the message without a type. An error of each is returned.
func (m *messages) feed(p []byte, each func(kind byte, body []byte, size int) error) error {
	for len(p) > 0 || m.inside && m.left == 0 {
		if !m.inside {
			want := 5
			if m.untyped {
				want = 4
			}
			n := min(want-len(m.head), len(p))
			m.head = append(m.head, p[:n]...)
			p = p[n:]
			if len(m.head) < want {
				return nil
			}
			m.begin(want)
		}
		n := min(m.left, len(p))
		if take := min(n, m.room); take > 0 {
			m.body = append(m.body, p[:take]...)
			m.room -= take
		}
		m.left -= n
		p = p[n:]
		if m.left > 0 {
			return nil
		}
		m.inside = false
		if m.told {
			if err := each(m.kind, m.body, m.size); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin reads the header that has come.
func (m *messages) begin(want int) {
	m.size = max(int(binary.BigEndian.Uint32(m.head[want-4:]))-4, 0)
	m.kind, m.told, m.room = 0, true, 4096
	if want == 5 {
		m.kind = m.head[0]
		m.room, m.told = m.keep[m.kind]
	}
	if m.untyped && m.size == 4 {
		m.room = 4 // a request for encryption: the first message is yet to come
	} else {
		m.untyped = false
	}
	m.left, m.inside = m.size, true
	m.head, m.body = m.head[:0], m.body[:0]
}

// cstring splits a text ending in a zero byte off.
func cstring(b []byte) (value, rest string) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return string(b[:i]), string(b[i+1:])
	}
	return string(b), ""
}

func text(b []byte) string {
	value, _ := cstring(b)
	return value
}

// parameters is the number of values in what follows the names of a Bind
// message: a list of formats, then the values.
func parameters(rest string) int {
	b := []byte(rest)
	if len(b) < 2 {
		return 0
	}
	formats := 2 * int(binary.BigEndian.Uint16(b))
	if len(b) < 2+formats+2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(b[2+formats:]))
}
