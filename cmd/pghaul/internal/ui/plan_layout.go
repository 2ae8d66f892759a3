package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

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
