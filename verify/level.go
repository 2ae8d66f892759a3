package verify

import (
	"fmt"
	"slices"
	"strings"
)

// A Level is one aspect in which two databases are compared.
type Level string

// The levels, in the order they are worked on.
const (
	// LevelSchema compares definitions object by object, without owners and
	// privileges.
	LevelSchema Level = "schema"
	// LevelCounts compares the exact number of every table's rows. LevelDigest
	// includes it.
	LevelCounts Level = "counts"
	// LevelDigest compares the digests of every table's rows.
	LevelDigest Level = "digest"
	// LevelSequences compares where sequences stand.
	LevelSequences Level = "sequences"
	// LevelLargeObjects compares the contents of large objects.
	LevelLargeObjects Level = "large-objects"
	// LevelIndexes compares indexes, and whether they can be used.
	LevelIndexes Level = "indexes"
	// LevelSecurity compares roles, memberships, owners, privileges, policies and
	// whatever else decides who may do what.
	LevelSecurity Level = "security"
	// LevelStatistics looks whether the target's planner knows the tables that the
	// source's knows.
	LevelStatistics Level = "statistics"
)

// AllLevels are all levels, in their order.
func AllLevels() []Level {
	return []Level{
		LevelSchema, LevelCounts, LevelDigest, LevelSequences, LevelLargeObjects, LevelIndexes, LevelSecurity, LevelStatistics,
	}
}

// DefaultLevels are those that are compared if none are named.
func DefaultLevels() []Level {
	return []Level{LevelSchema, LevelCounts, LevelDigest, LevelSequences, LevelLargeObjects}
}

// ParseLevels reads a comma list of levels. "all" stands for all of them, and
// "default" for the default ones.
func ParseLevels(list string) ([]Level, error) {
	var out []Level
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); {
		case name == "all":
			out = append(out, AllLevels()...)
		case name == "default":
			out = append(out, DefaultLevels()...)
		case slices.Contains(AllLevels(), Level(name)):
			out = append(out, Level(name))
		default:
			return nil, fmt.Errorf("level %q: want some of %s, all or default", name, levelNames(AllLevels()))
		}
	}
	return out, nil
}

func levelNames(levels []Level) string {
	names := make([]string, len(levels))
	for i, l := range levels {
		names[i] = string(l)
	}
	return strings.Join(names, ", ")
}

// has reports whether one of the levels is to be compared.
func (c *comparison) has(levels ...Level) bool {
	return slices.ContainsFunc(levels, func(l Level) bool { return slices.Contains(c.levels, l) })
}

// chooseLevels decides what to compare, in order and each once. What was merely
// recorded of a source has no more than rows and large objects; an archive has no catalog.
func (c *comparison) chooseLevels() error {
	want, possible := c.opts.Levels, AllLevels()
	if rec := c.ends[0].rec; rec != nil {
		possible = []Level{LevelCounts, LevelDigest, LevelLargeObjects}
		if rec.reader != nil {
			possible = DefaultLevels()
		}
	}
	if len(want) == 0 {
		want = DefaultLevels()
		if rec := c.ends[0].rec; rec != nil && rec.reader == nil {
			want = possible
		}
	}
	for _, l := range want {
		switch {
		case !slices.Contains(AllLevels(), l):
			return fmt.Errorf("level %q is not known", l)
		case !slices.Contains(possible, l):
			return fmt.Errorf("level %s needs the source itself; what is recorded of it has %s", l, levelNames(possible))
		}
	}
	for _, l := range possible {
		if slices.Contains(want, l) && (l != LevelCounts || !slices.Contains(want, LevelDigest)) {
			c.levels = append(c.levels, l)
		}
	}
	return nil
}
