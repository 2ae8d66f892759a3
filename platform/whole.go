package platform

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// planMissingRoles blocks roles that are needed and will not be there, and
// those that exist and cannot be made owners.
func (p *planner) planMissingRoles() {
	owners := map[string]bool{}
	for i := range p.plan.Items {
		it, e := &p.plan.Items[i], p.byID[p.plan.Items[i].ID]
		if it.Verdict != Skip && ownable(e) && it.Owner != "" {
			owners[e.Owner] = true
		}
	}
	for i := range p.plan.Roles {
		it := &p.plan.Roles[i]
		switch {
		case !p.used[it.From]:
		case it.Verdict == Skip && it.To != "":
			it.Verdict = Block
			it.Reason += ": create it, map it with --role-map, or leave --no-roles out"
		case owners[it.From] && it.Exists && it.To != "" && !p.mayBecome(it.To) && !predefined(it.To):
			it.Verdict = Block
			it.Reason = join(it.Reason, fmt.Sprintf("%q cannot make it an owner: have somebody GRANT %s TO %s at the target, or map it with --role-map",
				p.in.Target.User.Name, quote.Ident(it.To), quote.Ident(p.in.Target.User.Name)))
		}
	}
	// Roles that no facts tell of, in an archive of pg_dump, must be there.
	for _, name := range slices.Sorted(maps.Keys(p.used)) {
		if p.roles[name] != nil || name == "" {
			continue
		}
		if to, ok := p.plan.MapRole(name); ok && p.in.Target.role(to) == nil && !p.in.Rules.NoRoles && to != p.in.Target.User.Name {
			p.note(Block, "role %q is not known at the source and not at the target: create it, or map it with --role-map", name)
		}
	}
}

// planWhole notes what concerns no single object.
func (p *planner) planWhole() {
	source, target := &p.in.Source, &p.in.Target
	for _, u := range source.Unread {
		p.note(Warn, "could not be read at the source: %s", u)
	}
	for _, u := range target.Unread {
		p.note(Warn, "could not be read at the target: %s", u)
	}
	if p.src.name != Plain && slices.Contains(p.src.databases, source.Database) {
		p.note(Block, "database %q belongs to %s: migrate the one with your objects", source.Database, p.src.title)
	}
	if slices.Contains(p.dst.noTarget, target.Database) {
		p.note(Block, "database %q belongs to %s: create another one at the target and name it", target.Database, p.dst.title)
	}
	if host, pooled := source.Platform.DirectHost(source.Host); pooled {
		p.note(Warn, "host %s of the source is a connection pooler's: %s is used", source.Host, host)
	}
	if host, pooled := target.Platform.DirectHost(target.Host); pooled {
		p.note(Warn, "host %s of the target is a connection pooler's: %s is used", target.Host, host)
	}
	if target.Version/10000 < source.Version/10000 {
		p.note(Warn, "the target is PostgreSQL %d, older than the source's %d: definitions that it does not know will fail", target.Version/10000, source.Version/10000)
	}
	p.planDatabase()
	if source.Version >= 150000 && target.Version > 0 && target.PublicCreate && !source.PublicCreate && source.User.Name != "" {
		p.note(Warn, "everybody may create objects in schema public at the target, and not at the source: REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	}
	if name := p.dst.sizeLimit; name != "" {
		limit, err := strconv.ParseInt(target.Parameters[name].Value, 10, 64)
		if err == nil && limit > 0 && source.Size > limit<<20 {
			p.note(Block, "the source has %d MB, and the target may grow to %d MB (%s): raise the limit or leave data out", source.Size>>20, limit, name)
		}
	}
}

// planDatabase notes what becomes of the database's own owner.
func (p *planner) planDatabase() {
	source, target := &p.in.Source, &p.in.Target
	if source.Owner == "" || target.Owner == "" {
		return
	}
	if to := p.plan.MapOwner(source.Owner); to != target.Owner {
		p.note(Warn, "database %q belongs to %q at the target and not to %q: ALTER DATABASE … OWNER TO, if that matters", target.Database, target.Owner, to)
	}
}

// planEstimate guesses how long it takes.
func (p *planner) planEstimate() {
	p.plan.Estimate.Bytes = max(p.in.Source.Size, 0)
	if p.plan.Estimate.Bytes > 0 {
		p.plan.Estimate.Seconds = 5 + p.plan.Estimate.Bytes/bytesPerSecond
	}
}

// bytesPerSecond is what a migration over a network moves, indexes included, on
// a small target: a guess that errs on the slow side.
const bytesPerSecond = 20 << 20

// planCron writes the script that schedules the jobs of pg_cron again.
func (p *planner) planCron() {
	if p.keepsCron() {
		return
	}
	var jobs []CronJob
	for _, j := range p.in.Source.CronJobs {
		if j.Database == "" || j.Database == p.in.Source.Database {
			jobs = append(jobs, j)
		}
	}
	if n := len(p.in.Source.CronJobs) - len(jobs); n > 0 {
		p.note(Warn, "jobs of pg_cron for other databases stay behind: %d", n)
	}
	if len(jobs) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("-- Jobs of pg_cron at the source. Run this in the database that\n-- cron.database_name names at the target, where pg_cron is installed.\n")
	if p.dst.cron != "" {
		b.WriteString("-- " + p.dst.cron + ".\n")
	}
	for _, j := range jobs {
		user := p.plan.MapOwner(j.User)
		name := j.Name
		if name == "" {
			name = fmt.Sprintf("job %d", j.ID)
		}
		if !j.Active {
			b.WriteString("-- This one is not active.\n")
		}
		fmt.Fprintf(&b, "SELECT cron.schedule_in_database(%s, %s, %s, %s, %s, %v);\n", quote.Literal(name), quote.Literal(j.Schedule),
			quote.Literal(j.Command), quote.Literal(p.in.Target.Database), quote.Literal(user), j.Active)
	}
	p.plan.CronScript = b.String()
	text := fmt.Sprintf("jobs of pg_cron that are not scheduled at the target: %d; the plan has a script that does", len(jobs))
	if p.dst.cron != "" {
		text += "; " + p.dst.cron
	}
	p.note(Warn, "%s", text)
}

// kinds of objects that a relation of one schema shares its name with.
func relation(kind string) bool {
	switch kind {
	case "table", "view", "materialized view", "sequence", "foreign table", "type", "domain":
		return true
	}
	return false
}

// planCollisions compares what comes with what the target has.
func (p *planner) planCollisions() {
	target := &p.in.Target
	var have []Object
	for _, o := range target.Objects {
		switch {
		case slices.Contains(p.dst.schemas, o.Schema), o.Kind == "schema" && slices.Contains(p.dst.schemas, o.Name):
		case o.Kind == "schema" && p.mappedTo(o.Name): // somebody has said that things go there
		default:
			have = append(have, o)
		}
	}
	if len(have) == 0 {
		return
	}
	coming := map[Object]*Item{}
	for i := range p.plan.Items {
		it, e := &p.plan.Items[i], p.byID[p.plan.Items[i].ID]
		if it.Verdict == Skip {
			continue
		}
		if e.Kind == "BLOB METADATA" { // which lists many
			for oid := range strings.FieldsSeq(e.Create) {
				coming[Object{Kind: largeObject, Name: oid}] = it
			}
		} else if o, ok := p.objectOf(e); ok {
			coming[o] = it
		}
	}
	var same, others []Object
	for _, o := range have {
		if coming[o.key()] != nil {
			same = append(same, o)
		} else {
			others = append(others, o)
		}
	}
	switch p.in.Rules.Collision {
	case Refuse:
		p.note(Block, "the target has objects already (%s): empty it, or drop what bears the name of something that comes with --clean, "+
			"or leave what does not collide with --if-exists", listObjects(have))
		return
	case Ignore:
		var relations []Object
		for _, o := range same {
			if o.Kind != "schema" {
				relations = append(relations, o)
			}
		}
		if len(relations) > 0 {
			p.note(Block, "the target has objects that come from the source, too (%s): drop them with --clean", listObjects(relations))
			return
		}
	case Clean:
		p.drops(same, others)
	}
	for i := range p.plan.Items {
		it := &p.plan.Items[i]
		e := p.byID[it.ID]
		if e.Kind != "SCHEMA" || it.Verdict == Skip || e.Tag == publicSchema || p.plan.MapSchema(e.Tag) != e.Tag {
			continue
		}
		o := Object{Kind: "schema", Name: e.Tag}
		if slices.Contains(have, o) && !slices.ContainsFunc(p.plan.Drops, func(d Drop) bool { return d.Object == o }) {
			it.SQL = "CREATE SCHEMA IF NOT EXISTS " + quote.Ident(e.Tag) + ";\n"
			it.set(Rewrite, "the target has it already")
		}
	}
}

// key is the object as something that shares its name is looked up by.
func (o Object) key() Object {
	switch {
	case relation(o.Kind):
		o.Kind = "relation"
	case o.Kind == "procedure" || o.Kind == "aggregate" || o.Kind == "function":
		o.Kind, o.Name = "function", unquoted(o.Name)
	case o.Kind == "operator":
		o.Name, _, _ = strings.Cut(o.Name, " ") // as far as an entry tells
	}
	return o
}

// unquoted is a function's name and arguments as an entry's tag has them: the
// name without quotes.
func unquoted(signature string) string {
	if !strings.HasPrefix(signature, `"`) {
		return signature
	}
	var name strings.Builder
	for i := 1; i < len(signature); i++ {
		if signature[i] == '"' {
			if !strings.HasPrefix(signature[i:], `""`) {
				return name.String() + signature[i+1:]
			}
			i++
		}
		name.WriteByte(signature[i])
	}
	return signature
}

// mappedTo says that a schema of the source is to become another one.
func (p *planner) mappedTo(name string) bool {
	for from, to := range p.in.Rules.Schemas {
		if to == name && from != name {
			return true
		}
	}
	return false
}

// objectOf returns the object that an entry makes at the target, by its key.
func (p *planner) objectOf(e *archive.Entry) (Object, bool) {
	schema, name := p.plan.MapSchema(e.Namespace), p.plan.mapTag(e)
	switch e.Kind {
	case "SCHEMA":
		return Object{Kind: "schema", Name: name}, name != publicSchema
	case "TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FOREIGN TABLE", "TYPE", "DOMAIN", "SHELL TYPE":
		return Object{"relation", schema, name}, true
	case "FUNCTION", "PROCEDURE", "AGGREGATE":
		return Object{"function", schema, name}, true
	case "BLOB":
		return Object{Kind: largeObject, Name: name}, true
	case "OPERATOR", "COLLATION", "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "EVENT TRIGGER", "PUBLICATION", "SERVER":
		return Object{strings.ToLower(e.Kind), schema, name}, true
	}
	return Object{}, false
}

// largeObject is the kind of large objects, which are named by their OIDs.
const largeObject = "large object"

func (o Object) String() string {
	if o.Schema == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Schema + "." + o.Name
}

func listObjects(list []Object) string {
	names := make([]string, 0, len(list))
	for _, o := range list {
		names = append(names, o.String())
	}
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + fmt.Sprintf(" and %d more", len(names)-10)
	}
	return strings.Join(names, ", ")
}

// dropOrder is the order of kinds in which what needs others goes first.
var dropOrder = []string{
	"event trigger", "publication", "materialized view", "view", "foreign table", "table", "sequence", "operator", "procedure", "aggregate", "function", "domain", "type",
	"text search configuration", "text search dictionary", "collation", "server", "schema",
}

// unlinks names the large objects that are dropped, many in one statement.
func (p *planner) unlinks(same []Object) {
	var oids []string
	for _, o := range same {
		if o.Kind == largeObject {
			oids = append(oids, o.Name)
		}
	}
	const most = 500 // each of them is locked
	for some := range slices.Chunk(oids, most) {
		p.plan.Drops = append(p.plan.Drops, Drop{
			Object: Object{Kind: "large objects", Name: some[0] + " to " + some[len(some)-1]},
			SQL: "SELECT pg_catalog.count(pg_catalog.lo_unlink(l.oid)) FROM pg_catalog.pg_largeobject_metadata l WHERE l.oid IN (" +
				strings.Join(some, ", ") + ");\n",
		})
	}
}

// drops names what is dropped: one statement a kind, so that objects of one kind
// that need each other go together. CASCADE is only used where everything that
// the target has is named, since otherwise it could take what is not.
func (p *planner) drops(same, others []Object) {
	p.unlinks(same)
	cascade := ""
	if len(others) == 0 {
		cascade = " CASCADE"
	}
	for _, kind := range dropOrder {
		for _, o := range same {
			if o.Kind != kind {
				continue
			}
			if kind == "schema" && slices.ContainsFunc(others, func(x Object) bool { return x.Schema == o.Name }) {
				continue // something stays in it
			}
			if kind == "schema" && slices.ContainsFunc(p.in.Target.Extensions, func(x Extension) bool { return x.Schema == o.Name }) {
				continue // an extension stays in it
			}
			name := quote.Qualified(o.Schema, o.Name)
			if kind == "function" || kind == "procedure" || kind == "aggregate" || kind == "operator" {
				name = quote.Ident(o.Schema) + "." + o.Name // is SQL already
				if kind == "aggregate" && strings.HasSuffix(o.Name, "()") {
					name = strings.TrimSuffix(name, "()") + "(*)"
				}
			}
			end := cascade
			switch {
			case kind == "schema":
				end = ""
			case kind == "server" && !slices.ContainsFunc(others, func(x Object) bool { return x.Kind == "foreign table" }):
				end = " CASCADE" // takes its user mappings, which are of no use without it
			}
			p.plan.Drops = append(p.plan.Drops, Drop{Object: o, SQL: "DROP " + strings.ToUpper(kind) + " IF EXISTS " + name + end + ";\n"})
		}
	}
}
