package archive

import (
	"errors"
	"fmt"
)

// CustomObjects writes the large objects of one BLOBS entry, one after the
// other.
type CustomObjects struct {
	c       *CustomWriter
	current *CustomObject
	closed  bool
}

// LargeObjects begins the large objects of the BLOBS entry with dump ID id. In
// versions of the table of contents that have one entry for all of them, these
// go there, and no rows may be written between two groups.
func (c *CustomWriter) LargeObjects(id int) (*CustomObjects, error) {
	if c.opts.Version.less(CurrentVersion) {
		if c.inBlobs() {
			return &CustomObjects{c: c}, nil
		}
		for i := range c.toc {
			if c.toc[i].Kind == "BLOBS" {
				id = c.toc[i].ID
			}
		}
	}
	if err := c.block(id, blockBlobs); err != nil {
		return nil, err
	}
	if c.opts.Version.less(CurrentVersion) {
		c.groups++
	}
	return &CustomObjects{c: c}, nil
}

// endBlobs ends the block that several groups share.
func (c *CustomWriter) endBlobs() error {
	if !c.inBlobs() {
		return nil
	}
	c.addInt(0)
	return c.end()
}

// Create begins the large object oid. The one before must be closed.
func (g *CustomObjects) Create(oid uint32) (*CustomObject, error) {
	switch {
	case g.closed || g.current != nil:
		return nil, fmt.Errorf("create large object %d: its group is closed or in use", oid)
	case oid == 0:
		return nil, errors.New("create large object 0: no large object has this OID")
	case g.c.err != nil:
		return nil, g.c.err
	}
	g.c.addOID(oid)
	w, err := g.c.chunks()
	if err != nil {
		return nil, g.c.fail(err)
	}
	g.current = &CustomObject{g: g, w: w}
	return g.current, nil
}

// Close ends the group.
func (g *CustomObjects) Close() error {
	switch {
	case g.closed || g.current != nil:
		return errors.New("close large objects: the group is closed or in use")
	case g.c.err != nil:
		return g.c.err
	}
	g.closed = true
	if g.c.inBlobs() {
		return nil
	}
	g.c.addInt(0)
	return g.c.end()
}

// A CustomObject writes the bytes of one large object.
type CustomObject struct {
	g    *CustomObjects
	w    *chunkWriter
	done bool
}

// Write adds bytes.
func (o *CustomObject) Write(p []byte) (int, error) {
	if o.done {
		return 0, fmt.Errorf("write large object: %w", errPartClosed)
	}
	if o.g.c.err != nil {
		return 0, o.g.c.err
	}
	n, err := o.w.stream.Write(p)
	if err != nil {
		return n, o.g.c.fail(err)
	}
	return n, nil
}

// Close ends the large object.
func (o *CustomObject) Close() error {
	if o.done {
		return fmt.Errorf("close large object: %w", errPartClosed)
	}
	o.done, o.g.current = true, nil
	if err := o.w.close(); err != nil {
		return o.g.c.fail(err)
	}
	return nil
}

// Abort gives the large object up, and the whole archive with it. After Close
// or Abort it does nothing.
func (o *CustomObject) Abort() error {
	if !o.done {
		o.done, o.g.current = true, nil
		_ = o.g.c.fail(errRowsAborted)
	}
	return nil
}
