//go:build unix

package main

import (
	"fmt"
	"os"
	"strings"
)

// markdown writes the results as a table.
func (b *bench) markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s.\n\n", b.machine())
	s.WriteString("| work | against | wall | goal | client CPU | memory | size | rounds |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range b.contests {
		cell := func(of func(sample) float64) string {
			v, ok := ratios(r, of)
			if !ok {
				return "–"
			}
			return v.String()
		}
		goal := "–"
		if r.goal > 0 {
			goal = fmt.Sprintf("≤ %.2f", r.goal)
		}
		size := "–"
		if r.contest.ours.output != "" && r.contest.theirs.output != "" {
			size = cell(func(s sample) float64 { return float64(s.size) })
		}
		var peak int64
		for _, o := range r.ours {
			peak = max(peak, o.memory)
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %s, %d MB | %s | %d |\n", r.name, r.contest.theirs.name,
			cell(func(s sample) float64 { return s.wall.Seconds() }), goal,
			cell(func(s sample) float64 { return s.cpu.Seconds() }),
			cell(func(s sample) float64 { return float64(s.memory) }), peak>>20, size, len(r.ours))
	}
	return s.String()
}

// The results stand between these lines of the report.
const (
	begin = "<!-- results: written by make bench -->\n"
	end   = "<!-- end of results -->\n"
)

// write puts the results into the report, whose other text stays.
func (b *bench) write(text string) error {
	old, err := os.ReadFile(b.report)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, found := strings.Cut(rest, end)
	if !ok || !found {
		return fmt.Errorf("%s has no place for results", b.report)
	}
	return os.WriteFile(b.report, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}
