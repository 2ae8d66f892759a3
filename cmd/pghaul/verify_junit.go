package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/pghaul/pghaul/verify"
)

// What follows is the form of JUnit's reports that CI systems read: a suite a
// level, a case an object.

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes a comparison for CI systems. Tables and sequences are cases
// each; of other levels, those objects are that differ, and one case stands for
// the rest. A difference that had to be is skipped.
func writeJUnit(w io.Writer, r *verify.Report) error {
	all := junitSuites{Name: "pghaul verify", Time: fmt.Sprintf("%.3f", r.Elapsed.Seconds())}
	for _, l := range r.Levels {
		s := junitSuite{Name: string(l.Level), Time: fmt.Sprintf("%.3f", l.Elapsed.Seconds()), Timestamp: r.Target.Taken.UTC().Format("2006-01-02T15:04:05")}
		switch l.Level {
		case verify.LevelCounts, verify.LevelDigest:
			for _, t := range r.Tables {
				s.add(name(t.Schema, t.Name), t.Equal, finding(t), tableText(t), t.Expected)
			}
		case verify.LevelSequences:
			for _, q := range r.Sequences {
				s.add(name(q.Schema, q.Name), q.Equal, positions(q), "", q.Expected)
			}
		default:
			for _, d := range r.Differences {
				if d.Level == l.Level {
					s.add(objectName(d), false, string(d.Status), strings.Join(lineDiff(d.Source, d.Target), "\n"), d.Expected)
				}
			}
			if same := l.Compared - l.Different - l.Expected; same > 0 || l.Compared == 0 {
				s.add(plural(same, nouns[l.Level])+" equal", true, "", "", "")
			}
		}
		all.Suites = append(all.Suites, s)
		all.Tests += s.Tests
		all.Failures += s.Failures
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// add adds the case of an object.
func (s *junitSuite) add(object string, equal bool, message, text, expected string) {
	c := junitCase{Class: "pghaul.verify." + s.Name, Name: object}
	s.Tests++
	switch {
	case equal:
	case expected != "":
		s.Skipped++
		c.Skipped = &junitMessage{Message: expected, Text: text}
	default:
		s.Failures++
		c.Failure = &junitMessage{Message: message, Text: text}
	}
	s.Cases = append(s.Cases, c)
}

// tableText says how a table differs, its rows included.
func tableText(t verify.Table) string {
	out := "source: " + rows(t.Source) + " rows, target: " + rows(t.Target) + " rows"
	if t.Problem != "" {
		out += "\n" + t.Problem
	}
	if t.Rows == nil {
		return out
	}
	out += "\n" + rowCounts(t.Rows)
	for _, r := range t.Rows.Rows {
		out += "\n" + rowLine(t.Rows, r)
	}
	return out
}

// positions says where a sequence stands at both ends.
func positions(s verify.Sequence) string {
	if s.Unread() {
		return s.Problem
	}
	return "source: " + value(s.Source) + ", target: " + value(s.Target)
}
