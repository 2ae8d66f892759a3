package migrate

import (
	"context"
	"io"
	"sync"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/restore"
)

// A moved database is what is migrated: a live one under a snapshot, or an
// archive.
type moved interface {
	restore.Source
	// Columns are those of the rows of a TABLE DATA entry, in their order.
	Columns(e *archive.Entry) ([]string, error)
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

	mu      sync.Mutex
	digests map[part]copyproto.Digest
}

// A part is a stretch of a table's rows.
type part struct{ entry, number int }

var _ restore.Source = (*source)(nil)

func newSource(live moved, entries []archive.Entry) *source {
	return &source{moved: live, entries: entries, digests: make(map[part]copyproto.Digest)}
}

// Entries implements restore.Source.
func (s *source) Entries() []archive.Entry { return s.entries }

// Data implements restore.Source.
func (s *source) Data(ctx context.Context, e *archive.Entry, p archive.Part) (copyproto.Source, error) {
	rows, err := s.moved.Data(ctx, e, p)
	if err != nil {
		return nil, err
	}
	return &summed{rows, s, part{e.ID, p.Number}}, nil
}

// summed are rows whose digest is noted when all of them have been read.
type summed struct {
	rows   copyproto.Source
	source *source
	part   part
}

// CopyTo implements copyproto.Source.
func (s *summed) CopyTo(ctx context.Context, w io.Writer) (int64, error) {
	var hash copyproto.Hasher
	n, err := s.rows.CopyTo(ctx, io.MultiWriter(&hash, w))
	if err == nil {
		s.source.mu.Lock()
		s.source.digests[s.part] = hash.Sum()
		s.source.mu.Unlock()
	}
	return n, err
}

// digest returns the digest of a table's rows. ok is false if they have not all
// been read.
func (s *source) digest(e *archive.Entry) (sum copyproto.Digest, ok bool) {
	parts, err := s.Parts(e)
	if err != nil {
		return sum, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parts {
		d, ok := s.digests[part{e.ID, p.Number}]
		if !ok {
			return sum, false
		}
		sum = sum.Add(d)
	}
	return sum, true
}

// allRead says whether the rows of all of these steps have been read once.
func (s *source) allRead(steps []*restore.Step) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, step := range steps {
		if _, ok := s.digests[part{step.Entry.ID, step.Part.Number}]; !ok && step.Action == restore.ActionCopy {
			return false
		}
	}
	return true
}

// read reads all rows of a table for their digest.
func (s *source) read(ctx context.Context, e *archive.Entry) error {
	parts, err := s.Parts(e)
	if err != nil {
		return err
	}
	for _, p := range parts {
		rows, err := s.Data(ctx, e, p)
		if err != nil {
			return err
		}
		if _, err := rows.CopyTo(ctx, io.Discard); err != nil {
			return err
		}
	}
	return nil
}

// recorded is what has been noted of the rows of tables, as verify takes it.
func (s *source) recorded(of func(*archive.Entry) bool) ([]archive.TableData, error) {
	var tables []archive.TableData
	for i := range s.entries {
		e := &s.entries[i]
		if e.Kind != "TABLE DATA" || e.Copy == "" || !of(e) {
			continue
		}
		sum, ok := s.digest(e)
		if !ok {
			continue
		}
		columns, err := s.Columns(e)
		if err != nil {
			return nil, err
		}
		tables = append(tables, archive.TableData{
			Entry: e.ID, Schema: e.Namespace, Name: e.Tag, Columns: columns, Rows: sum.Rows, Digest: sum.String(),
		})
	}
	return tables, nil
}
