//go:build unix

// Command throwaway hands the servers of the tests to scripts and to people.
//
//	throwaway fetch [MAJOR...]           find or download server binaries
//	throwaway run SERVER [-- CMD...]     start a server and run CMD beside it
//
// SERVER is a major version, azure or neon. CMD finds the server by PGHOST,
// PGPORT, PGUSER and PGDATABASE; without CMD the server runs until Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "throwaway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) >= 1 && args[0] == "fetch":
		return fetch(ctx, args[1:])
	case len(args) == 2 && args[0] == "run":
		return serve(ctx, args[1], nil)
	case len(args) > 3 && args[0] == "run" && args[2] == "--":
		return serve(ctx, args[1], args[3:])
	}
	return errors.New("usage: throwaway fetch [MAJOR...] | throwaway run SERVER [-- CMD...]")
}

// fetch makes every major ready, and says which it could not.
func fetch(ctx context.Context, majors []string) error {
	if len(majors) == 0 {
		majors = []string{"13", "14", "15", "16", "17", "18"}
	}
	var failed error
	for _, word := range majors {
		major, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("fetch %q: want a major version such as 17", word)
		}
		b, err := pgserver.Find(ctx, major)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		fmt.Printf("PostgreSQL %d: %s\n", major, b.Bin)
	}
	return failed
}

func serve(ctx context.Context, kind string, command []string) (err error) {
	fleet, err := pgserver.NewFleet()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	s, err := start(ctx, fleet, kind)
	if err != nil {
		return err
	}
	if command == nil {
		fmt.Println(s.DSN("postgres"))
		<-ctx.Done()
		return nil
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "PGHOST="+s.Host, "PGPORT="+strconv.Itoa(s.Port), "PGUSER="+s.Superuser, "PGDATABASE=postgres", "PGSSLMODE=disable")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

func start(ctx context.Context, fleet *pgserver.Fleet, kind string) (*pgserver.Server, error) {
	if kind == "azure" || kind == "neon" {
		root, err := pgserver.ModuleRoot()
		if err != nil {
			return nil, err
		}
		if kind == "azure" {
			return fleet.Azure(ctx, root)
		}
		return fleet.Neon(ctx, root)
	}
	major, err := strconv.Atoi(kind)
	if err != nil {
		return nil, fmt.Errorf("start %q: want a major version, azure or neon", kind)
	}
	return fleet.Start(ctx, major, pgserver.Options{})
}
