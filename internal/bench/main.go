//go:build unix

// Command bench compares pghaul with pg_dump, pg_restore and pgcopydb on the
// same data in the same run, near and through a delaying proxy. Contenders take
// turns, so that a busy machine is busy for all; only ratios are told.
//
// make bench runs it beside a server of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pghaul/pghaul/internal/pgtest/proxy"
)

// A bench is one run of all contests.
type bench struct {
	scale    float64
	rounds   int
	far      int // rounds of contests through the proxy
	jobs     int
	tables   int // of the database of many tables
	objects  int // tables of the database that is read from afar
	delay    time.Duration
	pghaul   string
	client   string // directory of PostgreSQL's programs
	data     string // bench.sql
	only     *regexp.Regexp
	report   string
	work     string
	farPort  int
	contests []result
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "discard" {
		if err := discard(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	b := &bench{}
	var only string
	flag.Float64Var(&b.scale, "scale", 0.05, "size of the data; 1 is 2.2 GB")
	flag.IntVar(&b.rounds, "rounds", 5, "how often each contest is held")
	flag.IntVar(&b.far, "far", 1, "how often each contest with a far server is held")
	flag.IntVar(&b.jobs, "jobs", 2, "workers of each contender")
	flag.IntVar(&b.tables, "tables", 2000, "tables of the database that has many")
	flag.IntVar(&b.objects, "objects", 400, "tables of the database that is far away; each makes seven entries")
	flag.DurationVar(&b.delay, "delay", 15*time.Millisecond, "delay of the proxy in each direction")
	flag.StringVar(&b.pghaul, "pghaul", "bin/pghaul", "the program")
	flag.StringVar(&b.client, "client", "", "directory of pg_dump, pg_restore, psql and, if it is there, pgcopydb")
	flag.StringVar(&b.data, "data", "testdata/sql/bench.sql", "the script that makes the data")
	flag.StringVar(&only, "only", "", "hold the contests whose name matches this expression")
	flag.StringVar(&b.report, "o", "", "write the results into this Markdown file")
	flag.Parse()
	var err error
	if b.only, err = regexp.Compile(only); err == nil {
		err = b.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.client == "" || os.Getenv("PGHOST") == "" {
		return errors.New("want -client and a server in PGHOST, PGPORT and PGUSER; make bench gives both")
	}
	if b.pghaul, err = filepath.Abs(b.pghaul); err != nil {
		return err
	}
	// The programs of PostgreSQL may be wrapped so that they see /tmp only.
	if b.work, err = os.MkdirTemp("/tmp", "pghaul-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	p, err := proxy.Start(os.Getenv("PGHOST")+":"+os.Getenv("PGPORT"), b.delay)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	b.farPort = p.Port()
	for _, group := range [][]contest{b.near(), b.many(), b.distant()} {
		for _, c := range group {
			if !b.only.MatchString(c.name) {
				continue
			}
			if err := b.hold(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	text := b.markdown()
	fmt.Print("\n" + text)
	if b.report == "" {
		return nil
	}
	return b.write(text)
}

// program returns the path of one of PostgreSQL's programs.
func (b *bench) program(name string) string { return filepath.Join(b.client, name) }

// has reports whether a program is there.
func (b *bench) has(name string) bool {
	_, err := exec.LookPath(b.program(name))
	return err == nil
}

// verb reports whether pghaul has a command.
func (b *bench) verb(ctx context.Context, name string) bool {
	return exec.CommandContext(ctx, b.pghaul, name, "--help").Run() == nil
}

// psql runs SQL on a database.
func (b *bench) psql(ctx context.Context, database string, args ...string) error {
	args = append([]string{"-Xq", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", database}, args...)
	if out, err := exec.CommandContext(ctx, b.program("psql"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

// script writes a script to where psql sees it and runs it.
func (b *bench) script(ctx context.Context, database, text string, args ...string) error {
	path := filepath.Join(b.work, database+".sql")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := b.psql(ctx, "postgres", "-c", "CREATE DATABASE "+database+" TEMPLATE template0"); err != nil {
		return err
	}
	return b.psql(ctx, database, append([]string{"-f", path}, args...)...)
}

// emptyCopy makes the database copy anew.
func (b *bench) emptyCopy(ctx context.Context) error {
	return b.psql(ctx, "postgres", "-c", "SET client_min_messages = warning", "-c", "DROP DATABASE IF EXISTS copy WITH (FORCE)",
		"-c", "CREATE DATABASE copy TEMPLATE template0", "-c", "CHECKPOINT")
}

// url names a database of the server.
func url(database string) string {
	return fmt.Sprintf("postgres://%s@%s:%s/%s?sslmode=disable", os.Getenv("PGUSER"), os.Getenv("PGHOST"), os.Getenv("PGPORT"), database)
}

// machine describes where the numbers come from.
func (b *bench) machine() string {
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], ", ")
	}
	return fmt.Sprintf("%s/%s, %d processors shared by clients and server, load averages at the end %s; scale %s, %d workers",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load, strconv.FormatFloat(b.scale, 'g', -1, 64), b.jobs)
}
