package restore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// The most that is sent before its results are read. Results of definitions are
// a few bytes each, so that with these limits neither side can fill the other's
// socket buffers and wait for it for ever.
const (
	maxFlight      = 64
	maxFlightBytes = 64 << 10
)

// errCopyIn is the failure of a statement that would read rows from us.
var errCopyIn = errors.New("the statement is a COPY FROM STDIN, for which there are no rows")

// A lostError is the end of a connection, be it that ctx ended. Statements that
// were sent and not reported may have been run or not.
type lostError struct{ err error }

func (e *lostError) Error() string { return "connection to target lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// pipeline sends statements without waiting for the result of each, so that a
// far server does not cost a round trip a statement. They go as simple queries,
// since one definition may hold several statements, each a transaction of its
// own. At most flight are under way.
//
// next returns the statements in turn. done is told the result of each in the
// same order: the rows affected, or the server's refusal. An error of done stops
// the sending, not what is under way already, and is returned. The other error
// is a *lostError.
func pipeline(ctx context.Context, c *pgconn.PgConn, flight int, next func() (string, bool), done func(rows int64, refused error) error) error {
	unblock := context.AfterFunc(ctx, func() { _ = c.Conn().SetWriteDeadline(time.Unix(1, 0)) })
	defer unblock()
	var stop error
	var sizes []int // of the statements under way
	bytes, more := 0, true
	for {
		for more && stop == nil && len(sizes) < flight && bytes < maxFlightBytes {
			var sql string
			if sql, more = next(); more {
				c.Frontend().SendQuery(&pgproto3.Query{String: sql})
				sizes = append(sizes, len(sql))
				bytes += len(sql)
			}
		}
		if len(sizes) == 0 {
			return stop
		}
		if err := c.Frontend().Flush(); err != nil {
			return &lostError{err}
		}
		rows, refused, err := receive(ctx, c)
		if err != nil {
			return &lostError{err}
		}
		bytes -= sizes[0]
		sizes = sizes[1:]
		if err := done(rows, refused); err != nil && stop == nil {
			stop = err
		}
	}
}

// receive reads the result of one simple query.
func receive(ctx context.Context, c *pgconn.PgConn) (rows int64, refused, lost error) {
	for {
		msg, err := c.ReceiveMessage(ctx)
		if err != nil {
			return 0, nil, err
		}
		switch msg := msg.(type) {
		case *pgproto3.CommandComplete:
			rows += pgconn.NewCommandTag(string(msg.CommandTag)).RowsAffected()
		case *pgproto3.ErrorResponse:
			refused = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.CopyInResponse:
			return 0, nil, errCopyIn
		case *pgproto3.ReadyForQuery:
			return rows, refused, nil
		}
	}
}

// exec runs one text and waits for it.
func exec(ctx context.Context, c *pgconn.PgConn, sql string) error {
	_, err := c.Exec(ctx, sql).ReadAll()
	return err
}
