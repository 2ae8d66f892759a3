// Command pghaul dumps, restores and compares PostgreSQL databases without
// pg_dump, pg_restore or any other program of PostgreSQL.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})) }

// run runs the command line until it ends or a signal interrupts it.
func run(args []string, std streams) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	return execute(ctx, args, std)
}

// withSignals returns a context that the first SIGINT, SIGTERM or SIGHUP ends,
// with an *interrupted as its cause. A second SIGINT or SIGTERM kills the process.
// What it was told to ignore when it was started, as nohup does, it ignores.
func withSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			// A terminal that is closed may say so more than once.
			signal.Ignore(syscall.SIGHUP)
			cancel(&interrupted{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
