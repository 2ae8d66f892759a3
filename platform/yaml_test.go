package platform

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var ugly = []string{
	"plain", "two words", `quo"te`, "it's", "yes", "null", "1", "1e3", "0x1F", "a: b", "a #b", "- x", "{x}", "[y]", "&a", "*b", "!c", "%d", "@e", "`f", "|", ">",
	"", " lead", "trail ", "tab\tx", "two\nlines", "two\nlines\n", "\nfirst", "a\n\nb\n", "a \nb\n", "  indent\nb\n", "ü ß 漢字", "\u2028", "svc@contoso.com", "back\\slash",
	"~", ".", "..", "<<", "=", "2026-01-01", "12:30", "key:", ":x", "?", "? x", "#c", "a,b", "a\r\nb", "\u0085", "\ufeff",
}

func TestYAMLKeepsText(t *testing.T) {
	t.Parallel()
	p := &Plan{Version: 1, Source: Facts{Platform: Plain, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, Target: Facts{Platform: Neon, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	p.Rules.Roles = map[string]string{}
	for i, s := range ugly {
		for _, v := range []Verdict{Keep, Rewrite} {
			it := Item{Kind: "TABLE", Schema: s, Name: "n" + s, Verdict: v, Reason: s, Definition: "00000000"}
			if v == Rewrite {
				it.Owner, it.SQL, it.Drop, it.Warnings = s, s, s, []string{s, "x" + s}
			}
			p.Items = append(p.Items, it)
		}
		p.Roles = append(p.Roles, RoleItem{From: "f" + s, To: s, Verdict: Map, Role: Role{Name: s, Inherit: i%2 == 0, Login: true, ConnLimit: -1, ValidUntil: s, Comment: s}})
		p.Memberships = append(p.Memberships, MembershipItem{Membership: Membership{Role: s, Member: "m" + s, Admin: true, Set: i%2 == 0}, Verdict: Keep})
		p.Settings = append(p.Settings, SettingItem{Setting: Setting{Role: s, Name: "n", Value: s}, Verdict: Skip, Reason: s})
		p.Extensions = append(p.Extensions, ExtensionItem{Name: s, Schema: s, Source: s, Verdict: Warn, Warnings: []string{"w" + s}})
		p.Rules.Roles["k"+s] = "v" + s
		p.Grants = append(p.Grants, Grant{Role: s, Schema: "s" + s, Owner: s, SQL: "a" + s})
		p.Notes = append(p.Notes, Note{Warn, s})
		p.Drops = append(p.Drops, Drop{Object: Object{"table", s, s}, SQL: "DROP " + s})
	}
	for _, s := range []string{"SELECT 1;\n", "", "a\nb\n", "x"} {
		p.CronScript = s
		for _, write := range []func(*bytes.Buffer) error{
			func(b *bytes.Buffer) error { return p.WriteYAML(b) },
			func(b *bytes.Buffer) error { return p.WriteJSON(b) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			got, err := ReadPlan(bytes.NewReader(b.Bytes()))
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			opts := cmp.Options{cmpopts.IgnoreUnexported(Plan{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Facts{}, "Parameters")}
			trim := func(p *Plan) *Plan {
				q := *p
				q.Drops = nil
				for _, d := range p.Drops {
					d.SQL = strings.TrimSuffix(d.SQL, "\n")
					q.Drops = append(q.Drops, d)
				}
				return &q
			}
			if d := cmp.Diff(trim(p), trim(got), opts); d != "" {
				t.Fatalf("%s\n%s", d, b.String())
			}
		}
	}
}

func TestReadPlanRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", "empty"},
		{"version: 2\n", "version is 2"},
		{"version: 1\nitems:\n  - {kind: TABLE, name: a, verdict: kepp}\n", "[3:"},
		{"version: 1\nitems:\n  - {kind: TABLE, name: a, verdict: kepp}\n", "kepp is not a verdict"},
		{"version: 1\nroles: []\nitmes: []\n", "[3:"},
		{"version: 1\nroles: []\nitmes: []\n", "itmes"},
		{"version: 1\nitems:\n  - {kind: TABLE, nam: a}\n", "[3:"},
		{"version: 1\nversion: 1\n", "[2:"},
		{"version: 1\n---\nversion: 1\n", "follows"},
	} {
		_, err := ReadPlan(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzScalar(f *testing.F) {
	for _, s := range ugly {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		p := &Plan{Version: 1, Items: []Item{{Kind: "K", Name: "n" + s, Verdict: Rewrite, SQL: s, Reason: s}, {Kind: "K", Name: s, Verdict: Keep}}}
		var b bytes.Buffer
		if err := p.WriteYAML(&b); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPlan(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatalf("%q: %v\n%s", s, err, b.String())
		}
		if d := cmp.Diff(p.Items, got.Items); d != "" {
			t.Fatalf("%q: %s", s, d)
		}
	})
}

func TestFollow(t *testing.T) {
	t.Parallel()
	base := azureInput()
	base.Rules.SkipExtensions = []string{"azure_ai"}
	base.Entries = []archiveEntry{
		{ID: 1, Kind: "SCHEMA", Tag: "app", Owner: "app_owner", Create: "CREATE SCHEMA app;\n", Drop: "DROP SCHEMA app;\n"},
		{ID: 2, Kind: "TABLE", Namespace: "app", Tag: "t", Owner: "azure_pg_admin", Create: "CREATE TABLE app.t (a integer);\n", Drop: "DROP TABLE app.t;\n", After: []int{1}},
		{ID: 3, Kind: "TABLE DATA", Namespace: "app", Tag: "t", Owner: "azure_pg_admin", After: []int{2}, HasData: true},
		{ID: 4, Kind: "VIEW", Namespace: "app", Tag: "v", Owner: "app_owner", Create: "CREATE VIEW app.v AS SELECT 1;\n", Drop: "DROP VIEW app.v;\n", After: []int{2}},
	}
	now := mustPlan(t, base)
	file := func(edit ...string) *Plan {
		t.Helper()
		var b bytes.Buffer
		if err := now.WriteYAML(&b); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if edit != nil {
			if !strings.Contains(text, edit[0]) {
				t.Fatalf("no %q in\n%s", edit[0], text)
			}
			text = strings.ReplaceAll(text, edit[0], edit[1])
		}
		p, err := ReadPlan(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	same, err := now.Follow(file())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(now, same, cmpopts.IgnoreUnexported(Plan{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(RoleItem{}, "Role.Labels")); d != "" {
		t.Errorf("a plan that was not edited changes: %s", d)
	}
	edited, err := now.Follow(file("owner: neondb_owner", "owner: app_owner"))
	if err != nil || edited.Items[1].Owner != "app_owner" {
		t.Errorf("%v, owner %q", err, edited.Items[1].Owner)
	}
	if _, err := now.Follow(file("owner: neondb_owner", "owner: nobody")); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("an owner nobody knows: %v", err)
	}
	_, err = now.Follow(file("schema: app\n    name: t\n    verdict: map", "schema: app\n    name: t\n    verdict: skip"))
	if err == nil || !strings.Contains(err.Error(), "view v needs table t") {
		t.Errorf("a view without its table: %v", err)
	}

	later := base
	later.Entries = append([]archiveEntry{}, base.Entries[:3]...)
	later.Entries[1].Create = "CREATE TABLE app.t (a integer, b integer);\n"
	later.Entries = append(later.Entries, archiveEntry{ID: 9, Kind: "VIEW", Namespace: "app", Tag: "w", Owner: "app_owner", Create: "CREATE VIEW app.w AS SELECT 2;\n"})
	_, err = mustPlan(t, later).Follow(file())
	var changed *ChangedError
	if !errors.As(err, &changed) {
		t.Fatalf("%v", err)
	}
	want := &ChangedError{New: []string{"view app.w"}, Gone: []string{"view app.v"}, Changed: []string{"table app.t"}}
	if d := cmp.Diff(want, changed); d != "" {
		t.Error(d)
	}
	other := base
	other.Rules.LogUnlogged = true
	if _, err := mustPlan(t, other).Follow(file()); err == nil || !strings.Contains(err.Error(), "other rules") {
		t.Errorf("other rules: %v", err)
	}
	other = base
	other.Target.Database = "elsewhere"
	if _, err := mustPlan(t, other).Follow(file()); err == nil || !strings.Contains(err.Error(), "other ends") {
		t.Errorf("another target: %v", err)
	}
}
