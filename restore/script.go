package restore

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// WriteTo writes the plan as an SQL script, in an order it could be run in by
// hand. Rows are not part of it: comments stand where they would be loaded.
func (p *Plan) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	if p.Encoding != "" {
		fmt.Fprintf(&b, "SET client_encoding = %s;\n", quote.Literal(p.Encoding))
	}
	for _, sql := range p.Session {
		b.WriteString(sql + "\n")
	}
	for _, text := range p.Warnings {
		comment(&b, "warning: "+text)
	}
	var total int64
	stage := Stage("")
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Stage != stage {
			stage = s.Stage
			fmt.Fprintf(&b, "\n--\n-- %s\n--\n", stage)
		}
		p.script(&b, s)
		n, err := w.Write(b.Bytes())
		total += int64(n)
		if err != nil {
			return total, fmt.Errorf("write plan: %w", err)
		}
		b.Reset()
	}
	n, err := w.Write(b.Bytes())
	if err != nil {
		return total + int64(n), fmt.Errorf("write plan: %w", err)
	}
	return total + int64(n), nil
}

// script writes one step.
func (p *Plan) script(b *bytes.Buffer, s *Step) {
	e := s.Entry
	b.WriteByte('\n')
	comment(b, fmt.Sprintf("%s %s (entry %d)", e.Kind, describe(e), e.ID))
	for _, sql := range s.Setup {
		b.WriteString(sql + "\n")
	}
	for _, sql := range s.Enter {
		b.WriteString(sql + "\n")
	}
	switch s.Action {
	case ActionCopy, ActionInsert:
		if sql := strings.TrimSuffix(s.SQL, ";"); sql != "" {
			comment(b, sql)
		}
		comment(b, rowsOf(e, s.Part))
	case ActionLargeObjects:
		comment(b, "the large objects listed in "+e.File)
	case ActionCreateLargeObjects:
		for oid := range strings.FieldsSeq(s.SQL) {
			b.WriteString(createLargeObject(oid) + "\n")
		}
		if s.Owner != "" {
			for oid := range strings.FieldsSeq(s.SQL) {
				b.WriteString(largeObjectOwner(oid, s.Owner) + "\n")
			}
		}
	case ActionSQL:
		if sql := strings.TrimSpace(s.SQL); sql != "" {
			b.WriteString(sql + "\n")
		}
	}
	for _, sql := range s.Finish {
		b.WriteString(sql + "\n")
	}
}

// rowsOf says what a part holds, as far as it is known.
func rowsOf(e *archive.Entry, part archive.Part) string {
	text := fmt.Sprintf("%d bytes", part.Bytes)
	if part.Rows >= 0 {
		text = fmt.Sprintf("%d rows, %s", part.Rows, text)
	}
	if e.File != "" {
		text += " of " + e.File
	}
	if part.Frames > 0 {
		text += fmt.Sprintf(", part %d", part.Number)
	}
	return text
}

// comment writes text behind "--", which ends with its line.
func comment(b *bytes.Buffer, text string) { b.WriteString("-- " + quote.Comment(text) + "\n") }
