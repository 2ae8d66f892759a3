package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/platform"
)

// ends are the two databases of a command that has two.
type ends struct {
	source, target string // URLs or connection strings
	neverAsk       bool
}

// addFlags adds the flags that describe the ends.
func (e *ends) addFlags(f *pflag.FlagSet, source, target string) {
	f.StringVar(&e.source, "source", "", "`URL` or connection string of "+source+" (PGHAUL_SOURCE)")
	f.StringVar(&e.target, "target", "", "`URL` or connection string of "+target+" (PGHAUL_TARGET)")
	f.BoolVarP(&e.neverAsk, "no-password", "w", false, "never ask for a password")
}

// An end is one of them.
type end struct {
	name     string // "source" or "target"
	variable string // the environment variable that describes it
	given    string // by the flag
}

func (e *ends) list() []end {
	return []end{{"source", "PGHAUL_SOURCE", e.source}, {"target", "PGHAUL_TARGET", e.target}}
}

// check tells what is missing.
func (e *ends) check() error {
	for _, end := range e.list() {
		if cmp.Or(end.given, os.Getenv(end.variable)) == "" {
			return usagef("both --source and --target are needed (or PGHAUL_SOURCE and PGHAUL_TARGET)")
		}
	}
	return nil
}

// resolve says what to connect to at both ends.
func (e *ends) resolve(ctx context.Context, g *globals) (source, target *endpoint, err error) {
	if err := dropEnvironment(); err != nil {
		return nil, nil, err
	}
	list := e.list()
	if source, err = list[0].resolve(ctx, g, e.neverAsk); err != nil {
		return nil, nil, err
	}
	target, err = list[1].resolve(ctx, g, e.neverAsk)
	return source, target, err
}

// resolve says what to connect to. The PG* variables have been dropped.
func (e end) resolve(ctx context.Context, g *globals, neverAsk bool) (*endpoint, error) {
	set := settings{}
	text := cmp.Or(e.given, os.Getenv(e.variable))
	if text == "" {
		return nil, usagef("--%s is missing: a URL or connection string (or %s)", e.name, e.variable)
	}
	if err := set.database(text); err != nil {
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	if e.given != "" && set["password"] != "" {
		g.warn("the password of --%s is on the command line, where other users of this machine can see it: set %s instead, or use .pgpass", e.name, e.variable)
	}
	for _, note := range set.direct() {
		g.note("%s: %s", e.name, note)
	}
	ask := askIfNeeded
	if neverAsk {
		ask = askNever
	}
	p, err := set.resolve(ctx, noEnv, g.terminal, ask, e.name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	return p, nil
}

// noEnv is the environment of a command with two ends, but for where files are.
func noEnv(name string) string {
	if name == "PGSERVICEFILE" {
		return os.Getenv(name)
	}
	return ""
}

// azurePooler is the port of the connection pooler that Azure's flexible
// servers have beside the server itself.
const azurePooler = "6432"

// direct takes a connection pooler out of the way, which shares a session out
// by transactions: snapshots, locks and settings belong to a session. It
// returns what it has changed.
func (set settings) direct() (notes []string) {
	hosts := strings.Split(set["host"], ",")
	for i, host := range hosts {
		if direct, other := platform.OfHost(host).DirectHost(host); other {
			notes = append(notes, fmt.Sprintf("connecting to %s, the server itself, instead of its pooler %s", direct, host))
			hosts[i] = direct
		}
	}
	if len(notes) > 0 {
		set["host"] = strings.Join(hosts, ",")
		// The endpoint is named a second time for clients without SNI.
		set["options"] = strings.ReplaceAll(set["options"], "-pooler", "")
	}
	if set["port"] == azurePooler && len(hosts) == 1 && platform.OfHost(hosts[0]) == platform.AzureFlexible {
		notes = append(notes, "connecting to port 5432, the server itself, instead of its pooler on port 6432")
		set["port"] = "5432"
	}
	return notes
}
