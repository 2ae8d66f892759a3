package pg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// pieces reads a stream in pieces of random lengths.
type pieces struct {
	r   io.Reader
	rnd *rand.Rand
}

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:1+p.rnd.IntN(len(b))]) }

// blocks takes rows and remembers where the Writes ended.
type blocks struct {
	bytes.Buffer
	ends []int
}

func (b *blocks) Write(p []byte) (int, error) {
	n, err := b.Buffer.Write(p)
	b.ends = append(b.ends, b.Len())
	return n, err
}

// TestTap cuts streams of messages anywhere: rows reach the writer whole and in
// order, all else reaches pgconn.
func TestTap(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var stream, rows []byte
		var others []string
		border := map[int]bool{}
		var long [][2]int // rows that come in pieces
		add := func(m pgproto3.BackendMessage) {
			var err error
			if stream, err = m.Encode(stream); err != nil {
				t.Fatal(err)
			}
		}
		add(&pgproto3.CopyOutResponse{ColumnFormatCodes: []uint16{0}})
		for range 2000 {
			size := rnd.IntN(300)
			switch rnd.IntN(400) {
			case 0:
				size = rnd.IntN(3 * blockSize)
			case 1:
				size = blockSize/2 - 5 + rnd.IntN(3)
			case 2:
				text := strings.Repeat("n", rnd.IntN(20_000))
				add(&pgproto3.NoticeResponse{Message: text})
				others = append(others, text)
			}
			row := bytes.Repeat([]byte{byte('a' + rnd.IntN(26))}, size)
			add(&pgproto3.CopyData{Data: row})
			if len(row)+5 > blockSize/2 {
				long = append(long, [2]int{len(rows), len(rows) + len(row)})
			}
			rows = append(rows, row...)
			border[len(rows)] = true
		}
		add(&pgproto3.CopyDone{})
		add(&pgproto3.CommandComplete{CommandTag: []byte("COPY 2000")})
		others = append(others, "done", "COPY 2000")
		var got blocks
		tap := &tap{r: pieces{bytes.NewReader(stream), rnd}}
		tap.start(&got)
		seen := receive(t, pgproto3.NewFrontend(tap, nil))
		if err := tap.stop(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(others, seen); diff != "" {
			t.Errorf("seed %d: messages other than rows (-want +got):\n%s", seed, diff)
		}
		if !bytes.Equal(got.Bytes(), rows) {
			t.Errorf("seed %d: %d bytes of rows differ from the %d sent", seed, got.Len(), len(rows))
		}
		for _, end := range got.ends {
			if !border[end] && !slices.ContainsFunc(long, func(r [2]int) bool { return r[0] < end && end < r[1] }) {
				t.Errorf("seed %d: a block ends at %d, inside a short row", seed, end)
			}
		}
	}
}

// receive reads messages up to a CommandComplete.
func receive(t *testing.T, f *pgproto3.Frontend) (seen []string) {
	t.Helper()
	for {
		m, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.CopyOutResponse:
		case *pgproto3.NoticeResponse:
			seen = append(seen, m.Message)
		case *pgproto3.CopyDone:
			seen = append(seen, "done")
		case *pgproto3.CommandComplete:
			return append(seen, string(m.CommandTag))
		default:
			t.Fatalf("%T reached pgconn", m)
		}
	}
}

// manyRows is more than is needed for reading in bulk, with a row at its end
// that does not fit into a block.
const manyRows = "COPY (SELECT i, repeat('x', 90) FROM generate_series(1, 40000) i UNION ALL SELECT 0, repeat('y', 1000000)) TO STDOUT"

func wantRows() string {
	var b strings.Builder
	for i := 1; i <= 40000; i++ {
		fmt.Fprintf(&b, "%d\t%s\n", i, strings.Repeat("x", 90))
	}
	return b.String() + "0\t" + strings.Repeat("y", 1000000) + "\n"
}

func TestCopyOut(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		db := s.Database(t)
		var notices []string
		cfg := s.Config(t, db)
		cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n.Message) }
		conn, err := Connect(t.Context(), cfg, ReadData, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer Close(conn)
		c := conn.PgConn()
		copyAll(t, c)
		s.Exec(t, db, `CREATE FUNCTION chatty(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF i % 10000 = 0 THEN RAISE NOTICE 'at %', i; END IF; RETURN i; END $$`)
		if tag, err := CopyOut(t.Context(), c, "COPY (SELECT public.chatty(i), repeat('x', 90) FROM generate_series(1, 30000) i) TO STDOUT", io.Discard); err != nil || tag.RowsAffected() != 30000 {
			t.Errorf("got %s, %v, want 30000 rows", tag, err)
		}
		if diff := cmp.Diff([]string{"at 10000", "at 20000", "at 30000"}, notices); diff != "" {
			t.Errorf("notices (-want +got):\n%s", diff)
		}
		if _, err := CopyOut(t.Context(), c, "COPY (SELECT 1 / (30000 - i), repeat('x', 90) FROM generate_series(1, 40000) i) TO STDOUT", io.Discard); Code(err) != "22012" {
			t.Errorf("a failing COPY returned %v, want a division by zero", err)
		}
		if _, err := CopyOut(t.Context(), c, "COPY nowhere TO STDOUT", io.Discard); Code(err) != "42P01" {
			t.Errorf("a COPY of nothing returned %v, want an undefined table", err)
		}
		copyAll(t, c) // errors of the server leave the connection whole
	})
}

func copyAll(t *testing.T, c *pgconn.PgConn) {
	t.Helper()
	var got bytes.Buffer
	tag, err := CopyOut(t.Context(), c, manyRows, &got)
	if err != nil || tag.RowsAffected() != 40001 {
		t.Fatalf("got %s, %v, want 40001 rows", tag, err)
	}
	if got.String() != wantRows() {
		t.Errorf("the %d bytes of the rows are not those of the table", got.Len())
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCopyOutStops shows that a COPY that never ends can be stopped from either
// end, whether rows come or not, and that the connection is gone then.
func TestCopyOutStops(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Versions(t)[0])
	db := s.Database(t)
	full := errors.New("no room")
	endless := "COPY (SELECT generate_series(1, 1000000000), repeat('x', 90)) TO STDOUT"
	stalls := "COPY (SELECT i, repeat('x', 90), CASE WHEN i = 100000 THEN pg_sleep(1000) END FROM (SELECT generate_series(1, 100001) i) s) TO STDOUT"
	for _, c := range []struct {
		name, sql string
		after     int // bytes
		fail      error
		want      error
	}{
		{"the writer fails at once", endless, 0, full, full},
		{"the writer fails in bulk", endless, 4 << 20, full, full},
		{"cancelled while rows come", endless, 4 << 20, nil, context.Canceled},
		{"cancelled while none come", stalls, 9 << 20, nil, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			conn := connect(t, s, db, ReadData, Options{})
			w := &limited{left: c.after, then: func() error { cancel(); return c.fail }}
			if c.fail != nil {
				w.then = func() error { return c.fail }
			}
			_, err := CopyOut(ctx, conn.PgConn(), c.sql, w)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if !conn.IsClosed() {
				t.Error("the connection can be used, in the middle of a COPY")
			}
		})
	}
}

// limited calls then once more than left bytes have come.
type limited struct {
	left int
	then func() error
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		if err := l.then(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func TestCopyOutTLS(t *testing.T) {
	t.Parallel()
	s := pgtest.Private(t, pgtest.Versions(t)[0], pgtest.Options{TLS: true})
	conn := connect(t, s, s.Database(t), ReadData, Options{})
	copyAll(t, conn.PgConn())
	copyAll(t, conn.PgConn())
}

func BenchmarkTap(b *testing.B) {
	var stream []byte
	for i := range 10000 {
		m := pgproto3.CopyData{Data: fmt.Appendf(nil, "%d\t%s\n", i, strings.Repeat("x", 90))}
		stream, _ = m.Encode(stream)
	}
	b.SetBytes(int64(len(stream)))
	end, _ := (&pgproto3.CopyDone{}).Encode(nil)
	p := make([]byte, 8192)
	for b.Loop() {
		t := &tap{r: io.MultiReader(bytes.NewReader(stream), bytes.NewReader(end))}
		t.start(io.Discard)
		if n, err := t.Read(p); err != nil || n != len(end) {
			b.Fatal(n, err)
		}
	}
}

// TestCopyOutEach tells the rows of one statement from those of the next, and
// which of them failed.
func TestCopyOutEach(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		conn, err := Connect(t.Context(), s.Config(t, s.Database(t)), ReadData, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer Close(conn)
		c := conn.PgConn()
		var got bytes.Buffer
		var ends []string
		read := func(sql string, fail error) error {
			got.Reset()
			ends = nil
			return CopyOutEach(t.Context(), c, sql, &got, func(rows int64) error {
				ends = append(ends, fmt.Sprintf("%d rows, %d bytes", rows, got.Len()))
				return fail
			})
		}
		const many = "COPY (SELECT repeat('x', 9) FROM generate_series(1, 90000)) TO STDOUT;"
		const sql = "SET DateStyle = ISO; COPY (SELECT 1) TO STDOUT; COPY (SELECT 1 WHERE false) TO STDOUT;" + many + "COPY (SELECT repeat('y', 999999)) TO STDOUT;"
		if err := read(sql, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1 rows, 2 bytes", "0 rows, 2 bytes", "90000 rows, 900002 bytes", "1 rows, 1900002 bytes"}, ends); diff != "" {
			t.Errorf("statements (-want +got):\n%s", diff)
		}
		if err := read(many+"COPY (SELECT 1 / (3 - i) FROM generate_series(1, 5) i) TO STDOUT;"+many, nil); Code(err) != "22012" || len(ends) != 1 {
			t.Errorf("got %v after %d statements, want a division by zero after 1", err, len(ends))
		}
		copyAll(t, c)
		full := errors.New("full")
		if err := read(many+many, full); !errors.Is(err, full) || len(ends) != 1 || !c.IsClosed() {
			t.Errorf("got %v after %d statements, want the writer's error after 1, and the connection closed", err, len(ends))
		}
	})
}
