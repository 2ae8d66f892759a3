package ui

import (
	"io"
	"strings"
)

// A Table is a report in columns, drawn as psql draws them.
type Table struct {
	Header []string
	// Right says which columns are aligned to the right.
	Right []bool
	Rows  [][]string
}

// WriteTo writes the table, each line ending in a newline and without trailing
// spaces.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	width := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			width[i] = max(width[i], columns(plain(cell)))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		var l strings.Builder
		for i, cell := range row {
			cell = plain(cell)
			space := strings.Repeat(" ", width[i]-columns(cell))
			if i > 0 {
				l.WriteString(" | ")
			}
			if t.Right[i] {
				l.WriteString(space + cell)
			} else {
				l.WriteString(cell + space)
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " "))
		b.WriteByte('\n')
	}
	line(t.Header)
	rule := make([]string, len(width))
	for i, n := range width {
		rule[i] = strings.Repeat("-", n)
	}
	b.WriteString(strings.Join(rule, "-+-") + "\n")
	for _, row := range t.Rows {
		line(row)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}
