package dump

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/internal/quote"
)

// Inserts say how rows are written as INSERT statements.
type Inserts struct {
	// Columns names the columns in each statement.
	Columns bool
	// RowsPerInsert is how many rows a statement holds; 0 means 1.
	RowsPerInsert int
	// OnConflictDoNothing skips rows that are there already.
	OnConflictDoNothing bool
}

// write reads a table and hands over whole statements.
func (i *Inserts) write(ctx context.Context, c *pgconn.PgConn, d *catalog.TableData, where string, emit func(statement []byte, rows int64) error) error {
	cols := d.InsertColumns(i.Columns)
	sql := "SELECT " + strings.Join(cols.Select, ", ") + " FROM ONLY " + d.Table.QualifiedName()
	if d.Foreign() {
		sql = "SELECT " + strings.Join(cols.Select, ", ") + " FROM " + d.Table.QualifiedName()
	}
	if d.Condition != "" {
		sql += " " + d.Condition
	} else if where != "" {
		sql += " WHERE " + where
	}
	head := "INSERT INTO " + d.LoadsInto().QualifiedName() + " "
	if len(cols.Select) > 0 {
		if i.Columns {
			head += "(" + quote.Idents(cols.Names) + ") "
		}
		if cols.OverridesIdentity {
			head += "OVERRIDING SYSTEM VALUE "
		}
		head += "VALUES"
	}
	tail := ";\n"
	if i.OnConflictDoNothing {
		tail = " ON CONFLICT DO NOTHING;\n"
	}
	per := max(i.RowsPerInsert, 1)
	var out bytes.Buffer
	var rows int64
	flush := func() error {
		if out.Len() == 0 {
			return nil
		}
		out.WriteString(tail)
		err := emit(slices.Clone(out.Bytes()), rows)
		out.Reset()
		rows = 0
		return err
	}
	rr := c.ExecParams(ctx, sql, nil, nil, nil, nil)
	fields := rr.FieldDescriptions()
	for rr.NextRow() {
		values := rr.Values()
		switch {
		case len(values) == 0:
			out.WriteString(head + "DEFAULT VALUES")
		case out.Len() == 0:
			out.WriteString(head)
			fallthrough
		default:
			if rows > 0 {
				out.WriteByte(',')
			}
			if per > 1 {
				out.WriteString("\n\t(")
			} else {
				out.WriteString(" (")
			}
			for n, v := range values {
				if n > 0 {
					out.WriteString(", ")
				}
				if cols.Generated[n] {
					out.WriteString("DEFAULT")
				} else {
					writeValue(&out, fields[n].DataTypeOID, v)
				}
			}
			out.WriteByte(')')
		}
		rows++
		if int(rows) < per && len(values) > 0 {
			continue
		}
		if err := flush(); err != nil {
			_, closeErr := rr.Close()
			return fmt.Errorf("%w (then: %w)", err, closeErr)
		}
	}
	if _, err := rr.Close(); err != nil {
		return err
	}
	return flush()
}

// writeValue writes a value as a literal; numbers and truth values go bare.
func writeValue(out *bytes.Buffer, typ uint32, v []byte) {
	const (
		boolean, int8, int2, int4, oid, float4, float8, bit, varbit, numeric = 16, 20, 21, 23, 26, 700, 701, 1560, 1562, 1700
	)
	if v == nil {
		out.WriteString("NULL")
		return
	}
	s := string(v)
	switch typ {
	case int2, int4, int8, oid, float4, float8, numeric:
		// A bare -0 is an integer, which has no sign: pg_dump loses it.
		if strings.Trim(s, "0123456789 +-eE.") == "" && s != "-0" {
			out.WriteString(s)
			return
		}
	case bit, varbit:
		out.WriteString("B")
	case boolean:
		if s == "t" {
			s = "true"
		} else {
			s = "false"
		}
		out.WriteString(s)
		return
	}
	out.WriteString(quote.Literal(s))
}
