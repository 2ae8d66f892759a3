// Package faults has a TCP proxy that disturbs the connections to a server, and
// the suite that runs the command through it.
package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A Direction is one of the two streams of a connection.
type Direction int

// The directions.
const (
	Up   Direction = iota // from the client to the server
	Down                  // from the server to the client
)

func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Traffic is what has passed on one connection, in bytes.
type Traffic [2]int64

// A Proxy listens on a port of its own on the loopback and forwards every
// connection to a server. The zero faults forward faithfully. A Proxy may be
// used from several goroutines.
type Proxy struct {
	listener net.Listener
	target   string
	ended    context.Context // Done when the proxy is closed
	end      context.CancelFunc
	all      sync.WaitGroup

	mu     sync.Mutex
	links  []*link // since the last Reset, in the order of their arrival
	faults []*Fault
}

// NewProxy starts a proxy to the server at target, "host:port". The caller
// closes it. The server may come and go: it is dialled for each connection.
func NewProxy(target string) (*Proxy, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{listener: listener, target: target}
	p.ended, p.end = context.WithCancel(context.Background())
	p.all.Go(p.accept)
	return p, nil
}

// Host is the address that the proxy listens on.
func (p *Proxy) Host() string { return "127.0.0.1" }

// Port is the port that the proxy listens on.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Addr is "host:port".
func (p *Proxy) Addr() string { return net.JoinHostPort(p.Host(), strconv.Itoa(p.Port())) }

// Close ends the proxy and all connections, and waits until they are gone.
func (p *Proxy) Close() {
	p.end()
	_ = p.listener.Close()
	p.all.Wait()
}

// Reset ends all connections, forgets all faults, and counts connections from 1
// again.
func (p *Proxy) Reset() {
	p.mu.Lock()
	links := p.links
	p.links, p.faults = nil, nil
	p.mu.Unlock()
	for _, l := range links {
		l.close(true)
	}
	for _, l := range links {
		<-l.over
	}
}

// Traffic returns what has passed on each connection since the last Reset.
func (p *Proxy) Traffic() []Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Traffic, len(p.links))
	for i, l := range p.links {
		out[i] = l.passed
	}
	return out
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			if p.ended.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // out of descriptors, say; the client will come again
		}
		l := &link{p: p, client: client.(*net.TCPConn), over: make(chan struct{})}
		l.open, l.shut = context.WithCancel(p.ended)
		p.mu.Lock()
		p.links = append(p.links, l)
		l.number = len(p.links)
		p.mu.Unlock()
		p.all.Go(l.run)
	}
}

// A link is one connection through the proxy.
type link struct {
	p      *Proxy
	number int // from 1
	client *net.TCPConn
	server atomic.Pointer[net.TCPConn] // nil before it is dialled
	open   context.Context             // Done when the link is closed
	shut   context.CancelFunc
	over   chan struct{} // closed when both pumps have ended

	passed [2]int64 // bytes in each direction; guarded by the proxy's mu

	mu     sync.Mutex
	silent time.Time     // nothing passes until then
	pause  time.Duration // before each chunk
	rate   int           // bytes a second; 0 is unlimited
}

func (l *link) run() {
	defer close(l.over)
	defer l.shut()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(l.open, "tcp", l.p.target)
	if err != nil {
		_ = l.client.SetLinger(0)
		_ = l.client.Close()
		return
	}
	server := conn.(*net.TCPConn)
	l.server.Store(server)
	unblock := context.AfterFunc(l.open, func() {
		_ = l.client.SetDeadline(time.Unix(1, 0))
		_ = server.SetDeadline(time.Unix(1, 0))
	})
	defer unblock()
	var pumps sync.WaitGroup
	pumps.Go(func() { l.pump(Up, l.client, server) })
	pumps.Go(func() { l.pump(Down, server, l.client) })
	pumps.Wait()
	_ = l.client.Close()
	_ = server.Close()
}

// chunk is how much is forwarded at a time, in bytes.
const chunk = 16 << 10

// pump forwards one direction until its end.
func (l *link) pump(d Direction, from, to *net.TCPConn) {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		for b := buf[:n]; len(b) > 0; {
			ready, due := l.p.due(l, d, len(b))
			if !l.forward(d, to, b[:ready]) {
				return
			}
			b = b[ready:]
			for _, f := range due {
				l.strike(d, *f)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if l.wait() {
				_ = to.CloseWrite()
			}
			return
		case err != nil:
			l.close(true) // what one end has reset, is reset for the other
			return
		}
	}
}

// forward writes b when the link lets it pass.
func (l *link) forward(d Direction, to *net.TCPConn, b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if !l.wait() {
		return false
	}
	if _, err := to.Write(b); err != nil {
		l.close(true)
		return false
	}
	l.p.mu.Lock()
	l.passed[d] += int64(len(b))
	l.p.mu.Unlock()
	l.mu.Lock()
	pause, rate := l.pause, l.rate
	l.mu.Unlock()
	if rate > 0 {
		pause += time.Duration(len(b)) * time.Second / time.Duration(rate)
	}
	return l.sleep(pause)
}

// wait returns when the link is not silent any more, false if it is closed.
func (l *link) wait() bool {
	for l.open.Err() == nil {
		l.mu.Lock()
		left := time.Until(l.silent)
		l.mu.Unlock()
		if left <= 0 {
			return true
		}
		// A silence may be made longer meanwhile.
		l.sleep(min(left, 50*time.Millisecond))
	}
	return false
}

func (l *link) sleep(d time.Duration) bool {
	if d <= 0 {
		return l.open.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.open.Done():
		return false
	}
}

// close ends the link, with a reset instead of an orderly end if that is
// wanted.
func (l *link) close(reset bool) {
	if reset {
		_ = l.client.SetLinger(0)
		if server := l.server.Load(); server != nil {
			_ = server.SetLinger(0)
		}
	}
	l.shut()
}
