package migrate

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/verify"
)

// aheadBytes is how much must wait to be compared before it is worth a look at
// the catalogs of the target, in bytes; Options.aheadBytes overrides it.
const aheadBytes = 64 << 20

// ahead compares tables that are complete while others still load or get their
// indexes. What it finds equal need not be read again at the end, unless
// somebody has written to it since; what it does not get to, or finds different,
// is read then.
type ahead struct {
	m       *migration
	journal *verify.Journal

	mu      sync.Mutex
	waiting []int // dump IDs of the entries
	bytes   int64
	wake    chan struct{}
}

// compareAhead begins to compare tables as they are done. stop ends that.
func (m *migration) compareAhead(ctx context.Context) (stop func()) {
	if m.opts.NoVerify || !m.wants(SchemaData) {
		return func() {}
	}
	m.ahead = &ahead{m: m, journal: verify.NewJournal(), wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { m.ahead.run(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// tableDone takes in a table that is complete.
func (a *ahead) tableDone(e *archive.Entry) {
	parts, err := a.m.src.Parts(e)
	if err != nil {
		return // who reads it at the end will say so
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, e.ID)
	for _, p := range parts {
		a.bytes += p.Bytes
	}
	if a.bytes < cmp.Or(a.m.opts.aheadBytes, aheadBytes) {
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *ahead) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		a.mu.Lock()
		ids := a.waiting
		a.waiting, a.bytes = nil, 0
		a.mu.Unlock()
		if err := a.compare(ctx, ids); err != nil && ctx.Err() == nil {
			a.m.log.Debug("tables could not be compared ahead", "error", err)
		}
	}
}

// compare reads tables of the target.
func (a *ahead) compare(ctx context.Context, ids []int) error {
	wanted := make(map[int]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	tables, err := a.m.src.recorded(ctx, func(e *archive.Entry) bool { return wanted[e.ID] })
	if err != nil || len(tables) == 0 {
		return err
	}
	err = verify.Ahead(ctx, a.m.journal.Target(), verify.Record{Source: a.m.live.from(), Tables: tables}, verify.Options{
		Jobs: max(a.m.jobs()/2, 1), Journal: a.journal,
	})
	if err == nil {
		a.m.log.Info(fmt.Sprintf("compared %d tables ahead", len(tables)))
	}
	return err
}
