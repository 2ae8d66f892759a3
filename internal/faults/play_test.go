//go:build unix

package faults_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// A stage is a run with what happens to it.
type stage struct {
	l  *lab
	t  *testing.T
	ps chan *process // holds the process, once it runs

	mu       sync.Mutex
	over     bool
	killed   bool // may have left something behind
	silenced bool // a signal is on its way because of a silence
	timers   []*time.Timer
	others   sync.WaitGroup // what servers are doing
}

// play runs a scenario and what comes after it. It returns the outcome in a few
// words.
func (l *lab) play(t *testing.T, s *scenario) string {
	t.Helper()
	st := &stage{l: l, t: t, ps: make(chan *process, 1)}
	dir := filepath.Join(pgtest.TempDir(t), "out")
	db := l.equal
	switch {
	case s.other:
		db = l.other
	case s.state: // one of its own, to be written to
		db = l.servers[1].DatabaseFrom(t, l.equal)
	case s.verb == "restore" || s.verb == "migrate":
		db = l.servers[1].Database(t)
	}
	for _, e := range s.events {
		st.prepare(e)
	}
	p := l.start(t, l.arguments(s, dir, db, true)...)
	st.ps <- p
	status := p.wait(t)
	st.end()
	l.sessionsEnd(t)
	if t.Failed() {
		t.Logf("exit status %d:\n%s", status, p.output())
		return "failed"
	}
	var outcome string
	switch s.verb {
	case "dump":
		outcome = l.afterDump(t, s, st, dir, status)
	case "restore":
		outcome = l.afterRestore(t, s, db, status)
	case "verify":
		outcome = l.afterVerify(t, s, dir, db, status, p.output())
	case "migrate":
		outcome = l.afterMigrate(t, s, db, status)
	}
	if t.Failed() || !slices.Contains([]int{0, 1, 3, 130, 143, -1}, status) {
		t.Errorf("exit status %d:\n%s", status, p.output())
	}
	return outcome
}

// prepare sees to it that an event happens.
func (st *stage) prepare(e event) {
	f := e.fault
	f.Do = func() { st.happens(e) }
	proxy := st.l.proxies[e.end]
	if e.after == 0 {
		proxy.Arm(f)
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.timers = append(st.timers, time.AfterFunc(e.after, func() {
		do := f.Do
		f.Do = nil
		do()
		proxy.Strike(f)
	}))
}

// end waits until all that the events have begun is done.
func (st *stage) end() {
	st.mu.Lock()
	st.over = true
	for _, timer := range st.timers {
		timer.Stop()
	}
	st.mu.Unlock()
	st.others.Wait()
}

// happens does what a proxy does not do.
func (st *stage) happens(e event) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		return
	}
	s := st.l.servers[e.end]
	switch e.what {
	case killCommand, interrupt, terminate, interruptTwo, silentEnd:
		if e.what == silentEnd && st.silenced {
			return // one signal, however many connections fell silent
		}
		st.silenced = st.silenced || e.what == silentEnd
		st.killed = st.killed || e.what == killCommand || e.what == interruptTwo
		st.others.Go(func() { st.signal(e.what) })
	case endBackend, cancelWork:
		do := "pg_terminate_backend"
		if e.what == cancelWork {
			do = "pg_cancel_backend"
		}
		st.others.Go(func() {
			sql := fmt.Sprintf(`SELECT %s(pid) FROM (SELECT pid, row_number() OVER (ORDER BY backend_start, pid) - 1 AS n, count(*) OVER () AS all
				FROM pg_stat_activity WHERE application_name LIKE 'pghaul%%') s WHERE n = %d %% s.all`, do, e.pick>>2)
			_, _ = s.Query(context.Background(), "postgres", sql) // the server may be down for another event
		})
	case crash, restart:
		st.others.Go(func() {
			stop := s.Server.Stop
			if e.what == crash {
				stop = s.Crash
			}
			if err := stop(); err != nil {
				st.t.Error(err)
			}
			time.Sleep(e.away)
			if err := s.Server.Restart(context.Background()); err != nil {
				st.t.Error(err)
			}
		})
	}
}

// signal sends the command what an event says.
func (st *stage) signal(what string) {
	p := <-st.ps
	st.ps <- p
	switch what {
	case killCommand:
		p.signal(st.t, syscall.SIGKILL)
	case terminate:
		p.signal(st.t, syscall.SIGTERM)
	case silentEnd:
		time.Sleep(time.Second)
		p.signal(st.t, syscall.SIGINT)
	default:
		p.signal(st.t, syscall.SIGINT)
	}
	if what == interruptTwo {
		time.Sleep(50 * time.Millisecond)
		p.signal(st.t, syscall.SIGINT)
	}
}

// sessionsEnd fails the test if the command has left a session at work.
func (l *lab) sessionsEnd(t *testing.T) {
	t.Helper()
	for i, s := range l.servers {
		l.proxies[i].Reset()
		const query = "SELECT coalesce(string_agg(application_name || ': ' || left(query, 200), '; '), '') FROM pg_stat_activity WHERE application_name LIKE 'pghaul%' AND pid <> pg_backend_pid()"
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			left := s.Text(t, "postgres", query)
			if left == "" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("sessions are still there at the %s: %s", [2]string{"source", "target"}[i], left)
				break
			}
		}
	}
}

// afterDump restores the archive if there should be one; else it dumps again.
func (l *lab) afterDump(t *testing.T, s *scenario, st *stage, dir string, status int) string {
	t.Helper()
	if status == 0 {
		l.archiveGood(t, dir)
		return "complete"
	}
	outcome := "failed, and whole the second time"
	if _, err := os.Stat(dir); err == nil {
		check := l.start(t, "archive", "check", dir)
		switch whole := check.wait(t) == 0; {
		case whole && st.killed: // after its last act
			l.archiveGood(t, dir)
		case whole:
			t.Errorf("a dump that failed left an archive that passes for whole")
		case !st.killed:
			t.Errorf("a dump that failed left %s", dir)
		default:
			outcome = "killed, not taken for whole, and whole the second time"
		}
	}
	l.must(t, l.arguments(&scenario{verb: "dump", jobs: s.jobs, flags: append(s.flags, "--overwrite")}, dir, "", false)...)
	l.archiveGood(t, dir)
	return outcome
}

func (l *lab) archiveGood(t *testing.T, dir string) {
	t.Helper()
	l.must(t, "archive", "check", dir)
	db := l.servers[1].Database(t)
	l.must(t, "restore", "-j", "4", "-d", l.url(1, db, false), dir)
	l.same(t, db)
}

// same fails the test unless a database at the target is as the source.
func (l *lab) same(t *testing.T, db string) {
	t.Helper()
	if got := contents(t, l.servers[1], db); got != l.want {
		t.Errorf("the target is not as the source:\n%s", diff(l.want, got))
	}
}

// afterRestore looks at what is there and restores once more if that is not all.
func (l *lab) afterRestore(t *testing.T, s *scenario, db string, status int) string {
	t.Helper()
	if status == 0 {
		l.same(t, db)
		return "complete"
	}
	if slices.Contains(s.flags, "--single-transaction") {
		switch got := contents(t, l.servers[1], db); got {
		case l.want: // the connection was lost after the commit, say
		case "":
			l.must(t, "restore", "-d", l.url(1, db, false), l.archived(s))
		default:
			t.Errorf("a restore in one transaction left something:\n%s", got)
		}
		l.same(t, db)
		return "failed as a whole, and complete the second time"
	}
	again := func(flags ...string) {
		l.must(t, append(append([]string{"restore", "-j", "4"}, flags...), "-d", l.url(1, db, false), l.archived(s))...)
		l.same(t, db)
	}
	switch {
	case !l.journal(t, db):
		again("--clean", "--if-exists")
		return "failed without a journal, and complete the second time with --clean"
	case s.second == 0:
		l.must(t, "rollback", "--target", l.url(1, db, false))
		if left := contents(t, l.servers[1], db); left != "" {
			t.Errorf("a rollback left something:\n%s", left)
		}
		again()
		return "failed, rolled back, and complete the second time"
	case s.second == 1:
		again("--clean", "--if-exists", "--discard-journal")
		return "failed, and complete the second time with --clean"
	}
	again("--resume")
	return "failed, and complete with --resume"
}

// journal reports whether a database at the target has a journal.
func (l *lab) journal(t *testing.T, db string) bool {
	t.Helper()
	return l.servers[1].Text(t, db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul'") != "0"
}

// afterVerify compares again, with what was noted of the first time if the
// scenario says so. Databases that differ must not have passed for equal, nor may
// a lost connection have passed for a difference of rows, nor what was written
// since for equal.
func (l *lab) afterVerify(t *testing.T, s *scenario, state, db string, status int, out string) string {
	t.Helper()
	want := 0
	if s.other {
		want = 3
		if status == 0 {
			t.Errorf("databases that differ passed for equal:\n%s", out)
		}
	}
	again := *s
	again.flags, again.tls = slices.Clone(s.flags), false
	if s.state {
		again.flags = append(again.flags, "--resume")
	}
	if s.state && !s.other && s.second == 0 {
		want = 3
		l.write(t, db)
	}
	// What a state was noted of has the address of the proxy.
	p := l.start(t, l.arguments(&again, state, db, s.state)...)
	if got := p.wait(t); got != want {
		t.Errorf("compared again: exit status %d, want %d\n%s", got, want, p.output())
	}
	switch status {
	case 0:
		return "equal"
	case 3:
		return "different, or not all could be read"
	}
	return "failed, and right the second time"
}

// write changes a row of a copy at the target, and waits until the server has
// counted that.
func (l *lab) write(t *testing.T, db string) {
	t.Helper()
	s := l.servers[1]
	s.Exec(t, db, "UPDATE app.small_7 SET v = 'another' WHERE id = 3")
	for s.Text(t, db, "SELECT pg_stat_get_tuples_updated('app.small_7'::regclass)") != "1" {
		time.Sleep(20 * time.Millisecond)
	}
}

// afterMigrate goes on with the migration, or takes it back and begins again.
func (l *lab) afterMigrate(t *testing.T, s *scenario, db string, status int) string {
	t.Helper()
	if status == 0 {
		l.same(t, db)
		return "complete"
	}
	again := func(flags ...string) (int, string) {
		if i := slices.Index(s.flags, "--copy-format"); i >= 0 { // it is part of what is resumed
			flags = append(flags, s.flags[i:i+2]...)
		}
		p := l.start(t, l.arguments(&scenario{verb: "migrate", jobs: s.jobs, flags: flags}, "", db, false)...)
		return p.wait(t), p.output()
	}
	switch {
	case !l.journal(t, db):
		left := contents(t, l.servers[1], db)
		if left == l.want {
			return "failed after the end"
		}
		if left != "" {
			t.Errorf("a migration that was taken back left something:\n%s", left)
		}
		if status, out := again(); status != 0 {
			t.Errorf("migrate once more: exit status %d\n%s", status, out)
		}
		l.same(t, db)
		return "failed and taken back, and complete the second time"
	case s.second == 0:
		l.must(t, "rollback", "--target", l.url(1, db, false))
		if left := contents(t, l.servers[1], db); left != "" {
			t.Errorf("a rollback left something:\n%s", left)
		}
		if status, out := again(); status != 0 {
			t.Errorf("migrate after a rollback: exit status %d\n%s", status, out)
		}
		l.same(t, db)
		return "failed, rolled back, and complete the second time"
	}
	if status, out := again("--resume"); status != 0 {
		t.Errorf("migrate --resume: exit status %d\n%s", status, out)
	}
	l.same(t, db)
	return "failed, and complete with --resume"
}

// diff tells what is only in one of two texts.
func diff(want, got string) string {
	var b strings.Builder
	for _, d := range []struct{ sign, a, b string }{{"-", want, got}, {"+", got, want}} {
		in := map[string]bool{}
		for line := range strings.Lines(d.b) {
			in[line] = true
		}
		for line := range strings.Lines(d.a) {
			if !in[line] {
				b.WriteString(d.sign + line)
			}
		}
	}
	return b.String()
}
