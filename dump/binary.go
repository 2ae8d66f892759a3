package dump

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/longrow"
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

// chooseFormats has the rows of all tables that can be read in the binary format
// read so, if that is wanted.
func (l *Live) chooseFormats(ctx context.Context, conn *pgx.Conn) error {
	l.binary = make(map[int]bool)
	if l.opts.CopyFormat != copyproto.Binary || l.opts.Inserts != nil || l.opts.BinaryMajor != 0 && l.opts.BinaryMajor != l.db.Version.Major() {
		return nil
	}
	list := l.withRows()
	reasons, err := longrow.Unfit(ctx, conn, list, copyproto.Sendable)
	if err != nil {
		return err
	}
	made := l.made()
	for _, d := range list {
		reason := reasons[d]
		if !made(d.LoadsInto().DumpID) {
			reason = "the table is an extension's, and may have other types elsewhere"
		}
		if reason != "" {
			l.asText = append(l.asText, AsText{d.Schema, d.Name, reason})
			l.log.Info("rows of " + l.asText[len(l.asText)-1].String())
			continue
		}
		l.inBinary(d)
	}
	return nil
}

// made tells the tables that are made where the rows go from those that are there,
// as far as definitions are dumped at all.
func (l *Live) made() func(id int) bool {
	if l.opts.Select.DataOnly || len(l.opts.Sections) > 0 {
		return func(int) bool { return true }
	}
	defined := make(map[int]bool)
	for i := range l.toc {
		defined[l.toc[i].ID] = true
	}
	return func(id int) bool { return defined[id] }
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
