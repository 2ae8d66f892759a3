package faults_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/faults"
)

// echo is a server that sends back what it receives.
func echo(t *testing.T) *faults.Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				if _, err := io.Copy(c, c); err == nil {
					c.(*net.TCPConn).CloseWrite()
				}
			})
		}
	})
	p, err := faults.NewProxy(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		listener.Close()
		all.Wait()
	})
	return p
}

func dial(t *testing.T, p *faults.Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

// exchange sends b, ends the sending, and returns what comes back.
func exchange(t *testing.T, c *net.TCPConn, b []byte) ([]byte, error) {
	t.Helper()
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		if _, err := c.Write(b); err == nil {
			c.CloseWrite()
		}
	})
	return io.ReadAll(c)
}

// text is so many bytes, each of which says where it is.
func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func TestForward(t *testing.T) {
	t.Parallel()
	p := echo(t)
	want := text(300_000)
	for range 2 {
		got, err := exchange(t, dial(t, p), want)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d came back, %v", len(got), len(want), err)
		}
	}
	for i, passed := range p.Traffic() {
		if passed != (faults.Traffic{300_000, 300_000}) {
			t.Errorf("connection %d: %v bytes passed", i+1, passed)
		}
	}
}

// What ends a connection does so at exactly the byte that was asked for.
func TestEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action faults.Action
		reset  bool
	}{{faults.Cut, false}, {faults.Reset, true}, {faults.HalfClose, false}} {
		p := echo(t)
		p.Arm(faults.Fault{Conn: 2, Direction: faults.Down, After: 70_001, Action: c.action})
		if got, err := exchange(t, dial(t, p), text(100_000)); err != nil || len(got) != 100_000 {
			t.Errorf("%v: connection 1 got %d bytes, %v", c.action, len(got), err)
		}
		conn := dial(t, p)
		got, err := exchange(t, conn, text(100_000))
		if p.Traffic()[1][faults.Down] != 70_001 {
			t.Errorf("%v: %d bytes have passed, want 70001", c.action, p.Traffic()[1][faults.Down])
		}
		if c.reset {
			// A reset throws away what the client has not read yet.
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v: connection 2 got %d bytes, %v, want a reset", c.action, len(got), err)
			}
		} else if errors.Is(err, syscall.ETIMEDOUT) || len(got) > 70_001 || !bytes.Equal(got, text(100_000)[:len(got)]) {
			t.Errorf("%v: connection 2 got %d bytes, %v, want the first 70001", c.action, len(got), err)
		}
	}
}

// A fault happens as often as it is said to, and its hook runs before.
func TestTimes(t *testing.T) {
	t.Parallel()
	p := echo(t)
	called := 0
	p.Arm(faults.Fault{After: 10, Times: 2, Do: func() { called++ }})
	whole := 0
	for range 4 {
		if got, err := exchange(t, dial(t, p), text(20)); err == nil && len(got) == 20 {
			whole++
		}
	}
	if called != 2 || whole != 2 {
		t.Errorf("%d faults, %d whole connections, want 2 and 2", called, whole)
	}
	p.Reset()
	if got, err := exchange(t, dial(t, p), text(20)); err != nil || len(got) != 20 || len(p.Traffic()) != 1 {
		t.Errorf("after Reset: %d bytes, %v, %d connections", len(got), err, len(p.Traffic()))
	}
}

// Silence and slowness hold bytes up and lose none.
func TestSlow(t *testing.T) {
	t.Parallel()
	for _, f := range []faults.Fault{
		{Action: faults.Silence, After: 5000, For: 100 * time.Millisecond},
		{Action: faults.Throttle, Rate: 300_000},
		{Action: faults.Delay, For: 20 * time.Millisecond},
	} {
		p := echo(t)
		p.Arm(f)
		began := time.Now()
		got, err := exchange(t, dial(t, p), text(60_000))
		if err != nil || !bytes.Equal(got, text(60_000)) {
			t.Errorf("%v: %d bytes, %v", f, len(got), err)
		}
		if took := time.Since(began); took < 40*time.Millisecond {
			t.Errorf("%v: it took only %v", f, took)
		}
	}
}

// A connection that is silent for ever can be struck, and closed.
func TestStrike(t *testing.T) {
	t.Parallel()
	p := echo(t)
	c := dial(t, p)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if n := p.Strike(faults.Fault{Action: faults.Silence, For: time.Hour}); n != 1 {
		t.Errorf("%d connections were struck, want 1", n)
	}
	if _, err := c.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent connection gave %d bytes, %v", n, err)
	}
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	p.Strike(faults.Fault{Action: faults.Reset})
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

// A server that is not there resets its clients.
func TestServerAway(t *testing.T) {
	t.Parallel()
	p, err := faults.NewProxy("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}
