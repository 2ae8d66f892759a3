package replicate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

const (
	// streamWake is how often a session that receives nothing looks what it has to
	// tell the source.
	streamWake = 100 * time.Millisecond
	// streamSilence is how long the source may say nothing: it is asked every few
	// seconds, but does not answer while it reads a large transaction.
	streamSilence = 3 * time.Minute
	// streamWrite is how long the source may take to receive a report.
	streamWrite = time.Minute
)

// A stream receives what is committed on the source.
type stream struct {
	conn    *pgx.Conn
	every   time.Duration // between two reports
	silence time.Duration
	queue   *queue
	// applied is what is on the target for good, and is told to the source, which
	// then forgets it.
	applied atomic.Uint64
	// eager asks the source for its position at each wake, for whom waits for it.
	eager atomic.Bool

	received LSN
	told     LSN
	reported time.Time
	heard    time.Time
}

// startStream begins to receive what was committed at or after from. The slot
// must not be in use.
func startStream(ctx context.Context, conn *pgx.Conn, r *Record, from LSN) (*stream, error) {
	names := quote.Ident(r.Publication)
	if r.InsertPublication != "" {
		names += "," + quote.Ident(r.InsertPublication)
	}
	c := conn.PgConn()
	every := 5 * time.Second
	if row, err := oneRow(ctx, c, "SHOW wal_sender_timeout"); err != nil {
		return nil, fmt.Errorf("read wal_sender_timeout of the source: %w", err)
	} else if t, err := time.ParseDuration(strings.Replace(string(row[0]), "min", "m", 1)); err == nil && t > 0 {
		every = max(min(every, t/4), streamWake)
	}
	c.Frontend().Send(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (proto_version '1', publication_names %s)",
		quote.Ident(r.Slot), from, quote.Literal(names))})
	if err := c.Frontend().Flush(); err != nil {
		return nil, fmt.Errorf("start replication: %w", err)
	}
	for {
		msg, err := c.ReceiveMessage(ctx)
		if err != nil {
			return nil, fmt.Errorf("start replication: %w", err)
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			return nil, fmt.Errorf("start replication: %w", pgconn.ErrorResponseToPgError(msg))
		case *pgproto3.CopyBothResponse:
			s := &stream{conn: conn, every: every, silence: streamSilence, queue: newQueue(), received: from, told: from, heard: time.Now()}
			s.applied.Store(uint64(from))
			return s, nil
		}
	}
}

// run receives until ctx ends or the session is lost, and puts what comes into the
// queue. It always ends the queue.
func (s *stream) run(ctx context.Context) {
	s.queue.end(s.receive(ctx))
}

func (s *stream) receive(ctx context.Context) error {
	// The session is read without a context, which would cost a goroutine for each
	// message; its deadline wakes it.
	socket := s.conn.PgConn().Conn()
	var mu sync.Mutex
	ended := false
	defer context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		_ = socket.SetReadDeadline(time.Now())
	})()
	wake := func() error {
		mu.Lock()
		defer mu.Unlock()
		if ended {
			return context.Cause(ctx)
		}
		return socket.SetReadDeadline(time.Now().Add(streamWake))
	}
	if err := wake(); err != nil {
		return err
	}
	for {
		msg, err := s.conn.PgConn().ReceiveMessage(context.Background())
		if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
			if err := s.idle(wake); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return refusal(err)
		}
		if err := s.took(ctx, msg); err != nil {
			return err
		}
	}
}

// idle is called when nothing has come for a moment.
func (s *stream) idle(wake func() error) error {
	if err := wake(); err != nil {
		return err
	}
	if silent := time.Since(s.heard); silent > s.silence {
		return fmt.Errorf("receive changes from the source: it has been silent for %s", silent.Round(time.Second))
	}
	applied := LSN(s.applied.Load())
	if s.eager.Load() || applied != s.told || time.Since(s.reported) >= s.every {
		return s.report(true)
	}
	return nil
}

// took handles a message of the source.
func (s *stream) took(ctx context.Context, msg pgproto3.BackendMessage) error {
	s.heard = time.Now()
	switch msg := msg.(type) {
	case *pgproto3.CopyData:
		if err := s.data(msg.Data); err != nil {
			return err
		}
	case *pgproto3.ErrorResponse:
		return refusal(pgconn.ErrorResponseToPgError(msg))
	case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
	default: // CopyDone, CommandComplete: a server that shuts down
		return errStreamEnded
	}
	for s.queue.full() {
		if err := s.maybeReport(); err != nil {
			return err
		}
		t := time.NewTimer(s.every / 2)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		case <-s.queue.room:
			t.Stop()
		}
		s.heard = time.Now()
	}
	return s.maybeReport()
}

// refusal is the error by which the source has ended the stream.
func refusal(err error) error {
	if pg.Code(err) == internalError {
		err = &internalSourceError{err}
	}
	return fmt.Errorf("receive changes from the source: %w", err)
}

var errStreamEnded = errors.New("receive changes from the source: it has ended the stream")

func (s *stream) data(b []byte) error {
	switch {
	case len(b) >= 25 && b[0] == 'w':
		end := LSN(binary.BigEndian.Uint64(b[9:]))
		// The texts of the message are kept until they are applied, and the buffer
		// is the session's.
		m, err := decode(bytes.Clone(b[25:]))
		if err != nil {
			return err
		}
		s.received = max(s.received, end)
		s.queue.push(event{message: m, bytes: len(b) + 64})
	case len(b) >= 18 && b[0] == 'k':
		end := LSN(binary.BigEndian.Uint64(b[1:]))
		s.received = max(s.received, end)
		s.queue.push(event{upTo: end})
		if b[17] == 1 {
			return s.report(false)
		}
	default:
		return fmt.Errorf("receive changes from the source: a message of %d bytes that is not known", len(b))
	}
	return nil
}

// maybeReport reports if it is time to: a source that hears nothing for
// wal_sender_timeout ends the session.
func (s *stream) maybeReport() error {
	if time.Since(s.reported) < s.every {
		return nil
	}
	return s.report(true)
}

// report tells the source what has arrived and what has been applied, and asks
// for an answer.
func (s *stream) report(ask bool) error {
	applied := LSN(s.applied.Load())
	b := make([]byte, 0, 34)
	b = append(b, 'r')
	for _, l := range []LSN{max(s.received, applied), applied, applied} {
		b = binary.BigEndian.AppendUint64(b, uint64(l))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMicro()-epoch))
	if ask {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	c := s.conn.PgConn()
	if err := c.Conn().SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return fmt.Errorf("report to the source: %w", err)
	}
	c.Frontend().Send(&pgproto3.CopyData{Data: b})
	if err := c.Frontend().Flush(); err != nil {
		return fmt.Errorf("report to the source: %w", err)
	}
	s.told, s.reported = applied, time.Now()
	return nil
}

// close tells the source once more what has been applied, and leaves the slot to
// others. run must have returned.
func (s *stream) close() {
	if !s.conn.IsClosed() {
		_ = s.report(false) // what it does not hear it sends again, to be passed over
		_ = s.conn.PgConn().Conn().SetDeadline(time.Time{})
	}
	pg.Close(s.conn)
}
