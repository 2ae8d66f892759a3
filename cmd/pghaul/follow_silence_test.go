//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/pghaul/pghaul/internal/faults"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/replicate"
)

// TestFollowSilence has all connections to one end fall silent while a source is
// followed: for a minute, and for ever, as those that a firewall has forgotten. New
// ones pass. It takes minutes, and runs where PGHAUL_FOLLOW_SILENCE is set.
func TestFollowSilence(t *testing.T) {
	if os.Getenv("PGHAUL_FOLLOW_SILENCE") == "" {
		t.Skip("PGHAUL_FOLLOW_SILENCE is not set")
	}
	for _, engine := range []replicate.Engine{replicate.EngineNative, replicate.EngineApply} {
		for _, silence := range []time.Duration{time.Minute, time.Hour} {
			for end := range 2 {
				t.Run(fmt.Sprintf("%s/end%d/%v", engine, end, silence), func(t *testing.T) {
					t.Parallel()
					majors := pgtest.Versions(t)
					s := newSwitched(t, pgtest.Logical(t, majors[0]), pgtest.Logical(t, majors[len(majors)-1]))
					s.rng, s.engine = rand.New(rand.NewPCG(1, 3)), engine
					s.follow(engine)
					s.running()
					s.proxies[end].Strike(faults.Fault{Action: faults.Silence, For: silence})
					begin := time.Now()
					s.comesWithin(0, 8*time.Minute)
					t.Logf("changes came over again after %v", time.Since(begin).Round(time.Second))
					w := s.write(0)
					time.Sleep(time.Second)
					s.must("cutover", "--max-downtime", "30s")
					s.inCharge(1, w)
				})
			}
		}
	}
}
