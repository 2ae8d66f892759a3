package faults

import (
	"fmt"
	"time"
)

// An Action is what a Fault does to a connection.
type Action int

// The actions.
const (
	// Cut ends the connection in an orderly way, at both ends.
	Cut Action = iota
	// Reset ends it as a crashed machine or a firewall does, with RST.
	Reset
	// HalfClose ends one direction, as a peer does that sends no more.
	HalfClose
	// Silence lets nothing pass for a while, in neither direction.
	Silence
	// Delay holds up each chunk for a while from then on.
	Delay
	// Throttle lets pass Rate bytes a second from then on.
	Throttle
	// Call does nothing to the connection, but calls Do.
	Call
)

func (a Action) String() string {
	return [...]string{"cut", "reset", "half-close", "silence", "delay", "throttle", "call"}[a]
}

// A Fault happens to a connection when a number of bytes has passed on it in
// one direction. The zero Fault cuts each connection before its first byte.
type Fault struct {
	Conn      int // the number of the connection since the last Reset; 0 is any
	Direction Direction
	After     int64 // bytes
	Times     int   // how many connections it happens to; 0 is all

	Action Action
	For    time.Duration // of Silence, and of each Delay
	Rate   int           // of Throttle, bytes a second
	Do     func()        // is called first, while the byte after waits

	struck map[int]bool // connections it has happened to
}

func (f Fault) String() string {
	s := f.Action.String()
	switch f.Action {
	case Silence, Delay:
		s += fmt.Sprintf(" of %v", f.For)
	case Throttle:
		s += fmt.Sprintf(" to %d B/s", f.Rate)
	case Cut, Reset, HalfClose, Call:
	}
	s += fmt.Sprintf(" after %d bytes %v on connection %d", f.After, f.Direction, f.Conn)
	if f.Times != 1 {
		s += fmt.Sprintf(", %d times", f.Times)
	}
	return s
}

// Arm adds faults, which hold until the next Reset.
func (p *Proxy) Arm(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range faults {
		f.struck = make(map[int]bool)
		p.faults = append(p.faults, &f)
	}
}

// Strike does a fault to connections that are open now, whatever has passed on
// them, and returns how many. Of a Fault for any connection, Times limits it to
// the last ones made.
func (p *Proxy) Strike(f Fault) int {
	p.mu.Lock()
	var links []*link
	for i := len(p.links) - 1; i >= 0; i-- {
		l := p.links[i]
		if l.open.Err() == nil && (f.Conn == 0 || f.Conn == l.number) && (f.Times == 0 || len(links) < f.Times) {
			links = append(links, l)
		}
	}
	p.mu.Unlock()
	for _, l := range links {
		l.strike(f.Direction, f)
	}
	return len(links)
}

// due returns how many of the next n bytes may pass before the next fault, and
// the faults that come then.
func (p *Proxy) due(l *link, d Direction, n int) (ready int, due []*Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ready := l.passed[d], n
	for _, f := range p.faults {
		left := max(f.After-at, 0)
		switch {
		case f.Direction != d || f.Conn != 0 && f.Conn != l.number || f.struck[l.number] || f.Times > 0 && len(f.struck) >= f.Times:
		case left >= int64(n) || left > int64(ready):
		case left < int64(ready):
			ready, due = int(left), []*Fault{f}
		default:
			due = append(due, f)
		}
	}
	for _, f := range due {
		f.struck[l.number] = true
	}
	return ready, due
}

// strike does a fault to the link.
func (l *link) strike(d Direction, f Fault) {
	if f.Do != nil {
		f.Do()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch f.Action {
	case Cut:
		l.close(false)
	case Reset:
		l.close(true)
	case HalfClose:
		to := l.server.Load()
		if d == Down {
			to = l.client
		}
		if to != nil {
			_ = to.CloseWrite()
		}
	case Silence:
		l.silent = time.Now().Add(f.For)
	case Delay:
		l.pause = f.For
	case Throttle:
		l.rate = f.Rate
	case Call:
	}
}
