//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/faults"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/replicate"
)

// steps are those of a hand-over after each of which something may happen; "" is its
// beginning.
func steps(args []string, engine replicate.Engine) []string {
	list := []string{"", "check", "catch up", "fence", "fence", "drain", "sequences", "drain again", "hand over"}
	if slices.Contains(args, "--reversible") {
		list = append(list, "reverse", "reverse")
	}
	if engine == replicate.EngineApply || args[0] == "cutback" {
		list = append(list, "restore triggers")
	}
	if args[0] == "cutback" {
		list = append(list, "let writes in")
	}
	return list
}

// number is a number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// TestCutoverFaults cuts over, and back, while the command is killed, servers crash
// and connections are lost or fall silent, at any of its steps. Whatever happens,
// one end is in charge, or becomes it in the way that is documented, and nothing is
// lost. PGHAUL_FOLLOW_SEED and PGHAUL_CUTOVER_FAULTS say which runs to do, and
// PGHAUL_FOLLOW_FROM and PGHAUL_FOLLOW_TO on which versions.
func TestCutoverFaults(t *testing.T) {
	t.Parallel()
	seed, runs := number(t, "PGHAUL_FOLLOW_SEED", 1), number(t, "PGHAUL_CUTOVER_FAULTS", 2)
	majors := pgtest.Versions(t)
	from := number(t, "PGHAUL_FOLLOW_FROM", majors[min(1, len(majors)-1)])
	to := number(t, "PGHAUL_FOLLOW_TO", majors[len(majors)-1])
	opts := pgtest.Options{Settings: pgtest.LogicalSettings()}
	source, target := pgtest.Private(t, from, opts), pgtest.Private(t, to, opts)
	for i := range runs {
		t.Run(fmt.Sprintf("pg%dto%d/seed%d", source.Major, target.Major, seed+i), func(t *testing.T) {
			s := newSwitched(t, source, target)
			s.rng = rand.New(rand.NewPCG(uint64(seed+i), 3))
			s.play()
		})
	}
}

// TestCutoverSilence has one end fall silent behind the fence, and stay so longer
// than the command waits. It takes minutes, and runs where PGHAUL_FOLLOW_SILENCE is
// set.
func TestCutoverSilence(t *testing.T) {
	if os.Getenv("PGHAUL_FOLLOW_SILENCE") == "" {
		t.Skip("PGHAUL_FOLLOW_SILENCE is not set")
	}
	for _, engine := range []replicate.Engine{replicate.EngineNative, replicate.EngineApply} {
		for end, recovery := range []string{"resume", "again"} {
			t.Run(fmt.Sprintf("%s/end%d", engine, end), func(t *testing.T) {
				t.Parallel()
				majors := pgtest.Versions(t)
				s := newSwitched(t, pgtest.Logical(t, majors[0]), pgtest.Logical(t, majors[len(majors)-1]))
				s.rng, s.engine = rand.New(rand.NewPCG(1, 3)), engine
				s.follow(engine)
				w := s.write(0)
				s.running()
				s.disturb(0, []string{"cutover", "--reversible"}, accident{what: "gone", end: end, step: "drain again", recovery: recovery})
				s.inCharge(1, w)
			})
		}
	}
}

// play has a database handed over, and perhaps back, one of which is disturbed.
func (s *switched) play() {
	s.Helper()
	engine := []replicate.Engine{replicate.EngineNative, replicate.EngineApply}[s.rng.IntN(2)]
	back := s.rng.IntN(3) == 0
	reversible := back || s.rng.IntN(2) == 0
	s.Logf("engine %s, reversible %t, disturbed on the way back %t", engine, reversible, back)
	s.engine = engine
	s.follow(engine)
	w := s.write(0)
	s.running()
	cutover := []string{"cutover"}
	if reversible {
		cutover = append(cutover, "--reversible")
	}
	if !back {
		if s.disturb(0, cutover, s.accident(cutover)) == "aborted" {
			w.end()
			return
		}
		s.inCharge(1, w)
		return
	}
	s.must(cutover...)
	s.inCharge(1, w)
	w = s.write(1)
	s.running("--back")
	if s.disturb(1, []string{"cutback"}, s.accident([]string{"cutback"})) == "aborted" {
		w.end()
		return
	}
	s.inCharge(0, w)
}

// An accident is what happens to a command that hands over.
type accident struct {
	what     string
	end      int // whose server or connections
	step     string
	delay    time.Duration // after the step
	recovery string        // what is called next, if writes may still be kept out
}

func (s *switched) accident(args []string) accident {
	list := steps(args, s.engine)
	return accident{
		step:     list[s.rng.IntN(len(list))],
		what:     []string{"kill -9", "kill -9", "kill -9", "crash", "cut", "silence"}[s.rng.IntN(6)],
		end:      s.rng.IntN(2),
		delay:    time.Duration([]int{0, 0, s.rng.IntN(5_000), s.rng.IntN(300_000)}[s.rng.IntN(4)]) * time.Microsecond,
		recovery: []string{"again", "resume", "abort"}[s.rng.IntN(3)],
	}
}

// disturb runs a command that hands over from an end, which something happens to,
// and sees to it that it is done in the end. It returns what it came to.
func (s *switched) disturb(from int, args []string, a accident) string {
	s.Helper()
	s.Logf("%+v", a)
	server, _ := s.end(a.end)
	proxy := s.proxies[a.end]
	struck := false
	begun := make(chan *switching, 1)
	p := s.begin(func(line string) {
		if struck || a.step != "" && !strings.Contains(line, "cut-over: "+a.step+" ") {
			return
		}
		struck = true
		time.Sleep(a.delay)
		switch a.what {
		case "kill -9":
			_ = (<-begun).Process.Kill()
		case "crash":
			if err := server.Crash(); err != nil {
				s.Error(err)
			}
			time.Sleep(200 * time.Millisecond)
			if err := server.Server.Restart(s.Context()); err != nil {
				s.Error(err)
			}
		case "cut":
			proxy.Reset()
		case "silence":
			proxy.Strike(faults.Fault{Action: faults.Silence, For: 4 * time.Second})
		case "gone":
			proxy.Arm(faults.Fault{Action: faults.Silence, For: time.Hour})
			proxy.Strike(faults.Fault{Action: faults.Silence, For: time.Hour})
		}
	}, append(slices.Clone(args), "-vv", "--max-downtime", "3s")...)
	begun <- p
	status := p.ends()
	if a.what == "gone" {
		if open := s.open(from); open != (a.end != from) {
			s.Errorf("writes are let in: %t", open)
		}
		proxy.Reset() // it is back
		s.recover(from, a.recovery, args)
		return "recovered"
	}
	s.Logf("exit status %d, struck %t:\n%s", status, struck, &p.out)
	if strings.Contains(p.out.String(), "goroutine ") {
		s.Fatal("it crashed")
	}
	handed := s.stage(from) == replicate.CutOver
	if handed != (status == 0 || status == exitIncomplete) && status != -1 {
		s.Errorf("exit status %d, and it is handed over: %t", status, handed)
	}
	if handed {
		if status == 0 || from == 1 && s.stage(0) == "" { // nothing is left to be done
			return "handed over"
		}
		s.must(append(slices.Clone(args), "--max-downtime", "30s")...)
		return "handed over"
	}
	if status != -1 {
		// The failure has let writes in again, and all goes on.
		if !s.open(from) {
			s.Error("writes are kept out after a failure that was told")
		}
		s.goesOn(from)
		a.recovery = "again"
	}
	return s.recover(from, a.recovery, args)
}

// recover does what the documentation says after a process was killed, and, unless
// that is the end, hands over.
func (s *switched) recover(from int, by string, args []string) string {
	s.Helper()
	switch by {
	case "resume":
		s.must(s.swapped(from, "follow", "resume")...)
		if !s.open(from) {
			s.Error("writes are kept out after a resume")
		}
		s.goesOn(from)
	case "abort":
		s.must(s.swapped(from, "follow", "abort")...)
		if !s.open(from) {
			s.Error("writes are kept out after an abort")
		}
		s.asBefore(from)
		return "aborted"
	}
	s.must(append(slices.Clone(args), "--max-downtime", "30s")...)
	return "handed over"
}

// inCharge checks that an end has taken over with all that a writer has written.
func (s *switched) inCharge(now int, w *switchWriter) {
	s.Helper()
	acked := w.end()
	a, adb := s.end(1 - now)
	b, bdb := s.end(now)
	before, after := a.Text(s.T, adb, switchedRows), b.Text(s.T, bdb, switchedRows)
	if before != after {
		s.Errorf("rows: %s at the end that was in charge, %s at the one that is", before, after)
	}
	for _, n := range acked {
		if got := b.Text(s.T, bdb, fmt.Sprintf("SELECT (SELECT count(*) FROM entry WHERE n = %[1]d) || ' ' || (SELECT count(*) FROM dup WHERE n = %[1]d)", n)); got != "1 2" {
			s.Errorf("transaction %d was confirmed, and is there %s times", n, got)
		}
	}
	if s.open(1-now) || !s.open(now) {
		s.Errorf("writes go to the wrong end: end %d should be in charge", now)
	}
	if got := b.Text(s.T, bdb, switchedActing); got != s.acting {
		s.Errorf("keys and triggers are %s, were %s", got, s.acting)
	}
	b.Exec(s.T, bdb, "INSERT INTO entry (w, n) SELECT -1, coalesce(max(n), 0) + 1 FROM entry WHERE w = -1") // by the sequence
	if got := b.Text(s.T, bdb, "SELECT count(*) - count(DISTINCT id) FROM entry"); got != "0" {
		s.Error("the sequence has given a value twice")
	}
	s.Logf("%d transactions confirmed, rows %s", len(acked), after)
}

// asBefore checks that an abort has left nothing of a follow from an end.
func (s *switched) asBefore(from int) {
	s.Helper()
	server, db := s.end(from)
	if got := server.Text(s.T, db, switchedActing); got != s.acting {
		s.Errorf("keys and triggers are %s, were %s", got, s.acting)
	}
	other, otherDB := s.end(1 - from)
	if got := other.Text(s.T, otherDB, switchedActing); got != s.acting {
		s.Errorf("keys and triggers of the other end are %s, were %s", got, s.acting)
	}
	if from == 0 {
		if left := s.left(); left != "" {
			s.Errorf("left after the abort: %s", left)
		}
	}
}
