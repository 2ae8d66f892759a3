package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/term"

	"github.com/pghaul/pghaul/internal/pg"
)

// A terminal is where a person can be asked, and what status lines are drawn on.
type terminal struct {
	in, out *os.File
	// audit hears of all connections, those too by which it is found out whether
	// to ask for a password. It may be nil.
	audit *pg.Audit
}

// present reports whether there is somebody to ask.
func (t terminal) present() bool { return t.in != nil && term.IsTerminal(int(t.in.Fd())) }

// width returns a function that tells the columns of the output, nil if it is
// no terminal on which lines can be redrawn.
func (t terminal) width() func() int {
	fd := int(t.out.Fd())
	// The console of Windows does not understand escapes unless it is told to.
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" || runtime.GOOS == "windows" {
		return nil
	}
	return func() int {
		const usual = 80
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			return w
		}
		return usual
	}
}

// ask asks for a secret, which is not echoed. When ctx ends the terminal is put
// in order again.
func (t terminal) ask(ctx context.Context, prompt string) (string, error) {
	fd := int(t.in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type answer struct {
		secret []byte
		err    error
	}
	// The read cannot be interrupted: when ctx ends it is left behind, and ends
	// with the process.
	answers := make(chan answer, 1)
	_, _ = fmt.Fprint(t.out, prompt)
	go func() {
		secret, err := term.ReadPassword(fd)
		answers <- answer{secret, err}
	}()
	defer func() { _, _ = fmt.Fprintln(t.out) }()
	select {
	case a := <-answers:
		return string(a.secret), a.err
	case <-ctx.Done():
		_ = term.Restore(fd, state)
		return "", context.Cause(ctx)
	}
}
