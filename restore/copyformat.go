package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
)

// format is the one that the rows of a step come in.
func (r *run) format(i int, s *Step) copyproto.Format {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turned[i] {
		return copyproto.Binary
	}
	return copyproto.FormatOf(s.SQL)
}

// turn has the rows of a step come in the binary format if that is what a failed
// load was about.
func (r *run) turn(i int, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(err, copyproto.ErrNeedsBinary) || r.turned[i] {
		return false
	}
	r.turned[i] = true
	return true
}

// send writes the rows of a step to to in the format that its COPY statement
// says, and counts those of the binary format; strict as in copyproto.Strict.
func (r *run) send(ctx context.Context, s *Step, f copyproto.Format, strict bool, to io.Writer, passed func(rows, bytes int64)) error {
	e := *s.Entry
	if f == copyproto.Binary {
		e.Copy = copyproto.InBinary(copyproto.InText(e.Copy))
	}
	src, err := r.src.Data(ctx, &e, s.Part)
	if err != nil {
		return err
	}
	if f == copyproto.Binary {
		return copyproto.WriteStream(to, func(w io.Writer) error {
			_, err := src.CopyTo(ctx, &countedRows{copyproto.Counter{To: w, Format: f}, passed})
			return err
		})
	}
	if x, ok := src.(copyproto.Strict); ok && strict {
		src = x.Strict()
	}
	_, err = src.CopyTo(ctx, to)
	return err
}

// countedRows tells of rows that are written.
type countedRows struct {
	copyproto.Counter
	passed func(rows, bytes int64)
}

// Write implements io.Writer.
func (c *countedRows) Write(p []byte) (int, error) {
	before := c.Rows()
	n, err := c.Counter.Write(p)
	if err == nil {
		c.passed(c.Rows()-before, int64(n))
	}
	return n, err
}

// Readable returns an error if src has rows in COPY's binary format that a target
// of this version, as server_version_num has it, may read as something else. Run
// refuses those of them that it is to load.
func Readable(src Source, target int) error {
	var list []*archive.Entry
	entries := src.Entries()
	for i := range entries {
		list = append(list, &entries[i])
	}
	return readable(src, list, pg.Version(target))
}

func (r *run) readable(target pg.Version) error {
	var list []*archive.Entry
	for i := range r.plan.Steps {
		if s := &r.plan.Steps[i]; s.Action == ActionCopy {
			list = append(list, s.Entry)
		}
	}
	return readable(r.src, slices.Compact(list), target)
}

func readable(src Source, list []*archive.Entry, target pg.Version) error {
	source := sourceMajor(src)
	if source == target.Major() {
		return nil
	}
	portable := make(map[int]bool)
	if m := src.Manifest(); m != nil {
		for i := range m.Tables {
			portable[m.Tables[i].Entry] = m.Tables[i].Portable
		}
	}
	var names []string
	for _, e := range list {
		if e.Binary() && !portable[e.ID] {
			names = append(names, describe(e))
		}
	}
	if len(names) == 0 {
		return nil
	}
	which := names[0]
	if n := len(names); n > 1 {
		which += fmt.Sprintf(" and of %s", others(n-1))
	}
	return fmt.Errorf("the target is PostgreSQL %d and the rows of %s are in the binary format of PostgreSQL %d, which is for servers of that major version only: restore into one, or dump again with --copy-format=text", target.Major(), which, source)
}

// others counts tables that are not named.
func others(n int) string {
	if n == 1 {
		return "another table"
	}
	return fmt.Sprintf("%d other tables", n)
}

// sourceMajor is the major version of the server that rows are of, 0 if nobody
// knows.
func sourceMajor(src Source) int {
	if m := src.Manifest(); m != nil && m.Source.ServerVersion > 0 {
		return pg.Version(m.Source.ServerVersion).Major()
	}
	text := src.Header().ServerVersion
	n, err := strconv.Atoi(text[:len(text)-len(strings.TrimLeft(text, "0123456789"))])
	if err != nil {
		return 0
	}
	return n
}

// writable returns an error if the plan has rows that an SQL script cannot hold.
func (p *Plan) writable() error {
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Action == ActionCopy && copyproto.FormatOf(s.SQL) == copyproto.Binary {
			return fmt.Errorf("the rows of %s are in COPY's binary format, which no SQL script can hold: restore them into a database, leave them out, or dump again with --copy-format=text", describe(s.Entry))
		}
	}
	return nil
}
