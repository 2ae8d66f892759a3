package verify

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pghaul/pghaul/internal/copybin"
)

// maxTuple is the longest row in COPY's binary format that is looked into, in
// bytes.
const maxTuple = 64 << 20

var errTuple = errors.New("a row is too long to be looked into")

// tuples turns rows in COPY's binary format into rows as text has them, so that
// they can be looked into like those. Values of types that it does not know are in
// hexadecimal form; different values have different texts.
type tuples struct {
	types   []string // of the columns
	do      func(row []byte)
	frame   copybin.Splitter
	row     []byte // what there is of a row
	tooLong bool   // and of the rows so far
	out     []byte
}

// Write implements io.Writer.
func (t *tuples) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k, end, err := t.frame.Next(p)
		if err != nil {
			return 0, err
		}
		if len(t.row)+k > maxTuple {
			t.tooLong = true
		}
		if !t.tooLong {
			t.row = append(t.row, p[:k]...)
		}
		p = p[k:]
		if end && !t.tooLong {
			t.do(t.text())
			t.row = t.row[:0]
		}
	}
	return n, nil
}

// end says what was wrong with the rows.
func (t *tuples) end() error {
	switch {
	case t.tooLong:
		return errTuple
	case t.frame.Inside():
		return errors.New("the data ends inside a row")
	}
	return nil
}

// text is the row as COPY text. The frame has made sure of its form.
func (t *tuples) text() []byte {
	t.out = t.out[:0]
	p := t.row[2:]
	for i := 0; len(p) > 0; i++ {
		if i > 0 {
			t.out = append(t.out, '\t')
		}
		n := int32(binary.BigEndian.Uint32(p))
		p = p[4:]
		if n < 0 {
			t.out = append(t.out, null...)
			continue
		}
		typeName := ""
		if i < len(t.types) {
			typeName = t.types[i]
		}
		t.out = appendValue(t.out, typeName, p[:n])
		p = p[n:]
	}
	return t.out
}

var modifier = regexp.MustCompile(`\([0-9, -]+\)`)

// appendValue appends a value of a type as COPY text.
func appendValue(out []byte, typeName string, v []byte) []byte {
	word := func(size int) (n uint64, ok bool) {
		if len(v) != size {
			return 0, false
		}
		for _, c := range v {
			n = n<<8 | uint64(c)
		}
		return n, true
	}
	switch modifier.ReplaceAllString(typeName, "") {
	case "text", "character varying", "character", "name", "json", "xml":
		return appendText(out, v)
	case "jsonb":
		if len(v) > 0 && v[0] == 1 {
			return appendText(out, v[1:])
		}
	case "boolean":
		if n, ok := word(1); ok && n <= 1 {
			return append(out, "ft"[n])
		}
	case "smallint":
		if n, ok := word(2); ok {
			return strconv.AppendInt(out, int64(int16(n)), 10)
		}
	case "integer":
		if n, ok := word(4); ok {
			return strconv.AppendInt(out, int64(int32(n)), 10)
		}
	case "bigint":
		if n, ok := word(8); ok {
			return strconv.AppendInt(out, int64(n), 10)
		}
	case "oid":
		if n, ok := word(4); ok {
			return strconv.AppendUint(out, n, 10)
		}
	case "real":
		if n, ok := word(4); ok && !math.IsNaN(float64(math.Float32frombits(uint32(n)))) {
			return strconv.AppendFloat(out, float64(math.Float32frombits(uint32(n))), 'g', -1, 32)
		}
	case "double precision":
		if n, ok := word(8); ok && !math.IsNaN(math.Float64frombits(n)) {
			return strconv.AppendFloat(out, math.Float64frombits(n), 'g', -1, 64)
		}
	case "uuid":
		if len(v) == 16 {
			h := hex.EncodeToString(v)
			return append(out, h[:8]+"-"+h[8:12]+"-"+h[12:16]+"-"+h[16:20]+"-"+h[20:]...)
		}
	case "date":
		if n, ok := word(4); ok && n != math.MaxInt32 && n != 1<<31 { // not infinite
			return millennium.AddDate(0, 0, int(int32(n))).AppendFormat(out, time.DateOnly)
		}
	case "timestamp without time zone", "timestamp with time zone":
		if n, ok := word(8); ok && n != math.MaxInt64 && n != 1<<63 {
			return time.UnixMicro(millennium.UnixMicro()+int64(n)).UTC().AppendFormat(out, "2006-01-02 15:04:05.999999")
		}
	}
	return hex.AppendEncode(append(out, `\\x`...), v)
}

// millennium is when the server's calendar begins.
var millennium = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// appendText appends text as COPY writes it.
func appendText(out, v []byte) []byte {
	for _, c := range v {
		if i := strings.IndexByte("\\\b\f\n\r\t\v", c); i >= 0 {
			out = append(out, '\\', `\bfnrtv`[i])
			continue
		}
		out = append(out, c)
	}
	return out
}
