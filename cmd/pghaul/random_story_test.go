//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/replicate"
)

// TestRandomSchemas moves databases with random schemas that are written to at random
// from the first to the last stage: copied, followed, handed over, and back.
// PGHAUL_FOLLOW_SEED and PGHAUL_RANDOM_SCHEMAS say which runs to do; their versions
// are drawn unless PGHAUL_FOLLOW_FROM and PGHAUL_FOLLOW_TO say them.
func TestRandomSchemas(t *testing.T) {
	t.Parallel()
	seed, runs := number(t, "PGHAUL_FOLLOW_SEED", 1), number(t, "PGHAUL_RANDOM_SCHEMAS", 2)
	for i := range runs {
		t.Run(fmt.Sprintf("seed%d", seed+i), func(t *testing.T) {
			if runs > 2 {
				t.Parallel()
			}
			randomStory(t, uint64(seed+i))
		})
	}
}

// pairOf draws the versions of a run: a subscription is for sources of 14 to 16 and
// targets of 16 and newer, the other engine for all.
func pairOf(t *testing.T, r *rand.Rand, engine replicate.Engine) (from, to int) {
	t.Helper()
	majors := pgtest.Versions(t)
	if engine == replicate.EngineApply {
		majors = pgtest.Sources(t)
	}
	var pairs [][2]int
	for _, a := range majors {
		for _, b := range pgtest.Versions(t) {
			if a <= b && (engine == replicate.EngineApply || a <= 16 && b >= 16 || a == b && a == majors[len(majors)-1]) {
				pairs = append(pairs, [2]int{a, b})
			}
		}
	}
	p := pairs[r.IntN(len(pairs))]
	return number(t, "PGHAUL_FOLLOW_FROM", p[0]), number(t, "PGHAUL_FOLLOW_TO", p[1])
}

// Settings of databases that change how values are written and read.
var hostileSettings = []string{
	"DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "IntervalStyle = 'iso_8601'", "bytea_output = 'escape'", "extra_float_digits = 0", "TimeZone = 'America/St_Johns'",
	"search_path = 'nowhere'", "xmloption = 'document'", "statement_timeout = '20s'", "default_transaction_deferrable = on", "quote_all_identifiers = on", "check_function_bodies = off", "row_security = off",
	"array_nulls = off",
}

func randomStory(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 4))
	engine := []replicate.Engine{replicate.EngineNative, replicate.EngineApply}[r.IntN(2)]
	from, to := pairOf(t, r, engine)
	s := unwritten(t, pgtest.Logical(t, from), pgtest.Logical(t, to))
	s.rng, s.engine = rand.New(rand.NewPCG(seed, 5)), engine
	schema := &randomSchema{r: r, from: from, engine: engine}
	schema.generate()
	s.source.Exec(t, s.sourceDB, schema.script.String())
	for i := range 2 {
		server, db := s.end(i)
		for range s.rng.IntN(3) {
			set := hostileSettings[s.rng.IntN(len(hostileSettings))]
			if set == "array_nulls = off" && engine == replicate.EngineNative {
				continue // a subscription obeys it, and would write other values
			}
			server.Exec(t, db, "ALTER DATABASE "+db+" SET "+set)
		}
	}
	t.Logf("seed %d, engine %s, %d to %d:\n%s", seed, engine, from, to, schema.script.String())

	w := s.work(schema, 0)
	time.Sleep(time.Duration(200+s.rng.IntN(300)) * time.Millisecond)
	s.migrated(s.rng.IntN(3) == 0)
	w.truncate.Store(true)
	for range 3 {
		time.Sleep(time.Duration(s.rng.IntN(400)) * time.Millisecond)
		switch s.rng.IntN(4) {
		case 0:
			_ = s.last.Process.Kill()
			<-s.last.done
			s.last = s.begin(nil, "follow", "run", "--progress", "none")
		case 1:
			s.target.Exec(t, s.targetDB, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pghaul apply%'")
		case 2:
			s.source.Exec(t, s.sourceDB, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL AND database = current_database()")
		}
	}
	w = s.switchOver(schema, w, 0, "cutover", "--reversible")
	s.last = s.begin(nil, "follow", "run", "--back", "--progress", "none")
	time.Sleep(time.Duration(s.rng.IntN(600)) * time.Millisecond)
	s.switchOver(schema, w, 1, "cutback").end()
}

// work begins to change an end at random.
func (s *switched) work(schema *randomSchema, end int) *randomWork {
	s.Helper()
	server, db := s.end(end)
	cfg := server.Config(s.T, db)
	cfg.RuntimeParams["lock_timeout"] = "200ms"
	cfg.RuntimeParams["search_path"] = "public"
	cfg.RuntimeParams["array_nulls"] = "on"
	w := &randomWork{s: schema, cfg: cfg, id: db, stop: make(chan struct{}), done: make(chan struct{}), refused: map[string]int{}}
	w.twoPhase.Store(true)
	go w.run(context.WithoutCancel(s.Context()))
	s.Cleanup(func() { w.end() })
	return w
}

// end stops the work.
func (w *randomWork) end() {
	select {
	case <-w.done:
	default:
		close(w.stop)
		<-w.done
	}
}

// migrated has the source copied and followed. With killed that is killed on the
// way, and gone on with.
func (s *switched) migrated(killed bool) {
	s.Helper()
	args := []string{"migrate", "--follow", "--engine", string(s.engine), "--progress", "plain", "--no-rollback"}
	s.last = s.begin(nil, args...)
	if killed {
		select {
		case <-s.last.done:
		case <-time.After(time.Duration(s.rng.IntN(2500)) * time.Millisecond):
		}
		_ = s.last.Process.Kill()
		<-s.last.done
		s.Logf("killed at stage %q:\n%s", s.stage(0), &s.last.out)
		if s.begun() {
			args = append(args, "--resume")
		}
		s.last = s.begin(nil, args...)
	}
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(s.last.out.String(), "following, engine"); time.Sleep(50 * time.Millisecond) {
		select {
		case <-s.last.done:
			s.Fatalf("the migration has ended:\n%s", &s.last.out)
		default:
		}
		if time.Now().After(deadline) {
			_ = s.last.Process.Signal(syscall.SIGQUIT)
			<-s.last.done
			s.Fatalf("the migration does not come to follow:\n%s", &s.last.out)
		}
	}
}

// begun says whether a migration has left something to go on with.
func (s *switched) begun() bool {
	return s.target.Text(s.T, s.targetDB, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pghaul%'") != "0"
}

// switchOver hands over from an end with all that is written there, and returns what
// goes on at the other. Prepared transactions keep it from that for a while.
func (s *switched) switchOver(schema *randomSchema, w *randomWork, from int, args ...string) *randomWork {
	s.Helper()
	begin := time.Now()
	for try := 0; ; try++ {
		p := s.begin(nil, append(slices.Clone(args), "-vv", "--max-downtime", "20s")...)
		if status := p.ends(); status == 0 {
			break
		}
		if out := p.out.String(); try == 20 || !strings.Contains(out, "prepared") && !strings.Contains(out, "longer than the downtime") {
			s.Fatalf("%s:\n%s\nfollow: %s", args[0], &p.out, &s.last.out)
		}
		if try == 3 {
			w.twoPhase.Store(false)
		}
		s.goOn(from)
		time.Sleep(time.Duration(s.rng.IntN(200)) * time.Millisecond)
	}
	w.end()
	if w.err != nil {
		s.Errorf("the workload is wrong: %v", w.err)
	}
	s.Logf("%s after %v: %d commits, refused %v", args[0], time.Since(begin).Round(time.Millisecond), w.commits, w.refused)
	s.sameRows()
	if s.open(from) || !s.open(1-from) {
		s.Error("writes go to the wrong end")
	}
	if s.Failed() {
		s.FailNow()
	}
	next := s.work(schema, 1-from)
	next.truncate.Store(true)
	return next
}

// goOn has the follow run, if it does not.
func (s *switched) goOn(from int) {
	s.Helper()
	select {
	case <-s.last.done:
		args := []string{"follow", "run", "--progress", "none"}
		if from == 1 {
			args = append(args, "--back")
		}
		s.last = s.begin(nil, args...)
	default:
	}
}

// sameRows compares all rows of both ends as text.
func (s *switched) sameRows() {
	s.Helper()
	var names [2][]string
	var conns [2]*pgx.Conn
	for i := range 2 {
		server, db := s.end(i)
		conn, err := pg.Connect(s.Context(), server.Config(s.T, db), pg.ReadData, pg.Options{Encoding: "UTF8", LCMonetary: "C"})
		if err != nil {
			s.Fatal(err)
		}
		defer pg.Close(conn)
		rows, err := conn.Query(s.Context(), `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg' AND n.nspname <> 'information_schema' ORDER BY n.nspname::text COLLATE "C", c.relname::text COLLATE "C"`)
		if err != nil {
			s.Fatal(err)
		}
		if names[i], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			s.Fatal(err)
		}
		conns[i] = conn
	}
	if !slices.Equal(names[0], names[1]) {
		s.Fatalf("tables:\nsource %q\ntarget %q", names[0], names[1])
	}
	total := 0
	for _, name := range names[0] {
		var lines [2][]string
		for i, conn := range conns {
			var b strings.Builder
			if _, err := conn.PgConn().CopyTo(s.Context(), &b, `COPY (SELECT * FROM ONLY `+name+` AS t ORDER BY t::text COLLATE "C") TO STDOUT`); err != nil {
				s.Fatalf("%s: %v", name, err)
			}
			lines[i] = strings.Split(b.String(), "\n")
		}
		total += len(lines[0])
		if !slices.Equal(lines[0], lines[1]) {
			s.Errorf("%s: %d rows at the source, %d at the target%s", name, len(lines[0])-1, len(lines[1])-1, firstDifference(lines[0], lines[1]))
		}
	}
	s.Logf("%d tables with %d rows are compared", len(names[0]), total)
}

func firstDifference(a, b []string) string {
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return "\nline " + strconv.Itoa(i) + fmt.Sprintf("\nsource %.500q\ntarget %.500q", x, y)
		}
	}
	return ""
}
