//go:build unix

package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
)

// A Client is an installation of PostgreSQL's own client programs, the oracle
// that this project's output is compared with. Archives it reads or writes
// must lie in TempDir and be named by absolute paths.
type Client struct {
	Major int
	bin   string
}

// Oracle is the PostgreSQL 18 client, which reads servers of every version.
// It is looked for in PGHAUL_ORACLE18 (a directory with bin/pg_dump), in the
// cache directory where scripts/oracle18.sh installs it, and where packages do.
func Oracle(tb testing.TB) *Client {
	tb.Helper()
	return OracleOf(tb, 18)
}

// OracleOf is the client of another major, as packages install it.
func OracleOf(tb testing.TB, major int) *Client {
	tb.Helper()
	dirs := []string{fmt.Sprintf("/usr/lib/postgresql/%d", major), fmt.Sprintf("/usr/pgsql-%d", major)}
	if major == 18 {
		cache, err := pgserver.CacheDir()
		if err != nil {
			tb.Fatal(err)
		}
		dirs = append([]string{filepath.Join(cache, "oracle18")}, dirs...)
		if dir := os.Getenv("PGHAUL_ORACLE18"); dir != "" {
			dirs = []string{dir}
		}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "bin/pg_dump")); err == nil {
			return &Client{Major: major, bin: filepath.Join(dir, "bin")}
		}
	}
	Missing(tb, "no pg_dump of PostgreSQL %d in %s (make oracle installs it)", major, strings.Join(dirs, ", "))
	return nil
}

// Run runs one of the programs and returns what it wrote and its exit status.
func (c *Client) Run(tb testing.TB, program string, args ...string) (stdout, stderr string, exit int) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), filepath.Join(c.bin, program), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// The caller's PG* variables are not for tests.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "LC_ALL=C.UTF-8", "PGCONNECT_TIMEOUT=20"}
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		tb.Fatalf("run %s: %v", program, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Dump runs pg_dump, which must succeed, and returns its standard output.
func (c *Client) Dump(tb testing.TB, args ...string) string {
	tb.Helper()
	out, errs, exit := c.Run(tb, "pg_dump", args...)
	if exit != 0 {
		tb.Fatalf("pg_dump %s: exit %d: %s", strings.Join(args, " "), exit, errs)
	}
	return out
}

// Restore runs pg_restore and returns all it wrote and its exit status.
func (c *Client) Restore(tb testing.TB, args ...string) (out string, exit int) {
	tb.Helper()
	stdout, stderr, exit := c.Run(tb, "pg_restore", args...)
	return stdout + stderr, exit
}

// SchemaText is pg_dump's schema of a database, without what may differ
// between two equal ones: comments, blank lines and \restrict keys.
func (c *Client) SchemaText(tb testing.TB, dsn string, extra ...string) string {
	tb.Helper()
	text := c.Dump(tb, append([]string{"-s", "-d", dsn}, extra...)...)
	var kept strings.Builder
	for line := range strings.Lines(text) {
		bare := strings.TrimRight(line, "\n")
		if bare == "" || strings.HasPrefix(bare, "--") || strings.HasPrefix(bare, `\restrict `) || strings.HasPrefix(bare, `\unrestrict `) {
			continue
		}
		kept.WriteString(line)
	}
	return kept.String()
}
