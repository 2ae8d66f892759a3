package verify

import (
	"bytes"
	"io"
	"slices"

	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/progress"
)

// A splitter hands COPY text on row by row, without the newlines. do must not
// keep what it gets.
type splitter struct {
	do   func(row []byte)
	part []byte // the beginning of a row whose end has not come yet
}

// Write implements io.Writer. It never fails.
func (s *splitter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.part = append(s.part, p...)
			break
		}
		row := p[:i]
		if len(s.part) > 0 {
			s.part = append(s.part, row...)
			row = s.part
		}
		s.do(row)
		s.part = s.part[:0]
		p = p[i+1:]
	}
	return n, nil
}

// A meter hashes rows and counts them. The task is told now and then: told
// about each row it would cost as much as the hash.
type meter struct {
	format                     copyproto.Format
	hash                       copyproto.Hasher // of the columns that are compared
	whole                      copyproto.Hasher // of all columns, if some are compared by themselves
	rows                       *splitter        // before the hashes; nil hashes rows as they come
	task                       *progress.Task
	bytes, toldRows, toldBytes int64
}

// newMeter returns a meter of rows in a format, which, if that is text, need the
// rewriters given. If rows have more columns than are compared, prefix is how many
// are; it is -1 otherwise.
func newMeter(task *progress.Task, f copyproto.Format, columns []rewriter, prefix int) *meter {
	m := &meter{task: task, format: f}
	m.hash.Format = f
	var do func(row []byte)
	if prefix >= 0 {
		do = func(row []byte) {
			_, _ = m.whole.Write(row)
			_, _ = m.whole.Write(newline)
			_, _ = m.hash.Write(firstFields(row, prefix))
			_, _ = m.hash.Write(newline)
		}
	}
	if columns != nil {
		r := &rewriting{columns: columns, do: do}
		if do == nil {
			r.do = func(row []byte) {
				r.out = append(row, '\n')
				_, _ = m.hash.Write(r.out)
			}
		}
		do = r.row
	}
	if do != nil {
		m.rows = &splitter{do: do}
	}
	return m
}

var newline = []byte{'\n'}

// firstFields are the first n fields of a row.
func firstFields(row []byte, n int) []byte {
	end := 0
	for range n {
		i := bytes.IndexByte(row[end:], '\t')
		if i < 0 {
			return row
		}
		end += i + 1
	}
	return row[:max(end-1, 0)]
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	m.bytes += int64(len(p))
	var err error
	n := len(p)
	if m.rows != nil {
		_, err = m.rows.Write(p)
	} else {
		_, err = m.hash.Write(p)
	}
	if m.bytes-m.toldBytes >= 1<<16 {
		m.tell()
	}
	return n, err
}

// partial reports whether the rows so far end inside one.
func (m *meter) partial() bool {
	return m.hash.Partial() || m.rows != nil && len(m.rows.part) > 0
}

func (m *meter) tell() {
	rows := m.hash.Sum().Rows
	m.task.Add(rows-m.toldRows, m.bytes-m.toldBytes)
	m.toldRows, m.toldBytes = rows, m.bytes
}

// reset takes back what was counted.
func (m *meter) reset() {
	m.task.Add(-m.toldRows, -m.toldBytes)
	if m.rows != nil {
		m.rows.part = m.rows.part[:0]
	}
	m.hash, m.whole, m.bytes, m.toldRows, m.toldBytes = copyproto.Hasher{Format: m.format}, copyproto.Hasher{}, 0, 0, 0
}

// A projection passes on some columns of rows.
type projection struct {
	all, want []string
	w         io.Writer
	fields    [][]byte
	out       []byte
}

// row writes one row, with its newline.
func (p *projection) row(row []byte) {
	p.fields, p.out = p.fields[:0], p.out[:0]
	for field := range bytes.SplitSeq(row, []byte{'\t'}) {
		p.fields = append(p.fields, field)
	}
	for i, name := range p.want {
		if i > 0 {
			p.out = append(p.out, '\t')
		}
		if n := slices.Index(p.all, name); n >= 0 && n < len(p.fields) {
			p.out = append(p.out, p.fields[n]...)
		}
	}
	p.out = append(p.out, '\n')
	_, _ = p.w.Write(p.out)
}
