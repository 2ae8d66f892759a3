package dump_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/verify"
)

// TestOversizedRows moves what only the binary format can hold, a bytea of 600 MB,
// leaves out and names what no COPY can send, two values of that length in one
// row, and moves the rest. It takes some gigabytes of memory, and so an invitation.
func TestOversizedRows(t *testing.T) {
	if os.Getenv("PGHAUL_TEST_HUGE") == "" {
		t.Skip("PGHAUL_TEST_HUGE=1 runs it, with 4 GB of memory")
	}
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, `CREATE TABLE huge (k text, id int, b bytea, t text, PRIMARY KEY (k, id));
ALTER TABLE huge ALTER b SET STORAGE EXTERNAL, ALTER t SET STORAGE EXTERNAL;
INSERT INTO huge SELECT 'k', i, 'x', 'y' FROM generate_series(1, 500) i;
INSERT INTO huge VALUES ('it''s', 501, convert_to(repeat('x', 600000000), 'LATIN1'), 'small');
INSERT INTO huge SELECT 'k', i, 'x', 'y' FROM generate_series(502, 900) i;
INSERT INTO huge VALUES ('k', 901, convert_to(repeat('x', 600000000), 'LATIN1'));
UPDATE huge SET t = repeat('y', 500000000) WHERE id = 901;
INSERT INTO huge SELECT 'k', i, 'x', 'y' FROM generate_series(902, 910) i;
CREATE TABLE other AS SELECT 1 AS a`)
	const both, tooLong = "public.huge (k, id) = (k, 901)", "public.huge (k, id) = (it's, 501)"
	rows := func(in, but string) string {
		return s.Text(t, in, "SELECT count(*) || ' ' || sum(id) || ' ' || sum(length(b)) || ' ' || sum(length(t)) FROM huge WHERE id NOT IN ("+but+")")
	}
	for name, c := range map[string]struct {
		opts   dump.Options
		custom bool
		left   []string // out
		format string
	}{
		"parts, gzip":   {dump.Options{PartSize: 8192, Compression: archive.CompressGzip}, false, []string{both}, "binary"},
		"custom":        {dump.Options{}, true, []string{tooLong, both}, ""},
		"custom binary": {dump.Options{CopyFormat: copyproto.Binary}, true, []string{both}, "binary"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := c.opts
			opts.Dir, opts.NoSync = filepath.Join(pgtest.TempDir(t), "archive"), true
			run := dump.Run
			if c.custom {
				run = func(ctx context.Context, cfg *pgx.ConnConfig, o dump.Options) (*dump.Report, error) {
					return dump.RunCustom(ctx, cfg, nil, o)
				}
			}
			r, err := run(t.Context(), s.Config(t, db), opts)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, skipped := range r.Skipped {
				got = append(got, skipped.Name)
				if skipped.Kind != "ROW" || !strings.Contains(skipped.Reason, "1 GiB") || strings.Contains(skipped.Reason, "--copy-format") != (skipped.Name == tooLong) {
					t.Errorf("skipped %+v", skipped)
				}
			}
			if d := cmp.Diff(c.left, got); d != "" || r.Rows != int64(911-len(c.left)) || r.Complete() {
				t.Errorf("%d rows; left out (-want +got):\n%s", r.Rows, d)
			}
			in, err := archive.Open(opts.Dir)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			m := in.Manifest()
			if d := cmp.Diff(r.Skipped, m.Skipped); d != "" {
				t.Errorf("the manifest has other rows left out:\n%s", d)
			}
			for _, x := range m.Tables {
				if x.Name == "huge" && (x.Format != c.format || x.Portable != (c.format != "" && c.opts.CopyFormat == "")) {
					t.Errorf("%+v", x)
				}
			}
			intact(t, opts.Dir, true)
			copied := s.DatabaseFrom(t, "template0")
			restoreInto(t, s, copied, opts.Dir)
			but := "901"
			if len(c.left) == 2 {
				but = "501, 901"
			}
			if got, want := rows(copied, "0"), rows(db, but); got != want {
				t.Errorf("restored %s, want %s", got, want)
			}
			report, err := verify.FromArchive(t.Context(), in, s.Config(t, copied), verify.Options{Levels: []verify.Level{verify.LevelDigest}})
			if err != nil || !report.Equal() {
				t.Errorf("verify: %+v, %v", report, err)
			}
			if c.custom {
				return
			}
			report, err = verify.Run(t.Context(), s.Config(t, db), s.Config(t, copied), verify.Options{Levels: []verify.Level{verify.LevelDigest}})
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range report.Tables {
				if x.Name == "huge" && (*x.Source != *x.Target || x.Source.Rows != 909 || !strings.Contains(x.Problem, "source: the row "+both) || strings.Contains(x.Problem, tooLong)) {
					t.Errorf("compared with the source: %+v", x)
				}
			}
			again := s.DatabaseFrom(t, "template0")
			pgRestore(t, s, again, opts.Dir)
			if got, want := rows(again, "0"), rows(db, but); got != want {
				t.Errorf("pg_restore restored %s, want %s", got, want)
			}
		})
	}
}
