package replicate

import (
	"context"
	"slices"
	"time"

	"github.com/pghaul/pghaul/internal/pg"
)

// watch compares the tables of the source with what they were at the start, for
// as long as ctx lasts, and writes what has changed into the record as warnings:
// a table that nobody publishes sends nothing by which that could be noticed, and
// one that nobody writes to neither.
func (r *applyRun) watch(ctx context.Context) {
	tick := time.NewTicker(driftEvery)
	defer tick.Stop()
	for {
		list, err := r.changed(ctx)
		if err == nil && !slices.Equal(list, r.warned) {
			err = r.warn(ctx, list)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Debug("follow: the source's catalogs could not be compared", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// changed tells what is another than at the start, each as a sentence.
func (r *applyRun) changed(ctx context.Context) ([]string, error) {
	source, err := r.source(ctx)
	if err != nil {
		return nil, err
	}
	defer pg.Close(source)
	d, err := readDrift(ctx, source, r.watched)
	if err != nil {
		return nil, err
	}
	var list []string
	for table, diffs := range d.sorted() {
		e := SchemaError{Table: table + " on the source", Diffs: diffs}
		list = append(list, e.Error()+": following stops before the first change of its rows since then")
	}
	return append(list, d.missing...), nil
}

// warn writes warnings into the record.
func (r *applyRun) warn(ctx context.Context, list []string) error {
	conn, err := pg.Connect(ctx, r.opts.Target, pg.Write, pg.Options{Application: "pghaul", Encoding: "UTF8"})
	if err != nil {
		return err
	}
	defer pg.Close(conn)
	for _, w := range list {
		if slices.Contains(r.warned, w) {
			continue
		}
		r.log.Warn("follow: " + w)
		if err := addWarning(ctx, conn, r.ID, w); err != nil {
			return err
		}
	}
	r.warned = list
	return nil
}
