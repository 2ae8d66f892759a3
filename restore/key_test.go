package restore_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/restore"
)

// Keys are unique in a plan, and do not depend on dump IDs.
func TestPlanKeys(t *testing.T) {
	list := world()
	for _, args := range []string{"integer, integer", "text, text"} {
		list = append(list, archive.Entry{
			ID: 70 + len(args), Kind: "OPERATOR", Tag: "+", Namespace: "s", Section: archive.SectionPreData,
			Create: "CREATE OPERATOR s.+ ();\n", Drop: "DROP OPERATOR s.+ (" + args + ");\n",
		})
	}
	keys := func(list entries, opts restore.Options) map[string]string {
		seen := make(map[string]string)
		for _, s := range plan(t, list, opts).Steps {
			if s.Key == "" {
				t.Errorf("%s %s has no key", s.Entry.Kind, s.Entry.Tag)
			}
			if _, twice := seen[s.Key]; twice {
				t.Errorf("two steps have the key %q", s.Key)
			}
			seen[s.Key] = s.Undo
		}
		return seen
	}
	got := keys(list, restore.Options{Clean: true})
	moved := append(entries{}, list...)
	for i := range moved {
		e := &moved[i]
		e.ID += 1000
		e.After = nil
		for _, id := range list[i].After {
			e.After = append(e.After, id+1000)
		}
	}
	if d := cmp.Diff(got, keys(moved, restore.Options{Clean: true})); d != "" {
		t.Errorf("keys depend on dump IDs:\n%s", d)
	}
	for key, want := range map[string]string{
		"TABLE s.t":                  "DROP TABLE IF EXISTS s.t;",
		"DROP TABLE s.t":             "",
		"TABLE DATA s.t":             "",
		"TABLE DATA s.u part 2 of 3": "",
		"CONSTRAINT s.t_pk":          "ALTER TABLE IF EXISTS ONLY s.t DROP CONSTRAINT IF EXISTS t_pk;",
		`ACL s."SCHEMA s"`:           "",
		"SEQUENCE SET s.q":           "",
	} {
		if undo, ok := got[key]; !ok || undo != want {
			t.Errorf("undo of %s: %q (there is such a step: %v), want %q", key, undo, ok, want)
		}
	}
}
