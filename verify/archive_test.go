package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/archive/convert"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/verify"
)

var compressions = []archive.Compression{archive.CompressZstd, archive.CompressGzip, archive.CompressLZ4, archive.CompressNone}

// sampleEntries are two tables, one with statements instead of rows, and two
// groups of large objects.
func sampleEntries() []archive.Entry {
	entries := []archive.Entry{{ID: 1, Kind: "ENCODING", Tag: "ENCODING", Section: archive.SectionPreData, Create: "SET client_encoding = 'UTF8';\n"}}
	for i, name := range []string{"big", "small", "statements"} {
		table := archive.Entry{
			ID: 10 + i, Class: 1259, OID: uint32(16384 + i), Kind: "TABLE", Tag: name, Namespace: "public", Owner: "o",
			Section: archive.SectionPreData, Create: "CREATE TABLE public." + name + " (a int, \"b, \"\"c\" text);\n", Drop: "DROP TABLE public." + name + ";\n",
		}
		data := archive.Entry{
			ID: 20 + i, HasData: true, OID: table.OID, Kind: "TABLE DATA", Tag: name, Namespace: "public", Owner: "o",
			Section: archive.SectionData, After: []int{table.ID},
		}
		if name != "statements" {
			data.Copy = "COPY public." + name + " (a, \"b, \"\"c\") FROM stdin;\n"
		}
		entries = append(entries, table, data)
	}
	return append(entries,
		archive.Entry{ID: 30, Class: 2613, OID: 5, Kind: "BLOB METADATA", Tag: "5..6", Owner: "o", Section: archive.SectionData, Create: "5\n6\n", Drop: "-- dummy"},
		archive.Entry{ID: 31, HasData: true, Kind: "BLOBS", Tag: "5..6", Section: archive.SectionData, After: []int{30}},
	)
}

// sampleArchive makes a directory archive.
func sampleArchive(tb testing.TB, dir string, o archive.WriterOptions) {
	tb.Helper()
	must := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	o.NoSync, o.FrameSize = true, 512
	w, err := archive.CreateDir(dir, o)
	must(err)
	m := archive.Manifest{Tool: "pghaul test", LargeObjects: archive.LargeObjectSum{Count: 2, Bytes: 12}}
	for id, rows := range map[int]int{20: 60, 21: 3} {
		d, err := w.Table(id)
		must(err)
		var hash copyproto.Hasher
		var size int64
		for part := range 2 {
			p := d.Part(part)
			for i := range rows {
				row := fmt.Appendf(nil, "%d\trow %x of part %d\n", i, i*i*7919, part)
				_, _ = hash.Write(row)
				size += int64(len(row))
				must(p.WriteRows(row, 1))
			}
			must(p.Close())
		}
		_, err = d.Close()
		must(err)
		m.Tables = append(m.Tables, archive.TableData{
			Entry: id, Schema: "public", Name: map[int]string{20: "big", 21: "small"}[id], Columns: []string{"a", `b, "c`},
			Rows: hash.Sum().Rows, Bytes: size, Digest: hash.Sum().String(),
		})
	}
	d, err := w.Statements(22)
	must(err)
	p := d.Part(0)
	statements := "INSERT INTO public.statements VALUES (1, 'a\n\nb');\nINSERT INTO public.statements VALUES (2, NULL);\n"
	must(p.WriteRows([]byte(statements), 2))
	must(p.Close())
	_, err = d.Close()
	must(err)
	m.Tables = append(m.Tables, archive.TableData{Entry: 22, Schema: "public", Name: "statements", Rows: 2, Bytes: int64(len(statements))})
	slices.SortFunc(m.Tables, func(a, b archive.TableData) int { return a.Entry - b.Entry })
	g, err := w.LargeObjects(31)
	must(err)
	for oid, text := range map[uint32]string{5: "", 6: "large object"} {
		l, err := g.Create(oid)
		must(err)
		_, err = l.Write([]byte(text))
		must(err)
		must(l.Close())
	}
	must(g.Close())
	must(w.Commit(archive.Header{Database: "db", ServerVersion: "18.4 (x)", DumpVersion: "pghaul test"}, sampleEntries(), m))
}

// checkArchive opens and checks an archive. What cannot be opened is returned
// as one problem.
func checkArchive(ctx context.Context, path string) (*verify.ArchiveReport, error) {
	r, openErr := archive.Open(path)
	if openErr == nil {
		report, err := verify.Archive(ctx, r, 2)
		return report, errors.Join(err, r.Close())
	}
	return &verify.ArchiveReport{Problems: []verify.ArchiveProblem{{Reason: openErr.Error()}}}, nil
}

// fingerprint is what an archive restores: definitions and digests.
func fingerprint(tb testing.TB, path string) string {
	tb.Helper()
	r, err := archive.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	report, err := verify.Archive(tb.Context(), r, 2)
	if err != nil {
		tb.Fatal(err)
	}
	if !report.Intact() {
		tb.Fatalf("%s: %+v", path, report.Problems)
	}
	var b strings.Builder
	for _, e := range report.Entries {
		fmt.Fprintf(&b, "%s %s %d %v\n", e.Kind, e.Name, e.Bytes, e.Digest)
	}
	for _, e := range r.Entries() {
		if e.Kind == "TABLE" {
			b.WriteString(e.Create)
		}
	}
	return b.String()
}

// Converted in a circle through every format and compression, with the manifest
// taken away on the way, an archive stays what it was.
func TestConvert(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := filepath.Join(dir, "first")
	sampleArchive(t, first, archive.WriterOptions{})
	want := fingerprint(t, first)
	from := first
	for i, c := range append(compressions, archive.CompressZstd) {
		for _, format := range []archive.Format{archive.FormatCustom, archive.FormatDirectory} {
			to := filepath.Join(dir, fmt.Sprint(format, i))
			convertArchive(t, from, to, convert.Options{Format: format, Writer: archive.WriterOptions{Compression: c, NoSync: true}})
			if diff := cmp.Diff(want, fingerprint(t, to)); diff != "" {
				t.Errorf("%s to %s: %s", from, to, diff)
			}
			from = to
		}
	}
	a, b := manifest(t, first), manifest(t, from)
	a.Files, b.Files = nil, nil
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("manifest: %s", diff)
	}
	// As pg_dump would have made it, it gets the same manifest again.
	foreign := filepath.Join(dir, "foreign")
	asForeign(t, first, foreign)
	to := filepath.Join(dir, "from-foreign")
	report := convertArchive(t, foreign, to, convert.Options{Tool: "pghaul test"})
	if diff := cmp.Diff(want, fingerprint(t, to)); diff != "" {
		t.Error(diff)
	}
	b = manifest(t, to)
	for i := range a.Tables {
		if a.Tables[i].Digest == "" { // statements are not counted
			a.Tables[i].Rows, b.Tables[i].Columns = 0, nil
		}
	}
	if diff := cmp.Diff(a.Tables, b.Tables); diff != "" {
		t.Errorf("tables: %s", diff)
	}
	if b.LargeObjects != a.LargeObjects || b.Source.ServerVersion != 180004 || b.Source.Encoding != "UTF8" || report.Rows != 126 || report.Tables != 3 {
		t.Errorf("manifest = %+v, report = %+v", b, report)
	}
}

func convertArchive(t *testing.T, from, to string, o convert.Options) *convert.Report {
	t.Helper()
	r, err := archive.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	report, err := convert.Run(t.Context(), r, to, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func manifest(t *testing.T, path string) archive.Manifest {
	t.Helper()
	r, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range r.Manifest().Tables {
		r.Manifest().Tables[i].File = ""
	}
	return *r.Manifest()
}

// asForeign copies a directory archive without the manifest, as if pg_dump had
// made it.
func asForeign(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	toc := filepath.Join(to, "toc.dat")
	text, err := os.ReadFile(toc)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(toc, bytes.Replace(text, []byte("pghaul test"), []byte("pg_dump tst"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(to, archive.ManifestName)); err != nil {
		t.Fatal(err)
	}
}

// A source that is damaged is not converted, and nothing is left of the try.
func TestConvertDamaged(t *testing.T) {
	t.Parallel()
	for _, format := range []archive.Format{archive.FormatCustom, archive.FormatDirectory} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		sampleArchive(t, from, archive.WriterOptions{Compression: archive.CompressNone})
		text, err := os.ReadFile(filepath.Join(from, "20.dat"))
		if err != nil {
			t.Fatal(err)
		}
		text[len(text)/2] ^= 1
		if err := os.WriteFile(filepath.Join(from, "20.dat"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := archive.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		_, err = convert.Run(t.Context(), r, to, convert.Options{Format: format})
		if corrupt, ok := errors.AsType[*archive.CorruptError](err); !ok || !strings.HasSuffix(corrupt.File, "20.dat") {
			t.Errorf("err = %v", err)
		}
		left, err := filepath.Glob(to + "*")
		if err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A damage is one way to spoil an archive.
type damage struct {
	name string
	do   func(files map[string][]byte)
}

// damages returns 1,000 flips and every other kind of damage. Those that change
// nothing are left out.
func damages(rng *rand.Rand, whole map[string][]byte, compression archive.Compression) []damage {
	names := slices.Sorted(maps.Keys(whole))
	total := 0
	for _, name := range names {
		total += len(whole[name])
	}
	var list []damage
	add := func(name string, do func(files map[string][]byte)) { list = append(list, damage{name, do}) }
	for range 1000 {
		at, bit := rng.IntN(total), byte(1)<<rng.IntN(8)
		for _, name := range names {
			if n := len(whole[name]); at >= n {
				at -= n
				continue
			}
			add(fmt.Sprintf("flip %s byte %d bit %x", name, at, bit), func(f map[string][]byte) {
				f[name] = slices.Clone(f[name])
				f[name][at] ^= bit
			})
			break
		}
	}
	for i, name := range names {
		n := len(whole[name])
		for _, at := range []int{0, 1, 4, 5, 8, n / 4, n / 2, n * 3 / 4, n - 27, n - 26, n - 9, n - 8, n - 5, n - 4, n - 3, n - 2, n - 1} {
			if at >= 0 && at < n {
				add(fmt.Sprintf("cut %s at %d", name, at), func(f map[string][]byte) { f[name] = f[name][:at] })
			}
		}
		add("append to "+name, func(f map[string][]byte) { f[name] = append(slices.Clone(f[name]), 0) })
		add("delete "+name, func(f map[string][]byte) { delete(f, name) })
		for _, other := range names[:i] {
			if !bytes.Equal(whole[name], whole[other]) {
				add("swap "+name+" and "+other, func(f map[string][]byte) { f[name], f[other] = f[other], f[name] })
			}
		}
		if strings.HasSuffix(name, ".dat") == (compression == archive.CompressNone) && strings.Contains(name, ".dat") && name != "toc.dat" {
			for _, suffix := range []string{"", ".gz", ".lz4", ".zst"} {
				stale := name[:strings.Index(name, ".dat")] + ".dat" + suffix
				if stale != name {
					add("stale "+stale, func(f map[string][]byte) { f[stale] = []byte("1\tstale\n\\.\n\n\n") })
				}
			}
		}
	}
	return list
}

// Every damage to an archive of ours is found, whatever it does: 1,000 flipped
// bits, cuts, swapped, missing and stale files, for each format and compression.
// It is found by the check, and by reading what a restore reads, in which a
// stale file that the manifest does not name makes no difference.
func TestMutations(t *testing.T) {
	t.Parallel()
	for _, format := range []archive.Format{archive.FormatDirectory, archive.FormatCustom} {
		for _, c := range compressions {
			t.Run(fmt.Sprintf("%s/%s", format, c), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				path := filepath.Join(dir, "dump")
				sampleArchive(t, path, archive.WriterOptions{Compression: c})
				if format == archive.FormatCustom {
					convertArchive(t, path, path+"2", convert.Options{Format: format, Writer: archive.WriterOptions{Compression: c, NoSync: true}})
					path += "2"
				}
				whole := readFiles(t, path)
				want, err := readForRestore(t, path)
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(1, 2))
				found, foundByRestore, harmless := 0, 0, 0
				list := damages(rng, whole, c)
				for _, d := range list {
					files := maps.Clone(whole)
					d.do(files)
					writeFiles(t, path, whole, files)
					report, err := checkArchive(t.Context(), path)
					if err != nil {
						t.Fatalf("%s: %v", d.name, err)
					}
					if report.Intact() {
						t.Errorf("%s was not noticed", d.name)
					} else {
						found++
					}
					for _, p := range report.Problems {
						if !strings.Contains(p.File+p.Reason, path) && p.File == "" {
							t.Errorf("%s: the problem %+v names no file", d.name, p)
						}
					}
					got, err := readForRestore(t, path)
					switch {
					case err != nil:
						foundByRestore++
					case got == want && strings.HasPrefix(d.name, "stale "):
						harmless++
					default:
						t.Errorf("%s was not noticed by what a restore reads", d.name)
					}
					writeFiles(t, path, files, whole)
				}
				t.Logf("%d of %d damages found by the check; by restoring %d, and %d made no difference", found, len(list), foundByRestore, harmless)
				if report, err := checkArchive(t.Context(), path); err != nil || !report.Intact() {
					t.Errorf("the undamaged archive: %+v, %v", report, err)
				}
			})
		}
	}
}

// readFiles returns the files of an archive by name, that of one file as "".
func readFiles(t *testing.T, path string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[strings.TrimPrefix(strings.TrimPrefix(p, path), "/")], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// writeFiles turns the files before into those after.
func writeFiles(t *testing.T, path string, before, after map[string][]byte) {
	t.Helper()
	for name := range before {
		if _, ok := after[name]; !ok {
			if err := os.Remove(filepath.Join(path, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range after {
		if old, ok := before[name]; ok && bytes.Equal(old, text) {
			continue
		}
		if err := os.WriteFile(filepath.Join(path, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
