package archive

import (
	"encoding/json"
	"time"
)

// ManifestName is the manifest's file name in a directory archive.
const ManifestName = "manifest.json"

// ManifestVersion is the version of the manifest's own format.
const ManifestVersion = 1

// A Manifest stands beside toc.dat and holds what pg_dump's format has no
// place for. It is written last: an archive of ours without one is an
// interrupted dump. Fields are added, never changed.
type Manifest struct {
	Version      int            `json:"version"`
	Tool         string         `json:"tool"` // "pghaul 0.1.0"
	Source       Source         `json:"source"`
	Tables       []TableData    `json:"tables"`
	LargeObjects LargeObjectSum `json:"large_objects"`
	Roles        []Role         `json:"roles,omitempty"`
	Memberships  []Membership   `json:"memberships,omitempty"`
	Skipped      []Skipped      `json:"skipped,omitempty"`
	// Facts are what the source was like, by which its move to another platform
	// is planned. Package platform writes and reads them.
	Facts json.RawMessage `json:"facts,omitempty"`
	Files []File          `json:"files"` // every file of the archive but the manifest
}

// A Source says where and when a dump was taken.
type Source struct {
	Database      string    `json:"database"`
	ServerVersion int       `json:"server_version_num"`
	Encoding      string    `json:"encoding"`
	Platform      string    `json:"platform,omitempty"`
	Snapshot      string    `json:"snapshot"`
	LSN           string    `json:"lsn,omitempty"` // "" where the role may not ask or on a standby without one
	Standby       bool      `json:"standby,omitempty"`
	LCMonetary    string    `json:"lc_monetary,omitempty"` // money values' text depends on it
	Started       time.Time `json:"started"`
	Finished      time.Time `json:"finished"`
}

// TableData describes one TABLE DATA entry.
type TableData struct {
	Entry   int      `json:"entry"` // dump ID of the TABLE DATA entry
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	Bytes   int64    `json:"bytes"`  // of the rows, without what stands around them
	Digest  string   `json:"digest"` // copyproto.Digest as text
	File    string   `json:"file"`
	// Format is "binary" if Bytes and Digest are of rows in COPY's binary format,
	// and "" if they are of its text.
	Format string `json:"format,omitempty"`
	// Portable says of binary rows that servers of other major versions read them
	// as well: all columns are of types whose binary form has always been the same.
	Portable bool `json:"portable,omitempty"`
}

// A LargeObjectSum counts the large objects.
type LargeObjectSum struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
}

// A Role is a role of the source that objects of the dump refer to.
type Role struct {
	Name       string   `json:"name"`
	Attributes []string `json:"attributes,omitempty"` // "LOGIN", "CREATEDB", ...
}

// A Membership is one row of pg_auth_members.
type Membership struct {
	Role   string `json:"role"`
	Member string `json:"member"`
	Admin  bool   `json:"admin,omitempty"`
}

// Skipped names an object that is not in the archive, and why.
type Skipped struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// A File is one file of the archive. SHA256 is of the whole file; files made of
// frames have the hash of the list of their frames' hashes instead, which are
// each checked as they are read, and their tail (what follows the last frame:
// the seek table) as SHA256 of its own.
type File struct {
	Name   string  `json:"name"`             // on disk, with its compression suffix; in a custom archive without
	Offset int64   `json:"offset,omitempty"` // of the block in a custom archive
	Size   int64   `json:"size"`
	SHA256 string  `json:"sha256"`
	Tail   string  `json:"tail_sha256,omitempty"`
	Frames []Frame `json:"frames,omitempty"`
}

// A Frame is a run of whole rows compressed by itself.
type Frame struct {
	Part   int    `json:"part"` // -1 for a voided frame and for the terminator
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"` // on disk
	Raw    int64  `json:"raw"`  // uncompressed
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"` // of the bytes on disk
}
