//go:build unix

package archive_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// A directory of an older version is what the pg_restore of that time loads.
func TestOlderDirectory(t *testing.T) {
	tests := []struct {
		v      archive.Version
		c      archive.Compression
		majors []int
	}{
		{archive.Version14, archive.CompressGzip, []int{15, 18}},
		{archive.Version14, archive.CompressNone, []int{15, 18}},
		{archive.Version15, archive.CompressZstd, []int{18}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.v, tt.c), func(t *testing.T) {
			dir := filepath.Join(pgtest.TempDir(t), "dump")
			write(t, dir, archive.WriterOptions{Compression: tt.c, Version: tt.v})
			got, err := readAll(t, dir)
			check(t, err)
			want := map[string]string{"7/0": "1\n2\n", "7/1": "3\n\\\\.\n", "blob_5.dat": "", "blob_6.dat": "large object"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			r, err := archive.Open(dir)
			check(t, err)
			var kinds []string
			for _, e := range r.Entries() {
				kinds = append(kinds, fmt.Sprintf("%d %s %s %s", e.ID, e.Kind, e.Tag, e.File))
				if e.Relkind != 0 {
					t.Errorf("entry %d has relation kind %c", e.ID, e.Relkind)
				}
			}
			wantKinds := []string{"1 ENCODING ENCODING ", "3 TABLE t ", "10 BLOB 5 ", "11 BLOB 6 ", "7 TABLE DATA t 7.dat", "9 BLOBS BLOBS blobs.toc"}
			if diff := cmp.Diff(wantKinds, kinds); diff != "" {
				t.Error(diff)
			}
			compareList(t, pgtest.Oracle(t), dir)
			for _, major := range tt.majors {
				if !slices.Contains(pgtest.Versions(t), major) {
					t.Skipf("PGHAUL_TEST_VERSIONS leaves out %d", major)
				}
				s := pgtest.Start(t, major)
				db := s.Database(t)
				out, exit := pgtest.OracleOf(t, major).Restore(t, "-j", "2", "--no-owner", "-d", s.DSN(db), dir)
				if exit != 0 || strings.Contains(out, "warning") {
					t.Fatalf("pg_restore %d: exit %d: %s", major, exit, out)
				}
				s.Exec(t, db, `DO $$ BEGIN
					ASSERT (SELECT array_agg(a ORDER BY a COLLATE "C") FROM t) = ARRAY['1', '2', '3', '\.'], 'rows';
					ASSERT lo_get(5) = '' AND lo_get(6) = 'large object', 'large objects';
					END $$`)
			}
		})
	}
}
