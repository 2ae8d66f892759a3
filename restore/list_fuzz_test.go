package restore

import (
	"strconv"
	"strings"
	"testing"
)

// A list names entries by positive numbers that it holds, each once, and every
// line is used, ignored or a comment.
func FuzzReadList(f *testing.F) {
	f.Add(";\n; Archive created at 2026-01-01\n;\n220; 1259 16387 TABLE public t postgres\n;221; 0 0 ACL public TABLE t o\n")
	f.Add("5\n5\n 7 ; x\r\nTABLE t\n")
	f.Add("0\n-1\n99999999999999999999\n12ab\n\t3\t\n")
	f.Add(strings.Repeat("1", 2000))
	f.Fuzz(func(t *testing.T, in string) {
		ids, ignored, err := ReadList(strings.NewReader(in), "list")
		if err != nil {
			if len(in) < 1<<20 {
				t.Fatal(err)
			}
			return
		}
		seen := make(map[int]bool)
		for _, id := range ids {
			if id <= 0 || seen[id] || !strings.Contains(in, strconv.Itoa(id)) {
				t.Fatalf("entry %d of %q", id, in)
			}
			seen[id] = true
		}
		for _, line := range ignored {
			if line == "" || strings.ContainsAny(line, "\n;") {
				t.Fatalf("ignored %q", line)
			}
		}
		if n := strings.Count(in, "\n") + 1; len(ids)+len(ignored) > n {
			t.Fatalf("%d entries and %d ignored of %d lines", len(ids), len(ignored), n)
		}
	})
}
