package replicate

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pghaul/pghaul/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, func() error { return goleak.Find() }) }
