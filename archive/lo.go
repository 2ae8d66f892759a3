package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// An LOGroup writes the large objects of one BLOBS entry, a file each and a list
// of them.
type LOGroup struct {
	w  *Writer
	id int

	mu     sync.Mutex
	oids   []uint32
	open   int
	closed bool
}

// LargeObjects begins the large objects of the BLOBS entry with dump ID id.
func (w *Writer) LargeObjects(id int) (*LOGroup, error) {
	g := &LOGroup{w: w, id: id}
	w.track(g)
	return g, nil
}

// Create begins the large object oid. Several may be written at the same time.
func (g *LOGroup) Create(oid uint32) (*LOWriter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fmt.Errorf("create large object %d: its group is closed", oid)
	}
	name := loName(oid) + g.w.codec.compression.suffix()
	f, err := g.w.create(name)
	if err != nil {
		return nil, err
	}
	e, err := g.w.codec.get()
	if err != nil {
		return nil, errors.Join(err, f.Close(), g.w.remove(name))
	}
	l := &LOWriter{g: g, oid: oid, name: name, f: f, enc: e}
	l.meter = newMeter(f)
	l.buf = g.w.codec.buffer(l.meter)
	if l.stream, err = e.stream(l.buf, -1); err != nil {
		return nil, errors.Join(err, f.Close(), g.w.remove(name))
	}
	g.open++
	g.w.track(l)
	return l, nil
}

// Close writes the group's list. Its large objects must be closed or aborted.
func (g *LOGroup) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := LOListName(g.id)
	switch {
	case g.closed:
		return fmt.Errorf("write %s: it is closed already", name)
	case g.open > 0:
		return fmt.Errorf("write %s: %d large objects are not closed", name, g.open)
	}
	g.closed = true
	if g.w.opts.Version.less(CurrentVersion) {
		g.w.mu.Lock()
		g.w.oids = append(g.w.oids, g.oids...)
		g.w.mu.Unlock()
		g.w.untrack(g, nil)
		return nil
	}
	if err := g.w.writeList(name, g.oids); err != nil {
		return err
	}
	g.w.untrack(g, nil)
	return nil
}

// writeList writes a list of large objects.
func (w *Writer) writeList(name string, oids []uint32) error {
	slices.Sort(oids)
	f, err := w.create(name)
	if err != nil {
		return err
	}
	var list bytes.Buffer
	for _, oid := range oids {
		fmt.Fprintf(&list, "%d %s\n", oid, loName(oid))
	}
	m := newMeter(f)
	if _, err := m.Write(list.Bytes()); err != nil {
		return errors.Join(fileError("write archive file", f.Name(), err), f.Close())
	}
	if err := w.finish(f); err != nil {
		return err
	}
	w.stored.Add(m.n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[name] = File{Name: name, Size: m.n, SHA256: m.sum()}
	return nil
}

// writeOneList writes the list of all large objects, in versions that have one.
func (w *Writer) writeOneList(toc []Entry) error {
	_, written := w.files[loListName]
	if written || !w.opts.Version.less(CurrentVersion) || !slices.ContainsFunc(toc, func(e Entry) bool { return e.Kind == "BLOBS" }) {
		return nil
	}
	return w.writeList(loListName, w.oids)
}

func (g *LOGroup) release() error { return nil }

// An LOWriter writes the bytes of one large object. It is for one goroutine.
type LOWriter struct {
	g      *LOGroup
	oid    uint32
	name   string
	f      storeFile
	enc    encoder
	stream io.WriteCloser
	buf    *bufio.Writer
	meter  *meter
	done   bool
}

// Write adds bytes.
func (l *LOWriter) Write(p []byte) (int, error) {
	if l.done {
		return 0, fmt.Errorf("write archive file %s: %w", l.name, os.ErrClosed)
	}
	n, err := l.stream.Write(p)
	if err != nil {
		return n, fileError("write archive file", l.f.Name(), err)
	}
	return n, nil
}

// Close commits the large object to its group.
func (l *LOWriter) Close() error {
	if l.done {
		return fmt.Errorf("close archive file %s: %w", l.name, os.ErrClosed)
	}
	if err := l.stream.Close(); err != nil {
		return fileError("write archive file", l.f.Name(), err)
	}
	if err := l.buf.Flush(); err != nil {
		return fileError("write archive file", l.f.Name(), err)
	}
	l.done = true
	if err := l.g.w.finish(l.f); err != nil {
		return err
	}
	l.g.w.stored.Add(l.meter.n)
	l.end(&File{Name: l.name, Size: l.meter.n, SHA256: l.meter.sum()})
	l.g.w.codec.put(l.enc)
	l.g.w.codec.putBuffer(l.buf)
	return nil
}

// Abort drops the large object, which may then be created again. After Close or
// Abort it does nothing.
func (l *LOWriter) Abort() error {
	if l.done {
		return nil
	}
	l.done = true
	err := l.release()
	l.end(nil)
	return errors.Join(err, l.g.w.remove(l.name))
}

// end takes the large object off the list of open ones and, with its file, onto
// the group's list.
func (l *LOWriter) end(file *File) {
	l.g.w.untrack(l, file)
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	l.g.open--
	if file != nil {
		l.g.oids = append(l.g.oids, l.oid)
	}
}

func (l *LOWriter) release() error {
	if err := l.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fileError("close archive file", l.f.Name(), err)
	}
	return nil
}
