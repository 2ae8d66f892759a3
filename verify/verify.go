// Package verify compares two databases and reports where they differ.
package verify

import (
	"log/slog"
	"time"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/progress"
)

// Options say what to compare. The zero value compares every table's row count
// and digest, and the sequences, on two connections a side.
type Options struct {
	// Jobs is how many connections a side read at once; 0 means 2.
	Jobs int
	// Select says which tables and sequences to compare; zero means all.
	Select catalog.Selection
	// NoDigest compares row counts only.
	NoDigest bool
	// Logger hears what happens; nil discards.
	Logger *slog.Logger
	// Progress counts; nil counts nothing.
	Progress *progress.Tracker
}

// A Report is the result of a comparison. A difference is a result, not an error.
type Report struct {
	Tables    []Table       `json:"tables"`    // sorted by schema and name
	Sequences []Sequence    `json:"sequences"` // sorted by schema and name
	Snapshot  string        `json:"snapshot"`  // of the source
	Elapsed   time.Duration `json:"elapsed_ns"`
}

// A Table is the comparison of one table.
type Table struct {
	Schema string            `json:"schema"`
	Name   string            `json:"name"`
	Source *copyproto.Digest `json:"source"` // nil: not there
	Target *copyproto.Digest `json:"target"` // nil: not there
	// Problem says what else is wrong, such as a missing column; "" if nothing.
	Problem string `json:"problem,omitempty"`
	Equal   bool   `json:"equal"`
}

// A Sequence is the comparison of one sequence's position.
type Sequence struct {
	Schema string         `json:"schema"`
	Name   string         `json:"name"`
	Source *SequenceValue `json:"source"` // nil: not there
	Target *SequenceValue `json:"target"` // nil: not there
	Equal  bool           `json:"equal"`
}

// A SequenceValue is where a sequence stands.
type SequenceValue struct {
	Last   int64 `json:"last_value"`
	Called bool  `json:"is_called"`
}

// Equal reports whether nothing differs.
func (r *Report) Equal() bool {
	for _, t := range r.Tables {
		if !t.Equal {
			return false
		}
	}
	for _, s := range r.Sequences {
		if !s.Equal {
			return false
		}
	}
	return true
}
