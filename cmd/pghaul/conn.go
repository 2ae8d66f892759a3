package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgservicefile"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/internal/pg"
)

// connOptions are pg_dump's connection options. Empty values count as not
// given, as with libpq.
type connOptions struct {
	dbname              string // name, connection string or URL
	host, port, user    string
	neverAsk, alwaysAsk bool
}

// AddFlags adds the flags.
func (o *connOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.dbname, "dbname", "d", "", "database `NAME`, connection string or URL")
	f.StringVarP(&o.host, "host", "h", "", "server `HOST`, several with commas, or the directory of its socket")
	f.StringVarP(&o.port, "port", "p", "", "server `PORT`")
	f.StringVarP(&o.user, "username", "U", "", "connect as role `NAME`")
	f.BoolVarP(&o.neverAsk, "no-password", "w", false, "never ask for a password")
	f.BoolVarP(&o.alwaysAsk, "password", "W", false, "ask for a password before connecting")
}

// An endpoint is where to connect to.
type endpoint struct {
	config *pgx.ConnConfig
	// encoding is the client encoding asked for by a connection parameter or
	// PGCLIENTENCODING, "" if none.
	encoding string
}

// warnOfPassword tells that a password on the command line is seen by others.
func (o *connOptions) warnOfPassword(g *globals) {
	set := settings{}
	if set.database(o.dbname) == nil && set["password"] != "" {
		g.warn("the password is on the command line, where other users of this machine can see it: set PGPASSWORD instead, or use .pgpass")
	}
}

// endpoint resolves the options. Like libpq it takes the connection string
// first, then the other options, then a service file, then the environment.
func (o *connOptions) endpoint(ctx context.Context, t terminal) (*endpoint, error) {
	set := settings{}
	for key, value := range map[string]string{"host": o.host, "port": o.port, "user": o.user} {
		if value != "" {
			set[key] = value
		}
	}
	if err := set.database(o.dbname); err != nil {
		return nil, err
	}
	if o.alwaysAsk && o.neverAsk {
		return nil, usagef("-w and -W contradict each other")
	}
	ask := askIfNeeded
	switch {
	case o.alwaysAsk:
		ask = askFirst
	case o.neverAsk:
		ask = askNever
	}
	return set.resolve(ctx, os.Getenv, t, ask, "")
}

// database merges what stands in the place of a database name.
func (set settings) database(name string) error {
	name = fromConsole(name)
	switch {
	case isConnString(name):
		parsed, err := parseConnString(name)
		if err != nil {
			return &usageError{err: err}
		}
		if key, text := parsed.placeholder(); key != "" {
			return usagef("connection string: %s stands for the %s, which has to be filled in", text, key)
		}
		for key, value := range parsed {
			set[key] = value
		}
	case strings.Contains(name, "://"):
		return usagef("a connection URL starts with postgres:// or postgresql://")
	case name != "":
		set["dbname"] = name
	}
	return nil
}

// dropEnvironment makes the process forget its PG* variables, of which pgx
// would take what an end leaves open: with two ends a password or a host meant
// for one would reach the other. PGPASSFILE and PGSERVICEFILE stay, since they
// only say where to look a secret up by host.
func dropEnvironment() error {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		keep := name == "PGPASSFILE" || name == "PGSERVICEFILE" || strings.HasPrefix(name, "PGHAUL")
		if keep || !strings.HasPrefix(name, "PG") {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("unset %s: %w", name, err)
		}
	}
	return nil
}

// resolve turns the settings into what pgx connects with. Whatever pgx's parser
// may quote in an error is free of passwords: those are added after it. end is
// "source" or "target" where there are two.
func (set settings) resolve(ctx context.Context, env func(string) string, t terminal, ask asking, end string) (*endpoint, error) {
	if err := set.service(env); err != nil {
		return nil, err
	}
	params, err := set.takeParams(env)
	if err != nil {
		return nil, err
	}
	password, sslPassword := set["password"], set["sslpassword"]
	delete(set, "password")
	delete(set, "sslpassword")

	parse := func() (*pgx.ConnConfig, error) {
		cfg, err := pgx.ParseConfigWithOptions(set.String(), pgx.ParseConfigOptions{
			ParseConfigOptions: pgconn.ParseConfigOptions{
				GetSSLPassword: func(context.Context) string { return sslPassword },
			},
		})
		if err != nil {
			return nil, &usageError{err: errors.New(withoutConnString(err))}
		}
		return cfg, nil
	}
	cfg, err := parse()
	if err != nil {
		return nil, err
	}
	if cfg.Database == "" && cfg.User != "" {
		// The server's default, too; named here because .pgpass goes by it.
		set["dbname"] = cfg.User
		if cfg, err = parse(); err != nil {
			return nil, err
		}
	}
	cfg.Password = cmp.Or(password, cfg.Password)
	params.apply(cfg)
	t.audit.Watch(cfg, end)
	prompt := "Password: "
	if end != "" {
		prompt = "Password for " + end + ": "
	}
	if err := ask.password(ctx, t, cfg, prompt); err != nil {
		return nil, err
	}
	return &endpoint{config: cfg, encoding: params.encoding}, nil
}

// service adds what a service file says where nothing else was given.
func (set settings) service(env func(string) string) error {
	name := cmp.Or(set["service"], env("PGSERVICE"))
	path := cmp.Or(set["servicefile"], env("PGSERVICEFILE"))
	delete(set, "service")
	delete(set, "servicefile")
	if name == "" {
		return nil
	}
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return usagef("service %q: no home directory with a .pg_service.conf: set PGSERVICEFILE", name)
		}
		path = filepath.Join(home, ".pg_service.conf")
	}
	file, err := pgservicefile.ReadServicefile(path)
	if err != nil {
		// Not wrapped: the parser's errors may quote a line with a password.
		return usagef("service %q: cannot read service file %s", name, path)
	}
	service, err := file.GetService(name)
	if err != nil {
		return usagef("service %q is not in service file %s", name, path)
	}
	for key, value := range service.Settings {
		if _, given := set[key]; !given {
			set[key] = value
		}
	}
	return nil
}

// withoutConnString takes the connection string out of an error of pgx's
// parser: it is ours, put together from several places, and helps nobody.
func withoutConnString(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, "`: "); i >= 0 {
		s = s[i+len("`: "):]
	}
	return "connection parameters: " + s
}

// asking says when to ask for a password.
type asking int

const (
	askIfNeeded asking = iota
	askFirst
	askNever
)

// password asks for a password and stores it in cfg. askIfNeeded finds out
// whether the server wants one by connecting, only where there is somebody to
// ask and no password is known.
func (a asking) password(ctx context.Context, t terminal, cfg *pgx.ConnConfig, prompt string) error {
	switch {
	case a == askNever:
		return nil
	case a == askIfNeeded:
		if cfg.Password != "" || !t.present() {
			return nil
		}
		conn, err := pgx.ConnectConfig(ctx, cfg.Copy())
		if err == nil {
			pg.Close(conn)
			return nil
		}
		if pg.Code(err) != "28P01" {
			return nil // the run will meet the same error and report it
		}
	case !t.present():
		return usagef("-W needs a terminal to ask on; give the password in PGPASSWORD, .pgpass or a service file")
	}
	password, err := t.ask(ctx, prompt)
	if err != nil {
		return fmt.Errorf("ask for a password: %w", err)
	}
	cfg.Password = password
	return nil
}
