//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Azure starts a server that looks like Azure Database for PostgreSQL to its
// admin azadmin: PostgreSQL 15, with the real pg_cron where that is installed.
// root is the module's root directory, as ModuleRoot finds it.
func (f *Fleet) Azure(ctx context.Context, root string) (*Server, error) {
	b, err := Find(ctx, 15)
	if err != nil {
		return nil, err
	}
	opts := Options{InitUser: "azuresu", PreloadCron: b.HasCron()}
	// Azure's locale, where the system has it.
	if out, err := exec.CommandContext(ctx, "locale", "-a").Output(); err == nil && strings.Contains(string(out), "en_US.utf8") {
		opts.Locale = "en_US.utf8"
	}
	return f.platform(ctx, 15, opts, filepath.Join(root, "testdata/sql/azure_sim.sql"))
}

// Neon starts a server that looks like a Neon compute to its customer role
// neondb_owner: PostgreSQL 17 with the builtin locale C.UTF-8.
func (f *Fleet) Neon(ctx context.Context, root string) (*Server, error) {
	opts := Options{InitUser: "cloud_admin", LocaleProvider: "builtin", Locale: "C.UTF-8"}
	return f.platform(ctx, 17, opts, filepath.Join(root, "testdata/sql/neon_sim.sql"))
}

func (f *Fleet) platform(ctx context.Context, major int, opts Options, path string) (*Server, error) {
	script, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := f.Start(ctx, major, opts)
	if err != nil {
		return nil, err
	}
	if err := s.RunChunks(ctx, string(script)); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.Destroy())
	}
	// ALTER SYSTEM may have changed settings that only a restart applies.
	if err := s.Restart(ctx); err != nil {
		return nil, errors.Join(err, s.Destroy())
	}
	return s, nil
}

// ModuleRoot is the directory of this module's go.mod, at or above the working
// directory: go test and go run both start inside the module.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module's root: no go.mod at or above the working directory")
		}
		dir = parent
	}
}
