//go:build unix

package pgserver

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// initdb makes a data directory at path, whose parent the account owns.
func initdb(ctx context.Context, b Binaries, who *account, path string, opts Options) error {
	args := []string{"-D", path, "-U", opts.initUser(), "-E", "UTF8", "-A", "trust", "--no-sync", "--locale=" + opts.locale()}
	if opts.LocaleProvider != "" {
		args = append(args, "--locale-provider="+opts.LocaleProvider)
	}
	out, err := b.command(ctx, who, "initdb", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run initdb of version %d: %w: %s", b.Major, err, strings.TrimSpace(string(out)))
	}
	return nil
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// copyTemplate puts a copy of the prepared data directory for these options at
// path, preparing it first when this machine has none.
func copyTemplate(ctx context.Context, b Binaries, who *account, path string, opts Options) error {
	template, err := prepare(ctx, b, who, opts)
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", template, path).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", template, err, out)
	}
	return nil
}

func prepare(ctx context.Context, b Binaries, who *account, opts Options) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	version, err := b.version(ctx, who)
	if err != nil {
		return "", err
	}
	name := strings.Join([]string{version, opts.initUser(), opts.locale(), opts.LocaleProvider}, "-")
	if who != nil {
		name += fmt.Sprintf("-uid%d", who.uid)
	}
	name = strings.Trim(notInNames.ReplaceAllString(name, "-"), "-")
	dir := filepath.Join(cache, "data", name)
	unlock, err := lock(cache, "data-"+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	// initdb runs in a directory its account owns; the finished result is
	// renamed, so that dir is complete whenever it exists.
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := who.own(tmp); err != nil {
		return "", err
	}
	if err := initdb(ctx, b, who, filepath.Join(tmp, "data"), opts); err != nil {
		return "", err
	}
	return dir, os.Rename(filepath.Join(tmp, "data"), dir)
}

// configure writes what a data directory needs beyond initdb's defaults.
func configure(data string, who *account, opts Options) error {
	var conf strings.Builder
	settings := opts.throwaway()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	path := filepath.Join(data, "postgresql.conf")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := write(path, who, string(old)+"\n"+conf.String()); err != nil {
		return err
	}
	hba := opts.HBA + "\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
	return write(filepath.Join(data, "pg_hba.conf"), who, hba)
}

// write makes a file only the server's account can read.
func write(path string, who *account, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return who.own(path)
}
