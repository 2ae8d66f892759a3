package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/copybin"
)

// fuzzLimit is how much of a decompressed stream a fuzz target reads: what is
// made of a few bytes may be endless.
const fuzzLimit = 1 << 20

// seeds adds the archives of pg_dump in testdata whose names match.
func seeds(f *testing.F, pattern string) {
	f.Helper()
	list, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(list) == 0 {
		f.Fatalf("no seeds %s: %v", pattern, err)
	}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
}

// readEverything reads all that a Reader offers and fails on an error that is
// neither one of damage nor one of wrong use.
func readEverything(t *testing.T, r Reader) {
	t.Helper()
	judge := func(err error) {
		if err == nil || errors.Is(err, io.EOF) {
			return
		}
		if _, ok := errors.AsType[*CorruptError](err); !ok && !strings.Contains(err.Error(), "has no ") {
			t.Fatalf("err = %#v: %v", err, err)
		}
	}
	read := func(rc io.ReadCloser, err error) {
		judge(err)
		if err != nil {
			return
		}
		_, err = io.CopyN(io.Discard, rc, fuzzLimit)
		judge(err)
		_ = rc.Close()
	}
	if err := WriteList(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	for i, e := range r.Entries() {
		if i > 100 {
			break
		}
		parts, err := r.Parts(e.ID)
		judge(err)
		for _, p := range parts {
			read(r.Open(context.Background(), e.ID, p))
		}
		list, err := r.LargeObjects(e.ID)
		judge(err)
		for _, lo := range list[:min(100, len(list))] {
			if !isFileName(lo.File) {
				t.Fatalf("large object %d is in file %q", lo.OID, lo.File)
			}
			read(r.OpenLargeObject(context.Background(), lo))
		}
	}
}

func noClose() error { return nil }

func FuzzReadCustom(f *testing.F) {
	seeds(f, "*.dump")
	var own bytes.Buffer
	c, err := CreateCustom(&own, WriterOptions{Compression: CompressLZ4})
	if err != nil {
		f.Fatal(err)
	}
	toc := sampleTOC()
	if err := c.Begin(Header{DumpVersion: "pghaul"}, toc); err != nil {
		f.Fatal(err)
	}
	rows, err := c.Table(70000)
	if err != nil {
		f.Fatal(err)
	}
	g := func() error { return errors.Join(rows.WriteRows([]byte("1\n"), 1), rows.Close()) }
	if err := g(); err != nil {
		f.Fatal(err)
	}
	objects, err := c.LargeObjects(9)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(objects.Close(), c.Commit(Manifest{})); err != nil {
		f.Fatal(err)
	}
	f.Add(own.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := openCustom("dump", bytes.NewReader(in), int64(len(in)), noClose)
		if err != nil {
			if _, ok := errors.AsType[*CorruptError](err); !ok && !errors.Is(err, ErrIncomplete) && !strings.Contains(err.Error(), "its version") {
				t.Fatalf("err = %#v", err)
			}
			return
		}
		readEverything(t, r)
	})
}

func FuzzReadTar(f *testing.F) {
	seeds(f, "*.tar")
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := openTar("dump", bytes.NewReader(in), int64(len(in)), noClose)
		if err != nil {
			if _, ok := errors.AsType[*CorruptError](err); !ok && !errors.Is(err, ErrNotArchive) && !strings.Contains(err.Error(), "unpack it") {
				t.Fatalf("err = %#v", err)
			}
			return
		}
		readEverything(t, r)
	})
}

// A manifest that is accepted names no file outside the archive, and its frames
// fit their files.
func FuzzManifest(f *testing.F) {
	hash := strings.Repeat("0", 64)
	frames := []Frame{{Size: 3, SHA256: hash}, {Part: -1, Offset: 3, Size: 4, SHA256: hash}}
	text, err := sealManifest(&Manifest{
		Version: 1, Tables: []TableData{{Entry: 1}},
		Files: []File{{Name: "1.dat", Size: 7, SHA256: hashFrames(frames), Frames: frames}, {Name: "toc.dat", SHA256: hash}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text[:len(text)-sealSize])
	f.Add([]byte(`{"version":1,"files":[{"name":"../x","size":1,"sha256":"` + hash + `"}]`))
	f.Add([]byte(`{"version":2`))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := openManifest("manifest.json", append(bytes.Clone(in), seal(in)...))
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if filepath.Base(file.Name) != file.Name || !filepath.IsLocal(file.Name) {
				t.Fatalf("file name %q", file.Name)
			}
			d := newDataFile(file)
			for _, fr := range d.rows {
				if fr.Offset < 0 || fr.Size < 0 || fr.Offset+fr.Size > file.Size {
					t.Fatalf("frame %+v is outside of %+v", fr, file)
				}
			}
		}
	})
}

func FuzzLOList(f *testing.F) {
	f.Add("5 blob_5.dat\n6 blob_6.dat\n")
	f.Add("5 ../blob_5.dat\n")
	f.Add("99999999999 blob_5.dat\n")
	f.Fuzz(func(t *testing.T, in string) {
		list, err := parseLOList("blobs.toc", in)
		if err != nil {
			if _, ok := errors.AsType[*CorruptError](err); !ok {
				t.Fatalf("err = %#v", err)
			}
			return
		}
		if strings.Count(in, "\n") != len(list) {
			t.Fatalf("%d large objects in %q", len(list), in)
		}
		for _, lo := range list {
			if filepath.Base(lo.File) != lo.File {
				t.Fatalf("file name %q", lo.File)
			}
		}
	})
}

// Decompressing ends, with an error for what is not whole, and never panics.
func FuzzDecompress(f *testing.F) {
	all := []Compression{CompressZstd, CompressGzip, CompressLZ4, compressZlib}
	for i, c := range all {
		var k *codec
		var err error
		if c == compressZlib {
			k = &codec{newEncoder: func() (encoder, error) { return newZlibEncoder(0) }}
		} else if k, err = newCodec(c, 0); err != nil {
			f.Fatal(err)
		}
		e, err := k.get()
		if err != nil {
			f.Fatal(err)
		}
		frame, err := e.frame(nil, []byte(strings.Repeat("1\trow\n", 100)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), frame)
		f.Add(uint8(i), append(appendSkippable(nil, 0, 3), append([]byte("abc"), frame...)...))
		f.Add(uint8(i), frame[:len(frame)/2])
	}
	var d decoders
	f.Fuzz(func(_ *testing.T, which uint8, in []byte) {
		r, err := d.open(all[int(which)%len(all)], bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r, fuzzLimit)
		_ = r.Close()
	})
}

// However the content is cut into reads, the terminator is found in the same
// place and everything before it is handed out.
func FuzzTerminator(f *testing.F) {
	f.Add("1\n2\n\\.\n\n\n", uint8(3))
	f.Add("\\.\n", uint8(1))
	f.Add("1\\.\n\\.\nx", uint8(2))
	f.Add("", uint8(1))
	f.Add(copybin.Header+"\x00\x01\x00\x00\x00\x02ab"+copybin.Trailer, uint8(4))
	f.Add(copybin.Header+copybin.Trailer+copybin.Trailer, uint8(20))
	f.Fuzz(func(t *testing.T, in string, step uint8) {
		got, gotErr := filterAll(newTerminated(), in, max(1, int(step)))
		rows, rest, found := strings.Cut("\n"+in, "\n\\.\n")
		wantErr := !found || strings.Trim(rest, "\n") != ""
		if (gotErr != nil) != wantErr {
			t.Fatalf("err = %v, want one: %t", gotErr, wantErr)
		}
		if want := strings.TrimPrefix(rows+"\n", "\n"); !wantErr && got != want {
			t.Fatalf("content %q, want %q", got, want)
		}
		got, gotErr = filterAll(&statementList{}, in, max(1, int(step)))
		want, ok := strings.CutSuffix(in, statements.end)
		if (gotErr == nil) != ok || ok && got != want {
			t.Fatalf("statements %q, %v of %q", got, gotErr, in)
		}
		got, gotErr = filterAll(&tuples{}, in, max(1, int(step)))
		want, begun := strings.CutPrefix(in, copybin.Header)
		want, ok = strings.CutSuffix(want, copybin.Trailer)
		n, _, err := copybin.Cut([]byte(want), len(want))
		ok = ok && begun && err == nil && n == len(want)
		if (gotErr == nil) != ok || ok && got != want {
			t.Fatalf("rows %q, %v of %q", got, gotErr, in)
		}
	})
}

func filterAll(f tail, in string, step int) (string, error) {
	var out strings.Builder
	for len(in) > 0 {
		n := min(step, len(in))
		p, err := f.filter([]byte(in[:n]))
		out.Write(p)
		if err != nil {
			return out.String(), fmt.Errorf("filter: %w", err)
		}
		in = in[n:]
	}
	return out.String(), f.end()
}
