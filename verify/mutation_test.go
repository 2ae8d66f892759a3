package verify_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/archive/convert"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// readForRestore reads all that a restore of an archive reads, by the way it
// reads it, and returns it in short.
func readForRestore(t *testing.T, path string) (string, error) {
	t.Helper()
	r, err := archive.Open(path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var out strings.Builder
	src := restore.FromArchive(r)
	entries := src.Entries()
	for i := range entries {
		e := &entries[i]
		fmt.Fprintf(&out, "%d %s %s %q\n", e.ID, e.Kind, e.Tag, e.Create+e.Copy)
		if !e.HasData {
			continue
		}
		var hash copyproto.Hasher
		if e.Kind == "BLOBS" {
			list, err := src.LargeObjects(e)
			if err != nil {
				return "", err
			}
			for _, lo := range list {
				rc, err := src.OpenLargeObject(t.Context(), lo)
				if err != nil {
					return "", err
				}
				text, err := io.ReadAll(rc)
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&out, "%d %q\n", lo.OID, text)
				_ = rc.Close()
			}
			continue
		}
		parts, err := src.Parts(e)
		if err != nil {
			return "", err
		}
		for _, part := range parts {
			data, err := src.Data(t.Context(), e, part)
			if err != nil {
				return "", err
			}
			if _, err := data.CopyTo(t.Context(), &hash); err != nil {
				return "", err
			}
		}
		fmt.Fprintf(&out, "%v\n", hash.Sum())
	}
	return out.String(), nil
}

// A sample of the damages goes into a server: the restore tells of each of them,
// a table that is not damaged has all of its rows, and one that is has all or none.
func TestMutationsRestored(t *testing.T) {
	t.Parallel()
	majors := pgtest.Versions(t)
	s := pgtest.Start(t, majors[len(majors)-1])
	db := s.Database(t)
	const each = 60 // one damage of so many
	damaged, opened := 0, 0
	for _, format := range []archive.Format{archive.FormatDirectory, archive.FormatCustom} {
		for i, c := range compressions {
			path := filepath.Join(t.TempDir(), "dump")
			sampleArchive(t, path, archive.WriterOptions{Compression: c})
			if format == archive.FormatCustom {
				convertArchive(t, path, path+"2", convert.Options{Format: format, Writer: archive.WriterOptions{Compression: c, NoSync: true}})
				path += "2"
			}
			whole := readFiles(t, path)
			list := damages(rand.New(rand.NewPCG(3, uint64(i))), whole, c)
			for n := i; n < len(list); n += each {
				d := list[n]
				if strings.HasPrefix(d.name, "stale ") {
					continue
				}
				files := maps.Clone(whole)
				d.do(files)
				writeFiles(t, path, whole, files)
				damaged++
				if restoreDamaged(t, s, db, path, fmt.Sprint(format, " ", c, ": ", d.name)) {
					opened++
				}
				writeFiles(t, path, files, whole)
			}
		}
	}
	t.Logf("%d damages found: %d when the archive was opened, %d while it was restored", damaged, damaged-opened, opened)
	if opened == 0 || opened == damaged {
		t.Error("the sample is one-sided")
	}
}

// restoreDamaged restores an archive over what an earlier one left. It returns
// false if the archive cannot even be opened.
func restoreDamaged(t *testing.T, s *pgtest.Server, db, path, name string) bool {
	t.Helper()
	r, err := archive.Open(path)
	if err != nil {
		return false
	}
	defer r.Close()
	check, err := verify.Archive(t.Context(), r, 2)
	if err != nil {
		t.Fatal(err)
	}
	s.Exec(t, db, "DROP TABLE IF EXISTS public.big, public.small, public.statements; SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
	report, err := restore.Run(t.Context(), s.Config(t, db), restore.FromArchive(r), restore.Options{Jobs: 2, NoOwner: true})
	if err == nil && report.Complete() {
		t.Errorf("%s was not noticed", name)
	}
	for _, e := range check.Entries {
		want := map[string]string{"big": "120", "small": "6"}[e.Name]
		if want == "" || !e.Intact && s.Text(t, db, "SELECT to_regclass('public."+e.Name+"') IS NULL") == "t" {
			continue
		}
		got := s.Text(t, db, "SELECT count(*) FROM public."+e.Name)
		if got != want && (e.Intact || got != "0") {
			t.Errorf("%s: table %s (intact: %v) has %s rows, want %s, or none if it is damaged", name, e.Name, e.Intact, got, want)
		}
	}
	return true
}
