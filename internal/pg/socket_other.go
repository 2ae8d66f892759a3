//go:build !linux

package pg

// readBulk reads: other systems are not asked to gather first.
func (s *socket) readBulk(p []byte, _ bool) (int, error) { return s.Conn.Read(p) }
