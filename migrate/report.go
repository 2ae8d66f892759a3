package migrate

import (
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/platform"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// A Report says what a migration did. It marshals to a stable JSON.
type Report struct {
	// Run names the run in the journal and in the application_name of its sessions.
	Run     string `json:"run"`
	Resumed bool   `json:"resumed"` // went on with an earlier run
	// Follow names the follow that keeps the source's changes; "" for none.
	Follow string `json:"follow,omitempty"`
	Source End    `json:"source"`
	Target End    `json:"target"`
	// Phases are those that were asked for.
	Phases []PhaseReport `json:"phases"`
	// Complete says that the whole migration is done: all phases, with nothing
	// failed or left out, and equal rows if they were compared.
	Complete bool   `json:"complete"`
	Roles    []Role `json:"roles"` // that the plan has, in its order
	// Mapped and Skipped are the plan's verdicts that changed something.
	Mapped  []Decision `json:"mapped"`
	Skipped []Decision `json:"skipped"`
	// Tables counts the tables whose rows were moved in this run, Rows and Bytes
	// what was moved, and Objects the steps that made something.
	Tables  int   `json:"tables"`
	Rows    int64 `json:"rows"`
	Bytes   int64 `json:"bytes"`
	Objects int   `json:"objects"`
	// Earlier counts the steps that an earlier run had done.
	Earlier int `json:"earlier"`
	// Reloaded are tables that were loaded again, because their rows at the source
	// are not those that the run before had moved.
	Reloaded []string `json:"reloaded"`
	// LeftOut are rows that COPY can send in no format.
	LeftOut []archive.Skipped `json:"left_out,omitempty"`
	// AsText are the tables that went as text though the binary format was asked
	// for.
	AsText   []dump.AsText        `json:"as_text,omitempty"`
	Failed   []*restore.StepError `json:"failed"`
	Warnings []string             `json:"warnings"`
	Retries  int                  `json:"retries"` // loads and definitions that were done again
	// Changes says whether rows of the source were written between the snapshot
	// and the end.
	Changes Changes `json:"changes"`
	// Verify is nil if nothing was compared.
	Verify *verify.Report `json:"verify,omitempty"`
	// Rollback is what was taken back after a failure; nil if nothing was.
	Rollback *RollbackReport `json:"rollback,omitempty"`
	// CronScript schedules the jobs of pg_cron again, for the operator to run.
	CronScript string        `json:"cron_script,omitempty"`
	Elapsed    time.Duration `json:"elapsed_ns"`
}

func newReport() *Report {
	return &Report{
		Phases: []PhaseReport{}, Roles: []Role{}, Mapped: []Decision{}, Skipped: []Decision{}, Reloaded: []string{},
		Failed: []*restore.StepError{}, Warnings: []string{},
	}
}

// decide enters what the plan has decided.
func (r *Report) decide(p *platform.Plan) {
	add := func(v platform.Verdict, kind, name, reason string) {
		d := Decision{Kind: kind, Name: name, Reason: reason}
		switch v {
		case platform.Skip:
			r.Skipped = append(r.Skipped, d)
		case platform.Map, platform.Rewrite:
			r.Mapped = append(r.Mapped, d)
		case platform.Keep, platform.Warn, platform.Block:
		}
	}
	for i := range p.Roles {
		x := &p.Roles[i]
		add(x.Verdict, "ROLE", x.From, x.Reason)
		for _, w := range x.Warnings {
			r.Warnings = append(r.Warnings, "role "+x.From+": "+w)
		}
	}
	for i := range p.Memberships {
		x := &p.Memberships[i]
		add(x.Verdict, "MEMBERSHIP", x.Membership.Member+" in "+x.Membership.Role, x.Reason)
	}
	for i := range p.Settings {
		x := &p.Settings[i]
		name := x.Setting.Name
		if x.Setting.Role != "" {
			name += " of role " + x.Setting.Role
		}
		if x.Setting.Database != "" {
			name += " of database " + x.Setting.Database
		}
		add(x.Verdict, "SETTING", name, x.Reason)
	}
	for i := range p.Items {
		x := &p.Items[i]
		name := x.Name
		if x.Schema != "" {
			name = x.Schema + "." + name
		}
		add(x.Verdict, x.Kind, name, x.Reason)
		for _, w := range x.Warnings {
			r.Warnings = append(r.Warnings, x.Kind+" "+name+": "+w)
		}
	}
	for _, n := range p.Notes {
		if n.Verdict == platform.Warn {
			r.Warnings = append(r.Warnings, n.Text)
		}
	}
	r.CronScript = p.CronScript
}

func endOf(f *platform.Facts) End {
	return End{Platform: f.Platform, Version: f.Version, Host: f.Host, Database: f.Database, User: f.User.Name}
}

// An End is one of the two databases.
type End struct {
	Platform platform.Name `json:"platform"`
	Version  int           `json:"version_num"`
	Host     string        `json:"host"`
	Database string        `json:"database"`
	User     string        `json:"user"`
}

// A PhaseReport says what became of a phase.
type PhaseReport struct {
	Phase   Phase         `json:"phase"`
	State   State         `json:"state"`
	Steps   int           `json:"steps"` // done by this run
	Elapsed time.Duration `json:"elapsed_ns"`
}

// A State is how far a phase is.
type State string

// The states of a phase.
const (
	Done       State = "done"
	Earlier    State = "done earlier" // by a run before this one
	Partial    State = "partial"      // some of it is there
	RolledBack State = "rolled back"
	NotRun     State = "not run"
)

// A Role is what became of a role.
type Role struct {
	Name    string `json:"name"` // at the target
	From    string `json:"from"` // at the source
	Created bool   `json:"created"`
	// Password says where the password of a role that was created came from:
	// "generated", "given", or "" for none.
	Password string `json:"password,omitempty"`
	Note     string `json:"note,omitempty"`
}

// A Decision is a verdict of the plan.
type Decision struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Changes tells whether the source was written to meanwhile. What is written
// after the snapshot is not in the target.
type Changes struct {
	Snapshot Moment `json:"snapshot"`
	End      Moment `json:"end"`
	// Known says that the counters could be read; Rows is how many rows were
	// inserted, updated and deleted in the database between the two moments. The
	// counters lag behind by up to a minute on some versions.
	Known bool  `json:"known"`
	Rows  int64 `json:"rows"`
}

// A Moment is a point in the source's history.
type Moment struct {
	LSN  string    `json:"lsn,omitempty"`
	Time time.Time `json:"time"`
}

// A RollbackReport says what was taken back.
type RollbackReport struct {
	Run    string  `json:"run"`
	Phases []Phase `json:"phases"` // that were taken back, the last first
	Undone int     `json:"undone"` // steps
	// Dropped counts the objects that the run had dropped, as it was told to, and
	// that no rollback brings back.
	Dropped int `json:"dropped"`
	// Remains are things that could not be taken back, with the reason. The journal
	// stays as long as there are any.
	Remains []Remain      `json:"remains"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// A Remain is something that a rollback has left behind.
type Remain struct {
	Name   string `json:"name"`
	SQL    string `json:"sql"` // the statement that was refused
	Reason string `json:"reason"`
}
