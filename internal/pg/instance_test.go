package pg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// relay forwards each connection to the address that pick names for it, and
// gives clients another number for the server's process than the server does,
// as poolers and proxies do.
func relay(t *testing.T, pick func(n int) string) (host string, port uint16) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() {
		for n := 1; ; n++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", pick(n))
			if err != nil {
				client.Close()
				continue
			}
			stop := context.AfterFunc(ctx, func() { client.Close(); server.Close() })
			all.Go(func() {
				defer stop()
				io.Copy(server, client)
				server.Close()
			})
			all.Go(func() {
				defer client.Close()
				if disguise(client, server) == nil {
					io.Copy(client, server)
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		listener.Close()
		all.Wait()
	})
	return "127.0.0.1", uint16(listener.Addr().(*net.TCPAddr).Port)
}

// disguise forwards what a server says first, with another process number.
func disguise(client io.Writer, server io.Reader) error {
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(server, head); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return err
		}
		if head[0] == 'K' {
			body[0] ^= 0x40
		}
		if _, err := client.Write(append(head, body...)); err != nil || head[0] == 'Z' {
			return err
		}
	}
}

// through is the configuration of a server behind a relay or pooler.
func through(t *testing.T, s *pgtest.Server, db, host string, port uint16) *pgx.ConnConfig {
	t.Helper()
	cfg := s.Config(t, db)
	cfg.Host, cfg.Port = host, port
	return cfg
}

// A proxy that gives each client a server process of its own does no harm.
func TestProxyIsDirect(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	host, port := relay(t, func(int) string { return fmt.Sprintf("%s:%d", s.Host, s.Port) })
	conn, err := Connect(t.Context(), through(t, s, db, host, port), ReadData, Options{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(conn)
	if pid, err := backend(t.Context(), conn.PgConn()); err != nil || pid == conn.PgConn().PID() {
		t.Errorf("the relay does not disguise process %d, %v", pid, err)
	}
}

// An address that leads to several servers is found out before anything is read
// from the wrong one.
func TestSeveralServers(t *testing.T) {
	t.Parallel()
	servers := [2]*pgtest.Server{pgtest.Start(t, 17), pgtest.Start(t, 18)}
	host, port := relay(t, func(n int) string {
		s := servers[n%2]
		return fmt.Sprintf("%s:%d", s.Host, s.Port)
	})
	var conns [2]*pgx.Conn
	for i := range conns {
		var err error
		if conns[i], err = Connect(t.Context(), through(t, servers[0], "postgres", host, port), ReadData, Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { Close(conns[i]) })
	}
	snapshot, err := Export(t.Context(), conns[0], "")
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Join(t.Context(), conns[1].PgConn()); err == nil || !strings.Contains(err.Error(), "several servers") {
		t.Errorf("joined a snapshot of another server: %v", err)
	}
}

// A restart makes another instance; a second session does not.
func TestInstance(t *testing.T) {
	t.Parallel()
	s := pgtest.Private(t, 18, pgtest.Options{Template: true})
	of := func() Instance {
		conn, err := Connect(t.Context(), s.Config(t, "postgres"), ReadCatalog, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer Close(conn)
		return InstanceOf(conn.PgConn())
	}
	first, second := of(), of()
	s.Restart(t)
	third := of()
	if first == (Instance{}) || first.Differs(second) || !second.Differs(third) || third.Differs(Instance{}) {
		t.Errorf("instances %v, %v and after a restart %v", first, second, third)
	}
	if err := os.WriteFile(filepath.Join(s.Data, "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	if i := of(); !i.Standby {
		t.Errorf("instance %v is not known as a standby", i)
	}
	if _, err := Connect(t.Context(), s.Config(t, "postgres"), Write, Options{}); err == nil || !strings.Contains(err.Error(), "read replica") {
		t.Errorf("a standby is written to: %v", err)
	}
}

// share is a pooler in transaction mode with one server session for all of its
// clients, for simple queries.
func share(t *testing.T, s *pgtest.Server, db string) (host string, port uint16) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := s.Conn(t, db).PgConn()
	var all sync.WaitGroup
	var turn sync.Mutex
	serve := func(client net.Conn) error {
		b := pgproto3.NewBackend(client, client)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return err
		}
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: server.ParameterStatus("server_version")})
		b.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})
		for {
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			if err := b.Flush(); err != nil {
				return err
			}
			msg, err := b.Receive()
			if err != nil {
				return err
			}
			query, ok := msg.(*pgproto3.Query)
			if !ok {
				return nil
			}
			turn.Lock()
			results, err := server.Exec(context.Background(), query.String).ReadAll()
			turn.Unlock()
			if err != nil {
				return err
			}
			for _, r := range results {
				fields := make([]pgproto3.FieldDescription, len(r.FieldDescriptions))
				for i, f := range r.FieldDescriptions {
					fields[i] = pgproto3.FieldDescription{Name: []byte(f.Name), DataTypeOID: f.DataTypeOID}
				}
				b.Send(&pgproto3.RowDescription{Fields: fields})
				for _, row := range r.Rows {
					b.Send(&pgproto3.DataRow{Values: row})
				}
				b.Send(&pgproto3.CommandComplete{CommandTag: []byte(r.CommandTag.String())})
			}
		}
	}
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer client.Close()
				_ = serve(client) // ends with the client
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	return "127.0.0.1", uint16(listener.Addr().(*net.TCPAddr).Port)
}

// Sessions that share a process of the server are refused, before anything is
// set that other clients would notice.
func TestSharedSessions(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	host, port := share(t, s, db)
	if _, err := Connect(t.Context(), through(t, s, db, host, port), ReadData, Options{Direct: true}); !errors.Is(err, ErrPooled) {
		t.Errorf("got %v, want %v", err, ErrPooled)
	}
	conn, err := Connect(t.Context(), s.Config(t, db), ReadData, Options{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	Close(conn)
}

// bouncer runs pgbouncer before a server. Where it is not installed the test is
// skipped, in CI too: what it shows, TestSharedSessions shows without it.
func bouncer(t *testing.T, s *pgtest.Server, mode string) (host string, port uint16) {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Skip("pgbouncer is not installed")
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = uint16(listener.Addr().(*net.TCPAddr).Port)
	listener.Close()
	dir := pgtest.TempDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=%s port=%d user=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\npool_mode = %s\n",
		s.Host, s.Port, s.Superuser, port, mode)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{config}
	if os.Getuid() == 0 {
		args = []string{"-u", "nobody", config}
	}
	var log bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return "127.0.0.1", port
		}
		if time.Now().After(deadline) {
			t.Fatal("pgbouncer does not answer")
		}
	}
}

// pgbouncer is refused in transaction mode only, and keeps nothing of us.
func TestPgbouncer(t *testing.T) {
	t.Parallel()
	for mode, refused := range map[string]bool{"transaction": true, "statement": true, "session": false} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := pgtest.Start(t, 18)
			db := s.Database(t)
			host, port := bouncer(t, s, mode)
			cfg := through(t, s, db, host, port)
			conn, err := Connect(t.Context(), cfg, ReadData, Options{Direct: true})
			if err == nil {
				Close(conn)
			}
			if errors.Is(err, ErrPooled) != refused || !refused && err != nil {
				t.Errorf("got %v, refused is %t", err, refused)
			}
			plain := cfg.Copy()
			plain.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
			other, err := pgx.ConnectConfig(t.Context(), plain)
			if err != nil {
				t.Fatal(err)
			}
			defer Close(other)
			var path string
			if err := other.QueryRow(t.Context(), "SHOW search_path").Scan(&path); err != nil || path != `"$user", public` {
				t.Errorf("another client of the pool has search_path %q, %v", path, err)
			}
		})
	}
}
