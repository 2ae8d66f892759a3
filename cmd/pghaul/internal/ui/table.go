package ui

import (
	"io"
	"slices"
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
	width := t.widths()
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

// widths returns how wide the columns are.
func (t *Table) widths() []int {
	width := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			width[i] = max(width[i], columns(plain(cell)))
		}
	}
	return width
}

// Width returns the length of the longest line.
func (t *Table) Width() int {
	const between = len(" | ")
	sum := -between
	for _, n := range t.widths() {
		sum += n + between
	}
	return sum
}

// Drop takes a column out.
func (t *Table) Drop(column int) {
	t.Header, t.Right = slices.Delete(slices.Clone(t.Header), column, column+1), slices.Delete(slices.Clone(t.Right), column, column+1)
	for i, row := range t.Rows {
		t.Rows[i] = slices.Delete(slices.Clone(row), column, column+1)
	}
}

// Shorten cuts the cells of a column so that lines have at most width characters,
// as far as that leaves least of them.
func (t *Table) Shorten(column, width, least int) {
	over := t.Width() - width
	if over <= 0 {
		return
	}
	room := max(least, t.widths()[column]-over)
	for _, row := range t.Rows {
		row[column] = fit(plain(row[column]), room)
	}
}
