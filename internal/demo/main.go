//go:build unix

// Command demo shows the main job on throwaway servers: it starts an
// Azure-like source and a Neon-like target, loads the sample shop beside what is
// there, plans, migrates and verifies it with the pghaul binary as a user would,
// and says where the time went. Everything it made is gone afterwards.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A demo is one run of the story.
type demo struct {
	root, dir      string // of the module, and for files
	source, target *pgserver.Server
	steps          []step
}

type step struct {
	name    string
	elapsed time.Duration
}

func run(ctx context.Context) (err error) {
	root, err := pgserver.ModuleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pghaul-demo-")
	if err != nil {
		return err
	}
	fleet, err := pgserver.NewFleet()
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, fleet.Close(), os.RemoveAll(dir)) }()

	d := &demo{root: root, dir: dir}
	if err := d.timed("start both servers", func() error { return d.start(ctx, fleet) }); err != nil {
		return err
	}
	if err := d.timed("load the sample shop", func() error { return d.load(ctx) }); err != nil {
		return err
	}
	if err := d.haul(ctx); err != nil {
		return err
	}
	fmt.Println("\nWhere the time went:")
	for _, s := range d.steps {
		fmt.Printf("  %-22s %6.2f s\n", s.name, s.elapsed.Seconds())
	}
	fmt.Println("\nThe servers and the files are being removed.")
	return nil
}

func (d *demo) timed(name string, do func() error) error {
	began := time.Now()
	err := do()
	d.steps = append(d.steps, step{name, time.Since(began)})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (d *demo) start(ctx context.Context, fleet *pgserver.Fleet) error {
	fmt.Println("Starting an Azure-like source (PostgreSQL 15) and a Neon-like target (PostgreSQL 17).")
	fmt.Println("The first run fetches their binaries.")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { d.source, err = fleet.Azure(ctx, d.root); return err })
	g.Go(func() (err error) { d.target, err = fleet.Neon(ctx, d.root); return err })
	return g.Wait()
}

func (d *demo) load(ctx context.Context) error {
	script, err := os.ReadFile(filepath.Join(d.root, "testdata/sql/shop.sql"))
	if err != nil {
		return err
	}
	return d.source.ExecAs(ctx, "azadmin", "appdb", string(script))
}

// haul runs the commands a user would type.
func (d *demo) haul(ctx context.Context) error {
	plan := filepath.Join(d.dir, "plan.yaml")
	ends := []string{
		"--source", d.source.UserDSN("azadmin", "appdb"), "--target", d.target.UserDSN("neondb_owner", "neondb"),
	}
	for _, s := range []struct {
		name string
		args []string
	}{
		// The throwaway target is not Neon: there the extension can be created.
		{"plan", append([]string{"plan", "--skip-extension", "postgres_fdw", "-o", plan}, ends...)},
		{"migrate", append([]string{
			"migrate", "--plan", plan, "--password-file", filepath.Join(d.dir, "passwords.txt"),
			"--audit-log", filepath.Join(d.dir, "audit.jsonl"),
		}, ends...)},
		{"verify", append([]string{"verify", "--level", "counts,digest,sequences,large-objects"}, ends...)},
	} {
		if err := d.timed("pghaul "+s.name, func() error { return d.pghaul(ctx, s.args) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) pghaul(ctx context.Context, args []string) error {
	fmt.Println("\n$ pghaul " + strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, filepath.Join(d.root, "bin", "pghaul"), args...)
	cmd.Env = append(os.Environ(), "PGSSLMODE=disable")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
