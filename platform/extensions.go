package platform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
)

// planExtensions decides about every extension of the source, and of an archive
// whose source cannot be asked, and about the entries that come with them.
func (p *planner) planExtensions() {
	entries := map[string]*archive.Entry{}
	for i := range p.in.Entries {
		if e := &p.in.Entries[i]; e.Kind == "EXTENSION" {
			entries[e.Tag] = e
		}
	}
	have := slices.Clone(p.in.Source.Extensions)
	for i := range p.in.Entries {
		e := &p.in.Entries[i]
		if e.Kind != "EXTENSION" || slices.ContainsFunc(have, func(x Extension) bool { return x.Name == e.Tag }) {
			continue
		}
		x := Extension{Name: e.Tag}
		if def, err := pgddl.ParseExtension(e.Create); err == nil {
			x.Schema = def.Schema
		}
		have = append(have, x)
	}
	p.skipExtensions(entries)
	p.plan.Extensions = make([]ExtensionItem, 0, len(have))
	for _, x := range have {
		it := ExtensionItem{Name: x.Name, Schema: p.plan.MapSchema(x.Schema), Source: x.Version, Verdict: Keep}
		e := entries[x.Name]
		var hanging []int
		if e != nil {
			hanging = p.hanging(e.ID)
			for _, id := range hanging {
				if d := p.byID[id]; counts(d) {
					it.Dependents = append(it.Dependents, describe(d))
				}
			}
		}
		p.planExtension(&it, hanging)
		p.plan.Extensions = append(p.plan.Extensions, it)
		if e != nil {
			p.extensionEntry(e, &it, hanging)
		}
	}
}

// skipExtensions notes which extensions the rules leave out: those they name,
// and those that need one of them.
func (p *planner) skipExtensions(entries map[string]*archive.Entry) {
	p.unwanted = map[string]string{}
	for _, name := range p.in.Rules.SkipExtensions {
		p.unwanted[name] = "--skip-extension"
	}
	for again := true; again; {
		again = false
		for name, e := range entries {
			if _, ok := p.unwanted[name]; ok {
				continue
			}
			for _, id := range e.After {
				if d := p.byID[id]; d != nil && d.Kind == "EXTENSION" && p.unwanted[d.Tag] != "" {
					p.unwanted[name] = "needs " + d.Tag + ", which is skipped"
					again = true
				}
			}
		}
	}
}

// counts says that an entry is worth naming among those that need something:
// rows and satellites are not.
func counts(e *archive.Entry) bool {
	switch e.Kind {
	case "TABLE DATA", "SEQUENCE SET", "SEQUENCE OWNED BY", "INDEX ATTACH", "TABLE ATTACH", "ROW SECURITY", "BLOBS",
		"MATERIALIZED VIEW DATA", "STATISTICS DATA", "PUBLICATION TABLE":
		return false
	}
	return !satellite(e)
}

// planExtension decides about one extension. hanging are the entries that need
// it.
func (p *planner) planExtension(it *ExtensionItem, hanging []int) {
	target := &p.in.Target
	skipped, bySkip := p.unwanted[it.Name]
	installed := slices.IndexFunc(target.Extensions, func(x Extension) bool { return x.Name == it.Name })
	what, own := p.src.extensions[it.Name]
	switch {
	case it.Name == "pg_cron" && !p.keepsCron():
		it.Verdict, it.Reason = Skip, "its jobs become a script to run at the target"
	case bySkip:
		it.Verdict, it.Reason = Skip, skipped
		return
	case own:
		it.Verdict, it.Reason = Skip, fmt.Sprintf("belongs to %s: %s", p.src.title, what)
	case installed >= 0:
		p.installed(it, &target.Extensions[installed])
		return
	default:
		if why := p.unusable(it.Name, nil); why != "" {
			it.Verdict, it.Reason = Skip, why
			break
		}
		it.Target = target.available(it.Name).Version
		p.compareVersions(it)
		return
	}
	if len(it.Dependents) == 0 || p.replaceDiskann(it, hanging) {
		return
	}
	it.Verdict = Block
	need := fmt.Sprintf("%d objects need it", len(it.Dependents))
	if len(it.Dependents) == 1 {
		need = "1 object needs it"
	}
	it.Reason += fmt.Sprintf("; %s: leave it out with what needs it by --skip-extension %s, or change that at the source", need, it.Name)
}

// installed deals with an extension that the target has already.
func (p *planner) installed(it *ExtensionItem, have *Extension) {
	it.Exists, it.Target = true, have.Version
	if it.Schema != "" && have.Schema != it.Schema {
		if len(it.Dependents) > 0 {
			it.Verdict = Block
			it.Reason = fmt.Sprintf("the target has it in schema %q, and objects name it in schema %q: ALTER EXTENSION … SET SCHEMA at the target",
				have.Schema, it.Schema)
			return
		}
		it.Warnings = append(it.Warnings, fmt.Sprintf("the target has it in schema %q", have.Schema))
	}
	p.compareVersions(it)
}

// exactVersions are extensions whose dumps need the same version again.
var exactVersions = []string{"timescaledb"}

func (p *planner) compareVersions(it *ExtensionItem) {
	if it.Source == "" || it.Target == "" || it.Source == it.Target {
		return
	}
	switch older := lessVersion(it.Target, it.Source); {
	case slices.Contains(exactVersions, it.Name) && len(it.Dependents) > 0:
		it.Verdict = Block
		it.Reason = fmt.Sprintf("version %s at the source and %s at the target, and what it makes needs the same: "+
			"upgrade one end, or --skip-extension %s with what needs it", it.Source, it.Target, it.Name)
	case older:
		if it.Verdict == Keep {
			it.Verdict = Warn
		}
		it.Warnings = append(it.Warnings, fmt.Sprintf("version %s at the target is older than %s at the source: check that what you use of it is there", it.Target, it.Source))
	}
}

// lessVersion compares versions number by number, as far as they are numbers.
func lessVersion(a, b string) bool {
	x, y := strings.FieldsFunc(a, notDigit), strings.FieldsFunc(b, notDigit)
	for i := range min(len(x), len(y)) {
		m, n := strings.TrimLeft(x[i], "0"), strings.TrimLeft(y[i], "0")
		if len(m) != len(n) {
			return len(m) < len(n)
		}
		if m != n {
			return m < n
		}
	}
	return len(x) < len(y)
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

// available returns the version that CREATE EXTENSION would take, or nil.
func (f *Facts) available(name string) *Available {
	for i := range f.Available {
		if a := &f.Available[i]; a.Name == name && a.Default {
			return a
		}
	}
	return nil
}

// unusable says why the target's user cannot create an extension, "" if he can.
func (p *planner) unusable(name string, within []string) string {
	target := &p.in.Target
	a := target.available(name)
	switch {
	case a == nil:
		return "the target does not have it"
	case a.Superuser && !a.Trusted && !p.super:
		return "only a superuser may create it at the target"
	case !p.super && !target.MayCreate:
		return fmt.Sprintf("%q may not create extensions in database %q", target.User.Name, target.Database)
	}
	for _, r := range a.Requires {
		if slices.Contains(within, r) || slices.ContainsFunc(target.Extensions, func(x Extension) bool { return x.Name == r }) {
			continue
		}
		if why := p.unusable(r, append(within, name)); why != "" {
			return fmt.Sprintf("needs extension %s: %s", r, why)
		}
	}
	return ""
}

// keepsCron says that pg_cron can go over as any other extension: by a
// superuser into the database that its worker looks at.
func (p *planner) keepsCron() bool {
	return p.super && p.src.name == Plain && p.dst.name == Plain && p.unusable("pg_cron", nil) == "" &&
		p.in.Target.Parameters["cron.database_name"].Value == p.in.Target.Database
}

// hanging returns the entries that need an extension, in their order: all that
// wait for it, directly or through others, for what it makes.
func (p *planner) hanging(id int) []int {
	seen := map[int]bool{}
	var follow func(int)
	follow = func(id int) {
		for _, next := range p.needs[id] {
			e := p.byID[next]
			if seen[next] || e.Kind == "EXTENSION" {
				continue
			}
			if e.Kind == "SCHEMA" { // an extension never makes a schema that has an entry
				continue
			}
			seen[next] = true
			if defines(e) {
				follow(next)
			}
		}
	}
	follow(id)
	var out []int
	for i := range p.in.Entries {
		if seen[p.in.Entries[i].ID] {
			out = append(out, p.in.Entries[i].ID)
		}
	}
	return out
}

// extensionEntry settles the entry of an extension and of what comes with it.
func (p *planner) extensionEntry(e *archive.Entry, it *ExtensionItem, hanging []int) {
	item := p.items[e.ID]
	switch it.Verdict {
	case Skip:
		item.set(Skip, "%s", it.Reason)
		for _, id := range hanging {
			p.items[id].set(Skip, "needs extension %s, which is skipped", it.Name)
		}
		return
	case Block:
		item.set(Block, "%s", it.Reason)
		for _, id := range hanging {
			if d := p.byID[id]; counts(d) {
				p.items[id].set(Block, "%s", needsExtension+it.Name+whichBlocks)
			}
		}
		return
	case Warn:
		item.Warnings = append(item.Warnings, it.Warnings...)
		item.Verdict = Warn
	case Keep, Map, Rewrite:
	}
	def, err := pgddl.ParseExtension(e.Create)
	if err != nil {
		item.set(Block, "cannot read its definition: %v", err)
		return
	}
	def.IfNotExists, def.Version, def.Cascade = true, "", !it.Exists && len(p.in.Target.available(it.Name).requires()) > 0
	if sql := def.String() + ";\n"; sql != e.Create {
		item.SQL = sql
	}
}

func (a *Available) requires() []string {
	if a == nil {
		return nil
	}
	return a.Requires
}

// replaceDiskann leaves out indexes of pg_diskann where nothing else needs it,
// and says how to make indexes of pgvector in their place.
func (p *planner) replaceDiskann(it *ExtensionItem, hanging []int) bool {
	if it.Name != "pg_diskann" || p.unusable("vector", nil) != "" {
		return false
	}
	var instead []string
	for _, id := range hanging {
		e := p.byID[id]
		if satellite(e) || e.Kind == "INDEX ATTACH" {
			continue
		}
		x, err := pgddl.ParseIndex(e.Create)
		if e.Kind != "INDEX" || err != nil || x.Method != "diskann" {
			return false
		}
		only := ""
		if x.Only {
			only = "ONLY "
		}
		instead = append(instead, fmt.Sprintf("CREATE INDEX ON %s%s USING hnsw (%s);", only, x.Table, x.Columns))
	}
	it.Warnings = append(it.Warnings, "recall, size and the limit of 2000 dimensions are those of hnsw then; instead of the indexes that are skipped: "+strings.Join(instead, " "))
	return true
}
