package restore

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// A key of a large table that has other indexes is built as a unique index,
// beside those, and made the key when they are there. A foreign key is added
// without a look at the rows, which then are looked at while other tables are
// worked on: both end in the same catalog as the one statement they stand for.
const (
	pieceIndex    = "index"    // CREATE UNIQUE INDEX
	pieceAttach   = "attach"   // ADD CONSTRAINT ... USING INDEX
	pieceAdd      = "add"      // ADD CONSTRAINT ... NOT VALID
	pieceValidate = "validate" // VALIDATE CONSTRAINT
)

const identifier = `(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)`

var (
	// keyShape is a key as pg_dump writes it, without any clause that an index
	// would have to be given, or could not be.
	keyShape = regexp.MustCompile(`^\s*ALTER TABLE ONLY (` + identifier + `(?:\.` + identifier + `)?)\s+ADD CONSTRAINT (` + identifier +
		`) (PRIMARY KEY|UNIQUE) \((` + identifier + `(?:, ` + identifier + `)*)\);\s*$`)
	// foreignShape is a foreign key. ONLY is not written where the table is
	// partitioned, and its partitions get the key, too.
	foreignShape = regexp.MustCompile(`^\s*ALTER TABLE ONLY (` + identifier + `(?:\.` + identifier + `)?)\s+ADD CONSTRAINT (` + identifier +
		`) (FOREIGN KEY \([^;']*[^;'\s])\s*;\s*$`)
)

// divide replaces keys and foreign keys of large tables by two steps each.
func (p *planner) divide() {
	sizes, kinds := p.sizes(), make(map[int]int) // dump ID of a table → its indexes and keys
	partitioned := make(map[int]bool)
	for i := range p.entries {
		e := &p.entries[i]
		if e.Kind == "TABLE ATTACH" {
			for _, id := range e.After {
				if t := p.byID[id]; t != nil && (t.Namespace != e.Namespace || t.Tag != e.Tag) {
					partitioned[id] = true
				}
			}
		}
		if e.Kind == "TABLE" && e.Relkind == 'p' {
			partitioned[e.ID] = true
		}
	}
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if s.Stage == StagePostData && (s.Entry.Kind == "INDEX" || s.Entry.Kind == "CONSTRAINT") {
			kinds[p.tableOf(s.Entry)]++
		}
	}
	pieces := make(map[int][]Step) // of the step at a position
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		table := p.tableOf(s.Entry)
		if s.Stage != StagePostData || table == 0 || sizes[table] <= lightBytes || !p.creates(s.Entry) {
			continue
		}
		switch {
		case s.Entry.Kind == "CONSTRAINT" && kinds[table] > 1 && !partitioned[table]:
			pieces[i] = divideKey(p.byID[table], *s)
		case s.Entry.Kind == "FK CONSTRAINT" && !slices.ContainsFunc(s.Entry.After, func(id int) bool { return partitioned[id] }):
			pieces[i] = p.divideForeignKey(*s)
		}
	}
	if len(pieces) == 0 {
		return
	}
	steps := make([]Step, 0, len(p.plan.Steps)+len(pieces))
	for i := range p.plan.Steps {
		if pieces[i] == nil {
			steps = append(steps, p.plan.Steps[i])
		} else {
			steps = append(steps, pieces[i]...)
		}
	}
	p.plan.Steps = steps
}

// tableOf is the dump ID of the table that a definition is of, 0 if there is
// none.
func (p *planner) tableOf(e *archive.Entry) int {
	for _, id := range e.After {
		if t := p.byID[id]; t != nil && t.Kind == "TABLE" {
			return id
		}
	}
	return 0
}

// creates says whether all tables that a definition is about are to be made in
// the same run.
func (p *planner) creates(e *archive.Entry) bool {
	for i := range p.entries {
		if t := &p.entries[i]; t.Kind == "TABLE" && !p.wanted[i] && slices.Contains(e.After, t.ID) {
			return false
		}
	}
	return true
}

// divideKey returns the steps of a key.
func divideKey(t *archive.Entry, s Step) []Step {
	m := keyShape.FindStringSubmatch(s.SQL)
	if m == nil || m[1] != quote.Qualified(t.Namespace, t.Tag) {
		return []Step{s}
	}
	table, name, kind, columns := m[1], m[2], m[3], m[4]
	index, attach := s, s
	index.piece, index.of = pieceIndex, t.ID
	index.SQL = fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s USING btree (%s);\n", name, table, columns)
	index.index = quote.Ident(t.Namespace) + "." + name
	attach.Setup, attach.Finish = nil, nil
	attach.piece, attach.of, attach.whole = pieceAttach, t.ID, &s
	attach.SQL = fmt.Sprintf("ALTER TABLE ONLY %s\n    ADD CONSTRAINT %s %s USING INDEX %s;\n", table, name, kind, name)
	return []Step{index, attach}
}

// divideForeignKey returns the steps of a foreign key.
func (p *planner) divideForeignKey(s Step) []Step {
	m := foreignShape.FindStringSubmatch(s.SQL)
	of := 0
	for _, id := range s.Entry.After {
		if t := p.byID[id]; m != nil && t != nil && t.Kind == "TABLE" && m[1] == quote.Qualified(t.Namespace, t.Tag) {
			of = id
		}
	}
	if of == 0 || strings.HasSuffix(m[3], " NOT VALID") || strings.HasSuffix(m[3], " NOT ENFORCED") {
		return []Step{s}
	}
	table, name, definition := m[1], m[2], m[3]
	add, validate := s, s
	add.piece, add.of = pieceAdd, of
	add.SQL = fmt.Sprintf("ALTER TABLE ONLY %s\n    ADD CONSTRAINT %s %s NOT VALID;\n", table, name, definition)
	validate.Setup, validate.Finish = nil, nil
	validate.piece, validate.of, validate.whole = pieceValidate, of, &s
	validate.SQL = fmt.Sprintf("ALTER TABLE ONLY %s\n    VALIDATE CONSTRAINT %s;\n", table, name)
	return []Step{add, validate}
}

// sizes returns how many bytes of data tables have, by dump ID, be the data
// restored in this run or another.
func (p *planner) sizes() map[int]int64 {
	sizes := make(map[int]int64)
	if p.opts.SchemaOnly || p.opts.NoData {
		return sizes
	}
	for i := range p.entries {
		e := &p.entries[i]
		if e.Kind != "TABLE DATA" || !e.HasData || len(e.After) == 0 {
			continue
		}
		parts, err := p.src.Parts(e)
		if err != nil {
			continue // whoever loads it will say so
		}
		for _, part := range parts {
			sizes[e.After[0]] += part.Bytes
		}
	}
	return sizes
}

// analyze appends a step for each table of this run that analyzes it.
func (p *planner) analyze() {
	statistics := make(map[int]bool) // dump IDs of tables whose statistics are restored
	for i := range p.entries {
		if e := &p.entries[i]; e.Kind == "STATISTICS DATA" && p.wanted[i] {
			for _, id := range e.After {
				statistics[id] = true
			}
		}
	}
	var steps []Step
	for i := range p.entries {
		e := &p.entries[i]
		if e.Kind != "TABLE DATA" || !p.wanted[i] || len(e.After) == 0 || statistics[e.After[0]] {
			continue
		}
		t := p.byID[e.After[0]]
		if t == nil || t.Kind != "TABLE" {
			continue
		}
		steps = append(steps, Step{Stage: StagePostData, Entry: t, piece: pieceAnalyze, of: t.ID, SQL: "ANALYZE " + quote.Qualified(t.Namespace, t.Tag) + ";"})
	}
	at := len(p.plan.Steps)
	for i := range p.plan.Steps {
		if st := p.plan.Steps[i].Stage; st == StagePrivileges || st == StageRefresh {
			at = i
			break
		}
	}
	p.plan.Steps = slices.Insert(p.plan.Steps, at, steps...)
}

const pieceAnalyze = "analyze"
