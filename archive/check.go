package archive

import "context"

// Check returns what is wrong with the data of an entry, as Verify does, but
// where it can by checksums alone, without decompressing anything: of frames
// whose bytes are as they were written, nothing else need be asked.
func Check(ctx context.Context, r Reader, id int) error {
	if d, ok := r.(*dirReader); ok {
		if _, p, err := d.data(id); err == nil && p.file != nil && len(p.file.Frames) > 0 {
			return p.file.check(ctx, p)
		}
	}
	return Verify(ctx, r, id)
}

// check compares every byte of a file of frames with its checksums.
func (d *dataFile) check(ctx context.Context, p place) (err error) {
	f, err := p.open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if err := d.checkRest(ctx, f); err != nil {
		return err
	}
	for _, fr := range d.rows {
		if err := checkHash(ctx, f, fr.Offset, fr.Size, fr.SHA256); err != nil {
			return err
		}
	}
	return nil
}
