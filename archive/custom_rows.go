package archive

import (
	"errors"
	"fmt"
	"io"
)

// A chunkWriter compresses one stream into a list of chunks.
type chunkWriter struct {
	c      *CustomWriter
	chunk  []byte
	enc    encoder
	stream io.WriteCloser
}

// chunkSize is how much of a stream stands between two lengths.
const chunkSize = 64 << 10

func (c *CustomWriter) chunks() (*chunkWriter, error) {
	e, err := c.codec.get()
	if err != nil {
		return nil, err
	}
	w := &chunkWriter{c: c, enc: e}
	if w.stream, err = e.stream((*chunkSink)(w), -1); err != nil {
		return nil, err
	}
	return w, nil
}

// A chunkSink is where a chunkWriter's compressed bytes go.
type chunkSink chunkWriter

// Write implements io.Writer.
func (s *chunkSink) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		take := min(len(p), chunkSize-len(s.chunk))
		s.chunk = append(s.chunk, p[:take]...)
		p = p[take:]
		if len(s.chunk) == chunkSize {
			(*chunkWriter)(s).flush()
		}
	}
	return n, s.c.err
}

func (w *chunkWriter) flush() {
	if len(w.chunk) > 0 {
		w.c.addInt(len(w.chunk))
		w.c.add(w.chunk)
		w.chunk = w.chunk[:0]
	}
}

// close ends the stream and the list.
func (w *chunkWriter) close() error {
	if err := w.stream.Close(); err != nil {
		return err
	}
	w.flush()
	w.c.addInt(0)
	w.c.codec.put(w.enc)
	return w.c.err
}

// CustomRows writes the rows of one entry.
type CustomRows struct {
	w      *chunkWriter
	c      *CustomWriter
	layout *layout
	done   bool
}

// Table begins the data of the entry with dump ID id.
func (c *CustomWriter) Table(id int) (*CustomRows, error) { return c.rows(id, &textRows) }

// BinaryTable begins the data of the entry with dump ID id, which is Binary. Rows
// come without the stream's header and trailer.
func (c *CustomWriter) BinaryTable(id int) (*CustomRows, error) { return c.rows(id, &binaryRows) }

// Statements begins the data of the entry with dump ID id, whose rows are
// INSERT statements.
func (c *CustomWriter) Statements(id int) (*CustomRows, error) { return c.rows(id, &statements) }

func (c *CustomWriter) rows(id int, l *layout) (*CustomRows, error) {
	if err := c.block(id, blockData); err != nil {
		return nil, err
	}
	w, err := c.chunks()
	if err != nil {
		return nil, c.fail(err)
	}
	if _, err := io.WriteString(w.stream, l.begin); err != nil {
		return nil, c.fail(err)
	}
	return &CustomRows{w: w, c: c, layout: l}, nil
}

func (c *CustomWriter) fail(err error) error {
	if c.err == nil {
		c.err = err
	}
	return c.err
}

// WriteRows adds rows, whole lines or whole rows of the binary format.
func (r *CustomRows) WriteRows(rows []byte, _ int64) error {
	switch {
	case r.done:
		return fmt.Errorf("write archive: %w", errPartClosed)
	case r.c.err != nil:
		return r.c.err
	case len(rows) == 0:
		return nil
	case !r.layout.whole(rows):
		return r.c.fail(errors.New("write archive: rows end without a newline"))
	}
	if _, err := r.w.stream.Write(rows); err != nil {
		return r.c.fail(err)
	}
	return nil
}

// Close ends the entry's data.
func (r *CustomRows) Close() error {
	if r.done {
		return fmt.Errorf("write archive: %w", errPartClosed)
	}
	r.done = true
	if _, err := io.WriteString(r.w.stream, r.layout.end); err != nil {
		return r.c.fail(err)
	}
	if err := r.w.close(); err != nil {
		return r.c.fail(err)
	}
	return r.c.end()
}

var errRowsAborted = errors.New("write archive: the rows of an entry were given up, which a custom archive cannot take back")

// Abort gives the rows up, and the whole archive with them. After Close or
// Abort it does nothing.
func (r *CustomRows) Abort() error {
	if !r.done {
		r.done = true
		_ = r.c.fail(errRowsAborted)
	}
	return nil
}
