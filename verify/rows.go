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
	hash                       copyproto.Hasher
	rewrite                    *splitter // before the hash; nil hashes rows as they come
	task                       *progress.Task
	bytes, toldRows, toldBytes int64
}

// newMeter returns a meter of rows that need the rewriters given.
func newMeter(task *progress.Task, columns []rewriter) *meter {
	m := &meter{task: task}
	if columns != nil {
		r := &rewriting{columns: columns}
		r.do = func(row []byte) {
			r.out = append(row, '\n')
			_, _ = m.hash.Write(r.out)
		}
		m.rewrite = &splitter{do: r.row}
	}
	return m
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	m.bytes += int64(len(p))
	var err error
	n := len(p)
	if m.rewrite != nil {
		_, err = m.rewrite.Write(p)
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
	return m.hash.Partial() || m.rewrite != nil && len(m.rewrite.part) > 0
}

func (m *meter) tell() {
	rows := m.hash.Sum().Rows
	m.task.Add(rows-m.toldRows, m.bytes-m.toldBytes)
	m.toldRows, m.toldBytes = rows, m.bytes
}

// reset takes back what was counted.
func (m *meter) reset() {
	m.task.Add(-m.toldRows, -m.toldBytes)
	if m.rewrite != nil {
		m.rewrite.part = m.rewrite.part[:0]
	}
	m.hash, m.bytes, m.toldRows, m.toldBytes = copyproto.Hasher{}, 0, 0, 0
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
