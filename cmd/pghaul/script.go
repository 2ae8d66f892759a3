package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/restore"
)

// addScriptFlags adds pg_dump's flags that shape a script. They have no effect on
// an archive, whose script or restore they shape later.
func (o *dumpFlags) addScriptFlags(f *pflag.FlagSet) {
	f.BoolVarP(&o.script.Clean, "clean", "c", false, "drop objects before creating them")
	f.BoolVar(&o.script.IfExists, "if-exists", false, "with --clean: do not mind objects that are not there")
	f.BoolVarP(&o.script.Create, "create", "C", false, "create the database and connect to it")
	f.BoolVar(&o.script.NoTablespaces, "no-tablespaces", false, "everything in the default tablespace")
	f.BoolVar(&o.script.NoTableAccessMethod, "no-table-access-method", false, "all tables with the default access method")
	f.BoolVar(&o.script.DisableTriggers, "disable-triggers", false, "with rows only: switch triggers off while a table loads")
	f.StringVarP(&o.script.Superuser, "superuser", "S", "", "with --disable-triggers: do so as `NAME`")
	f.BoolVar(&o.sessionOwner, "use-set-session-authorization", false, "not supported with -Fp")
	f.Lookup("use-set-session-authorization").Hidden = true
	f.StringVar(&o.restrictKey, "restrict-key", "", "`KEY` that guards the script; a random one by default")
}

// writeScript dumps a database as an SQL script.
func (o *dumpFlags) writeScript(ctx context.Context, g *globals, source *pgx.ConnConfig) error {
	o.Jobs = 1 // one table after the other, each in one piece
	l, err := dump.Open(ctx, source, o.Options)
	if err != nil {
		return err
	}
	defer l.Close()
	opts := o.script
	opts.NoOwner, opts.Logger = o.NoOwner, g.log
	if err := toFile(g.stdout, o.Dir, func(w io.Writer) error {
		return restore.WriteScript(ctx, w, l, opts, restrictKey(o.restrictKey))
	}); err != nil {
		return err
	}
	skipped := l.Manifest().Skipped
	for _, s := range skipped {
		g.warn("not dumped: %s %s: %s", s.Kind, s.Name, s.Reason)
	}
	if len(skipped) > 0 {
		g.warn("%s not in the script", ui.Plural(int64(len(skipped)), "object"))
		return errIncomplete
	}
	return nil
}

// restrictKey is the key given, or a random one.
func restrictKey(given string) string {
	if given != "" {
		return given
	}
	return rand.Text()
}

// noticeClosedPipe makes it an error to write to a pipe that nobody reads from,
// which otherwise ends the process without a word.
func noticeClosedPipe() { signal.Ignore(syscall.SIGPIPE) }

// toFile lets write fill a file, which appears, or replaces one, only when it is
// complete, or, without a name or with "-", stdout. A device or a pipe is
// written to as it is.
func toFile(stdout io.Writer, name string, write func(io.Writer) error) (err error) {
	if name == "" || name == "-" {
		return throughBuffer(stdout, write)
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("write script: %s is a directory; name a file", name)
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("write script: %w", err)
		}
		return errors.Join(throughBuffer(f, write), f.Close())
	case err == nil:
		// What a symbolic link points to is replaced, not the link.
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return fmt.Errorf("write script: %w", err)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	return os.Rename(f.Name(), name)
}

// throughBuffer lets write fill what cannot be replaced as a whole.
func throughBuffer(w io.Writer, write func(io.Writer) error) error {
	noticeClosedPipe()
	out := bufio.NewWriter(w)
	if err := write(out); err != nil {
		return err
	}
	return out.Flush()
}
