package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/archive"
)

// The exit statuses. They are an interface: scripts branch on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitIncomplete  = 3
	exitInterrupted = 130 // by SIGINT; SIGTERM gives 143, SIGHUP 129
)

const exitHelp = `Exit status:
  0    done
  1    failed
  2    wrong usage
  3    finished, but not everything: %s
  130  interrupted (143 by SIGTERM)`

// A usageError is a mistake on the command line or in the environment. Nothing
// has been done yet.
type usageError struct {
	err     error
	command string // whose help to point to, "" for none
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// errIncomplete says that a run finished, but not everything. What is missing
// has been told already.
var errIncomplete = errors.New("finished, but not everything")

// A toldError is one that has been shown already.
type toldError struct{ error }

func (e *toldError) Unwrap() error { return e.error }

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ sig os.Signal }

func (e *interrupted) Error() string {
	switch e.sig {
	case syscall.SIGTERM:
		return "terminated"
	case syscall.SIGHUP:
		return "the terminal was closed"
	}
	return "interrupted"
}

// exitCode tells the status of a run that returned err.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	if i, ok := errors.AsType[*interrupted](context.Cause(ctx)); ok {
		if s, ok := i.sig.(syscall.Signal); ok {
			return 128 + int(s)
		}
		return exitInterrupted
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if errors.Is(err, errIncomplete) {
		return exitIncomplete
	}
	return exitFailed
}

// status is exitCode in a word, for reports.
func status(code int) string {
	switch code {
	case exitDone:
		return "complete"
	case exitIncomplete:
		return "incomplete"
	case exitFailed, exitUsage:
		return "failed"
	}
	return "interrupted"
}

// A message is an error as it is shown: what happened, what the server added,
// and what to do about it.
type message struct {
	Text     string
	SQLState string
	Detail   string
	Hint     string
}

// explain turns an error into a message.
func explain(ctx context.Context, err error) message {
	if i, ok := errors.AsType[*interrupted](context.Cause(ctx)); ok {
		return message{Text: i.Error()}
	}
	m := message{Text: tidy(err.Error())}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		m.SQLState, m.Detail, m.Hint = pe.Code, pe.Detail, pe.Hint
	}
	if m.Hint == "" {
		m.Hint = hint(err)
	}
	return m
}

// tidy shortens what pgx says of several attempts to connect: one for each way
// of encryption and each address. The refusal of TLS that sslmode=prefer gets
// over says nothing where another attempt follows.
func tidy(text string) string {
	head, list, found := strings.Cut(text, ":\n\t")
	if !found || !strings.Contains(head, "failed to connect to") {
		return text
	}
	var lines []string
	for line := range strings.SplitSeq(list, "\n") {
		line = strings.TrimSpace(line)
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	telling := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return strings.HasSuffix(line, "server refused TLS connection")
	})
	if len(telling) > 0 {
		lines = telling
	}
	if len(lines) == 1 {
		return head + ": " + lines[0]
	}
	return head + ":\n" + strings.Join(lines, "\n")
}

// hint says what to do about an error, "" where that is plain.
func hint(err error) string {
	if u, ok := errors.AsType[*usageError](err); ok {
		if u.command != "" {
			return fmt.Sprintf(`try "%s --help"`, u.command)
		}
		return ""
	}
	switch {
	case errors.Is(err, archive.ErrIncomplete):
		return "the dump that made it did not get to its end: take a new one"
	case errors.Is(err, archive.ErrNotArchive):
		return "pghaul reads what pghaul dump and pg_dump -Fd, -Fc and -Ft make"
	}
	if _, ok := errors.AsType[*archive.CorruptError](err); ok {
		return "take another copy of the archive, or a new dump"
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return ""
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return connectHint(err)
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code == "40001" {
		return "a standby ends what is in the way of its replay: set max_standby_streaming_delay = -1 there for the time, or read from the primary"
	}
	return ""
}

func connectHint(err error) string {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return "is the server running there, and does a firewall let you through?"
	}
	switch pe.Code {
	case "28P01":
		return "give the password in PGPASSWORD, .pgpass, a service file or the connection string, or ask for a prompt with -W"
	case "28000":
		return "the server does not let this role in from here: check the role, the address and sslmode"
	case "3D000":
		return "create the database first"
	case "53300":
		return "use fewer connections with -j"
	}
	return ""
}

// indent puts a margin before the lines of a text after the first.
func indent(s, margin string) string { return strings.ReplaceAll(s, "\n", "\n"+margin) }
