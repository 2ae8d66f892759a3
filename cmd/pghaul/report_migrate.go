package main

import (
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/platform"
)

// What follows is the schema of migrate's and rollback's --report-json, kept
// apart from the library's types like that of the other commands.

type jsonMigrate struct {
	Run        string         `json:"run"`
	Resumed    bool           `json:"resumed"`
	Follow     string         `json:"follow,omitempty"`
	Complete   bool           `json:"complete"`
	Source     jsonDatabase   `json:"source"`
	Target     jsonDatabase   `json:"target"`
	Phases     []jsonStage    `json:"phases"`
	Roles      []migrate.Role `json:"roles"`
	Mapped     []jsonSkipped  `json:"mapped"`
	Skipped    []jsonSkipped  `json:"skipped"`
	Tables     int            `json:"tables"`
	Rows       int64          `json:"rows"`
	Bytes      int64          `json:"bytes"`
	Objects    int            `json:"objects"`
	Earlier    int            `json:"earlier"`
	Reloaded   []string       `json:"reloaded"`
	LeftOut    []jsonSkipped  `json:"left_out"` // rows
	AsText     []dump.AsText  `json:"as_text"`  // tables
	Failed     []jsonFailure  `json:"failed"`
	Warnings   []string       `json:"warnings"`
	Retries    int            `json:"retries"`
	Changes    jsonChanges    `json:"changes"`
	Verify     any            `json:"verify"` // as of verify; null if nothing was compared
	Rollback   any            `json:"rollback"`
	CronScript string         `json:"cron_script,omitempty"`
	Seconds    float64        `json:"seconds"`
}

type jsonDatabase struct {
	Platform platform.Name `json:"platform"`
	Version  int           `json:"version_num"`
	Host     string        `json:"host"`
	Database string        `json:"database"`
	User     string        `json:"user"`
}

type jsonStage struct {
	Name    migrate.Phase `json:"name"`
	State   migrate.State `json:"state"`
	Steps   int           `json:"steps"`
	Seconds float64       `json:"seconds"`
}

type jsonChanges struct {
	Snapshot jsonMoment `json:"snapshot"`
	End      jsonMoment `json:"end"`
	// Rows is null where it cannot be known.
	Rows *int64 `json:"rows"`
}

type jsonMoment struct {
	LSN  string     `json:"lsn,omitempty"`
	Time *time.Time `json:"time"` // null: not reached
}

type jsonRollback struct {
	Run     string          `json:"run"`
	Phases  []migrate.Phase `json:"phases"`
	Undone  int             `json:"undone"`
	Dropped int             `json:"dropped"`
	Remains []jsonRemain    `json:"remains"`
	Seconds float64         `json:"seconds"`
}

type jsonRemain struct {
	Name   string `json:"name"`
	SQL    string `json:"sql"`
	Reason string `json:"reason"`
}

func migrateReport(r *migrate.Report) any {
	if r == nil {
		return nil
	}
	out := jsonMigrate{
		Run: r.Run, Resumed: r.Resumed, Follow: r.Follow, Complete: r.Complete, Source: jsonDatabase(r.Source), Target: jsonDatabase(r.Target),
		Phases: each(r.Phases, stage), Roles: append([]migrate.Role{}, r.Roles...),
		Mapped:  each(r.Mapped, decision),
		Skipped: each(r.Skipped, decision),
		Tables:  r.Tables, Rows: r.Rows, Bytes: r.Bytes, Objects: r.Objects, Earlier: r.Earlier,
		LeftOut:  each(r.LeftOut, func(s archive.Skipped) jsonSkipped { return jsonSkipped(s) }),
		AsText:   append([]dump.AsText{}, r.AsText...),
		Reloaded: append([]string{}, r.Reloaded...), Failed: each(r.Failed, failureReport),
		Warnings: append([]string{}, r.Warnings...), Retries: r.Retries,
		Changes:    jsonChanges{Snapshot: momentReport(r.Changes.Snapshot), End: momentReport(r.Changes.End)},
		Verify:     verifyReport(r.Verify, true),
		Rollback:   rollbackReport(r.Rollback),
		CronScript: r.CronScript, Seconds: r.Elapsed.Seconds(),
	}
	if r.Changes.Known {
		out.Changes.Rows = &r.Changes.Rows
	}
	return out
}

func stage(p migrate.PhaseReport) jsonStage {
	return jsonStage{p.Phase, p.State, p.Steps, p.Elapsed.Seconds()}
}

func remainReport(r migrate.Remain) jsonRemain { return jsonRemain(r) }

func decision(d migrate.Decision) jsonSkipped { return jsonSkipped{d.Kind, d.Name, d.Reason} }

func momentReport(m migrate.Moment) jsonMoment {
	if m.Time.IsZero() {
		return jsonMoment{LSN: m.LSN}
	}
	return jsonMoment{m.LSN, &m.Time}
}

func rollbackReport(r *migrate.RollbackReport) any {
	if r == nil {
		return nil
	}
	return jsonRollback{
		Run: r.Run, Phases: append([]migrate.Phase{}, r.Phases...), Undone: r.Undone, Dropped: r.Dropped, Seconds: r.Elapsed.Seconds(),
		Remains: each(r.Remains, remainReport),
	}
}
