package verify

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/copyproto"
)

// A Journal notes, in a file or in memory, which tables were found equal, so that
// a run that was interrupted need not begin again. A later run has snapshots of its own:
// for it, a table is what it was as long as the counters of both servers say that
// nobody has written to it since.
type Journal struct {
	mu    sync.Mutex
	file  *os.File // nil for one in memory
	head  *journalHead
	known map[key]noted
	err   error // of writing
}

// A journalHead is the first line of the file.
type journalHead struct {
	Version int       `json:"version"` // of this format: 1
	Ends    [2]string `json:"ends"`
}

// A noted is a line about a table that was equal.
type noted struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Engine  Engine   `json:"engine"`
	Digest  string   `json:"digest"`
	// Marks are the state of the table's counters at each end before the snapshot.
	Marks [2]string `json:"marks"`
	// Taken is when the source's snapshot was taken.
	Taken time.Time `json:"taken"`
}

// NewJournal returns a journal in memory.
func NewJournal() *Journal { return &Journal{known: map[key]noted{}} }

// OpenJournal opens the file, which need not exist. With resume, what it holds
// is taken for known; otherwise the file begins anew.
func OpenJournal(path string, resume bool) (*Journal, error) {
	flags := os.O_CREATE | os.O_RDWR
	if !resume {
		flags |= os.O_TRUNC
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{file: file, known: map[key]noted{}}
	if err := j.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), file.Close())
	}
	return j, nil
}

// read takes in the lines of the file. One that is cut off, as a killed run leaves
// it, is dropped.
func (j *Journal) read() error {
	r := bufio.NewReader(j.file)
	end := int64(0)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil { // the end of the file, or of what can be read of it
			if err := j.file.Truncate(end); err != nil {
				return err
			}
			_, err = j.file.Seek(end, 0)
			return err
		}
		end += int64(len(line))
		if j.head == nil {
			j.head = new(journalHead)
			if err := json.Unmarshal(line, j.head); err != nil || j.head.Version != 1 {
				return errors.New("it is not a file that this version of verify has written")
			}
			continue
		}
		var n noted
		if err := json.Unmarshal(bytes.TrimSpace(line), &n); err != nil {
			return fmt.Errorf("it is damaged: %w", err)
		}
		j.known[key{n.Schema, n.Name}] = n
	}
}

// Close closes the file. It returns what went wrong in writing it, too.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	return errors.Join(j.err, j.file.Close())
}

func (j *Journal) write(v any) {
	if j.file == nil {
		return
	}
	line, err := json.Marshal(v)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if j.err == nil && err != nil {
		j.err = fmt.Errorf("note what is equal: %w", err)
	}
}

// begin makes sure that the file is about the same two databases.
func (j *Journal) begin(ends [2]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.head == nil {
		j.head = &journalHead{Version: 1, Ends: ends}
		j.write(j.head)
		return j.err
	}
	if j.head.Ends != ends {
		return fmt.Errorf("what is to be resumed compared %s with %s, and this run compares %s with %s", j.head.Ends[0], j.head.Ends[1], ends[0], ends[1])
	}
	return nil
}

// identity names a database; its OID tells it from one that had the name before.
func (e *end) identity() string {
	return fmt.Sprintf("%s:%d/%s (%s)", e.cfg.Host, e.cfg.Port, e.database, e.oid)
}

// marksQuery reads what changes when a table is written to, or gets other columns.
// Counters begin at 0 again after a crash of the server and on a standby that is
// promoted, which the time when all of them were last reset tells. Servers do not
// count what they replay as standbys; then there is no mark, as if the table had
// been written to.
const marksQuery = `SELECT c.oid::text, d.oid::text, pg_catalog.concat_ws(' ', pg_catalog.pg_relation_filenode(c.oid), pg_catalog.pg_stat_get_tuples_inserted(c.oid),
  pg_catalog.pg_stat_get_tuples_updated(c.oid), pg_catalog.pg_stat_get_tuples_deleted(c.oid),
  coalesce(pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)::text, '-'), coalesce(pg_catalog.pg_stat_get_bgwriter_stat_reset_time()::text, '-'),
  (SELECT pg_catalog.sum(a.xmin::text::int8) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0))
FROM pg_catalog.pg_class c, pg_catalog.pg_database d
WHERE c.relkind IN ('r', 'm') AND d.datname = current_database() AND pg_catalog.current_setting('track_counts') = 'on' AND NOT pg_catalog.pg_is_in_recovery()`

// readMarks reads the marks of all tables. It must come before the snapshot is
// taken, so that what is written after it counts as written since.
func (e *end) readMarks(ctx context.Context, conn *pgx.Conn) error {
	results, err := conn.PgConn().Exec(ctx, marksQuery).ReadAll()
	if err != nil {
		return fmt.Errorf("read the counters of tables: %w", err)
	}
	e.marks = map[string]string{}
	for _, row := range results[0].Rows {
		e.oid = string(row[1])
		e.marks[string(row[0])] = string(row[2])
	}
	return nil
}

// marks are the marks of a unit at both ends; ok is false if one has none.
func (c *comparison) marks(u *unit) (marks [2]string, ok bool) {
	for i, e := range c.ends {
		for _, p := range u.pairs {
			it := p.items[i]
			if it != nil && it.recorded != nil { // which nothing changes
				marks[i] += "recorded;"
				continue
			}
			if it == nil || it.data == nil {
				continue
			}
			mark := e.marks[fmt.Sprint(it.data.Table.ID.OID)]
			if mark == "" {
				return marks, false
			}
			marks[i] += mark + ";"
		}
	}
	return marks, marks[0] != "" && marks[1] != ""
}

// columns are those of all tables of a unit.
func (u *unit) columns() []string {
	var out []string
	for _, p := range u.pairs {
		out = append(out, p.all()...)
	}
	return out
}

// recall takes a unit for equal if the journal says so and nobody has written to
// it since.
func (c *comparison) recall(u *unit) bool {
	j := c.opts.Journal
	if j == nil || u.pairs[0].countOnly != "" {
		return false
	}
	j.mu.Lock()
	n, there := j.known[u.key]
	j.mu.Unlock()
	marks, ok := c.marks(u)
	if !there || !ok || n.Marks != marks || !slices.Equal(n.Columns, u.columns()) || u.problem() != "" {
		return false
	}
	d, err := copyproto.ParseDigest(n.Digest)
	if err != nil {
		return false
	}
	for i := range u.pairs[0].digest {
		u.pairs[0].digest[i] = &d
	}
	u.engine, u.engineReason, u.earlier = n.Engine, "", n.Taken
	return true
}

// note writes into the journal that a unit is equal.
func (c *comparison) note(u *unit) {
	j := c.opts.Journal
	if j == nil || !u.equal() || u.problem() != "" || u.pairs[0].countOnly != "" {
		return
	}
	marks, ok := c.marks(u)
	if !ok {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n := noted{Schema: u.schema, Name: u.name, Columns: u.columns(), Engine: u.engine, Digest: u.sum(0).String(), Marks: marks}
	if s := cmp.Or(c.ends[0].snapshot, c.ends[1].snapshot); s != nil {
		n.Taken = s.Taken
	}
	if j.file == nil {
		j.known[u.key] = n
	}
	j.write(n)
}

// beginJournal checks that the journal is about these databases.
func (c *comparison) beginJournal() error {
	j := c.opts.Journal
	if j == nil {
		return nil
	}
	if c.ends[0].rec == nil {
		return j.begin([2]string{c.ends[0].identity(), c.ends[1].identity()})
	}
	if j.file != nil {
		return errors.New("a journal in a file is for comparing two databases")
	}
	return nil // it is not kept for another run
}
