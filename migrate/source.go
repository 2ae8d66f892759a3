package migrate

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// A moved database is what is migrated: a live one under a snapshot, or an
// archive.
type moved interface {
	restore.Source
	// Columns are those of the rows of a TABLE DATA entry, in their order.
	Columns(e *archive.Entry) ([]string, error)
	// LeftOut are the rows, of those that were read, that COPY cannot send.
	LeftOut() []archive.Skipped
	// AsText are the tables that are read as text though the binary format was
	// asked for.
	AsText() []dump.AsText
	// from is the database that the rows are of.
	from() archive.Source
	// watch returns a context that ends when the snapshot is lost.
	watch(ctx context.Context) (context.Context, context.CancelFunc)
	// release lets the snapshot go, and returns the error by which it was lost
	// before.
	release() error
}

// A source is what is migrated as the plan has it. It sums up the rows of each
// table as they pass by.
type source struct {
	moved
	entries []archive.Entry

	// layouts say in how many parts an earlier run has loaded a table, by the dump
	// ID of its rows. The steps of the plan are those of that run as long as its
	// rows are taken for loaded.
	layouts map[int]int

	mu      sync.Mutex
	digests map[part]sum
	objects map[uint32]verify.RecordedObject // by OID
}

// A part is a stretch of a table's rows.
type part struct{ entry, number int }

// A sum is the digest of rows in a format.
type sum struct {
	copyproto.Digest
	format copyproto.Format
}

var _ restore.Source = (*source)(nil)

func newSource(live moved, entries []archive.Entry) *source {
	return &source{moved: live, entries: entries, layouts: make(map[int]int), digests: make(map[part]sum), objects: make(map[uint32]verify.RecordedObject)}
}

var _ restore.Checker = (*source)(nil)

// Check implements restore.Checker: rows of an archive may be damaged.
func (s *source) Check(ctx context.Context, e *archive.Entry) error {
	if c, ok := s.moved.(restore.Checker); ok {
		return c.Check(ctx, e)
	}
	return nil
}

// Parts implements restore.Source.
func (s *source) Parts(e *archive.Entry) ([]archive.Part, error) {
	parts, err := s.moved.Parts(e)
	if n := s.layouts[e.ID]; err == nil && n > 0 && n != len(parts) {
		var bytes int64
		for _, p := range parts {
			bytes += p.Bytes
		}
		parts = make([]archive.Part, n)
		for i := range parts {
			parts[i] = archive.Part{Number: i, Rows: -1, Bytes: bytes / int64(n)}
		}
	}
	return parts, err
}

// Entries implements restore.Source.
func (s *source) Entries() []archive.Entry { return s.entries }

// Data implements restore.Source.
func (s *source) Data(ctx context.Context, e *archive.Entry, p archive.Part) (copyproto.Source, error) {
	rows, err := s.moved.Data(ctx, e, p)
	if err != nil {
		return nil, err
	}
	return &summed{rows, s, part{e.ID, p.Number}, copyproto.FormatOf(e.Copy)}, nil
}

// summed are rows whose digest is noted when all of them have been read.
type summed struct {
	rows   copyproto.Source
	source *source
	part   part
	format copyproto.Format
}

// Strict implements copyproto.Strict.
func (s *summed) Strict() copyproto.Source {
	strict := *s
	if x, ok := s.rows.(copyproto.Strict); ok {
		strict.rows = x.Strict()
	}
	return &strict
}

// CopyTo implements copyproto.Source.
func (s *summed) CopyTo(ctx context.Context, w io.Writer) (int64, error) {
	hash := copyproto.Hasher{Format: s.format}
	n, err := s.rows.CopyTo(ctx, io.MultiWriter(&hash, w))
	if err == nil {
		s.source.mu.Lock()
		s.source.digests[s.part] = sum{hash.Sum(), s.format}
		s.source.mu.Unlock()
	}
	return n, err
}

// OpenLargeObject implements restore.Source.
func (s *source) OpenLargeObject(ctx context.Context, lo archive.LargeObject) (io.ReadCloser, error) {
	r, err := s.moved.OpenLargeObject(ctx, lo)
	if err != nil {
		return nil, err
	}
	return &hashed{ReadCloser: r, source: s, of: verify.RecordedObject{OID: lo.OID}, hash: xxhash.New()}, nil
}

// hashed is a large object whose hash is noted when its end has been read.
type hashed struct {
	io.ReadCloser
	source *source
	of     verify.RecordedObject
	hash   *xxhash.Digest
}

// Read implements io.Reader.
func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	_, _ = h.hash.Write(p[:n])
	h.of.Bytes += int64(n)
	if errors.Is(err, io.EOF) {
		h.of.Hash = h.hash.Sum64()
		h.source.mu.Lock()
		h.source.objects[h.of.OID] = h.of
		h.source.mu.Unlock()
	}
	return n, err
}

// digest returns the digest of a table's rows and their format. ok is false if
// they have not all been read in one format.
func (s *source) digest(e *archive.Entry) (total sum, ok bool) {
	parts, err := s.moved.Parts(e)
	if err != nil {
		return total, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range parts {
		d, ok := s.digests[part{e.ID, p.Number}]
		if !ok || i > 0 && d.format != total.format {
			return total, false
		}
		total = sum{total.Add(d.Digest), d.format}
	}
	return total, true
}

// allRead says whether the rows of all of these steps have been read once, those
// of a table in one format.
func (s *source) allRead(steps []*restore.Step) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	formats := make(map[int]copyproto.Format)
	for _, step := range steps {
		if step.Action != restore.ActionCopy {
			continue
		}
		d, ok := s.digests[part{step.Entry.ID, step.Part.Number}]
		if first, known := formats[step.Entry.ID]; !ok || known && first != d.format {
			return false
		}
		formats[step.Entry.ID] = d.format
	}
	return true
}

// reads returns functions that read the rows of a table for their digest, each
// one part of them.
func (s *source) reads(e *archive.Entry) ([]func(context.Context) error, error) {
	parts, err := s.moved.Parts(e)
	if err != nil {
		return nil, err
	}
	reads := make([]func(context.Context) error, len(parts))
	for i, p := range parts {
		reads[i] = func(ctx context.Context) error { return s.read(ctx, e, p, copyproto.FormatOf(e.Copy)) }
	}
	return reads, nil
}

// read reads one part of a table's rows for its digest, in another format than
// that which is asked for if a row is too long for text.
func (s *source) read(ctx context.Context, e *archive.Entry, p archive.Part, f copyproto.Format) error {
	as := *e
	if f == copyproto.Binary {
		as.Copy = copyproto.InBinary(copyproto.InText(e.Copy))
	}
	rows, err := s.Data(ctx, &as, p)
	if err != nil {
		return err
	}
	if x, ok := rows.(copyproto.Strict); ok && f != copyproto.Binary {
		rows = x.Strict()
	}
	_, err = rows.CopyTo(ctx, io.Discard)
	if f != copyproto.Binary && errors.Is(err, copyproto.ErrNeedsBinary) {
		return s.read(ctx, e, p, copyproto.Binary)
	}
	return err
}

// even reads those parts of a table's rows again that were read as text while
// others had to be read in the binary format: digests of both do not add up.
func (s *source) even(ctx context.Context, e *archive.Entry) error {
	parts, err := s.moved.Parts(e)
	if err != nil {
		return err
	}
	var text []archive.Part
	s.mu.Lock()
	read := 0
	for _, p := range parts {
		d, ok := s.digests[part{e.ID, p.Number}]
		if ok {
			read++
		}
		if ok && d.format != copyproto.Binary {
			text = append(text, p)
		}
	}
	s.mu.Unlock()
	if len(text) == read {
		return nil
	}
	for _, p := range text {
		if err := s.read(ctx, e, p, copyproto.Binary); err != nil {
			return err
		}
	}
	return nil
}

// largeObjects is what has been noted of large objects, as verify takes it.
func (s *source) largeObjects() []verify.RecordedObject {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.objects))
}

// recorded is what has been noted of the rows of tables, as verify takes it.
func (s *source) recorded(ctx context.Context, of func(*archive.Entry) bool) ([]archive.TableData, error) {
	var tables []archive.TableData
	for i := range s.entries {
		e := &s.entries[i]
		if e.Kind != "TABLE DATA" || e.Copy == "" || !of(e) {
			continue
		}
		if err := s.even(ctx, e); err != nil {
			return nil, err
		}
		sum, ok := s.digest(e)
		if !ok {
			continue
		}
		columns, err := s.Columns(e)
		if err != nil {
			return nil, err
		}
		t := archive.TableData{
			Entry: e.ID, Schema: e.Namespace, Name: e.Tag, Columns: columns, Rows: sum.Rows, Digest: sum.String(),
		}
		if sum.format == copyproto.Binary {
			t.Format, t.Portable = string(copyproto.Binary), !e.Binary()
		}
		tables = append(tables, t)
	}
	return tables, nil
}
