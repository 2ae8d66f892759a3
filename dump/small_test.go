package dump_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// TestSmallTables shows that small tables do not cost a round trip each.
func TestSmallTables(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, 18)
	turns := func(tables int) int64 {
		db := s.Database(t)
		s.Exec(t, db, fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
EXECUTE format('CREATE TABLE t%%s AS SELECT g FROM generate_series(1, %%s) g', i, i %% 7); END LOOP; END $$`, tables))
		var n atomic.Int64
		config := s.Config(t, db)
		dial := config.DialFunc
		config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &turnConn{Conn: conn, turns: &n}, err
		}
		r, err := dump.Run(t.Context(), config, dump.Options{Dir: filepath.Join(t.TempDir(), "archive"), NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.Tables != tables || r.Retries != 0 {
			t.Errorf("%d tables with %d retries, want %d and none", r.Tables, r.Retries, tables)
		}
		return n.Load()
	}
	few, many := turns(7), turns(210)
	if many > few+15 {
		t.Errorf("%d round trips for 210 tables, %d for 7", many, few)
	}
}

// A pause is a log handler that calls a function at a message.
type pause struct {
	slog.Handler
	at string
	do func()
}

func (p pause) Enabled(context.Context, slog.Level) bool { return true }

func (p pause) Handle(_ context.Context, r slog.Record) error {
	if r.Message == p.at {
		p.do()
	}
	return nil
}

// TestSmallTableThatIsWanted shows that of several tables that are read at once
// the one is named for whose lock another session waits.
func TestSmallTableThatIsWanted(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, `CREATE TABLE large AS SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g;
CREATE TABLE before AS SELECT 1 AS a; CREATE TABLE held AS SELECT 1 AS a; CREATE TABLE later AS SELECT 1 AS a`)
	other := s.Conn(t, db)
	locked := make(chan error, 1)
	wait := func() {
		go func() {
			_, err := other.Exec(context.WithoutCancel(t.Context()), "BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE; ROLLBACK")
			locked <- err
		}()
		for s.Text(t, db, "SELECT count(*) FROM pg_locks WHERE relation = 'held'::regclass AND NOT granted") != "1" {
			time.Sleep(10 * time.Millisecond)
		}
	}
	_, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{
		Dir: filepath.Join(t.TempDir(), "archive"), Jobs: 1, NoSync: true,
		Logger: slog.New(pause{slog.DiscardHandler, "dumping contents of table public.large", wait}),
	})
	if want := "dump public.held: another session waits for an exclusive lock on the table"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := <-locked; err != nil {
		t.Error(err)
	}
}

// TestLockTableTooSmall shows that the setting which the error names is enough.
func TestLockTableTooSmall(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"max_locks_per_transaction": "10", "max_connections": "20", "max_worker_processes": "0", "max_wal_senders": "0", "autovacuum": "off"}
	run := func(settings map[string]string) error {
		s := pgtest.Private(t, 18, pgtest.Options{Settings: settings})
		db := s.Database(t)
		for range 10 { // each in a transaction of its own, for its locks
			s.Exec(t, db, `DO $$ DECLARE n int := (SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]'); BEGIN
FOR i IN n + 1..n + 150 LOOP EXECUTE format('CREATE TABLE t%s (a int)', i); END LOOP; END $$`)
		}
		_, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{Dir: filepath.Join(t.TempDir(), "archive"), NoSync: true})
		return err
	}
	err := run(settings)
	if err == nil {
		t.Fatal("1,500 tables found room in a lock table for 200")
	}
	found := regexp.MustCompile(`^read catalog: lock 1500 tables: .* set max_locks_per_transaction from 10 to (\d+) or more`).FindStringSubmatch(err.Error())
	if found == nil {
		t.Fatalf("got %v, which does not name the setting", err)
	}
	settings["max_locks_per_transaction"] = found[1]
	if err := run(settings); err != nil {
		t.Errorf("with %s: %v", found[1], err)
	}
}
