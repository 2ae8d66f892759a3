package replicate

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Who runs a follow while it is cut over waits for the end of that, and keeps nobody
// from it.
func TestRunWaitsForCutover(t *testing.T) {
	engines(t, func(t *testing.T, e *ends, o Options) {
		e.follow(t, o)
		ran := make(chan error, 1)
		report, err := Cutover(t.Context(), o, CutoverOptions{MaxDowntime: time.Minute, Verify: func(ctx context.Context) error {
			f, err := Attach(ctx, o)
			if err != nil {
				return err
			}
			go func() { ran <- f.Run(t.Context()) }()
			select {
			case err := <-ran:
				t.Errorf("it did not wait: %v", err)
			case <-time.After(time.Second): // it may be that it has not even begun
			}
			c, err := openTarget(ctx, o)
			if err != nil {
				return err
			}
			defer c.close()
			if pid, err := cutting(ctx, c.target, c.ID); err != nil || pid == 0 {
				t.Errorf("nothing shows the cut-over: session %d, %v", pid, err)
			}
			return nil
		}})
		if err != nil || !report.Done {
			t.Fatalf("%+v, %v", report, err)
		}
		if err := <-ran; !errors.Is(err, ErrEnded) {
			t.Errorf("the run ended with %v", err)
		}
	})
}
