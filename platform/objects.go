package platform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/quote"
)

// planEntry decides about one entry.
func (p *planner) planEntry(e *archive.Entry, it *Item) {
	if slices.Contains(p.src.schemas, e.Namespace) || e.Kind == "SCHEMA" && slices.Contains(p.src.schemas, e.Tag) {
		it.set(Skip, "belongs to %s", p.src.title)
		return
	}
	if p.ofMember(e, it) {
		return
	}
	switch e.Kind {
	case "ENCODING", "STDSTRINGS", "SEARCHPATH":
		return
	case "DATABASE", "DATABASE PROPERTIES":
		it.set(Skip, "the target's database %q is used, with the settings of the plan", p.in.Target.Database)
		return
	case "ACL", "ACL LANGUAGE":
		p.planACL(e, it)
		return
	case "DEFAULT ACL":
		p.planDefaultACL(e, it)
		return
	case "COMMENT":
		p.planComment(e, it)
		return
	case "SECURITY LABEL":
		p.planLabel(e, it)
		return
	case "EXTENSION":
		return // see planExtensions
	}
	p.planOwner(e, it)
	p.planTablespace(e, it)
	switch e.Kind {
	case "SCHEMA":
		p.planSchema(e, it)
	case "TABLE", "FOREIGN TABLE", "SEQUENCE":
		p.planTable(e, it)
	case "FUNCTION", "PROCEDURE":
		p.planFunction(e, it)
	case "POLICY":
		p.planPolicy(e, it)
	case "TYPE", "SHELL TYPE":
		p.planType(e, it)
	case "COLLATION":
		p.planCollation(e, it)
	case "SERVER":
		p.planServer(e, it)
	case "USER MAPPING":
		p.planUserMapping(e, it)
	case "EVENT TRIGGER":
		p.planEventTrigger(it)
	case "PUBLICATION", "PUBLICATION TABLES IN SCHEMA":
		p.planPublication(e, it)
	case "SUBSCRIPTION":
		p.planSubscription(it)
	case "CAST":
		p.planCast(e, it)
	case "TEXT SEARCH DICTIONARY":
		p.planDictionary(e, it)
	case "STATISTICS DATA":
		if p.in.Target.Version < 180000 {
			it.set(Skip, "statistics can be loaded from PostgreSQL 18 on: ANALYZE makes them anew")
		}
	case "BLOB", "BLOBS", "BLOB METADATA":
		if p.dst.largeObjects != "" && e.Kind != "BLOBS" {
			it.warn("%s", p.dst.largeObjects)
		}
	}
	p.planSuperuserOnly(e, it)
	p.planCollations(e, it)
	p.planBodies(e, it)
}

// ownable says that an entry's object has an owner of its own.
func ownable(e *archive.Entry) bool {
	return e.Owner != "" && (e.Drop != "" || e.Kind == "BLOB METADATA") && !part(e)
}

func (p *planner) planOwner(e *archive.Entry, it *Item) {
	if e.Owner == "" {
		return
	}
	it.Owner = p.owner(e.Owner)
	if it.Owner == e.Owner || !ownable(e) || e.Kind == "SCHEMA" && e.Tag == "public" {
		return
	}
	_, carried := p.plan.MapRole(e.Owner)
	switch {
	case carried:
		it.set(Map, "owner %s becomes %s", e.Owner, it.Owner)
	case slices.Contains(p.src.shared, e.Owner):
		it.set(Map, "owner %s becomes %s", e.Owner, it.Owner)
		it.warn("members of %s could do with it what its owner may: at the target only %s can", e.Owner, it.Owner)
	default:
		it.set(Map, "owner %s, which is not carried over, becomes %s", e.Owner, it.Owner)
	}
}

// owner maps an owner and notes that the role is needed.
func (p *planner) owner(name string) string {
	p.used[name] = true
	return p.plan.MapOwner(name)
}

// grantee maps a role that something is for and notes that it is needed.
func (p *planner) grantee(name string) (string, bool) {
	to, ok := p.plan.MapRole(name)
	if ok && p.roles[name] == nil && len(p.in.Source.Roles) > 0 && p.plan.Rules.Roles[name] == "" {
		return "", false // what a dropped role leaves behind: its number
	}
	if ok {
		p.used[name] = true
	}
	return to, ok
}

func (p *planner) planTablespace(e *archive.Entry, it *Item) {
	if e.Tablespace == nil || *e.Tablespace == "" {
		return
	}
	name := *e.Tablespace
	if p.super && slices.Contains(p.in.Target.Tablespaces, name) && !slices.Contains(p.src.tablespaces, name) {
		it.Tablespace = name
		return
	}
	it.set(Map, "from tablespace %s into the database's default", name)
}

func (p *planner) planSchema(e *archive.Entry, it *Item) {
	target := &p.in.Target
	to := p.plan.MapSchema(e.Tag)
	if to != e.Tag {
		p.planMappedSchema(e, it)
		if it.Drop != "" && strings.HasPrefix(it.SQL, "--") {
			return
		}
	} else if e.Tag == publicSchema {
		if p.super && !p.src.own(e.Owner, p.in.Source.Privileged) && !p.isAdmin(e.Owner) {
			return
		}
		if r := p.roles[e.Owner]; r != nil && r.Verdict != Skip && !predefined(e.Owner) && !p.isAdmin(e.Owner) && p.ownsDatabase() {
			return // a customer gave it to a role of his own
		}
		it.Owner = ""
		it.set(Map, "keeps the owner it has at the target")
		return
	}
	if slices.Contains(p.dst.schemas, to) {
		it.set(Block, "%s has a schema of this name for itself: give it another one with --map-schema", p.dst.title)
		return
	}
	if !p.super && !target.MayCreate {
		it.set(Block, "%q may not create schemas in database %q: GRANT CREATE ON DATABASE", target.User.Name, target.Database)
	}
}

func (p *planner) planTable(e *archive.Entry, it *Item) {
	logged, err := pgddl.Logged(e.Create)
	if err == nil && logged != e.Create {
		switch {
		case p.in.Rules.LogUnlogged:
			it.SQL = logged
			it.set(Rewrite, "unlogged at the source")
		case p.dst.forgetsUnlogged:
			it.warn("unlogged: its rows are gone whenever the server sleeps or restarts; --log-unlogged makes it a logged one")
		}
	}
}

func (p *planner) planPolicy(e *archive.Entry, it *Item) {
	policy, err := pgddl.ParsePolicy(e.Create)
	if err != nil {
		it.set(Block, "cannot read the roles it is for: %v", err)
		return
	}
	var roles []pgddl.Role
	var gone, renamed []string
	for _, r := range policy.Roles {
		if !r.Public {
			to, ok := p.grantee(r.Name)
			if !ok {
				gone = append(gone, r.Name)
				continue
			}
			if to != r.Name {
				renamed = append(renamed, r.Name)
			}
			r.Name = to
		}
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	switch {
	case len(roles) == 0:
		it.Verdict, it.Reason = Skip, "is for "+strings.Join(gone, ", ")+" only, which the target does not have"
		it.warn("is not made one for everybody: rows that it lets %s see are seen by owners and roles with BYPASSRLS", strings.Join(gone, ", "))
		return
	case len(gone) == 0 && len(renamed) == 0:
		return
	}
	policy.Roles = roles
	it.SQL = policy.String() + ";\n"
	if len(gone) > 0 {
		it.set(Map, "%s, which the target does not have, left out of its roles", strings.Join(gone, ", "))
	}
	if len(renamed) > 0 {
		it.set(Map, "roles have other names")
	}
	if slices.ContainsFunc(roles, func(r pgddl.Role) bool { return r.Name == p.in.Target.User.Name }) && p.in.Target.User.BypassRLS {
		it.warn("%q passes row-level security by at the target", p.in.Target.User.Name)
	}
}

func (p *planner) planComment(e *archive.Entry, it *Item) {
	parent := p.parent(e)
	switch {
	case strings.HasPrefix(e.Tag, "EXTENSION ") && !p.super:
		it.set(Skip, "comments on extensions come with them")
	case strings.HasPrefix(e.Tag, "DATABASE "):
		c, err := pgddl.ParseComment(e.Create)
		switch {
		case err != nil:
			it.set(Skip, "cannot read it: %v", err)
		case !p.ownsDatabase():
			it.set(Skip, "the database belongs to %q at the target", p.in.Target.Owner)
		default:
			if sql := "COMMENT ON DATABASE " + quote.Ident(p.in.Target.Database) + " IS " + quote.Literal(c.Text) + ";\n"; sql != e.Create {
				it.SQL = sql
				it.set(Map, "the database has another name")
			}
		}
	case parent != nil && p.items[parent.ID].Verdict == Skip:
		it.set(Skip, "belongs to %s, which is skipped", describe(parent))
	}
}

// parent returns the entry that a satellite is about, nil if it has none.
func (p *planner) parent(e *archive.Entry) *archive.Entry {
	for _, id := range e.After {
		if d := p.byID[id]; d != nil && d.Kind != "ACL" {
			return d
		}
	}
	return nil
}

func (p *planner) planLabel(e *archive.Entry, it *Item) {
	l, err := pgddl.ParseLabel(e.Create)
	switch {
	case err != nil:
		it.set(Skip, "cannot read its provider: %v", err)
		it.warn("the label is lost")
	case slices.Contains(p.dst.labels, l.Provider):
	case p.dst.name == Plain && p.src.name == Plain:
		it.warn("needs the provider %s to be loaded at the target", l.Provider)
	case strings.HasPrefix(e.Tag, "DATABASE ") || l.Provider != "":
		it.set(Skip, "the target does not have the provider %s", l.Provider)
	}
}

func (p *planner) planEventTrigger(it *Item) {
	switch {
	case p.super:
	case p.dst.eventTriggers:
		if it.Owner != "" {
			it.set(Map, "belongs to %s: owners of event triggers cannot be changed", p.in.Target.User.Name)
		}
		it.Owner = ""
	default:
		it.set(Block, "only a superuser may create event triggers at the target: drop it at the source, or skip it in the plan")
	}
}

func (p *planner) planPublication(e *archive.Entry, it *Item) {
	all := e.Kind == "PUBLICATION TABLES IN SCHEMA"
	if pub, err := pgddl.ParsePublication(e.Create); e.Kind == "PUBLICATION" && err == nil {
		all = pub.AllTables
		if strings.HasPrefix(pub.Name, "pghaul_") {
			it.set(Skip, "is a migration's own")
			return
		}
	}
	// A publication whose schemas are added later is like one for all tables.
	if e.Kind == "PUBLICATION" && !all {
		for _, id := range p.needs[e.ID] {
			all = all || p.byID[id].Kind == "PUBLICATION TABLES IN SCHEMA"
		}
	}
	switch {
	case !all || p.super:
	case !p.dst.allTables:
		it.set(Block, "only a superuser may publish all tables or those of a schema at the target: list the tables, or skip it in the plan")
	case e.Kind == "PUBLICATION":
		if it.Owner != p.in.Target.User.Name {
			it.set(Map, "belongs to %s: the owner of such a publication cannot be changed", p.in.Target.User.Name)
		}
		it.Owner = ""
	}
}

func (p *planner) planSubscription(it *Item) {
	switch {
	case !p.in.Rules.Subscriptions && (!p.super || p.src.name != Plain || p.dst.name != Plain):
		it.set(Skip, "subscriptions are not carried over: a second one would take the changes of the first")
		it.warn("--subscriptions creates it, disabled and not connected")
	case !p.super && p.in.Target.Version < 160000 && !p.dst.subscriptions:
		it.set(Block, "only a superuser may create subscriptions at the target")
	default:
		it.warn("comes disabled and not connected: enable it when the other one is gone")
	}
}

// planSuperuserOnly blocks what only superusers may create.
func (p *planner) planSuperuserOnly(e *archive.Entry, it *Item) {
	if p.super || it.Verdict == Skip {
		return
	}
	what := ""
	switch e.Kind {
	case "OPERATOR CLASS":
		what = "operator classes"
	case "OPERATOR FAMILY":
		what = "operator families"
	case "ACCESS METHOD":
		what = "access methods"
	case "TEXT SEARCH PARSER":
		what = "text search parsers"
	case "TEXT SEARCH TEMPLATE":
		what = "text search templates"
	case "FOREIGN DATA WRAPPER":
		what = "foreign-data wrappers"
	case "PROCEDURAL LANGUAGE":
		what = "languages"
	case "TABLESPACE":
		it.set(Skip, "tablespaces are the platform's")
		return
	}
	if what != "" {
		it.set(Block, "only a superuser may create %s at the target: %s", what, p.wayOut(e))
	}
}

// wayOut tells how to go on without an entry, and what that would cost.
func (p *planner) wayOut(e *archive.Entry) string {
	var behind []string
	for _, id := range p.hanging(e.ID) {
		if d := p.byID[id]; counts(d) {
			behind = append(behind, describe(d))
		}
	}
	if len(behind) == 0 {
		return "drop it at the source, or skip it in the plan"
	}
	more := ""
	if len(behind) > 10 {
		more = fmt.Sprintf(" and %d more", len(behind)-10)
		behind = behind[:10]
	}
	return "drop it at the source, or skip it in the plan with what needs it (" + strings.Join(behind, ", ") + more + ")"
}
