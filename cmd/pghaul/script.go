package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/cmd/pghaul/internal/ui"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/restore"
)

// writeScript dumps a database as an SQL script.
func (o *dumpFlags) writeScript(ctx context.Context, g *globals, source *pgx.ConnConfig) error {
	l, err := dump.Open(ctx, source, o.Options)
	if err != nil {
		return err
	}
	defer l.Close()
	opts := restore.Options{NoOwner: o.NoOwner, Logger: g.log}
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

// toFile lets write fill a file, which appears only when it is complete, or,
// without a name or with "-", stdout.
func toFile(stdout io.Writer, name string, write func(io.Writer) error) (err error) {
	if name == "" || name == "-" {
		out := bufio.NewWriter(stdout)
		if err := write(out); err != nil {
			return err
		}
		return out.Flush()
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
