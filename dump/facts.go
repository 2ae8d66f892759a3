package dump

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pg"
)

// factsWithin is how long a dump waits for the facts of its source when the
// catalog has been read. It can do without them.
const factsWithin = 20 * time.Second

// told is what was found out about the source for plans that are made from the
// archive.
type told struct {
	facts    json.RawMessage
	platform string
	err      error
}

// A teller asks for the facts of the source while the catalog is read, over a
// connection of its own, which is gone before the rows are read.
type teller struct {
	answer chan told
	stop   context.CancelFunc
}

// ask begins to ask. The names of roles and the like are wanted in UTF-8,
// whatever the encoding of the archive.
func ask(ctx context.Context, source *pgx.ConnConfig, opts Options) *teller {
	ctx, stop := context.WithCancel(ctx)
	t := &teller{answer: make(chan told, 1), stop: stop}
	go func() {
		var a told
		a.facts, a.platform, a.err = askFor(ctx, source, opts)
		t.answer <- a
	}()
	return t
}

func askFor(ctx context.Context, source *pgx.ConnConfig, opts Options) (facts json.RawMessage, platform string, err error) {
	if opts.Facts == nil {
		return nil, "", nil
	}
	conn, err := pg.Connect(ctx, source, pg.ReadCatalog, pg.Options{Application: "pghaul dump worker", Encoding: "UTF8", Role: opts.Role})
	if err != nil {
		return nil, "", err
	}
	defer pg.Close(conn)
	return opts.Facts(ctx, conn)
}

// wait returns what was found out.
func (t *teller) wait() told {
	late := time.AfterFunc(factsWithin, t.stop)
	defer late.Stop()
	defer t.stop()
	return <-t.answer
}

// keepFacts puts the facts of the source into the manifest. That they cannot be
// had costs only plans that are made from the archive.
func (r *run) keepFacts(a told) {
	if a.err != nil {
		r.report.Warnings = append(r.report.Warnings,
			fmt.Sprintf("the archive does not say what its source was like, which a plan to restore it elsewhere by would know: %v", a.err))
		return
	}
	r.manifest.Facts, r.manifest.Source.Platform = a.facts, a.platform
}
