// Package proxy makes a near server far: it passes bytes on after a while.
package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Proxy listens on a loopback port and passes what comes to a server, and back,
// each byte after the same delay. It limits no bandwidth.
type Proxy struct {
	listener net.Listener
	target   string
	delay    time.Duration
	wg       sync.WaitGroup

	turns atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool
}

// Start makes a proxy on a free port before the server at target ("host:port").
// delay is that of each direction: half a round trip.
func Start(target string, delay time.Duration) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, delay: delay, conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	return p, nil
}

// Port is where the proxy listens.
func (p *Proxy) Port() int {
	a, _ := p.listener.Addr().(*net.TCPAddr)
	return a.Port
}

// Turns counts the round trips so far: how often a client has sent something
// after it had received something, on all connections together.
func (p *Proxy) Turns() int64 { return p.turns.Load() }

// Close ends the proxy and all connections through it.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.down = true
	for c := range p.conns {
		err = errors.Join(err, c.Close())
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() {
			time.Sleep(p.delay) // of the first packet of a handshake; its answer's is the client's
			far, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = near.Close()
				return
			}
			if !p.keep(near, far) {
				return
			}
			var heard atomic.Bool // the client has received something since it last sent
			p.wg.Go(func() {
				p.pass(far, near, func() {
					if heard.Swap(false) {
						p.turns.Add(1)
					}
				})
			})
			p.wg.Go(func() { p.pass(near, far, func() { heard.Store(true) }) })
		})
	}
}

// keep remembers connections, unless the proxy is closed.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.down {
			_ = c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.down
}

// A packet is what was read at once.
type packet struct {
	data []byte
	due  time.Time
}

// pass copies from one connection to the other, and tells passed of each packet
// that was read.
func (p *Proxy) pass(to, from net.Conn, passed func()) {
	packets := make(chan packet, 4096)
	p.wg.Go(func() {
		for k := range packets {
			time.Sleep(time.Until(k.due))
			if _, err := to.Write(k.data); err != nil {
				break
			}
		}
		p.end(to)
		for range packets { // the reader must not wait for ever
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			passed()
			packets <- packet{append([]byte(nil), buf[:n]...), time.Now().Add(p.delay)}
		}
		if err != nil {
			break
		}
	}
	close(packets)
	_, _ = io.Copy(io.Discard, from)
}

// end closes a connection for whoever is behind it.
func (p *Proxy) end(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}
