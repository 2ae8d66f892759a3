package main

import (
	"fmt"
	"strings"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/replicate"
	"github.com/pghaul/pghaul/verify"
)

// What follows is the JSON of cutover and cutback. docs/json-output.md is its
// contract.

type jsonCutover struct {
	ID        string            `json:"id"`
	DryRun    bool              `json:"dry_run"`
	Done      bool              `json:"done"`
	Downtime  float64           `json:"downtime_seconds"`
	LSN       string            `json:"lsn"` // "" if it did not come that far
	Steps     []jsonCutoverStep `json:"steps"`
	Sequences int               `json:"sequences"`
	Verify    *jsonRowCheck     `json:"verify"` // null if nothing was compared
	Sessions  []string          `json:"sessions"`
	Warnings  []string          `json:"warnings"`
	Reverse   string            `json:"reverse,omitempty"`
}

type jsonCutoverStep struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Fenced  bool    `json:"fenced"`
	Guessed bool    `json:"guessed"`
}

type jsonRowCheck struct {
	Mode        string             `json:"mode"` // auto or full
	Tables      int                `json:"tables"`
	Compared    int                `json:"compared"`
	Rows        int64              `json:"rows"`
	Bytes       int64              `json:"bytes"`
	Seconds     float64            `json:"seconds"`
	Estimated   float64            `json:"estimated_seconds"`
	CountOnly   []string           `json:"count_only"`
	NotCompared []jsonNotCompared  `json:"not_compared"`
	Different   []jsonRowDifferent `json:"different"`
}

type jsonNotCompared struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Reason string `json:"reason"`
}

type jsonRowDifferent struct {
	Schema  string    `json:"schema"`
	Name    string    `json:"name"`
	Source  *jsonSide `json:"source"`
	Target  *jsonSide `json:"target"`
	Problem string    `json:"problem,omitempty"`
	Rows    *jsonRows `json:"rows,omitempty"`
}

func cutoverReport(r *replicate.CutoverReport, v *rowCheck) *jsonCutover {
	out := &jsonCutover{
		ID: r.ID, DryRun: r.DryRun, Done: r.Done, Downtime: r.Downtime.Seconds(), Sequences: r.Sequences, Reverse: r.Reverse,
		Steps: []jsonCutoverStep{}, Sessions: append([]string{}, r.Sessions...), Warnings: []string{},
	}
	if r.LSN != 0 {
		out.LSN = r.LSN.String()
	}
	for _, s := range r.Steps {
		out.Steps = append(out.Steps, jsonCutoverStep{s.Name, s.Time.Seconds(), s.Fenced, s.Guessed})
	}
	for _, w := range r.Warnings {
		out.Warnings = append(out.Warnings, ui.Redact(w))
	}
	d := v.done
	if d == nil {
		return out
	}
	out.Verify = &jsonRowCheck{
		Mode: v.mode, Tables: len(v.tables), Compared: len(d.compared), Rows: d.rows, Bytes: d.bytes, Seconds: d.time.Seconds(), Estimated: d.whole.Seconds(),
		CountOnly: d.countOnly(), NotCompared: []jsonNotCompared{}, Different: []jsonRowDifferent{},
	}
	for _, t := range d.notCompared {
		out.Verify.NotCompared = append(out.Verify.NotCompared, jsonNotCompared{t.schema, t.name, t.bytes, ui.Redact(t.why)})
	}
	for _, t := range d.different {
		out.Verify.Different = append(out.Verify.Different, jsonRowDifferent{t.Schema, t.Name, side(t.Source, t.CountOnly == ""), side(t.Target, t.CountOnly == ""), t.Problem, rowsReport(t.Rows)})
	}
	return out
}

// countOnly names the tables of which only the numbers of rows were compared.
func (d *rowsChecked) countOnly() []string {
	list := []string{}
	for _, t := range d.compared {
		if t.CountOnly != "" {
			list = append(list, name(t.Schema, t.Name))
		}
	}
	return list
}

// text says what was compared and what was not.
func (v *rowCheck) text(r *replicate.CutoverReport) string {
	d := v.done
	if d == nil {
		return ""
	}
	var b strings.Builder
	verb := "Compared"
	if v.rehearsal {
		verb = "Read for a comparison"
	}
	fmt.Fprintf(&b, "%s: %d of %s with %s.\n", verb, len(d.compared), ui.Plural(int64(len(v.tables)), "table"), ui.Plural(d.rows, "row"))
	if list := d.countOnly(); len(list) > 0 {
		fmt.Fprintf(&b, "Only counted were the rows of %s.\n", few(list))
	}
	if n := len(d.notCompared); n > 0 {
		names, bytes := make([]string, n), int64(0)
		for i := range d.notCompared {
			names[i] = d.notCompared[i].String()
			bytes += d.notCompared[i].bytes
		}
		fmt.Fprintf(&b, "Not compared: %s (%s).\n", few(names), ui.Bytes(bytes))
		why := map[string]bool{}
		for _, t := range d.notCompared {
			if !why[t.why] {
				why[t.why] = true
				fmt.Fprintf(&b, "  %s: %s\n", &t.sizedTable, ui.Redact(t.why))
			}
		}
		switch {
		case v.rehearsal:
			fmt.Fprintf(&b, "All would take about %s; --max-downtime leaves less.\n", ui.Duration(d.whole))
		case r.Done:
			b.WriteString("As long as nobody has written to them at the target, they can be compared with\n  pghaul verify --level digest" + v.selects() + "\n")
		}
	}
	for _, t := range d.different {
		b.WriteString(differentTable(&t))
	}
	return b.String()
}

// selects are the flags by which verify takes what was not compared.
func (v *rowCheck) selects() string {
	if len(v.done.notCompared) > 20 {
		return ""
	}
	var b strings.Builder
	for _, t := range v.done.notCompared {
		b.WriteString(" -t '" + strings.ReplaceAll(ui.Printable(t.String()), "'", `'\''`) + "'")
	}
	return b.String()
}

func differentTable(t *verify.Table) string {
	var b strings.Builder
	of := func(s *jsonSide) string {
		if s == nil {
			return "none"
		}
		return ui.Plural(s.Rows, "row")
	}
	fmt.Fprintf(&b, "DIFFERENT  %s: %s at the source, %s at the target", ui.Printable(name(t.Schema, t.Name)), of(side(t.Source, false)), of(side(t.Target, false)))
	if t.Problem != "" {
		b.WriteString("; " + ui.Redact(t.Problem))
	}
	b.WriteByte('\n')
	if t.Rows != nil {
		writeRows(&b, name(t.Schema, t.Name), t.Rows)
	} else {
		b.WriteString("  there was no time to look for the rows: pghaul verify shows them\n")
	}
	return b.String()
}
