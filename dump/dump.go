// Package dump writes a database into an archive: it reads the catalog into a
// sorted graph and streams the rows with COPY, all under one snapshot.
package dump

import (
	"log/slog"
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/progress"
)

// Options say what to dump and how. The zero value, with Dir set, dumps the
// whole database on two connections.
type Options struct {
	// Dir is the directory archive to make. It must not exist or be empty.
	Dir string
	// Jobs is how many connections read data; 0 means 2. One more holds the
	// snapshot.
	Jobs int
	// Compression of the data files; "" means zstd.
	Compression archive.Compression
	// Level of the compression; 0 means its default.
	Level int
	// Select says which objects to dump; zero means all.
	Select catalog.Selection
	// NoOwner and NoPrivileges leave ownership and GRANTs out.
	NoOwner, NoPrivileges bool
	// NoComments leaves comments out.
	NoComments bool
	// Snapshot imports an exported snapshot instead of taking one.
	Snapshot string
	// Role is set on every connection with SET ROLE.
	Role string
	// Encoding is the client encoding of the archive; "" means the database's.
	Encoding string
	// LockWaitTimeout limits the wait for each batch of table locks; 0 waits.
	LockWaitTimeout time.Duration
	// NoSync does not wait for the files to reach the disk.
	NoSync bool
	// Tool names the program in the archive; "" means "pghaul".
	Tool string
	// Logger hears what a user of -v wants to know, a line an object; nil discards.
	Logger *slog.Logger
	// Progress counts; nil counts nothing.
	Progress *progress.Tracker
}

// A Report says what a dump did.
type Report struct {
	Dir      string            `json:"dir"`
	Snapshot string            `json:"snapshot"`
	LSN      string            `json:"lsn,omitempty"`
	Entries  int               `json:"entries"`
	Tables   int               `json:"tables"`
	Rows     int64             `json:"rows"`
	Bytes    int64             `json:"bytes"`      // COPY text
	Stored   int64             `json:"stored"`     // on disk
	Skipped  []archive.Skipped `json:"skipped"`    // objects that are not in the archive though they were asked for
	Elapsed  time.Duration     `json:"elapsed_ns"` // of the whole run
	Phases   []Phase           `json:"phases"`
}

// A Phase is a stretch of a run, for telling where the time went.
type Phase struct {
	Name    string        `json:"name"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Complete reports whether everything that was asked for is in the archive.
func (r *Report) Complete() bool { return len(r.Skipped) == 0 }
