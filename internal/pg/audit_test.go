package pg

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/redact"
)

// A lines is an audit log in memory.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
	err error
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	return l.buf.Write(p)
}

func (l *lines) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lines) records(t *testing.T) []auditRecord {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []auditRecord
	for line := range strings.Lines(l.buf.String()) {
		var r auditRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, r)
	}
	return out
}

// watched connects with an audit.
func watched(t *testing.T, s *pgtest.Server, db string) (*pgx.Conn, *Audit, *lines) {
	t.Helper()
	log := new(lines)
	a := NewAudit(log)
	cfg := s.Config(t, db)
	a.Watch(cfg, "target")
	conn, err := Connect(t.Context(), cfg, Write, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(conn) })
	return conn, a, log
}

// TestAuditMatchesServer sends statements in every way there is and compares
// the audit with what the server says it was asked to do.
func TestAuditMatchesServer(t *testing.T) {
	majors := pgtest.Versions(t)
	s := pgtest.Private(t, majors[len(majors)-1], pgtest.Options{Template: true})
	s.LogStatements(t)
	conn, a, log := watched(t, s, "postgres")
	ctx, c := t.Context(), conn.PgConn()

	exec := func(sql string) error {
		_, err := c.Exec(ctx, sql).ReadAll()
		return err
	}
	for _, sql := range []string{
		"SET search_path = public",
		"CREATE ROLE worker LOGIN PASSWORD 'pa-ss-word'; CREATE TABLE t (a int, b text)",
		"GRANT ALL ON t TO worker; ALTER TABLE t OWNER TO worker; GRANT worker TO CURRENT_USER",
		"INSERT INTO t VALUES (1, 'one'),\n\t(2, 'two');\nUPDATE t SET b = 'x'",
		"BEGIN", "SET ROLE worker", "SELECT * FROM t", "ROLLBACK",
		"SELECT count(*) FROM t", "SET ROLE \"worker\"", "DELETE FROM t WHERE a = 1", "RESET ROLE", "",
	} {
		if err := exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := exec("SELECT 1; SELECT 1/0; SELECT 2"); Code(err) != "22012" {
		t.Fatal(err)
	}
	// The extended protocol: alone, prepared, in a batch, in a pipeline.
	if _, err := conn.Exec(ctx, "INSERT INTO t VALUES ($1, $2)", 3, "a value"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "INSERT INTO nowhere VALUES ($1)", 3); Code(err) != "42P01" {
		t.Fatal(err)
	}
	if _, err := c.Prepare(ctx, "p", "SELECT $1::int + 1", nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := c.ExecPrepared(ctx, "p", [][]byte{[]byte("1")}, nil, nil).Read(); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	batch := &pgx.Batch{}
	batch.Queue("SELECT 'batch', $1::int", 1)
	batch.Queue("INSERT INTO t SELECT generate_series(1, 10)")
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		t.Fatal(err)
	}
	pipe := c.StartPipeline(ctx)
	for _, sql := range []string{"SELECT 'pipe'", "SELECT 1/0", "SELECT 'never'"} {
		pipe.SendQueryParams(sql, nil, nil, nil, nil)
	}
	if err := pipe.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); Code(err) != "22012" {
		t.Fatal(err)
	}
	// COPY both ways, and what the frontend is given directly.
	if _, err := c.CopyFrom(ctx, strings.NewReader(strings.Repeat("7\tseven\n", 50_000)), "TRUNCATE t; COPY t FROM STDIN"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := CopyOut(ctx, c, "COPY t TO STDOUT", &out); err != nil || out.Len() != 50_000*8 {
		t.Fatal(out.Len(), err)
	}
	if _, err := c.CopyTo(ctx, io.Discard, "COPY (SELECT 1/a FROM t) TO STDOUT"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"SELECT 'first'", "SELECT nothing", "SELECT 'last'"} {
		c.Frontend().SendQuery(&pgproto3.Query{String: sql})
	}
	if err := c.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 3; {
		msg, err := c.ReceiveMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := msg.(*pgproto3.ReadyForQuery); ok {
			n++
		}
	}
	long := "SELECT '" + strings.Repeat("x", 200_000) + "'"
	if err := exec(long); err != nil {
		t.Fatal(err)
	}
	Close(conn)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}

	records := log.records(t)
	if records[0].Event != "connect" || records[len(records)-1].Event != "close" {
		t.Errorf("begins with %s and ends with %s", records[0].Event, records[len(records)-1].Event)
	}
	type counts map[string]int
	count := counts{}
	var sent, results []auditRecord
	for _, r := range records {
		if r.Connection.PID == 0 || r.Connection.Host == "" || r.Connection.Database != "postgres" || r.Connection.End != "target" {
			t.Errorf("connection %+v", r.Connection)
		}
		switch r.Event {
		case "send":
			sent = append(sent, r)
			count[r.Statement]++
		case "result":
			results = append(results, r)
			if r.Seconds == nil || (r.Rows == nil) == (r.SQLState == "" && !strings.HasPrefix(r.Result, "not run")) {
				t.Errorf("%+v", r)
			}
		}
	}
	server := counts{}
	pid := int(records[0].Connection.PID)
	for _, st := range s.Statements(t) {
		if st.PID == pid {
			server[cut(redact.SQL(st.Text))]++
		}
	}
	if len(server) < 20 {
		t.Errorf("only %d statements in the server's log", len(server))
	}
	for sql, n := range server {
		if count[sql] < n {
			t.Errorf("the server ran %d times, the audit has %d: %s", n, count[sql], cut200(sql))
		}
	}
	if len(results) != len(sent) {
		t.Errorf("%d sent, %d results", len(sent), len(results))
	}
	if strings.Contains(log.buf.String(), "pa-ss-word") || strings.Contains(log.buf.String(), "a value") || strings.Contains(log.buf.String(), "seven") {
		t.Error("a password, a parameter or rows are in the audit")
	}

	want := []string{
		"INSERT INTO t VALUES (1, 'one')… postgres 4 INSERT 0 2; UPDATE 2",
		"SELECT * FROM t… worker 2 SELECT 2",
		"ROLLBACK… worker 0 ROLLBACK",
		"SELECT count(*) FROM t… postgres 1 SELECT 1",
		"DELETE FROM t WHERE a = 1… worker 1 DELETE 1",
		"SELECT 1; SELECT 1/0; SELECT 2… postgres - SELECT 1; ERROR: division by zero",
		"INSERT INTO t VALUES ($1, $2)… postgres 1 INSERT 0 1",
		"INSERT INTO nowhere VALUES ($1)… postgres - ERROR: relation \"nowhere\" does not exist",
		"SELECT 1/0… postgres - ERROR: division by zero",
		"SELECT 'never'… postgres - not run: a statement before it failed",
		"INSERT INTO t SELECT generate_series(1, 10)… postgres 10 INSERT 0 10",
		"TRUNCATE t; COPY t FROM STDIN… postgres 50000 TRUNCATE TABLE; COPY 50000",
		"COPY t TO STDOUT… postgres 50000 COPY 50000",
		"SELECT nothing… postgres - ERROR: column \"nothing\" does not exist",
	}
	var got []string
	for _, r := range results {
		rows := "-"
		if r.Rows != nil {
			rows = fmt.Sprint(*r.Rows)
		}
		first, _, _ := strings.Cut(r.Statement, ",\n")
		got = append(got, fmt.Sprintf("%s… %s %s %s", cut200(first), strings.ReplaceAll(r.Role, s.Superuser, "postgres"), rows, r.Result))
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("no line %q", line)
		}
	}
	if t.Failed() {
		t.Logf("the results are\n%s", strings.Join(got, "\n"))
	}
	if last := results[len(results)-1]; last.Bytes != len(long) || len(last.Statement) > auditText {
		t.Errorf("a long statement of %d bytes has %d, of %d", len(long), len(last.Statement), last.Bytes)
	}
}

func cut200(s string) string { return s[:min(len(s), 200)] }

// A statement whose line cannot be written is not sent.
func TestAuditThatCannotBeWritten(t *testing.T) {
	majors := pgtest.Versions(t)
	s := pgtest.Start(t, majors[len(majors)-1])
	db := s.Database(t)
	conn, a, log := watched(t, s, db)
	full := errors.New("the disk is full")
	log.fail(full)
	if _, err := conn.PgConn().Exec(t.Context(), "CREATE TABLE t (a int)").ReadAll(); !errors.Is(err, full) {
		t.Errorf("the statement ended with %v", err)
	}
	Close(conn)
	if err := a.Close(); !errors.Is(err, full) {
		t.Errorf("the audit ended with %v", err)
	}
	if n := s.Text(t, db, "SELECT count(*) FROM pg_class WHERE relname = 't'"); n != "0" {
		t.Error("the statement was sent all the same")
	}
}

// What was under way when a connection is lost or given up is told as unknown,
// and connections that are refused are told as well.
func TestAuditOfLostConnections(t *testing.T) {
	majors := pgtest.Versions(t)
	s := pgtest.Start(t, majors[len(majors)-1])
	db := s.Database(t)

	conn, a, log := watched(t, s, db)
	s.Exec(t, db, fmt.Sprintf("SELECT pg_terminate_backend(%d)", conn.PgConn().PID()))
	if _, err := conn.PgConn().Exec(t.Context(), "SELECT 'after the end'").ReadAll(); err == nil {
		t.Error("no error")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	told := slices.ContainsFunc(log.records(t), func(r auditRecord) bool {
		return r.SQLState == "57P01" || strings.HasPrefix(r.Result, "unknown")
	})
	if !told {
		t.Errorf("nothing told of the end of the connection:\n%s", log.buf.String())
	}

	conn, a, log = watched(t, s, db)
	ctx, cancel := context.WithCancel(t.Context())
	s.Exec(t, db, "CREATE TABLE locked (a int)")
	holder := s.Conn(t, db)
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE locked"); err != nil {
		t.Fatal(err)
	}
	c := conn.PgConn()
	waiting := make(chan error)
	go func() {
		_, err := c.Exec(ctx, "DROP TABLE public.locked").ReadAll()
		waiting <- err
	}()
	for s.Text(t, db, fmt.Sprintf("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %d", c.PID())) == "0" {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-waiting; err == nil {
		t.Error("no error")
	}
	Close(conn)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	told = false
	for _, r := range log.records(t) {
		if r.Statement == "DROP TABLE public.locked" && r.Event == "result" {
			told = strings.HasPrefix(r.Result, "unknown") || r.SQLState == "57014"
		}
	}
	if !told {
		t.Errorf("nothing told of the statement that was cancelled:\n%s", log.buf.String())
	}

	log = new(lines)
	a = NewAudit(log)
	cfg := s.Config(t, "no such database")
	a.Watch(cfg, "source")
	if _, err := Connect(t.Context(), cfg, ReadData, Options{}); Code(err) != "3D000" {
		t.Fatal(err)
	}
	if r := log.records(t); len(r) != 1 || r[0].Event != "connect" || r[0].SQLState != "3D000" || r[0].Connection.User != s.Superuser {
		t.Errorf("%+v", r)
	}
}

// However the bytes are cut, the messages are the same.
func TestMessages(t *testing.T) {
	var stream []byte
	stream, _ = (&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u"}}).Encode(stream)
	stream, _ = (&pgproto3.Query{String: "SELECT 1"}).Encode(stream)
	stream, _ = (&pgproto3.CopyData{Data: bytes.Repeat([]byte("Q\x00\x00\x00\x05"), 1000)}).Encode(stream)
	stream, _ = (&pgproto3.CopyDone{}).Encode(stream)
	stream, _ = (&pgproto3.Sync{}).Encode(stream)
	stream, _ = (&pgproto3.Query{String: strings.Repeat("y", 100)}).Encode(stream)
	const want = "0 12 12,Q 9 9,S 0 0,Q 10 101,"
	for range 200 {
		m := messages{untyped: true, keep: map[byte]int{'Q': 10, 'S': 0}}
		var got strings.Builder
		for rest := stream; len(rest) > 0; {
			n := min(1+rand.IntN(40), len(rest))
			if rand.IntN(2) == 0 {
				n = min(1+rand.IntN(len(stream)), len(rest))
			}
			if err := m.feed(rest[:n], func(kind byte, body []byte, size int) error {
				name := string(kind)
				if kind == 0 {
					name = "0"
				}
				fmt.Fprintf(&got, "%s %d %d,", name, len(body), size)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if got.String() != want {
			t.Fatalf("got  %s\nwant %s", got.String(), want)
		}
	}
}
