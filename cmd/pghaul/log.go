package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
)

// newLogger returns the logger of a run. Text is written as pg_dump writes its
// messages; JSON is one object a line. verbosity 0 lets warnings through, 1
// what was done to each object, 2 everything.
func newLogger(w io.Writer, format string, verbosity int) *slog.Logger {
	level := slog.LevelWarn
	switch {
	case verbosity == 1:
		level = slog.LevelInfo
	case verbosity > 1:
		level = slog.LevelDebug
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
			Level: level,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				switch v := a.Value.Any().(type) {
				case string:
					a.Value = slog.StringValue(ui.Redact(v))
				case error:
					a.Value = slog.StringValue(ui.Redact(v.Error()))
				}
				return a
			},
		}))
	}
	return slog.New(&textHandler{w: w, mu: new(sync.Mutex), level: level})
}

// A textHandler writes "pghaul: message key=value". Its lines look like
// pg_dump's, so that what reads those reads these.
type textHandler struct {
	mu     *sync.Mutex
	w      io.Writer
	level  slog.Level
	attrs  []slog.Attr
	prefix string // of the keys, from groups
}

// Enabled implements slog.Handler.
func (h *textHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs implements slog.Handler.
func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		a.Key = h.prefix + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *textHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.prefix += name + "."
	return &c
}

// Handle implements slog.Handler.
func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	b.WriteString("pghaul: ")
	switch {
	case r.Level >= slog.LevelError:
		b.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		b.WriteString("warning: ")
	}
	b.WriteString(r.Message)
	attr := func(a slog.Attr) {
		if a.Equal(slog.Attr{}) {
			return
		}
		b.WriteByte(' ')
		b.WriteString(a.Key)
		b.WriteByte('=')
		value := a.Value.Resolve().String()
		if strings.ContainsAny(value, " \t\n\"=") || value == "" {
			value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(value) + `"`
		}
		b.WriteString(value)
	}
	for _, a := range h.attrs {
		attr(a)
	}
	r.Attrs(func(a slog.Attr) bool {
		a.Key = h.prefix + a.Key
		attr(a)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, ui.Redact(b.String()))
	return err
}
