package pg

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// lockBatch is how many bytes of names one LOCK statement holds, as in pg_dump.
const lockBatch = 100_000

// LockTables takes ACCESS SHARE on tables in the snapshot's session, so that
// their definitions stay what they are until the snapshot ends. names are
// qualified and quoted. It returns the positions of those that have been
// dropped since the snapshot was taken: such a loss costs neither the snapshot
// nor the other locks. wait limits the wait for each batch; 0 waits on.
func (s *Snapshot) LockTables(ctx context.Context, names []string, wait time.Duration) (gone []int, err error) {
	if wait > 0 {
		if _, err := s.Conn().Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", max(wait.Milliseconds(), 1))).ReadAll(); err != nil {
			return nil, fmt.Errorf("limit the wait for locks: %w", err)
		}
	}
	for first := 0; first < len(names); {
		end, size := first, 0
		for end < len(names) && (end == first || size+len(names[end]) < lockBatch) {
			size += len(names[end]) + 2
			end++
		}
		lost, err := s.lockBatch(ctx, names[first:end])
		if err != nil {
			return nil, err
		}
		for _, i := range lost {
			gone = append(gone, first+i)
		}
		first = end
	}
	if wait > 0 {
		if _, err := s.Conn().Exec(ctx, "SET lock_timeout = 0").ReadAll(); err != nil {
			return nil, fmt.Errorf("wait for locks without limit again: %w", err)
		}
	}
	return gone, nil
}

func (s *Snapshot) lockBatch(ctx context.Context, names []string) (gone []int, err error) {
	err = s.Guard(ctx, func() error { return s.lock(ctx, strings.Join(names, ", ")) })
	if !undefined(err) {
		if err != nil && len(names) > 1 {
			// Name the table, not the batch.
			for _, n := range names {
				if e := s.Guard(ctx, func() error { return s.lock(ctx, n) }); e != nil && !undefined(e) {
					return nil, lockError(n, e)
				}
			}
		}
		if err != nil {
			return nil, lockError(strings.Join(names, ", "), err)
		}
		return nil, nil
	}
	for i, n := range names {
		switch err := s.Guard(ctx, func() error { return s.lock(ctx, n) }); {
		case undefined(err):
			gone = append(gone, i)
		case err != nil:
			return nil, lockError(n, err)
		}
	}
	return gone, nil
}

func (s *Snapshot) lock(ctx context.Context, list string) error {
	_, err := s.Conn().Exec(ctx, "LOCK TABLE "+list+" IN ACCESS SHARE MODE").ReadAll()
	return err
}

// undefined reports whether a table or its schema is not there any more.
func undefined(err error) bool {
	c := Code(err)
	return c == "42P01" || c == "3F000"
}

func lockError(name string, err error) error {
	switch Code(err) {
	case "42501":
		return fmt.Errorf("lock table %s: %w (grant SELECT on it, or leave it out with -T)", name, err)
	case "55P03":
		return fmt.Errorf("lock table %s: another session holds it, see pg_locks: %w", name, err)
	case "53200":
		return fmt.Errorf("lock tables: the server's lock table is full; raise max_locks_per_transaction or dump fewer tables at once: %w", err)
	}
	return fmt.Errorf("lock table %s: %w", name, err)
}
