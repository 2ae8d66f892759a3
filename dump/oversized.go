package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/quote"
)

// tooLong reports whether a server's error may be that a row is longer, as text,
// than the gigabyte it can build. A bytea takes two characters a byte, and so
// half a gigabyte of it is too long.
func tooLong(err error) bool {
	code := pg.Code(err)
	return code == "XX000" || code == "54000"
}

// An oversizedRow is a row that COPY cannot send.
type oversizedRow struct {
	table string
	ctid  string
	key   string // "(id) = (7)", "" without a primary key
	// fits says that the row is too long for text alone, and that the binary form
	// of all columns of its table is known to servers of all versions.
	fits   bool
	reason string
}

func (r *oversizedRow) String() string {
	if r.key == "" {
		return r.table + " ctid = " + r.ctid
	}
	return r.table + " " + r.key
}

// Why rows are left out.
const (
	tooLongForAll  = "it is longer than the 1 GiB that COPY can send; move it by itself, a piece at a time"
	tooLongForText = "its text is longer than the 1 GiB that COPY can send; its binary form is not, so that --copy-format=binary takes it"
)

// oversized finds the row by which a COPY in a format was ended that had sent so
// many rows, in the order of the table. conn is in the failed transaction, and after it in
// one that can go on. It returns nil if no row is to blame.
func (l *Live) oversized(ctx context.Context, conn *pgx.Conn, d *catalog.TableData, where string, sent int64, f copyproto.Format) (*oversizedRow, error) {
	if d.Foreign() || d.Condition != "" || conn.IsClosed() {
		return nil, nil
	}
	c, only := conn.PgConn(), "ONLY "+d.Table.QualifiedName()
	// Rows come in one order only where one process reads them.
	again := "ROLLBACK TO SAVEPOINT " + pg.Savepoint + "; SET LOCAL max_parallel_workers_per_gather = 0"
	if _, err := c.Exec(ctx, again).ReadAll(); err != nil {
		return nil, err
	}
	row := &oversizedRow{table: d.QualifiedName(), reason: tooLongForAll}
	condition := ""
	if where != "" {
		condition = " WHERE " + where
	}
	err := conn.QueryRow(ctx, fmt.Sprintf("SELECT ctid::text FROM %s%s OFFSET %d LIMIT 1", only, condition, sent)).Scan(&row.ctid)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a row that is too long: %w", err)
	}
	alone := func(f copyproto.Format) (bool, error) {
		_, err := copyproto.Query{Conn: c, SQL: copyTo(d, "ctid = "+quote.Literal(row.ctid), f), Format: f}.CopyTo(ctx, io.Discard)
		if err == nil || !tooLong(err) {
			return err == nil, err
		}
		_, err = c.Exec(ctx, again).ReadAll()
		return false, err
	}
	if sent, err := alone(f); sent || err != nil {
		return nil, err
	}
	if f == copyproto.Text {
		if fits, err := alone(copyproto.Binary); err != nil {
			return nil, err
		} else if fits {
			row.reason = tooLongForText
			reasons, err := unfit(ctx, conn, []*catalog.TableData{d}, copyproto.Portable)
			if err != nil {
				return nil, err
			}
			row.fits = reasons[d] == ""
		}
	}
	if row.key, err = primaryKey(ctx, conn, d, row.ctid); err != nil {
		return nil, fmt.Errorf("look for the key of a row that is too long: %w", err)
	}
	return row, nil
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

// after is the condition for the rows of where that come after a row.
func (r *oversizedRow) after(where string) string {
	rest := "ctid > " + quote.Literal(r.ctid)
	if where == "" {
		return rest
	}
	return where + " AND " + rest
}

// leaveOut notes that a row is not in the archive.
func (l *Live) leaveOut(r *oversizedRow) {
	l.log.Warn("row left out: "+r.reason, "row", r.String())
	l.opts.Progress.Skip("data", "ROW "+r.String(), r.reason)
	l.mu.Lock()
	defer l.mu.Unlock()
	skipped := archive.Skipped{Kind: "ROW", Name: r.String(), Reason: r.reason}
	if !slices.Contains(l.leftOut, skipped) { // a part may be read again
		l.leftOut = append(l.leftOut, skipped)
	}
}
