package archive

import (
	"context"
	"io"
)

// Verify reads all data of an entry and returns what is wrong with it: nil if
// every byte of its files is as the manifest says, or, in an archive without
// one, if the files are complete as far as their format can tell. An entry
// without data is in order.
func Verify(ctx context.Context, r Reader, id int) error {
	for _, e := range r.Entries() {
		if e.ID != id || !e.HasData {
			continue
		}
		if e.Kind == "BLOBS" {
			return verifyLargeObjects(ctx, r, id)
		}
		return verifyRows(ctx, r, id)
	}
	return nil
}

func verifyRows(ctx context.Context, r Reader, id int) error {
	parts, err := r.Parts(id)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := drain(r.Open(ctx, id, p)); err != nil {
			return err
		}
	}
	return nil
}

func verifyLargeObjects(ctx context.Context, r Reader, id int) error {
	list, err := r.LargeObjects(id)
	if err != nil {
		return err
	}
	for _, lo := range list {
		if err := drain(r.OpenLargeObject(ctx, lo)); err != nil {
			return err
		}
	}
	return nil
}

func drain(rc io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, rc)
	if cerr := rc.Close(); err == nil {
		err = cerr
	}
	return err
}
