package restore

import (
	"strings"

	"github.com/pghaul/pghaul/copyproto"
)

// lightBytes is how much data a step may be about and still be so little work
// that what it costs is mostly the round trip: about as much as a server loads in
// a few milliseconds.
const lightBytes = 256 << 10

// fresh says whether a load empties its table first. It does so, with tables of
// this run's own making, for the sake of what the server can leave out: it need
// not log rows if its wal_level is minimal, and can write them as frozen, so that
// nothing has to be written a second time when they are first read. Small tables
// are not worth a new file.
func (r *run) fresh(s *Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.Truncate != "" && s.Part.Bytes > lightBytes && r.own(s)
}

// freeze says whether a step's rows can be loaded frozen: the server wants the
// table emptied in the same transaction.
func (r *run) freeze(i int, s *Step) bool {
	if !strings.HasSuffix(copyproto.InText(s.SQL), fromStdin) || !r.fresh(s) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.thawed[i]
}

// thaw has a step loaded without freezing, which the server refused.
func (r *run) thaw(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.thawed[i] = true
}
