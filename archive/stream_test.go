package archive

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// The terminator is found wherever the pieces of the content are cut.
func TestTerminated(t *testing.T) {
	tests := []struct {
		name, in, want string
		reason         string // part of the error, if there is one
	}{
		{"no rows", "\\.\n\n\n", "", ""},
		{"nothing after it", "\\.\n", "", ""},
		{"rows", "1\n2\n\\.\n\n\n", "1\n2\n", ""},
		{"rows without columns", "\n\n\\.\n\n\n", "\n\n", ""},
		{"the same as a value", "\\\\.\na\\\\.\n\\.\n", "\\\\.\na\\\\.\n", ""},
		{"at the end of a row only", "a\\.\n\\.\n", "a\\.\n", ""},
		{"empty", "", "", "without the line"},
		{"missing", "1\n2\n", "", "without the line"},
		{"cut", "1\n2\n\\.", "", "without the line"},
		{"cut earlier", "1\n2\n\\", "", "without the line"},
		{"inside a row", "1\n2\\.\n", "", "without the line"},
		{"rows after it", "1\n\\.\n2\n", "", "something follows"},
		{"twice", "1\n\\.\n\\.\n", "", "something follows"},
	}
	for _, tt := range tests {
		for size := 1; size <= len(tt.in)+1; size++ {
			s := &stream{src: &source{}, dec: io.NopCloser(strings.NewReader(tt.in)), tail: newTerminated(), chunk: make([]byte, size)}
			s.buf = bufio.NewReader(strings.NewReader(""))
			got, err := io.ReadAll(iotest.OneByteReader(s))
			if tt.reason != "" {
				if err == nil || !strings.Contains(err.Error(), tt.reason) {
					t.Errorf("%s, in pieces of %d: err = %v", tt.name, size, err)
				}
				continue
			}
			if err != nil || string(got) != tt.want {
				t.Errorf("%s, in pieces of %d: %q, %v, want %q", tt.name, size, got, err, tt.want)
			}
		}
	}
}

// What hides behind a name in an archive stays inside it.
func TestFileNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "/etc/passwd", "a/b", `a\b`, "a\x00b"} {
		if isFileName(name) {
			t.Errorf("%q is taken for a file name", name)
		}
	}
	r := &dirReader{path: t.TempDir()}
	if _, err := r.locate("../x"); err == nil {
		t.Error("a name outside the archive is found")
	}
	if _, err := parseLOList("blobs.toc", "5 ../x\n"); err == nil {
		t.Error("a large object outside the archive is listed")
	}
}

func TestSealedManifest(t *testing.T) {
	m := &Manifest{Version: ManifestVersion, Tool: "<&>", Files: []File{}}
	text, err := sealManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(`"tool":"<&>"`)) {
		t.Errorf("manifest = %s", text)
	}
	if _, err := openManifest("manifest.json", text); err != nil {
		t.Error(err)
	}
	hash := strings.Repeat("0", 64)
	frame := Frame{Size: 10, SHA256: hash}
	for name, f := range map[string]File{
		"a path":          {Name: "../x", SHA256: hash},
		"no hash":         {Name: "x"},
		"a gap":           {Name: "x", Size: 20, SHA256: hash, Frames: []Frame{{Offset: 1, Size: 9, SHA256: hash}}},
		"past the end":    {Name: "x", Size: 9, SHA256: hash, Frames: []Frame{frame}},
		"short of it":     {Name: "x", Size: 11, SHA256: hashFrames([]Frame{frame}), Frames: []Frame{frame}},
		"hash of frames":  {Name: "x", Size: 10, SHA256: hash, Frames: []Frame{frame}},
		"negative length": {Name: "x", Size: -1, SHA256: hash},
	} {
		text, err := sealManifest(&Manifest{Version: ManifestVersion, Files: []File{f}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openManifest("manifest.json", text); err == nil {
			t.Errorf("%s: the manifest is taken", name)
		}
	}
	text, err = sealManifest(&Manifest{Version: 2, Tool: "pghaul 9"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openManifest("manifest.json", text); err == nil || !strings.Contains(err.Error(), "pghaul 9") {
		t.Errorf("a manifest of the future: err = %v", err)
	}
}
