// Package longrow finds the rows of tables that are too long for COPY.
package longrow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// Refused reports whether a server's error may be that a row is longer than the
// gigabyte it can build. A bytea takes two characters a byte in text, and so half
// a gigabyte of it is too long.
func Refused(err error) bool {
	code := pg.Code(err)
	return code == "XX000" || code == "54000"
}

// A Row is one that COPY cannot send.
type Row struct {
	Table string
	CTID  string
	Key   string // "(id) = (7)", "" without a primary key
	// Fits says that the row is too long for text alone, and that servers of all
	// versions read the binary form of all columns of its table.
	Fits bool
	// Reason says why it cannot be sent.
	Reason string
}

// String names the row by its table and key.
func (r *Row) String() string {
	if r.Key == "" {
		return r.Table + " ctid = " + r.CTID
	}
	return r.Table + " " + r.Key
}

// After is the condition for the rows of where that come after the row.
func (r *Row) After(where string) string {
	rest := "ctid > " + quote.Literal(r.CTID)
	if where == "" {
		return rest
	}
	return where + " AND " + rest
}

// Why rows cannot be sent.
const (
	tooLongForAll  = "it is longer than the 1 GiB that COPY can send; move it by itself, a piece at a time"
	tooLongForText = "its text is longer than the 1 GiB that COPY can send; its binary form is not, so that --copy-format=binary takes it"
)

// Find finds the row by which a COPY in a format was ended that had sent so many
// rows of where, in the order of the table. statement is the COPY for the rows of
// a condition in a format. conn is in the failed transaction, and after it in one
// that can go on. It returns nil if no row is to blame.
func Find(ctx context.Context, conn *pgx.Conn, d *catalog.TableData, where string, sent int64, f copyproto.Format, statement func(where string, f copyproto.Format) string) (*Row, error) {
	if d.Foreign() || d.Condition != "" || conn.IsClosed() {
		return nil, nil
	}
	c, only := conn.PgConn(), "ONLY "+d.Table.QualifiedName()
	// Rows come in one order only where one process reads them.
	again := "ROLLBACK TO SAVEPOINT " + pg.Savepoint + "; SET LOCAL max_parallel_workers_per_gather = 0"
	if _, err := c.Exec(ctx, again).ReadAll(); err != nil {
		return nil, err
	}
	row := &Row{Table: d.QualifiedName(), Reason: tooLongForAll}
	condition := ""
	if where != "" {
		condition = " WHERE " + where
	}
	err := conn.QueryRow(ctx, fmt.Sprintf("SELECT ctid::text FROM %s%s OFFSET %d LIMIT 1", only, condition, sent)).Scan(&row.CTID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a row that is too long: %w", err)
	}
	alone := func(f copyproto.Format) (bool, error) {
		_, err := copyproto.Query{Conn: c, SQL: statement("ctid = "+quote.Literal(row.CTID), f), Format: f}.CopyTo(ctx, io.Discard)
		if err == nil || !Refused(err) {
			return err == nil, err
		}
		_, err = c.Exec(ctx, again).ReadAll()
		return false, err
	}
	if sent, err := alone(f); sent || err != nil {
		return nil, err
	}
	if row.Key, err = primaryKey(ctx, conn, d, row.CTID); err != nil {
		return nil, fmt.Errorf("look for the key of a row that is too long: %w", err)
	}
	if f == copyproto.Binary {
		return row, nil
	}
	if fits, err := alone(copyproto.Binary); err != nil || !fits {
		return row, err
	}
	row.Reason = tooLongForText
	reasons, err := Unfit(ctx, conn, []*catalog.TableData{d}, copyproto.Portable)
	row.Fits = reasons[d] == ""
	return row, err
}

// primaryKey describes a row by its primary key, "" if its table has none.
func primaryKey(ctx context.Context, conn *pgx.Conn, d *catalog.TableData, ctid string) (string, error) {
	const query = `SELECT a.attname FROM pg_catalog.pg_index i CROSS JOIN pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.n`
	rows, err := conn.Query(ctx, query, d.Table.ID.OID)
	if err != nil {
		return "", err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(columns) == 0 {
		return "", err
	}
	values := make([]string, len(columns))
	for i, name := range columns {
		values[i] = "pg_catalog.left(" + quote.Ident(name) + "::text, 100)"
	}
	var value string
	err = conn.QueryRow(ctx, fmt.Sprintf("SELECT pg_catalog.concat_ws(', ', %s) FROM ONLY %s WHERE ctid = %s", strings.Join(values, ", "), d.Table.QualifiedName(), quote.Literal(ctid))).Scan(&value)
	return "(" + quote.Idents(columns) + ") = (" + value + ")", err
}
