package main

import (
	_ "embed" // the page's template
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/verify"
)

//go:embed verify_report.html
var verifyPage string

// maxProblems is how many differences a page lists, and maxOpen how many of them
// are unfolded.
const (
	maxProblems = 500
	maxOpen     = 5
)

// A page is what the template of the report shows.
type page struct {
	Tool, Verdict, Written string
	Equal                  bool
	Headline               string
	R                      *verify.Report
	Ends                   []pageEnd
	Levels                 []pageLevel
	Problems               []pageProblem
	More                   int
	Expected               []pageReason
	Tables, Sequences      []pageRow
	Method                 []string // by which rows were compared
}

type pageEnd struct{ Name, Database, Major, When, LSN string }

type pageLevel struct {
	Level                         verify.Level
	Compared, Different, Expected int
	Percent                       int // of the time of the longest level
	Time                          string
}

type pageProblem struct {
	Level  verify.Level
	Name   string
	Status string
	Text   string
	Lines  []pageLine
	Open   bool
}

type pageLine struct{ Side, Text string }

type pageReason struct {
	Reason string
	Names  []string
}

type pageRow struct{ Name, Source, Target, Result, Class, Note string }

// writeHTML writes a comparison as one page that needs nothing else.
func writeHTML(w io.Writer, r *verify.Report) error {
	return writeTemplate(w, verifyPage, newPage(r))
}

func newPage(r *verify.Report) *page {
	p := &page{Tool: toolName(), Verdict: verdict(r), Written: time.Now().UTC().Format("2006-01-02 15:04:05 UTC"), Equal: r.Equal(), R: r, Method: method(r)}
	p.Headline = "The two databases differ"
	tables, sequences := unread(r)
	different := -tables - sequences
	for _, l := range r.Levels {
		different += l.Different
	}
	switch {
	case p.Equal:
		p.Headline = "The two databases are equal"
	case different == 0:
		p.Headline = "The two databases could not be compared completely"
	}
	for _, e := range []struct {
		name string
		verify.End
	}{{"source", r.Source}, {"target", r.Target}} {
		when := "as of "
		if e.Recorded {
			when = "as recorded at "
		}
		p.Ends = append(p.Ends, pageEnd{e.name, e.Database, fmt.Sprint(e.Version / 10000), when + e.Taken.UTC().Format("2006-01-02 15:04:05 UTC"), e.LSN})
	}
	p.levels(r)
	for _, t := range r.Tables {
		p.table(t)
	}
	for _, s := range r.Sequences {
		p.sequence(s)
	}
	for _, d := range r.Differences {
		if d.Expected != "" {
			p.expect(d.Expected, objectName(d))
			continue
		}
		problem := pageProblem{Level: d.Level, Name: objectName(d), Status: string(d.Status)}
		for _, line := range lineDiff(d.Source, d.Target) {
			problem.Lines = append(problem.Lines, pageLine{line[:1], line})
		}
		p.problem(problem)
	}
	return p
}

func (p *page) levels(r *verify.Report) {
	longest := 1e-9
	for _, l := range r.Levels {
		longest = math.Max(longest, l.Elapsed.Seconds())
	}
	for _, l := range r.Levels {
		p.Levels = append(p.Levels, pageLevel{
			Level: l.Level, Compared: l.Compared, Different: l.Different, Expected: l.Expected,
			Percent: int(100 * l.Elapsed.Seconds() / longest), Time: ui.Duration(l.Elapsed),
		})
	}
}

// problem adds something that differs.
func (p *page) problem(x pageProblem) {
	if len(p.Problems) == maxProblems {
		p.More++
		return
	}
	x.Open = len(p.Problems) < maxOpen
	p.Problems = append(p.Problems, x)
}

// expect adds something that had to differ.
func (p *page) expect(reason, object string) {
	for i := range p.Expected {
		if p.Expected[i].Reason == reason {
			p.Expected[i].Names = append(p.Expected[i].Names, object)
			return
		}
	}
	p.Expected = append(p.Expected, pageReason{reason, []string{object}})
}

func (p *page) table(t verify.Table) {
	row := pageRow{Name: name(t.Schema, t.Name), Source: rows(t.Source), Target: rows(t.Target), Result: "equal", Class: "good"}
	switch {
	case t.Equal && t.CountOnly != "":
		row.Result, row.Note = "equal in number", t.CountOnly
	case t.Equal:
	case t.Expected != "":
		row.Result, row.Class, row.Note = "expected", "warn", t.Expected
		p.expect(t.Expected, "TABLE "+row.Name)
	default:
		row.Result, row.Class, row.Note = "different", "bad", t.Problem
		if t.Source == nil && t.Problem == "" {
			row.Result = string(verify.MissingInSource)
		} else if t.Target == nil && t.Problem == "" {
			row.Result = string(verify.MissingInTarget)
		} else if t.Unread() {
			row.Result = "not compared"
		}
		problem := pageProblem{Level: verify.LevelDigest, Name: "TABLE " + row.Name, Status: row.Result, Text: t.Problem}
		if t.Rows != nil {
			problem.Text = strings.TrimPrefix(t.Problem+"; rows: "+rowCounts(t.Rows), "; ")
			for _, r := range t.Rows.Rows {
				problem.Lines = append(problem.Lines, pageLine{map[verify.Status]string{verify.MissingInTarget: "-", verify.MissingInSource: "+"}[r.Status], rowLine(t.Rows, r)})
			}
		} else if t.Problem == "" {
			problem.Text = "source: " + row.Source + " rows, target: " + row.Target + " rows"
		}
		p.problem(problem)
	}
	p.Tables = append(p.Tables, row)
}

func (p *page) sequence(s verify.Sequence) {
	row := pageRow{Name: name(s.Schema, s.Name), Source: value(s.Source), Target: value(s.Target), Result: "equal", Class: "good"}
	switch {
	case s.Equal:
	case s.Expected != "":
		row.Result, row.Class, row.Note = "expected", "warn", s.Expected
		p.expect(s.Expected, "SEQUENCE "+row.Name)
	default:
		row.Result, row.Class, row.Note = "different", "bad", s.Problem
		if s.Unread() {
			row.Result = "not compared"
		}
		p.problem(pageProblem{Level: verify.LevelSequences, Name: "SEQUENCE " + row.Name, Status: row.Result, Text: positions(s)})
	}
	p.Sequences = append(p.Sequences, row)
}
