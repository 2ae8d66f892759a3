package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/restore"
)

// What follows is the schema of --report-json and of verify --format json.
// docs/json-output.md is its contract: fields are added, never changed. It is
// kept apart from the library's types, so that those may change.

func addReportFlag(f *pflag.FlagSet, g *globals) {
	f.StringVar(&g.reportJSON, "report-json", "", "write what was done as JSON to `FILE`")
	f.StringVar(&g.auditLog, "audit-log", "", "add each connection and statement, secrets masked, as a JSON line to `FILE`")
}

type jsonReport struct {
	SchemaVersion int       `json:"schema_version"`
	Tool          string    `json:"tool"`
	Command       string    `json:"command"`
	Started       time.Time `json:"started"`
	Finished      time.Time `json:"finished"`
	Status        string    `json:"status"` // complete, incomplete, failed, interrupted
	ExitStatus    int       `json:"exit_status"`
	Error         string    `json:"error,omitempty"`
	Result        any       `json:"result"` // nil when the run failed before there was one
}

type jsonPhase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

type jsonSkipped struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

type jsonDump struct {
	Archive  string        `json:"archive"`
	Snapshot string        `json:"snapshot"`
	LSN      string        `json:"lsn,omitempty"`
	Entries  int           `json:"entries"`
	Tables   int           `json:"tables"`
	Rows     int64         `json:"rows"`
	Bytes    int64         `json:"bytes"`
	Stored   int64         `json:"stored_bytes"`
	Skipped  []jsonSkipped `json:"skipped"`
	AsText   []dump.AsText `json:"as_text"`
	Warnings []string      `json:"warnings"`
	Retries  int           `json:"retries"`
	Seconds  float64       `json:"seconds"`
	Phases   []jsonPhase   `json:"phases"`
}

type jsonFailure struct {
	Entry    int    `json:"entry"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	SQL      string `json:"sql,omitempty"`
	Line     int    `json:"line,omitempty"`
	Error    string `json:"error"`
	SQLState string `json:"sqlstate,omitempty"`
	Message  string `json:"message,omitempty"`
	Detail   string `json:"detail,omitempty"`
	Hint     string `json:"hint,omitempty"`
}

type jsonRestore struct {
	Restored int           `json:"restored"`
	Rows     int64         `json:"rows"`
	Bytes    int64         `json:"bytes"`
	Failed   []jsonFailure `json:"failed"`
	Skipped  []jsonSkipped `json:"skipped"`
	Warnings []string      `json:"warnings"`
	Seconds  float64       `json:"seconds"`
	Phases   []jsonPhase   `json:"phases"`
}

// A reportFile is where --report-json goes, and holds the file of --audit-log.
type reportFile struct {
	path    string
	file    *os.File // nil: no report is wanted
	command string
	started time.Time
	audit   *pg.Audit
	log     *os.File
}

// openReport makes the files before the run, so that a mistyped path does not
// come to light hours later, and begins the audit before the first connection.
func (g *globals) openReport(command string) (*reportFile, error) {
	noticeClosedPipe() // of stderr, say: it is no reason to leave rows half moved
	f := &reportFile{path: g.reportJSON, command: command, started: time.Now()}
	var err error
	if f.path != "" {
		if f.file, err = os.Create(f.path); err != nil {
			return nil, usagef("--report-json: %v", err)
		}
	}
	if g.auditLog == "" {
		return f, nil
	}
	// What is in the file stays: runs that belong together share one.
	if f.log, err = os.OpenFile(g.auditLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, usagef("--audit-log: %v", err)
	}
	f.audit = pg.NewAudit(f.log)
	g.terminal.audit = f.audit
	if err := f.audit.Note(fmt.Sprintf("%s begins: pghaul %s", toolName(), command)); err != nil {
		return nil, err
	}
	return f, nil
}

// close writes the report of a run that ended with err, and returns err, or
// what went wrong with the files.
func (f *reportFile) close(ctx context.Context, result any, err error) error {
	err = f.closeAudit(ctx, err)
	if f.file == nil {
		return err
	}
	code := exitCode(ctx, err)
	r := jsonReport{
		SchemaVersion: 1, Tool: toolName(), Command: f.command, Started: f.started, Finished: time.Now(),
		Status: status(code), ExitStatus: code, Result: result,
	}
	if err != nil && !errors.Is(err, errIncomplete) {
		r.Error = ui.Redact(explain(ctx, err).Text)
	}
	text, jsonErr := json.MarshalIndent(r, "", "  ")
	if jsonErr == nil {
		_, jsonErr = f.file.Write(append(text, '\n'))
	}
	if closeErr := f.file.Close(); jsonErr == nil {
		jsonErr = closeErr
	}
	if jsonErr != nil {
		jsonErr = fmt.Errorf("write report %s: %w", f.path, jsonErr)
		return errors.Join(err, jsonErr)
	}
	return err
}

// closeAudit ends the audit of a run that ended with err.
func (f *reportFile) closeAudit(ctx context.Context, err error) error {
	if f.audit == nil {
		return err
	}
	auditErr := f.audit.Close()
	if auditErr == nil {
		auditErr = f.audit.Note(fmt.Sprintf("ends: pghaul %s, exit status %d", f.command, exitCode(ctx, err)))
	}
	if closeErr := f.log.Close(); auditErr == nil {
		auditErr = closeErr
	}
	if auditErr != nil && !errors.Is(err, auditErr) {
		return errors.Join(err, auditErr)
	}
	return err
}

func dumpReport(r *dump.Report) any {
	if r == nil {
		return nil
	}
	return jsonDump{
		Archive: r.Dir, Snapshot: r.Snapshot, LSN: r.LSN, Entries: r.Entries, Tables: r.Tables,
		Rows: r.Rows, Bytes: r.Bytes, Stored: r.Stored, Seconds: r.Elapsed.Seconds(),
		Skipped:  each(r.Skipped, func(s archive.Skipped) jsonSkipped { return jsonSkipped{s.Kind, s.Name, s.Reason} }),
		AsText:   append([]dump.AsText{}, r.AsText...),
		Warnings: append([]string{}, r.Warnings...), Retries: r.Retries,
		Phases: each(r.Phases, dumpPhase),
	}
}

// each makes a list for JSON out of another: one without anything is [] there.
func each[T, J any](list []T, of func(T) J) []J {
	out := make([]J, len(list))
	for i, item := range list {
		out[i] = of(item)
	}
	return out
}

func dumpPhase(p dump.Phase) jsonPhase { return jsonPhase{p.Name, p.Elapsed.Seconds()} }

func restorePhase(p restore.Phase) jsonPhase { return jsonPhase{p.Name, p.Elapsed.Seconds()} }

func restoreReport(r *restore.Report) any {
	if r == nil {
		return nil
	}
	return jsonRestore{
		Restored: r.Restored, Rows: r.Rows, Bytes: r.Bytes, Seconds: r.Elapsed.Seconds(),
		Failed:   each(r.Failed, failureReport),
		Skipped:  each(r.Skipped, func(s restore.Skipped) jsonSkipped { return jsonSkipped{s.Kind, s.Name, s.Reason} }),
		Warnings: append([]string{}, r.Warnings...),
		Phases:   each(r.Phases, restorePhase),
	}
}

func failureReport(e *restore.StepError) jsonFailure {
	f := jsonFailure{
		Entry: e.ID, Kind: e.Kind, Name: e.Name, SQL: ui.Redact(e.SQL), Line: e.Line,
		Error: ui.Redact(e.Err.Error()),
	}
	if pe, ok := errors.AsType[*pgconn.PgError](e.Err); ok {
		f.SQLState, f.Message, f.Detail, f.Hint = pe.Code, pe.Message, pe.Detail, pe.Hint
	}
	return f
}

// writeJSON writes a result as JSON for --format json.
func writeJSON(w io.Writer, result any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(result)
}

// phaseTimes tells where the time went: " (catalog 0.1 s, data 0.2 s)".
func phaseTimes(phases []jsonPhase) string {
	if len(phases) == 0 {
		return ""
	}
	parts := make([]string, len(phases))
	for i, p := range phases {
		parts[i] = p.Name + " " + ui.Duration(time.Duration(p.Seconds*float64(time.Second)))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// summaries reports whether a line at the end tells what was done.
func (g *globals) summaries() bool {
	return g.logFormat == "text" && g.progress != string(ui.None) && g.progress != string(ui.JSON)
}
