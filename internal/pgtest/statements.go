//go:build unix

package pgtest

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A Statement is one that a server has logged.
type Statement struct {
	PID            int
	User, Database string
	Text           string
}

// LogStatements makes a private server log each statement from now on, for
// Statements.
func (s *Server) LogStatements(tb testing.TB) {
	tb.Helper()
	s.Exec(tb, "postgres", "ALTER SYSTEM SET log_statement = 'all'")
	s.Exec(tb, "postgres", "SELECT pg_catalog.pg_reload_conf()")
}

var logged = regexp.MustCompile(`^\d{4}-\d\d-\d\d \S+ \S+ \[(\d+)\] (\S+)@(\S+) LOG:  (?:statement|execute [^:]*): `)

// Statements are those in the log of a private server after LogStatements. Each
// simple query is one, whatever it holds, and each execution of a prepared one.
func (s *Server) Statements(tb testing.TB) []Statement {
	tb.Helper()
	text, err := os.ReadFile(s.Log)
	if err != nil {
		tb.Fatal(err)
	}
	var out []Statement
	inside := false
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, more := strings.CutPrefix(line, "\t"); more { // the server indents what follows a line
			if inside {
				out[len(out)-1].Text += "\n" + rest
			}
			continue
		}
		m := logged.FindStringSubmatch(line)
		if inside = m != nil; !inside {
			continue
		}
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, Statement{PID: pid, User: m[2], Database: m[3], Text: line[len(m[0]):]})
	}
	return out
}
