package archive

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Constants of the table of contents. The format byte of a directory's is that
// of tar: both name their data files in the entries.
const (
	tocMagic     = "PGDMP"
	tocIntSize   = 4
	tocOffSize   = 8
	formatCustom = 1
	formatTar    = 3
	formatDir    = 5
)

// compressionBytes are the codes of the header, by index.
var compressionBytes = [...]Compression{CompressNone, CompressGzip, CompressLZ4, CompressZstd}

// A tocWriter appends the primitives of the format.
type tocWriter struct {
	out    []byte
	err    error
	v      Version
	level  int           // of the compression, which versions before 1.15 store
	custom bool          // for the one file of a custom archive
	places map[int]int64 // of the data in it; an entry without one is not placed yet
}

// formatTOC returns a directory's table of contents.
func formatTOC(h Header, level int, toc []Entry) ([]byte, error) {
	return (&tocWriter{v: h.Version, level: level}).format(h, toc)
}

func (w *tocWriter) format(h Header, toc []Entry) ([]byte, error) {
	w.header(h)
	w.int(len(toc))
	seen := make(map[int]bool, len(toc))
	for i := range toc {
		e := &toc[i]
		if e.ID <= 0 || seen[e.ID] {
			return nil, fmt.Errorf("write %s: entry ID %d of %s %s is not positive and unique", tocName, e.ID, e.Kind, e.Tag)
		}
		seen[e.ID] = true
		w.entry(e)
	}
	if w.err != nil {
		return nil, fmt.Errorf("write %s: %w", tocName, w.err)
	}
	return w.out, nil
}

func (w *tocWriter) header(h Header) {
	w.out = append(w.out, tocMagic...)
	w.out = append(w.out, h.Version.Major, h.Version.Minor, h.Version.Revision, tocIntSize, tocOffSize)
	if w.custom {
		w.out = append(w.out, formatCustom)
	} else {
		w.out = append(w.out, formatTar)
	}
	switch {
	case !w.v.less(Version15):
		w.out = append(w.out, byte(max(0, slices.Index(compressionBytes[:], h.Compression))))
	case h.Compression == CompressNone:
		w.int(0)
	case w.level == 0:
		w.int(-1)
	default:
		w.int(w.level)
	}
	t := h.Created.Local()
	for _, n := range []int{t.Second(), t.Minute(), t.Hour(), t.Day(), int(t.Month()) - 1, t.Year() - 1900} {
		w.int(n)
	}
	w.bool(t.IsDST())
	w.string(h.Database)
	w.string(h.ServerVersion)
	w.string(h.DumpVersion)
}

func (w *tocWriter) entry(e *Entry) {
	w.int(e.ID)
	w.bool(e.HasData)
	w.string(strconv.FormatUint(uint64(e.Class), 10))
	w.string(strconv.FormatUint(uint64(e.OID), 10))
	w.string(e.Tag)
	w.string(e.Kind)
	w.int(int(e.Section))
	w.optional(e.Create)
	w.optional(e.Drop)
	w.optional(e.Copy)
	w.optional(e.Namespace)
	w.pointer(e.Tablespace)
	w.pointer(e.AccessMethod)
	if !w.v.less(CurrentVersion) {
		w.int(int(e.Relkind))
	}
	w.optional(e.Owner)
	w.string(strconv.FormatBool(e.WithOIDs))
	for _, id := range e.After {
		w.string(strconv.Itoa(id))
	}
	w.null()
	if !w.custom {
		w.string(e.File)
		return
	}
	off, ok := w.places[e.ID]
	switch {
	case !e.HasData:
		w.out = append(w.out, placeNoData)
	case ok:
		w.out = append(w.out, placeSet)
	default:
		w.out = append(w.out, placeUnset)
	}
	w.out = binary.LittleEndian.AppendUint64(w.out, uint64(off))
}

// int writes a sign byte and the magnitude, least significant byte first.
func (w *tocWriter) int(n int) {
	var sign byte
	if n < 0 {
		sign, n = 1, -n
	}
	if n > math.MaxInt32 {
		w.err = fmt.Errorf("%d does not fit an integer of the format", n)
		return
	}
	w.out = append(w.out, sign, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

func (w *tocWriter) bool(b bool) {
	if b {
		w.int(1)
	} else {
		w.int(0)
	}
}

func (w *tocWriter) string(s string) {
	w.int(len(s))
	w.out = append(w.out, s...)
}

func (w *tocWriter) null() { w.int(-1) }

func (w *tocWriter) optional(s string) {
	if s == "" {
		w.null()
	} else {
		w.string(s)
	}
}

func (w *tocWriter) pointer(s *string) {
	if s == nil {
		w.null()
	} else {
		w.string(*s)
	}
}
