package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
)

// oldestVersion and newestVersion bound what parseTOC reads.
var (
	oldestVersion = Version{1, 12, 0}
	newestVersion = Version{1, 16, 255}
)

// loListName is the list of all large objects in archives before version 1.16.
const loListName = "blobs.toc"

func (v Version) less(o Version) bool {
	if v.Major != o.Major {
		return v.Major < o.Major
	}
	if v.Minor != o.Minor {
		return v.Minor < o.Minor
	}
	return v.Revision < o.Revision
}

// A tocReader reads the primitives of the format from memory. The first failure
// sticks, and all later reads return zero values.
type tocReader struct {
	file    string // for errors
	in      []byte
	off     int
	intSize int
	offSize int
	err     *CorruptError

	more   io.Reader     // where in is continued, nil if it is all
	custom bool          // entries end with an offset instead of a file name
	places map[int]int64 // offsets of a custom archive's entries with data, 0 if not set
}

// parseTOC reads a table of contents of version 1.12 to 1.16: the whole of
// toc.dat. Its errors are *CorruptError with the file and the offset.
func parseTOC(file string, in []byte) (Header, []Entry, error) {
	r := &tocReader{file: file, in: in}
	h, format := r.header()
	if r.err == nil && format != formatTar && format != formatDir {
		r.fail("it is not the table of contents of a directory archive")
	}
	entries := r.entries(h.Version)
	if r.err == nil && r.off < len(r.in) {
		r.fail(fmt.Sprintf("%d bytes follow the last entry", len(r.in)-r.off))
	}
	if r.err != nil {
		return Header{}, nil, r.err
	}
	return h, entries, nil
}

func (r *tocReader) fail(reason string) {
	if r.err == nil {
		r.err = &CorruptError{File: r.file, Offset: int64(r.off), Reason: reason}
		r.off = len(r.in)
	}
}

// maxString bounds what one string makes us read: PostgreSQL has none as long.
const maxString = 1 << 30

func (r *tocReader) bytes(n int) []byte {
	if n > len(r.in)-r.off && r.more != nil && r.err == nil {
		r.fill(n - (len(r.in) - r.off))
	}
	if n > len(r.in)-r.off {
		r.fail("it ends too early")
		return nil
	}
	b := r.in[r.off : r.off+n]
	r.off += n
	return b
}

// fill reads at least n bytes more, if there are as many. Memory grows with
// what is read, not with what a length claims.
func (r *tocReader) fill(n int) {
	if n > maxString {
		return
	}
	buf := bytes.NewBuffer(r.in)
	if _, err := io.CopyN(buf, r.more, int64(max(n, 64<<10))); err != nil && !errors.Is(err, io.EOF) {
		r.fail("it cannot be read")
		r.err.Err = err
	}
	r.in = buf.Bytes()
}

func (r *tocReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *tocReader) header() (h Header, format byte) {
	if string(r.bytes(len(tocMagic))) != tocMagic {
		r.off = 0
		r.fail("it does not begin with " + tocMagic)
		return h, 0
	}
	h.Version = Version{r.byte(), r.byte(), r.byte()}
	if r.err == nil && (h.Version.less(oldestVersion) || newestVersion.less(h.Version)) {
		r.fail(fmt.Sprintf("its version %s is not one of 1.12 to 1.16", h.Version))
	}
	r.intSize, r.offSize = int(r.byte()), int(r.byte())
	if r.err == nil && (r.intSize < 1 || r.intSize > 8) {
		r.fail(fmt.Sprintf("an integer size of %d is not between 1 and 8", r.intSize))
	}
	if r.err == nil && (r.offSize < 1 || r.offSize > 8) {
		r.fail(fmt.Sprintf("an offset size of %d is not between 1 and 8", r.offSize))
	}
	format = r.byte()
	h.Compression = r.compression(h.Version)
	var t [7]int
	for i := range t {
		t[i] = r.int()
	}
	// A time that cannot be is none: it is no reason not to read the rest.
	if slices.Max(t[:]) < 10_000 && slices.Min(t[:]) > -10_000 {
		h.Created = time.Date(t[5]+1900, time.Month(t[4]+1), t[3], t[2], t[1], t[0], 0, time.Local)
	}
	h.Database, _ = r.string()
	h.ServerVersion, _ = r.string()
	h.DumpVersion, _ = r.string()
	h.Format, h.IntSize, h.OffSize = FormatDirectory, r.intSize, r.offSize
	return h, format
}

// compression reads the code of the algorithm or, before version 1.15, the
// level of gzip.
func (r *tocReader) compression(v Version) Compression {
	if v.less(Version{1, 15, 0}) {
		if r.int() == 0 {
			return CompressNone
		}
		return CompressGzip
	}
	code := int(r.byte())
	if code >= len(compressionBytes) {
		r.fail(fmt.Sprintf("its compression code %d is unknown", code))
		return CompressNone
	}
	return compressionBytes[code]
}

func (r *tocReader) entries(v Version) []Entry {
	n := r.int()
	if n < 0 {
		r.fail(fmt.Sprintf("its number of entries is %d", n))
	}
	// The number may be a lie, and grows the list beyond what so many bytes can hold
	// only as they are read.
	const least = 64 // bytes of an entry, at the least
	list := make([]Entry, 0, max(0, min(n, len(r.in)/least)))
	seen := make(map[int]bool)
	for range n {
		start := r.off
		e := r.entry(v)
		if r.err == nil && (e.ID <= 0 || seen[e.ID]) {
			r.off = start
			r.fail(fmt.Sprintf("entry ID %d is not positive and unique", e.ID))
		}
		if r.err != nil {
			return nil
		}
		seen[e.ID] = true
		list = append(list, e)
	}
	return list
}

func (r *tocReader) entry(v Version) Entry {
	var e Entry
	e.ID = r.int()
	e.HasData = r.int() != 0
	e.Class = r.oid()
	e.OID = r.oid()
	e.Tag, _ = r.string()
	e.Kind, _ = r.string()
	e.Section = Section(r.int())
	if r.err == nil && (e.Section < SectionNone || e.Section > SectionPostData) {
		r.fail(fmt.Sprintf("section %d of entry %d is unknown", e.Section, e.ID))
	}
	e.Create, _ = r.string()
	e.Drop, _ = r.string()
	e.Copy, _ = r.string()
	e.Namespace, _ = r.string()
	e.Tablespace = r.pointer()
	if !v.less(Version{1, 14, 0}) {
		e.AccessMethod = r.pointer()
	}
	if !v.less(Version{1, 16, 0}) {
		e.Relkind = r.relkind()
	}
	e.Owner, _ = r.string()
	withOIDs, _ := r.string()
	e.WithOIDs = withOIDs == "true"
	e.After = r.after()
	if r.custom {
		r.place(&e)
		return e
	}
	e.File, _ = r.string()
	if e.Kind == "BLOBS" && v.less(Version{1, 16, 0}) {
		e.File = loListName
	}
	return e
}

func (r *tocReader) relkind() byte {
	n := r.int()
	if n < 0 || n > math.MaxInt8 {
		r.fail(fmt.Sprintf("relation kind %d is not a character", n))
		return 0
	}
	return byte(n)
}

// Flags of the offsets in custom archives.
const (
	placeUnset  = 1 // the archive was written to a pipe
	placeSet    = 2
	placeNoData = 3
)

// place reads where an entry's data is.
func (r *tocReader) place(e *Entry) {
	start := r.off
	flag, b := r.byte(), r.bytes(r.offSize)
	var off uint64
	for i, c := range b {
		off |= uint64(c) << (8 * i)
	}
	switch {
	case r.err != nil:
	case flag < placeUnset || flag > placeNoData || off > math.MaxInt64:
		r.off = start
		r.fail(fmt.Sprintf("the place of entry %d's data is not one", e.ID))
	case e.HasData != (flag != placeNoData):
		r.off = start
		r.fail(fmt.Sprintf("entry %d contradicts itself on whether it has data", e.ID))
	case flag == placeSet:
		r.places[e.ID] = int64(off)
	case flag == placeUnset:
		r.places[e.ID] = 0
	}
}

// after reads the IDs up to a null string.
func (r *tocReader) after() []int {
	var ids []int
	for r.err == nil {
		start := r.off
		s, ok := r.string()
		if !ok {
			break
		}
		id, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			r.off = start
			r.fail(fmt.Sprintf("dependency %.20q is not a number", s))
			break
		}
		ids = append(ids, int(id))
	}
	return ids
}

func (r *tocReader) oid() uint32 {
	start := r.off
	s, _ := r.string()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		r.off = start
		r.fail(fmt.Sprintf("OID %.20q is not a number", s))
	}
	return uint32(n)
}

// int reads a sign byte and intSize bytes, least significant first.
func (r *tocReader) int() int {
	start := r.off
	sign, b := r.byte(), r.bytes(r.intSize)
	var n uint64
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	if n > math.MaxInt32 || sign > 1 {
		r.off = start
		r.fail("an integer is out of range")
		return 0
	}
	if sign == 1 {
		return -int(n)
	}
	return int(n)
}

// string reads a string; ok is false for a null one.
func (r *tocReader) string() (s string, ok bool) {
	start := r.off
	n := r.int()
	if n < 0 {
		if n != -1 {
			r.off = start
			r.fail(fmt.Sprintf("a string has length %d", n))
		}
		return "", false
	}
	b := r.bytes(n)
	return string(b), r.err == nil
}

func (r *tocReader) pointer() *string {
	if s, ok := r.string(); ok {
		return &s
	}
	return nil
}
