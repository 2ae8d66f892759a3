//go:build unix

package faults_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pghaul/pghaul/internal/faults"
	"github.com/pghaul/pghaul/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, func() error { return goleak.Find() }) }

// TestFaults runs the command while connections, servers or the command itself
// are disturbed, each run by a seed. Afterwards either the exit status was 0 and
// everything is there, or it was not and a second, undisturbed run makes it so.
//
// PGHAUL_FAULTS_RUNS says how many runs, PGHAUL_FAULTS_SEED which seed is the
// first, and PGHAUL_FAULTS_VERBS which commands, such as "dump,restore". Without
// them there is one run of each command. The seed decides what happens when; the
// machine decides a little, too.
func TestFaults(t *testing.T) {
	l := newLab(t)
	runs, first := len(l.verbs), uint64(1)
	if text := os.Getenv("PGHAUL_FAULTS_RUNS"); text != "" {
		runs = number(t, text)
	}
	if text := os.Getenv("PGHAUL_FAULTS_SEED"); text != "" {
		first = uint64(number(t, text))
	}
	count := map[string]int{}
	began := time.Now()
	for i := range runs {
		seed := first + uint64(i)
		t.Run("seed="+strconv.FormatUint(seed, 10), func(t *testing.T) {
			s := l.scenario(seed)
			t.Log(s)
			outcome := l.play(t, s)
			t.Log(outcome)
			count[s.verb+": "+outcome]++
		})
	}
	t.Logf("%d runs from seed %d in %v:", runs, first, time.Since(began).Round(time.Second))
	for _, line := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%4d %s", count[line], line)
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A lab has what all runs share: the command, two servers with a proxy before
// each, the source database and what must arrive of it.
type lab struct {
	bin     string
	verbs   []string
	servers [2]*pgtest.Server // source and target
	proxies [2]*faults.Proxy
	source  string    // database
	want    string    // its contents
	archive [2]string // of it, with rows as text and binary
	equal   string    // a copy of it at the target
	other   string    // a copy that lacks a row
	usual   map[string]usual
}

// A usual is what an undisturbed run of a command takes.
type usual struct {
	took    time.Duration
	traffic [2][]faults.Traffic
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if signal.Ignored(os.Interrupt) {
		// A shell makes what it starts in the background ignore SIGINT, and the
		// command would do so, too. It does not inherit what is listened to.
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt)
		t.Cleanup(func() { signal.Stop(signals) })
	}
	l := &lab{verbs: []string{"dump", "restore", "verify", "migrate"}, usual: map[string]usual{}}
	if text := os.Getenv("PGHAUL_FAULTS_VERBS"); text != "" {
		l.verbs = strings.Split(text, ",")
	}
	dir := pgtest.TempDir(t)
	l.bin = filepath.Join(dir, "pghaul")
	build := exec.Command("go", "build", "-o", l.bin, "../../cmd/pghaul")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	majors := pgtest.Versions(t)
	for i := range l.servers {
		s := pgtest.Private(t, majors[len(majors)-1], pgtest.Options{TLS: true})
		p, err := faults.NewProxy(fmt.Sprintf("%s:%d", s.Host, s.Port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		l.servers[i], l.proxies[i] = s, p
	}
	l.source = l.servers[0].Database(t)
	l.servers[0].Load(t, l.source, "testdata/source.sql")
	l.want = contents(t, l.servers[0], l.source)
	for i, format := range []string{"text", "binary"} {
		l.archive[i] = filepath.Join(dir, format)
		l.must(t, "dump", "-j", "2", "--part-size", "1000000", "--copy-format", format, "-d", l.url(0, l.source, false), "-f", l.archive[i])
	}
	l.equal = l.servers[1].Database(t)
	l.must(t, "restore", "-d", l.url(1, l.equal, false), l.archive[0])
	if got := contents(t, l.servers[1], l.equal); got != l.want {
		t.Fatalf("the copy is not the source without any fault:\n%s", diff(l.want, got))
	}
	l.other = l.servers[1].DatabaseFrom(t, l.equal)
	l.servers[1].Exec(t, l.other, "DELETE FROM app.big WHERE id = 12345")
	for _, verb := range l.verbs {
		for _, s := range kinds(verb) {
			l.measure(t, s)
		}
	}
	return l
}

// measure runs a command undisturbed, through the proxies.
func (l *lab) measure(t *testing.T, s *scenario) {
	t.Helper()
	db := l.servers[1].Database(t)
	if s.verb == "verify" {
		db = l.equal
	}
	began := time.Now()
	p := l.start(t, l.arguments(s, filepath.Join(t.TempDir(), "out"), db, true)...)
	if status := p.wait(t); status != 0 {
		t.Fatalf("%s without any fault: exit status %d\n%s", s, status, p.output())
	}
	u := usual{took: time.Since(began)}
	for i, proxy := range l.proxies {
		u.traffic[i] = proxy.Traffic()
		proxy.Reset()
	}
	l.usual[s.kind()] = u
}

// url is how to reach a database, through its proxy or not.
func (l *lab) url(end int, db string, throughProxy bool) string {
	s := l.servers[end]
	host, port := s.Host, s.Port
	if throughProxy {
		host, port = l.proxies[end].Host(), l.proxies[end].Port()
	}
	return fmt.Sprintf("postgres://%s@%s:%d/%s?connect_timeout=20", s.Superuser, host, port, db)
}

// arguments are the command line of a run.
func (l *lab) arguments(s *scenario, dir, db string, throughProxy bool) []string {
	mode := "&sslmode=disable"
	if s.tls {
		mode = "&sslmode=require"
	}
	source, target := l.url(0, l.source, throughProxy)+mode, l.url(1, db, throughProxy)+mode
	args := []string{s.verb, "-j", strconv.Itoa(s.jobs)}
	switch s.verb {
	case "dump":
		args = append(args, "--part-size", "1000000", "-d", source, "-f", dir)
	case "restore":
		args = append(args, "-d", target, l.archived(s))
	case "verify":
		if s.record {
			args = append(args, "--archive", l.archived(s), "--target", target)
			break
		}
		args = append(args, "--source", source, "--target", target)
		if s.state {
			args = append(args, "--state", dir)
		}
	case "migrate":
		args = append(args, "--source", source, "--target", target)
	}
	return append(args, s.flags...)
}

// archived is the archive that a run reads.
func (l *lab) archived(s *scenario) string {
	if s.binary {
		return l.archive[1]
	}
	return l.archive[0]
}

// must runs the command undisturbed and fails the test unless it succeeds.
func (l *lab) must(t *testing.T, args ...string) string {
	t.Helper()
	p := l.start(t, args...)
	if status := p.wait(t); status != 0 {
		t.Fatalf("pghaul %s: exit status %d\n%s", strings.Join(args, " "), status, p.output())
	}
	return p.output()
}

// scenario makes the scenario of a seed.
func (l *lab) scenario(seed uint64) *scenario {
	rng := rand.New(rand.NewPCG(seed, 7))
	s := &scenario{
		seed: seed, verb: l.verbs[seed%uint64(len(l.verbs))], jobs: 1 + rng.IntN(4), tls: rng.IntN(3) == 0, second: rng.IntN(3),
	}
	s.vary(rng)
	ends := []int{0, 1}
	switch {
	case s.verb == "dump":
		ends = []int{0}
	case s.verb == "restore" || s.record:
		ends = []int{1}
	}
	for range 1 + rng.IntN(2) {
		s.events = append(s.events, newEvent(rng, ends[rng.IntN(len(ends))], l.usual[s.kind()]))
	}
	return s
}
