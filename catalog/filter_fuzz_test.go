package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/catalog"
)

// A rule of a filter file has a pattern that is not empty, its quotes are closed,
// and an error names the file.
func FuzzReadRules(f *testing.F) {
	f.Add("# a comment\ninclude schema app   # and another\nexclude table \"Odd # name\".\"t\n2\"\n")
	f.Add("include table \"x")
	f.Add("\ninclude")
	f.Add("exclude table_data a.b\r\n include extension * ")
	f.Add("exclude tal\x90e\" dOb # name\".\"t\n2\"")
	f.Fuzz(func(t *testing.T, in string) {
		err := catalog.ReadRules(strings.NewReader(in), "rules", func(command, what, pattern string) error {
			if command != "include" && command != "exclude" || what == "" || strings.ContainsAny(what, " \t\r\n#") {
				t.Fatalf("%q %q of %q", command, what, in)
			}
			if strings.Contains(what, `"`) {
				return errors.New("no kind of object")
			}
			if strings.TrimSpace(pattern) != pattern || pattern == "" || strings.Count(pattern, `"`)%2 != 0 {
				t.Fatalf("pattern %q of %q", pattern, in)
			}
			return nil
		})
		if err != nil && !strings.Contains(err.Error(), "rules") {
			t.Fatal(err)
		}
	})
}
