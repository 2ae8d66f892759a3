package pg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghaul/pghaul/internal/redact"
)

// An Audit writes what sessions do as JSON lines: each connection, each
// statement before it is sent, its result, and the end of the connection. It
// listens where the protocol's messages leave and arrive, so that no way of
// sending a statement gets past it. Passwords are masked; rows and the values
// of parameters are not written.
//
// A line that cannot be written ends its session before the statement is sent.
// A nil Audit does nothing.
type Audit struct {
	mu       sync.Mutex
	w        io.Writer
	err      error
	last     int // number of the latest session
	sessions map[io.Writer]*auditSession
}

// NewAudit returns an Audit that writes to w, one Write a line.
func NewAudit(w io.Writer) *Audit {
	return &Audit{w: w, sessions: map[io.Writer]*auditSession{}}
}

// An auditRecord is one line.
type auditRecord struct {
	Time       time.Time        `json:"time"`
	Event      string           `json:"event"` // run, connect, send, result, close
	Connection *auditConnection `json:"connection,omitempty"`
	// Role is the role in force, which SET ROLE changes.
	Role      string `json:"role,omitempty"`
	Statement string `json:"statement,omitempty"`
	// Bytes is the length of a statement of which only the beginning is here.
	Bytes      int      `json:"statement_bytes,omitempty"`
	Parameters int      `json:"parameters,omitempty"`
	Rows       *int64   `json:"rows,omitempty"`   // returned or changed
	Result     string   `json:"result,omitempty"` // command tags, or the error
	SQLState   string   `json:"sqlstate,omitempty"`
	Seconds    *float64 `json:"seconds,omitempty"`
}

type auditConnection struct {
	Session  int    `json:"session"`       // counts from 1 in each run
	End      string `json:"end,omitempty"` // "source" or "target" where there are two
	Host     string `json:"host"`
	Port     string `json:"port,omitempty"`
	Database string `json:"database"`
	User     string `json:"user"`
	PID      uint32 `json:"pid,omitempty"`
}

// Watch makes all sessions that are opened with cfg, or with a copy of it, tell
// the audit what they do. end is "source" or "target", or "" where there is one
// end only.
func (a *Audit) Watch(cfg *pgx.ConnConfig, end string) {
	if a == nil {
		return
	}
	host, several := cfg.Host, false
	for _, f := range cfg.Fallbacks {
		several = several || f.Host != host
	}
	build := cfg.BuildFrontend
	if build == nil {
		build = func(r io.Reader, w io.Writer) *pgproto3.Frontend { return pgproto3.NewFrontend(r, w) }
	}
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		c := auditConnection{End: end, Host: host}
		if conn, ok := w.(net.Conn); ok && conn.RemoteAddr() != nil && conn.RemoteAddr().Network() != "unix" {
			if address, port, err := net.SplitHostPort(conn.RemoteAddr().String()); err == nil {
				c.Port = port
				if several {
					c.Host = address
				}
			}
		}
		s := a.open(w, c)
		return build(auditReader{s, r}, auditWriter{s, w})
	}
	cfg.Tracer = auditBatches{a}
}

// open begins a session.
func (a *Audit) open(w io.Writer, c auditConnection) *auditSession {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	c.Session = a.last
	s := newAuditSession(a, w, c)
	a.sessions[w] = s
	return s
}

func (a *Audit) forget(w io.Writer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, w)
}

// Note writes a line about the run as a whole, such as its command.
func (a *Audit) Note(text string) error {
	if a == nil {
		return nil
	}
	return a.write(auditRecord{Event: "run", Result: redact.Text(text)})
}

// Close tells of statements whose result nobody has waited for, and returns the
// first error of writing. The sessions must be closed.
func (a *Audit) Close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	var open []*auditSession
	for _, s := range a.sessions {
		open = append(open, s)
	}
	a.mu.Unlock()
	for _, s := range open {
		s.end("the run ended")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *Audit) write(r auditRecord) error {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	r.Time = r.Time.UTC().Round(time.Microsecond)
	line, err := json.Marshal(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil && a.err == nil {
		_, err = a.w.Write(append(line, '\n'))
	}
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("write audit log: %w", err)
	}
	return a.err
}

// auditBatches hears of batches, which pgconn writes to the connection itself
// instead of through its frontend.
type auditBatches struct{ a *Audit }

var _ pgx.BatchTracer = auditBatches{}

// TraceQueryStart implements pgx.QueryTracer.
func (auditBatches) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (auditBatches) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (b auditBatches) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	// The other modes go through the frontend.
	if data.Batch == nil || conn.Config().DefaultQueryExecMode != pgx.QueryExecModeExec {
		return ctx
	}
	b.a.mu.Lock()
	s := b.a.sessions[conn.PgConn().Conn()]
	b.a.mu.Unlock()
	if s == nil {
		return ctx
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range data.Batch.QueuedQueries {
		s.push(auditItem{what: auditExecute, text: cut(q.SQL), bytes: len(q.SQL), parameters: len(q.Arguments)})
	}
	s.push(auditItem{what: auditSync})
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (auditBatches) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (auditBatches) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

type auditWriter struct {
	s *auditSession
	w io.Writer
}

// Write implements io.Writer: what is sent is logged first.
func (w auditWriter) Write(p []byte) (int, error) {
	if err := w.s.sent(p); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

type auditReader struct {
	s *auditSession
	r io.Reader
}

// Read implements io.Reader.
func (r auditReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if logErr := r.s.received(p[:n]); logErr != nil {
		return 0, logErr
	}
	// After a deadline the session may go on; after anything else it does not.
	if netErr, ok := errors.AsType[net.Error](err); err != nil && (!ok || !netErr.Timeout()) {
		r.s.end("the connection was lost: " + err.Error())
	}
	return n, err
}
