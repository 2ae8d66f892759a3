package ui

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pghaul/pghaul/platform"
)

// PlanStyle says how to write a plan.
type PlanStyle struct {
	// Width is how many columns a line has.
	Width int
	// All names every object instead of a few of each group.
	All bool
	// Brief leaves out the ends, memberships and settings, and names fewer objects,
	// for the beginning of a run.
	Brief bool
}

// WritePlan writes a plan for people: how much of everything there is, and what
// does not go over as it is, with the reasons, in groups. What blocks comes last,
// where a terminal shows it.
func WritePlan(w io.Writer, p *platform.Plan, style PlanStyle) error {
	v := &planView{p: p, style: style, customers: map[string]bool{}}
	for _, it := range p.Roles {
		if it.Verdict != platform.Skip && !it.Exists {
			v.customers[cmp.Or(it.To, it.From)] = true
		}
	}
	v.ends()
	v.counts()
	v.roles()
	if !style.Brief {
		v.memberships()
		v.settings()
	}
	v.extensions()
	v.cron()
	v.objects("Skipped (stays behind)", platform.Skip)
	v.objects("Mapped (other owner, grantees or names)", platform.Map)
	v.objects("Rewritten (other definition)", platform.Rewrite)
	v.warnings()
	v.drops()
	v.blocks()
	_, err := io.WriteString(w, v.b.String())
	return err
}

// Warnings are the texts of all warnings of a plan.
func Warnings(p *platform.Plan) map[string]bool {
	texts := map[string]bool{}
	for _, note := range p.Notes {
		texts[note.Text] = true
	}
	for _, it := range p.Roles {
		for _, w := range it.Warnings {
			texts[w] = true
		}
	}
	for _, it := range p.Extensions {
		for _, w := range it.Warnings {
			texts[w] = true
		}
	}
	for _, it := range p.Items {
		for _, w := range it.Warnings {
			texts[w] = true
		}
	}
	return texts
}

type planView struct {
	p     *platform.Plan
	style PlanStyle
	b     strings.Builder
	// customers are the roles, by their names at the target, that the source's
	// owner has made, apart from the platform's and PostgreSQL's own.
	customers map[string]bool
}

// A bunch is a group of things of which the same is said.
type bunch struct {
	label string
	text  string
	names []string
}

// bunches gathers things in the order in which their groups first appear.
type bunches struct{ list []*bunch }

func (b *bunches) add(label, text, name string) {
	i := slices.IndexFunc(b.list, func(x *bunch) bool { return x.label == label && x.text == text })
	if i < 0 {
		b.list = append(b.list, &bunch{label: label, text: text})
		i = len(b.list) - 1
	}
	b.list[i].names = append(b.list[i].names, name)
}

// facts puts the groups into the order in which facts are told.
func (b *bunches) facts() []*bunch {
	order := []string{"create", "map", "keep", "skip"}
	out := slices.Clone(b.list)
	slices.SortStableFunc(out, func(x, y *bunch) int {
		return cmp.Compare(slices.Index(order, x.label), slices.Index(order, y.label))
	})
	return out
}

// largest puts the groups with the most in them first.
func (b *bunches) largest() []*bunch {
	out := slices.Clone(b.list)
	slices.SortStableFunc(out, func(x, y *bunch) int { return cmp.Compare(len(y.names), len(x.names)) })
	return out
}

// wrap writes a text after a first margin, on as many lines as it takes, the
// further ones after a margin of their own.
func (v *planView) wrap(first, margin, text string) {
	line := first
	room := func() int { return v.style.Width - columns(line) }
	empty := true
	for word := range strings.FieldsSeq(plain(text)) {
		if !empty && columns(word)+1 > room() {
			v.b.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = margin, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	v.b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// factWidth is the width of the first column of the table of facts.
const factWidth = 13

// fact writes a line of the table of facts.
func (v *planView) fact(name, text string) {
	v.wrap(fmt.Sprintf("%-*s", factWidth, name), strings.Repeat(" ", factWidth), text)
}

// title begins a section.
func (v *planView) title(text string) {
	v.b.WriteByte('\n')
	v.wrap("", "  ", text)
}

// group writes how many there are, what is said of them, and their names.
func (v *planView) group(n int, text string, names []string) {
	const margin = "       "
	v.wrap(fmt.Sprintf("%5s  ", Count(int64(n))), margin, text)
	v.names(margin, names)
}

// names writes names, a few of them or all.
func (v *planView) names(margin string, names []string) {
	if len(names) == 0 {
		return
	}
	lines := 2
	if v.style.Brief {
		lines = 1
	}
	names = shorten(names)
	if v.style.All {
		v.wrap(margin, margin, strings.Join(names, ", "))
		return
	}
	room := lines * (v.style.Width - len(margin))
	shown := 0
	for used := 0; shown < len(names); shown++ {
		if used += columns(names[shown]) + 2; used > room-len(", and 9,999 more") && shown > 0 {
			break
		}
	}
	text := strings.Join(names[:shown], ", ")
	if rest := len(names) - shown; rest > 0 {
		text += fmt.Sprintf(", and %s more", Count(int64(rest)))
	}
	v.wrap(margin, margin, text)
}

// shorten says what kind of thing something is only where that changes.
func shorten(names []string) []string {
	out := make([]string, len(names))
	last := ""
	for i, name := range names {
		kind, rest, found := strings.Cut(name, kindEnd)
		switch {
		case !found:
			out[i] = name
		case kind == last:
			out[i] = rest
		default:
			out[i] = kind + " " + rest
		}
		last = kind
	}
	return out
}

// kindEnd separates the kind of a thing from its name until both are written.
const kindEnd = "\x00"

func (v *planView) ends() {
	if v.style.Brief {
		return
	}
	for _, e := range []struct {
		name  string
		facts *platform.Facts
		size  bool
	}{{"Source", &v.p.Source, true}, {"Target", &v.p.Target, false}} {
		f := e.facts
		text := fmt.Sprintf("%s %d", f.Platform.Title(), f.Version/10000)
		if f.Platform == platform.Plain {
			text = fmt.Sprintf("PostgreSQL %d", f.Version/10000)
		}
		if f.Database != "" {
			text += ", database " + f.Database
		}
		if f.Host != "" {
			text += " on " + f.Host
		}
		if f.User.Name != "" {
			text += ", as " + f.User.Name
		}
		v.fact(e.name, text)
	}
	if est := v.p.Estimate; est.Bytes > 0 {
		text := Bytes(est.Bytes)
		if est.Seconds > 0 {
			text += ", about " + Duration(time.Duration(est.Seconds)*time.Second) + " on a small target"
		}
		v.fact("Size", text)
	}
}

// counts says how many objects get which verdict.
func (v *planView) counts() {
	count := map[platform.Verdict]int{}
	for _, it := range v.p.Items {
		count[it.Verdict]++
	}
	var parts []string
	for _, x := range []struct {
		verdict platform.Verdict
		text    string
	}{
		{platform.Keep, "kept"},
		{platform.Warn, "kept with a warning"},
		{platform.Map, "mapped"},
		{platform.Rewrite, "rewritten"},
		{platform.Skip, "skipped"},
		{platform.Block, "blocked"},
	} {
		if n := count[x.verdict]; n > 0 || x.verdict == platform.Keep {
			parts = append(parts, Count(int64(n))+" "+x.text)
		}
	}
	v.fact("Objects", strings.Join(parts, ", "))
}

func (v *planView) roles() {
	var b bunches
	logins := 0
	for _, it := range v.p.Roles {
		name := quoteName(it.From)
		switch {
		case it.Verdict == platform.Block: // told under blocks
		case it.Verdict == platform.Skip:
			b.add("skip", it.Reason, name)
		case it.To != "" && it.To != it.From:
			b.add("map", it.Reason, name+" → "+quoteName(it.To))
		case it.Exists && strings.HasPrefix(it.From, "pg_"):
			if v.style.All {
				b.add("keep", it.Reason, name)
			}
		case it.Exists:
			b.add("keep", it.Reason, name)
		default:
			if it.Role.Login {
				logins++
				name += " (login)"
			}
			b.add("create", it.Reason, name)
		}
	}
	v.facts("Roles", &b)
	if logins > 0 {
		v.fact("Passwords", fmt.Sprintf("%s one: yours by --passwords FILE, else a new one, written to --password-file FILE",
			needs(logins, "login role")))
	}
}

func needs(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " needs"
	}
	return Plural(int64(n), noun) + " need"
}

// facts writes groups as lines of the table of facts.
func (v *planView) facts(name string, b *bunches) {
	for _, x := range b.facts() {
		text := strings.TrimSpace(x.label + " " + strings.Join(v.few(x.names), ", "))
		if x.text != "" {
			text += ": " + x.text
		}
		v.fact(name, text)
		name = ""
	}
}

// few are the names to show on a line of facts.
func (v *planView) few(names []string) []string {
	const most = 8
	names = shorten(names)
	if v.style.All || len(names) <= most {
		return names
	}
	return append(slices.Clone(names[:most]), fmt.Sprintf("and %s more", Count(int64(len(names)-most))))
}

// A tally counts the things of which nothing needs to be said.
type tally struct{ kept, skipped int }

// others says how many there are, in front of the groups of those that are told.
func (v *planView) others(name string, t tally, b *bunches) {
	var parts []string
	if t.kept > 0 {
		parts = append(parts, "keep "+Count(int64(t.kept)))
	}
	if t.skipped > 0 {
		parts = append(parts, fmt.Sprintf("skip %s that come with the servers", Count(int64(t.skipped))))
	}
	if len(parts) > 0 {
		v.fact(name, strings.Join(parts, ", "))
		name = ""
	}
	v.facts(name, b)
}

func (v *planView) memberships() {
	var b bunches
	var t tally
	for _, it := range v.p.Memberships {
		m := it.Membership
		switch {
		case it.Verdict == platform.Block:
		case it.Verdict == platform.Skip && !v.style.All && !v.customers[m.Member]:
			t.skipped++
		case it.Verdict == platform.Skip, it.Verdict == platform.Warn:
			b.add(string(it.Verdict), it.Reason, quoteName(m.Member)+" in "+quoteName(m.Role))
		default:
			t.kept++
		}
	}
	v.others("Memberships", t, &b)
}

func (v *planView) settings() {
	var b bunches
	var t tally
	for _, it := range v.p.Settings {
		set := it.Setting
		switch {
		case it.Verdict == platform.Block:
		case it.Verdict == platform.Skip && !v.style.All && set.Role != "" && !v.customers[set.Role]:
			t.skipped++
		case it.Verdict == platform.Skip, it.Verdict == platform.Warn:
			name := set.Name
			if set.Role != "" {
				name += " of " + quoteName(set.Role)
			}
			b.add(string(it.Verdict), it.Reason, name)
		default:
			t.kept++
		}
	}
	v.others("Settings", t, &b)
}

func (v *planView) extensions() {
	var b bunches
	for _, it := range v.p.Extensions {
		name := it.Name
		switch {
		case it.Verdict == platform.Block:
			continue
		case it.Verdict == platform.Skip:
			b.add("skip", it.Reason, name)
			continue
		case it.Name == "plpgsql" && it.Exists && len(it.Warnings) == 0 && !v.style.All:
			continue // is everywhere
		case it.Source != "" && it.Target != "" && it.Source != it.Target:
			name += " " + it.Source + " → " + it.Target
		default:
			name += " " + cmp.Or(it.Target, it.Source)
		}
		label := "create"
		if it.Exists {
			label = "keep"
		}
		b.add(label, it.Reason, name)
	}
	v.facts("Extensions", &b)
}

func (v *planView) objects(title string, verdict platform.Verdict) {
	var b bunches
	n, extensions := 0, 0
	for _, it := range v.p.Items {
		switch {
		case it.Verdict != verdict:
			continue
		case !v.style.All && v.p.OfExtension(&it):
			extensions++
		default:
			b.add("", cmp.Or(it.Reason, "no reason is given"), itemName(&it))
		}
		n++
	}
	if n == 0 {
		return
	}
	v.title(fmt.Sprintf("%s: %s", title, Plural(int64(n), "object")))
	for _, x := range b.largest() {
		v.group(len(x.names), x.text, x.names)
	}
	if extensions > 0 {
		v.group(extensions, "extensions, told above, and their comments", nil)
	}
}

// warnings are about what goes over, or stays behind with consequences.
func (v *planView) warnings() {
	var b bunches
	for _, note := range v.p.Notes {
		if note.Verdict != platform.Block {
			b.add("note", note.Text, "")
		}
	}
	for _, it := range v.p.Roles {
		for _, text := range it.Warnings {
			b.add("", text, "role"+kindEnd+plain(quoteName(cmp.Or(it.To, it.From))))
		}
	}
	for _, it := range v.p.Extensions {
		for _, text := range it.Warnings {
			b.add("", text, "extension"+kindEnd+plain(it.Name))
		}
	}
	for _, it := range v.p.Items {
		for _, text := range it.Warnings {
			b.add("", text, itemName(&it))
		}
		if it.Verdict == platform.Warn && it.Reason != "" {
			b.add("", it.Reason, itemName(&it))
		}
	}
	if len(b.list) == 0 {
		return
	}
	v.title("Warnings: what may be different at the target")
	for _, x := range b.list {
		if x.label == "note" {
			v.wrap("    -  ", "       ", x.text)
			continue
		}
		v.group(len(x.names), x.text, x.names)
	}
}

func (v *planView) drops() {
	if len(v.p.Drops) == 0 {
		return
	}
	v.title(fmt.Sprintf("Dropped from the target first: %s", Plural(int64(len(v.p.Drops)), "object")))
	for _, d := range v.p.Drops { // all of them: nothing is dropped unseen
		v.wrap("       ", "         ", strings.TrimSpace(d.SQL))
	}
}

func (v *planView) cron() {
	if v.p.CronScript == "" {
		return
	}
	n := strings.Count(v.p.CronScript, "SELECT cron.schedule")
	v.fact("pg_cron", fmt.Sprintf("migrate --cron-script FILE writes a script that schedules %s again", Plural(int64(n), "job")))
	if v.style.All {
		for line := range strings.Lines(v.p.CronScript) {
			v.b.WriteString(strings.Repeat(" ", factWidth) + plain(strings.TrimRight(line, "\n")) + "\n")
		}
	}
}

// blocks tells everything that has to be decided, each with its way out.
func (v *planView) blocks() {
	n := len(v.p.Blocked())
	if n == 0 {
		return
	}
	v.title(fmt.Sprintf("BLOCKED: %s to decide first", things(n)))
	block := func(name, reason string, list []string) {
		text := reason
		if name != "" {
			text = name + ": " + reason
		}
		v.wrap("    !  ", "       ", text)
		v.names("       ", list)
	}
	for _, it := range v.p.Notes {
		if it.Verdict == platform.Block {
			block("", it.Text, nil)
		}
	}
	for _, it := range v.p.Roles {
		if it.Verdict == platform.Block {
			block("role "+quoteName(it.From), it.Reason, nil)
		}
	}
	for _, it := range v.p.Memberships {
		if it.Verdict == platform.Block {
			block("membership of "+quoteName(it.Membership.Member)+" in "+quoteName(it.Membership.Role), it.Reason, nil)
		}
	}
	for _, it := range v.p.Settings {
		if it.Verdict == platform.Block {
			block("setting "+it.Setting.Name, it.Reason, nil)
		}
	}
	for _, it := range v.p.Extensions {
		if it.Verdict == platform.Block {
			block("extension "+it.Name, it.Reason, it.Dependents)
		}
	}
	var b bunches
	for _, it := range v.p.Items {
		if it.Verdict == platform.Block && (v.style.All || !v.p.OfExtension(&it)) {
			b.add("", it.Reason, itemName(&it))
		}
	}
	for _, x := range b.largest() {
		v.group(len(x.names), x.text, x.names)
	}
}

func things(n int) string {
	if n == 1 {
		return "1 thing"
	}
	return Count(int64(n)) + " things"
}

// partKinds are what the tags of privileges, comments and labels begin with.
var partKinds = []string{
	"MATERIALIZED VIEW", "FOREIGN DATA WRAPPER", "FOREIGN SERVER", "FOREIGN TABLE", "LARGE OBJECTS", "LARGE OBJECT",
	"TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "EVENT TRIGGER", "ACCESS METHOD", "OPERATOR CLASS", "OPERATOR FAMILY",
	"TABLE", "VIEW", "SEQUENCE", "SCHEMA", "FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "DOMAIN", "LANGUAGE", "DATABASE", "COLUMN",
	"EXTENSION", "SERVER", "INDEX", "CONSTRAINT", "TRIGGER", "POLICY", "RULE", "COLLATION", "CONVERSION", "CAST", "OPERATOR",
	"PUBLICATION", "SUBSCRIPTION", "STATISTICS", "ROUTINE", "TRANSFORM", "PARAMETER",
}

// itemName names an object as people would: "table app.orders", "privileges on
// function pg_catalog.pg_stat_reset()".
func itemName(it *platform.Item) string {
	kind, name := strings.ToLower(it.Kind), it.Name
	switch it.Kind {
	case "ACL", "COMMENT", "SECURITY LABEL":
		part := ""
		for _, p := range partKinds {
			if rest, ok := strings.CutPrefix(name, p+" "); ok {
				part, name = strings.ToLower(p), rest
				break
			}
		}
		kind = strings.TrimSpace(map[string]string{"ACL": "privileges on ", "COMMENT": "comment on ", "SECURITY LABEL": "label on "}[it.Kind] + part)
	case "DEFAULT ACL":
		kind, name = "default privileges", strings.ToLower(strings.TrimPrefix(name, "DEFAULT PRIVILEGES "))
		if it.Schema != "" {
			return kind + kindEnd + name + " in schema " + plain(it.Schema)
		}
	case "USER MAPPING":
		name = "for " + strings.Replace(strings.TrimPrefix(name, "USER MAPPING "), " SERVER ", " on server ", 1)
	case "TABLE DATA", "SEQUENCE SET", "BLOB METADATA", "BLOBS", "LARGE OBJECT":
		kind = map[string]string{
			"TABLE DATA": "rows of", "SEQUENCE SET": "position of", "BLOB METADATA": "large object", "BLOBS": "rows of large objects",
			"LARGE OBJECT": "large object",
		}[it.Kind]
	case "FK CONSTRAINT":
		kind = "foreign key"
	}
	if it.Schema != "" {
		name = it.Schema + "." + name
	}
	return plain(kind) + kindEnd + plain(name)
}

// quoteName quotes a name only where that helps to see where it ends.
func quoteName(name string) string {
	if strings.ContainsAny(name, " ,:\"'") || name == "" {
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return name
}
