package restore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/archive"
)

// A Stage is a stretch of a restore. The drop, pre-data and privileges stages
// run in the order of their steps on one connection; the others run in the
// order of their edges on all connections, data and post-data together.
type Stage string

// The stages, in the order they are run.
const (
	StageDrop       Stage = "drop"
	StagePreData    Stage = "pre-data"
	StageData       Stage = "data"
	StagePostData   Stage = "post-data"
	StagePrivileges Stage = "privileges"
	StageRefresh    Stage = "refresh" // materialized views, then event triggers
)

var stages = []Stage{StageDrop, StagePreData, StageData, StagePostData, StagePrivileges, StageRefresh}

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
	// settings and Finish undoes them; for a load SQL is the COPY statement.
	Setup  []string
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
}

// A Plan is what a restore will do. It holds no connection.
type Plan struct {
	Steps []Step
	// Encoding is the client_encoding of every session; "" leaves the default.
	Encoding string
	// Session holds the statements that set up every session.
	Session []string
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
	if err := opts.check(); err != nil {
		return nil, err
	}
	p := &planner{src: src, opts: opts, entries: src.Entries(), byID: make(map[int]*archive.Entry), plan: new(Plan)}
	for i := range p.entries {
		e := &p.entries[i]
		if p.byID[e.ID] != nil {
			return nil, fmt.Errorf("plan restore: two entries have dump ID %d", e.ID)
		}
		p.byID[e.ID] = e
	}
	if err := p.session(); err != nil {
		return nil, err
	}
	p.sections = sections(p.entries)
	p.wanted = make([]bool, len(p.entries))
	for i := range p.entries {
		p.wanted[i] = wanted(&p.entries[i], p.sections[i], opts)
	}
	if opts.Clean {
		p.drops()
	}
	if err := p.steps(); err != nil {
		return nil, err
	}
	p.edges()
	return p.plan, nil
}

type planner struct {
	src      Source
	opts     Options
	entries  []archive.Entry
	byID     map[int]*archive.Entry
	sections []archive.Section // of each entry, none resolved
	wanted   []bool
	plan     *Plan
	// schemaPath is set for archives whose statements rely on the search_path.
	schemaPath bool
}

func (o Options) check() error {
	switch {
	case o.SchemaOnly && o.DataOnly:
		return fmt.Errorf("plan restore: schema only and data only exclude each other")
	case o.Clean && o.DataOnly:
		return fmt.Errorf("plan restore: clean drops objects, which data only would not create again")
	case o.IfExists && !o.Clean:
		return fmt.Errorf("plan restore: if-exists needs clean")
	case o.Jobs < 0:
		return fmt.Errorf("plan restore: %d jobs", o.Jobs)
	}
	return nil
}

// session reads the entries that are about the session rather than an object.
func (p *planner) session() error {
	p.schemaPath, p.plan.PlainStrings = true, true
	p.plan.Session = append(p.plan.Session, "SET default_tablespace = '';")
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
		default:
			heap = heap || e.AccessMethod != nil && *e.AccessMethod != ""
		}
	}
	if heap {
		p.plan.Session = append(p.plan.Session, "SET default_table_access_method = "+defaultAccessMethod+";")
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
	byStage := make(map[Stage][]Step)
	var last []Step // event triggers see nothing of this restore but themselves
	late := false   // a data or post-data entry has been seen
	for i := range p.entries {
		e := &p.entries[i]
		late = late || e.Section == archive.SectionData || e.Section == archive.SectionPostData
		if !p.wanted[i] {
			continue
		}
		stage := p.stage(i, late)
		made, err := p.make(e, stage)
		if err != nil {
			return fmt.Errorf("plan restore: %s %s: %w", e.Kind, describe(e), err)
		}
		if stage == StageRefresh && e.Kind != "MATERIALIZED VIEW DATA" {
			last = append(last, made...)
			continue
		}
		byStage[stage] = append(byStage[stage], made...)
	}
	byStage[StageRefresh] = append(byStage[StageRefresh], last...)
	for _, s := range stages {
		p.plan.Steps = append(p.plan.Steps, byStage[s]...)
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

// make returns the steps of one entry.
func (p *planner) make(e *archive.Entry, stage Stage) ([]Step, error) {
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
	if e.Tablespace != nil && *e.Tablespace != "" {
		s.Setup = append(s.Setup, setTablespace(*e.Tablespace))
		s.Finish = append(s.Finish, setTablespace(""))
	}
	if e.AccessMethod == nil || *e.AccessMethod == "" {
		return
	}
	switch {
	case e.Relkind == 'p':
		s.Finish = append(s.Finish, setTableAccessMethod(e))
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
	steps := make([]Step, len(parts))
	for i, part := range parts {
		steps[i] = s
		steps[i].Part, steps[i].Cost = part, part.Bytes
	}
	return steps, nil
}
