package replicate

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// logical are the settings of a server that can be followed.
func logical(more ...string) map[string]string {
	settings := map[string]string{"wal_level": "logical", "max_prepared_transactions": "5"}
	for i := 0; i+1 < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	return settings
}

// preflightOf runs Preflight, and fails the test for what cannot be asked.
func preflightOf(t *testing.T, src, dst *pgx.ConnConfig, opts PreflightOptions, names ...string) *Checks {
	t.Helper()
	var tables []Table
	for _, name := range names {
		tables = append(tables, Table{Schema: "public", Name: name})
	}
	c, err := Preflight(t.Context(), src, dst, tables, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// finding returns the one of a What, which must have the severity, and whose Why
// and Do must hold the words.
func finding(t *testing.T, c *Checks, severity Severity, what string, words ...string) {
	t.Helper()
	i := slices.IndexFunc(c.Findings, func(f Finding) bool { return f.What == what })
	if i < 0 {
		t.Errorf("no finding about %s; there are %v", what, c.Findings)
		return
	}
	f := c.Findings[i]
	if f.Severity != severity {
		t.Errorf("%s: got %s (%s), want %s", what, f.Severity, f.Why, severity)
	}
	for _, w := range words {
		if !strings.Contains(f.Why+"\n"+f.Do, w) {
			t.Errorf("%s: %q is neither in %q nor in %q", what, w, f.Why, f.Do)
		}
	}
}

// noFinding fails the test for a finding about what.
func noFinding(t *testing.T, c *Checks, what string) {
	t.Helper()
	for _, f := range c.Findings {
		if f.What == what {
			t.Errorf("there should be no finding about %s: %v", what, f)
		}
	}
}

// as is cfg with another user.
func as(cfg *pgx.ConnConfig, user, password string) *pgx.ConnConfig {
	c := cfg.Copy()
	c.User, c.Password = user, password
	return c
}

const identities = `
CREATE TABLE keyed (id int PRIMARY KEY, t text);
CREATE TABLE keyless (t text);
CREATE TABLE candidate (id int NOT NULL, t text NOT NULL);
CREATE UNIQUE INDEX candidate_both ON candidate (id, t);
CREATE UNIQUE INDEX candidate_part ON candidate (id) WHERE id > 0;
CREATE UNIQUE INDEX candidate_expr ON candidate (lower(t));
CREATE TABLE nullable (id int UNIQUE);
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);
CREATE TABLE nothing (id int PRIMARY KEY);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE byindex (id int NOT NULL CONSTRAINT byindex_u UNIQUE);
ALTER TABLE byindex REPLICA IDENTITY USING INDEX byindex_u;
CREATE TABLE lostindex (id int NOT NULL CONSTRAINT lostindex_u UNIQUE, t text);
ALTER TABLE lostindex REPLICA IDENTITY USING INDEX lostindex_u;
ALTER TABLE lostindex DROP CONSTRAINT lostindex_u;
CREATE TABLE "Whole" (a int, b varchar, c int[], d jsonb);
ALTER TABLE "Whole" REPLICA IDENTITY FULL;
CREATE TABLE parted (id int, t text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE FOREIGN TABLE elsewhere (id int) SERVER s;
CREATE VIEW seen AS SELECT 1 AS id;`

func TestPreflightTables(t *testing.T) {
	t.Parallel()
	pgtest.EachSource(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, identities)
		if s.Major >= 12 {
			s.Exec(t, db, "CREATE TABLE computed (id int PRIMARY KEY, d int GENERATED ALWAYS AS (id * 2) STORED)")
		}
		c := preflightOf(t, s.Config(t, db), s.Config(t, db), PreflightOptions{}, "keyed", "keyless", "candidate", "nullable", "deferred", "nothing",
			"byindex", "lostindex", "Whole", "parted", "fleeting", "elsewhere", "seen", "absent", "computed")
		for _, name := range []string{"keyed", "byindex", `"Whole"`, "parted", "parted_1"} {
			noFinding(t, c, "table public."+name)
		}
		finding(t, c, Block, "table public.keyless", "UPDATE and DELETE", "ALTER TABLE public.keyless REPLICA IDENTITY FULL")
		finding(t, c, Block, "table public.candidate", "ALTER TABLE public.candidate REPLICA IDENTITY USING INDEX candidate_both; or ALTER TABLE public.candidate REPLICA IDENTITY FULL")
		finding(t, c, Block, "table public.nullable", "FULL")
		finding(t, c, Block, "table public.deferred", "deferrable")
		finding(t, c, Block, "table public.nothing", "NOTHING", "USING INDEX nothing_pkey")
		finding(t, c, Block, "table public.lostindex", "gone")
		finding(t, c, Block, "table public.parted_2", "no primary key")
		finding(t, c, Warn, "table public.fleeting", "unlogged", "SET LOGGED")
		finding(t, c, Warn, "foreign table public.elsewhere", "another server")
		finding(t, c, Block, "public.seen", "not a table")
		finding(t, c, Block, "table public.absent", "not there")
		finding(t, c, Warn, "partitions", "partitions")
		if s.Major >= 12 {
			finding(t, c, Info, "generated columns", "1 tables")
		}
		var follow []string
		for _, table := range c.Tables {
			follow = append(follow, table.Name)
		}
		want := []string{"keyed", "keyless", "candidate", "nullable", "deferred", "nothing", "byindex", "lostindex", "Whole", "parted"}
		if s.Major >= 12 {
			want = append(want, "computed")
		}
		if !slices.Equal(follow, want) {
			t.Errorf("tables to follow: got %v, want %v", follow, want)
		}
	})
}

// What Preflight calls broken is broken, and what it proposes mends it.
func TestPreflightIsRight(t *testing.T) {
	t.Parallel()
	for _, major := range pgtest.Versions(t) {
		t.Run("pg"+strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := pgtest.Private(t, major, pgtest.Options{Settings: logical(), Template: true})
			db := s.Database(t)
			s.Exec(t, db, identities+`
CREATE TABLE computed_key (a int, d int GENERATED ALWAYS AS (a * 2) STORED NOT NULL CONSTRAINT computed_key_u UNIQUE);
ALTER TABLE computed_key REPLICA IDENTITY USING INDEX computed_key_u;
CREATE TABLE computed_full (a int NOT NULL CONSTRAINT computed_full_u UNIQUE, d int GENERATED ALWAYS AS (a * 2) STORED);
ALTER TABLE computed_full REPLICA IDENTITY FULL;
CREATE PUBLICATION p`)
			names := []string{"keyed", "keyless", "candidate", "nullable", "deferred", "nothing", "byindex", "lostindex", "Whole", "computed_full", "parted_1", "parted_2"}
			c := preflightOf(t, s.Config(t, db), s.Config(t, db), PreflightOptions{}, append(names, "computed_key")...)
			finding(t, c, Block, "table public.computed_key", "generated")
			for _, name := range names {
				quoted := pgx.Identifier{name}.Sanitize()
				if name != "Whole" {
					quoted = name
				}
				column := s.Text(t, db, "SELECT attname FROM pg_attribute WHERE attrelid = '"+quoted+"'::regclass AND attnum = 1")
				s.Exec(t, db, "ALTER PUBLICATION p ADD TABLE "+quoted)
				update := "UPDATE " + quoted + " SET " + column + " = " + column
				err := s.Server.Exec(t.Context(), db, update)
				i := slices.IndexFunc(c.Findings, func(f Finding) bool { return f.What == "table public."+quoted && f.Severity == Block })
				if (err != nil) != (i >= 0) {
					t.Errorf("%s: an UPDATE says %v, but the findings are %v", name, err, c.Findings)
				}
				if i >= 0 {
					for do := range strings.SplitSeq(c.Findings[i].Do, "; or ") {
						if statement, _, _ := strings.Cut(do, ", with which"); strings.HasPrefix(do, "ALTER TABLE") {
							s.Exec(t, db, statement+"; "+update)
						}
					}
				}
			}
			if got := s.Text(t, db, "SELECT count(*) FROM pg_subscription"); got != "0" {
				t.Errorf("%s subscriptions are left", got)
			}
		})
	}
}

func TestPreflightInsertsOnly(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Versions(t)[0])
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE keyless (t text)")
	tables := []Table{{Schema: "public", Name: "keyless", InsertsOnly: true}}
	c, err := Preflight(t.Context(), s.Config(t, db), s.Config(t, db), tables, PreflightOptions{})
	if err != nil {
		t.Fatal(err)
	}
	finding(t, c, Warn, "table public.keyless", "only its inserts")

	tables[0].TargetSchema = "elsewhere"
	c, err = Preflight(t.Context(), s.Config(t, db), s.Config(t, db), tables, PreflightOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Engine != EngineApply || !strings.Contains(c.Reason, "public.keyless") {
		t.Errorf("engine %s: %s", c.Engine, c.Reason)
	}
}

// Rows that a subscription could not find, or not tell apart, speak for our own
// engine.
func TestPreflightWholeRows(t *testing.T) {
	t.Parallel()
	s := pgtest.Logical(t, latest(t))
	db := s.Database(t)
	s.Exec(t, db, `CREATE DOMAIN money2 AS numeric(10,2); CREATE TYPE mood AS ENUM ('ok');
CREATE TABLE exact (a int, b text[], c timestamptz, d mood, e uuid); ALTER TABLE exact REPLICA IDENTITY FULL;
CREATE TABLE floats (a int, f float8[], m money2); ALTER TABLE floats REPLICA IDENTITY FULL;
CREATE TABLE texts (a int, j json, p point); ALTER TABLE texts REPLICA IDENTITY FULL;
CREATE TABLE keyed (id int PRIMARY KEY, f float8, j json)`)
	for name, words := range map[string][]string{"exact": nil, "keyed": nil, "floats": {"public.floats (f, m)", "-0"}, "texts": {"public.texts (j, p)", "no equality"}} {
		c := preflightOf(t, s.Config(t, db), s.Config(t, db), PreflightOptions{}, name)
		if (c.Engine == EngineNative) != (words == nil) {
			t.Errorf("%s: engine %s: %s", name, c.Engine, c.Reason)
		}
		for _, w := range words {
			if !strings.Contains(c.Reason, w) {
				t.Errorf("%s: %q is not in %q", name, w, c.Reason)
			}
		}
	}
	c := preflightOf(t, s.Config(t, db), s.Config(t, db), PreflightOptions{Engine: EngineNative}, "floats")
	finding(t, c, Warn, "rows without a key", "public.floats (f, m)")
}

func TestPreflightServers(t *testing.T) {
	t.Parallel()
	for _, major := range pgtest.Versions(t) {
		t.Run("pg"+strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			s := pgtest.Private(t, major, pgtest.Options{
				Settings: logical("max_replication_slots", "1", "max_wal_senders", "2"), Template: true,
				HBA: "host all asked 127.0.0.1/32 scram-sha-256",
			})
			plain := pgtest.Start(t, major)
			plainDB, db := plain.Database(t), s.Database(t)
			s.Exec(t, db, "CREATE TABLE keyed (id int PRIMARY KEY)")
			src, dst := s.Config(t, db), s.Config(t, db)

			t.Run("fine", func(t *testing.T) {
				c := preflightOf(t, src, dst, PreflightOptions{}, "keyed")
				if c.Blocked() {
					t.Errorf("blocked: %v", c.Findings)
				}
				finding(t, c, Warn, "disk of the source", "without a limit")
				want := EngineNative
				if major < 15 {
					want = EngineApply
				}
				if c.Engine != want {
					t.Errorf("engine %s (%s), want %s", c.Engine, c.Reason, want)
				}
			})
			t.Run("wal_level", func(t *testing.T) {
				c := preflightOf(t, plain.Config(t, plainDB), dst, PreflightOptions{})
				finding(t, c, Block, "wal_level", "replica", "ALTER SYSTEM SET wal_level = logical", "restart")
				finding(t, c, Block, "tables", "none")
			})
			t.Run("slots", func(t *testing.T) {
				s.Exec(t, db, "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')")
				defer s.Exec(t, db, "SELECT pg_drop_replication_slot('mine')")
				c := preflightOf(t, src, dst, PreflightOptions{}, "keyed")
				finding(t, c, Block, "max_replication_slots", "all 1", "mine", "pg_drop_replication_slot")
			})
			t.Run("role", func(t *testing.T) {
				s.Exec(t, db, `CREATE ROLE plain LOGIN; CREATE ROLE "Sender" LOGIN REPLICATION; CREATE ROLE asked LOGIN REPLICATION PASSWORD 'x'`)
				c := preflightOf(t, as(src, "plain", ""), dst, PreflightOptions{}, "keyed")
				finding(t, c, Block, "role plain", "ALTER ROLE plain WITH REPLICATION")
				finding(t, c, Block, "database "+db, "GRANT CREATE ON DATABASE "+db+" TO plain")
				finding(t, c, Block, "table public.keyed", "owned by role postgres")
				finding(t, c, Warn, "cut-over", "GRANT postgres TO plain")
				finding(t, c, Warn, "sessions", "GRANT pg_signal_backend TO plain")
				c = preflightOf(t, as(src, "Sender", ""), dst, PreflightOptions{}, "keyed")
				noFinding(t, c, "role Sender")
				noFinding(t, c, "replication connection")
			})
			t.Run("transactions", func(t *testing.T) {
				writer := s.Conn(t, db)
				for _, sql := range []string{
					"BEGIN", "INSERT INTO keyed VALUES (1)", "PREPARE TRANSACTION 'left'",
					"BEGIN", "INSERT INTO keyed VALUES (2)",
				} {
					if _, err := writer.Exec(t.Context(), sql); err != nil {
						t.Fatal(err)
					}
				}
				pid := "session " + strconv.FormatUint(uint64(writer.PgConn().PID()), 10)
				c := preflightOf(t, src, dst, PreflightOptions{LongTransaction: time.Nanosecond}, "keyed")
				finding(t, c, Warn, pid, "postgres", db, "idle in transaction", "pg_terminate_backend")
				finding(t, c, Warn, "prepared transaction left", "ROLLBACK PREPARED 'left'")
				c = preflightOf(t, src, dst, PreflightOptions{LongTransaction: time.Hour}, "keyed")
				noFinding(t, c, pid)
				c = preflightOf(t, as(src, "plain", ""), dst, PreflightOptions{LongTransaction: time.Nanosecond}, "keyed")
				finding(t, c, Info, pid, "may not see")
				if _, err := writer.Exec(t.Context(), "ROLLBACK"); err != nil {
					t.Fatal(err)
				}
				s.Exec(t, db, "ROLLBACK PREPARED 'left'")
			})
			t.Run("others", func(t *testing.T) {
				s.Exec(t, db, "SELECT lo_create(0); CREATE MATERIALIZED VIEW m AS SELECT 1")
				c := preflightOf(t, src, dst, PreflightOptions{}, "keyed")
				finding(t, c, Warn, "large objects", "not replicated")
				finding(t, c, Info, "materialized views", "REFRESH")
			})
			t.Run("target", func(t *testing.T) {
				c := preflightOf(t, src, as(dst, "plain", ""), PreflightOptions{}, "keyed")
				if c.Engine != EngineApply || !strings.Contains(c.Reason, "plain") {
					t.Errorf("engine %s: %s", c.Engine, c.Reason)
				}
				c = preflightOf(t, src, as(dst, "plain", ""), PreflightOptions{Engine: EngineNative}, "keyed")
				finding(t, c, Block, "engine native", "plain")
				if major >= 16 {
					s.Exec(t, db, "GRANT pg_create_subscription TO plain; GRANT CREATE ON DATABASE "+db+" TO plain")
					c = preflightOf(t, src, as(dst, "plain", ""), PreflightOptions{}, "keyed")
					if c.Engine != EngineApply || !strings.Contains(c.Reason, "password") {
						t.Errorf("engine %s: %s", c.Engine, c.Reason)
					}
					c = preflightOf(t, as(src, "asked", "x"), as(dst, "plain", ""), PreflightOptions{}, "keyed")
					if c.Engine != EngineNative {
						t.Errorf("engine %s: %s", c.Engine, c.Reason)
					}
				}
			})
			t.Run("reach", func(t *testing.T) { reach(t, src, dst) })
		})
	}
}

// reach has the target look for the source where it is not, and where it is not
// let in.
func reach(t *testing.T, src, dst *pgx.ConnConfig) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := src.Copy()
	away.Port = uint16(l.Addr().(*net.TCPAddr).Port)
	// Somebody who is silent, then nobody.
	opts := PreflightOptions{Engine: EngineNative, Reach: away, ReachTimeout: time.Second}
	finding(t, preflightOf(t, src, dst, opts, "keyed"), Block, "engine native", "nothing has answered", "firewall")
	l.Close()
	finding(t, preflightOf(t, src, dst, opts, "keyed"), Block, "engine native", "does not reach")
	c := preflightOf(t, src, dst, PreflightOptions{Reach: away}, "keyed")
	if c.Engine != EngineApply {
		t.Errorf("engine %s: %s", c.Engine, c.Reason)
	}
}

func TestPreflightHostRules(t *testing.T) {
	t.Parallel()
	majors := pgtest.Versions(t)
	s := pgtest.Private(t, majors[len(majors)-1], pgtest.Options{
		Settings: logical(), Template: true,
		HBA: "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 reject",
	})
	db := s.Database(t)
	c := preflightOf(t, s.Config(t, db), s.Config(t, db), PreflightOptions{Engine: EngineNative})
	finding(t, c, Block, "engine native", "keep it out", "firewall")
}

func TestPreflightPlatforms(t *testing.T) {
	t.Parallel()
	azure, neon := pgtest.Azure(t), pgtest.Neon(t)
	src := as(azure.Config(t, "appdb"), "azadmin", "")
	dst := as(neon.Config(t, "neondb"), "neondb_owner", "")
	tables := []Table{{Schema: "public", Name: "nowhere"}}
	c, err := Preflight(t.Context(), src, dst, tables, PreflightOptions{})
	if err != nil {
		t.Fatal(err)
	}
	finding(t, c, Block, "wal_level", "az postgres flexible-server parameter set", "restart")
	finding(t, c, Block, "role azadmin", "ALTER ROLE azadmin WITH REPLICATION", "admin")
	finding(t, c, Warn, "disk of the source", "autogrow")
	finding(t, c, Warn, "large objects", "not replicated")

	azure.Exec(t, "postgres", "ALTER ROLE azadmin WITH REPLICATION")
	azure.Exec(t, "postgres", "ALTER SYSTEM SET wal_level = logical")
	c, err = Preflight(t.Context(), src, dst, tables, PreflightOptions{})
	if err != nil {
		t.Fatal(err)
	}
	finding(t, c, Block, "wal_level", "restart")
	azure.Restart(t)
	c, err = Preflight(t.Context(), as(src, "azadmin", "x"), dst, tables, PreflightOptions{})
	if err != nil {
		t.Fatal(err)
	}
	noFinding(t, c, "wal_level")
	noFinding(t, c, "role azadmin")
	noFinding(t, c, "replication connection")
	if c.Engine != EngineNative {
		t.Errorf("engine %s: %s", c.Engine, c.Reason)
	}
}
