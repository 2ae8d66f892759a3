package restore

import "fmt"

const (
	// What builds of indexes may take together where Options.MaxIndexMemory is 0:
	// half of the target's shared_buffers, which is an eighth of the memory of a
	// server that is set up as usual, but within these bounds.
	leastIndexMemory = 256 << 20
	mostIndexMemory  = 2 << 30
	// smallestBuild is the least maintenance_work_mem that servers take.
	smallestBuild = 1 << 20
)

// indexMemory returns the statement that gives each session its share of the
// memory for building indexes. How many helpers a server takes for a build
// depends on that: each is to have 32 MiB.
func (o Options) indexMemory(jobs int) string {
	const current = "pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem'))"
	share := fmt.Sprint(max(o.MaxIndexMemory/int64(jobs), smallestBuild))
	if o.MaxIndexMemory == 0 {
		share = fmt.Sprintf("greatest(%s, least(greatest(pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')) / 2, %d), %d) / %d)",
			current, leastIndexMemory, mostIndexMemory, jobs)
	}
	return fmt.Sprintf("SELECT pg_catalog.set_config('maintenance_work_mem', %s / 1024 || 'kB', false);", share)
}
