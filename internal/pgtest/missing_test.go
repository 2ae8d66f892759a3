//go:build unix

package pgtest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pghaul/pghaul/internal/pgtest"
)

// A recorder notes how a test would have ended; unlike the real one it goes on
// after that, so that only the first end counts.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) { r.end("failed: "+format, args) }

func (r *recorder) Skipf(format string, args ...any) { r.end("skipped: "+format, args) }

func (r *recorder) end(format string, args []any) {
	if r.ended == "" {
		r.ended = fmt.Sprintf(format, args...)
	}
}

func TestMissingFailsInCI(t *testing.T) {
	for ci, want := range map[string]string{
		"true": "failed: missing in CI: no tool",
		"":     "skipped: no tool",
	} {
		t.Setenv("CI", ci)
		r := &recorder{TB: t}
		pgtest.Missing(r, "no %s", "tool")
		if r.ended != want {
			t.Errorf("CI=%q: got %q, want %q", ci, r.ended, want)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Setenv("PGHAUL_TEST_VERSIONS", "13, 18")
	if got := pgtest.Versions(t); !slices.Equal(got, []int{13, 18}) {
		t.Errorf("narrowed: got %v", got)
	}
	t.Setenv("PGHAUL_TEST_VERSIONS", "")
	if got := pgtest.Versions(t); !slices.Equal(got, []int{13, 14, 15, 16, 17, 18}) {
		t.Errorf("all: got %v", got)
	}
	t.Setenv("PGHAUL_TEST_VERSIONS", "new")
	r := &recorder{TB: t}
	pgtest.Versions(r)
	if r.ended == "" {
		t.Error("nonsense was taken")
	}
}
