package pg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// blockSize is how much of a COPY is read at a time, in bytes.
const blockSize = 256 << 10

// CopyOut runs a COPY ... TO STDOUT on c and writes its data to w, whole
// messages of the server in blocks of up to 256 KiB. The server sends a row a
// message; one that is longer than half a block comes in pieces, so that no
// row is held in memory. w must not keep or change the slice. An error of w
// ends the connection, too.
//
// On connections of Connect it costs less than half of what pgconn's CopyTo
// does, whose place it takes on others.
func CopyOut(ctx context.Context, c *pgconn.PgConn, sql string, w io.Writer) (pgconn.CommandTag, error) {
	t, ok := c.CustomData()[tapKey].(*tap)
	if !ok {
		return c.CopyTo(ctx, w, sql)
	}
	// pgconn may hold a notice that came by itself. What the tap reads next has
	// to be the beginning of a message.
	if err := c.SyncConn(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	t.start(w)
	tag, err := c.CopyTo(ctx, strayData{}, sql)
	if wErr := t.stop(); wErr != nil {
		err = wErr
	}
	return tag, err
}

// CopyOutEach runs the COPY ... TO STDOUT statements of sql, which one message
// takes to the server, as CopyOut does, and calls done with the number of rows
// after the data of each. sql may hold other statements that return no rows. An
// error of the server is that of the statement after the last for which done was
// called, and ends all of them; one of w or done ends the connection, too. c is
// of Connect.
func CopyOutEach(ctx context.Context, c *pgconn.PgConn, sql string, w io.Writer, done func(rows int64) error) error {
	t, ok := c.CustomData()[tapKey].(*tap)
	if !ok {
		return errors.New("rows of several tables can only be read at once over a connection of Connect")
	}
	t.done = done
	defer func() { t.done = nil }()
	_, err := CopyOut(ctx, c, sql, w)
	return err
}

// strayData is where pgconn would write rows that had passed the tap.
type strayData struct{}

func (strayData) Write([]byte) (int, error) {
	return 0, errors.New("rows have passed the reader of COPY data")
}

const tapKey = "github.com/pghaul/pghaul tap"

// A tap stands between a connection and pgconn's reader. While a COPY runs it
// takes the rows out of the stream, in large blocks; everything else pgconn
// sees as ever, and with it errors, notices, cancelling and the end. At other
// times it passes everything through.
type tap struct {
	r    io.Reader // from the server
	sock *socket
	w    io.Writer // takes the rows of the COPY that runs, nil if none does
	err  error     // of w or done
	// done, if not nil, is called at the end of each COPY of several.
	done func(rows int64) error

	buf      []byte // buf[pos:end] is read, but not yet passed on
	pos, end int
	piece    int // bytes to come of a CopyData message too long for the buffer
	pass     int // bytes to come of a message that is for pgconn
	rows     int // bytes of rows so far
}

// connectTapped opens a connection with a tap.
func connectTapped(ctx context.Context, c *pgx.ConnConfig) (*pgx.Conn, error) {
	sockets := &dialer{dial: c.DialFunc}
	c.DialFunc = sockets.Dial
	var last *tap // several hosts may be tried
	build := c.BuildFrontend
	c.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		last = &tap{r: r, sock: sockets.last()}
		return build(last, w)
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	conn.PgConn().CustomData()[tapKey] = last
	return conn, nil
}

func (t *tap) start(w io.Writer) {
	if t.buf == nil {
		t.buf = make([]byte, blockSize)
	}
	t.w, t.err, t.piece, t.pass, t.rows = w, nil, 0, 0, 0
}

func (t *tap) stop() error {
	t.w = nil
	t.sock.bulk(false)
	return t.err
}

// Read implements io.Reader, for pgconn.
func (t *tap) Read(p []byte) (int, error) {
	if t.w == nil {
		if t.pos == t.end {
			return t.r.Read(p)
		}
		return t.give(p), nil
	}
	for {
		if t.pass > 0 && t.pos < t.end {
			n := t.give(p[:min(len(p), t.pass)])
			t.pass -= n
			return n, nil
		}
		if t.pass == 0 {
			if rows := t.sift(); len(rows) > 0 {
				if _, t.err = t.w.Write(rows); t.err != nil {
					return 0, t.err
				}
				if t.rows += len(rows); t.rows >= bulkAfter {
					t.sock.bulk(true)
				}
			}
			if n := t.message(); n > 0 && t.buf[t.pos] != 'd' {
				if t.done == nil || t.buf[t.pos] != 'C' || n > maxTag {
					t.pass = n
					continue
				}
				if n <= t.end-t.pos {
					if t.err = t.completed(t.buf[t.pos+5 : t.pos+n]); t.err != nil {
						return 0, t.err
					}
					t.pass = n
					continue
				}
			}
		}
		if err := t.fill(); err != nil {
			return 0, err
		}
	}
}

// maxTag is longer than the message that tells the end of any COPY, in bytes.
const maxTag = 64

// completed tells of the end of a COPY among several statements. tag is what the
// server says at the end of one, as "COPY 12", and a zero byte.
func (t *tap) completed(tag []byte) error {
	count, ok := bytes.CutPrefix(bytes.TrimRight(tag, "\x00"), []byte("COPY "))
	if !ok {
		return nil
	}
	rows, err := strconv.ParseInt(string(count), 10, 64)
	if err != nil {
		return fmt.Errorf("the server ended a COPY with %q: %w", tag, err)
	}
	return t.done(rows)
}

// give hands what is in the buffer to pgconn.
func (t *tap) give(p []byte) int {
	n := copy(p, t.buf[t.pos:t.end])
	t.pos += n
	return n
}

// message returns the length of the message that begins at pos, with its
// header, and 0 if its header has not come yet. A length that cannot be is
// pgconn's to complain about.
func (t *tap) message() int {
	if t.end-t.pos < 5 {
		return 0
	}
	return int(max(binary.BigEndian.Uint32(t.buf[t.pos+1:]), 4)) + 1
}

// sift takes CopyData messages from the front of the buffer and returns what
// is in them, moved together.
func (t *tap) sift() []byte {
	from, to := t.pos, t.pos
	for {
		if n := min(t.piece, t.end-t.pos); n > 0 {
			to += copy(t.buf[to:], t.buf[t.pos:t.pos+n])
			t.pos += n
			t.piece -= n
		}
		n := t.message()
		if t.piece > 0 || n == 0 || t.buf[t.pos] != 'd' {
			break
		}
		if n > t.end-t.pos && n <= len(t.buf)/2 {
			break // wait for all of it
		}
		t.pos += 5
		t.piece = n - 5
	}
	return t.buf[from:to]
}

// fill reads more into the buffer.
func (t *tap) fill() error {
	t.end = copy(t.buf, t.buf[t.pos:t.end])
	t.pos = 0
	n, err := t.r.Read(t.buf[t.end:])
	t.end += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}
