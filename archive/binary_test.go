package archive_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/copybin"
)

// binaryEntries is one table whose rows are binary.
func binaryEntries() []archive.Entry {
	toc := entries()[:3]
	for i := range toc {
		if toc[i].HasData {
			toc[i].Copy = "COPY public.t (a) FROM stdin WITH (FORMAT binary);\n"
		}
	}
	return toc
}

// tuples returns rows of two values, of bytes that look like anything, at most
// limit long.
func tuples(r *rand.Rand, n, limit int) []byte {
	var out []byte
	for range n {
		out = binary.BigEndian.AppendUint16(out, 2)
		for range 2 {
			value := bytes.Repeat([]byte{"\n\\\xff\x00"[r.IntN(4)]}, r.IntN(limit))
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(value))), value...)
		}
	}
	return out
}

// Binary rows of parts that are written side by side come back whole, by part
// and, to a reader without the manifest, as one stream.
func TestBinaryParts(t *testing.T) {
	const parts, frame = 3, 1000
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			w, dir := create(t, archive.WriterOptions{Compression: c, FrameSize: frame})
			d, err := w.BinaryTable(7)
			check(t, err)
			want := make([][]byte, parts)
			var wg sync.WaitGroup
			for n := range parts {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(n), 7))
					for try := range 2 {
						p := d.Part(n)
						want[n] = nil
						for i := range 30 {
							rows := tuples(r, 1+i%5, []int{10, frame, 10 * frame}[min(i%11, 2)])
							if err := p.WriteRows(rows, int64(1+i%5)); err != nil {
								t.Error(err)
							}
							want[n] = append(want[n], rows...)
							row := tuples(r, 1, 3*frame)
							writeLong(t, p, row)
							want[n] = append(want[n], row...)
						}
						if try == 0 {
							if err := p.Abort(); err != nil {
								t.Error(err)
							}
							continue
						}
						if err := p.Close(); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			file, err := d.Close()
			check(t, err)
			check(t, w.Commit(header, binaryEntries(), archive.Manifest{}))
			r, err := archive.Open(dir)
			check(t, err)
			list, err := r.Parts(7)
			check(t, err)
			if len(list) != parts {
				t.Fatalf("%d parts, want %d", len(list), parts)
			}
			var rows, size int64
			for n, p := range list {
				rows, size = rows+p.Rows, size+p.Bytes
				if got := open(t, r, p); !bytes.Equal(got, want[n]) {
					t.Errorf("part %d is not what was written", n)
				}
			}
			if rows != parts*(6*(1+2+3+4+5)+30) || size != int64(len(bytes.Join(want, nil))) {
				t.Errorf("%d rows of %d bytes", rows, size)
			}
			check(t, archive.Verify(t.Context(), r, 7))
			check(t, archive.Check(t.Context(), r, 7))
			check(t, r.Close())

			// As a reader of pg_dump's archives sees it.
			check(t, os.Remove(filepath.Join(dir, archive.ManifestName)))
			toc, err := os.ReadFile(filepath.Join(dir, "toc.dat"))
			check(t, err)
			check(t, os.WriteFile(filepath.Join(dir, "toc.dat"), bytes.Replace(toc, []byte("pghaul"), []byte("pgdump"), 1), 0o600))
			r, err = archive.Open(dir)
			check(t, err)
			defer r.Close()
			list, err = r.Parts(7)
			check(t, err)
			whole := open(t, r, list[0])
			n, count, err := copybin.Cut(whole, len(whole))
			if n != len(whole) || count != rows || err != nil || len(whole) != int(size) {
				t.Errorf("the stream has %d rows in %d of %d bytes, want %d in %d: %v", count, n, len(whole), rows, size, err)
			}
			check(t, archive.Verify(t.Context(), r, 7))
			// Cut anywhere, it is found out.
			path := filepath.Join(dir, file.Name)
			text, err := os.ReadFile(path)
			check(t, err)
			for cut := 0; cut < len(text); cut += 1 + len(text)/50 {
				check(t, os.WriteFile(path, text[:cut], 0o600))
				if c == archive.CompressZstd && int64(cut) >= file.Size-int64(8*len(file.Frames)+100) {
					continue // what is lost is of the seek table
				}
				if _, ok := errors.AsType[*archive.CorruptError](archive.Verify(t.Context(), r, 7)); !ok {
					t.Fatalf("cut at %d of %d bytes, nobody noticed", cut, len(text))
				}
			}
		})
	}
}

// A custom archive has the rows as one stream.
func TestBinaryCustom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump")
	w, err := archive.CreateCustomFile(path, archive.WriterOptions{NoSync: true})
	check(t, err)
	check(t, w.Begin(header, binaryEntries()))
	rows, err := w.BinaryTable(7)
	check(t, err)
	want := tuples(rand.New(rand.NewPCG(1, 2)), 50, 3000)
	check(t, rows.WriteRows(want, 50))
	row := tuples(rand.New(rand.NewPCG(3, 4)), 1, 300000)
	writeLong(t, rows, row)
	check(t, rows.Close())
	check(t, w.Commit(archive.Manifest{}))
	r, err := archive.Open(path)
	check(t, err)
	defer r.Close()
	list, err := r.Parts(7)
	check(t, err)
	if got := open(t, r, list[0]); !bytes.Equal(got, append(want, row...)) {
		t.Error("the rows are not those that were written")
	}
}

// Rows that have not the form of the binary format are not taken for such.
func TestBinaryDamaged(t *testing.T) {
	for name, stream := range map[string]string{
		"text":                   "1\n2\n\\.\n\n\n",
		"no header":              "\x00\x00" + copybin.Trailer,
		"something follows":      copybin.Header + copybin.Trailer + "\n",
		"two streams":            copybin.Header + copybin.Trailer + copybin.Header + copybin.Trailer,
		"a row that is no row":   copybin.Header + "\x7f\x00" + copybin.Trailer,
		"the end inside a row":   copybin.Header + "\x00\x01\x00\x00\x00\x02" + copybin.Trailer,
		"no trailer":             copybin.Header,
		"a trailer without rows": copybin.Trailer,
		"nothing":                "",
	} {
		dir := t.TempDir()
		w, err := archive.CreateDir(dir, archive.WriterOptions{Compression: archive.CompressNone, NoSync: true})
		check(t, err)
		d, err := w.BinaryTable(7)
		check(t, err)
		file, err := d.Close()
		check(t, err)
		h := header
		h.DumpVersion = "18"
		check(t, w.Commit(h, binaryEntries(), archive.Manifest{}))
		check(t, os.Remove(filepath.Join(dir, archive.ManifestName)))
		check(t, os.WriteFile(filepath.Join(dir, file.Name), []byte(stream), 0o600))
		r, err := archive.Open(dir)
		check(t, err)
		list, err := r.Parts(7)
		check(t, err)
		rc, err := r.Open(t.Context(), 7, list[0])
		check(t, err)
		_, err = io.Copy(io.Discard, rc)
		if _, ok := errors.AsType[*archive.CorruptError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
		check(t, rc.Close())
		check(t, r.Close())
	}
}
