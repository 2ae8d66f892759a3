package replicate

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// writable says whether a new session may write to a database.
func writable(t *testing.T, s *pgtest.Server, db string) bool {
	t.Helper()
	err := s.Server.Exec(t.Context(), db, "BEGIN; CREATE TABLE pghaul_writable (); ROLLBACK")
	if err != nil && pg.Code(err) != "25006" {
		t.Fatal(err)
	}
	return err == nil
}

// engines runs a test with both engines, on the newest version that tests run on.
func engines(t *testing.T, test func(t *testing.T, e *ends, o Options)) {
	t.Helper()
	for _, engine := range []Engine{EngineNative, EngineApply} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			e := newEnds(t, latest(t), latest(t))
			e.both(t, accounts)
			e.source.Exec(t, e.sourceDB, fill)
			o := e.options(t, "account", "entry")
			o.Engine = engine
			test(t, e, withLog(o))
		})
	}
}

// follow starts a follow and runs it until the test ends.
func (e *ends) follow(t *testing.T, o Options) *running {
	t.Helper()
	e.startNative(t, o)
	r := e.run(t, o)
	if o.Engine == EngineNative {
		e.enabled(t, o.ID)
	}
	wait4(t, "the slot's reader", func() bool {
		return e.source.Text(t, e.sourceDB, "SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name = 'pghaul_"+o.ID+"'") == "1"
	})
	return r
}

// handedOver checks the two ends after a cut-over with n transactions of a writer.
func (e *ends) handedOver(t *testing.T, o Options, n int) {
	t.Helper()
	e.equal(t, "account", "entry", "log")
	if got := e.target.Text(t, e.targetDB, "SELECT count(*) FROM entry"); got != strconv.Itoa(2*n) {
		t.Errorf("%s entries of %d transactions", got, n)
	}
	if writable(t, e.source, e.sourceDB) || !writable(t, e.target, e.targetDB) {
		t.Error("writes go to the wrong end")
	}
	e.target.Exec(t, e.targetDB, "INSERT INTO entry (account, amount) VALUES (1, 0)")
	// A transaction that was ended has taken values, too.
	if got := e.target.Text(t, e.targetDB, "SELECT pg_sequence_last_value('entry_id_seq') - max(id) FILTER (WHERE amount <> 0) BETWEEN 101 AND 150 FROM entry"); got != "t" && n > 0 {
		t.Error("the sequence is not 100 values ahead of the rows")
	}
	for _, sql := range []string{
		"SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pghaul_" + o.ID + "'", "SELECT count(*) FROM pg_publication", "SELECT count(*) FROM pg_roles WHERE rolname = 'pghaul_" + o.ID + "'",
	} {
		if got := e.source.Text(t, e.sourceDB, sql); got != "0" {
			t.Errorf("%s: %s", sql, got)
		}
	}
	if got := e.target.Text(t, e.targetDB, "SELECT count(*) FROM pg_subscription WHERE subname = 'pghaul_"+o.ID+"'"); got != "0" {
		t.Error("the subscription is left")
	}
}

func TestCutover(t *testing.T) {
	for _, p := range nativePairs(t) {
		for _, engine := range []Engine{EngineNative, EngineApply} {
			// One of each source's versions is enough here.
			if p[0] == p[1] && p[0] != latest(t) || engine == EngineApply && p[0] == 14 {
				continue
			}
			t.Run(string(engine)+strconv.Itoa(p[0])+"to"+strconv.Itoa(p[1]), func(t *testing.T) {
				t.Parallel()
				e := newEnds(t, p[0], p[1])
				e.both(t, accounts)
				e.source.Exec(t, e.sourceDB, fill)
				o := e.options(t, "account", "entry")
				o.Engine = engine
				o = withLog(o)
				w := write(t, o.Source, true)
				r := e.follow(t, o)
				dry, err := Cutover(t.Context(), o, CutoverOptions{DryRun: true})
				if err != nil || dry.Done || dry.Downtime <= 0 || dry.Sequences != 1 {
					t.Fatalf("rehearsal: %+v, %v", dry, err)
				}
				if !writable(t, e.source, e.sourceDB) {
					t.Fatal("a rehearsal has fenced the source")
				}
				verified := false
				report, err := Cutover(t.Context(), o, CutoverOptions{Verify: func(context.Context) error {
					verified = true
					if writable(t, e.source, e.sourceDB) {
						t.Error("the ends are compared without a fence")
					}
					e.equal(t, "account", "entry", "log")
					return nil
				}})
				if err != nil {
					t.Fatalf("%v: %+v", err, report)
				}
				if !report.Done || !verified || report.Downtime <= 0 || report.LSN == 0 || report.Sequences != 1 {
					t.Errorf("%+v", report)
				}
				t.Logf("downtime %v, estimated %v: %+v", report.Downtime, dry.Downtime, report.Steps)
				n := w.end()
				e.handedOver(t, o, n)
				if err := r.wait(t); err != nil && !errors.Is(err, ErrEnded) && !errors.Is(err, ErrTakenOver) {
					t.Errorf("the run ended with %v", err)
				}
				again, err := Cutover(t.Context(), o, CutoverOptions{})
				if err != nil || !again.Done {
					t.Errorf("again: %+v, %v", again, err)
				}
				if err := Abort(t.Context(), o); err != nil {
					t.Error(err)
				}
				if writable(t, e.source, e.sourceDB) {
					t.Error("to forget a cut-over has lifted its fence")
				}
			})
		}
	}
}

// Whatever fails behind the fence, writes are let in again, and the follow goes on.
func TestCutoverUndone(t *testing.T) {
	engines(t, func(t *testing.T, e *ends, o Options) {
		e.source.Exec(t, e.sourceDB, `ALTER DATABASE "`+e.sourceDB+`" SET default_transaction_read_only = 'false'`)
		w := write(t, o.Source, true)
		e.follow(t, o)
		refused := errors.New("refused")
		cancelled, cancel := context.WithCancel(t.Context())
		for name, c := range map[string]struct {
			ctx  context.Context
			cut  CutoverOptions
			want error
		}{
			"verify": {t.Context(), CutoverOptions{Verify: func(context.Context) error { return refused }}, refused},
			"time": {t.Context(), CutoverOptions{MaxDowntime: 3 * time.Second, Verify: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}}, ErrMaxDowntime},
			"cancel": {cancelled, CutoverOptions{Verify: func(ctx context.Context) error {
				cancel()
				<-ctx.Done()
				return ctx.Err()
			}}, context.Canceled},
		} {
			report, err := Cutover(c.ctx, o, c.cut)
			if !errors.Is(err, c.want) {
				t.Fatalf("%s: %v", name, err)
			}
			if report.Done || report.Downtime <= 0 {
				t.Errorf("%s: %+v", name, report)
			}
			if !writable(t, e.source, e.sourceDB) {
				t.Errorf("%s: the fence is left", name)
			}
			if got := e.source.Text(t, e.sourceDB, "SELECT current_setting('default_transaction_read_only') || (SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database())::text"); got != "off{default_transaction_read_only=false}" {
				t.Errorf("%s: the database has %s", name, got)
			}
		}
		before := e.source.Text(t, e.sourceDB, "SELECT count(*) FROM log")
		wait4(t, "more writes", func() bool { return e.source.Text(t, e.sourceDB, "SELECT count(*) FROM log") != before })
		if o.Engine == EngineApply {
			e.run(t, o)
		}
		wait4(t, "changes", func() bool { return e.target.Text(t, e.targetDB, "SELECT count(*) FROM log") > before })
		if _, err := Cutover(t.Context(), o, CutoverOptions{}); err != nil {
			t.Fatal(err)
		}
		e.handedOver(t, o, w.end())
	})
}

// What would let writes through, or cannot be undone, is found before the fence.
func TestCutoverRefused(t *testing.T) {
	t.Parallel()
	s := pgtest.Private(t, latest(t), pgtest.Options{Settings: pgtest.LogicalSettings(), Template: true})
	e := &ends{source: s, target: s}
	e.sourceDB, e.targetDB = s.Database(t), s.Database(t)
	e.both(t, accounts)
	e.source.Exec(t, e.sourceDB, fill)
	o := withLog(e.options(t, "account", "entry"))
	e.startNative(t, o)
	refused := func(name string, o Options, words ...string) {
		t.Helper()
		report, err := Cutover(t.Context(), o, CutoverOptions{})
		if err == nil || report.Done {
			t.Fatalf("%s: %+v, %v", name, report, err)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in %q", name, w, err)
			}
		}
		if !writable(t, e.source, e.sourceDB) {
			t.Errorf("%s: the fence is left", name)
		}
	}
	s.Exec(t, e.sourceDB, "CREATE ROLE app LOGIN; ALTER ROLE app SET default_transaction_read_only = off")
	refused("a role's own setting", o, "roles app", "RESET")
	s.Exec(t, e.sourceDB, "ALTER ROLE app RESET default_transaction_read_only")

	s.Exec(t, e.sourceDB, "BEGIN; INSERT INTO log VALUES ('x'); PREPARE TRANSACTION 'later'")
	refused("a prepared transaction", o, "later", "ROLLBACK PREPARED")
	s.Exec(t, e.sourceDB, "ROLLBACK PREPARED 'later'")

	if err := Pause(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	r := e.run(t, o)
	if err := r.wait(t); !errors.Is(err, ErrPaused) {
		t.Fatal(err)
	}
	refused("a pause", o, "resume")
	if err := Resume(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	r = e.run(t, o)
	wait4(t, "the run", func() bool {
		return s.Text(t, e.targetDB, "SELECT stage FROM pghaul_follow.follow") == string(Following)
	})
	r.stop(t)
	s.Exec(t, e.sourceDB, "ALTER TABLE account ADD extra int")
	refused("a changed table", o, "public.account", "extra")
	s.Exec(t, e.sourceDB, "ALTER TABLE account DROP extra")

	// An owner who may end no other role's sessions.
	s.Exec(t, e.sourceDB, `CREATE ROLE owner LOGIN REPLICATION; ALTER DATABASE "`+e.sourceDB+`" OWNER TO owner; ALTER PUBLICATION pghaul_`+o.ID+` OWNER TO owner; ALTER PUBLICATION pghaul_`+o.ID+`_inserts OWNER TO owner`)
	other, own := o, s.Conn(t, e.sourceDB)
	other.Source = as(o.Source, "owner", "")
	cfg := as(s.Config(t, e.sourceDB), "app", "")
	stranger, err := pg.Connect(t.Context(), cfg, pg.Write, pg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close(stranger)
	s.Exec(t, e.sourceDB, "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO owner")
	refused("another role's session", other, "app", "pg_signal_backend")

	// Those of superusers are told, and hold nothing up unless they have written.
	pg.Close(stranger)
	if _, err := own.Exec(t.Context(), "BEGIN; INSERT INTO log VALUES ('open')"); err != nil {
		t.Fatal(err)
	}
	refused("a superuser's transaction", other, "transaction that has written")
	if _, err := own.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	report, err := Cutover(t.Context(), other, CutoverOptions{})
	if err != nil || !report.Done || len(report.Sessions) == 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// A process that was killed behind the fence leaves what another one goes on with,
// or takes back.
func TestCutoverKilled(t *testing.T) {
	engines(t, func(t *testing.T, e *ends, o Options) {
		w := write(t, o.Source, true)
		e.follow(t, o)
		// kill does the first steps of a cut-over and forgets about it.
		kill := func(handOver bool) {
			t.Helper()
			control, err := openControl(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			c := &cutter{control: control, report: &CutoverReport{}}
			defer c.close()
			defer c.stopRun()
			_, fenced := c.fence(t.Context())
			err = errors.Join(c.catchUp(t.Context()), fenced)
			if handOver {
				err = errors.Join(err, c.drain(t.Context()), c.handOver(t.Context()))
			}
			if err != nil {
				t.Fatal(err)
			}
			if writable(t, e.source, e.sourceDB) {
				t.Fatal("there is no fence")
			}
		}
		kill(false)
		if s, err := Status(t.Context(), o); err != nil || !s.Fenced {
			t.Errorf("status: %+v, %v", s, err)
		}
		if err := Resume(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if !writable(t, e.source, e.sourceDB) {
			t.Fatal("the fence is left")
		}
		before := e.source.Text(t, e.sourceDB, "SELECT count(*) FROM log")
		wait4(t, "more writes", func() bool { return e.source.Text(t, e.sourceDB, "SELECT count(*) FROM log") != before })
		kill(false)
		kill(true)
		report, err := Cutover(t.Context(), o, CutoverOptions{})
		if err != nil || !report.Done {
			t.Fatalf("%+v, %v", report, err)
		}
		_ = w.end()
		e.equal(t, "account", "entry", "log")
		if writable(t, e.source, e.sourceDB) {
			t.Error("the fence is gone")
		}
		if got := e.source.Text(t, e.sourceDB, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'pghaul_"+o.ID+"'"); got != "0" {
			t.Error("the slot is left")
		}
	})
}

// A server that restarts behind the fence costs the cut-over, not the source's
// writes.
func TestCutoverRestart(t *testing.T) {
	for _, engine := range []Engine{EngineNative, EngineApply} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			e := &ends{
				source: pgtest.Private(t, latest(t), pgtest.Options{Settings: pgtest.LogicalSettings(), Template: true}),
				target: pgtest.Private(t, latest(t), pgtest.Options{Template: true}),
			}
			e.sourceDB, e.targetDB = e.source.Database(t), e.target.Database(t)
			e.both(t, accounts)
			e.source.Exec(t, e.sourceDB, fill)
			o := e.options(t, "account", "entry")
			o.Engine = engine
			o = withLog(o)
			w := write(t, o.Source, true)
			e.follow(t, o)
			for _, s := range []*pgtest.Server{e.source, e.target} {
				_, err := Cutover(t.Context(), o, CutoverOptions{Verify: func(context.Context) error {
					s.Kill(t)
					s.Restart(t)
					return nil
				}})
				if err == nil {
					t.Fatal("the cut-over has passed over a restart")
				}
				if !writable(t, e.source, e.sourceDB) {
					t.Fatalf("the fence is left after %v", err)
				}
			}
			if _, err := Cutover(t.Context(), o, CutoverOptions{}); err != nil {
				t.Fatal(err)
			}
			_ = w.end()
			e.equal(t, "account", "entry", "log")
		})
	}
}
