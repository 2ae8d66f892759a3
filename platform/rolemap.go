package platform

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// ReadRoleMap reads a file that gives roles of the source other names at the
// target, one a line:
//
//	# a comment
//	"svc@contoso.com" = svc
//	"Old ""Name""" = "New Name"
//
// Names with anything but letters, digits, "_", "." , "-" and "@" stand in double
// quotes, within which a quote is doubled. Case counts, with quotes or without.
func ReadRoleMap(r io.Reader) (map[string]string, error) {
	roles := map[string]string{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		rest := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if rest == "" || strings.HasPrefix(rest, "#") {
			continue
		}
		from, rest, err := roleName(rest)
		if err != nil {
			return nil, fmt.Errorf("role map, line %d: %w", n, err)
		}
		rest, ok := strings.CutPrefix(strings.TrimSpace(rest), "=")
		if !ok {
			return nil, fmt.Errorf(`role map, line %d: want "from" = "to"`, n)
		}
		to, rest, err := roleName(strings.TrimSpace(rest))
		if err != nil {
			return nil, fmt.Errorf("role map, line %d: %w", n, err)
		}
		if rest = strings.TrimSpace(rest); rest != "" && !strings.HasPrefix(rest, "#") {
			return nil, fmt.Errorf(`role map, line %d: %q follows the name`, n, rest)
		}
		if _, ok := roles[from]; ok {
			return nil, fmt.Errorf("role map, line %d: %q is mapped twice", n, from)
		}
		roles[from] = to
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("role map: %w", err)
	}
	return roles, nil
}

// roleName reads a name, quoted or not, and returns what follows it.
func roleName(s string) (name, rest string, err error) {
	quoted, ok := strings.CutPrefix(s, `"`)
	if !ok {
		end := strings.IndexFunc(s, func(r rune) bool { return strings.ContainsRune("= \t#\"", r) })
		if end < 0 {
			end = len(s)
		}
		if end == 0 {
			return "", "", fmt.Errorf("a name is missing at %q", s)
		}
		return s[:end], s[end:], nil
	}
	var b strings.Builder
	for {
		part, after, ok := strings.Cut(quoted, `"`)
		if !ok {
			return "", "", fmt.Errorf("the quote of %s does not end", s)
		}
		b.WriteString(part)
		if quoted, ok = strings.CutPrefix(after, `"`); !ok {
			rest = after
			break
		}
		b.WriteByte('"')
	}
	if b.Len() == 0 {
		return "", "", fmt.Errorf("a name is empty")
	}
	return b.String(), rest, nil
}
