package main

import (
	"fmt"

	"github.com/spf13/pflag"
)

// A rate is the value of --limit-rate: bytes a second, 0 for no limit.
type rate int64

// addRate adds --limit-rate. with is whom the run moves bytes from or to.
func addRate(f *pflag.FlagSet, r *rate, with string) {
	f.Var(r, "limit-rate", "move no more than `SIZE`, such as 20MB, a second between here and\n"+with+", over all connections together")
}

// String implements pflag.Value.
func (r *rate) String() string {
	if *r == 0 {
		return ""
	}
	return fmt.Sprintf("%dkB", *r>>10)
}

// Set implements pflag.Value.
func (r *rate) Set(s string) error {
	n, err := parseMemory(s)
	*r = rate(n)
	return err
}

// Type implements pflag.Value.
func (r *rate) Type() string { return "string" }
