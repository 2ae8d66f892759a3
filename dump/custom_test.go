package dump_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// TestCustom takes a custom archive, as a file and as a stream, through both
// restorers.
func TestCustom(t *testing.T) {
	s := pgtest.Start(t, 18)
	for _, input := range []string{"nasty", "privileges"} { // rows of every type, large objects
		db := s.Database(t)
		loadSince(t, s, db, filepath.Join("testdata", input+".sql"))
		for name, opts := range map[string]dump.Options{
			"zstd": {}, "gzip": {Compression: archive.CompressGzip}, "none": {Compression: archive.CompressNone},
			"inserts": {Inserts: &dump.Inserts{}}, "1.15": {ArchiveVersion: archive.Version15},
		} {
			t.Run(input+"/"+name, func(t *testing.T) {
				file := filepath.Join(pgtest.TempDir(t), "file.dump")
				opts.Dir, opts.NoSync = file, true
				report, err := dump.RunCustom(t.Context(), s.Config(t, db), nil, opts)
				if err != nil {
					t.Fatal(err)
				}
				if report.Stored == 0 || report.Entries == 0 {
					t.Errorf("report: %+v", report)
				}
				copied := s.DatabaseFrom(t, "template0")
				pgRestore(t, s, copied, file)
				sameContents(t, s, db, s, copied)
				again := s.DatabaseFrom(t, "template0")
				restoreInto(t, s, again, file)
				sameContents(t, s, db, s, again)
			})
		}
		t.Run(input+"/stream", func(t *testing.T) {
			var stream bytes.Buffer
			if _, err := dump.RunCustom(t.Context(), s.Config(t, db), &stream, dump.Options{}); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(pgtest.TempDir(t), "stream.dump")
			if err := os.WriteFile(file, stream.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			copied := s.DatabaseFrom(t, "template0")
			pgRestore(t, s, copied, file)
			sameContents(t, s, db, s, copied)
		})
	}
}

// TestCustomFails leaves no file behind.
func TestCustomFails(t *testing.T) {
	s := pgtest.Start(t, 18)
	role := s.Role(t, "LOGIN")
	db := s.Database(t)
	s.Exec(t, db, "CREATE TABLE secret (id int); ALTER TABLE secret ENABLE ROW LEVEL SECURITY; GRANT SELECT ON secret TO "+role)
	config := s.Config(t, db)
	config.User = role
	dir := pgtest.TempDir(t)
	_, err := dump.RunCustom(t.Context(), config, nil, dump.Options{Dir: filepath.Join(dir, "file.dump")})
	if err == nil || !strings.Contains(err.Error(), "public.secret") {
		t.Errorf("error %v, want one about public.secret", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
