package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
)

// An ArchiveReport is what was found in an archive. Damage is a result, not an
// error.
type ArchiveReport struct {
	Format      archive.Format      `json:"format"`
	Compression archive.Compression `json:"compression"`
	// Manifest says whether the archive has checksums, row counts and digests.
	// Without them, damage to rows that leaves the data file complete may pass.
	Manifest     bool             `json:"manifest"`
	Entries      []ArchiveEntry   `json:"entries"` // those with data, in the archive's order
	Problems     []ArchiveProblem `json:"problems"`
	Rows         int64            `json:"rows"`
	Bytes        int64            `json:"bytes"` // of rows and large objects, uncompressed
	LargeObjects int64            `json:"large_objects"`
	Elapsed      time.Duration    `json:"elapsed_ns"`
}

// Intact reports whether nothing is wrong.
func (r *ArchiveReport) Intact() bool { return len(r.Problems) == 0 }

// An ArchiveEntry is the data of one entry.
type ArchiveEntry struct {
	Entry  int    `json:"entry"` // dump ID
	Kind   string `json:"kind"`
	Schema string `json:"schema,omitempty"`
	Name   string `json:"name"`
	// Digest is that of the rows that could be read; nil if the data is statements.
	Digest *copyproto.Digest `json:"-"`
	Rows   int64             `json:"rows"`  // or large objects; -1 if the data are statements
	Bytes  int64             `json:"bytes"` // uncompressed
	Intact bool              `json:"intact"`
}

// An ArchiveProblem is something wrong with an archive.
type ArchiveProblem struct {
	Entry  int    `json:"entry,omitempty"` // dump ID of the data it is about
	Name   string `json:"name,omitempty"`  // of the table
	File   string `json:"file,omitempty"`
	Reason string `json:"reason"`
}

// Archive reads all data of an archive, jobs stretches of it at once, and
// compares it with everything the archive says about it. An error means that
// it could not go on, as when ctx ends.
func Archive(ctx context.Context, r archive.Reader, jobs int) (*ArchiveReport, error) {
	began := time.Now()
	h := r.Header()
	c := &archiveCheck{r: r, report: &ArchiveReport{
		Format: h.Format, Compression: h.Compression, Manifest: r.Manifest() != nil,
		Entries: []ArchiveEntry{}, Problems: []ArchiveProblem{},
	}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, jobs))
	entries := r.Entries()
	var data []*entryCheck
	for i := range entries {
		if !entries[i].HasData {
			continue
		}
		e := &entryCheck{entry: &entries[i]}
		data = append(data, e)
		if e.entry.Kind == "BLOBS" {
			group.Go(func() error { return c.largeObjects(ctx, e) })
			continue
		}
		parts, err := r.Parts(e.entry.ID)
		if err != nil {
			c.problem(e, "", err)
			continue
		}
		for _, part := range parts {
			group.Go(func() error { return c.rows(ctx, e, part) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("check archive: %w", err)
	}
	if err := c.compare(entries, data); err != nil {
		return nil, err
	}
	c.report.Elapsed = time.Since(began)
	return c.report, nil
}

// An archiveCheck is one check under way.
type archiveCheck struct {
	r      archive.Reader
	mu     sync.Mutex
	report *ArchiveReport
}

// An entryCheck is what was read of one entry. The check's mutex guards it.
type entryCheck struct {
	entry  *archive.Entry
	digest copyproto.Digest
	bytes  int64
	oids   []uint32
	bad    bool
}

// name is how reports call the data.
func (e *entryCheck) name() string {
	switch {
	case e.entry.Kind == "BLOBS":
		return "large objects"
	case e.entry.Namespace == "":
		return e.entry.Tag
	}
	return e.entry.Namespace + "." + e.entry.Tag
}

// problem notes what is wrong with an entry. file is empty if err names it.
func (c *archiveCheck) problem(e *entryCheck, file string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.bad = true
	p := ArchiveProblem{Entry: e.entry.ID, Name: e.name(), File: file, Reason: err.Error()}
	if corrupt, ok := errors.AsType[*archive.CorruptError](err); ok {
		p.File = corrupt.File
	}
	if !slices.Contains(c.report.Problems, p) {
		c.report.Problems = append(c.report.Problems, p)
	}
}

// rows reads one part of an entry's rows.
func (c *archiveCheck) rows(ctx context.Context, e *entryCheck, part archive.Part) error {
	rc, err := c.r.Open(ctx, e.entry.ID, part)
	if err != nil {
		c.problem(e, "", err)
		return ctx.Err()
	}
	hash := copyproto.Hasher{Format: copyproto.FormatOf(e.entry.Copy)}
	out := io.Writer(&hash)
	if e.entry.Copy == "" {
		out = io.Discard
	}
	n, err := io.Copy(out, rc)
	if cerr := rc.Close(); err == nil {
		err = cerr
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d := hash.Sum()
	switch {
	case err != nil:
	case hash.Partial():
		err = errors.New("the data ends inside a row")
	case e.entry.Copy != "" && part.Rows >= 0 && d.Rows != part.Rows:
		err = fmt.Errorf("part %d has %d rows instead of %d", part.Number, d.Rows, part.Rows)
	}
	if err != nil {
		c.problem(e, e.entry.File, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.digest, e.bytes = e.digest.Add(d), e.bytes+n
	return nil
}

// largeObjects reads the large objects of an entry.
func (c *archiveCheck) largeObjects(ctx context.Context, e *entryCheck) error {
	list, err := c.r.LargeObjects(e.entry.ID)
	if err != nil {
		c.problem(e, "", err)
		return ctx.Err()
	}
	for _, lo := range list {
		rc, err := c.r.OpenLargeObject(ctx, lo)
		var n int64
		if err == nil {
			n, err = io.Copy(io.Discard, rc)
			if cerr := rc.Close(); err == nil {
				err = cerr
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			c.problem(e, lo.File, fmt.Errorf("large object %d: %w", lo.OID, err))
		}
		c.mu.Lock()
		e.oids, e.bytes = append(e.oids, lo.OID), e.bytes+n
		c.mu.Unlock()
	}
	return nil
}

// compare holds what was read against what the archive says, and reports.
func (c *archiveCheck) compare(entries []archive.Entry, data []*entryCheck) error {
	tables := make(map[int]archive.TableData)
	if m := c.r.Manifest(); m != nil {
		for _, t := range m.Tables {
			tables[t.Entry] = t
		}
	}
	var objects []uint32
	var objectBytes int64
	damagedObjects := false
	for _, e := range data {
		line := ArchiveEntry{Entry: e.entry.ID, Kind: e.entry.Kind, Schema: e.entry.Namespace, Name: e.entry.Tag, Rows: -1, Bytes: e.bytes}
		c.report.Bytes += e.bytes
		switch {
		case e.entry.Kind == "BLOBS":
			line.Rows = int64(len(e.oids))
			objects, objectBytes = append(objects, e.oids...), objectBytes+e.bytes
			damagedObjects = damagedObjects || e.bad
		case e.entry.Copy != "":
			line.Digest, line.Rows = &e.digest, e.digest.Rows
			c.report.Rows += e.digest.Rows
			fallthrough
		default:
			if t, ok := tables[e.entry.ID]; ok && !e.bad {
				c.table(e, t)
			}
		}
		line.Intact = !e.bad
		c.report.Entries = append(c.report.Entries, line)
	}
	c.report.LargeObjects = int64(len(objects))
	if !damagedObjects {
		c.objects(entries, objects, objectBytes)
	}
	strays, err := archive.Strays(c.r)
	if err != nil {
		return err
	}
	for _, name := range strays {
		c.report.Problems = append(c.report.Problems, ArchiveProblem{
			File: name, Reason: "archive file " + name + " is not of this archive, but pg_restore may take it for one of its files; remove it",
		})
	}
	slices.SortStableFunc(c.report.Problems, func(a, b ArchiveProblem) int {
		return strings.Compare(a.File+"\x00"+a.Reason, b.File+"\x00"+b.Reason)
	})
	return nil
}

// table compares an entry's rows with the manifest.
func (c *archiveCheck) table(e *entryCheck, t archive.TableData) {
	bad := func(format string, args ...any) { c.problem(e, t.File, fmt.Errorf(format, args...)) }
	if t.Bytes != e.bytes {
		bad("%s has %d bytes of rows instead of %d", e.name(), e.bytes, t.Bytes)
	}
	if e.entry.Copy == "" {
		return
	}
	if want := t.Format == string(copyproto.Binary); want != e.entry.Binary() {
		bad("the manifest and the table of contents have the rows of %s in different formats", e.name())
	}
	if t.Rows != e.digest.Rows {
		bad("%s has %d rows instead of %d", e.name(), e.digest.Rows, t.Rows)
	} else if t.Digest != "" && t.Digest != e.digest.String() {
		bad("the rows of %s have the digest %s instead of %s", e.name(), e.digest, t.Digest)
	}
}

// objects compares the large objects that were read with those that entries
// make and with the manifest's count.
func (c *archiveCheck) objects(entries []archive.Entry, have []uint32, bytes int64) {
	bad := func(format string, args ...any) {
		c.report.Problems = append(c.report.Problems, ArchiveProblem{Name: "large objects", Reason: fmt.Sprintf(format, args...)})
	}
	seen := make(map[uint32]bool, len(have))
	for _, oid := range have {
		if seen[oid] {
			bad("large object %d is there twice", oid)
		}
		seen[oid] = true
	}
	withData := slices.ContainsFunc(entries, func(e archive.Entry) bool { return e.Kind == "BLOBS" && e.HasData })
	for i := range entries {
		e := &entries[i]
		var oids []string
		switch e.Kind {
		case "BLOB METADATA":
			oids = strings.Fields(e.Create)
		case "BLOB":
			oids = []string{e.Tag}
		}
		for _, s := range oids {
			if oid, err := strconv.ParseUint(s, 10, 32); err != nil || withData && !seen[uint32(oid)] {
				bad("the content of large object %.20s is not in the archive", s)
			}
		}
	}
	if m := c.r.Manifest(); m != nil && (m.LargeObjects.Count != int64(len(have)) || m.LargeObjects.Bytes != bytes) {
		bad("there are %d large objects of %d bytes instead of %d of %d", len(have), bytes, m.LargeObjects.Count, m.LargeObjects.Bytes)
	}
}
