package platform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

const planHead = `# A plan of pghaul: what a migration will do with everything the source has.
#
# It is followed exactly. What you may change:
#   verdict   keep, map, rewrite and warn go over; skip stays behind; nothing
#             runs while something blocks
#   owner     whoever owns it at the target; a role that is created or there
#   sql       the definition at the target, for what says "rewrite" or "map"
#   to, role  the name and the attributes of a role that is created
#   rules     what decides about everything else: change them, and make the plan
#             again, to rename roles, leave extensions out, or log what is not
#
# Things keep their place by kind, schema and name: leave these as they are, and
# leave nothing out. "definition" tells whether the source has changed since.

`

// A field is a key of a YAML mapping with its value.
type field struct {
	key   string
	value any // string, Verdict, bool, int, int64, []string, or []field
}

// plainScalar matches strings that are the same without quotes, in any place.
var plainScalar = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./@-]*( [A-Za-z0-9_./@()-]+)*$`)

// scalar writes a string. Text in quotes is as in JSON, which is YAML as well.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf":
	default:
		if plainScalar.MatchString(s) {
			return s
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// flow writes a value on one line.
func flow(value any) string {
	switch v := value.(type) {
	case string:
		return scalar(v)
	case Verdict:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = scalar(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []field:
		parts := make([]string, 0, len(v))
		for _, f := range v {
			if !empty(f.value) {
				parts = append(parts, f.key+": "+flow(f.value))
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	panic(fmt.Sprintf("platform: a plan has no values of type %T", value))
}

func empty(value any) bool {
	switch v := value.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case int:
		return v == 0
	case int64:
		return v == 0
	case []string:
		return len(v) == 0
	case []field:
		return len(v) == 0
	}
	return false
}

// block writes the fields of a list's item each on a line of its own, and text
// of several lines as it is.
func block(w *strings.Builder, fields []field) {
	lead := "  - "
	for _, f := range fields {
		if empty(f.value) {
			continue
		}
		switch v := f.value.(type) {
		case string:
			if body, ok := strings.CutSuffix(v, "\n"); ok && literal(body) {
				w.WriteString(lead + f.key + ": |\n")
				for l := range strings.SplitSeq(body, "\n") {
					w.WriteString(strings.TrimRight("      "+l, " ") + "\n")
				}
				break
			}
			w.WriteString(lead + f.key + ": " + scalar(v) + "\n")
		case []string:
			w.WriteString(lead + f.key + ":\n")
			for _, s := range v {
				w.WriteString("      - " + scalar(s) + "\n")
			}
		default:
			w.WriteString(lead + f.key + ": " + flow(v) + "\n")
		}
		lead = "    "
	}
}

// literal says that a text is the same after a trip through a literal block.
func literal(s string) bool {
	if s == "" || s[0] == ' ' || s[0] == '\n' || strings.HasSuffix(s, "\n") {
		return false
	}
	for l := range strings.SplitSeq(s, "\n") {
		if strings.HasSuffix(l, " ") || strings.TrimSpace(l) == "" && l != "" {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd
	})
}

func roleFields(r Role, withName bool) []field {
	f := []field{
		{"superuser", r.Superuser},
		{"inherit", r.Inherit},
		{"createrole", r.CreateRole},
		{"createdb", r.CreateDB},
		{"login", r.Login},
		{"replication", r.Replication},
		{"bypassrls", r.BypassRLS},
		{"connection_limit", r.ConnLimit},
		{"valid_until", r.ValidUntil},
		{"comment", r.Comment},
	}
	if withName {
		f = append([]field{{"name", r.Name}}, f...)
	}
	return f
}

// WriteYAML writes the plan for people to read and to edit.
func (p *Plan) WriteYAML(w io.Writer) error {
	b := &strings.Builder{}
	b.WriteString(planHead)
	fmt.Fprintf(b, "version: %d\n", p.Version)
	p.Source.write(b, "source")
	p.Target.write(b, "target")
	p.Rules.write(b)
	fmt.Fprintf(b, "estimate: {bytes: %d, seconds: %d}\n", p.Estimate.Bytes, p.Estimate.Seconds)
	for i, n := range p.Notes {
		b.WriteString(section("notes", i == 0))
		b.WriteString("  - " + flow([]field{{"verdict", n.Verdict}, {"text", n.Text}}) + "\n")
	}
	list(b, "roles", len(p.Roles), func(i int) ([]field, bool) {
		r := &p.Roles[i]
		f := []field{{"from", r.From}, {"verdict", r.Verdict}, {"to", r.To}, {"exists", r.Exists}}
		if r.Verdict != Skip && !r.Exists {
			f = append(f, field{"role", roleFields(r.Role, true)})
		}
		return append(f, field{"reason", r.Reason}, field{"warnings", r.Warnings}), true
	})
	list(b, "memberships", len(p.Memberships), func(i int) ([]field, bool) {
		m := &p.Memberships[i]
		return []field{
			{"membership", []field{
				{"role", m.Membership.Role},
				{"member", m.Membership.Member},
				{"grantor", m.Membership.Grantor},
				{"admin", m.Membership.Admin},
				{"inherit", m.Membership.Inherit},
				{"set", m.Membership.Set},
			}}, {"verdict", m.Verdict}, {"reason", m.Reason},
		}, true
	})
	list(b, "settings", len(p.Settings), func(i int) ([]field, bool) {
		s := &p.Settings[i]
		return []field{
			{"setting", []field{
				{"database", s.Setting.Database}, {"role", s.Setting.Role}, {"name", s.Setting.Name}, {"value", s.Setting.Value},
			}}, {"verdict", s.Verdict}, {"reason", s.Reason},
		}, true
	})
	list(b, "extensions", len(p.Extensions), func(i int) ([]field, bool) {
		x := &p.Extensions[i]
		return []field{
			{"name", x.Name},
			{"schema", x.Schema},
			{"source_version", x.Source},
			{"target_version", x.Target},
			{"verdict", x.Verdict},
			{"exists", x.Exists},
			{"reason", x.Reason},
			{"warnings", x.Warnings},
			{"dependents", x.Dependents},
		}, len(x.Dependents) == 0 && len(x.Warnings) == 0
	})
	if len(p.NewSchemas) > 0 {
		b.WriteString("new_schemas: " + flow(p.NewSchemas) + "\n")
	}
	list(b, "drops", len(p.Drops), func(i int) ([]field, bool) {
		d := &p.Drops[i]
		return []field{{"object", []field{{"kind", d.Object.Kind}, {"schema", d.Object.Schema}, {"name", d.Object.Name}}}, {"sql", strings.TrimSuffix(d.SQL, "\n")}}, true
	})
	for i := range p.Grants {
		g := &p.Grants[i]
		b.WriteString(section("grants", i == 0))
		block(b, []field{{"role", g.Role}, {"schema", g.Schema}, {"owner", g.Owner}, {"sql", g.SQL}})
	}
	list(b, "items", len(p.Items), func(i int) ([]field, bool) {
		it := &p.Items[i]
		f := []field{{"kind", it.Kind}, {"schema", it.Schema}, {"name", it.Name}, {"verdict", it.Verdict}}
		if it.Verdict == Keep || it.Verdict == Skip && len(it.Warnings) == 0 {
			return append(f, field{"reason", it.Reason}, field{"definition", it.Definition}), true
		}
		return append(f, field{"reason", it.Reason}, field{"owner", it.Owner}, field{"tablespace", it.Tablespace}, field{"sql", it.SQL},
			field{"drop", it.Drop}, field{"warnings", it.Warnings}, field{"definition", it.Definition}), false
	})
	if p.CronScript != "" {
		b.WriteString("cron_script: ")
		if body, ok := strings.CutSuffix(p.CronScript, "\n"); ok && literal(body) {
			b.WriteString("|\n")
			for l := range strings.SplitSeq(body, "\n") {
				b.WriteString(strings.TrimRight("  "+l, " ") + "\n")
			}
		} else {
			b.WriteString(scalar(p.CronScript) + "\n")
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

func section(name string, first bool) string {
	if first {
		return name + ":\n"
	}
	return ""
}

// list writes a section; item returns the fields of one and whether they go on
// one line.
func list(b *strings.Builder, name string, n int, item func(int) (fields []field, short bool)) {
	if n == 0 {
		b.WriteString(name + ": []\n")
		return
	}
	b.WriteString(name + ":\n")
	for i := range n {
		if fields, short := item(i); short {
			b.WriteString("  - " + flow(fields) + "\n")
		} else {
			block(b, fields)
		}
	}
}

func (f *Facts) write(b *strings.Builder, name string) {
	b.WriteString(name + ":\n")
	for _, x := range []field{
		{"platform", string(f.Platform)},
		{"version_num", f.Version},
		{"host", f.Host},
		{"database", f.Database},
		{"user", roleFields(f.User, true)},
		{"privileged", f.Privileged},
		{"locale", []field{
			{"encoding", f.Locale.Encoding}, {"provider", f.Locale.Provider}, {"collate", f.Locale.Collate}, {"ctype", f.Locale.CType}, {"locale", f.Locale.Locale},
		}},
		{"owner", f.Owner},
		{"size", f.Size},
		{"lsn", f.LSN},
		{"time", f.Time.UTC().Format(time.RFC3339)},
	} {
		if !empty(x.value) {
			b.WriteString("  " + x.key + ": " + flow(x.value) + "\n")
		}
	}
}

func (r *Rules) write(b *strings.Builder) {
	pairs := func(m map[string]string) (out []field) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, field{scalar(k), m[k]})
		}
		return out
	}
	b.WriteString("rules: " + flow([]field{
		{"roles", pairs(r.Roles)},
		{"no_roles", r.NoRoles},
		{"no_login", r.NoLogin},
		{"skip_extensions", r.SkipExtensions},
		{"schemas", pairs(r.Schemas)},
		{"log_unlogged", r.LogUnlogged},
		{"subscriptions", r.Subscriptions},
		{"no_public_create", r.NoPublicCreate},
		{"read_all_data", r.ReadAllData},
		{"collision", string(r.Collision)},
	}) + "\n")
}

// WriteJSON writes the plan for programs. ReadPlan reads that, too.
func (p *Plan) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// ReadPlan reads a plan that WriteYAML or WriteJSON has written and that may
// have been edited. What it does not know (a misspelled key, a verdict that is
// none) is an error that names the line.
func ReadPlan(r io.Reader) (*Plan, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	var p Plan
	dec := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	if err := dec.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("read the plan: it is empty")
		}
		return nil, fmt.Errorf("read the plan: %s", strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("read the plan: something follows the end of it")
	}
	if p.Version != PlanVersion {
		return nil, fmt.Errorf("read the plan: its version is %d, and this program knows version %d: make it again", p.Version, PlanVersion)
	}
	return &p, nil
}

// UnmarshalYAML reads a verdict and refuses what is none.
func (v *Verdict) UnmarshalYAML(node ast.Node) error {
	s, ok := node.(*ast.StringNode)
	if ok {
		if _, known := rank[Verdict(s.Value)]; known {
			*v = Verdict(s.Value)
			return nil
		}
	}
	return &yaml.SyntaxError{Message: fmt.Sprintf("%s is not a verdict: keep, skip, map, rewrite, warn, block", node.String()), Token: node.GetToken()}
}
