package archive

import (
	"errors"
	"fmt"
	"io"
)

// A longRow is a row on its way into a frame of its own, in a spool file: the
// data file cannot wait for its end.
type longRow struct {
	p      *PartWriter
	enc    encoder
	meter  *meter
	stream io.WriteCloser
	raw    int64
	last   byte
}

// Row begins a row that is too long to be held in memory; see RowWriter.
func (p *PartWriter) Row() (io.WriteCloser, error) {
	switch {
	case p.done:
		return nil, fmt.Errorf("write archive file %s: %w", p.d.name, errPartClosed)
	case p.err != nil:
		return nil, p.err
	}
	r, err := p.longRow()
	if err != nil {
		return nil, p.fail(err)
	}
	return r, nil
}

func (p *PartWriter) longRow() (*longRow, error) {
	if err := p.flush(); err != nil {
		return nil, err
	}
	if err := p.wait(); err != nil {
		return nil, err
	}
	s, err := p.spooled()
	if err != nil {
		return nil, err
	}
	r := &longRow{p: p, meter: newMeter(io.NewOffsetWriter(s.f, s.off))}
	if r.enc, err = p.d.w.codec.get(); err != nil {
		return nil, err
	}
	r.stream, err = r.enc.stream(r.meter, -1)
	return r, err
}

// Write implements io.Writer.
func (r *longRow) Write(b []byte) (int, error) {
	if r.p.err != nil {
		return 0, r.p.err
	}
	n, err := r.stream.Write(b)
	if err != nil {
		return n, r.p.fail(fileError("write archive file", r.p.spool.f.Name(), err))
	}
	r.raw += int64(n)
	if n > 0 {
		r.last = b[n-1]
	}
	return n, nil
}

// Close ends the row.
func (r *longRow) Close() error {
	if r.p.err != nil {
		return r.p.err
	}
	if err := r.end(); err != nil {
		return r.p.fail(err)
	}
	return nil
}

func (r *longRow) end() error {
	p, s := r.p, r.p.spool
	if !p.d.layout.whole([]byte{r.last}) {
		return errors.New("write archive: a row ends without a newline")
	}
	if err := r.stream.Close(); err != nil {
		return fileError("write archive file", s.f.Name(), err)
	}
	p.d.w.codec.put(r.enc)
	s.off += r.meter.n
	s.frames = append(s.frames, Frame{Part: p.number, Raw: r.raw, Rows: 1, Size: r.meter.n, SHA256: r.meter.sum()})
	if !p.direct {
		return nil
	}
	first, err := s.appendTo(p.d)
	if err != nil {
		return err
	}
	p.frames = append(p.frames, first)
	p.spool = nil
	return s.remove()
}

// Row begins a row that is too long to be held in memory; see RowWriter.
func (r *CustomRows) Row() (io.WriteCloser, error) {
	switch {
	case r.done:
		return nil, fmt.Errorf("write archive: %w", errPartClosed)
	case r.c.err != nil:
		return nil, r.c.err
	}
	return &customRow{r: r}, nil
}

// A customRow is a long row of a custom archive, which holds no row in memory.
type customRow struct {
	r    *CustomRows
	last byte
}

// Write implements io.Writer.
func (c *customRow) Write(b []byte) (int, error) {
	if c.r.c.err != nil {
		return 0, c.r.c.err
	}
	n, err := c.r.w.stream.Write(b)
	if err != nil {
		return n, c.r.c.fail(err)
	}
	if n > 0 {
		c.last = b[n-1]
	}
	return n, nil
}

// Close ends the row.
func (c *customRow) Close() error {
	if c.r.c.err == nil && !c.r.layout.whole([]byte{c.last}) {
		return c.r.c.fail(errors.New("write archive: a row ends without a newline"))
	}
	return c.r.c.err
}
