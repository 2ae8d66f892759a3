package convert

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/archive"
)

// directory writes a directory archive, several stretches of data at once.
type directory struct{ *archive.Writer }

func (d *directory) begin(archive.Header, []archive.Entry) error { return nil }

func (d *directory) commit(h archive.Header, toc []archive.Entry, m archive.Manifest) error {
	return d.Commit(h, toc, m)
}

func (d *directory) copy(ctx context.Context, c *conversion) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.opts.Jobs)
	err := d.share(ctx, c, group.Go)
	if werr := group.Wait(); werr != nil {
		return werr // the other may only be that it ended the context
	}
	return err
}

// share hands out the work.
func (d *directory) share(ctx context.Context, c *conversion, work func(func() error)) error {
	for i := range c.entries {
		e := &c.entries[i]
		switch {
		case !e.HasData:
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case e.Kind == "BLOBS":
			work(func() error { return d.largeObjects(ctx, c, e.ID) })
			continue
		}
		parts, err := c.r.Parts(e.ID)
		if err != nil {
			return err
		}
		t := &table{entry: e, parts: len(parts)}
		c.mu.Lock()
		c.tables[e.ID] = t
		c.mu.Unlock()
		for _, part := range parts {
			work(func() error { return d.part(ctx, c, t, part) })
		}
	}
	return nil
}

// part copies one part of a table. The first opens the file, the last closes it.
func (d *directory) part(ctx context.Context, c *conversion, t *table, part archive.Part) error {
	c.mu.Lock()
	var err error
	if t.data == nil {
		begin := d.Table
		switch {
		case t.entry.Copy == "":
			begin = d.Statements
		case t.entry.Binary():
			begin = d.BinaryTable
		}
		t.data, err = begin(t.entry.ID)
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	w := t.data.Part(part.Number)
	err = c.rows(ctx, t, part, w)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	c.mu.Lock()
	t.parts--
	last := t.parts == 0
	c.mu.Unlock()
	if last {
		_, err = t.data.Close()
	}
	return err
}

func (d *directory) largeObjects(ctx context.Context, c *conversion, id int) error {
	list, err := c.r.LargeObjects(id)
	if err != nil {
		return err
	}
	g, err := d.LargeObjects(id)
	if err != nil {
		return err
	}
	for _, lo := range list {
		w, err := g.Create(lo.OID)
		if err != nil {
			return err
		}
		if err := c.object(ctx, lo, w); err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	return g.Close()
}

// custom writes a custom archive, one entry after the other.
type custom struct{ *archive.CustomWriter }

func (w *custom) begin(h archive.Header, toc []archive.Entry) error { return w.Begin(h, toc) }

func (w *custom) commit(_ archive.Header, _ []archive.Entry, m archive.Manifest) error {
	return w.Commit(m)
}

func (w *custom) copy(ctx context.Context, c *conversion) error {
	ordered := make([]*archive.Entry, 0, len(c.entries))
	for i := range c.entries {
		if c.entries[i].HasData {
			ordered = append(ordered, &c.entries[i])
		}
	}
	if v := c.opts.Writer.Version; v != (archive.Version{}) && v != archive.CurrentVersion {
		// Older versions have one block for all large objects.
		slices.SortStableFunc(ordered, func(a, b *archive.Entry) int { return order(a) - order(b) })
	}
	for _, e := range ordered {
		if e.Kind == "BLOBS" {
			if err := w.largeObjects(ctx, c, e.ID); err != nil {
				return err
			}
		} else if err := w.table(ctx, c, e); err != nil {
			return err
		}
	}
	return nil
}

func order(e *archive.Entry) int {
	if e.Kind == "BLOBS" {
		return 1
	}
	return 0
}

func (w *custom) table(ctx context.Context, c *conversion, e *archive.Entry) error {
	parts, err := c.r.Parts(e.ID)
	if err != nil {
		return err
	}
	t := &table{entry: e}
	c.tables[e.ID] = t
	begin := w.Table
	switch {
	case e.Copy == "":
		begin = w.Statements
	case e.Binary():
		begin = w.BinaryTable
	}
	rows, err := begin(e.ID)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := c.rows(ctx, t, part, rows); err != nil {
			return err
		}
	}
	return rows.Close()
}

func (w *custom) largeObjects(ctx context.Context, c *conversion, id int) error {
	list, err := c.r.LargeObjects(id)
	if err != nil {
		return err
	}
	g, err := w.LargeObjects(id)
	if err != nil {
		return err
	}
	for _, lo := range list {
		o, err := g.Create(lo.OID)
		if err != nil {
			return err
		}
		if err := c.object(ctx, lo, o); err != nil {
			return err
		}
	}
	return g.Close()
}
