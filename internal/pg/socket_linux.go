package pg

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// In bulk the kernel wakes the reader when lowWater bytes have come, or after
// bulkWait milliseconds with what there is.
const (
	lowWater = 64 << 10
	bulkWait = 3
)

// silence is how long, in milliseconds, what was sent may stay unacknowledged
// before the connection is given up. The kernel's own patience is a quarter of an
// hour, and a firewall that has forgotten a connection answers nothing.
const silence = 180_000

// limitSilence sets TCP_USER_TIMEOUT unless whoever dialed has. A kernel that does
// not know it is as patient as ever.
func limitSilence(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		if have, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err == nil && have == 0 {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, silence)
		}
	})
}

// readBulk reads when there is much, or at last.
func (s *socket) readBulk(p []byte, bulk bool) (n int, err error) {
	waited := false
	rawErr := s.raw.Read(func(fd uintptr) bool {
		if want := bulk && !waited; want != s.lowered {
			s.lower(fd, want)
		}
		if s.lowered && !readable(fd) {
			s.lower(fd, false)
		}
		for {
			n, err = unix.Read(int(fd), p)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		// Nothing at all: wait for a byte where the wait can be cancelled.
		waited = true
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case rawErr != nil:
		return 0, rawErr
	case err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError("read", err)}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// lower makes the socket wait for lowWater bytes, or for any.
func (s *socket) lower(fd uintptr, on bool) {
	n := 1
	if on {
		n = lowWater
	}
	s.lowered = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, n) == nil && on
}

// readable waits for the socket to have lowWater bytes, an end or an error.
func readable(fd uintptr) bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, bulkWait)
	return n > 0
}
