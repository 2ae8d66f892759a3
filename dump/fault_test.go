package dump_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// faultInput is a table and large objects of a few megabytes.
const faultInput = `CREATE TABLE big AS SELECT i, md5(i::text) AS a, repeat(md5(i::text), 3) AS b FROM generate_series(1, 60000) i;
CREATE TABLE small AS SELECT 1 AS i;
SELECT lo_from_bytea(1000 + i, decode(repeat(md5(i::text), 4000), 'hex')) FROM generate_series(1, 20) i;
SELECT lo_from_bytea(2000, decode(repeat('00ff', 1500000), 'hex'));`

// A wire counts what a dump reads and can cut its connections.
type wire struct {
	mu    sync.Mutex
	conns []*wireConn
	cut   func(number int, c *wireConn) bool // asked at each read
}

type wireConn struct {
	net.Conn
	w      *wire
	number int // 1 is the one that holds the snapshot
	read   atomic.Int64
	gone   atomic.Bool
}

var errCut = errors.New("the test has cut the connection")

func (c *wireConn) Read(p []byte) (int, error) {
	if c.gone.Load() || c.w.cut(c.number, c) {
		c.gone.Store(true)
		_ = c.Close()
		return 0, errCut
	}
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// on makes a configuration dial through the wire.
func (w *wire) on(config *pgx.ConnConfig) *pgx.ConnConfig {
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		c := &wireConn{Conn: conn, w: w, number: len(w.conns) + 1}
		w.conns = append(w.conns, c)
		return c, nil
	}
	return config
}

// TestLostWorkers cuts the first connections that read much, in the middle of
// a table and of the large objects. The dump is whole all the same.
func TestLostWorkers(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, faultInput)
	var cuts atomic.Int64
	w := &wire{cut: func(_ int, c *wireConn) bool {
		return c.read.Load() > 1<<20 && cuts.Load() < 2 && cuts.Add(1) <= 2
	}}
	var log bytes.Buffer
	dir := filepath.Join(pgtest.TempDir(t), "archive")
	report, err := dump.Run(t.Context(), w.on(s.Config(t, db)), dump.Options{Dir: dir, Jobs: 2, NoSync: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if cuts.Load() < 2 || strings.Count(log.String(), "connection lost, reading again") < 2 {
		t.Fatalf("%d connections were cut:\n%s", cuts.Load(), &log)
	}
	if report.Rows != 60001 || report.Retries < 2 {
		t.Errorf("%d rows, want 60001; %d retries", report.Rows, report.Retries)
	}
	copied := s.DatabaseFrom(t, "template0")
	restoreInto(t, s, copied, dir)
	sameContents(t, s, db, s, copied)
}

// TestLostLeader loses the session with the snapshot and the locks: the dump
// must not pretend that what it read belongs together.
func TestLostLeader(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, faultInput)
	var once sync.Once
	w := &wire{}
	w.cut = func(number int, c *wireConn) bool {
		if number > 3 && c.read.Load() > 1<<20 { // the rows have begun
			once.Do(func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				_ = w.conns[0].Close()
			})
		}
		return false
	}
	dir := filepath.Join(pgtest.TempDir(t), "archive")
	_, err := dump.Run(t.Context(), w.on(s.Config(t, db)), dump.Options{Dir: dir, Jobs: 2, NoSync: true})
	if err == nil || !strings.Contains(err.Error(), "snapshot") {
		t.Errorf("error %v, want one about the lost snapshot", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind: %v", dir, err)
	}
}

// TestSourceRestarts ends the dump plainly: the snapshot does not outlive the
// server.
func TestSourceRestarts(t *testing.T) {
	s := pgtest.Private(t, 18, pgtest.Options{Template: true})
	db := s.Database(t)
	s.Exec(t, db, faultInput)
	var once sync.Once
	w := &wire{cut: func(number int, c *wireConn) bool {
		if number > 3 && c.read.Load() > 1<<20 { // the rows have begun
			once.Do(func() { s.Restart(t) })
		}
		return false
	}}
	dir := filepath.Join(pgtest.TempDir(t), "archive")
	_, err := dump.Run(t.Context(), w.on(s.Config(t, db)), dump.Options{Dir: dir, Jobs: 2, NoSync: true})
	if err == nil || !strings.Contains(err.Error(), "the session that holds the snapshot was lost") {
		t.Errorf("error %v, want one about the lost snapshot", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind: %v", dir, err)
	}
}

// TestDiskFull writes into a file system of two megabytes.
func TestDiskFull(t *testing.T) {
	mount := pgtest.TempDir(t)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount).CombinedOutput(); err != nil {
		t.Skipf("only root can make a small file system: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE big AS SELECT i, md5(i::text) AS a, md5((i * 7)::text) AS b FROM generate_series(1, 100000) i")
	for _, compression := range []archive.Compression{archive.CompressZstd, archive.CompressNone, archive.CompressGzip, archive.CompressLZ4} {
		dir := filepath.Join(mount, string(compression))
		var log bytes.Buffer
		opts := dump.Options{Dir: dir, Compression: compression, Jobs: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		_, err := dump.Run(t.Context(), s.Config(t, db), opts)
		if strings.Contains(fmt.Sprint(err, log.String()), "connection lost") {
			t.Errorf("%s: a full disk was taken for a lost connection: %v\n%s", compression, err, log.String())
		}
		if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: error %v, want one about the full disk with the file's name", compression, err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s was left behind: %v", dir, err)
		}
	}
}

// TestDirectory refuses what is there already and leaves it alone.
func TestDirectory(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	dir := pgtest.TempDir(t)
	kept := filepath.Join(dir, "kept")
	if err := os.WriteFile(kept, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, kept} {
		_, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{Dir: path})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one with the path", path, err)
		}
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "mine" {
		t.Errorf("the file there is now %q, %v", text, err)
	}
}
