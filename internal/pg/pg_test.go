package pg

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"15.18 (Debian 15.18-0+deb12u1)": 150018, "18beta1": 180000, "19devel": 190000, "11.22": 110022, "17.0": 170000,
	} {
		if got, err := parseVersion(text); err != nil || got != want {
			t.Errorf("parseVersion(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "devel", "."} {
		if v, err := parseVersion(text); err == nil {
			t.Errorf("parseVersion(%q) = %d, want an error", text, v)
		}
	}
}

func connect(t *testing.T, s *pgtest.Server, db string, purpose Purpose, opts Options) *pgx.Conn {
	t.Helper()
	conn, err := Connect(t.Context(), s.Config(t, db), purpose, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(conn) })
	return conn
}

// TestSettings shows that what a database, a role or the environment sets does
// not reach a session, on every server.
func TestSettings(t *testing.T) {
	pgtest.EachSource(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, `DO $$ DECLARE x text; BEGIN FOREACH x IN ARRAY ARRAY['DateStyle = ''SQL, DMY''', 'IntervalStyle = sql_standard', 'TimeZone = ''Asia/Tokyo''',
'bytea_output = escape', 'extra_float_digits = 0', 'search_path = public', 'statement_timeout = 1000', 'quote_all_identifiers = on', 'default_transaction_read_only = on',
'xmloption = document', 'check_function_bodies = on', 'array_nulls = off', 'transform_null_equals = on'] LOOP EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET ' || x; END LOOP; END $$`)
		for purpose, want := range map[Purpose]map[string]string{
			ReadCatalog: {"search_path": "", "DateStyle": "ISO, DMY", "IntervalStyle": "postgres", "extra_float_digits": "3", "statement_timeout": "0", "quote_all_identifiers": "off", "row_security": "off"},
			ReadData:    {"search_path": "", "TimeZone": "UTC", "bytea_output": "hex", "DateStyle": "ISO, DMY"},
			Write:       {"search_path": "", "default_transaction_read_only": "off", "xmloption": "content", "array_nulls": "on", "transform_null_equals": "off", "check_function_bodies": "off", "statement_timeout": "0"},
		} {
			conn := connect(t, s, db, purpose, Options{})
			for name, value := range want {
				var got string
				if err := conn.QueryRow(t.Context(), "SELECT pg_catalog.current_setting($1)", name).Scan(&got); err != nil || got != value {
					t.Errorf("purpose %d: %s is %q, %v, want %q", purpose, name, got, err, value)
				}
			}
		}
	})
}

// TestTimeouts shows that no timeout of a role or a database ends a session's
// work, neither while it runs nor while it is idle.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	pgtest.EachSource(t, func(t *testing.T, s *pgtest.Server) {
		role := s.Role(t, "LOGIN")
		db := s.Database(t)
		names := []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
		if s.Major >= 14 {
			names = append(names, "idle_session_timeout")
		}
		if s.Major >= 17 {
			names = append(names, "transaction_timeout")
		}
		for i, name := range names {
			of := "ROLE " + role
			if i%2 == 0 {
				of = "DATABASE " + db
			}
			s.Exec(t, db, "ALTER "+of+" SET "+name+" = '200ms'")
		}
		for _, purpose := range []Purpose{ReadCatalog, ReadData, Write} {
			cfg := s.Config(t, db)
			cfg.User = role
			conn, err := Connect(t.Context(), cfg, purpose, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer Close(conn)
			for _, name := range names {
				var got string
				if err := conn.QueryRow(t.Context(), "SELECT pg_catalog.current_setting($1)", name).Scan(&got); err != nil || got != "0" {
					t.Errorf("purpose %d: %s is %q, %v, want 0", purpose, name, got, err)
				}
			}
			if purpose != ReadData { // once is enough to see them not strike
				continue
			}
			time.Sleep(300 * time.Millisecond) // idle
			if _, err := conn.PgConn().Exec(t.Context(), "BEGIN; SELECT pg_sleep(0.3)").ReadAll(); err != nil {
				t.Error(err)
			}
			time.Sleep(300 * time.Millisecond) // idle in a transaction
			if _, err := conn.PgConn().Exec(t.Context(), "COMMIT").ReadAll(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestLockTables loses neither the snapshot nor the other locks over a table
// that is gone, and names a table that another session holds.
func TestLockTables(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE a (i int); CREATE TABLE b (i int); CREATE TABLE c (i int); INSERT INTO a VALUES (1)")
	snapshot, err := Export(t.Context(), connect(t, s, db, ReadCatalog, Options{}), "")
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	s.Exec(t, db, "DROP TABLE b; INSERT INTO a VALUES (2)")
	gone, err := snapshot.LockTables(t.Context(), []string{"public.a", "public.b", "nowhere.x", "public.c"}, 0)
	if err != nil || !slices.Equal(gone, []int{1, 2}) {
		t.Fatalf("gone = %v, %v, want [1 2]", gone, err)
	}
	reader := connect(t, s, db, ReadData, Options{})
	if err := Import(t.Context(), reader.PgConn(), snapshot.Name); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := reader.QueryRow(t.Context(), "SELECT count(*) FROM public.a").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("the snapshot sees %d rows, %v, want 1", rows, err)
	}
	var locks int
	if err := reader.QueryRow(t.Context(), "SELECT count(*) FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation WHERE c.relname IN ('a', 'c') AND l.mode = 'AccessShareLock'").Scan(&locks); err != nil || locks < 2 {
		t.Errorf("%d locks, %v, want those of a and c", locks, err)
	}

	s.Exec(t, db, "CREATE TABLE held (i int); CREATE TABLE unheld (i int)")
	holder := connect(t, s, db, Write, Options{})
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE public.held IN ACCESS EXCLUSIVE MODE", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	_, err = snapshot.LockTables(t.Context(), []string{"public.unheld", "public.held"}, 100*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "lock table public.held") || Code(err) != "55P03" {
		t.Errorf("error %v, want one that names the held table", err)
	}
}

// TestHeartbeat reports a lost session.
func TestHeartbeat(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	conn := connect(t, s, db, ReadCatalog, Options{})
	pid := conn.PgConn().PID()
	snapshot, err := Export(t.Context(), conn, "")
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- snapshot.Heartbeat(ctx, 10*time.Millisecond) }()
	other := connect(t, s, db, Write, Options{})
	if _, err := other.Exec(t.Context(), "SELECT pg_terminate_backend($1)", pid); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "snapshot was lost") {
		t.Errorf("heartbeat ended with %v", err)
	}
}

// TestVersionRange refuses servers whose catalogs are unknown as sources only.
func TestVersionRange(t *testing.T) {
	if v := Version(190001); !v.AtLeast(18) || v.String() != "19.1" || v.Major() != 19 {
		t.Errorf("version 19.1 is %s, major %d", v, v.Major())
	}
	for _, sql := range []string{settings(110022, ReadCatalog, Options{}), settings(130000, ReadData, Options{})} {
		if strings.Contains(sql, "idle_session_timeout") || strings.Contains(sql, "SET transaction_timeout") {
			t.Errorf("settings an old server refuses:\n%s", sql)
		}
	}
	if sql := settings(180000, Write, Options{Role: `o'r\`, LCMonetary: "C"}); !strings.Contains(sql, `SET ROLE  E'o''r\\';`) {
		t.Errorf("the role is not quoted:\n%s", sql)
	}
}

// TestCloseCancels leaves no statement behind on the server.
func TestCloseCancels(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	conn, err := Connect(t.Context(), s.Config(t, db), ReadCatalog, Options{})
	if err != nil {
		t.Fatal(err)
	}
	pid := conn.PgConn().PID()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT pg_catalog.pg_sleep(60)"); err == nil {
		t.Fatal("the statement was not cut short")
	}
	Close(conn)
	other := connect(t, s, db, Write, Options{})
	for deadline := time.Now().Add(10 * time.Second); ; {
		var busy int
		if err := other.QueryRow(t.Context(), "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND state = 'active'", pid).Scan(&busy); err != nil {
			t.Fatal(err)
		}
		if busy == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the server still runs the statement")
		}
	}
}
