//go:build !linux

package pg

import "syscall"

// readBulk reads: other systems are not asked to gather first.
func (s *socket) readBulk(p []byte, _ bool) (int, error) { return s.Conn.Read(p) }

// limitSilence leaves it to the system how long to wait for a silent peer.
func limitSilence(syscall.RawConn) {}
