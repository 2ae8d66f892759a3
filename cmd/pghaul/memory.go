package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseMemory reads an amount of memory as PostgreSQL's settings have it: a
// number and kB, MB, GB or TB, powers of 1024.
func parseMemory(s string) (int64, error) {
	for unit, factor := range map[string]int64{"kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40} {
		number, ok := strings.CutSuffix(s, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/factor {
			break
		}
		return n * factor, nil
	}
	return 0, fmt.Errorf("%q is not a number of kB, MB, GB or TB, such as 512MB", s)
}
