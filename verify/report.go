package verify

import (
	"slices"
	"time"

	"github.com/pghaul/pghaul/copyproto"
)

// A Report is the result of a comparison. A difference is a result, not an
// error; so is a table that one end refuses to read.
type Report struct {
	Tables    []Table    `json:"tables"`    // sorted by schema and name
	Sequences []Sequence `json:"sequences"` // sorted by schema and name
	Source    End        `json:"source"`
	Target    End        `json:"target"`
	Snapshot  string     `json:"snapshot"` // of the source; "" for an archive of pg_dump
	// Levels sum up what was compared, in the order of AllLevels.
	Levels []Summary `json:"levels"`
	// LargeObjects sum up those of both ends, if they were compared.
	LargeObjects struct {
		Source LargeObjects `json:"source"`
		Target LargeObjects `json:"target"`
	} `json:"large_objects"`
	// Differences are what differs on levels other than those of tables and
	// sequences, sorted by level, kind, schema and name.
	Differences []Difference `json:"differences"`
	// Engine is what digested tables that either engine would do for; "" if rows
	// were not digested. EngineReason says why.
	Engine       Engine `json:"engine,omitempty"`
	EngineReason string `json:"engine_reason,omitempty"`
	// Same says that source and target are one database, by whatever addresses:
	// that it is equal says nothing about a copy.
	Same bool `json:"same,omitempty"`
	// Retries counts the connections that were lost and replaced.
	Retries int           `json:"retries,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// A Summary counts the objects compared on one level.
type Summary struct {
	Level     Level         `json:"level"`
	Compared  int           `json:"compared"`
	Expected  int           `json:"expected"`  // of those that differ, the ones that had to
	Different int           `json:"different"` // the others
	Elapsed   time.Duration `json:"elapsed_ns"`
}

// A Status says how an object differs.
type Status string

// The ways to differ.
const (
	Different       Status = "different"
	MissingInSource Status = "missing in source"
	MissingInTarget Status = "missing in target"
)

// A Difference is an object that is not the same at both ends.
type Difference struct {
	Level  Level  `json:"level"`
	Kind   string `json:"kind"` // "TABLE", "ROLE", ...
	Schema string `json:"schema,omitempty"`
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Source and Target are what the ends have: a definition or a fact; "" for
	// nothing.
	Source string `json:"source,omitempty"`
	Target string `json:"target,omitempty"`
	// Expected says why the difference has to be; "" for one that has not.
	Expected string `json:"expected,omitempty"`
}

// status compares whether the ends have something.
func status(source, target bool) Status {
	switch {
	case !source:
		return MissingInSource
	case !target:
		return MissingInTarget
	}
	return Different
}

// An End is one of the two sides and the moment it was looked at.
type End struct {
	Database string `json:"database"`
	Version  int    `json:"server_version_num"`
	Snapshot string `json:"snapshot,omitempty"`
	// Taken is when the snapshot was taken: what was committed later is not in
	// the comparison. For an archive it is when its dump began.
	Taken time.Time `json:"taken"`
	// LSN is the position in the write-ahead log at about that moment; "" if the
	// role may not ask.
	LSN string `json:"lsn,omitempty"`
	// Recorded says that the rows' digests were recorded then and that nothing,
	// or an archive, was read now.
	Recorded bool `json:"recorded,omitempty"`
	// RoundTrip is how long the server took to answer nothing; 0 for a recording.
	RoundTrip time.Duration `json:"round_trip_ns,omitempty"`
}

// A Table is the comparison of one table.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Source and Target sum up the rows of each end, of the columns that both
	// ends have; nil means that the table is not there or, if Problem says so,
	// could not be read. Without LevelDigest only the numbers of rows are set.
	Source *copyproto.Digest `json:"source"`
	Target *copyproto.Digest `json:"target"`
	// Problem says what else is wrong, such as a missing column or a refused
	// read; "" if nothing.
	Problem string `json:"problem,omitempty"`
	// CountOnly says why only the numbers of rows were compared; "" if the rows
	// were, or if no more was asked for.
	CountOnly string `json:"count_only,omitempty"`
	// Rows tells which rows differ, if the digests do and somebody wants to know.
	Rows *RowDiff `json:"rows,omitempty"`
	// Expected says why a difference has to be; "" for one that has not.
	Expected string `json:"expected,omitempty"`
	Equal    bool   `json:"equal"`
	// Engine is what the digests were computed by, of which those of EnginePush
	// are not the ones in archives; "" if the rows were only counted. EngineReason
	// says why it is not the report's; "" if it is.
	Engine       Engine `json:"engine,omitempty"`
	EngineReason string `json:"engine_reason,omitempty"`
	// Earlier says that an earlier run had found the table equal, under a snapshot
	// of that time, and that nobody seems to have written to it since: it was not
	// read again. nil for a table that was.
	Earlier *time.Time `json:"earlier,omitempty"`
	// Elapsed is how long connections worked on the table, all together.
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Unread reports whether the table could not be compared because an end could
// not be read: Problem says why.
func (t *Table) Unread() bool { return t.Problem != "" && (t.Source == nil || t.Target == nil) }

// A Sequence is the comparison of one sequence's position. Positions are not
// part of a snapshot: the position is that at the time of reading.
type Sequence struct {
	Schema string         `json:"schema"`
	Name   string         `json:"name"`
	Source *SequenceValue `json:"source"` // nil: not there, or unreadable
	Target *SequenceValue `json:"target"` // nil: not there, or unreadable
	// Problem says why a position could not be read; "" if nothing.
	Problem string `json:"problem,omitempty"`
	// Expected says why a difference has to be; "" for one that has not.
	Expected string `json:"expected,omitempty"`
	Equal    bool   `json:"equal"`
}

// Unread reports whether the sequence could not be compared because an end could
// not be read: Problem says why.
func (s *Sequence) Unread() bool { return s.Problem != "" }

// A SequenceValue is where a sequence stands.
type SequenceValue struct {
	Last   int64 `json:"last_value"`
	Called bool  `json:"is_called"`
}

// Equal reports whether nothing differs but what has to.
func (r *Report) Equal() bool {
	for _, t := range r.Tables {
		if !t.Equal && t.Expected == "" {
			return false
		}
	}
	for _, s := range r.Sequences {
		if !s.Equal && s.Expected == "" {
			return false
		}
	}
	return !slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.Expected == "" })
}
