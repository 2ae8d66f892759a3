//go:build unix

package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A sample is what one run took.
type sample struct {
	wall, cpu time.Duration // cpu is the client's, of all its processes
	memory    int64         // bytes, of its largest process
	size      int64         // bytes of what it made
}

// A result is a contest that was held.
type result struct {
	contest
	ours, theirs []sample
}

// hold runs the contenders in turn, ours first in every second round.
func (b *bench) hold(ctx context.Context, c contest) error {
	if err := c.needs(ctx); err != nil {
		return err
	}
	r := result{contest: c}
	for n := range c.rounds {
		order := []*contender{&c.ours, &c.theirs}
		if n%2 == 1 {
			slices.Reverse(order)
		}
		for _, who := range order {
			s, err := who.run(ctx)
			if err != nil {
				return err
			}
			fmt.Printf("%s: %s %.2f s, CPU %.2f s, %d MB\n", c.name, who.name, s.wall.Seconds(), s.cpu.Seconds(), s.memory>>20)
			if who == &c.ours {
				r.ours = append(r.ours, s)
			} else {
				r.theirs = append(r.theirs, s)
			}
		}
	}
	b.contests = append(b.contests, r)
	return nil
}

// run does the work once.
func (c *contender) run(ctx context.Context) (s sample, err error) {
	if c.output != "" {
		if err := os.RemoveAll(c.output); err != nil {
			return s, err
		}
	}
	if c.prepare != nil {
		if err := c.prepare(ctx); err != nil {
			return s, err
		}
	}
	var out strings.Builder
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return s, fmt.Errorf("%s: %w: %s", strings.Join(c.args, " "), err, out.String())
	}
	s.wall = time.Since(began)
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.memory = u.Maxrss
		if runtime.GOOS == "linux" {
			s.memory <<= 10
		}
	}
	if c.output != "" {
		s.size, err = sizeOf(c.output)
	}
	return s, err
}

// quiet runs a program that is not measured.
func (b *bench) quiet(ctx context.Context, args ...string) error {
	_, err := (&contender{args: args}).run(ctx)
	return err
}

func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// A spread is the median of some ratios, and their ends.
type spread struct{ median, low, high float64 }

// ratios compares the runs of each round.
func ratios(r result, of func(sample) float64) (s spread, ok bool) {
	var all []float64
	for i := range r.ours {
		if d := of(r.theirs[i]); d > 0 {
			all = append(all, of(r.ours[i])/d)
		}
	}
	if len(all) == 0 {
		return s, false
	}
	slices.SortFunc(all, cmp.Compare[float64])
	return spread{(all[(len(all)-1)/2] + all[len(all)/2]) / 2, all[0], all[len(all)-1]}, true
}

func (s spread) String() string {
	if s.low == s.high {
		return fmt.Sprintf("%.2f", s.median)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.low, s.high)
}
