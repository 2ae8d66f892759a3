package platform

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/quote"
)

// planFunction deals with what only superusers may say about a function, and
// with whose rights it has.
func (p *planner) planFunction(e *archive.Entry, it *Item) {
	f, err := pgddl.ParseFunction(e.Create)
	if err != nil {
		// What is in it then cannot be told: the target will.
		it.warn("cannot read its definition, which goes over untouched: %v", err)
		return
	}
	if f.SecurityDefiner && it.Owner != e.Owner {
		it.warn("is SECURITY DEFINER: it runs with the rights of %s instead of those of %s", it.Owner, e.Owner)
	}
	if p.super {
		return
	}
	if f.Language == "c" || f.Language == "internal" {
		it.set(Block, "only a superuser may create functions in language %s at the target: %s", f.Language, p.wayOut(e))
		return
	}
	if f.Leakproof {
		sql, err := pgddl.WithoutLeakproof(e.Create)
		if err != nil {
			it.set(Block, "only a superuser may create LEAKPROOF functions, and the word cannot be taken out: %v", err)
			return
		}
		it.SQL = sql
		it.set(Rewrite, "without LEAKPROOF, which only a superuser may say")
		it.warn("plans of queries on views with security_barrier and under row-level security may be slower without LEAKPROOF")
	}
	for _, s := range f.Settings {
		name, _, _ := strings.Cut(s, " ")
		name = strings.Trim(name, `"`)
		if c := p.in.Target.Parameters[name].Context; c != "" && c != "user" {
			it.set(Block, "sets %s, which its owner may not at the target: change it at the source, or skip it in the plan", name)
		}
	}
}

// planType blocks base types, whose functions are written in C.
func (p *planner) planType(e *archive.Entry, it *Item) {
	t, err := pgddl.ParseType(e.Create)
	if err != nil || p.super {
		return // the target's user may create any type, or will be told
	}
	if t.Kind == pgddl.BaseType || t.Kind == pgddl.ShellType {
		it.set(Block, "only a superuser may create base types at the target: %s", p.wayOut(e))
	}
}

// planCast blocks casts between types that belong to the system.
func (p *planner) planCast(e *archive.Entry, it *Item) {
	c, err := pgddl.ParseCast(e.Create)
	if p.super {
		return
	}
	if err != nil {
		it.warn("cannot read its definition, which goes over untouched: %v", err)
		return
	}
	if c.Function == "" && !c.InOut {
		it.set(Block, "only a superuser may create casts WITHOUT FUNCTION at the target: %s", p.wayOut(e))
		return
	}
	for _, t := range []string{c.Source, c.Target} {
		parts, _, err := pgddl.Names(t)
		if err == nil && len(parts) == 2 && !systemSchema(parts[0]) {
			return // of the customer's type
		}
	}
	it.set(Block, "casts between built-in types need a superuser at the target: %s", p.wayOut(e))
}

// planDictionary warns of dictionaries that read files of the server.
func (p *planner) planDictionary(e *archive.Entry, it *Item) {
	d, err := pgddl.ParseTextSearch(e.Create)
	if err != nil {
		return
	}
	for _, o := range d.Options {
		switch strings.ToLower(o.Name) {
		case "dictfile", "afffile", "synonyms", "thesaurus", "rules":
			it.warn("reads the file %s of the server, which the target must have", o.Value)
		}
	}
}

// planServer checks that the target's user may use a foreign-data wrapper.
func (p *planner) planServer(e *archive.Entry, it *Item) {
	s, err := pgddl.ParseServer(e.Create)
	if err != nil {
		it.warn("cannot read its wrapper: %v", err)
		return
	}
	for _, o := range s.Options {
		if h := strings.ToLower(o.Value); strings.EqualFold(o.Name, "host") && slices.ContainsFunc(p.src.hosts, func(end string) bool { return strings.HasSuffix(h, end) }) {
			it.warn("connects to %s: the target needs a way through its firewall", o.Value)
		}
	}
	target := &p.in.Target
	if p.super || slices.Contains(target.Wrappers, s.Wrapper) {
		return
	}
	if slices.ContainsFunc(target.Extensions, func(x Extension) bool { return x.Name == s.Wrapper }) {
		it.set(Block, "%q may not use foreign-data wrapper %s at the target: GRANT USAGE ON FOREIGN DATA WRAPPER there, or --skip-extension %s",
			target.User.Name, s.Wrapper, s.Wrapper)
		return
	}
	if !slices.Contains(p.dst.wrappers, s.Wrapper) {
		it.warn("needs USAGE on foreign-data wrapper %s, which belongs to the superuser who creates it", s.Wrapper)
	}
}

func (p *planner) planUserMapping(e *archive.Entry, it *Item) {
	m, err := pgddl.ParseUserMapping(e.Create)
	if err != nil {
		it.set(Block, "cannot read whom it is for: %v", err)
		return
	}
	if !m.Role.Public {
		to, ok := p.grantee(m.Role.Name)
		if !ok {
			it.Verdict, it.Reason = Skip, fmt.Sprintf("is for %s, which the target does not have", m.Role.Name)
			return
		}
		if to != m.Role.Name {
			m.Role.Name = to
			it.SQL = m.String() + ";\n"
			it.Drop = "DROP USER MAPPING IF EXISTS FOR " + m.Role.String() + " SERVER " + quote.Ident(m.Server) + ";\n"
			it.set(Map, "roles have other names")
		}
	}
	if len(m.Options) == 0 {
		it.warn("comes without its options, user and password among them, which the source does not show: ALTER USER MAPPING … OPTIONS (ADD …)")
	}
}

// inBody finds names of the schemas of a platform's functions.
func (p *planner) inBody() *regexp.Regexp {
	if p.bodies == nil {
		names := make([]string, 0, len(p.src.bodies))
		for _, b := range p.src.bodies {
			if b != "cron" || !p.keepsCron() {
				names = append(names, regexp.QuoteMeta(b))
			}
		}
		p.bodies = regexp.MustCompile(`(?i)(?:^|[^\w."$])"?(` + strings.Join(append(names, "pgaadauth_[a-z_]+"), "|") + `)"?\s*[.(]`)
	}
	return p.bodies
}

// planBodies warns of calls of functions that exist at the source's platform
// only. Bodies are not looked at when a function is created.
func (p *planner) planBodies(e *archive.Entry, it *Item) {
	switch e.Kind {
	case "FUNCTION", "PROCEDURE", "VIEW", "MATERIALIZED VIEW", "RULE", "TRIGGER", "DEFAULT", "TABLE", "POLICY", "EVENT TRIGGER":
	default:
		return
	}
	if it.Verdict == Skip || p.src.name == p.dst.name {
		return
	}
	if len(p.src.bodies) > 0 {
		var names []string
		for _, m := range p.inBody().FindAllStringSubmatch(e.Create, -1) {
			if n := strings.ToLower(m[1]); !slices.Contains(names, n) && !p.hasSchema(n) {
				names = append(names, n)
			}
		}
		if len(names) > 0 {
			it.warn("uses %s, which exists at %s only", strings.Join(names, ", "), p.src.title)
		}
	}
	for _, h := range p.src.hosts {
		if strings.Contains(strings.ToLower(e.Create), h) {
			it.warn("names a host *%s: the target needs a way through its firewall", h)
		}
	}
}

// hasSchema says that the source has a schema of its own by a name.
func (p *planner) hasSchema(name string) bool {
	return slices.ContainsFunc(p.in.Entries, func(e archive.Entry) bool { return e.Kind == "SCHEMA" && e.Tag == name })
}
