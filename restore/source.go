package restore

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
)

// A Source is what a restore needs from the other side: an archive, or a live
// database. Its methods may be called concurrently.
type Source interface {
	Header() archive.Header
	// Entries are in the order of the table of contents, which is one they can
	// be restored in.
	Entries() []archive.Entry
	// Manifest is nil where nothing is known beyond the entries.
	Manifest() *archive.Manifest
	// Parts are the runs of rows of an entry with data that may be loaded in
	// parallel, at least one.
	Parts(e *archive.Entry) ([]archive.Part, error)
	// Data is one part's rows as COPY text, or in the binary format, without header
	// and trailer, if e is Binary, or the INSERT statements of an entry without a
	// COPY statement.
	Data(ctx context.Context, e *archive.Entry, part archive.Part) (copyproto.Source, error)
	// LargeObjects lists what a BLOBS entry holds.
	LargeObjects(e *archive.Entry) ([]archive.LargeObject, error)
	// OpenLargeObject returns the bytes of one large object.
	OpenLargeObject(ctx context.Context, lo archive.LargeObject) (io.ReadCloser, error)
}

// FromArchive makes an archive a Source. The caller closes r after the restore.
func FromArchive(r archive.Reader) Source { return archiveSource{r} }

type archiveSource struct{ r archive.Reader }

func (s archiveSource) Header() archive.Header      { return s.r.Header() }
func (s archiveSource) Entries() []archive.Entry    { return s.r.Entries() }
func (s archiveSource) Manifest() *archive.Manifest { return s.r.Manifest() }

func (s archiveSource) Parts(e *archive.Entry) ([]archive.Part, error) { return s.r.Parts(e.ID) }

func (s archiveSource) LargeObjects(e *archive.Entry) ([]archive.LargeObject, error) {
	return s.r.LargeObjects(e.ID)
}

func (s archiveSource) OpenLargeObject(ctx context.Context, lo archive.LargeObject) (io.ReadCloser, error) {
	return s.r.OpenLargeObject(ctx, lo)
}

func (s archiveSource) Data(ctx context.Context, e *archive.Entry, part archive.Part) (copyproto.Source, error) {
	return copyproto.Opener(func(context.Context) (io.ReadCloser, error) { return s.r.Open(ctx, e.ID, part) }), nil
}

// Check implements Checker.
func (s archiveSource) Check(ctx context.Context, e *archive.Entry) error {
	return archive.Check(ctx, s.r, e.ID)
}

// damaged reads a part to its end and returns the *archive.CorruptError that
// comes up, if one does. A server may refuse a damaged row before the damage
// itself is seen, which for some formats is at the end of the file only.
func damaged(ctx context.Context, src Source, e *archive.Entry, part archive.Part) error {
	data, err := src.Data(ctx, e, part)
	if err == nil {
		_, err = data.CopyTo(ctx, io.Discard)
	}
	if corrupt, ok := errors.AsType[*archive.CorruptError](err); ok {
		return corrupt
	}
	return nil
}

// describe names an entry as messages do: schema.tag, or the tag alone. Tags of
// comments and privileges begin with the kind of what they are about.
func describe(e *archive.Entry) string {
	switch {
	case e.Namespace == "":
		return e.Tag
	case !satellite(e):
		return e.Namespace + "." + e.Tag
	}
	name := strings.TrimLeft(e.Tag, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	return e.Tag[:len(e.Tag)-len(name)] + e.Namespace + "." + name
}
