package main

import (
	"cmp"
	_ "embed" // the page's template
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/migrate"
	"github.com/pghaul/pghaul/restore"
)

//go:embed migrate_report.html
var migratePage string

// maxBars is how many tables the chart of a page shows.
const maxBars = 60

// A migrationPage is what the template of a migration's report shows.
type migrationPage struct {
	Tool, Written, Title, Verdict string
	Good                          bool
	R                             *migrate.Report
	Ends                          []pageEnd
	Cards                         []pageCard
	Failed                        []pageFailure
	Notes                         []string
	Phases, Stages, Bars          []bar
	MoreBars                      int
	Roles                         []pageRole
	Skipped, Mapped               []pageReason
	Remains                       []migrate.Remain
	Comparison                    *page // nil if nothing was compared
}

type pageCard struct{ Name, Value, Note string }

type pageFailure struct{ Name, SQL, Reason string }

type pageRole struct{ From, To, Class, What, Note string }

// writeMigration writes what a migration did as one page that needs nothing else.
// err is what ended it, nil if it came to its end.
func writeMigration(w io.Writer, r *migrate.Report, t *timeline, err error) error {
	return writeTemplate(w, migratePage, newMigrationPage(r, t, err))
}

func newMigrationPage(r *migrate.Report, t *timeline, err error) *migrationPage {
	p := &migrationPage{Tool: toolName(), Written: time.Now().UTC().Format("2006-01-02 15:04:05 UTC"), R: r, Good: r.Complete}
	p.Title = "The database was migrated"
	switch {
	case r.Complete:
	case r.Verify != nil && !r.Verify.Equal():
		p.Title = "The database was migrated, but the two ends differ"
	default:
		p.Title = "The migration is not complete"
	}
	p.Verdict = fmt.Sprintf("%s with %s, %s, and %s in %s", ui.Plural(int64(r.Tables), "table"), ui.Plural(r.Rows, "row"), ui.Bytes(r.Bytes),
		ui.Plural(int64(r.Objects), "object"), ui.Duration(r.Elapsed))
	if err != nil && len(r.Failed) == 0 && !incomplete(r) {
		p.Verdict = err.Error()
	}
	for _, e := range []struct {
		name string
		migrate.End
		migrate.Moment
	}{{"source", r.Source, r.Changes.Snapshot}, {"target", r.Target, migrate.Moment{}}} {
		end := pageEnd{Name: e.name + " (" + string(e.Platform) + ")", Database: e.Database, Major: fmt.Sprint(e.Version / 10000), When: e.User + " at " + e.Host, LSN: e.LSN}
		if !e.Time.IsZero() {
			end.When += ", as of " + e.Time.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		p.Ends = append(p.Ends, end)
	}
	p.cards()
	p.notes()
	p.chart(t)
	for _, f := range r.Failed {
		p.Failed = append(p.Failed, failed(f))
	}
	for _, role := range r.Roles {
		p.role(role)
	}
	p.Skipped, p.Mapped = byReason(r.Skipped), byReason(r.Mapped)
	if r.Rollback != nil {
		p.Remains = r.Rollback.Remains
	}
	if r.Verify != nil {
		p.Comparison = newPage(r.Verify)
	}
	return p
}

func (p *migrationPage) cards() {
	r := p.R
	add := func(name, value, note string) { p.Cards = append(p.Cards, pageCard{name, value, note}) }
	add("tables", ui.Count(int64(r.Tables)), ui.Plural(r.Rows, "row"))
	add("data", ui.Bytes(r.Bytes), "of rows and large objects")
	add("objects made", ui.Count(int64(r.Objects)), "definitions, privileges and more")
	created := 0
	for _, role := range r.Roles {
		if role.Created {
			created++
		}
	}
	add("roles", ui.Count(int64(len(r.Roles))), fmt.Sprintf("%d created", created))
	add("left behind", ui.Count(int64(len(r.Skipped))), fmt.Sprintf("%d changed on the way", len(r.Mapped)))
	add("time", ui.Duration(r.Elapsed), "")
}

// notes are what else is to be said.
func (p *migrationPage) notes() {
	r := p.R
	if r.Resumed {
		p.Notes = append(p.Notes, fmt.Sprintf("It went on with run %s, of which %s were done before.", r.Run, ui.Plural(int64(r.Earlier), "step")))
	}
	if len(r.Reloaded) > 0 {
		p.Notes = append(p.Notes, "Loaded again, because their rows changed meanwhile: "+few(r.Reloaded)+".")
	}
	if r.Retries > 0 {
		p.Notes = append(p.Notes, ui.Plural(int64(r.Retries), "load or definition")+" done again after a lost connection.")
	}
	switch c := r.Changes; {
	case c.Known && c.Rows > 0:
		p.Notes = append(p.Notes, ui.Plural(c.Rows, "row")+" of the source changed after the snapshot and are not in the target.")
	case c.Known && !c.End.Time.IsZero():
		p.Notes = append(p.Notes, "No rows of the source changed between the snapshot and the end.")
	}
	p.Notes = append(p.Notes, r.Warnings...)
}

// chart draws phases, and tables below each other, along the time of the run.
func (p *migrationPage) chart(t *timeline) {
	longest := time.Millisecond
	for _, x := range p.R.Phases {
		longest = max(longest, x.Elapsed)
	}
	for _, x := range p.R.Phases {
		p.Phases = append(p.Phases, bar{
			Name: string(x.Phase), Note: string(x.State) + ", " + ui.Plural(int64(x.Steps), "step"), Time: shortTime(x.Elapsed),
			Width: max(int(100*x.Elapsed/longest), 1), Failed: x.State == migrate.RolledBack || x.State == migrate.Partial,
		})
	}
	p.Stages = t.phases()
	items, more := t.of("data", maxBars)
	p.MoreBars = more
	for _, s := range items {
		p.Bars = append(p.Bars, t.at(s.item, ui.Plural(s.rows, "row")+", "+ui.Bytes(s.bytes), s.from, s.to, s.failed))
	}
}

// shortTime is a time for a chart.
func shortTime(d time.Duration) string {
	if d < 10*time.Millisecond {
		return "< 10 ms"
	}
	return ui.Duration(d)
}

func failed(e *restore.StepError) pageFailure {
	return pageFailure{Name: strings.TrimSpace(e.Kind + " " + e.Name), SQL: e.SQL, Reason: e.Err.Error()}
}

func (p *migrationPage) role(r migrate.Role) {
	row := pageRole{From: r.From, To: r.Name, Class: "good", What: "there before", Note: r.Note}
	switch {
	case r.Name == "":
		row.To, row.Class, row.What = "-", "warn", "left behind"
	case r.Created:
		row.What = "created"
		if r.Password != "" {
			row.Note = strings.TrimPrefix(row.Note+"; password: "+r.Password, "; ")
		}
	case r.From != r.Name:
		row.What = "mapped"
	}
	p.Roles = append(p.Roles, row)
}

// byReason gathers decisions.
func byReason(list []migrate.Decision) []pageReason {
	var out []pageReason
	at := map[string]int{}
	for _, d := range list {
		reason := cmp.Or(d.Reason, "the plan says so")
		i, known := at[reason]
		if !known {
			i = len(out)
			at[reason] = i
			out = append(out, pageReason{Reason: reason})
		}
		out[i].Names = append(out[i].Names, d.Kind+" "+d.Name)
	}
	return out
}
