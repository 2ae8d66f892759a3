package archive_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pghaul/pghaul/archive"
)

func create(tb testing.TB, o archive.WriterOptions) (w *archive.Writer, dir string) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "dump")
	o.NoSync = true
	w, err := archive.CreateDir(dir, o)
	check(tb, err)
	return w, dir
}

// commit finishes an archive with the one table of entries().
func commit(tb testing.TB, w *archive.Writer) {
	tb.Helper()
	check(tb, w.Commit(header, entries()[:3], archive.Manifest{}))
}

// Parts written side by side, with failures and rows of all lengths, come back
// whole and in order, whatever they are cut into.
func TestConcurrentParts(t *testing.T) {
	const parts, frame = 6, 1000
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			w, dir := create(t, archive.WriterOptions{Compression: c, FrameSize: frame})
			d, err := w.Table(7)
			check(t, err)
			var wg sync.WaitGroup
			want := make([][]byte, parts)
			rows := make([]int64, parts)
			for n := range parts {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(n), 1))
					for try := range 3 {
						p := d.Part(n)
						var all []byte
						var count int64
						for i := range 40 {
							if i%13 == n {
								row := bytes.Repeat([]byte{byte('a' + n)}, frame*i/10)
								writeLong(t, p, append(row, '\n'))
								all, count = append(append(all, row...), '\n'), count+1
							}
							text, k := randomRows(r, frame)
							if err := p.WriteRows(text, k); err != nil {
								t.Error(err)
							}
							all, count = append(all, text...), count+k
							clear(text) // it must not be kept
						}
						if try < 2 && n%2 == 0 {
							if try == 1 {
								if _, err := p.Row(); err != nil { // given up in the middle
									t.Error(err)
								}
							}
							if err := p.Abort(); err != nil {
								t.Error(err)
							}
							continue
						}
						if err := p.Close(); err != nil {
							t.Error(err)
						}
						want[n], rows[n] = all, count
						break
					}
				})
			}
			wg.Wait()
			file, err := d.Close()
			check(t, err)
			commit(t, w)
			if got := diskSize(t, dir); got != w.Stored() {
				t.Errorf("Stored() = %d, on disk are %d", w.Stored(), got)
			}
			r, err := archive.Open(dir)
			check(t, err)
			list, err := r.Parts(7)
			check(t, err)
			if len(list) != parts {
				t.Fatalf("%d parts, want %d", len(list), parts)
			}
			for n, p := range list {
				if p.Number != n || p.Rows != rows[n] || p.Bytes != int64(len(want[n])) {
					t.Errorf("part %d = %+v, want %d rows of %d bytes", n, p, rows[n], len(want[n]))
				}
				if got := open(t, r, p); !bytes.Equal(got, want[n]) {
					t.Errorf("part %d is not what was written", n)
				}
			}
			// Any cut of the list of frames is at a row's end.
			for n, p := range list {
				var got []byte
				for i := range p.Frames {
					b := open(t, r, archive.Part{First: p.First + i, Frames: 1})
					if !bytes.HasSuffix(b, []byte("\n")) {
						t.Errorf("frame %d of part %d is cut inside a row", i, n)
					}
					got = append(got, b...)
				}
				if !bytes.Equal(got, want[n]) {
					t.Errorf("frames of part %d are not what was written", n)
				}
			}
			var voided int
			for _, f := range file.Frames {
				if f.Part < 0 && f.Raw == 0 {
					voided++
				}
			}
			if canVoid := c == archive.CompressZstd || c == archive.CompressLZ4; canVoid != (voided > 0) {
				t.Errorf("%d frames were voided", voided)
			}
			for _, f := range names(t, dir) {
				if strings.Contains(f, "spool") || strings.Contains(f, "tmp") {
					t.Errorf("%s was left behind", f)
				}
			}
		})
	}
}

// randomRows returns up to a few rows, some longer than several frames.
func randomRows(r *rand.Rand, frame int) (text []byte, n int64) {
	for range r.IntN(4) {
		size := r.IntN(60)
		switch r.IntN(20) {
		case 0:
			size = r.IntN(12 * frame)
		case 1:
			size = r.IntN(2 * frame)
		}
		for range size {
			text = append(text, byte('a'+r.IntN(26)))
		}
		text = append(text, '\n')
		n++
	}
	return text, n
}

func open(tb testing.TB, r archive.Reader, p archive.Part) []byte {
	tb.Helper()
	rc, err := r.Open(tb.Context(), 7, p)
	check(tb, err)
	b, err := io.ReadAll(rc)
	check(tb, err)
	check(tb, rc.Close())
	return b
}

func names(tb testing.TB, dir string) []string {
	tb.Helper()
	list, err := os.ReadDir(dir)
	check(tb, err)
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func diskSize(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	for _, name := range names(tb, dir) {
		n += fileSize(tb, dir, name)
	}
	return n
}

func fileSize(tb testing.TB, dir, name string) int64 {
	tb.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	check(tb, err)
	return info.Size()
}

// The seek table leads a reader that knows nothing else to every frame.
func TestSeekTable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dump")
	write(t, dir, archive.WriterOptions{})
	file, err := os.ReadFile(filepath.Join(dir, "7.dat.zst"))
	check(t, err)
	if magic := binary.LittleEndian.Uint32(file[len(file)-4:]); magic != 0x8F92EAB1 {
		t.Fatalf("footer magic = %#x", magic)
	}
	table := file[len(file)-seekTableSize(file):]
	if magic := binary.LittleEndian.Uint32(table); magic != 0x184D2A5E {
		t.Errorf("table magic = %#x", magic)
	}
	if size := binary.LittleEndian.Uint32(table[4:]); int(size) != len(table)-8 {
		t.Errorf("table size = %d, want %d", size, len(table)-8)
	}
	dec, err := zstd.NewReader(nil)
	check(t, err)
	defer dec.Close()
	var all []byte
	off := 0
	for e := table[8 : len(table)-9]; len(e) > 0; e = e[8:] {
		size, raw := int(binary.LittleEndian.Uint32(e)), int(binary.LittleEndian.Uint32(e[4:]))
		text, err := dec.DecodeAll(file[off:off+size], nil)
		check(t, err)
		if len(text) != raw {
			t.Errorf("frame at %d has %d bytes of content, the table says %d", off, len(text), raw)
		}
		all = append(all, text...)
		off += size
	}
	if off != len(file)-len(table) {
		t.Errorf("frames end at %d, the table begins at %d", off, len(file)-len(table))
	}
	if want := "3\n\\\\.\n1\n2\n\\.\n\n\n"; string(all) != want {
		t.Errorf("content = %q, want %q", all, want)
	}
}

func TestCreateDirRefuses(t *testing.T) {
	tests := []struct {
		name string
		make func(path string) error
		opts archive.WriterOptions
		want string
	}{
		{"a file", func(p string) error { return os.WriteFile(p, nil, 0o600) }, archive.WriterOptions{}, "is not a directory"},
		{"a full directory", func(p string) error {
			return errors.Join(os.Mkdir(p, 0o700), os.WriteFile(filepath.Join(p, "x"), nil, 0o600))
		}, archive.WriterOptions{}, "is not empty, and what is in it is not all of one archive (x)"},
		{"an interrupted dump", func(p string) error {
			return errors.Join(os.Mkdir(p, 0o700), os.WriteFile(filepath.Join(p, "3.dat.zst"), nil, 0o600))
		}, archive.WriterOptions{}, "interrupted dump"},
		{"no parent", func(string) error { return nil }, archive.WriterOptions{}, "no such file"},
		{"an unknown compression", nil, archive.WriterOptions{Compression: "bzip2"}, "bzip2"},
		{"a level for none", nil, archive.WriterOptions{Compression: "none", Level: 1}, "no level"},
		{"a level of gzip", nil, archive.WriterOptions{Compression: "gzip", Level: 10}, "between 1 and 9"},
		{"a level of zstd", nil, archive.WriterOptions{Level: 23}, "between -131072 and 22"},
		{"a negative level", nil, archive.WriterOptions{Compression: "lz4", Level: -1}, "between 1 and 12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dump")
			if tt.name == "no parent" {
				path = filepath.Join(path, "dump")
			} else if tt.make != nil {
				check(t, tt.make(path))
			}
			if _, err := archive.CreateDir(path, tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Whatever an interrupted dump leaves is not taken for a dump, and Abort leaves
// nothing.
func TestInterrupted(t *testing.T) {
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			w, dir := create(t, archive.WriterOptions{Compression: c, FrameSize: 10})
			notArchive(t, dir, archive.ErrNotArchive) // still empty
			d, err := w.Table(7)
			check(t, err)
			p := d.Part(0)
			check(t, p.WriteRows([]byte("1234567\n1234567\n1234567\n"), 3))
			g, err := w.LargeObjects(9)
			check(t, err)
			l, err := g.Create(5)
			check(t, err)
			notArchive(t, dir, archive.ErrIncomplete)
			if err := w.Commit(header, entries(), archive.Manifest{}); err == nil {
				t.Error("Commit with open files succeeds")
			}
			if _, err := d.Close(); err == nil {
				t.Error("Close with an open part succeeds")
			}
			check(t, w.Abort())
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("directory after Abort: %v", err)
			}
			if err := errors.Join(p.WriteRows([]byte("1234567\n12345678\n"), 2), p.Close()); err == nil {
				t.Error("rows are taken after Abort")
			}
			p.Abort()
			l.Abort()
			if _, err := w.Table(8); err == nil {
				t.Error("Table after Abort succeeds")
			}
			check(t, w.Abort())
		})
	}
}

func notArchive(tb testing.TB, dir string, want error) {
	tb.Helper()
	if _, err := archive.Open(dir); !errors.Is(err, want) || !strings.Contains(err.Error(), dir) {
		tb.Errorf("Open: err = %v, want %v", err, want)
	}
}

func TestAbortKeepsForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	w, err := archive.CreateDir(dir, archive.WriterOptions{NoSync: true})
	check(t, err)
	_, err = w.Table(1)
	check(t, err)
	check(t, w.Abort())
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	write(t, dir, archive.WriterOptions{}) // a retry works
}

func TestAbortAfterCommit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dump")
	w, err := archive.CreateDir(dir, archive.WriterOptions{}) // with sync, for once
	check(t, err)
	d, err := w.Table(7)
	check(t, err)
	_, err = d.Close()
	check(t, err)
	commit(t, w)
	check(t, w.Abort())
	got, err := readAll(t, dir)
	check(t, err)
	if s, ok := got["7/0"]; !ok || s != "" {
		t.Errorf("an empty table is read as %q", got)
	}
}

func TestCommitRefuses(t *testing.T) {
	w, _ := create(t, archive.WriterOptions{})
	if err := w.Commit(header, entries(), archive.Manifest{}); err == nil || !strings.Contains(err.Error(), "entry 7") {
		t.Errorf("entry without data: err = %v", err)
	}
	d, err := w.Table(6)
	check(t, err)
	_, err = d.Close()
	check(t, err)
	if err := w.Commit(header, entries()[:2], archive.Manifest{}); err == nil || !strings.Contains(err.Error(), "6.dat.zst") {
		t.Errorf("data without entry: err = %v", err)
	}
	dropped, err := w.Table(5)
	check(t, err)
	check(t, dropped.Abort())
	if err := w.Commit(header, []archive.Entry{{ID: 6, HasData: true}, {ID: 6}}, archive.Manifest{}); err == nil || !strings.Contains(err.Error(), "unique") {
		t.Errorf("the same ID twice: err = %v", err)
	}
}

func TestWriteRowsRefusesHalfRows(t *testing.T) {
	w, _ := create(t, archive.WriterOptions{})
	d, err := w.Table(7)
	check(t, err)
	p := d.Part(0)
	if err := p.WriteRows([]byte("1\n2"), 1); err == nil {
		t.Error("half a row is taken")
	}
	if err := p.Close(); err == nil {
		t.Error("Close after a failure succeeds")
	}
	check(t, p.Abort())
}

// writeLong writes a row in pieces.
func writeLong(t *testing.T, p archive.RowWriter, row []byte) {
	t.Helper()
	w, err := p.Row()
	if err != nil {
		t.Error(err)
		return
	}
	for piece := range slices.Chunk(row, 300) {
		if _, err := w.Write(piece); err != nil {
			t.Error(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestRowRefusesHalfRows(t *testing.T) {
	w, _ := create(t, archive.WriterOptions{})
	d, err := w.Table(7)
	check(t, err)
	p := d.Part(0)
	r, err := p.Row()
	check(t, err)
	_, err = io.WriteString(r, "half")
	check(t, err)
	if err := r.Close(); err == nil {
		t.Error("a row without a newline was taken")
	}
	if err := p.Close(); err == nil {
		t.Error("Close after a failure succeeds")
	}
	check(t, p.Abort())
	check(t, w.Abort())
}

func BenchmarkWriteRows(b *testing.B) {
	var rows bytes.Buffer
	for i := range 10_000 {
		fmt.Fprintf(&rows, "%d\t%d\t2024-01-01 00:00:%02d\tclick\t{\"sku\": \"SKU-%d\"}\t%d.25\n", i, i*7919%100_000, i%60, i%5000, i*31%10_000)
	}
	lines := bytes.SplitAfter(rows.Bytes(), []byte("\n"))
	lines = lines[:len(lines)-1]
	for _, c := range compressions {
		b.Run(string(c), func(b *testing.B) {
			w, _ := create(b, archive.WriterOptions{Compression: c})
			d, err := w.Table(7)
			check(b, err)
			p := d.Part(0)
			b.SetBytes(int64(rows.Len()))
			for b.Loop() {
				for _, line := range lines {
					check(b, p.WriteRows(line, 1))
				}
			}
			check(b, p.Close())
			check(b, w.Abort())
		})
	}
}
