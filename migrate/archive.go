package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
)

// PlanArchive is NewPlan with an archive in the place of the source. What the
// archive does not tell of the source is not asked: an archive of pg_dump knows
// roles by their names only.
func PlanArchive(ctx context.Context, source restore.Source, target *pgx.ConnConfig, opts Options) (*platform.Plan, error) {
	return fromArchive(source, target, opts).planOnly(ctx)
}

// RunArchive is Run with an archive in the place of the source. All entries of
// source are restored: Options.Select is not looked at.
func RunArchive(ctx context.Context, source restore.Source, target *pgx.ConnConfig, opts Options) (*Report, error) {
	return fromArchive(source, target, opts).do(ctx)
}

func fromArchive(source restore.Source, target *pgx.ConnConfig, opts Options) *migration {
	m := newMigration(nil, target, opts)
	m.archive = source
	return m
}

// stored is an archive as something that is moved.
type stored struct {
	restore.Source
	origin  archive.Source
	columns map[int][]string // by dump ID, where the manifest tells
}

var _ moved = (*stored)(nil)

// openStored reads what an archive is and tells of the database it was made of.
func openStored(source restore.Source, as platform.Name) (*stored, *platform.Facts) {
	s := &stored{Source: source, columns: map[int][]string{}}
	h, manifest := source.Header(), source.Manifest()
	f := platform.FromArchive(h, manifest, source.Entries())
	if as != "" {
		f.Platform = as
	}
	if manifest == nil {
		s.origin = archive.Source{
			Database: h.Database, ServerVersion: f.Version, Encoding: encoding(source.Entries()), Started: h.Created,
		}
		return s, f
	}
	s.origin = manifest.Source
	for i := range manifest.Tables {
		s.columns[manifest.Tables[i].Entry] = manifest.Tables[i].Columns
	}
	return s, f
}

// encoding is the one an archive says its rows are in, "" if it does not.
func encoding(entries []archive.Entry) string {
	i := slices.IndexFunc(entries, func(e archive.Entry) bool { return e.Kind == "ENCODING" })
	if i < 0 {
		return ""
	}
	tokens, err := pgddl.Tokens(entries[i].Create)
	if err != nil {
		return ""
	}
	for _, t := range tokens {
		if t.Kind == pgddl.String {
			return t.Value
		}
	}
	return ""
}

// LeftOut implements moved: the archive's report had them.
func (s *stored) LeftOut() []archive.Skipped { return nil }

// AsText implements moved.
func (s *stored) AsText() []dump.AsText { return nil }

// from implements moved.
func (s *stored) from() archive.Source { return s.origin }

// Check implements restore.Checker.
func (s *stored) Check(ctx context.Context, e *archive.Entry) error {
	if c, ok := s.Source.(restore.Checker); ok {
		return c.Check(ctx, e)
	}
	return nil
}

// Columns implements moved.
func (s *stored) Columns(e *archive.Entry) ([]string, error) {
	if list, ok := s.columns[e.ID]; ok {
		return list, nil
	}
	list, err := pgddl.CopyColumns(e.Copy)
	if err != nil {
		return nil, fmt.Errorf("columns of %s.%s: %w", e.Namespace, e.Tag, err)
	}
	return list, nil
}

// watch implements moved.
func (s *stored) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// release implements moved. The caller closes the archive.
func (s *stored) release() error { return nil }
