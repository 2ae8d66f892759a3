package catalog

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitPattern(t *testing.T) {
	for pattern, want := range map[string][]string{
		"t":             {"^(t)$"},
		"T":             {"^(t)$"},
		`"T"`:           {"^(T)$"},
		`Ab"Cd"eF`:      {"^(abCdef)$"},
		"s.t":           {"^(s)$", "^(t)$"},
		"d.s.t":         {"^(d)$", "^(s)$", "^(t)$"},
		`"a.b".c`:       {`^(a\.b)$`, "^(c)$"},
		"t*":            {"^(t.*)$"},
		"t?":            {"^(t.)$"},
		`"t*?"`:         {`^(t\*\?)$`},
		"(a|b)+[0-9]":   {"^((a|b)+[0-9])$"},
		`"(a|b)"`:       {`^(\(a\|b\))$`},
		"a$b":           {`^(a\$b)$`},
		`"say ""hi"""`:  {`^(say "hi")$`},
		"int4[]":        {`^(int4\[])$`},
		"":              {"^()$"},
		".t":            {"^()$", "^(t)$"},
		`"Größe".ÄRGER`: {"^(Größe)$", "^(ärger)$"},
		`"back\slash"`:  {`^(back\\slash)$`},
		`"a"".b".c`:     {`^(a"\.b)$`, "^(c)$"},
	} {
		got, err := splitPattern(pattern)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("splitPattern(%q) = %q, %v; want %q", pattern, got, err, want)
		}
	}
	for _, pattern := range []string{`"open`, `a"`, `"a""`} {
		if got, err := splitPattern(pattern); err == nil {
			t.Errorf("splitPattern(%q) = %q, want an error", pattern, got)
		}
	}
}

func TestWithoutArguments(t *testing.T) {
	for in, want := range map[string]string{
		"f(integer)":                "f",
		`"S (1)"."f(x)"(text,text)`: `"S (1)"."f(x)"`,
		`"a""(b"()`:                 `"a""(b"`,
		"-":                         "-",
	} {
		if got := withoutArguments(in); got != want {
			t.Errorf("withoutArguments(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzSplitPattern holds that every pattern either is refused or becomes
// anchored expressions, as many as it has dots outside quotes and one more.
func FuzzSplitPattern(f *testing.F) {
	for _, s := range []string{"a.b", `"a.b"."c"""`, "x*?[]", "", "$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		got, err := splitPattern(pattern)
		if err != nil {
			if strings.Count(pattern, `"`)%2 == 0 {
				t.Errorf("%q is refused though its quotes are closed: %v", pattern, err)
			}
			return
		}
		dots, quoted := 0, false
		for _, c := range pattern {
			switch {
			case c == '"':
				quoted = !quoted
			case c == '.' && !quoted:
				dots++
			}
		}
		if len(got) != dots+1 {
			t.Errorf("%q has %d parts, want %d", pattern, len(got), dots+1)
		}
		for _, g := range got {
			if !strings.HasPrefix(g, "^(") || !strings.HasSuffix(g, ")$") {
				t.Errorf("%q becomes %q, which is not anchored", pattern, g)
			}
		}
	})
}
