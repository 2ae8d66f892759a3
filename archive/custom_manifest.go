package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The manifest of a custom archive is its last block: data of an entry that the
// table of contents does not have, which pg_restore passes over. The block's
// last chunk says where the block begins.
const (
	manifestID   = 1<<31 - 1
	trailerMagic = "PGHAULMF"
	trailerChunk = len(trailerMagic) + 8
	trailerSize  = 2*(1+tocIntSize) + trailerChunk
)

// maxManifest bounds the memory a manifest can ask for.
const maxManifest = 1 << 30

// trailer returns the chunk at the end of the file, if it is one of ours.
func (c *customReader) trailer() ([]byte, bool) {
	tail := make([]byte, trailerSize)
	if _, err := c.f.ReadAt(tail, c.size-int64(len(tail))); err != nil {
		return nil, false
	}
	w := &tocWriter{}
	w.int(trailerChunk)
	w.out = append(w.out, trailerMagic...)
	head := len(w.out)
	if !bytes.Equal(tail[:head], w.out) || !bytes.Equal(tail[head+8:], make([]byte, 1+tocIntSize)) {
		return nil, false
	}
	return tail[head : head+8], true
}

// readManifest finds the manifest, if there is one, and checks the table of
// contents with it.
func (c *customReader) readManifest(toc []byte) error {
	place, ok := c.trailer()
	if !ok || c.header.IntSize != tocIntSize {
		return nil
	}
	bad := func(reason string) error {
		return &CorruptError{File: c.path, Offset: -1, Reason: "its manifest " + reason}
	}
	off := binary.LittleEndian.Uint64(place)
	if off < uint64(c.start) || off >= uint64(c.size) {
		return bad("is not where it should be")
	}
	b := c.blocksAt(context.Background(), int64(off), c.size)
	kind, id, err := b.header()
	if err != nil {
		return err
	}
	if kind != blockData || id != manifestID {
		return bad("is not where it should be")
	}
	text, err := io.ReadAll(io.LimitReader(&chunkReader{b: b}, maxManifest))
	if err != nil {
		return err
	}
	if len(text) < trailerChunk || len(text) == maxManifest || b.off != c.size {
		return bad("does not end where it should")
	}
	m, err := openManifest(c.path, text[:len(text)-trailerChunk])
	if err != nil {
		return err
	}
	if err := c.checkFiles(m, toc, int64(off)); err != nil {
		return &CorruptError{File: c.path, Offset: -1, Reason: "its manifest contradicts the archive", Err: err}
	}
	c.manifest = m
	return nil
}

// checkFiles checks that the blocks of the manifest fill the file up to end and
// are those of the entries, and compares the table of contents.
func (c *customReader) checkFiles(m *Manifest, toc []byte, end int64) error {
	files := make(map[string]File)
	byPlace := slices.SortedFunc(slices.Values(m.Files), func(a, b File) int {
		return int(min(1, max(-1, a.Offset-b.Offset)))
	})
	var off int64
	for _, f := range byPlace {
		if f.Offset != off || f.Size > end-off || len(f.Frames) > 0 {
			return fmt.Errorf("%s is out of place", f.Name)
		}
		off += f.Size
		files[f.Name] = f
	}
	if off != end || len(files) != len(m.Files) {
		return errors.New("something is between the blocks of data")
	}
	sum := sha256.Sum256(toc)
	if f := files[tocName]; f.Offset != 0 || f.Size != int64(len(toc)) || f.SHA256 != hex.EncodeToString(sum[:]) {
		return errors.New("the table of contents does not match its checksum")
	}
	n := 1
	for i := range c.entries {
		e := &c.entries[i]
		if !e.HasData {
			continue
		}
		if _, ok := files[blockName(e)]; !ok {
			return fmt.Errorf("it does not list the data of entry %d", e.ID)
		}
		n++
	}
	if n != len(files) {
		return errors.New("it lists data that belongs to no entry")
	}
	c.files = files
	return nil
}
