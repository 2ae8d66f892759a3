//go:build !linux

package main

import (
	"syscall"
	"time"
)

// setUserTimeout does nothing, as in libpq on systems without TCP_USER_TIMEOUT.
func setUserTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
