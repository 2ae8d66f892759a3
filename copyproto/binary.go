package copyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A Column says how the text of a column's values is written in the binary
// format of COPY.
type Column struct {
	Type Type
	// Element is the OID of the elements' type, as the server has it, for an array
	// of Type; 0 for others.
	Element uint32
}

const (
	// binarySignature is what a binary stream begins with: the signature itself, no
	// flags and no extension (reference section 68, COPY, binary format).
	binarySignature = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	// binaryTrailer ends it.
	binaryTrailer = "\xff\xff"
	// binaryBlock is how much is gathered before it is handed on.
	binaryBlock = 64 << 10
)

// errForm is a value that is not written as servers write those of its type.
// There is no more to say: whoever gets it loads the text, and the server says it.
var errForm = errors.New("not in the form in which servers write it")

// A BinaryWriter turns rows in COPY's text format into its binary format, whose
// values cost a server less to read. It knows the text that servers write (with
// DateStyle ISO) and refuses any other, so that no value can become another one.
type BinaryWriter struct {
	to      io.Writer
	columns []Column
	out     []byte
	row     []byte // the part of a row that came with an earlier Write
	value   []byte // of one field, without its escapes
	rows    int64
}

// NewBinaryWriter returns a writer of rows with the given columns to to.
func NewBinaryWriter(to io.Writer, columns []Column) *BinaryWriter {
	w := &BinaryWriter{to: to, columns: columns}
	w.out = append(w.out, binarySignature...)
	return w
}

// Write takes text, which may be cut anywhere. An error that is not to's names
// the row and the column that cannot be turned.
func (w *BinaryWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := indexNewline(p)
		if i < 0 {
			w.row = append(w.row, p...)
			break
		}
		row := p[:i]
		if len(w.row) > 0 {
			w.row = append(w.row, row...)
			row = w.row
		}
		if err := w.turn(row); err != nil {
			return 0, err
		}
		w.row, p = w.row[:0], p[i+1:]
		if len(w.out) >= binaryBlock {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// Close writes what is left and the end of the stream. It does not close the
// writer below.
func (w *BinaryWriter) Close() error {
	if len(w.row) > 0 {
		return fmt.Errorf("the text ends within row %d", w.rows+1)
	}
	w.out = append(w.out, binaryTrailer...)
	return w.flush()
}

func (w *BinaryWriter) flush() error {
	_, err := w.to.Write(w.out)
	w.out = w.out[:0]
	return err
}

// turn appends one row.
func (w *BinaryWriter) turn(row []byte) error {
	w.rows++
	w.out = binary.BigEndian.AppendUint16(w.out, uint16(len(w.columns)))
	if len(w.columns) == 0 {
		if len(row) > 0 {
			return fmt.Errorf("row %d has values, the table no columns", w.rows)
		}
		return nil
	}
	escaped := bytes.IndexByte(row, '\\') >= 0
	for k := range w.columns {
		field := row
		if k == len(w.columns)-1 {
			if bytes.IndexByte(row, '\t') >= 0 {
				return fmt.Errorf("row %d has more than %d columns", w.rows, len(w.columns))
			}
		} else {
			i := bytes.IndexByte(row, '\t')
			if i < 0 {
				return fmt.Errorf("row %d has less than %d columns", w.rows, len(w.columns))
			}
			field, row = row[:i], row[i+1:]
		}
		at := len(w.out)
		w.out = append(w.out, 0xff, 0xff, 0xff, 0xff) // the length; -1 is NULL
		if escaped && bytes.IndexByte(field, '\\') >= 0 {
			if len(field) == 2 && field[1] == 'N' {
				continue
			}
			var err error
			if field, err = w.unescape(field); err != nil {
				return fmt.Errorf("row %d, column %d: %w", w.rows, k+1, err)
			}
		}
		var err error
		if c := &w.columns[k]; c.Element != 0 {
			w.out, err = w.array(w.out, c, field)
		} else {
			w.out, err = c.Type.append(w.out, field)
		}
		if err != nil {
			return fmt.Errorf("row %d, column %d: %w", w.rows, k+1, err)
		}
		binary.BigEndian.PutUint32(w.out[at:], uint32(len(w.out)-at-4))
	}
	return nil
}

// unescape returns what a field with backslashes stands for. Servers write six
// letters after one, and otherwise the character itself.
func (w *BinaryWriter) unescape(field []byte) ([]byte, error) {
	v := w.value[:0]
	for {
		i := bytes.IndexByte(field, '\\')
		if i < 0 {
			w.value = append(v, field...)
			return w.value, nil
		}
		if i+1 == len(field) {
			return nil, errForm
		}
		v = append(v, field[:i]...)
		c := field[i+1]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		case '\\':
		default: // numbers of bytes among others, which servers never write
			return nil, errForm
		}
		v, field = append(v, c), field[i+2:]
	}
}
