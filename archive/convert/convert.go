// Package convert copies an archive into another: of another format, with
// another compression, or, from one that pg_dump made, into one with a
// manifest, digests and frames that load in parallel.
package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
)

// Options say what to make. The zero value makes a directory with zstd.
type Options struct {
	// Format to make: FormatDirectory, which "" means, or FormatCustom.
	Format archive.Format
	// Writer says how it is stored.
	Writer archive.WriterOptions
	// Jobs is how many stretches of data are copied at once into a directory; 0
	// means 2. A custom archive is written by one.
	Jobs int
	// Tool names the program in the archive; "" means "pghaul".
	Tool string
}

// A Report says what was copied.
type Report struct {
	Entries      int           `json:"entries"`
	Tables       int           `json:"tables"`
	Rows         int64         `json:"rows"` // of COPY data
	LargeObjects int64         `json:"large_objects"`
	Bytes        int64         `json:"bytes"`  // of rows and large objects, uncompressed
	Stored       int64         `json:"stored"` // of the new archive
	Elapsed      time.Duration `json:"elapsed_ns"`
}

// Run copies the archive r to path. All of r is checked on the way; what is
// damaged or contradicts its manifest is an error, and nothing is left at path,
// where nothing may be before.
func Run(ctx context.Context, r archive.Reader, path string, o Options) (*Report, error) {
	if o.Format == archive.FormatDirectory || o.Format == "" {
		w, err := archive.CreateDir(path, o.Writer)
		if err != nil {
			return nil, err
		}
		return run(ctx, r, &directory{Writer: w}, o)
	}
	if o.Format == archive.FormatCustom {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && !o.Writer.Overwrite {
			return nil, fmt.Errorf("convert: %s exists; remove it or name another path", path)
		}
		w, err := archive.CreateCustomFile(path, o.Writer)
		if err != nil {
			return nil, err
		}
		return run(ctx, r, &custom{CustomWriter: w}, o)
	}
	return nil, fmt.Errorf("convert: format %q is not one to write: want DIRECTORY or CUSTOM", o.Format)
}

// Stream copies the archive r to out, as a custom archive.
func Stream(ctx context.Context, r archive.Reader, out io.Writer, o Options) (*Report, error) {
	w, err := archive.CreateCustom(out, o.Writer)
	if err != nil {
		return nil, err
	}
	return run(ctx, r, &custom{CustomWriter: w}, o)
}

// A target is an archive being written.
type target interface {
	begin(h archive.Header, toc []archive.Entry) error
	// copy writes the data of all entries.
	copy(ctx context.Context, c *conversion) error
	commit(h archive.Header, toc []archive.Entry, m archive.Manifest) error
	Stored() int64
	Abort() error
}

// A conversion is one copy under way.
type conversion struct {
	r       archive.Reader
	opts    Options
	entries []archive.Entry

	mu     sync.Mutex
	tables map[int]*table
	count  archive.LargeObjectSum
}

// A table is what was copied of an entry's rows. The conversion's mutex guards
// it.
type table struct {
	entry  *archive.Entry
	parts  int
	digest copyproto.Digest
	bytes  int64
	data   *archive.Data // in a directory
}

func run(ctx context.Context, r archive.Reader, to target, o Options) (_ *Report, err error) {
	began := time.Now()
	defer func() {
		if err != nil {
			err = errors.Join(err, to.Abort())
		}
	}()
	if o.Jobs <= 0 {
		o.Jobs = 2
	}
	if o.Tool == "" {
		o.Tool = "pghaul"
	}
	c := &conversion{r: r, opts: o, entries: r.Entries(), tables: make(map[int]*table)}
	h := r.Header()
	if !strings.Contains(h.DumpVersion, "pghaul") {
		h.DumpVersion = o.Tool + " (from an archive of pg_dump " + h.DumpVersion + ")"
	}
	if err := to.begin(h, c.entries); err != nil {
		return nil, err
	}
	if err := to.copy(ctx, c); err != nil {
		return nil, err
	}
	m, err := c.manifest()
	if err != nil {
		return nil, err
	}
	if err := to.commit(h, c.entries, m); err != nil {
		return nil, err
	}
	report := &Report{
		Entries: len(c.entries), Tables: len(c.tables), LargeObjects: c.count.Count, Bytes: c.count.Bytes,
		Stored: to.Stored(), Elapsed: time.Since(began),
	}
	for _, t := range c.tables {
		report.Rows, report.Bytes = report.Rows+t.digest.Rows, report.Bytes+t.bytes
	}
	return report, nil
}

// rows copies one part of an entry's rows.
func (c *conversion) rows(ctx context.Context, t *table, part archive.Part, w archive.RowWriter) error {
	rc, err := c.r.Open(ctx, t.entry.ID, part)
	if err != nil {
		return err
	}
	to := copyproto.Rows(w)
	if t.entry.Copy == "" {
		to = uncounted{w}
	}
	lines := copyproto.NewSplitter(to, copyproto.FormatOf(t.entry.Copy))
	n, err := io.Copy(lines, rc)
	if cerr := rc.Close(); err == nil {
		err = cerr
	}
	if err == nil && !lines.Between() {
		err = errors.New("the data ends inside a row")
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", t.entry.Kind, t.entry.Tag, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.bytes += n; t.entry.Copy != "" {
		t.digest = t.digest.Add(lines.Sum())
	}
	return nil
}

// uncounted takes lines of statements, which are not rows.
type uncounted struct{ archive.RowWriter }

// WriteRows implements copyproto.Rows.
func (u uncounted) WriteRows(lines []byte, _ int64) error { return u.RowWriter.WriteRows(lines, 0) }

// object copies one large object into w, which it closes.
func (c *conversion) object(ctx context.Context, lo archive.LargeObject, w io.WriteCloser) error {
	rc, err := c.r.OpenLargeObject(ctx, lo)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, rc)
	if cerr := rc.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("copy large object %d: %w", lo.OID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count.Count, c.count.Bytes = c.count.Count+1, c.count.Bytes+n
	return nil
}

// manifest returns the new archive's: that of the old one, whose word for the
// rows is checked, or a new one.
func (c *conversion) manifest() (archive.Manifest, error) {
	old := c.r.Manifest()
	if old == nil {
		return c.newManifest(), nil
	}
	m := *old
	m.Tables = slices.Clone(m.Tables)
	for i := range m.Tables {
		d := &m.Tables[i]
		t := c.tables[d.Entry]
		if t == nil || t.entry.Copy == "" {
			continue
		}
		got := t.digest.String()
		if d.Rows != t.digest.Rows || d.Digest != "" && d.Digest != got {
			return m, fmt.Errorf("convert: the rows of %s.%s have the digest %s, the manifest says %s of %d rows", d.Schema, d.Name, got, d.Digest, d.Rows)
		}
		d.Digest = got
	}
	if m.LargeObjects != c.count {
		return m, fmt.Errorf("convert: the archive has %d large objects of %d bytes, its manifest says %d of %d",
			c.count.Count, c.count.Bytes, m.LargeObjects.Count, m.LargeObjects.Bytes)
	}
	return m, nil
}

// newManifest describes an archive of pg_dump.
func (c *conversion) newManifest() archive.Manifest {
	h := c.r.Header()
	m := archive.Manifest{
		Tool: c.opts.Tool, LargeObjects: c.count, Tables: []archive.TableData{},
		Source: archive.Source{Database: h.Database, ServerVersion: versionNumber(h.ServerVersion), Started: h.Created.UTC(), Finished: h.Created.UTC()},
	}
	for i := range c.entries {
		e := &c.entries[i]
		if e.Kind == "ENCODING" {
			if f := strings.Split(e.Create, "'"); len(f) > 1 {
				m.Source.Encoding = f[1]
			}
		}
		t := c.tables[e.ID]
		if t == nil {
			continue
		}
		d := archive.TableData{Entry: e.ID, Schema: e.Namespace, Name: e.Tag, Bytes: t.bytes, Columns: columns(e.Copy)}
		if e.Binary() {
			d.Format = string(copyproto.Binary)
		}
		if e.Copy != "" {
			d.Rows, d.Digest = t.digest.Rows, t.digest.String()
		}
		m.Tables = append(m.Tables, d)
	}
	return m
}

// versionNumber turns "17.10 (Debian …)" into 170010, what it cannot into 0.
func versionNumber(s string) int {
	s, _, _ = strings.Cut(s, " ")
	f := strings.Split(s, ".")
	n := make([]int, 3)
	for i := range min(3, len(f)) {
		n[i], _ = strconv.Atoi(strings.TrimRightFunc(f[i], func(r rune) bool { return r < '0' || r > '9' }))
	}
	if n[0] < 10 {
		return n[0]*10000 + n[1]*100 + n[2]
	}
	return n[0]*10000 + n[1]
}

// columns reads the names from a COPY statement.
func columns(sql string) []string {
	start, end := strings.Index(sql, " ("), strings.LastIndex(sql, ") FROM stdin")
	names := []string{}
	if start < 0 || end < start {
		return names
	}
	var name strings.Builder
	quoted := false
	list := sql[start+2:end] + ","
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"' && quoted && i+1 < len(list) && list[i+1] == '"':
			name.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			names = append(names, name.String())
			name.Reset()
		case c == ' ' && !quoted:
		default:
			name.WriteByte(c)
		}
	}
	return names
}
