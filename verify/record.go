package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgddl"
)

// A recording stands for a source that is not there to be read: what a dump or
// a migration noted of its rows, or an archive that has them.
type recording struct {
	source archive.Source
	tables []archive.TableData
	reader archive.Reader // nil: nothing but what was noted
	// objects are the large objects where there is no reader.
	objects []RecordedObject
	// local says that timestamps may be written in any time zone: pg_dump takes
	// the session's.
	local bool
	// empty are the tables that an archive has without their rows.
	empty map[key]bool
}

// recorded is a table of a recording.
type recorded struct {
	archive.TableData
	digest *copyproto.Digest // nil: read the rows for it, or count only
	entry  *archive.Entry    // of an archive; nil: the rows cannot be read
}

// fromArchive makes an archive a recording.
func fromArchive(r archive.Reader) (*recording, error) {
	h, m := r.Header(), r.Manifest()
	if m != nil {
		return &recording{source: m.Source, tables: m.Tables, reader: r}, nil
	}
	version, err := versionNumber(h.ServerVersion)
	if err != nil {
		return nil, err
	}
	rec := &recording{reader: r, local: true, source: archive.Source{
		Database: h.Database, ServerVersion: version, Started: h.Created, Encoding: "UTF8",
	}}
	for _, e := range r.Entries() {
		switch {
		case e.Kind == "ENCODING":
			if _, value, ok := strings.Cut(e.Create, "= '"); ok {
				rec.source.Encoding, _, _ = strings.Cut(value, "'")
			}
		case e.Kind == "TABLE DATA" && e.HasData:
			t := archive.TableData{Entry: e.ID, Schema: e.Namespace, Name: e.Tag, Rows: -1}
			if e.Binary() {
				t.Format = string(copyproto.Binary)
			}
			if e.Copy != "" {
				if t.Columns, err = pgddl.CopyColumns(e.Copy); err != nil {
					return nil, fmt.Errorf("table data of %s.%s: %w", e.Namespace, e.Tag, err)
				}
			}
			rec.tables = append(rec.tables, t)
		}
	}
	return rec, nil
}

var versionStart = regexp.MustCompile(`^(\d+)(?:\.(\d+))?(?:\.(\d+))?`)

// versionNumber is server_version_num of what server_version says.
func versionNumber(s string) (int, error) {
	m := versionStart.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("the archive's server version %q is not one of PostgreSQL", s)
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // "" is 0
	}
	if n[0] >= 10 {
		return n[0]*10000 + n[1], nil
	}
	return n[0]*10000 + n[1]*100 + n[2], nil
}

// list sorts what was recorded into what is compared.
func (r *recording) list(e *end) error {
	e.encoding, e.version, e.database = r.source.Encoding, pg.Version(r.source.ServerVersion), r.source.Database
	e.tables, e.sequences = map[key]*item{}, map[key]*item{}
	entries := map[int]*archive.Entry{}
	r.empty = map[key]bool{}
	if r.reader != nil {
		list := r.reader.Entries()
		e.entries = list
		for i := range list {
			entries[list[i].ID] = &list[i]
			switch k := (key{list[i].Namespace, list[i].Tag}); list[i].Kind {
			case "SEQUENCE SET":
				e.sequences[k] = sequenceItem(list[i].Create)
			case "TABLE":
				r.empty[k] = true
			}
		}
	}
	for _, t := range r.tables {
		it := &recorded{TableData: t}
		if t.Digest != "" {
			d, err := copyproto.ParseDigest(t.Digest)
			if err != nil {
				return fmt.Errorf("the record of table %s.%s: %w", t.Schema, t.Name, err)
			}
			it.digest = &d
		}
		if entry := entries[t.Entry]; entry != nil && entry.Copy != "" {
			it.entry = entry
		}
		delete(r.empty, key{t.Schema, t.Name})
		e.tables[key{t.Schema, t.Name}] = &item{recorded: it}
	}
	return nil
}

var setval = regexp.MustCompile(`, '?(-?\d+)'?, (true|false)\);\s*$`)

// sequenceItem reads the position from "SELECT pg_catalog.setval('s', 7, true);".
func sequenceItem(sql string) *item {
	m := setval.FindStringSubmatch(sql)
	if m == nil {
		return &item{reason: "the archive sets its position by a statement of an unknown form"}
	}
	last, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return &item{reason: "the archive sets it to " + m[1] + ", which is not a position"}
	}
	return &item{position: &SequenceValue{Last: last, Called: m[2] == "true"}}
}

// read hands the rows of a table to w, one part after the other.
func (r *recording) read(ctx context.Context, t *recorded, w io.Writer) (rows int64, err error) {
	parts, err := r.reader.Parts(t.Entry)
	if err != nil {
		return 0, err
	}
	count := &copyproto.Counter{To: w, Format: copyproto.Format(t.Format)}
	for _, part := range parts {
		rc, err := r.reader.Open(ctx, t.Entry, part)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(count, rc)
		if err := errors.Join(err, rc.Close()); err != nil {
			return 0, err
		}
	}
	return count.Rows(), nil
}
