package main

import (
	"time"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/verify"
)

type jsonSide struct {
	Rows   int64  `json:"rows"`
	Digest string `json:"digest,omitempty"`
}

type jsonTable struct {
	Schema  string    `json:"schema"`
	Name    string    `json:"name"`
	Source  *jsonSide `json:"source"` // null: not there
	Target  *jsonSide `json:"target"`
	Problem string    `json:"problem,omitempty"`
	// CountOnly says why only the numbers of rows were compared.
	CountOnly string `json:"count_only,omitempty"`
	// Rows tells which rows differ.
	Rows *jsonRows `json:"rows,omitempty"`
	// Expected says why a difference has to be.
	Expected string `json:"expected,omitempty"`
	Equal    bool   `json:"equal"`
	// Engine is what the digests were computed by, "stream" or "push".
	Engine       string `json:"engine,omitempty"`
	EngineReason string `json:"engine_reason,omitempty"`
	// Earlier is when an earlier run found the table equal.
	Earlier *time.Time `json:"earlier,omitempty"`
	Seconds float64    `json:"seconds"` // of all connections together
}

type jsonRows struct {
	Key     []string  `json:"key"`
	Missing int64     `json:"missing"`
	Extra   int64     `json:"extra"`
	Changed int64     `json:"changed"`
	AtLeast bool      `json:"at_least,omitempty"`
	Rows    []jsonRow `json:"rows"`
	Problem string    `json:"problem,omitempty"`
}

type jsonRow struct {
	Status  string         `json:"status"`
	Key     []verify.Value `json:"key"`
	Columns []jsonColumn   `json:"columns,omitempty"`
}

type jsonColumn struct {
	Name   string       `json:"name"`
	Source verify.Value `json:"source"`
	Target verify.Value `json:"target"`
}

type jsonPosition struct {
	LastValue int64 `json:"last_value"`
	IsCalled  bool  `json:"is_called"`
}

type jsonSequence struct {
	Schema   string        `json:"schema"`
	Name     string        `json:"name"`
	Source   *jsonPosition `json:"source"` // null: not there
	Target   *jsonPosition `json:"target"`
	Problem  string        `json:"problem,omitempty"`
	Expected string        `json:"expected,omitempty"`
	Equal    bool          `json:"equal"`
}

// A jsonEnd is one of the two ends of a comparison.
type jsonEnd struct {
	Database string    `json:"database"`
	Version  int       `json:"server_version_num"`
	Snapshot string    `json:"snapshot,omitempty"`
	Taken    time.Time `json:"taken"`
	LSN      string    `json:"lsn,omitempty"`
	Recorded bool      `json:"recorded,omitempty"`
	// RoundTrip is how long the server takes to answer, in seconds.
	RoundTrip float64 `json:"round_trip_seconds,omitempty"`
}

type jsonVerify struct {
	Equal     bool           `json:"equal"`
	Snapshot  string         `json:"snapshot"`
	Source    jsonEnd        `json:"source"`
	Target    jsonEnd        `json:"target"`
	Tables    []jsonTable    `json:"tables"`
	Sequences []jsonSequence `json:"sequences"`
	// LargeObjects is null if they were not compared.
	LargeObjects *jsonLargeObjects `json:"large_objects"`
	Differences  []jsonDifference  `json:"differences"`
	Levels       []jsonLevel       `json:"levels"`
	Engine       string            `json:"engine,omitempty"`
	EngineReason string            `json:"engine_reason,omitempty"`
	Same         bool              `json:"same,omitempty"`
	Retries      int               `json:"retries"`
	Seconds      float64           `json:"seconds"`
}

type jsonObjects struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
}

type jsonLargeObjects struct {
	Source jsonObjects `json:"source"`
	Target jsonObjects `json:"target"`
}

// A jsonDifference is something other than rows and sequences that differs.
type jsonDifference struct {
	Level    string `json:"level"`
	Kind     string `json:"kind"`
	Schema   string `json:"schema,omitempty"`
	Name     string `json:"name"`
	Status   string `json:"status"`
	Source   string `json:"source,omitempty"`
	Target   string `json:"target,omitempty"`
	Expected string `json:"expected,omitempty"`
}

type jsonLevel struct {
	Level     string  `json:"level"`
	Compared  int     `json:"compared"`
	Different int     `json:"different"`
	Expected  int     `json:"expected"`
	Seconds   float64 `json:"seconds"`
}

// verifyReport is a comparison as JSON; digests says that there are some.
func verifyReport(r *verify.Report, digests bool) any {
	if r == nil {
		return nil
	}
	out := jsonVerify{
		Equal: r.Equal(), Snapshot: r.Snapshot, Source: endReport(r.Source), Target: endReport(r.Target), Seconds: r.Elapsed.Seconds(),
		Engine: string(r.Engine), EngineReason: r.EngineReason, Same: r.Same, Retries: r.Retries,
		Tables: make([]jsonTable, len(r.Tables)), Sequences: make([]jsonSequence, len(r.Sequences)),
		Differences: make([]jsonDifference, len(r.Differences)), Levels: make([]jsonLevel, len(r.Levels)),
	}
	for i, t := range r.Tables {
		out.Tables[i] = jsonTable{
			Schema: t.Schema, Name: t.Name, Problem: t.Problem, CountOnly: t.CountOnly, Expected: t.Expected, Equal: t.Equal,
			Source: side(t.Source, digests), Target: side(t.Target, digests), Rows: rowsReport(t.Rows),
			Engine: string(t.Engine), EngineReason: t.EngineReason, Earlier: t.Earlier, Seconds: t.Elapsed.Seconds(),
		}
	}
	for i, s := range r.Sequences {
		out.Sequences[i] = jsonSequence{
			Schema: s.Schema, Name: s.Name, Problem: s.Problem, Expected: s.Expected, Equal: s.Equal,
			Source: position(s.Source), Target: position(s.Target),
		}
	}
	for i, d := range r.Differences {
		out.Differences[i] = jsonDifference{
			Level: string(d.Level), Kind: d.Kind, Schema: d.Schema, Name: d.Name, Status: string(d.Status),
			Source: d.Source, Target: d.Target, Expected: d.Expected,
		}
	}
	for i, l := range r.Levels {
		out.Levels[i] = jsonLevel{string(l.Level), l.Compared, l.Different, l.Expected, l.Elapsed.Seconds()}
		if l.Level == verify.LevelLargeObjects {
			out.LargeObjects = &jsonLargeObjects{jsonObjects(r.LargeObjects.Source), jsonObjects(r.LargeObjects.Target)}
		}
	}
	return out
}

func endReport(e verify.End) jsonEnd {
	return jsonEnd{Database: e.Database, Version: e.Version, Snapshot: e.Snapshot, Taken: e.Taken, LSN: e.LSN, Recorded: e.Recorded, RoundTrip: e.RoundTrip.Seconds()}
}

func rowsReport(d *verify.RowDiff) *jsonRows {
	if d == nil {
		return nil
	}
	out := &jsonRows{Key: append([]string{}, d.Key...), Missing: d.Missing, Extra: d.Extra, Changed: d.Changed, AtLeast: d.AtLeast, Problem: d.Problem, Rows: []jsonRow{}}
	for _, r := range d.Rows {
		row := jsonRow{Status: string(r.Status), Key: r.Key}
		for _, c := range r.Columns {
			row.Columns = append(row.Columns, jsonColumn(c))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func side(d *copyproto.Digest, digests bool) *jsonSide {
	if d == nil {
		return nil
	}
	s := &jsonSide{Rows: d.Rows}
	if digests {
		s.Digest = d.String()
	}
	return s
}

func position(v *verify.SequenceValue) *jsonPosition {
	if v == nil {
		return nil
	}
	return &jsonPosition{v.Last, v.Called}
}
