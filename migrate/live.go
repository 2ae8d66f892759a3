package migrate

import (
	"context"
	"fmt"
	"sync"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
)

// live is a source whose snapshot is kept until it is released.
type live struct {
	*dump.Live
	stop func()
	lost chan error // gets one value when the snapshot is not kept any more
	once sync.Once
	err  error
}

func keep(l *dump.Live) *live {
	ctx, stop := context.WithCancel(context.Background())
	k := &live{Live: l, stop: stop, lost: make(chan error, 1)}
	go func() { k.lost <- l.KeepAlive(ctx) }()
	return k
}

// release implements moved.
func (k *live) release() error {
	k.once.Do(func() {
		k.stop()
		k.err = <-k.lost
		k.Close()
	})
	return k.err
}

var _ moved = (*live)(nil)

// from implements moved.
func (k *live) from() archive.Source { return k.Manifest().Source }

// watch implements moved.
func (k *live) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
		case err := <-k.lost:
			if err != nil {
				cancel(fmt.Errorf("source: %w", err))
			}
			k.lost <- err // for release
		}
	}()
	return ctx, func() { close(done); cancel(nil) }
}
