package dump

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
)

// AsText is a table whose rows are read as text though the binary format was
// asked for.
type AsText struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// String says so in a line.
func (a AsText) String() string {
	return quote.Qualified(a.Schema, a.Name) + " goes as text: " + a.Reason
}

// AsText lists the tables that go as text where Options.CopyFormat is
// copyproto.Binary.
func (l *Live) AsText() []AsText { return l.asText }

// columnTypes asks for the types of tables' columns, domains resolved.
const columnTypes = `WITH RECURSIVE d AS (
  SELECT oid AS domain, typbasetype AS base FROM pg_catalog.pg_type WHERE typtype = 'd'
  UNION ALL SELECT d.domain, t.typbasetype FROM d JOIN pg_catalog.pg_type t ON t.oid = d.base AND t.typtype = 'd')
SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), t.oid, t.typtype::text,
  coalesce((SELECT e.oid FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND t.typcategory = 'A' AND t.typlen = -1), 0)
FROM pg_catalog.pg_attribute a
LEFT JOIN (SELECT d.domain, d.base FROM d JOIN pg_catalog.pg_type b ON b.oid = d.base AND b.typtype <> 'd') x ON x.domain = a.atttypid
JOIN pg_catalog.pg_type t ON t.oid = coalesce(x.base, a.atttypid)
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped`

// A columnType is one row of it.
type columnType struct {
	Table        uint32
	Name, Spoken string
	Base         uint32
	Kind         string
	Element      uint32
}

// unfit returns, for those tables of which ok refuses the type of a column that
// COPY moves, why.
func unfit(ctx context.Context, conn *pgx.Conn, list []*catalog.TableData, ok func(oid uint32, kind byte, element uint32) bool) (map[*catalog.TableData]string, error) {
	byOID := make(map[uint32]*catalog.TableData, len(list))
	oids := make([]uint32, len(list))
	for i, d := range list {
		oids[i] = d.Table.ID.OID
		byOID[oids[i]] = d
	}
	rows, err := conn.Query(ctx, columnTypes, oids)
	if err != nil {
		return nil, fmt.Errorf("read types of columns: %w", err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[columnType])
	if err != nil {
		return nil, fmt.Errorf("read types of columns: %w", err)
	}
	reasons := make(map[*catalog.TableData]string)
	for _, c := range columns {
		d := byOID[c.Table]
		if slices.Contains(d.Columns, c.Name) && reasons[d] == "" && !ok(c.Base, c.Kind[0], c.Element) {
			reasons[d] = fmt.Sprintf("column %s is of type %s, whose binary form is not known to depend on the value alone", quote.Ident(c.Name), c.Spoken)
		}
	}
	return reasons, nil
}

// chooseFormats has the rows of all tables that can be read in the binary format
// read so, if that is wanted.
func (l *Live) chooseFormats(ctx context.Context, conn *pgx.Conn) error {
	l.binary = make(map[int]bool)
	if l.opts.CopyFormat != copyproto.Binary || l.opts.Inserts != nil || l.opts.BinaryMajor != 0 && l.opts.BinaryMajor != l.db.Version.Major() {
		return nil
	}
	list := l.withRows()
	reasons, err := unfit(ctx, conn, list, copyproto.Sendable)
	if err != nil {
		return err
	}
	for _, d := range list {
		if reason := reasons[d]; reason != "" {
			l.asText = append(l.asText, AsText{d.Schema, d.Name, reason})
			l.log.Info("rows of " + l.asText[len(l.asText)-1].String())
			continue
		}
		l.inBinary(d)
	}
	return nil
}

// inBinary has the rows of a table read in the binary format from now on.
func (l *Live) inBinary(d *catalog.TableData) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.binary[d.DumpID] = true
	for i := range l.toc {
		if e := &l.toc[i]; e.ID == d.DumpID {
			e.Copy = copyproto.InBinary(e.Copy)
		}
	}
}

// format is the one in which the rows of a table are read.
func (l *Live) format(d *catalog.TableData) copyproto.Format {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.binary[d.DumpID] {
		return copyproto.Binary
	}
	return copyproto.Text
}

// copyTo is the statement that reads rows in a format.
func copyTo(d *catalog.TableData, where string, f copyproto.Format) string {
	sql := d.CopyTo(where)
	if f == copyproto.Binary {
		return copyproto.InBinary(sql)
	}
	return sql
}

// errTurned says that a table is ready to be read again in the binary format.
var errTurned = errors.New("to be read again in COPY's binary format")

// mayTurn reports whether a table can still change its format.
func (r *run) mayTurn(t *table) bool { return t.format == copyproto.Text && r.opts.Inserts == nil }

// turning stops the reading of a table that another part of has turned.
func (t *table) turning() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turns && t.format == copyproto.Text {
		return copyproto.ErrNeedsBinary
	}
	return nil
}

// turn notes that a part of the table was given up because the table needs the
// binary format. The last makes it ready for that.
func (t *table) turn(r *run) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.turns {
		r.log.Info("rows of " + t.data.QualifiedName() + " go in COPY's binary format: one is too long for text")
	}
	t.turns = true
	if t.left--; t.left > 0 {
		return nil
	}
	return t.turned(r)
}

// turned drops what was written of the table as text. The caller holds mu.
func (t *table) turned(r *run) error {
	r.inBinary(t.data)
	if err := t.file.Abort(); err != nil {
		return err
	}
	t.task.Add(-t.rows, -t.size)
	t.file, t.left, t.format = nil, 1, copyproto.Binary
	t.digest, t.rows, t.size = copyproto.Digest{}, 0, 0
	return errTurned
}

// LeftOut lists the rows that COPY could not send, of those that were read so
// far.
func (l *Live) LeftOut() []archive.Skipped {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.leftOut)
}
