package pg

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// The oldest and the newest server major this program knows the catalogs of.
const (
	MinMajor = 11
	MaxMajor = 18
)

// A Version is a server version as server_version_num has it: 150018 is 15.18.
type Version int

// Major returns the major version.
func (v Version) Major() int { return int(v) / 10000 }

// AtLeast reports whether the server is of that major version or a later one.
func (v Version) AtLeast(major int) bool { return v.Major() >= major }

// String returns "15.18".
func (v Version) String() string { return fmt.Sprintf("%d.%d", int(v)/10000, int(v)%10000) }

// ServerVersion reads the version a server reported when the connection was
// made, without asking it again.
func ServerVersion(c *pgconn.PgConn) (Version, error) {
	return parseVersion(c.ParameterStatus("server_version"))
}

// parseVersion reads "15.18 (Debian …)", "18beta1" or "19devel".
func parseVersion(text string) (Version, error) {
	digits := func(s string) (n int, rest string, ok bool) {
		i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if i < 0 {
			i = len(s)
		}
		n, err := strconv.Atoi(s[:i])
		return n, s[i:], err == nil
	}
	major, rest, ok := digits(text)
	if !ok {
		return 0, fmt.Errorf("read server version: %q", text)
	}
	minor := 0
	if after, found := strings.CutPrefix(rest, "."); found {
		minor, _, _ = digits(after)
	}
	return Version(major*10000 + minor), nil
}
