package restore

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghaul/pghaul/copyproto"
)

const (
	// maxFlight is how many messages may be under way whose results are still to
	// come. Results are read while messages are sent, so that neither side can fill
	// the other's socket buffer and wait for it for ever.
	maxFlight = 512
	// wireSize is how much is gathered before it is written to the connection, and
	// so the size of the messages that rows are sent in.
	wireSize = 128 << 10
	// copyHeader is what a message with rows begins with: its type and its length.
	copyHeader = 5
	// lastWords is how long to wait for what a server has to say that took no more.
	lastWords = 5 * time.Second
)

var (
	// errCopyIn is the failure of a statement that would read rows from us.
	errCopyIn = errors.New("the statement is a COPY FROM STDIN, for which there are no rows")
	// errAnswered stops rows that the server has refused already.
	errAnswered = errors.New("the server has answered already")
	// past is a deadline that ends what is under way on a connection.
	past = time.Unix(1, 0)
)

// A lostError is the end of a connection, be it that ctx ended. Statements that
// were sent and not reported may have been run or not.
type lostError struct{ err error }

func (e *lostError) Error() string { return "connection to target lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// A message is one text that is sent as a simple query, since one definition may
// hold several statements.
type message struct {
	step int // position in the plan
	sql  string
	main bool // the definition, not a setting or the owner
	last bool // of its step
	// rows writes the rows of a message that ends with COPY FROM STDIN; nil for
	// others. An error of it is that of the message.
	rows func(ctx context.Context, w io.Writer) error
	// passed, if not nil, is told of the rows and bytes that were sent.
	passed func(rows, bytes int64)

	answered context.CancelCauseFunc // ends rows
	failed   atomic.Pointer[error]   // of rows
}

// An answer is the result of a message.
type answer struct {
	rows int64  // affected, by all of its statements
	tag  string // of its last statement
	err  error  // the server's refusal, or the failure of the message's rows
}

// exchange sends messages without waiting for the result of each, so that a far
// server does not cost a round trip a statement. At most flight are under way.
// After an error the server ignores what is left of the rows of a COPY.
//
// next returns the messages in turn, called on a goroutine of its own. done is
// told the answer to each in the same order. An error of done stops the sending,
// not what is under way already, and is returned. The other error is a *lostError.
func exchange(ctx context.Context, c *pgconn.PgConn, flight int, next func() (*message, bool), done func(*message, answer) error) error {
	s := &sender{
		conn: c.Conn(), out: c.Frontend(), buf: buffers.Get().(*[]byte),
		room: make(chan struct{}, flight), sent: make(chan *message, flight), stop: make(chan struct{}),
	}
	// A deadline ends reading and writing, and leaves closing to the caller: pgconn
	// would close the connection while the other goroutine still writes to it.
	unblock := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(past) })
	defer unblock()
	sending, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.run(sending, next) })

	var stop error
	for m := range s.sent {
		a, err := receive(c, m)
		if err != nil {
			_ = s.conn.SetWriteDeadline(past) // nothing more is to go out
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return &lostError{err}
		}
		<-s.room
		if err := done(m, a); err != nil && stop == nil {
			stop = err
			close(s.stop)
		}
	}
	if s.err != nil {
		return &lostError{s.err}
	}
	return stop
}

// buffers are for what is being sent.
var buffers = sync.Pool{New: func() any { return new(make([]byte, 0, wireSize)) }}

// A sender writes messages to a connection whose answers another goroutine
// reads. It gathers them in a buffer of its own.
type sender struct {
	conn net.Conn
	out  *pgproto3.Frontend
	buf  *[]byte
	room chan struct{} // holds one for each message under way
	sent chan *message // messages whose answers are to come
	stop chan struct{} // closed when no more are to be sent
	err  error         // why no more could be; to be read when sent is closed
}

func (s *sender) run(ctx context.Context, next func() (*message, bool)) {
	defer close(s.sent)
	defer s.release()
	defer func() { s.flush() }()
	for {
		select {
		case s.room <- struct{}{}:
		default:
			if !s.flush() {
				return
			}
			select {
			case s.room <- struct{}{}:
			case <-s.stop:
				return
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-s.stop:
			return
		default:
		}
		m, more := next()
		if !more || !s.send(ctx, m) {
			return
		}
	}
}

func (s *sender) release() {
	if cap(*s.buf) <= 2*wireSize {
		*s.buf = (*s.buf)[:0]
		buffers.Put(s.buf)
	}
}

// send sends one message. It returns false if the connection takes no more.
func (s *sender) send(ctx context.Context, m *message) bool {
	if m.rows != nil {
		ctx, m.answered = context.WithCancelCause(ctx)
		defer m.answered(nil)
	}
	s.sent <- m
	var err error
	if *s.buf, err = (&pgproto3.Query{String: m.sql}).Encode(*s.buf); err != nil {
		s.fail(err)
		return false
	}
	if m.rows == nil {
		return len(*s.buf) < wireSize/4 || s.flush()
	}
	if !s.flush() {
		return false
	}
	w := &rowWriter{ctx: ctx, s: s, passed: m.passed}
	err = m.rows(ctx, w)
	if err == nil && !w.flush() {
		err = w.stopped()
	}
	if s.err != nil {
		return false
	}
	*s.buf = (*s.buf)[:0]
	if err == nil {
		*s.buf, err = (&pgproto3.CopyDone{}).Encode(*s.buf)
	} else {
		if !errors.Is(context.Cause(ctx), errAnswered) {
			failed := err
			m.failed.Store(&failed)
		}
		*s.buf, err = (&pgproto3.CopyFail{Message: "the rows could not be read"}).Encode(*s.buf)
	}
	if err != nil {
		s.fail(err)
		return false
	}
	return s.flush()
}

// flush writes what is gathered. It returns false if the connection takes no more.
func (s *sender) flush() bool {
	if s.err != nil {
		return false
	}
	if len(*s.buf) > 0 {
		err := s.out.SendUnbufferedEncodedCopyData(*s.buf) // or whatever messages these are
		*s.buf = (*s.buf)[:0]
		if err != nil {
			s.fail(err)
			return false
		}
	}
	return true
}

// fail notes the loss of the connection. Whoever reads from it may still find
// the server's reason there, but must not wait for it for ever.
func (s *sender) fail(err error) {
	s.err = err
	_ = s.conn.SetReadDeadline(time.Now().Add(lastWords))
}

// A rowWriter sends the rows of a COPY in full messages.
type rowWriter struct {
	ctx    context.Context
	s      *sender
	passed func(rows, bytes int64)
}

// space returns the free part of the message that is being filled, sending it
// first if it is full.
func (w *rowWriter) space() ([]byte, error) {
	b := *w.s.buf
	if len(b) == cap(b) && !w.flush() {
		return nil, w.stopped()
	}
	b = *w.s.buf
	if len(b) == 0 {
		b = append(b, 'd', 0, 0, 0, 0)
		*w.s.buf = b
	}
	return b[len(b):cap(b)], nil
}

// flush sends the message that is being filled.
func (w *rowWriter) flush() bool {
	b := *w.s.buf
	if len(b) <= copyHeader {
		*w.s.buf = b[:0]
		return w.ctx.Err() == nil
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1))
	if w.ctx.Err() != nil {
		return false
	}
	if w.passed != nil {
		w.passed(copyproto.CountRows(b[copyHeader:]), int64(len(b)-copyHeader))
	}
	return w.s.flush()
}

// stopped says why no more rows are taken.
func (w *rowWriter) stopped() error {
	if w.s.err != nil {
		return w.s.err
	}
	return context.Cause(w.ctx)
}

// Write implements io.Writer.
func (w *rowWriter) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 {
		free, err := w.space()
		if err != nil {
			return n, err
		}
		k := copy(free, p)
		*w.s.buf = (*w.s.buf)[:len(*w.s.buf)+k]
		n, p = n+k, p[k:]
	}
	return n, nil
}

// ReadFrom implements io.ReaderFrom: rows that are read go into messages without
// a buffer between.
func (w *rowWriter) ReadFrom(r io.Reader) (int64, error) {
	var n int64
	for {
		free, err := w.space()
		if err != nil {
			return n, err
		}
		k, err := r.Read(free)
		*w.s.buf = (*w.s.buf)[:len(*w.s.buf)+k]
		n += int64(k)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// receive reads the answer to one message. The error is the loss of the
// connection.
func receive(c *pgconn.PgConn, m *message) (answer, error) {
	var a answer
	for {
		msg, err := c.ReceiveMessage(context.Background()) // which ctx ends by a deadline
		if err != nil {
			return a, err
		}
		switch msg := msg.(type) {
		case *pgproto3.CommandComplete:
			tag := pgconn.NewCommandTag(string(msg.CommandTag))
			a.rows += tag.RowsAffected()
			a.tag = tag.String()
		case *pgproto3.ErrorResponse:
			a.err = pgconn.ErrorResponseToPgError(msg)
			if m.rows != nil {
				m.answered(errAnswered)
			}
		case *pgproto3.CopyInResponse:
			if m.rows == nil {
				return a, errCopyIn
			}
		case *pgproto3.ReadyForQuery:
			if failed := m.failed.Load(); failed != nil {
				a.err = *failed
			}
			return a, nil
		}
	}
}
