package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/quote"
	"github.com/pghaul/pghaul/verify"
)

// writeComparison writes a comparison for people: the tables and sequences side
// by side, what else differs, and the verdict.
func writeComparison(w io.Writer, r *verify.Report, digests bool) error {
	var b strings.Builder
	for _, end := range []struct {
		name string
		verify.End
	}{{"source", r.Source}, {"target", r.Target}} {
		fmt.Fprintf(&b, "%s: %s\n", end.name, moment(end.End))
	}
	if len(r.Tables) > 0 {
		b.WriteByte('\n')
		_, _ = tableTable(r.Tables, digests).WriteTo(&b)
	}
	if len(r.Sequences) > 0 {
		b.WriteByte('\n')
		_, _ = sequenceTable(r.Sequences).WriteTo(&b)
	}
	writeUnread(&b, r)
	for _, t := range r.Tables {
		if t.Rows != nil {
			writeRows(&b, name(t.Schema, t.Name), t.Rows)
		}
	}
	writeDifferences(&b, r.Differences)
	for _, line := range method(r) {
		fmt.Fprintf(&b, "\n%s\n", line)
	}
	fmt.Fprintf(&b, "\n%s\n", verdict(r))
	_, err := io.WriteString(w, b.String())
	return err
}

// unread counts tables and sequences that could not be compared.
func unread(r *verify.Report) (tables, sequences int) {
	for i := range r.Tables {
		if t := &r.Tables[i]; t.Expected == "" && t.Unread() {
			tables++
		}
	}
	for i := range r.Sequences {
		if s := &r.Sequences[i]; s.Expected == "" && s.Unread() {
			sequences++
		}
	}
	return tables, sequences
}

// writeUnread writes why tables and sequences could not be compared.
func writeUnread(b *strings.Builder, r *verify.Report) {
	if tables, sequences := unread(r); tables+sequences == 0 {
		return
	}
	b.WriteString("\nnot compared:\n")
	for i := range r.Tables {
		if t := &r.Tables[i]; t.Unread() {
			fmt.Fprintf(b, "  %s: %s\n", ui.Printable(name(t.Schema, t.Name)), ui.Printable(t.Problem))
		}
	}
	for i := range r.Sequences {
		if s := &r.Sequences[i]; s.Unread() {
			fmt.Fprintf(b, "  %s: %s\n", ui.Printable(name(s.Schema, s.Name)), ui.Printable(s.Problem))
		}
	}
}

// method says how rows were compared, where that is not by reading all of them.
func method(r *verify.Report) []string {
	var reasons, earlier []string
	streamed := map[string][]string{}
	var first time.Time
	for _, t := range r.Tables {
		if t.EngineReason != "" {
			if streamed[t.EngineReason] == nil {
				reasons = append(reasons, t.EngineReason)
			}
			streamed[t.EngineReason] = append(streamed[t.EngineReason], name(t.Schema, t.Name))
		}
		if t.Earlier != nil {
			earlier = append(earlier, name(t.Schema, t.Name))
			if first.IsZero() || t.Earlier.Before(first) {
				first = *t.Earlier
			}
		}
	}
	var lines []string
	if r.Same {
		lines = append(lines, "source and target are the same database, which was compared with itself")
	}
	if r.Engine == verify.EnginePush {
		lines = append(lines, "rows were digested by the servers ("+r.EngineReason+")")
	}
	for _, reason := range reasons {
		lines = append(lines, "read as a whole, as "+ui.Printable(reason)+":\n  "+few(streamed[reason]))
	}
	if len(earlier) > 0 {
		lines = append(lines, fmt.Sprintf("not read again, as they were equal as of %s or later and the servers have counted no change since:\n  %s",
			first.UTC().Format("2006-01-02 15:04:05 UTC"), few(earlier)))
	}
	if r.Retries > 0 {
		lines = append(lines, plural(r.Retries, "connection")+" lost and replaced under the same snapshot")
	}
	return lines
}

// few are the first of many names.
func few(names []string) string {
	const most = 8
	if len(names) > most {
		return ui.Printable(strings.Join(names[:most], ", ")) + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return ui.Printable(strings.Join(names, ", "))
}

// moment says which state of a database was compared.
func moment(e verify.End) string {
	s := fmt.Sprintf("%s on PostgreSQL %d", quote.Ident(e.Database), e.Version/10000)
	if e.Version < 100000 {
		s = fmt.Sprintf("%s on PostgreSQL %d.%d", quote.Ident(e.Database), e.Version/10000, e.Version/100%100)
	}
	what := ", as of "
	if e.Recorded {
		what = ", as recorded at "
	}
	s += what + e.Taken.UTC().Format("2006-01-02 15:04:05 UTC")
	if e.LSN != "" {
		s += ", LSN " + e.LSN
	}
	return s
}

// writeRows writes which rows of a table differ.
func writeRows(b *strings.Builder, table string, d *verify.RowDiff) {
	fmt.Fprintf(b, "\nrows of %s: %s\n", ui.Printable(table), rowCounts(d))
	for _, r := range d.Rows {
		b.WriteString("  " + ui.Printable(rowLine(d, r)) + "\n")
	}
	if more := d.Missing + d.Extra + d.Changed - int64(len(d.Rows)); more > 0 && len(d.Rows) > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
}

// rowCounts says how many rows differ in which way.
func rowCounts(d *verify.RowDiff) string {
	if d.Problem != "" {
		return "could not be looked for: " + d.Problem
	}
	var parts []string
	for _, p := range []struct {
		n    int64
		what string
	}{{d.Missing, "missing in target"}, {d.Extra, "missing in source"}, {d.Changed, "changed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	s := strings.Join(parts, ", ")
	if d.AtLeast {
		s = "at least " + s
	}
	return s
}

// rowLine describes one row: its state, its key, and the values that differ.
func rowLine(d *verify.RowDiff, r verify.Row) string {
	state := map[verify.Status]string{verify.Different: "changed:", verify.MissingInTarget: "missing in target:", verify.MissingInSource: "missing in source:"}[r.Status]
	keys := make([]string, len(r.Key))
	for i, v := range r.Key {
		keys[i] = text(v)
		if i < len(d.Key) {
			keys[i] = quote.Ident(d.Key[i]) + " = " + text(v)
		}
	}
	line := state + " " + cmp.Or(strings.Join(keys, ", "), "a row too large to show")
	if len(d.Key) == 0 && len(keys) > 0 {
		line = state + " (" + strings.Join(keys, ", ") + ")"
	}
	for i, c := range r.Columns {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		line += sep + quote.Ident(c.Name) + " " + text(c.Source) + " → " + text(c.Target)
	}
	return line
}

// text is a value for people, quoted as SQL does.
func text(v verify.Value) string {
	if v == nil {
		return "NULL"
	}
	return quote.Literal(*v)
}

// writeDifferences writes those of definitions and so on: what should not be,
// one by one, then what had to be, by reasons.
func writeDifferences(b *strings.Builder, list []verify.Difference) {
	var reasons []string
	expected := map[string][]string{}
	for i := range list {
		d := &list[i]
		what := objectName(*d)
		if d.Expected != "" {
			if expected[d.Expected] == nil {
				reasons = append(reasons, d.Expected)
			}
			expected[d.Expected] = append(expected[d.Expected], what)
			continue
		}
		fmt.Fprintf(b, "\n%s: %s: %s\n", d.Level, ui.Printable(what), strings.ToUpper(string(d.Status)))
		for _, line := range lineDiff(d.Source, d.Target) {
			b.WriteString("  " + ui.Printable(line) + "\n")
		}
	}
	for _, reason := range reasons {
		fmt.Fprintf(b, "\nexpected: %s\n  %s\n", reason, few(expected[reason]))
	}
}

// objectName is what reports call something that differs.
func objectName(d verify.Difference) string {
	if d.Schema != "" {
		return d.Kind + " " + d.Schema + "." + d.Name
	}
	return d.Kind + " " + d.Name
}

// lineDiff compares two texts by their lines: "- " is of the source, "+ " of the
// target. Texts that are too long for that stand one below the other.
func lineDiff(source, target string) []string {
	a, b := splitLines(source), splitLines(target)
	if len(a)*len(b) > 1<<20 {
		var out []string
		for _, l := range a {
			out = append(out, "- "+l)
		}
		for _, l := range b {
			out = append(out, "+ "+l)
		}
		return out
	}
	// common[i][j] is the length of the longest common subsequence of a[i:], b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// tableTable is the comparison of tables as text.
func tableTable(tables []verify.Table, digests bool) *ui.Table {
	t := &ui.Table{Header: []string{"table_name", "source", "target"}, Right: []bool{false, true, true}}
	last := "digest"
	if !digests {
		last = "rows"
	}
	t.Header, t.Right = append(t.Header, last), append(t.Right, false)
	for _, row := range tables {
		t.Rows = append(t.Rows, []string{name(row.Schema, row.Name), rows(row.Source), rows(row.Target), finding(row)})
	}
	return t
}

func rows(d *copyproto.Digest) string {
	if d == nil {
		return "-"
	}
	return strconv.FormatInt(d.Rows, 10)
}

// finding says in a few words how a table compares.
func finding(t verify.Table) string {
	switch {
	case t.Expected != "":
		return "expected: " + t.Expected
	case t.Equal && t.CountOnly != "":
		return "equal in number: " + t.CountOnly
	case t.Equal:
		return "equal"
	case t.Source == nil && t.Target != nil && t.Problem == "":
		return "MISSING in source"
	case t.Target == nil && t.Source != nil && t.Problem == "":
		return "MISSING in target"
	case t.Unread():
		return "NOT COMPARED"
	case t.Problem != "":
		return "DIFFERENT: " + t.Problem
	}
	return "DIFFERENT"
}

// sequenceTable is the comparison of sequences as text.
func sequenceTable(sequences []verify.Sequence) *ui.Table {
	t := &ui.Table{Header: []string{"sequence_name", "source", "target", "position"}, Right: []bool{false, true, true, false}}
	for _, s := range sequences {
		result := "equal"
		switch {
		case s.Expected != "":
			result = "expected: " + s.Expected
		case s.Unread():
			result = "NOT COMPARED"
		case s.Source == nil:
			result = "MISSING in source"
		case s.Target == nil:
			result = "MISSING in target"
		case !s.Equal:
			result = "DIFFERENT"
		}
		t.Rows = append(t.Rows, []string{name(s.Schema, s.Name), value(s.Source), value(s.Target), result})
	}
	return t
}

// value is where a sequence stands, with a remark if it has not been used.
func value(v *verify.SequenceValue) string {
	if v == nil {
		return "-"
	}
	s := strconv.FormatInt(v.Last, 10)
	if !v.Called {
		s += " (unused)"
	}
	return s
}

func name(schema, object string) string { return quote.Ident(schema) + "." + quote.Ident(object) }

// nouns are what the levels compare.
var nouns = map[verify.Level]string{
	verify.LevelSchema: "definition", verify.LevelCounts: "table", verify.LevelDigest: "table", verify.LevelSequences: "sequence",
	verify.LevelLargeObjects: "large object", verify.LevelIndexes: "index", verify.LevelSecurity: "fact of security", verify.LevelStatistics: "table with statistics",
}

// verdict is the last line of a comparison.
func verdict(r *verify.Report) string {
	var all, bad, unknown []string
	var count int64
	tables, sequences := unread(r)
	for _, t := range r.Tables {
		if t.Source != nil {
			count += t.Source.Rows
		}
	}
	expected := 0
	for _, l := range r.Levels {
		expected += l.Expected
		noun := nouns[l.Level]
		text := plural(l.Compared, noun)
		if noun == "table" {
			text += " with " + ui.Plural(count, "row")
		}
		if l.Compared > 0 {
			all = append(all, text)
		}
		left := map[string]int{"table": tables, "sequence": sequences}[noun] // that could not be compared
		if left > 0 {
			unknown = append(unknown, plural(left, noun))
		}
		if n := l.Different - left; n > 0 {
			bad = append(bad, plural(n, noun))
		}
	}
	what := cmp.Or(strings.Join(all, ", "), "nothing to compare")
	if expected > 0 {
		what += fmt.Sprintf(", %s apart that had to be", plural(expected, "difference"))
	}
	if r.Equal() {
		return fmt.Sprintf("equal: %s, compared in %s", what, ui.Duration(r.Elapsed))
	}
	var found []string
	if len(bad) > 0 {
		found = append(found, "DIFFERENT: "+strings.Join(bad, ", "))
	}
	if len(unknown) > 0 {
		found = append(found, "NOT COMPARED: "+strings.Join(unknown, ", "))
	}
	return fmt.Sprintf("%s, of %s, compared in %s", strings.Join(found, "; "), what, ui.Duration(r.Elapsed))
}

// plural is ui.Plural for words with endings of their own.
func plural(n int, noun string) string {
	if n != 1 {
		switch noun {
		case "index":
			return fmt.Sprintf("%d indexes", n)
		case "fact of security":
			return fmt.Sprintf("%d facts of security", n)
		case "table with statistics":
			return fmt.Sprintf("%d tables with statistics", n)
		}
	}
	return ui.Plural(int64(n), noun)
}
