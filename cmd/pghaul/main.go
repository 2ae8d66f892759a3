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

// withSignals returns a context that the first SIGINT or SIGTERM ends, with an
// *interrupted as its cause. A second signal kills the process.
func withSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&interrupted{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
