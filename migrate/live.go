package migrate

import (
	"context"
	"fmt"
	"sync"

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

// release ends the snapshot. It returns the error by which it was lost before.
func (k *live) release() error {
	k.once.Do(func() {
		k.stop()
		k.err = <-k.lost
		k.Close()
	})
	return k.err
}

// watch returns a context that ends when the snapshot is lost.
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
