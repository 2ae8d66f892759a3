package restore

import (
	"slices"
	"sync"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pg"
)

// tablesDone returns who is told which steps are over, and calls
// Options.TableDone for each table with the last of its steps.
func (r *run) tablesDone(groups [][]int) func(steps []int) {
	if r.opts.TableDone == nil {
		return func([]int) {}
	}
	var mu sync.Mutex
	left := make(map[int]int)            // steps, by dump ID of the table
	data := make(map[int]*archive.Entry) // by dump ID of the table
	for _, steps := range groups {
		for _, i := range steps {
			s := &r.plan.Steps[i]
			for t := range s.tables() {
				left[t]++
			}
			if s.Action == ActionCopy && len(s.Entry.After) > 0 {
				data[s.Entry.After[0]] = s.Entry
			}
		}
	}
	return func(steps []int) {
		var over []*archive.Entry
		mu.Lock()
		for _, i := range steps {
			for t := range r.plan.Steps[i].tables() {
				if left[t]--; left[t] == 0 && data[t] != nil {
					over = append(over, data[t])
				}
			}
		}
		mu.Unlock()
		for _, e := range over {
			r.opts.TableDone(e)
		}
	}
}

// countNow has the server count what the transaction wrote as soon as it is
// committed, and not a second later: who hears that a table is done may want to
// know by the counters whether it is written to from then on.
const countNow = `SELECT CASE WHEN pg_catalog.has_function_privilege('pg_catalog.pg_stat_force_next_flush()', 'EXECUTE') THEN pg_catalog.pg_stat_force_next_flush() END`

// countsNow says whether that is worth it and can be had (15+).
func (u *unit) countsNow() bool {
	if u.r.opts.TableDone == nil {
		return false
	}
	if v, err := pg.ServerVersion(u.w.pgconn()); err != nil || !v.AtLeast(15) {
		return false
	}
	return slices.ContainsFunc(u.steps, func(i int) bool {
		s := &u.r.plan.Steps[i]
		return s.Action == ActionCopy && s.Cost > lightBytes
	})
}

// tables are the dump IDs of the tables that a step is about.
func (s *Step) tables() map[int]bool {
	tables := make(map[int]bool)
	for _, list := range [][]int{s.Locks, s.Shares} {
		for _, t := range list {
			tables[t] = true
		}
	}
	if s.Entry.Kind == "TABLE DATA" && len(s.Entry.After) > 0 {
		tables[s.Entry.After[0]] = true
	}
	return tables
}
