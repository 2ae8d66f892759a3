package main

import (
	"errors"
	"strconv"

	"github.com/spf13/pflag"
)

// addJobs adds --jobs. What is not given stays 0, so that the library decides.
func addJobs(f *pflag.FlagSet, to *int, what string) {
	f.VarP((*jobs)(to), "jobs", "j", what+" on `N` connections; by default one for each processor here, 2 to 8,\nbut at most half of those that the server has left")
}

// jobs is a number of connections.
type jobs int

// Set implements pflag.Value.
func (j *jobs) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("must be a number of 1 or more")
	}
	*j = jobs(n)
	return nil
}

// String implements pflag.Value.
func (j *jobs) String() string {
	if *j == 0 {
		return ""
	}
	return strconv.Itoa(int(*j))
}

// Type implements pflag.Value.
func (j *jobs) Type() string { return "int" }
