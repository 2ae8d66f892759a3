package copyproto

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// messageSize fills exactly one CopyData message of pgconn.CopyFrom, whose
// buffer holds 64 KiB less a five-byte header. With any other size every
// second message is a runt.
const messageSize = 65536 - 5

// errStopped wakes a source whose target has returned.
var errStopped = errors.New("target stopped reading")

// errVanished is a source that ended its goroutine instead of returning.
var errVanished = errors.New("source ended without a result")

// Pipe streams src into dst and returns once both have stopped. The error is
// always an *Error naming the end that failed first.
//
// Rows are gathered into full messages on the way: handed over one by one they
// cost a goroutine switch and a system call each.
func Pipe(ctx context.Context, dst Sink, src Source) (rows int64, err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	pr, pw := io.Pipe()
	ended := make(chan error, 1)
	wg.Go(func() {
		err := errVanished
		defer func() {
			ended <- err // recorded before the target can see it
			pw.CloseWithError(err)
		}()
		bw := bufio.NewWriterSize(pw, messageSize)
		if _, err = src.CopyTo(ctx, bw); err == nil {
			err = bw.Flush()
		}
	})
	wg.Go(func() { beat(ctx, pw) })

	rows, err = dst.CopyFrom(ctx, pr)
	select {
	case srcErr := <-ended: // the source stopped first, by itself
		if srcErr != nil {
			return rows, &Error{Side: SideSource, Err: srcErr}
		}
	default: // the target stopped first; what the source says now is an echo
		pr.CloseWithError(errStopped)
		cancel()
		if echo := <-ended; err == nil {
			err = echo
		}
	}
	if err != nil {
		return rows, &Error{Side: SideTarget, Err: err}
	}
	return rows, nil
}

// beat makes pending reads of a silent pipe return nothing now and then:
// pgconn.CopyFrom looks for a failure of the target only between reads.
func beat(ctx context.Context, pw *io.PipeWriter) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := pw.Write(nil); err != nil {
				return
			}
		}
	}
}
