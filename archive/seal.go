package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// The manifest's last field is the SHA-256 of all bytes before it, so that the
// manifest, which vouches for the other files, vouches for itself. Its place
// and spelling are fixed: no byte of the file is outside the check.
const (
	sealStart = `,"sha256":"`
	sealEnd   = "\"}\n"
	sealSize  = len(sealStart) + 2*sha256.Size + len(sealEnd)
)

// sealManifest returns the manifest as it is stored.
func sealManifest(m *Manifest) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("write %s: %w", ManifestName, err)
	}
	text := bytes.TrimSuffix(buf.Bytes(), []byte("}\n"))
	return append(text, seal(text)...), nil
}

func seal(text []byte) string {
	sum := sha256.Sum256(text)
	return sealStart + hex.EncodeToString(sum[:]) + sealEnd
}

// openManifest reads what sealManifest returned. file is for errors.
func openManifest(file string, text []byte) (*Manifest, error) {
	bad := func(reason string, err error) error {
		return &CorruptError{File: file, Offset: -1, Reason: reason, Err: err}
	}
	cut := len(text) - sealSize
	if cut < 0 || !strings.HasPrefix(string(text[cut:]), sealStart) || !strings.HasSuffix(string(text), sealEnd) {
		return nil, bad("it does not end with its checksum", ErrIncomplete)
	}
	if string(text[cut:]) != seal(text[:cut]) {
		return nil, bad("its checksum does not match", nil)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, bad("it is not a manifest", err)
	}
	if m.Version != ManifestVersion {
		return nil, fmt.Errorf("read %s: its version %d is not %d, the one this program knows; use the program that wrote it, %s",
			file, m.Version, ManifestVersion, m.Tool)
	}
	for i := range m.Files {
		if err := m.Files[i].check(); err != nil {
			return nil, bad("it contradicts itself", err)
		}
	}
	return &m, nil
}

// check reports what cannot be true of a file.
func (f *File) check() error {
	if !isFileName(f.Name) {
		return fmt.Errorf("%q is not a file name", f.Name)
	}
	if !isHash(f.SHA256) || f.Size < 0 {
		return fmt.Errorf("file %s has no hash or size", f.Name)
	}
	if len(f.Frames) == 0 {
		return nil
	}
	var off int64
	for i, fr := range f.Frames {
		if fr.Offset != off || fr.Size < 0 || fr.Size > f.Size-off || fr.Raw < 0 || fr.Part < -1 || !isHash(fr.SHA256) {
			return fmt.Errorf("frame %d of file %s is out of place", i, f.Name)
		}
		off += fr.Size
	}
	if f.Tail == "" && off != f.Size || f.Tail != "" && !isHash(f.Tail) {
		return fmt.Errorf("file %s is not as long as its frames", f.Name)
	}
	if hashFrames(f.Frames) != f.SHA256 {
		return fmt.Errorf("the hash of file %s is not that of its frames", f.Name)
	}
	return nil
}

// tail returns the offset of what follows the last frame.
func (f *File) tail() int64 {
	if n := len(f.Frames); n > 0 {
		return f.Frames[n-1].Offset + f.Frames[n-1].Size
	}
	return 0
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// isFileName reports whether a name that an archive gives stays in the archive.
func isFileName(name string) bool {
	return name != "" && name != "." && filepath.IsLocal(name) && !strings.ContainsAny(name, `/\`) && !strings.Contains(name, "\x00")
}
