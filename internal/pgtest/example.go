//go:build unix

package pgtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
)

// exampleMajor is the server version of Examples: the last of those that tests
// are narrowed to, else the newest.
func exampleMajor() int {
	list := strings.Split(os.Getenv("PGHAUL_TEST_VERSIONS"), ",")
	if major, err := strconv.Atoi(strings.TrimSpace(list[len(list)-1])); err == nil {
		return major
	}
	return supported[len(supported)-1]
}

// skipExamples has the Examples of the test process skipped where their server
// cannot be had, for unlike tests they cannot do that themselves. With CI=true
// they run and fail.
func skipExamples() error {
	_, err := pgserver.Find(context.Background(), exampleMajor())
	if !errors.Is(err, pgserver.ErrNoBinaries) || os.Getenv("CI") == "true" {
		return nil
	}
	fmt.Fprintln(os.Stderr, "pgtest: examples are skipped:", err)
	flag.Parse() // else what the command line says of -skip would replace this
	pattern := "^Example"
	if skip := flag.Lookup("test.skip").Value.String(); skip != "" {
		pattern = skip + "|" + pattern
	}
	return flag.Set("test.skip", pattern)
}

// Example makes a database for an Example, which has no testing.TB, runs the
// script in it, and returns its URL and what removes it.
func Example(script string) (url string, remove func(), err error) {
	ctx := context.Background()
	s, err := start(ctx, kind{major: exampleMajor()})
	if err != nil {
		return "", nil, err
	}
	name := "example_" + strconv.FormatInt(databases.Add(1), 10)
	quoted := pgx.Identifier{name}.Sanitize()
	if err := s.Exec(ctx, "postgres", "CREATE DATABASE "+quoted+" TEMPLATE template0"); err != nil {
		return "", nil, err
	}
	remove = func() {
		if err := (&Server{s}).drop(ctx, name); err != nil {
			fmt.Fprintf(os.Stderr, "pgtest: drop database %s: %v\n", name, err)
		}
	}
	if err := s.Exec(ctx, name, script); err != nil {
		remove()
		return "", nil, err
	}
	return s.DSN(name), remove, nil
}
