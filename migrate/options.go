package migrate

import (
	"log/slog"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/progress"
)

// A Phase is a stretch of a migration that is done or undone as a whole.
type Phase string

// The phases, in their order.
const (
	// PreSchema makes roles, memberships, settings and extensions.
	PreSchema Phase = "pre-schema"
	// SchemaData makes schemas, types, functions, tables and views, and loads rows,
	// large objects and the positions of sequences.
	SchemaData Phase = "schema-data"
	// PostSchema makes indexes, constraints, triggers, policies, publications and
	// what else waits for the rows, sets privileges and refreshes materialized views.
	PostSchema Phase = "post-schema"
)

// Phases are all phases in their order.
func Phases() []Phase { return []Phase{PreSchema, SchemaData, PostSchema} }

// Options say what to migrate and how. The zero value moves everything by the
// platforms' policy on two connections, stops at the first error, takes the
// failed phase back, and verifies at the end.
type Options struct {
	// Jobs is how many connections a side work at once; 0 means as many as there
	// are processors, 2 to 8, but at most half of those that the end has left.
	Jobs int
	// PartSize is the least, in bytes, into which a table is cut so that several
	// connections load it; 0 means 64 MiB. Servers before 14 cannot be read so.
	PartSize int64
	// CopyFormat is the format in which rows travel: copyproto.Text, copyproto.Binary
	// or AutoFormat, which "" means. The binary one is for servers of the same major
	// version, and for tables whose types allow it; others go as text.
	CopyFormat copyproto.Format
	// Plan is followed exactly; nil makes one of Rules and both ends.
	Plan *platform.Plan
	// Rules are what the user has decided. They are those of Plan if that is given.
	Rules platform.Rules
	// SourcePlatform and TargetPlatform override what is detected; "" detects.
	SourcePlatform, TargetPlatform platform.Name
	// Select says which objects to move; zero means all.
	Select catalog.Selection
	// KeepGoing goes on after errors and reports them, instead of stopping and
	// taking the failed phase back.
	KeepGoing bool
	// Phases are those to run; empty means all. A phase needs those before it, in
	// the same run or in an earlier one of the same migration.
	Phases []Phase
	// Resume goes on with the migration whose journal is in the target.
	Resume bool
	// NoVerify does not compare the rows and large objects of both ends at the end.
	NoVerify bool
	// NoRollback leaves a failed phase as it is, to go on with Resume.
	NoRollback bool
	// Follow keeps the changes that the source is written from the copy on, for the
	// target to follow when Run has ended well; nil keeps nothing.
	Follow *FollowOptions
	// NoAnalyze gathers no statistics at the end.
	NoAnalyze bool
	// Passwords holds passwords of login roles, by the role's name at the target.
	// The others' are generated.
	Passwords map[string]string
	// Planned, if not nil, is told the plan before anything runs, be it one that
	// blocks or that of the run that is resumed. Its error ends the run.
	Planned func(*platform.Plan) error
	// Secrets is told each generated password before its role is made. What it
	// returns ends the run. It may be called twice for a role, with another
	// password, of which the last one counts. nil refuses to generate any: then
	// each login role to be made needs an entry in Passwords.
	Secrets func(role, password string) error
	// Tool names the program in the journal; "" means "pghaul".
	Tool string
	// Logger hears what a user of -v wants to know, a line an object; nil discards.
	Logger *slog.Logger
	// Progress counts; nil counts nothing.
	Progress *progress.Tracker

	aheadBytes int64 // see there; 0 is the default
}

// AutoFormat takes the binary format where the servers and the types of a table
// allow it.
const AutoFormat copyproto.Format = "auto"

// RollbackOptions say how to undo a run. The zero value is what is wanted.
type RollbackOptions struct {
	// Phases takes back these phases and those after the first of them; empty
	// means the whole run.
	Phases []Phase
	// Logger hears what a user of -v wants to know, a line an object; nil discards.
	Logger *slog.Logger
	// Progress counts; nil counts nothing.
	Progress *progress.Tracker
}
