package dump_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pghaul/pghaul/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, compared.print, func() error { return goleak.Find() }) }

// compared adds up what the comparisons with pg_dump found, for make oracle.
var compared tally

type tally struct {
	mu                 sync.Mutex
	databases, entries int
	differ             map[string]int // by kind
}

func (c *tally) add(entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.databases++
	c.entries += entries
}

func (c *tally) differs(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.differ == nil {
		c.differ = map[string]int{}
	}
	c.differ[kind]++
}

// print says it where anything was compared and -v is given.
func (c *tally) print() error {
	if !testing.Verbose() || c.databases == 0 {
		return nil
	}
	kinds := make([]string, 0, len(c.differ))
	total := 0
	for kind, n := range c.differ {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
		total += n
	}
	slices.Sort(kinds)
	fmt.Printf("compared with pg_dump: %d entries of %d dumps, %d differ", c.entries, c.databases, total)
	if total > 0 {
		fmt.Print(" (" + strings.Join(kinds, ", ") + ")")
	}
	fmt.Println()
	return nil
}
