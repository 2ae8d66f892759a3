//go:build unix

package faults_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/pghaul/pghaul/internal/faults"
)

// A scenario is what happens in a run.
type scenario struct {
	seed   uint64
	verb   string
	jobs   int
	tls    bool
	flags  []string
	binary bool // restore and verify have an archive whose rows are binary
	record bool // verify compares with an archive, not with its source
	state  bool // verify notes what is equal, and goes on with that
	other  bool // verify compares with a copy that is not equal
	second int  // which way to go on after a failure
	events []event
}

// kind names what scenarios have in common that have about the same traffic.
func (s *scenario) kind() string {
	switch {
	case s.verb != "verify":
		return s.verb
	case s.record:
		return "verify an archive"
	case slices.Contains(s.flags, "push"):
		return "verify, push"
	}
	return "verify, stream"
}

// kinds are those that runs of a command can be of.
func kinds(verb string) []*scenario {
	if verb != "verify" {
		return []*scenario{{verb: verb, jobs: 2}}
	}
	return []*scenario{
		{verb: verb, jobs: 2, flags: []string{"--engine", "stream"}},
		{verb: verb, jobs: 2, flags: []string{"--engine", "push"}},
		{verb: verb, jobs: 2, record: true},
	}
}

func (s *scenario) String() string {
	lines := []string{fmt.Sprintf("%s -j %d %s tls=%t", s.verb, s.jobs, strings.Join(s.flags, " "), s.tls)}
	for _, is := range []struct {
		it   bool
		what string
	}{
		{s.binary, "the archive is binary"}, {s.record, "of an archive"}, {s.state, "with a state"}, {s.other, "the copy is not equal"},
	} {
		if is.it {
			lines[0] += ", " + is.what
		}
	}
	for _, e := range s.events {
		lines = append(lines, e.String())
	}
	return strings.Join(lines, "; ")
}

// vary adds flags that change how a command works.
func (s *scenario) vary(rng *rand.Rand) {
	pick := func(flags ...string) {
		if f := flags[rng.IntN(len(flags))]; f != "" {
			s.flags = append(s.flags, strings.Fields(f)...)
		}
	}
	switch s.verb {
	case "dump":
		pick("", "", "-Z none", "-Z gzip:1", "-Z lz4")
		pick("", "--copy-format binary")
	case "restore":
		s.binary = rng.IntN(3) == 0
		if rng.IntN(3) == 0 {
			pick("--single-transaction", "--transaction-size 20")
			s.jobs = 1
		} else {
			pick("", "", "-e", "--no-journal")
		}
	case "verify":
		s.other = rng.IntN(3) == 0
		pick("", "--part-size 500000")
		if s.record = rng.IntN(4) == 0; s.record {
			s.binary = rng.IntN(2) == 0
			break
		}
		pick("--engine stream", "--engine push", "--engine push")
		s.state = rng.IntN(2) == 0
	case "migrate":
		pick("", "--copy-format text", "--copy-format binary")
		pick("", "", "--no-verify", "--no-rollback", "--keep-going")
	}
}

// What an event does beside the faults of a proxy.
const (
	proxyFault   = "proxy"
	endBackend   = "end a session"
	cancelWork   = "cancel a statement"
	crash        = "crash the server"
	restart      = "restart the server"
	killCommand  = "kill -9"
	interrupt    = "SIGINT"
	terminate    = "SIGTERM"
	interruptTwo = "SIGINT twice"
	silentEnd    = "silence for ever, and SIGINT"
)

// happenings are the events that are drawn from, as often as they stand here.
var happenings = []string{
	proxyFault, proxyFault, proxyFault, proxyFault, proxyFault, proxyFault,
	endBackend, endBackend, cancelWork, crash, crash, restart, killCommand, killCommand, interrupt, terminate, interruptTwo, silentEnd,
}

// An event is one thing that goes wrong: when so many bytes have passed on a
// connection, or at a time.
type event struct {
	end   int // of which server
	what  string
	fault faults.Fault  // with when it comes, for all kinds
	after time.Duration // instead of after so many bytes; 0 is not
	away  time.Duration // how long a server is away
	pick  uint64        // which session
}

func (e event) String() string {
	end := [2]string{"source", "target"}[e.end]
	what := e.what + " at the " + end
	if e.what == proxyFault {
		what = fmt.Sprintf("%v at the %s", e.fault.Action, end)
	}
	if e.after > 0 {
		return fmt.Sprintf("%s after %v", what, e.after.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s [%v]", what, e.fault)
}

func newEvent(rng *rand.Rand, end int, u usual) event {
	e := event{end: end, what: happenings[rng.IntN(len(happenings))], pick: rng.Uint64(), away: time.Duration(rng.IntN(2000)) * time.Millisecond}
	f := &e.fault
	f.Action, f.Times = faults.Call, 1
	if e.what == silentEnd {
		f.Action, f.For, f.Times = faults.Silence, time.Hour, 0
	}
	if e.what == proxyFault {
		f.Action = []faults.Action{faults.Cut, faults.Reset, faults.Reset, faults.HalfClose, faults.Silence, faults.Delay, faults.Throttle}[rng.IntN(7)]
		switch f.Action {
		case faults.Silence:
			f.For = time.Duration(200+rng.IntN(3000)) * time.Millisecond
		case faults.Delay:
			f.For = time.Duration(1+rng.IntN(10)) * time.Millisecond
		case faults.Throttle:
			f.Rate = 500_000 + rng.IntN(4_000_000)
		case faults.Cut, faults.Reset, faults.HalfClose, faults.Call:
			f.Times = []int{1, 1, 1, 2, 5, 0}[rng.IntN(6)]
		}
	}
	if traffic := u.traffic[end]; rng.IntN(4) > 0 && len(traffic) > 0 {
		f.Direction = faults.Direction(rng.IntN(2))
		f.Conn = 1 + rng.IntN(len(traffic))
		bytes := traffic[f.Conn-1][f.Direction]
		switch rng.IntN(4) {
		case 0: // near the beginning
			f.After = min(bytes, rng.Int64N(3000))
		case 1: // near the end, where things are committed
			f.After = max(0, bytes-rng.Int64N(600))
		default:
			f.After = rng.Int64N(bytes + 1)
		}
		if f.Times != 1 { // a connection comes to its bytes once
			f.Conn = 0
		}
		return e
	}
	e.after = time.Duration(rng.Int64N(int64(u.took)*5/4) + 1)
	return e
}
