package archive

import (
	"io"
	"strconv"
)

// A spool keeps the frames of a part until it is complete, for formats whose
// frames cannot be voided.
type spool struct {
	w      *Writer
	name   string
	f      storeFile
	off    int64
	frames []Frame
}

// spooled returns the part's spool file, made when it is first needed.
func (p *PartWriter) spooled() (*spool, error) {
	if p.spool != nil {
		return p.spool, nil
	}
	d := p.d
	d.mu.Lock()
	d.spools++
	name := d.name + "." + strconv.Itoa(d.spools) + ".spool"
	d.mu.Unlock()
	f, err := d.w.create(name)
	if err != nil {
		return nil, err
	}
	p.spool = &spool{w: d.w, name: name, f: f}
	d.w.track(p.spool)
	return p.spool, nil
}

// write adds one frame as it is made.
func (s *spool) write(compress func(io.Writer) error, f Frame) error {
	m := newMeter(io.NewOffsetWriter(s.f, s.off))
	if err := compress(m); err != nil {
		return fileError("write archive file", s.f.Name(), err)
	}
	f.Size, f.SHA256 = m.n, m.sum()
	s.off += f.Size
	s.frames = append(s.frames, f)
	return nil
}

// appendTo copies the frames to the end of the data file and returns the number
// of the first there.
func (s *spool) appendTo(d *Data) (first int, err error) {
	return d.copyFrames(io.NewSectionReader(s.f, 0, s.off), s.frames)
}

func (s *spool) release() error {
	if err := s.f.Close(); err != nil {
		return fileError("close archive file", s.f.Name(), err)
	}
	return nil
}

func (s *spool) remove() error {
	s.w.untrack(s, nil)
	err := s.release()
	if rerr := s.w.remove(s.name); err == nil {
		err = rerr
	}
	return err
}
