package pg

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// bulkAfter is how many bytes of rows a COPY has sent before its connection is
// read in bulk, which delays the last bytes a little: never those of a small
// table.
const bulkAfter = 2 << 20

// A socket is a network connection that can be read in bulk: a server hands
// rows to the network 8 KiB at a time, and to be woken for each of them costs
// reader and server more than the reading.
type socket struct {
	net.Conn
	raw     syscall.RawConn
	inBulk  atomic.Bool
	lowered bool   // the socket waits for more than a byte
	buf     []byte // read in bulk for a reader that takes little at a time
	left    []byte // of buf, not yet read
}

// A dialer makes sockets.
type dialer struct {
	dial pgconn.DialFunc

	mu   sync.Mutex
	made *socket
}

// Dial implements pgconn.DialFunc.
func (d *dialer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn, nil
	}
	limitSilence(raw)
	s := &socket{Conn: conn, raw: raw}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made = s
	return s, nil
}

// last returns the socket that was made last, nil if there is none.
func (d *dialer) last() *socket {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.made
}

// bulk says whether much is to come. A nil socket does not care.
func (s *socket) bulk(on bool) {
	if s != nil && s.inBulk.Load() != on {
		s.inBulk.Store(on)
	}
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	bulk := s.inBulk.Load()
	switch {
	case len(s.left) > 0:
	case !bulk && !s.lowered:
		return s.Conn.Read(p)
	case len(p) >= blockSize/4 || !bulk:
		return s.readBulk(p, bulk)
	default: // TLS reads records
		if s.buf == nil {
			s.buf = make([]byte, blockSize)
		}
		n, err := s.readBulk(s.buf, bulk)
		if err != nil {
			return 0, err
		}
		s.left = s.buf[:n]
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}
