package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// A Screen is the one way to a stream that both log lines and status lines go
// to. On a terminal the status lines stand below everything else: they are
// erased before a log line is written and drawn again after it, in a single
// Write, so that neither ever tears the other. Methods are safe for concurrent
// use.
type Screen struct {
	out io.Writer
	// width returns the terminal's columns; nil means the stream is none.
	width func() int

	mu sync.Mutex
	// status is what stands below the log now. No line reaches the last column,
	// where terminals differ in when they wrap. While there is one the cursor is
	// hidden.
	status []string
}

// NewScreen returns a Screen on out. width returns the columns of the terminal
// that out is, each time it is asked, since people resize their windows; it is
// nil if out is no terminal.
func NewScreen(out io.Writer, width func() int) *Screen {
	return &Screen{out: out, width: width}
}

// Terminal reports whether status lines can be drawn.
func (s *Screen) Terminal() bool { return s.width != nil }

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseBelow = "\x1b[J"
)

// Write writes log lines. A missing newline at the end is added where status
// lines follow.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := Visible(string(p))
	if len(s.status) == 0 {
		if _, err := io.WriteString(s.out, text); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	var b strings.Builder
	s.erase(&b)
	b.WriteString(text)
	if len(p) > 0 && p[len(p)-1] != '\n' {
		b.WriteByte('\n')
	}
	draw(&b, s.status)
	if _, err := io.WriteString(s.out, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Printf writes one log line.
func (s *Screen) Printf(format string, args ...any) {
	_, _ = fmt.Fprintf(s, format+"\n", args...)
}

// Status makes these the status lines, none to take them away. On a stream
// that is no terminal it does nothing.
func (s *Screen) Status(lines []string) {
	if s.width == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(lines) == 0 && len(s.status) == 0 {
		return
	}
	width := s.width() - 1
	fitted := make([]string, len(lines))
	for i, line := range lines {
		fitted[i] = fit(Visible(line), width)
	}
	var b strings.Builder
	if len(lines) > 0 && len(s.status) == 0 {
		b.WriteString(hideCursor)
	}
	s.erase(&b)
	draw(&b, fitted)
	if len(lines) == 0 {
		b.WriteString(showCursor)
	}
	s.status = fitted
	_, _ = io.WriteString(s.out, b.String())
}

// erase moves to the first of the status lines and clears from there. A window
// made narrower has wrapped them: they then take more rows than lines.
func (s *Screen) erase(b *strings.Builder) {
	if len(s.status) == 0 {
		return
	}
	width := max(s.width(), 1)
	rows := 0
	for _, line := range s.status {
		rows += max(1, (columns(line)+width-1)/width)
	}
	b.WriteByte('\r')
	if rows > 1 {
		fmt.Fprintf(b, "\x1b[%dA", rows-1)
	}
	b.WriteString(eraseBelow)
}

// draw writes the status lines, leaving the cursor at the end of the last.
func draw(b *strings.Builder, lines []string) {
	b.WriteString(strings.Join(lines, "\r\n"))
}
