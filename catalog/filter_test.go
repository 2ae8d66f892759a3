package catalog_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/catalog"
)

func TestReadFilter(t *testing.T) {
	const file = `# a comment
include schema app   # and another
exclude table "Odd # name"."t
2"

 include   table_and_children part*
exclude table_data_and_children big
include foreign_data srv
exclude extension pg_cron
`
	var got catalog.Selection
	if err := got.ReadFilter(strings.NewReader(file), "f"); err != nil {
		t.Fatal(err)
	}
	want := catalog.Selection{
		Schemas: []string{"app"}, ExcludeTables: []string{"\"Odd # name\".\"t\n2\""}, TablesAndChildren: []string{"part*"},
		ExcludeTableDataAndChildren: []string{"big"}, ForeignData: []string{"srv"}, ExcludeExtensions: []string{"pg_cron"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("selection (-want +got):\n%s", d)
	}
}

func TestReadFilterErrors(t *testing.T) {
	for file, want := range map[string]string{
		"includes table x":        "line 1: \"includes\" is neither include nor exclude",
		"\ninclude":               "line 2: what to include is missing",
		"include table":           "the pattern is missing",
		"include table # nothing": "the pattern is missing",
		"include table_data x":    `"table_data" cannot be used with include`,
		"exclude foreign_data x":  `"foreign_data" cannot be used with exclude`,
		"include tables x":        `"tables" cannot be used with include`,
		"include table \"x":       "a double quote is not closed",
	} {
		var s catalog.Selection
		err := s.ReadFilter(strings.NewReader(file), "f")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", file, err, want)
		}
	}
}
