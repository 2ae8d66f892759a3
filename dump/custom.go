package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
)

// A customRun is one dump into a custom archive under way: one file or stream,
// written in one go over one connection.
type customRun struct {
	run
	out *archive.CustomWriter
}

// RunCustom dumps the database that source connects to into a custom archive,
// pg_dump's -Fc: into the file opts.Dir, which appears, or replaces the one that
// is there, only when it is complete, or, where out is not nil, into that stream. What was
// written to a stream before an error cannot be taken back; a reader notices
// that the archive is not whole. Of opts, Jobs has no meaning.
func RunCustom(ctx context.Context, source *pgx.ConnConfig, out io.Writer, opts Options) (*Report, error) {
	r := &customRun{}
	r.report = &Report{Dir: opts.Dir}
	began := time.Now()
	err := r.do(ctx, source, out, opts)
	r.report.Elapsed = time.Since(began)
	return r.report, err
}

func (r *customRun) do(ctx context.Context, source *pgx.ConnConfig, out io.Writer, opts Options) (err error) {
	stored := archive.WriterOptions{Compression: opts.Compression, Level: opts.Level, NoSync: opts.NoSync, Version: opts.ArchiveVersion, Overwrite: opts.Overwrite}
	if out != nil {
		r.out, err = archive.CreateCustom(out, stored)
	} else {
		r.out, err = archive.CreateCustomFile(opts.Dir, stored)
	}
	if err != nil {
		return err
	}
	defer func() {
		if abortErr := r.out.Abort(); err != nil && abortErr != nil {
			err = fmt.Errorf("%w; and what was written could not be removed: %w", err, abortErr)
		}
	}()
	opts.Jobs = 1
	if err := r.open(ctx, source, opts); err != nil {
		return err
	}
	defer r.Close()
	if err := r.out.Begin(r.header, r.toc); err != nil {
		return err
	}
	if err := r.withHeartbeat(ctx, r.all); err != nil {
		return err
	}
	r.finishing()
	if err := r.out.Commit(r.manifest); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	r.report.Entries, r.report.Stored = len(r.toc), r.out.Stored()
	r.endPhase()
	return nil
}

// all writes the data of every entry, in the order of the table of contents.
func (r *customRun) all(ctx context.Context) error {
	conn, err := r.pool.get(ctx)
	if err != nil {
		return err
	}
	defer func() { r.pool.put(conn) }()
	for i := range r.toc {
		if !r.toc[i].HasData {
			continue
		}
		switch o := r.db.Object(r.toc[i].ID).(type) {
		case *catalog.TableData:
			err = r.table(ctx, conn, o)
		case *catalog.LargeObjects:
			err = r.blobs(ctx, conn, o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *customRun) table(ctx context.Context, conn *pgx.Conn, d *catalog.TableData) (err error) {
	r.log.Info("dumping contents of table " + d.QualifiedName())
	task := r.opts.Progress.StartSized("data", d.QualifiedName(), d.Pages*8192)
	defer func() { task.Done(err) }()
	f := r.format(d)
	begin := r.out.Table
	switch {
	case r.opts.Inserts != nil:
		begin = r.out.Statements
	case f == copyproto.Binary:
		begin = r.out.BinaryTable
	}
	rows, err := begin(d.DumpID)
	if err != nil {
		return err
	}
	w := newRowWriter(rows, f, task)
	if err := r.copyRows(ctx, conn, d, "", w, false); err != nil {
		return errors.Join(err, rows.Abort())
	}
	if err := rows.Close(); err != nil {
		return err
	}
	r.record(&table{data: d, format: f, digest: w.split.Sum(), rows: w.rows, size: w.bytes})
	return nil
}

func (r *customRun) blobs(ctx context.Context, conn *pgx.Conn, g *catalog.LargeObjects) (err error) {
	r.log.Info("saving large objects " + g.Name)
	task := r.opts.Progress.Start("large objects", g.Name)
	defer func() { task.Done(err) }()
	group, err := r.out.LargeObjects(g.DumpID)
	if err != nil {
		return err
	}
	var total int64
	err = r.readLargeObjects(ctx, conn, g.OIDs, func(oid uint32) (largeObjectWriter, error) { return group.Create(oid) },
		func(_ uint32, size int64) {
			total += size
			task.Add(1, size)
		})
	if err != nil {
		return err
	}
	r.addLargeObjects(int64(len(g.OIDs)), total)
	return group.Close()
}
