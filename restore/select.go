package restore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/archive"
)

// Select returns the entries of src that a restore with these options is about,
// in their order.
func Select(src Source, opts Options) ([]archive.Entry, error) {
	p, err := newPlanner(src, opts)
	if err != nil {
		return nil, err
	}
	var out []archive.Entry
	for i := range p.entries {
		if p.wanted[i] {
			out = append(out, p.entries[i])
		}
	}
	return out, nil
}

// ReadList reads a list as pg_restore -l prints it: each line begins with the
// dump ID of an entry to restore, and a semicolon begins a comment. Lines that
// are not like that, or name an entry again, are returned as ignored. name is
// for error messages.
func ReadList(r io.Reader, name string) (ids []int, ignored []string, err error) {
	ids = []int{}
	seen := make(map[int]bool)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), ";")
		line = strings.Trim(line, " \t\r")
		if line == "" {
			continue
		}
		digits := strings.IndexFunc(line, func(c rune) bool { return c < '0' || c > '9' })
		if digits < 0 {
			digits = len(line)
		}
		id, err := strconv.Atoi(line[:digits])
		if err != nil || id <= 0 || seen[id] {
			ignored = append(ignored, line)
			continue
		}
		seen[id] = true
		ids = append(ids, id)
	}
	if err := lines.Err(); err != nil {
		return nil, nil, fmt.Errorf("read list %s: %w", name, err)
	}
	return ids, ignored, nil
}

// ordered puts the entries of a list behind all others, in the list's order.
func ordered(entries []archive.Entry, list []int) ([]archive.Entry, error) {
	if list == nil {
		return entries, nil
	}
	position := make(map[int]int, len(list))
	for i, id := range list {
		position[id] = i
	}
	var out []archive.Entry
	listed := make([]*archive.Entry, len(list))
	for i := range entries {
		e := &entries[i]
		if n, ok := position[e.ID]; ok {
			listed[n] = e
		} else {
			out = append(out, *e)
		}
	}
	for i, e := range listed {
		if e == nil {
			return nil, fmt.Errorf("plan restore: the list names entry %d, which is not in the archive", list[i])
		}
		out = append(out, *e)
	}
	return out, nil
}

// names is a list of exact names that remembers which of them were met.
type names struct {
	kind string // for messages
	met  map[string]bool
	list []string
}

func newNames(kind string, list []string) *names {
	n := &names{kind: kind, met: make(map[string]bool), list: list}
	for _, name := range list {
		n.met[name] = false
	}
	return n
}

// has reports whether a name is in the list.
func (n *names) has(name string) bool {
	_, ok := n.met[name]
	if ok {
		n.met[name] = true
	}
	return ok
}

// none reports whether the list is empty.
func (n *names) none() bool { return len(n.list) == 0 }

// missed returns the first name that was not met.
func (n *names) missed() (string, bool) {
	i := slices.IndexFunc(n.list, func(name string) bool { return !n.met[name] })
	if i < 0 {
		return "", false
	}
	return n.list[i], true
}

// check refuses options that contradict each other, as pg_restore does.
func (o Options) check() error {
	const plan = "plan restore: "
	switch {
	case o.SchemaOnly && o.DataOnly, o.SchemaOnly && o.StatisticsOnly, o.DataOnly && o.StatisticsOnly:
		return errors.New(plan + "schema only, data only and statistics only exclude each other")
	case o.SchemaOnly && o.NoSchema, o.DataOnly && o.NoData, o.StatisticsOnly && o.NoStatistics:
		return errors.New(plan + "what alone is restored is left out, too: nothing remains")
	case o.Clean && o.DataOnly:
		return errors.New(plan + "clean drops objects, which data only would not create again")
	case o.MaxIndexMemory < 0:
		return errors.New(plan + "the memory for indexes is negative")
	case o.IfExists && !o.Clean:
		return errors.New(plan + "if-exists needs clean")
	case o.SingleTransaction && o.TransactionSize != 0:
		return errors.New(plan + "a single transaction and a transaction size exclude each other")
	case o.SingleTransaction && o.Create:
		return errors.New(plan + "a database cannot be created in a transaction")
	case (o.SingleTransaction || o.TransactionSize != 0) && o.Jobs > 1:
		return fmt.Errorf(plan+"a transaction is of one connection, not of %d jobs", o.Jobs)
	case o.TransactionSize < 0:
		return fmt.Errorf(plan+"a transaction size of %d", o.TransactionSize)
	case o.Jobs < 0:
		return fmt.Errorf(plan+"%d jobs", o.Jobs)
	}
	return nil
}
