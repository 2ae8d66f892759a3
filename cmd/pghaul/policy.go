package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pghaul/pghaul/platform"
)

// policyFlags are what a user can decide about a migration.
type policyFlags struct {
	rules           platform.Rules
	roleMap         string
	mapSchemas      []string
	clean, ifExists bool
	sourcePlatform  string
	targetPlatform  string
}

// addPolicy adds the flags.
func (o *policyFlags) addPolicy(f *pflag.FlagSet) {
	f.StringVar(&o.roleMap, "role-map", "", "give roles other names by `FILE`: lines of old=new")
	f.BoolVar(&o.rules.NoRoles, "no-roles", false, "create no roles: those that are needed must be there")
	f.BoolVar(&o.rules.NoLogin, "no-login", false, "create login roles without the right to log in, and without a password")
	f.StringArrayVar(&o.rules.SkipExtensions, "skip-extension", nil, "leave extension `NAME` out and what needs it; may be repeated")
	f.StringArrayVar(&o.mapSchemas, "map-schema", nil, "give a schema another name: `OLD=NEW`; may be repeated")
	f.BoolVar(&o.rules.LogUnlogged, "log-unlogged", false, "make unlogged tables logged ones")
	f.BoolVar(&o.rules.Subscriptions, "subscriptions", false, "create subscriptions, disabled and not connected")
	f.BoolVar(&o.rules.NoPublicCreate, "no-public-create", false, "do not let everybody create objects in schema public")
	f.BoolVar(&o.rules.ReadAllData, "read-all-data", false, "give members of pg_read_all_data, where that cannot be granted, SELECT on everything that comes")
	f.StringVar(&o.sourcePlatform, "source-platform", "", "take the source for `PLATFORM`: "+platformNames())
	f.StringVar(&o.targetPlatform, "target-platform", "", "take the target for `PLATFORM`")
}

// addCollision adds the flags that say what to do with what the target has.
func (o *policyFlags) addCollision(f *pflag.FlagSet) {
	f.BoolVar(&o.clean, "clean", false, "drop what the target has of the same name; the plan names each")
	f.BoolVar(&o.ifExists, "if-exists", false, "leave what the target has, as long as no name collides")
}

func platformNames() string {
	var names []string
	for _, n := range platform.Names() {
		names = append(names, string(n))
	}
	return strings.Join(names, ", ")
}

// given tells which of the flags that make a plan were given, "" for none: a
// plan that is read from a file has its own.
func (o *policyFlags) given(f *pflag.FlagSet) string {
	for _, name := range []string{
		"role-map", "no-roles", "no-login", "skip-extension", "map-schema", "log-unlogged", "subscriptions", "no-public-create", "read-all-data",
		"clean", "if-exists", "source-platform", "target-platform",
	} {
		if f.Changed(name) {
			return "--" + name
		}
	}
	return ""
}

// check turns the flags into rules.
func (o *policyFlags) check() (err error) {
	switch {
	case o.clean && o.ifExists:
		return usagef("--clean and --if-exists contradict each other")
	case o.clean:
		o.rules.Collision = platform.Clean
	case o.ifExists:
		o.rules.Collision = platform.Ignore
	}
	for _, name := range []string{o.sourcePlatform, o.targetPlatform} {
		if name == "" {
			continue
		}
		if _, err := platform.ParseName(name); err != nil {
			return &usageError{err: err}
		}
	}
	if o.roleMap != "" {
		if o.rules.Roles, err = readPairs("--role-map", o.roleMap); err != nil {
			return err
		}
	}
	for _, pair := range o.mapSchemas {
		from, to, err := splitPair(pair)
		if err != nil || from == "" || to == "" {
			return usagef("--map-schema %q: want OLD=NEW", pair)
		}
		if o.rules.Schemas == nil {
			o.rules.Schemas = map[string]string{}
		}
		o.rules.Schemas[from] = to
	}
	return nil
}

// readPairs reads a file of lines name=value. A name, and a value too, may stand
// in double quotes, doubled within. Empty lines and those that begin with # say
// nothing. Of lines with the same name the last one counts, as in the files that
// migrate writes. Errors do not quote values, which may be passwords.
func readPairs(flag, path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("%s: %v", flag, err)
	}
	pairs := map[string]string{}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if t := strings.TrimSpace(line); t == "" || t[0] == '#' {
			continue
		}
		name, value, err := splitPair(line)
		switch {
		case err != nil:
			return nil, usagef("%s: %s, line %d: %v", flag, path, n, err)
		case name == "" || value == "":
			return nil, usagef("%s: %s, line %d: want name=value, both of them", flag, path, n)
		}
		pairs[name] = value
	}
	return pairs, nil
}

// splitPair reads name=value.
func splitPair(line string) (name, value string, err error) {
	line = strings.TrimLeft(line, " \t")
	if strings.HasPrefix(line, `"`) {
		if name, line, err = unquote(line); err != nil {
			return "", "", err
		}
		line = strings.TrimLeft(line, " \t")
		if !strings.HasPrefix(line, "=") {
			return "", "", errors.New(`want "=" after a name in quotes`)
		}
		value = line[1:]
	} else {
		var found bool
		if name, value, found = strings.Cut(line, "="); !found {
			return "", "", errors.New("want name=value")
		}
		name = strings.TrimRight(name, " \t")
	}
	value = strings.Trim(value, " \t")
	if strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) && len(value) > 1 {
		inner, rest, err := unquote(value)
		if err == nil && rest == "" {
			value = inner
		}
	}
	return name, value, nil
}

// unquote reads a text in double quotes and returns what follows it.
func unquote(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '"':
			b.WriteByte('"')
			i++
		default:
			return b.String(), s[i+1:], nil
		}
	}
	return "", "", errors.New("a double quote is not closed")
}

// pair writes a line that readPairs reads back.
func pair(name, value string) string {
	quoteIt := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	if name == "" || strings.ContainsAny(name, "=\"# \t") {
		name = quoteIt(name)
	}
	if strings.HasPrefix(value, `"`) || strings.Trim(value, " \t") != value {
		value = quoteIt(value)
	}
	return name + "=" + value + "\n"
}
