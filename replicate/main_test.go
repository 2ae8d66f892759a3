package replicate

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/pghaul/pghaul/internal/pgtest"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		os.Exit(runChild(text))
	}
	pgtest.Main(m, func() error { return goleak.Find() })
}
