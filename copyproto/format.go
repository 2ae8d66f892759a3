package copyproto

import (
	"errors"
	"io"
	"strings"

	"github.com/pghaul/pghaul/internal/copybin"
)

// Format is one of COPY's formats.
type Format string

// The formats.
const (
	Text   Format = "text"
	Binary Format = "binary"
)

// withBinary ends a statement of COPY in the binary format.
const withBinary = " WITH (FORMAT binary);"

// InBinary returns a COPY statement without options with that of the binary
// format, as an archive has it.
func InBinary(sql string) string {
	end := ""
	if strings.HasSuffix(sql, "\n") {
		end = "\n"
	}
	return strings.TrimSuffix(strings.TrimRight(sql, " \n"), ";") + withBinary + end
}

// InText takes back what InBinary has done to a statement.
func InText(sql string) string {
	if FormatOf(sql) == Text {
		return sql
	}
	i := strings.LastIndex(sql, withBinary)
	return sql[:i] + ";" + sql[i+len(withBinary):]
}

// FormatOf returns the format of the rows of a COPY statement of an archive.
func FormatOf(sql string) Format {
	if strings.HasSuffix(strings.TrimRight(sql, " \n"), withBinary) {
		return Binary
	}
	return Text
}

// A TupleWriter takes a stream in the binary format and hands its rows on,
// without header and trailer.
type TupleWriter struct {
	to    io.Writer
	begun bool
	held  []byte // of the header, and then what may be the trailer
}

// NewTuples returns a writer that hands rows to to.
func NewTuples(to io.Writer) *TupleWriter { return &TupleWriter{to: to} }

// Write implements io.Writer.
func (t *TupleWriter) Write(p []byte) (int, error) {
	n := len(p)
	if !t.begun {
		k := min(len(copybin.Header)-len(t.held), len(p))
		t.held, p = append(t.held, p[:k]...), p[k:]
		if len(t.held) < len(copybin.Header) {
			return n, nil
		}
		if err := copybin.CheckHeader(t.held); err != nil {
			return 0, err
		}
		t.begun, t.held = true, t.held[:0]
	}
	// The last two bytes may be the trailer.
	if ready := len(t.held) + len(p) - len(copybin.Trailer); ready > 0 {
		if k := min(ready, len(t.held)); k > 0 {
			if _, err := t.to.Write(t.held[:k]); err != nil {
				return 0, err
			}
			t.held, ready = append(t.held[:0], t.held[k:]...), ready-k
		}
		if ready > 0 {
			if _, err := t.to.Write(p[:ready]); err != nil {
				return 0, err
			}
			p = p[ready:]
		}
	}
	t.held = append(t.held, p...)
	return n, nil
}

// errNoTrailer is a stream that was cut.
var errNoTrailer = errors.New("it ends without the trailer of the binary format")

// End checks that the stream has ended as it must, and makes the writer ready
// for another one. Whether it has ended between two rows is for those to find who
// look at them.
func (t *TupleWriter) End() error {
	if !t.begun || string(t.held) != copybin.Trailer {
		return errNoTrailer
	}
	t.begun, t.held = false, t.held[:0]
	return nil
}

// Flush hands on what was held back of a stream that was cut between two rows:
// the end of the last one.
func (t *TupleWriter) Flush() error {
	if !t.begun || len(t.held) == 0 {
		return nil
	}
	_, err := t.to.Write(t.held)
	t.held = t.held[:0]
	return err
}

// WriteStream writes what source has of rows to to as a stream in the binary
// format, by do: the header, rows and the trailer.
func WriteStream(to io.Writer, do func(io.Writer) error) error {
	if _, err := io.WriteString(to, copybin.Header); err != nil {
		return err
	}
	if err := do(to); err != nil {
		return err
	}
	_, err := io.WriteString(to, copybin.Trailer)
	return err
}

// A cutter finds where rows end in a stream that may be cut anywhere.
type cutter struct {
	format Format
	tuples copybin.Splitter
}

// next returns how much of p belongs to the row that begins or goes on there, and
// whether that is its end. p is not empty.
func (c *cutter) next(p []byte) (n int, end bool, err error) {
	if c.format == Binary {
		return c.tuples.Next(p)
	}
	if n = indexNewline(p) + 1; n == 0 {
		return len(p), false, nil
	}
	return n, true, nil
}

// last takes all of p and returns where the last row that ends in it ends, 0 if
// none does.
func (c *cutter) last(p []byte) (n int, err error) {
	if c.format != Binary {
		return lastNewline(p) + 1, nil
	}
	for at := 0; at < len(p); {
		k, end, err := c.tuples.Next(p[at:])
		if err != nil {
			return n, err
		}
		if at += k; end {
			n = at
		}
	}
	return n, nil
}

// A Counter counts rows as they pass. The zero Counter counts those of text and
// passes them to nobody.
type Counter struct {
	To     io.Writer // may be nil
	Format Format
	tuples copybin.Splitter
	inside bool // of text
	rows   int64
}

// Rows is how many rows have ended so far.
func (c *Counter) Rows() int64 { return c.rows }

// Inside reports whether a row has begun that has not ended.
func (c *Counter) Inside() bool { return c.inside || c.tuples.Inside() }

// Write implements io.Writer. What is not in the form of binary rows is an error.
func (c *Counter) Write(p []byte) (int, error) {
	if c.Format != Binary {
		c.rows += CountRows(p)
		c.inside = len(p) > 0 && p[len(p)-1] != '\n' || len(p) == 0 && c.inside
	}
	for at := 0; at < len(p) && c.Format == Binary; {
		n, end, err := c.tuples.Next(p[at:])
		if err != nil {
			return 0, err
		}
		if at += n; end {
			c.rows++
		}
	}
	if c.To == nil {
		return len(p), nil
	}
	return c.To.Write(p)
}

// ErrNeedsBinary says that a row is too long for COPY's text format and not for
// its binary one.
var ErrNeedsBinary = errors.New("a row is too long for COPY's text format, and not for its binary one")

// A Strict is a Source that leaves rows out that COPY cannot send.
type Strict interface {
	// Strict returns a Source whose error is ErrNeedsBinary where it would leave a
	// row out that the binary format can hold, which then nobody but the caller has
	// seen.
	Strict() Source
}
