// Package restore plays the entries and rows of a Source into a database: an
// archive or, in migrate, a live database.
package restore

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/progress"
)

// Options say what to restore and how. The zero value restores everything on
// two connections, goes on after errors and collects them in the Report.
type Options struct {
	// Jobs is how many connections work at once; 0 means 2. If the target has no
	// room for that many, the run makes do with what it gets.
	Jobs int
	// ExitOnError stops at the first failed step instead of going on.
	ExitOnError bool
	// NoOwner and NoPrivileges leave ALTER … OWNER and GRANTs out.
	NoOwner, NoPrivileges bool
	// NoComments leaves comments out.
	NoComments bool
	// SchemaOnly and DataOnly restore one half.
	SchemaOnly, DataOnly bool
	// Sections restores these sections only; empty means all.
	Sections []archive.Section
	// Clean drops objects first, with IF EXISTS if IfExists.
	Clean, IfExists bool
	// Role is set on every connection with SET ROLE.
	Role string
	// Logger hears what a user of -v wants to know, a line an object; nil discards.
	Logger *slog.Logger
	// Progress counts; nil counts nothing.
	Progress *progress.Tracker
}

// A Report says what a restore did.
type Report struct {
	Restored int           `json:"restored"` // steps that succeeded
	Rows     int64         `json:"rows"`
	Bytes    int64         `json:"bytes"`
	Failed   []*StepError  `json:"failed"`
	Skipped  []Skipped     `json:"skipped"` // steps not tried because what they need failed
	Warnings []string      `json:"warnings"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	Phases   []Phase       `json:"phases"`
}

// Complete reports whether every step succeeded.
func (r *Report) Complete() bool { return len(r.Failed) == 0 && len(r.Skipped) == 0 }

// A Skipped is a step that was not tried.
type Skipped struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// A Phase is a stretch of a run, for telling where the time went. Data and
// post-data overlap: a table's indexes are built while others still load.
type Phase struct {
	Name    string        `json:"name"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// A StepError is a step that failed. Err unwraps to *pgconn.PgError where the
// server refused.
type StepError struct {
	ID   int    // dump ID of the entry
	Kind string // "TABLE", "TABLE DATA", ...
	Name string // schema.tag
	SQL  string // the statement, "" for a failure that none caused
	Line int    // of SQL, where the server's position points; 0 if it gave none
	Err  error
}

func (e *StepError) Error() string { return fmt.Sprintf("restore %s %s: %v", e.Kind, e.Name, e.Err) }

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }
