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

// Options say what to restore and how. The zero value restores everything,
// goes on after errors and collects them in the Report.
type Options struct {
	// Jobs is how many connections work at once; 0 means as many as there are
	// processors, 2 to 8, but at most half of those that the target has left. If the
	// target has no room for that many, the run makes do with what it gets. With
	// SingleTransaction or TransactionSize there is one.
	Jobs int
	// ExitOnError stops at the first failed step instead of going on.
	ExitOnError bool
	// SingleTransaction restores all or nothing; TransactionSize commits after
	// that many steps, if it is not 0, and after each drop. Both imply ExitOnError.
	SingleTransaction bool
	TransactionSize   int
	// NoDataForFailedTables loads no rows into tables that could not be created.
	NoDataForFailedTables bool
	// DisableTriggers switches the triggers of each table off while its rows are
	// loaded, foreign keys included, if no definitions are restored. It takes a
	// superuser: the one connected as or, if not "", Superuser.
	DisableTriggers bool
	Superuser       string
	// RowSecurity loads under the policies that row-level security sets up.
	RowSecurity bool

	// SchemaOnly, DataOnly and StatisticsOnly restore one part; NoSchema, NoData
	// and NoStatistics leave one out. Statistics are those of the planner.
	SchemaOnly, DataOnly, StatisticsOnly bool
	NoSchema, NoData, NoStatistics       bool
	// Sections restores these sections only; empty means all.
	Sections []archive.Section
	// Schemas restores what is in these schemas only; ExcludeSchemas leaves what
	// is in those out. All names are exact.
	Schemas, ExcludeSchemas []string
	// Tables restores these tables, views and sequences with their rows, Indexes
	// these indexes, Functions these functions, named as in the table of contents
	// (name(argument types)), and Triggers these triggers ("table trigger").
	// Where any is given, nothing else is restored but what belongs to these:
	// privileges, comments, security labels and statistics.
	Tables, Indexes, Functions, Triggers []string
	// StrictNames makes each name in Schemas, Tables, Indexes, Functions and
	// Triggers that selects nothing an error.
	StrictNames bool
	// List restores the entries with these dump IDs only, in this order; nil means
	// all, in the order of the archive. ReadList reads it from a file.
	List []int
	// NoOwner and NoPrivileges leave ALTER … OWNER and GRANTs out.
	NoOwner, NoPrivileges bool
	// These leave the objects out that they name.
	NoComments, NoPolicies, NoPublications, NoSubscriptions, NoSecurityLabels bool
	// NoTablespaces and NoTableAccessMethod create everything in the target's
	// default tablespace, with its default access method.
	NoTablespaces, NoTableAccessMethod bool
	// Clean drops objects first, with IF EXISTS if IfExists.
	Clean, IfExists bool
	// Create creates the database the archive is of and restores into that one;
	// the target's database is only where it is created from. With Clean, the
	// database as a whole is dropped first.
	Create bool
	// Role is set on every connection with SET ROLE.
	Role string
	// Analyze gathers the planner's statistics of each table when its rows and
	// indexes are there, unless they are restored.
	Analyze bool
	// MaxIndexMemory is how many bytes builds of indexes may take in the target, all
	// together: each connection gets its share as maintenance_work_mem. 0 means half
	// of the target's shared_buffers, at least 256 MiB, at most 2 GiB, and not less
	// than the target's own maintenance_work_mem for each.
	MaxIndexMemory int64
	// Application is the application_name of every session, so that what a run has
	// left behind can be found; "" means "pghaul restore".
	Application string
	// Journal notes what is done; nil notes nothing.
	Journal Journal
	// TableDone is called with the entry of a table's rows when nothing is left to
	// do to the table while other tables are still worked on: its rows are in, and
	// its indexes, keys and triggers are made, or have failed. It is called by the
	// workers, which wait for it. nil calls nothing.
	TableDone func(data *archive.Entry)
	// Logger hears what a user of -v wants to know, a line an object; nil discards.
	Logger *slog.Logger
	// Progress counts; nil counts nothing.
	Progress *progress.Tracker
}

// A Report says what a restore did.
type Report struct {
	Restored int           `json:"restored"` // steps that succeeded
	Resumed  int           `json:"resumed"`  // steps that an earlier run had done, by the journal
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
