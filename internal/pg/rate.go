package pg

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// LimitRate makes all connections that are opened with cfg, or with a copy of
// it, read and write no more than so many bytes a second, all of them together.
// 0 sets no limit.
func LimitRate(cfg *pgx.ConnConfig, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		return
	}
	l := &limiter{rate: bytesPerSecond}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &limitedConn{conn, l}, nil
	}
}

// slice is for how long the bytes last that are moved at once: a connection that
// is closed notices no sooner.
const slice = 50 * time.Millisecond

// A limiter shares a rate out among connections.
type limiter struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	free time.Time // when what was moved so far has been paid for
}

// most is how many bytes may be moved at once.
func (l *limiter) most() int { return int(max(l.rate*int64(slice)/int64(time.Second), 1)) }

// moved waits until the rate allows for bytes that were moved just now.
func (l *limiter) moved(n int) {
	l.mu.Lock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now // nothing is saved up
	}
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	until := l.free
	l.mu.Unlock()
	<-time.After(until.Sub(now))
}

type limitedConn struct {
	net.Conn
	l *limiter
}

// Read implements net.Conn.
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), c.l.most())])
	if n > 0 {
		c.l.moved(n)
	}
	return n, err
}

// Write implements net.Conn.
func (c *limitedConn) Write(p []byte) (n int, err error) {
	for {
		k, err := c.Conn.Write(p[n:min(len(p), n+c.l.most())])
		n += k
		if k > 0 {
			c.l.moved(k)
		}
		if err != nil || n == len(p) {
			return n, err
		}
	}
}
