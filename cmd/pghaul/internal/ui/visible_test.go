package ui

import (
	"strings"
	"testing"
)

// Names that would move the cursor or set the title of a window are shown.
func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"table \"tablé\"\n\tnext": "table \"tablé\"\n\tnext",
		"\x1b]0;title\a":          `\x1b]0;title\a`,
		"a\rb\x7f":                `a\rb\x7f`,
		"c1 \u009b31m":            `c1 \u009b31m`,
		"raw \x9b31m \xe9":        `raw \x9b31m ` + "\xe9",
	} {
		if got := Visible(in); got != want {
			t.Errorf("Visible(%q) = %q, want %q", in, got, want)
		}
	}
	var out strings.Builder
	s := NewScreen(&out, func() int { return 80 })
	s.Printf("creating TABLE %s", "a\x1b[2Jb")
	s.Status([]string{"data c\x1b[2Jd"})
	if strings.Contains(out.String(), "\x1b[2J") || !strings.Contains(out.String(), `a\x1b[2Jb`) || !strings.Contains(out.String(), `c\x1b[2Jd`) {
		t.Errorf("printed %q", out.String())
	}
}
