package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/longrow"
)

// Rows that are too long for COPY's text format and not for its binary one have
// their whole table compared in that one; what fits neither is named, and the
// rest compared.

// readRows reads the rows of one part into m. It returns the rows that COPY cannot
// send, and copyproto.ErrNeedsBinary for one that it can in the binary format.
func (c *comparison) readRows(ctx context.Context, conn *pgx.Conn, x part, m *meter) (tooLong []string, err error) {
	p, it := x.pair, x.pair.items[x.end]
	statement := func(where string, f copyproto.Format) string {
		return begin(it) + c.copyStatement(p, it, p.all(), where, f)
	}
	var total int64
	for where := x.where; ; {
		before := m.hash.Sum().Rows
		n, err := copyproto.Query{Conn: conn.PgConn(), SQL: statement(where, p.format), Format: p.format}.CopyTo(ctx, m)
		if err == nil {
			return tooLong, m.complete(total + n)
		}
		if !longrow.Refused(err) || m.partial() || it.view {
			return nil, err
		}
		total = m.hash.Sum().Rows
		row, lookErr := longrow.Find(ctx, conn, it.data, where, total-before, p.format, statement)
		switch {
		case row == nil:
			return nil, errors.Join(err, lookErr)
		case lookErr != nil:
			return nil, lookErr
		case row.Fits && p.turns():
			return nil, copyproto.ErrNeedsBinary
		}
		tooLong = append(tooLong, fmt.Sprintf("the row %s could not be compared: %s", row, row.Reason))
		where = row.After(where)
	}
}

// turns reports whether the rows of a pair can be compared in the binary format
// after all: nothing was recorded of them.
func (p *pair) turns() bool {
	for _, it := range p.items {
		if it != nil && it.recorded != nil {
			return false
		}
	}
	return true
}

// inBinary has the tables of a unit compared in the binary format, without the
// columns that are generated, and reports whether that is to be done.
func (u *unit) inBinary() bool {
	turns := false
	for _, p := range u.pairs {
		for _, err := range p.refused {
			turns = turns || errors.Is(err, copyproto.ErrNeedsBinary)
		}
	}
	if turns {
		for _, p := range u.pairs {
			p.format, p.stored = copyproto.Binary, nil
		}
		u.stream("a row is too long for COPY's text format")
	}
	return turns
}
