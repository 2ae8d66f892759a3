package verify_test

import (
	"errors"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/internal/pgtest/pgserver"
)

func TestMain(m *testing.M) {
	// An Example cannot skip itself where no server can be had.
	if _, err := pgserver.Find(noTest, exampleMajor()); errors.Is(err, pgserver.ErrNoBinaries) && os.Getenv("CI") != "true" {
		if err := flag.Set("test.skip", "^Example"); err != nil {
			panic(err)
		}
	}
	pgtest.Main(m, func() error { return goleak.Find() })
}

// exampleMajor is the server version of the Example: the last of those that
// tests are narrowed to, else the newest.
func exampleMajor() int {
	list := strings.Split(os.Getenv("PGHAUL_TEST_VERSIONS"), ",")
	if major, err := strconv.Atoi(strings.TrimSpace(list[len(list)-1])); err == nil {
		return major
	}
	return 18
}
