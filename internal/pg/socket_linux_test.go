package pg

import (
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What was sent and never acknowledged ends a connection in minutes, or when
// whoever dialed has said.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	own := func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 9000) })
		return err
	}
	for _, c := range []struct {
		dialer *net.Dialer
		want   int
	}{{&net.Dialer{Timeout: time.Minute}, silence}, {&net.Dialer{Control: own}, 9000}} {
		conn, err := (&dialer{dial: c.dialer.DialContext}).Dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		var got int
		_ = conn.(*socket).raw.Control(func(fd uintptr) {
			got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		})
		if got != c.want || err != nil {
			t.Errorf("TCP_USER_TIMEOUT is %d, %v, want %d", got, err, c.want)
		}
		_ = conn.Close()
	}
}
