package ui

import (
	"cmp"
	"fmt"
	"io"
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

func (v *planView) ends() {
	if v.style.Brief {
		return
	}
	for _, e := range []struct {
		name  string
		facts *platform.Facts
	}{{"Source", &v.p.Source}, {"Target", &v.p.Target}} {
		f := e.facts
		text := fmt.Sprintf("%s %d", f.Platform.Title(), f.Version/10000)
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
