package restore

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// identify gives each step its Key and its Undo.
func (p *planner) identify() {
	steps := p.plan.Steps
	count := make(map[string]int)
	for i := range steps {
		s := &steps[i]
		s.Key, s.Undo = key(s), p.undo(s)
		count[s.Key]++
	}
	// What kind and name do not tell apart, such as operators, casts and default
	// privileges, its text does; and where even that is equal, its place.
	seen := make(map[string]int)
	for i := range steps {
		s := &steps[i]
		if count[s.Key] > 1 {
			h := fnv.New64a()
			for _, text := range []string{s.Entry.Owner, s.Entry.Drop, s.SQL} {
				_, _ = h.Write([]byte(text + "\x00"))
			}
			s.Key += fmt.Sprintf(" %016x", h.Sum64())
		}
		if seen[s.Key]++; seen[s.Key] > 1 {
			s.Key += fmt.Sprintf(" %d", seen[s.Key])
		}
	}
}

// key names a step by what it is about.
func key(s *Step) string {
	e := s.Entry
	k := e.Kind + " " + quote.Qualified(e.Namespace, e.Tag)
	switch {
	case s.Stage == StageDrop:
		k = "DROP " + k
	case s.parts > 1:
		k += fmt.Sprintf(partFormat, s.Part.Number+1, s.parts)
	case s.piece != "":
		k += " " + s.piece
	}
	return k
}

const partFormat = " part %d of %d"

// partKey matches the key of one part of a table's rows. A name that looked like
// it would be quoted.
var partKey = regexp.MustCompile(`^(.*) part \d+ of (\d+)$`)

// Loaded is what a journal has of the rows of a table.
type Loaded struct {
	// Parts is how many parts the run which loaded them had cut the table into.
	Parts int
	// Keys are those of the parts that are there.
	Keys []string
}

// Whole says whether all rows are there.
func (l Loaded) Whole() bool { return len(l.Keys) == l.Parts }

// Loaded returns what an earlier run has loaded, by kind and name of the entry:
// "TABLE DATA app.customer".
func (j *TargetJournal) Loaded() map[string]Loaded {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make(map[string]Loaded)
	for key := range j.steps {
		if !strings.HasPrefix(key, "TABLE DATA ") {
			continue
		}
		of, parts := key, 1
		if m := partKey.FindStringSubmatch(key); m != nil {
			of = m[1]
			parts, _ = strconv.Atoi(m[2]) // only digits match
		}
		l := all[of]
		all[of] = Loaded{parts, append(l.Keys, key)}
	}
	return all
}

// undo returns the statements that take back what a step has made.
func (p *planner) undo(s *Step) string {
	e := s.Entry
	if s.Stage == StageDrop || s.Stage == StageCreate || satellite(e) || isACL(e) || e.HasData || e.Kind == "SEQUENCE SET" {
		return ""
	}
	switch s.piece {
	case pieceIndex:
		return "DROP INDEX IF EXISTS " + s.index + ";"
	case pieceValidate, pieceAnalyze:
		return ""
	}
	var undo []string
	for _, drop := range p.dropStatements(e, true) {
		undo = append(undo, drop.sql)
	}
	return strings.Join(undo, "\n")
}

// A dropStatement drops an object, or, where guarded is false though IF EXISTS
// was wanted, drops it only if it is there.
type dropStatement struct {
	sql     string
	guarded bool
}

// dropStatements returns the statements that drop an entry's object, one of each
// large object it stands for.
func (p *planner) dropStatements(e *archive.Entry, withIfExists bool) []dropStatement {
	switch e.Kind {
	case "BLOB METADATA":
		oids := strings.Fields(e.Create)
		drops := make([]dropStatement, len(oids))
		for i, oid := range oids {
			drops[i] = dropStatement{unlink(oid, withIfExists), true}
		}
		return drops
	case "BLOB":
		if withIfExists {
			return []dropStatement{{unlink(e.Tag, true), true}}
		}
	}
	drop := strings.TrimSpace(e.Drop)
	if drop == "" || strings.HasPrefix(drop, "--") {
		return nil // a comment in place of a statement: the object is never dropped
	}
	if !withIfExists {
		return []dropStatement{{drop, true}}
	}
	sql, ok := ifExists(e.Kind, drop)
	return []dropStatement{{sql, ok}}
}
