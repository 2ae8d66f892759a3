package platform

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
)

// PlanVersion is the version of the plan's format.
const PlanVersion = 1

// A planner makes a plan. Its steps are the methods that NewPlan calls.
type planner struct {
	in       Input
	src, dst *service
	plan     *Plan
	// super says that the user at the target is a superuser: nothing is refused.
	super bool
	items map[int]*Item // by dump ID
	byID  map[int]*archive.Entry
	// needs are the entries that others wait for, by dump ID: those behind an
	// entry cannot do without it.
	needs map[int][]int
	roles map[string]*RoleItem // by their names at the source
	// unwanted are the extensions that the rules leave out, and why.
	unwanted map[string]string
	readers  []string // who is to read all data without being a member of pg_read_all_data
	bodies   *regexp.Regexp
	locales  map[string]bool // that the target has, as normalLocale writes them
	// used are the source's roles that something which goes over names.
	used map[string]bool
}

// NewPlan decides what becomes of everything that the source has. It is a pure
// function: nothing is connected to and nothing is changed. An error means that
// the input makes no sense; what cannot be migrated is in the plan, as Block.
func NewPlan(in Input) (*Plan, error) {
	p := &planner{
		in: in, items: map[int]*Item{}, byID: map[int]*archive.Entry{}, needs: map[int][]int{}, roles: map[string]*RoleItem{}, used: map[string]bool{},
		super: in.Target.User.Superuser,
		plan:  &Plan{Version: PlanVersion, Source: in.Source, Target: in.Target, Rules: in.Rules},
	}
	var err error
	if p.src, err = in.Source.Platform.service(); err != nil {
		return nil, fmt.Errorf("plan: source: %w", err)
	}
	if p.dst, err = in.Target.Platform.service(); err != nil {
		return nil, fmt.Errorf("plan: target: %w", err)
	}
	switch in.Rules.Collision {
	case Refuse, Clean, Ignore:
	default:
		return nil, fmt.Errorf("plan: collision %q is not one of %q and %q", in.Rules.Collision, Clean, Ignore)
	}
	p.plan.Items = make([]Item, len(in.Entries))
	for i := range in.Entries {
		e := &in.Entries[i]
		if p.byID[e.ID] != nil {
			return nil, fmt.Errorf("plan: two entries have the dump ID %d", e.ID)
		}
		it := &p.plan.Items[i]
		*it = Item{ID: e.ID, Kind: e.Kind, Schema: e.Namespace, Name: e.Tag, Verdict: Keep, Definition: definition(e)}
		p.byID[e.ID], p.items[e.ID] = e, it
	}
	for i := range in.Entries {
		for _, id := range in.Entries[i].After {
			p.needs[id] = append(p.needs[id], in.Entries[i].ID)
		}
	}
	p.needServers()
	p.checkSchemas()
	p.planRoles()
	p.planMemberships()
	p.planSettings()
	p.planParameterGrants()
	p.planExtensions()
	for i := range in.Entries {
		if e := &in.Entries[i]; p.items[e.ID].Verdict != Skip && p.items[e.ID].Verdict != Block {
			p.planEntry(e, p.items[e.ID])
		}
	}
	p.followSkipped()
	p.dropRepeated()
	p.planReaders()
	p.renameSchemas()
	p.planMissingRoles()
	p.planLocale()
	p.planCollisions()
	p.planWhole()
	p.planCron()
	p.planEstimate()
	p.plan.needs, p.plan.made = p.needs, map[int]bool{}
	for i := range in.Entries {
		if e := &in.Entries[i]; defines(e) || e.Kind == "EXTENSION" {
			p.plan.made[e.ID] = true
		}
	}
	return p.plan, nil
}

// needServers notes what archives do not say: user mappings need their server.
func (p *planner) needServers() {
	servers := map[string]int{}
	for i := range p.in.Entries {
		if e := &p.in.Entries[i]; e.Kind == "SERVER" {
			servers[e.Tag] = e.ID
		}
	}
	for i := range p.in.Entries {
		e := &p.in.Entries[i]
		if e.Kind != "USER MAPPING" {
			continue
		}
		if m, err := pgddl.ParseUserMapping(e.Create); err == nil {
			if id, ok := servers[m.Server]; ok && !slices.Contains(p.needs[id], e.ID) {
				p.needs[id] = append(p.needs[id], e.ID)
			}
		}
	}
}

// rank orders verdicts: what is found later does not soften what was found before.
var rank = map[Verdict]int{Keep: 0, Warn: 1, Map: 2, Rewrite: 3, Skip: 4, Block: 5}

// set raises the verdict and adds a reason.
func (it *Item) set(v Verdict, format string, args ...any) {
	if rank[v] > rank[it.Verdict] {
		it.Verdict = v
	}
	text := fmt.Sprintf(format, args...)
	switch {
	case it.Reason == "":
		it.Reason = text
	case !slices.Contains(strings.Split(it.Reason, "; "), text):
		it.Reason += "; " + text
	}
}

// warn adds a warning.
func (it *Item) warn(format string, args ...any) {
	if it.Verdict == Keep {
		it.Verdict = Warn
	}
	if text := fmt.Sprintf(format, args...); !slices.Contains(it.Warnings, text) {
		it.Warnings = append(it.Warnings, text)
	}
}

func (p *planner) note(v Verdict, format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, Note{Verdict: v, Text: fmt.Sprintf(format, args...)})
}

// describe names an entry for people.
func describe(e *archive.Entry) string {
	if e.Namespace == "" {
		return strings.ToLower(e.Kind) + " " + e.Tag
	}
	return strings.ToLower(e.Kind) + " " + e.Namespace + "." + e.Tag
}

// satellite says that an entry is about another one.
func satellite(e *archive.Entry) bool {
	switch e.Kind {
	case "ACL", "COMMENT", "SECURITY LABEL":
		return true
	}
	return false
}

// part says that an entry belongs to a table or another object: whoever leaves
// that one out means this one, too.
func part(e *archive.Entry) bool {
	switch e.Kind {
	case "TABLE DATA", "SEQUENCE SET", "SEQUENCE OWNED BY", "DEFAULT", "INDEX", "INDEX ATTACH", "CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT",
		"TRIGGER", "RULE", "POLICY", "ROW SECURITY", "TABLE ATTACH", "STATISTICS", "STATISTICS DATA", "PUBLICATION TABLE",
		"PUBLICATION TABLES IN SCHEMA", "MATERIALIZED VIEW DATA", "BLOBS", "USER MAPPING":
		return true
	}
	return satellite(e)
}

// followSkipped leaves out what belongs to an entry that is left out, and blocks
// what cannot do without it.
func (p *planner) followSkipped() {
	for again := true; again; {
		again = false
		for i := range p.plan.Items {
			it := &p.plan.Items[i]
			if it.Verdict != Skip {
				continue
			}
			gone := p.byID[it.ID]
			if !defines(gone) {
				continue
			}
			for _, id := range p.needs[it.ID] {
				e, behind := p.byID[id], p.items[id]
				switch {
				case behind.Verdict == Skip:
				case part(e):
					behind.Verdict, behind.Reason = Skip, "belongs to "+describe(gone)+", which is skipped"
					again = true
				case behind.Verdict != Block:
					behind.set(Block, "needs %s, which is skipped: skip it, too, or keep that one", describe(gone))
				}
			}
		}
	}
}

// defines says that others may need an entry to have been restored for what it
// makes, rather than for an order of things.
func defines(e *archive.Entry) bool {
	switch e.Kind {
	case "EXTENSION", "TABLE DATA", "SEQUENCE SET", "BLOBS", "ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES",
		"MATERIALIZED VIEW DATA", "STATISTICS DATA", "ROW SECURITY", "POLICY", "DEFAULT ACL":
		return false // extensions are dealt with by themselves
	}
	return !satellite(e)
}

// dropRepeated leaves out default privileges that mapping has made equal to
// others.
func (p *planner) dropRepeated() {
	seen := map[string]bool{}
	for i := range p.plan.Items {
		it := &p.plan.Items[i]
		if it.Kind != "DEFAULT ACL" || it.Verdict == Skip || it.Verdict == Block {
			continue
		}
		sql := it.SQL
		if sql == "" {
			sql = p.byID[it.ID].Create
		}
		if seen[sql] {
			it.Verdict, it.SQL, it.Reason = Skip, "", "says the same as another after the mapping of roles"
		}
		seen[sql] = true
	}
}
