package replicate

import (
	"context"
	"time"
)

// dropWait is how long a session is given to leave its slot between two looks.
const dropWait = 100 * time.Millisecond

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
