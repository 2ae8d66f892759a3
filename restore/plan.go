package restore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// A Stage is a stretch of a restore. The drop, create, pre-data and privileges
// stages run in the order of their steps on one connection; the others run in
// the order of their edges on all connections, data and post-data together.
type Stage string

// The stages, in the order they are run.
const (
	StageDrop       Stage = "drop"
	StageCreate     Stage = "create" // the database itself; all that follows is done in it
	StagePreData    Stage = "pre-data"
	StageData       Stage = "data"
	StagePostData   Stage = "post-data"
	StagePrivileges Stage = "privileges"
	StageRefresh    Stage = "refresh" // materialized views, then event triggers
)

var stages = []Stage{StageDrop, StageCreate, StagePreData, StageData, StagePostData, StagePrivileges, StageRefresh}

// An Action says what kind of work a step is.
type Action int

// The actions.
const (
	// ActionSQL runs the step's statements.
	ActionSQL Action = iota
	// ActionCopy loads a part of a table with COPY.
	ActionCopy
	// ActionInsert runs the INSERT statements of an entry's data.
	ActionInsert
	// ActionCreateLargeObjects creates the large objects a BLOB METADATA entry lists.
	ActionCreateLargeObjects
	// ActionLargeObjects loads the large objects a BLOBS entry lists.
	ActionLargeObjects
)

// A Step is one piece of a restore.
type Step struct {
	Stage  Stage
	Action Action
	Entry  *archive.Entry
	// Setup, SQL and Finish are sent as separate messages, each its own
	// transaction: a refused owner does not undo what it was to own. Setup makes
	// settings and Finish undoes them. For a load SQL is the COPY statement, and
	// Enter and Finish are run in its transaction, before and after it.
	Setup  []string
	Enter  []string
	SQL    string
	Finish []string
	Part   archive.Part // of a load
	// Owner is who gets the large objects of an ActionCreateLargeObjects; "" leaves
	// them with who makes them.
	Owner string
	// Truncate empties the table in the load's own transaction, but only if this
	// run has created it.
	Truncate string
	After    []int // positions in Plan.Steps of steps that must be over; all smaller
	Locks    []int // dump IDs of the tables the step needs for itself
	Shares   []int // dump IDs of the tables others may share with it but not lock
	Cost     int64 // in bytes of data: the dearest ready step starts first
	// Key names the step: no other step of the plan has it, and in a plan of the
	// same source made with the same options the same step does, whatever the dump
	// IDs are. It holds the kind, the name, and of a load the part.
	Key string
	// Undo is SQL that takes back what the step has made, run in the reverse order
	// of the steps; it does not mind what is gone already. It is "" where there is
	// nothing to take back but a change to something that was there before, or
	// where dropping the table suffices. Definitions with IF NOT EXISTS or OR
	// REPLACE, such as those of extensions, may have made nothing: who undoes must
	// know what was there.
	Undo string

	parts int    // how many parts the entry's data has
	piece string // which of an entry's definitions, where it has more than one
	index string // the name of a pieceIndex
	of    int    // dump ID of the table that a piece is of
	whole *Step  // of the second piece: the definition that the two stand for

	// in a script, where the step's object is stored; nil for one that is not
	tablespace, accessMethod *string
}

// A Plan is what a restore will do. It holds no connection.
type Plan struct {
	Steps []Step
	// Encoding is the client_encoding of every session; "" leaves the default.
	Encoding string
	// Session holds the statements that set up every session.
	Session []string
	// Database is the one to create and to restore into; "" is the target's own.
	Database string
	// PlainStrings says that a backslash in a string is itself, as in every
	// archive but those of databases with standard_conforming_strings off.
	PlainStrings bool
	// LCMonetary is the setting by which the source wrote values of type money;
	// "" if it is not known. Sessions that load data try to set it.
	LCMonetary string
	// Warnings are about what could not be planned as asked.
	Warnings []string
}

// NewPlan works out the steps that restore src. It connects nowhere and reads
// no data, only its sizes.
func NewPlan(src Source, opts Options) (*Plan, error) {
	p, err := newPlanner(src, opts)
	if err != nil {
		return nil, err
	}
	return p.make()
}

func newPlanner(src Source, opts Options) (*planner, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	entries, err := ordered(src.Entries(), opts.List)
	if err != nil {
		return nil, err
	}
	p := &planner{src: src, opts: opts, entries: entries, byID: make(map[int]*archive.Entry), plan: new(Plan)}
	for i := range p.entries {
		e := &p.entries[i]
		if p.byID[e.ID] != nil {
			return nil, fmt.Errorf("plan restore: two entries have dump ID %d", e.ID)
		}
		p.byID[e.ID] = e
	}
	p.sections = sections(p.entries)
	p.wanted = make([]bool, len(p.entries))
	f := newFilter(opts, p.byID)
	p.loadsOnly = true
	for i := range p.entries {
		e := &p.entries[i]
		c := f.take(e, p.sections[i])
		p.wanted[i] = c != 0 && (!e.HasData || c&contentData != 0)
		p.loadsOnly = p.loadsOnly && c&contentSchema == 0
	}
	return p, f.strict()
}

// make makes the plan of the entries selected.
func (p *planner) make() (*Plan, error) {
	if err := p.session(); err != nil {
		return nil, err
	}
	if p.opts.Create && p.plan.Database == "" {
		return nil, fmt.Errorf("plan restore: the archive does not say how to create its database; restore into one that exists, without create")
	}
	if p.opts.Clean {
		p.drops()
	}
	if err := p.steps(); err != nil {
		return nil, err
	}
	if !p.script {
		if !p.opts.transactional() {
			p.divide()
		}
		if p.opts.Analyze {
			p.analyze()
		}
		p.edges()
		p.identify()
	}
	return p.plan, nil
}

type planner struct {
	src      Source
	opts     Options
	entries  []archive.Entry
	byID     map[int]*archive.Entry
	sections []archive.Section // of each entry, none resolved
	wanted   []bool
	// loadsOnly says that no definitions are restored.
	loadsOnly bool
	// script says that the plan is for a script: steps are in the order of the
	// archive, and settings are made when they change.
	script bool
	plan   *Plan
	// schemaPath is set for archives whose statements rely on the search_path.
	schemaPath bool
}

// session reads the entries that are about the session rather than an object.
func (p *planner) session() error {
	p.schemaPath, p.plan.PlainStrings = true, true
	if !p.script && !p.opts.NoTablespaces {
		p.plan.Session = append(p.plan.Session, setTablespace(""))
	}
	heap := false
	for i := range p.entries {
		switch e := &p.entries[i]; e.Kind {
		case "ENCODING":
			_, rest, ok := strings.Cut(e.Create, "'")
			name, _, closed := strings.Cut(rest, "'")
			if !ok || !closed {
				return fmt.Errorf("plan restore: entry %d: cannot read an encoding from %q", e.ID, e.Create)
			}
			p.plan.Encoding = name
		case "STDSTRINGS":
			if strings.Contains(e.Create, "'off'") {
				p.plan.PlainStrings = false
				p.plan.Session = append(p.plan.Session, "SET standard_conforming_strings = off;", "SET escape_string_warning = off;")
			}
		case "SEARCHPATH":
			p.schemaPath = false
			p.plan.Session = append(p.plan.Session, strings.TrimSpace(e.Create))
		case "DATABASE":
			if p.opts.Create {
				p.plan.Database = e.Tag
			}
		default:
			heap = heap || e.AccessMethod != nil && *e.AccessMethod != ""
		}
	}
	if heap && !p.script && !p.opts.NoTableAccessMethod {
		p.plan.Session = append(p.plan.Session, setAccessMethod(defaultAccessMethod))
	}
	if p.opts.RowSecurity && !p.script {
		p.plan.Session = append(p.plan.Session, "SET row_security = on;")
	}
	if m := p.src.Manifest(); m != nil {
		p.plan.LCMonetary = m.Source.LCMonetary
	}
	return nil
}

// defaultAccessMethod is what sessions use where an entry names no other.
const defaultAccessMethod = "heap"

// steps appends the steps of the wanted entries, stage by stage.
func (p *planner) steps() error {
	byStage := make(map[Stage][]int)
	var last []int // event triggers see nothing of this restore but themselves
	late := false  // a data or post-data entry has been seen
	wanted := 0
	own := make([]Stage, len(p.entries)) // of each entry
	for i := range p.entries {
		e := &p.entries[i]
		late = late || e.Section == archive.SectionData || e.Section == archive.SectionPostData
		if !p.wanted[i] {
			continue
		}
		wanted++
		stage := p.stage(i, late)
		own[i] = stage
		if p.script && stage != StageCreate && stage != StagePrivileges && stage != StageRefresh {
			stage = StagePreData // one pass
		}
		if stage == StageRefresh && e.Kind != "MATERIALIZED VIEW DATA" && !p.script {
			last = append(last, i)
			continue
		}
		byStage[stage] = append(byStage[stage], i)
	}
	byStage[StageRefresh] = append(byStage[StageRefresh], last...)
	// Steps are large and there may be hundreds of thousands: they are made where
	// they stay. Most entries have one.
	p.plan.Steps = slices.Grow(p.plan.Steps, wanted)
	for _, s := range stages {
		for _, i := range byStage[s] {
			e := &p.entries[i]
			made, err := p.entry(e, own[i])
			if err != nil {
				return fmt.Errorf("plan restore: %s %s: %w", e.Kind, describe(e), err)
			}
			p.plan.Steps = append(p.plan.Steps, made...)
		}
	}
	return nil
}

// stage says when the entry at i runs. late says that data or post-data entries
// come before it: satellites from there on wait for what they depend on.
func (p *planner) stage(i int, late bool) Stage {
	e := &p.entries[i]
	switch {
	case isACL(e):
		return StagePrivileges
	case e.Kind == "DATABASE", e.Kind == "DATABASE PROPERTIES", satellite(e) && strings.HasPrefix(e.Tag, "DATABASE "):
		return StageCreate
	case e.Kind == "EVENT TRIGGER", e.Kind == "MATERIALIZED VIEW DATA",
		(e.Kind == "COMMENT" || e.Kind == "SECURITY LABEL") && strings.HasPrefix(e.Tag, "EVENT TRIGGER "),
		e.Kind == "STATISTICS DATA" && p.sections[i] == archive.SectionPostData:
		return StageRefresh
	case e.Section == archive.SectionPreData, e.Section == archive.SectionNone && !late:
		return StagePreData
	case p.sections[i] == archive.SectionPostData:
		return StagePostData
	}
	return StageData
}

func isACL(e *archive.Entry) bool {
	return e.Kind == "ACL" || e.Kind == "ACL LANGUAGE" || e.Kind == "DEFAULT ACL"
}

// viaRoot begins the definition of a TABLE DATA entry whose rows go to the root
// of a partition tree.
const viaRoot = "-- load via partition root "

// entry returns the steps of one entry.
func (p *planner) entry(e *archive.Entry, stage Stage) ([]Step, error) {
	s := Step{Stage: stage, Entry: e}
	if p.schemaPath && e.Namespace != "" {
		s.Setup = append(s.Setup, setSearchPath(e.Namespace))
	}
	switch {
	case e.Kind == "BLOB METADATA":
		for oid := range strings.FieldsSeq(e.Create) {
			if _, err := strconv.ParseUint(oid, 10, 32); err != nil {
				return nil, fmt.Errorf("large object %q: %w", oid, err)
			}
		}
		s.Action, s.SQL = ActionCreateLargeObjects, e.Create
		if !p.opts.NoOwner {
			s.Owner = e.Owner
		}
		return []Step{s}, nil
	case e.Kind == "BLOBS":
		s.Action, s.Cost = ActionLargeObjects, p.largeObjectBytes(e)
		return []Step{s}, nil
	case e.HasData:
		return p.loads(e, s)
	case isACL(e) && strings.HasPrefix(e.Tag, "LARGE OBJECTS "):
		sql, err := p.largeObjectACL(e)
		if err != nil {
			return nil, err
		}
		s.SQL = sql
	case p.opts.NoOwner && e.Kind == "SCHEMA" && strings.Contains(e.Create, " AUTHORIZATION "):
		s.SQL = "CREATE SCHEMA " + quote.Ident(e.Tag) + ";\n" // old archives say in it whose it is
	default:
		s.SQL = e.Create
	}
	p.storage(e, &s)
	if isACL(e) && p.opts.Role != "" && strings.Contains(s.SQL, "SESSION AUTHORIZATION") {
		s.Finish = append(s.Finish, setRole(p.opts.Role))
	}
	if !p.opts.NoOwner {
		owner, err := alterOwner(e)
		if err != nil {
			return nil, err
		}
		if owner != "" {
			s.Finish = slices.Insert(s.Finish, 0, owner)
		}
	}
	if strings.TrimSpace(s.SQL) == "" && len(s.Finish) == 0 {
		return nil, nil
	}
	return []Step{s}, nil
}

// largeObjectBytes guesses how many bytes the large objects of an entry have.
func (p *planner) largeObjectBytes(e *archive.Entry) int64 {
	size := int64(16 << 10) // of one of which nothing is known
	if m := p.src.Manifest(); m != nil && m.LargeObjects.Count > 0 {
		size = m.LargeObjects.Bytes / m.LargeObjects.Count
	}
	var bytes int64
	for _, id := range e.After {
		if d := p.byID[id]; d != nil && d.Kind == "BLOB METADATA" {
			bytes += size * int64(len(strings.Fields(d.Create)))
		}
	}
	return max(bytes, size)
}

// storage bundles the settings that place a table or an index with its
// definition.
func (p *planner) storage(e *archive.Entry, s *Step) {
	if e.Tablespace != nil && !p.opts.NoTablespaces {
		s.tablespace = e.Tablespace
		if *e.Tablespace != "" && !p.script {
			s.Setup = append(s.Setup, setTablespace(*e.Tablespace))
			s.Finish = append(s.Finish, setTablespace(""))
		}
	}
	if e.AccessMethod == nil || *e.AccessMethod == "" || p.opts.NoTableAccessMethod {
		return
	}
	switch {
	case e.Relkind == 'p':
		s.Finish = append(s.Finish, setTableAccessMethod(e))
	case p.script:
		s.accessMethod = e.AccessMethod
	case *e.AccessMethod != defaultAccessMethod:
		s.Setup = append(s.Setup, setAccessMethod(*e.AccessMethod))
		s.Finish = append(s.Finish, setAccessMethod(defaultAccessMethod))
	}
}

// loads returns a step for each part of an entry's data.
func (p *planner) loads(e *archive.Entry, s Step) ([]Step, error) {
	parts, err := p.src.Parts(e)
	if err != nil {
		return nil, err
	}
	s.Action, s.SQL = ActionCopy, strings.TrimSpace(e.Copy)
	if s.SQL == "" {
		s.Action = ActionInsert
	}
	if len(parts) == 1 && !strings.HasPrefix(e.Create, viaRoot) {
		s.Truncate = truncate(e)
	}
	if p.opts.DisableTriggers && p.loadsOnly {
		p.triggers(e, &s)
	}
	steps := make([]Step, len(parts))
	for i, part := range parts {
		steps[i] = s
		steps[i].Part, steps[i].Cost, steps[i].parts = part, part.Bytes, len(parts)
	}
	return steps, nil
}
