package archive_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
)

func ptr[T any](v T) *T { return &v }

var compressions = []archive.Compression{archive.CompressZstd, archive.CompressGzip, archive.CompressLZ4, archive.CompressNone}

// entries of the archive that write makes, as Commit takes them.
func entries() []archive.Entry {
	return []archive.Entry{
		{ID: 1, Kind: "ENCODING", Tag: "ENCODING", Section: archive.SectionPreData, Create: "SET client_encoding = 'UTF8';\n"},
		{
			ID: 3, Class: 1259, OID: 16384, Kind: "TABLE", Tag: "t", Namespace: "public", Owner: "o", Section: archive.SectionPreData,
			Create: "CREATE TABLE public.t (\n    a text\n);\n", Drop: "DROP TABLE public.t;\n",
			Tablespace: ptr(""), AccessMethod: ptr("heap"), Relkind: 'r',
		},
		{
			ID: 7, HasData: true, OID: 16384, Kind: "TABLE DATA", Tag: "t", Namespace: "public", Owner: "o",
			Section: archive.SectionData, Copy: "COPY public.t (a) FROM stdin;\n", After: []int{3},
		},
		{
			ID: 8, Class: 2613, OID: 5, Kind: "BLOB METADATA", Tag: "5..6", Owner: "o", Section: archive.SectionData,
			Create: "5\n6\n", Drop: "-- dummy",
		},
		{ID: 9, HasData: true, Kind: "BLOBS", Tag: "5..6", Section: archive.SectionData, After: []int{8}},
	}
}

var header = archive.Header{Database: "db", ServerVersion: "18.4", DumpVersion: "pghaul 0.1.0"}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// write makes a small archive with two parts of rows, of which the first was
// tried twice, and two large objects.
func write(tb testing.TB, dir string, o archive.WriterOptions) {
	tb.Helper()
	writeHeader(tb, dir, o, header)
}

// writeForeign makes an archive like those of pg_dump, without a manifest.
func writeForeign(tb testing.TB, dir string, o archive.WriterOptions) {
	tb.Helper()
	h := header
	h.DumpVersion = "18.4"
	writeHeader(tb, dir, o, h)
	check(tb, os.Remove(filepath.Join(dir, archive.ManifestName)))
}

func writeHeader(tb testing.TB, dir string, o archive.WriterOptions, header archive.Header) {
	tb.Helper()
	o.NoSync = true
	check(tb, tryWrite(dir, o, header))
}

// tryWrite is write until the first error.
func tryWrite(dir string, o archive.WriterOptions, header archive.Header) (err error) {
	o.FrameSize = 16
	w, err := archive.CreateDir(dir, o)
	if err != nil {
		return err
	}
	defer func() {
		if aerr := w.Abort(); err != nil {
			err = errors.Join(err, aerr)
		}
	}()
	d, err := w.Table(7)
	if err != nil {
		return err
	}
	failed, second, first := d.Part(0), d.Part(1), d.Part(0)
	for range 7 { // two frames and a bit
		if err := failed.WriteRows([]byte("never\n"), 1); err != nil {
			return err
		}
	}
	if err := errors.Join(second.WriteRows([]byte("3\n"), 1), second.WriteRows([]byte("\\\\.\n"), 1), second.Close()); err != nil {
		return err
	}
	if err := failed.Abort(); err != nil {
		return err
	}
	if err := errors.Join(first.WriteRows([]byte("1\n2\n"), 2), first.Close()); err != nil {
		return err
	}
	if _, err := d.Close(); err != nil {
		return err
	}
	g, err := w.LargeObjects(9)
	if err != nil {
		return err
	}
	for oid, text := range map[uint32]string{5: "", 6: "large object"} {
		l, err := g.Create(oid)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(l, text); err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	if err := g.Close(); err != nil {
		return err
	}
	return w.Commit(header, entries(), archive.Manifest{Tool: "pghaul 0.1.0", Tables: []archive.TableData{{Entry: 7, Rows: 4, Bytes: 10}}, LargeObjects: archive.LargeObjectSum{Count: 2, Bytes: 12}})
}

// readAll returns the rows of each part and the large objects.
func readAll(tb testing.TB, dir string) (map[string]string, error) {
	tb.Helper()
	r, err := archive.Open(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	got := make(map[string]string)
	read := func(name string, rc io.ReadCloser, err error) error {
		if err != nil {
			return err
		}
		defer rc.Close()
		b, err := io.ReadAll(rc)
		got[name] = string(b)
		return err
	}
	for _, e := range r.Entries() {
		switch e.Kind {
		case "TABLE DATA":
			parts, err := r.Parts(e.ID)
			if err != nil {
				return nil, err
			}
			for _, p := range parts {
				rc, err := r.Open(tb.Context(), e.ID, p)
				if err := read(fmt.Sprintf("%d/%d", e.ID, p.Number), rc, err); err != nil {
					return nil, err
				}
			}
		case "BLOBS":
			list, err := r.LargeObjects(e.ID)
			if err != nil {
				return nil, err
			}
			for _, lo := range list {
				rc, err := r.OpenLargeObject(tb.Context(), lo)
				if err := read(lo.File, rc, err); err != nil {
					return nil, err
				}
			}
		}
	}
	return got, nil
}

func TestRoundTrip(t *testing.T) {
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dump")
			write(t, dir, archive.WriterOptions{Compression: c})
			got, err := readAll(t, dir)
			check(t, err)
			want := map[string]string{"7/0": "1\n2\n", "7/1": "3\n\\\\.\n", "blob_5.dat": "", "blob_6.dat": "large object"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			r, err := archive.Open(dir)
			check(t, err)
			toc := entries()
			toc[2].File, toc[4].File = "7.dat", "blobs_9.toc"
			if diff := cmp.Diff(toc, r.Entries()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
