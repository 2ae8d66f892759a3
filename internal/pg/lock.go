package pg

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
		if Code(err) == "53200" {
			return nil, s.tooManyLocks(ctx, len(names), err)
		}
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
	err = s.lock(ctx, strings.Join(names, ", "))
	switch {
	case err == nil:
		return nil, nil
	case Code(err) == "53200":
		return nil, err
	case len(names) == 1 && undefined(err):
		return []int{0}, nil
	case len(names) == 1:
		return nil, lockError(names[0], err)
	}
	// Name the table, not the batch.
	for i, n := range names {
		switch err := s.lock(ctx, n); {
		case undefined(err):
			gone = append(gone, i)
		case err != nil:
			return nil, lockError(n, err)
		}
	}
	return gone, nil
}

// lock takes the locks of a list of tables in one round trip. An error of the
// server costs neither the snapshot nor other locks.
func (s *Snapshot) lock(ctx context.Context, list string) error {
	c := s.Conn()
	_, err := c.Exec(ctx, "SAVEPOINT pghaul; LOCK TABLE "+list+" IN ACCESS SHARE MODE; RELEASE SAVEPOINT pghaul").ReadAll()
	if Code(err) == "" {
		return err
	}
	if _, undoErr := c.Exec(ctx, undo).ReadAll(); undoErr != nil {
		return errors.Join(err, undoErr)
	}
	return err
}

// tooManyLocks says which setting would give room for the locks of so many
// tables. The server has room for max_locks_per_transaction times its sessions,
// however few hold them; each table takes two, of the session with the snapshot
// and of one that reads, on top of what others hold.
func (s *Snapshot) tooManyLocks(ctx context.Context, tables int, full error) error {
	results, err := s.Conn().Exec(ctx, `SELECT pg_catalog.current_setting('max_locks_per_transaction')::int,
pg_catalog.current_setting('max_connections')::int + pg_catalog.current_setting('max_prepared_transactions')::int`).ReadAll()
	row := firstRow(results)
	if err != nil || len(row) < 2 {
		return fmt.Errorf("lock %d tables: the server's lock table is full; raise max_locks_per_transaction or dump fewer tables at once: %w", tables, full)
	}
	now, _ := strconv.Atoi(string(row[0]))
	sessions, _ := strconv.Atoi(string(row[1]))
	sessions = max(sessions, 1)
	return fmt.Errorf("lock %d tables: the server's lock table is full: set max_locks_per_transaction from %d to %d or more, which needs a restart of the server, or dump fewer tables at once: %w",
		tables, now, now+(2*tables+sessions-1)/sessions, full)
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
	}
	return fmt.Errorf("lock table %s: %w", name, err)
}
