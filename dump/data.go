package dump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/longrow"
	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/sched"
	"github.com/pghaul/pghaul/progress"
)

// A table is a table's rows on their way into the archive.
type table struct {
	data  *catalog.TableData
	bytes int64 // estimate, for order and progress
	file  *archive.Data
	task  *progress.Task

	mu     sync.Mutex
	left   int // parts not yet done
	format copyproto.Format
	turns  bool // a row is too long for text: the table is to be read again
	digest copyproto.Digest
	rows   int64
	size   int64
}

// A job is a piece of work for one connection: a part of a table, several small
// tables or a group of large objects.
type job struct {
	small []*table
	table *table
	part  int
	where string // TID range; "" for the whole table
	blobs *blobs
	cost  int64
}

// data writes rows and large objects, the longest piece first.
func (r *run) data(ctx context.Context) error {
	jobs, tables := r.plan()
	if len(jobs) == 0 {
		return nil
	}
	nodes := make([]sched.Node, len(jobs))
	for i, j := range jobs {
		nodes[i].Cost = j.cost
	}
	if err := sched.Run(ctx, r.opts.Jobs, nodes, func(ctx context.Context, i, _ int) error { return r.work(ctx, jobs[i]) }); err != nil {
		return err
	}
	slices.SortFunc(tables, func(a, b *table) int { return cmp.Compare(a.data.DumpID, b.data.DumpID) })
	for _, t := range tables {
		r.record(t)
	}
	return nil
}

// record puts a table that is complete into the manifest and the report.
func (r *run) record(t *table) {
	d := archive.TableData{
		Entry: t.data.DumpID, Schema: t.data.Schema, Name: t.data.Name, Columns: t.data.Columns,
		Rows: t.rows, Bytes: t.size, File: archive.DataName(t.data.DumpID),
	}
	if t.format == copyproto.Binary {
		d.Format, d.Portable = string(copyproto.Binary), t.turns
	}
	if r.opts.Inserts == nil { // the digest is of rows
		d.Digest = t.digest.String()
	}
	r.manifest.Tables = append(r.manifest.Tables, d)
	r.report.Tables++
	r.report.Rows += t.rows
	r.report.Bytes += t.size
}

// plan cuts the data into jobs.
func (r *run) plan() (jobs []job, tables []*table) {
	for i := range r.toc {
		if o, ok := r.db.Object(r.toc[i].ID).(*catalog.LargeObjects); ok && r.toc[i].HasData {
			jobs = append(jobs, job{blobs: &blobs{group: o}, cost: int64(len(o.OIDs)) * 8192})
		}
	}
	var total int64
	for _, d := range r.withRows() {
		t := &table{data: d, bytes: r.size[d.Table.ID.OID].Bytes, format: r.format(d)}
		tables = append(tables, t)
		total += t.bytes
		ranges := r.ranges(d)
		t.left = len(ranges)
		for i, where := range ranges {
			jobs = append(jobs, job{table: t, part: i, where: where, cost: t.bytes / int64(len(ranges))})
		}
	}
	r.opts.Progress.Expect(len(tables), total)
	return r.gather(jobs), tables
}

// attempts is how often a job is tried whose connection is lost, and firstWait
// how long the second attempt waits. Each wait is four times the one before.
const (
	attempts  = 5
	firstWait = 100 * time.Millisecond
)

// work does one job, on a fresh connection again if the first is lost, as long
// as the leader still holds the snapshot.
func (r *run) work(ctx context.Context, j job) error {
	if j.small != nil {
		return r.smallTables(ctx, j.small)
	}
	wait := firstWait
	for try := 1; ; try++ {
		conn, err := r.pool.get(ctx)
		if err == nil {
			if j.blobs != nil {
				err = r.largeObjects(ctx, conn, j.blobs)
			} else {
				err = r.rows(ctx, conn, j)
			}
			if errors.Is(err, errTurned) {
				r.pool.put(conn)
				return r.work(ctx, job{table: j.table})
			}
			if err != nil {
				pg.Close(conn) // its transaction is spoilt
			}
			r.pool.put(conn)
		}
		// A standby ends statements that are in the way of what it replays.
		conflict := r.snapshot.Standby && pg.Code(err) == "40001"
		if err == nil || ctx.Err() != nil || !lost(err) && !conflict {
			return err
		}
		if gone := r.snapshot.Alive(ctx); gone != nil {
			return gone
		}
		if try == attempts {
			return fmt.Errorf("%w (given up after %d attempts)", err, attempts)
		}
		r.log.Warn("connection lost, reading again", "object", j.name(), "error", err)
		r.retried()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait *= 4
	}
}

func (r *run) retried() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Retries++
}

func (j job) name() string {
	if j.blobs != nil {
		return "large objects " + j.blobs.group.Name
	}
	return j.table.data.QualifiedName()
}

// lost reports whether a connection broke, as opposed to the server refusing
// something: then the work can be done again on another.
func lost(err error) bool {
	if ofFile(err) {
		return false
	}
	switch pg.Code(err) {
	case "":
		var netErr interface{ Timeout() bool }
		return errors.Is(err, errConnection) || errors.As(err, &netErr) || pgconn.SafeToRetry(err)
	case "57P01", "57P02", "57P03", "08000", "08003", "08006":
		return true
	}
	return false
}

// ofFile reports whether the archive's file is what failed, say on a full disk.
// Its error looks like one of the network, with a Timeout method, and the
// connection that it stopped a COPY on is closed: neither means that the
// connection was lost.
func ofFile(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}

// errConnection marks an error after which the connection was found closed.
var errConnection = errors.New("connection lost")

// rows copies one part of a table into the archive.
func (r *run) rows(ctx context.Context, conn *pgx.Conn, j job) (err error) {
	t := j.table
	if err := t.start(r); err != nil {
		return err
	}
	part := t.file.Part(j.part)
	w := newRowWriter(part, t.format, t.task)
	w.stop = t.turning
	defer func() {
		if err != nil && !errors.Is(err, errTurned) {
			t.task.Add(-w.rows, -w.bytes)
			err = errors.Join(err, part.Abort())
		}
		if errors.Is(err, copyproto.ErrNeedsBinary) {
			err = t.turn(r)
		}
	}()
	if err := r.copyRows(ctx, conn, t.data, j.where, w, r.mayTurn(t)); err != nil {
		return err
	}
	if err := part.Close(); err != nil {
		return fmt.Errorf("dump %s: %w", t.data.QualifiedName(), err)
	}
	return t.done(r, w)
}

// copyRows reads a table's rows, or those of a TID range, into w. What COPY cannot
// send is left out, unless turn says that copyproto.ErrNeedsBinary is wanted for text that
// is too long for its format alone.
func (l *Live) copyRows(ctx context.Context, conn *pgx.Conn, d *catalog.TableData, where string, w *rowWriter, turn bool) error {
	if l.opts.Inserts != nil {
		return l.insertRows(ctx, conn, d, where, w.statement)
	}
	for {
		before := w.rows
		n, err := copyproto.Query{Conn: conn.PgConn(), SQL: lockRows(d) + copyTo(d, where, w.format), Format: w.format}.CopyTo(ctx, w)
		if err == nil {
			return l.dumped(conn, d, w.end(before+n))
		}
		if !longrow.Refused(err) || !w.split.Between() {
			return l.dumped(conn, d, err)
		}
		row, lookErr := l.oversized(ctx, conn, d, where, w.rows-before, w.format)
		switch {
		case row == nil:
			return l.dumped(conn, d, errors.Join(err, lookErr))
		case turn && row.Fits:
			return copyproto.ErrNeedsBinary
		}
		l.leaveOut(row)
		where = row.After(where)
	}
}

// insertRows reads a table's rows and hands them to emit as INSERT statements.
func (l *Live) insertRows(ctx context.Context, conn *pgx.Conn, d *catalog.TableData, where string, emit func(statement []byte, rows int64) error) error {
	var err error
	if lock := lockRows(d); lock != "" {
		_, err = conn.PgConn().Exec(ctx, lock).ReadAll()
	}
	if err == nil {
		err = l.opts.Inserts.write(ctx, conn.PgConn(), d, where, emit)
	}
	return l.dumped(conn, d, err)
}

// lockRows returns the statement by which a worker takes its own lock on a table
// at once, or fails: behind a session that waits for the table because of the
// leader's lock, it would wait for ever. It goes along with the COPY, as each
// round trip to a far server counts where tables are many and small.
func lockRows(d *catalog.TableData) string {
	if d.Foreign() {
		return "" // LOCK does not take foreign tables
	}
	return "LOCK TABLE " + d.Table.QualifiedName() + " IN ACCESS SHARE MODE NOWAIT;\n"
}

// dumped explains why the rows of a table could not be read.
func (l *Live) dumped(conn *pgx.Conn, d *catalog.TableData, err error) error {
	switch {
	case err == nil:
		return nil
	case pg.Code(err) == "55P03":
		return fmt.Errorf("dump %s: another session waits for an exclusive lock on the table, which nobody gets while the dump runs: %w", d.QualifiedName(), err)
	}
	return l.failed(conn, "dump "+d.QualifiedName(), err)
}

func (l *Live) failed(conn *pgx.Conn, what string, err error) error {
	if conn.IsClosed() && !ofFile(err) {
		return fmt.Errorf("%s: %w: %w", what, errConnection, err)
	}
	if pg.Code(err) == "42501" { // what the role may not read
		return fmt.Errorf("%s: %w (grant the right to read it, take a role with BYPASSRLS where it is about row-level security or read what it lets the role see with --enable-row-security, or leave the object out)", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// start opens the table's file when its first part begins.
func (t *table) start(r *run) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file != nil {
		return nil
	}
	if t.task == nil {
		r.log.Info("dumping contents of table " + t.data.QualifiedName())
		t.task = r.opts.Progress.StartSized("data", t.data.QualifiedName(), t.bytes)
	}
	begin := r.writer.Table
	switch {
	case r.opts.Inserts != nil:
		begin = r.writer.Statements
	case t.format == copyproto.Binary:
		begin = r.writer.BinaryTable
	}
	t.file, err = begin(t.data.DumpID)
	return err
}

// done adds a finished part and closes the file after the last.
func (t *table) done(r *run, w *rowWriter) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.digest = t.digest.Add(w.split.Sum())
	t.rows += w.rows
	t.size += w.bytes
	if t.left--; t.left > 0 {
		return nil
	}
	if t.turns && t.format != copyproto.Binary {
		return t.turned(r)
	}
	_, err := t.file.Close()
	t.task.Done(err)
	if err != nil {
		return fmt.Errorf("dump %s: %w", t.data.QualifiedName(), err)
	}
	return nil
}

// A rowWriter hashes rows and hands them to the archive, and counts.
type rowWriter struct {
	part   archive.RowWriter
	task   *progress.Task
	format copyproto.Format
	split  *copyproto.Splitter
	stop   func() error // nil for never
	rows   int64
	bytes  int64
}

// newRowWriter returns a writer of rows in a format to part.
func newRowWriter(part archive.RowWriter, f copyproto.Format, task *progress.Task) *rowWriter {
	return &rowWriter{part: part, task: task, format: f, split: copyproto.NewSplitter(part, f)}
}

// Write implements io.Writer.
func (w *rowWriter) Write(p []byte) (int, error) {
	if w.stop != nil {
		if err := w.stop(); err != nil {
			return 0, err
		}
	}
	w.bytes += int64(len(p))
	before := w.split.Sum().Rows
	if _, err := w.split.Write(p); err != nil {
		return 0, err
	}
	rows := w.split.Sum().Rows - before
	w.rows += rows
	w.task.Add(rows, int64(len(p)))
	return len(p), nil
}

// statement takes an INSERT statement of some rows.
func (w *rowWriter) statement(text []byte, rows int64) error {
	w.rows += rows
	w.bytes += int64(len(text))
	w.task.Add(rows, int64(len(text)))
	return w.part.WriteRows(text, rows)
}

// end checks that what was written is what the server says it sent.
func (w *rowWriter) end(rows int64) error {
	if !w.split.Between() {
		return errors.New("the server's data ends inside a row")
	}
	if got := w.split.Sum().Rows; got != rows {
		return fmt.Errorf("the server sent %d rows and counted %d", got, rows)
	}
	return nil
}
