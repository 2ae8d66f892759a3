package dump_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// What is told of the source is kept in archives of both formats, and a dump
// does without what cannot be told.
func TestFacts(t *testing.T) {
	t.Parallel()
	versions := pgtest.Versions(t)
	s := pgtest.Start(t, versions[len(versions)-1])
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE t (i integer)")
	for name, c := range map[string]struct {
		err    error
		custom bool
	}{"directory": {}, "custom": {custom: true}, "refused": {err: errors.New("not today")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := dump.Options{Dir: filepath.Join(t.TempDir(), "a"), Facts: func(ctx context.Context, conn *pgx.Conn) (json.RawMessage, string, error) {
				var one int
				if err := conn.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil || c.err != nil {
					return nil, "", errors.Join(err, c.err)
				}
				return json.RawMessage(`{"say": "é < ü"}`), "azure", nil
			}}
			run := dump.Run
			if c.custom {
				run = func(ctx context.Context, cfg *pgx.ConnConfig, opts dump.Options) (*dump.Report, error) {
					return dump.RunCustom(ctx, cfg, nil, opts)
				}
			}
			report, err := run(t.Context(), s.Config(t, db), opts)
			if err != nil {
				t.Fatal(err)
			}
			r, err := archive.Open(opts.Dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			m := r.Manifest()
			if c.err != nil {
				if m.Facts != nil || m.Source.Platform != "" || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "not today") {
					t.Errorf("facts %s of %q, warnings %q", m.Facts, m.Source.Platform, report.Warnings)
				}
				return
			}
			var facts struct{ Say string }
			if err := json.Unmarshal(m.Facts, &facts); err != nil || facts.Say != "é < ü" || m.Source.Platform != "azure" || len(report.Warnings) > 0 {
				t.Errorf("facts %s (%v) of %q, warnings %q", m.Facts, err, m.Source.Platform, report.Warnings)
			}
		})
	}
}
