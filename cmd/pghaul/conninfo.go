package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/platform"
)

// settings are connection parameters by libpq's keywords.
type settings map[string]string

// isConnString reports whether what stands in the place of a database name is
// a connection string, by libpq's rule.
func isConnString(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") || strings.Contains(s, "=")
}

// parseConnString reads a URL or a keyword/value string as libpq does. Its
// errors never quote values, since any of them could be a mislaid password.
func parseConnString(s string) (settings, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, errors.New("connection string holds a NUL byte")
	}
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return parseURL(rest)
		}
	}
	return parseKeywords(s)
}

const space = " \t\n\r\v\f"

func parseKeywords(s string) (settings, error) {
	set := make(settings)
	for {
		s = strings.TrimLeft(s, space)
		if s == "" {
			return set, nil
		}
		end := strings.IndexAny(s, "="+space)
		if end < 0 {
			return nil, errors.New(`connection string: a keyword without "=" at its end`)
		}
		key := s[:end]
		s = strings.TrimLeft(s[end:], space)
		if key == "" || !strings.HasPrefix(s, "=") {
			return nil, fmt.Errorf(`connection string: missing "=" after keyword %d`, len(set)+1)
		}
		value, rest, err := keywordValue(strings.TrimLeft(s[1:], space))
		if err != nil {
			return nil, fmt.Errorf("connection string: value of %q: %w", key, err)
		}
		set[key], s = value, rest
	}
}

// keywordValue reads one value, quoted or not. A backslash takes whatever
// follows it literally.
func keywordValue(s string) (value, rest string, err error) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case quoted && c == '\'':
			return b.String(), s[i+1:], nil
		case !quoted && strings.IndexByte(space, c) >= 0:
			return b.String(), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New("quote is not closed")
	}
	return b.String(), "", nil
}

// parseURL reads what follows the scheme: [user[:password]@][host[:port][,...]][/dbname][?key=value&...].
func parseURL(s string) (settings, error) {
	set := make(settings)
	if i := endOfUser(s); i >= 0 {
		user, password, _ := strings.Cut(s[:i], ":")
		s = s[i+1:]
		if err := errors.Join(set.unescape("user", user), set.unescape("password", password)); err != nil {
			return nil, err
		}
	}
	s, query, _ := strings.Cut(s, "?")
	authority, db, _ := strings.Cut(s, "/")
	if strings.Contains(authority, "@") {
		return nil, errors.New(`URL: more than one "@": write an "@" in a user name or password as %40`)
	}
	if err := set.hosts(authority); err != nil {
		return nil, err
	}
	if err := set.unescape("dbname", db); err != nil {
		return nil, err
	}
	if query == "" {
		return set, nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, found := strings.Cut(pair, "=")
		name, ok := decode(key)
		if !ok || name == "" || strings.ContainsAny(name, "="+space) || !found || strings.Contains(value, "=") {
			return nil, errors.New("URL: parameters must be of the form name=value, joined by &")
		}
		if name == "ssl" && value == "true" { // JDBC's word, which libpq takes too
			name, value = "sslmode", "require"
		}
		set[name] = "" // an empty value, too, replaces what came before
		if err := set.unescape(name, value); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// endOfUser is where the "@" is that ends the user and password of what follows
// a URL's scheme, -1 if there are none. It is the first one, but for Azure's
// single servers, whose roles are written role@server.
func endOfUser(s string) int {
	i := strings.IndexAny(s, "@/")
	if i < 0 || s[i] != '@' {
		return -1
	}
	authority := s[:i+strings.IndexAny(s[i:]+"/", "/?")]
	last := strings.LastIndexByte(authority, '@')
	host, _, _ := strings.Cut(authority[last+1:], ":")
	server, _, _ := strings.Cut(host, ".")
	role, _, _ := strings.Cut(authority[i+1:], ":")
	if platform.OfHost(host) == platform.AzureFlexible && strings.EqualFold(strings.SplitN(role, "@", 2)[0], server) {
		return last
	}
	return i
}

// unescape stores a percent-encoded value unless it is empty.
func (set settings) unescape(key, value string) error {
	if value == "" {
		return nil
	}
	text, ok := decode(value)
	if !ok {
		return fmt.Errorf(`URL: the %s is not well encoded: write "%%" itself as %%25 and a space as %%20`, key)
	}
	set[key] = text
	return nil
}

// decode reads percent-encoding as libpq does, which skips spaces around a
// value and takes none within.
func decode(s string) (text string, ok bool) {
	s = strings.Trim(s, " ")
	text, err := url.PathUnescape(s)
	return text, err == nil && !strings.Contains(s, " ") && !strings.Contains(text, "\x00")
}

// errPort does not quote the port: it may be half of a password.
var errPort = errors.New(`URL: the port is not a number: write ":", "/", "@" and "?" in a user name or password as %3A, %2F, %40 and %3F`)

// hosts reads host[:port][,host[:port]...], hosts in brackets being IPv6.
func (set settings) hosts(s string) error {
	if s == "" {
		return nil
	}
	var hosts, ports []string
	anyPort := false
	for item := range strings.SplitSeq(s, ",") {
		var host, port string
		if strings.HasPrefix(item, "[") {
			end := strings.IndexByte(item, ']')
			if end < 0 {
				return errors.New(`URL: an IPv6 address misses its "]"`)
			}
			host, port = item[1:end], item[end+1:]
			if port != "" && port[0] != ':' {
				return errors.New(`URL: only a port may follow the "]" of an IPv6 address`)
			}
			port = strings.TrimPrefix(port, ":")
		} else {
			host, port, _ = strings.Cut(item, ":")
		}
		if strings.Trim(port, "0123456789") != "" {
			return errPort
		}
		anyPort = anyPort || port != ""
		hosts, ports = append(hosts, host), append(ports, port)
	}
	if err := set.unescape("host", strings.Join(hosts, ",")); err != nil {
		return err
	}
	if anyPort {
		set["port"] = strings.Join(ports, ",")
	}
	return nil
}

// String writes the settings as a keyword/value string that pgx and libpq read
// back. It holds the password: it is for parsers, never for people.
func (set settings) String() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(set)) {
		value := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(set[key])
		fmt.Fprintf(&b, "%s='%s' ", key, value)
	}
	return b.String()
}
