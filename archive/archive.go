// Package archive reads and writes dumps at rest. It speaks pg_dump's archive
// format, so that pg_restore restores what pghaul dumps and the other way
// round, and adds what that format lacks: independently readable frames, a
// manifest with digests, and checksums. It knows no PostgreSQL connection.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Section says in which part of a restore an entry runs. The values are those
// of pg_dump's table of contents.
type Section int

// The sections. SectionNone follows the entry's parent.
const (
	SectionNone     Section = 1
	SectionPreData  Section = 2
	SectionData     Section = 3
	SectionPostData Section = 4
)

// String returns pg_dump's name of the section.
func (s Section) String() string {
	switch s {
	case SectionPreData:
		return "pre-data"
	case SectionData:
		return "data"
	case SectionPostData:
		return "post-data"
	default:
		return "none"
	}
}

// An Entry is one item of the table of contents: an object, its data, or a
// satellite (comment, privileges) of another entry.
type Entry struct {
	ID        int    // dump ID, unique and > 0
	HasData   bool   // a data file belongs to the entry
	Class     uint32 // OID of the system catalog the object is in, 0 for satellites
	OID       uint32 // OID of the object, 0 for satellites
	Tag       string // display name
	Kind      string // "TABLE", "INDEX", "COMMENT", ...: pg_dump's desc
	Section   Section
	Create    string // SQL that makes it; may hold several statements
	Drop      string // SQL that drops it
	Copy      string // "COPY t (a, b) FROM stdin;\n", see Binary; empty for entries without COPY data
	Namespace string // schema, "" for objects without one
	// Tablespace is nil for kinds without storage, "" for the database's default.
	Tablespace *string
	// AccessMethod is the table access method, nil for kinds without one.
	AccessMethod *string
	Relkind      byte   // pg_class.relkind of table-like entries, else 0
	Owner        string // role, "" for objects without an owner
	// After lists the IDs of entries that must be restored first. IDs that are
	// not in the archive and duplicates occur in archives of pg_dump.
	After []int
	File  string // data file without its compression suffix, "" without data
	// WithOIDs says that the table had OIDs as a hidden column, which archives
	// of PostgreSQL 11 and older may hold and PostgreSQL 12 cannot restore.
	WithOIDs bool
}

// binaryCopy ends the COPY statement of rows in the binary format.
const binaryCopy = "FROM stdin WITH (FORMAT binary);"

// Binary reports whether the entry's rows are in COPY's binary format.
func (e *Entry) Binary() bool {
	return strings.HasSuffix(strings.TrimRight(e.Copy, " \n"), binaryCopy)
}

// Version is the version of a table of contents, 1.12 to 1.16.
type Version struct{ Major, Minor, Revision byte }

// CurrentVersion is the version pg_dump 17 and 18 write.
var CurrentVersion = Version{1, 16, 0}

func (v Version) String() string { return fmt.Sprintf("%d.%d-%d", v.Major, v.Minor, v.Revision) }

// Compression names how data files are compressed.
type Compression string

// The compressions of pg_dump 16 and later.
const (
	CompressNone Compression = "none"
	CompressGzip Compression = "gzip"
	CompressLZ4  Compression = "lz4"
	CompressZstd Compression = "zstd"
)

// A Header is what an archive says of itself.
type Header struct {
	Version       Version
	Compression   Compression
	Created       time.Time
	Database      string
	ServerVersion string // of the source, as the server spells it
	DumpVersion   string // of the program that wrote the archive; contains "pghaul" if it was us
	Format        Format // a Writer ignores it
	IntSize       int    // bytes an integer of the table of contents takes; a Writer ignores it
	OffSize       int    // bytes a file offset takes; a Writer ignores it
}

// Format is the layout of an archive.
type Format string

// The formats, spelled as pg_restore -l does.
const (
	FormatDirectory Format = "DIRECTORY" // a directory with a file for each table
	FormatCustom    Format = "CUSTOM"    // one file
	FormatTar       Format = "TAR"       // a directory archive in a tar file
)

// A Part is a run of an entry's rows that can be loaded by itself. Frames of a
// part are in the order they were read.
//
// First and Frames count in the file's data frames sorted by part number and
// then by offset, that is in the order the rows had in the source. A caller may
// cut a Part into shorter runs of its own and open those.
type Part struct {
	Number int   // 0, 1, ...: the TID range or other split the rows came from
	First  int   // first frame of the run
	Frames int   // number of frames; 0 means the whole file as one stream
	Rows   int64 // -1 when not known
	Bytes  int64 // uncompressed size, or the size on disk when that is all we know
}

// A LargeObject is one line of a BLOBS entry's list.
type LargeObject struct {
	OID  uint32
	File string // without compression suffix
}

// A Reader reads an archive. Its methods may be called concurrently.
type Reader interface {
	Header() Header
	Entries() []Entry
	// Manifest is nil for archives that pghaul did not make.
	Manifest() *Manifest
	// Parts returns the runs an entry's rows can be loaded in, at least one.
	Parts(id int) ([]Part, error)
	// Open returns the rows of one part, without the terminator line; those of an
	// entry that is Binary without the stream's header and trailer. What is damaged
	// or missing surfaces as *CorruptError instead of io.EOF.
	Open(ctx context.Context, id int, part Part) (io.ReadCloser, error)
	// LargeObjects lists what a BLOBS entry holds.
	LargeObjects(id int) ([]LargeObject, error)
	// OpenLargeObject returns the bytes of one large object.
	OpenLargeObject(ctx context.Context, lo LargeObject) (io.ReadCloser, error)
	Close() error
}

// ErrNotArchive says that a path holds nothing this package can read.
var ErrNotArchive = errors.New("not an archive")

// ErrIncomplete says that a dump was interrupted before it was finished.
var ErrIncomplete = errors.New("interrupted dump")

// A CorruptError names the file of an archive that is damaged.
type CorruptError struct {
	File   string // path as the user gave it, joined with the file's name
	Offset int64  // where the damage was seen, -1 when not known
	Reason string
	Err    error // may be nil
}

func (e *CorruptError) Error() string {
	s := "archive file " + e.File + " is damaged"
	if e.Offset >= 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	s += ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *CorruptError) Unwrap() error { return e.Err }
