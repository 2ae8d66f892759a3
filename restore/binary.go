package restore

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/quote"
)

// Rows of large tables are sent in COPY's binary format if both formats are known
// of all their columns: that saves the server about a third of a load, most of
// what it costs to read numbers and times. Whatever is refused so is loaded as
// the text it was, so that every error is about that.

// embedding are the encodings in which a byte of ASCII may be part of another
// character, so that tabs and backslashes cannot be told without knowing them.
var embedding = []string{"SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"}

// binaryColumns returns how the rows of a load are turned into the binary format,
// nil if they are not. It asks the server once for each table.
func (r *run) binaryColumns(ctx context.Context, w *worker, s *Step) ([]copyproto.Column, error) {
	if s.Action != ActionCopy || s.Part.Bytes <= lightBytes || !strings.HasSuffix(s.SQL, fromStdin) || slices.Contains(embedding, r.plan.Encoding) {
		return nil, nil
	}
	r.mu.Lock()
	columns, known := r.layouts[s.Entry.ID]
	r.mu.Unlock()
	if known {
		return columns, nil
	}
	columns, err := readColumns(ctx, w.pgconn(), s.Entry, s.SQL)
	if err != nil && w.lost() {
		return nil, &lostError{err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.layouts[s.Entry.ID]; !known {
		r.layouts[s.Entry.ID] = columns
	}
	return r.layouts[s.Entry.ID], nil
}

// asText has all parts of a table loaded as text from now on.
func (r *run) asText(e *archive.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.layouts[e.ID] = nil
}

// fromStdin ends every COPY statement of an archive.
const fromStdin = " FROM stdin;"

// readColumns reads the types of the columns that sql names, as the target has
// them. It returns nil if there is one that cannot be turned, and after an error.
func readColumns(ctx context.Context, c *pgconn.PgConn, e *archive.Entry, sql string) ([]copyproto.Column, error) {
	names, err := pgddl.CopyColumns(sql)
	if err != nil {
		return nil, err
	}
	const query = `SELECT a.attname, t.oid, t.typtype, e.oid, e.typtype
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type c ON c.oid = a.atttypid
JOIN pg_catalog.pg_type t ON t.oid = CASE c.typtype WHEN 'd' THEN c.typbasetype ELSE c.oid END
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' AND t.typlen = -1
WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`
	result := c.ExecParams(ctx, query, [][]byte{[]byte(quote.Qualified(e.Namespace, e.Tag))}, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, fmt.Errorf("read types of the columns of %s: %w", describe(e), result.Err)
	}
	types := make(map[string]copyproto.Column)
	for _, row := range result.Rows {
		if column, ok := columnOf(row); ok {
			types[string(row[0])] = column
		}
	}
	var columns []copyproto.Column
	for _, name := range names {
		column, ok := types[name]
		if !ok {
			return nil, nil
		}
		columns = append(columns, column)
	}
	return columns, nil
}

// columnOf reads a row of the query above.
func columnOf(row [][]byte) (copyproto.Column, bool) {
	base, kind := row[1], row[2]
	array := row[3] != nil
	if array {
		base, kind = row[3], row[4]
	}
	oid, err := strconv.ParseUint(string(base), 10, 32)
	c := copyproto.Column{Type: copyproto.TypeOf(uint32(oid))}
	if string(kind) == "e" {
		c.Type = copyproto.TypeText // the label
	}
	if array {
		c.Element = uint32(oid)
	}
	return c, err == nil && c.Type != copyproto.TypeUnknown
}

// countedText tells of the rows and bytes that are written.
type countedText struct {
	to     io.Writer
	passed func(rows, bytes int64)
}

// Write implements io.Writer.
func (c *countedText) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	if err == nil {
		c.passed(copyproto.CountRows(p), int64(n))
	}
	return n, err
}
