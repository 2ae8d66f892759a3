package replicate

import (
	"errors"
	"fmt"

	"github.com/pghaul/pghaul/internal/quote"
)

// An Engine is a way of bringing changes to the target.
type Engine string

// The engines.
const (
	// EngineNative is a subscription on the target.
	EngineNative Engine = "native"
	// EngineApply is this process.
	EngineApply Engine = "apply"
)

// A Stage says how far a follow has come.
type Stage string

// The stages, in their order where they have one.
const (
	// Starting makes publication and slot; a process that ends here leaves what
	// only an abort can use.
	Starting Stage = "starting"
	// Copying loads the rows of the snapshot.
	Copying Stage = "copying"
	// Following applies changes, or waits for somebody to run it.
	Following Stage = "following"
	// Paused keeps its slot and applies nothing until it is resumed.
	Paused Stage = "paused"
	// Failed has met what it cannot apply; Record.Detail says what.
	Failed Stage = "failed"
	// CutOver has applied everything and handed over.
	CutOver Stage = "cut over"
	// Aborted is being taken apart.
	Aborted Stage = "aborted"
)

// An Identity is what the log holds of the old row of an update or delete.
type Identity string

// The identities, as in pg_class.relreplident.
const (
	IdentityDefault Identity = "d" // the primary key
	IdentityNothing Identity = "n"
	IdentityFull    Identity = "f" // all columns
	IdentityIndex   Identity = "i"
)

// A Table is one that is followed. Who starts a follow sets the names and
// InsertsOnly; the rest is read from the source.
type Table struct {
	Schema string `json:"schema"` // on the source
	Name   string `json:"name"`
	// TargetSchema and TargetName are the target's; "" means the source's.
	TargetSchema string `json:"target_schema,omitempty"`
	TargetName   string `json:"target_name,omitempty"`
	// InsertsOnly publishes no updates and deletes, which a table without a replica
	// identity could not have: the application's own would fail on the source.
	InsertsOnly bool `json:"inserts_only,omitempty"`

	OID      uint32   `json:"oid"` // on the source
	Identity Identity `json:"identity"`
	// Partitioned is a table that has its rows in partitions.
	Partitioned bool `json:"partitioned,omitempty"`
	// Covered says that the publication has the table by one that it is a partition of.
	Covered bool `json:"covered,omitempty"`
	// Columns are those that the source publishes, in their order.
	Columns []Column `json:"columns"`
	// Was is how the table was before it was changed at both ends, the oldest first,
	// and Agreed the position of the source from which on it is as it is now.
	Was    []Signature `json:"was,omitempty"`
	Agreed LSN         `json:"agreed_lsn,omitzero"`
}

// A Column is one of a table on the source.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // as the source writes it, with its modifier
	OID  uint32 `json:"oid"`  // of the type
	Mod  int32  `json:"mod"`  // typmod; -1 without
	Key  bool   `json:"key,omitempty"`
}

// String is the qualified name on the source.
func (t *Table) String() string { return quote.Qualified(t.Schema, t.Name) }

// Target is the qualified name on the target.
func (t *Table) Target() string { return quote.Qualified(t.targetSchema(), t.targetName()) }

func (t *Table) targetSchema() string {
	if t.TargetSchema == "" {
		return t.Schema
	}
	return t.TargetSchema
}

func (t *Table) targetName() string {
	if t.TargetName == "" {
		return t.Name
	}
	return t.TargetName
}

// identified reports whether updates and deletes of the table can be followed.
func (t *Table) identified() bool {
	if t.Identity == IdentityFull {
		return true
	}
	for _, c := range t.Columns {
		if c.Key {
			return true
		}
	}
	return false
}

// What ends Follow.Run without being a failure of it.
var (
	// ErrPaused says that somebody has asked for a pause.
	ErrPaused = errors.New("the follow was paused")
	// ErrTakenOver says that another process runs the follow now.
	ErrTakenOver = errors.New("another process has taken the follow over")
	// ErrEnded says that the follow was cut over or aborted.
	ErrEnded = errors.New("the follow has ended")
	// ErrNoFollow says that the target knows of no follow, or not of that one.
	ErrNoFollow = errors.New("the target knows of no such follow")
)

// A ConflictError is a change that the target does not take as it is: the rows
// of the two ends differ. Nothing of the transaction it belongs to is applied.
type ConflictError struct {
	Table  string // on the target
	Change string // insert, update, delete or truncate
	Row    string // the key, or the row where there is none
	LSN    LSN    // of the transaction's commit on the source
	Err    error  // the server's, or how many rows there were
}

// Error implements error.
func (e *ConflictError) Error() string {
	row := ""
	if e.Row != "" {
		row = " of row " + e.Row
	}
	return fmt.Sprintf("%s%s in %s, committed at %s on the source, does not fit the target: %s", e.Change, row, e.Table, e.LSN, e.Err)
}

// Unwrap implements errors.Unwrap.
func (e *ConflictError) Unwrap() error { return e.Err }

// A SchemaError says how a table of the source has changed since the follow was
// started, or why the target's does not fit it. Nothing after the change has been
// applied.
type SchemaError struct {
	Table string
	Diffs []string
	LSN   LSN // of the transaction's commit on the source; 0 if it was found otherwise
}

// Error implements error.
func (e *SchemaError) Error() string {
	text := "the definition of " + e.Table
	for i, d := range e.Diffs {
		if i > 0 {
			text += ","
		}
		text += " " + d
	}
	return text
}
