package replicate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/internal/quote"
)

// Slot is how the replication slot on the source is.
type Slot struct {
	Exists bool `json:"exists"`
	// Active says that somebody reads from it, PID who.
	Active bool  `json:"active"`
	PID    int32 `json:"pid,omitempty"`
	// WALStatus is reserved, extended, unreserved or lost, as in
	// pg_replication_slots; "" before PostgreSQL 13.
	WALStatus string `json:"wal_status,omitempty"`
	// SafeWALSize is how many bytes can be written at the source until the slot is
	// in danger; nil without a limit.
	SafeWALSize *int64 `json:"safe_wal_size,omitempty"`
	// Retained is how many bytes of WAL the source keeps for it.
	Retained int64 `json:"retained_bytes"`
	// InactiveSince is since when nobody reads (PostgreSQL 17 and later).
	InactiveSince time.Time `json:"inactive_since,omitzero"`
	// Invalidation is why it has become invalid (PostgreSQL 17 and later).
	Invalidation string `json:"invalidation,omitempty"`
	// Confirmed is the position up to which the target has everything.
	Confirmed LSN `json:"confirmed_lsn"`
	// Current is the source's own position at that moment.
	Current LSN `json:"current_lsn"`
	// Delay is how long ago the source wrote what the target confirmed last; nil
	// where it cannot be known.
	Delay *time.Duration `json:"-"`
}

// The columns are read by name from JSON, for each version has more of them.
const slotQuery = `SELECT s.active, coalesce(s.active_pid, 0), coalesce(j ->> 'wal_status', ''), (j ->> 'safe_wal_size')::int8,
  coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), s.restart_lsn), 0)::int8,
  coalesce(extract(epoch FROM (j ->> 'inactive_since')::timestamptz) * 1000000, 0)::int8,
  coalesce(j ->> 'invalidation_reason', ''), coalesce(s.confirmed_flush_lsn::text, '0/0'), pg_catalog.pg_current_wal_insert_lsn()::text,
  (extract(epoch FROM r.replay_lag) * 1000000)::int8
FROM pg_catalog.pg_replication_slots s CROSS JOIN LATERAL pg_catalog.to_jsonb(s) j
LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid
WHERE s.slot_name = $1`

// readSlot reads how a slot is.
func readSlot(ctx context.Context, source *pgx.Conn, name string) (Slot, error) {
	s := Slot{Exists: true}
	var inactive int64
	var delay *int64
	err := source.QueryRow(ctx, slotQuery, name).Scan(&s.Active, &s.PID, &s.WALStatus, &s.SafeWALSize, &s.Retained, &inactive, &s.Invalidation, &s.Confirmed, &s.Current, &delay)
	if errors.Is(err, pgx.ErrNoRows) {
		s = Slot{}
		err = source.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text").Scan(&s.Current)
	}
	if err != nil {
		return Slot{}, fmt.Errorf("read the state of replication slot %s: %w", name, err)
	}
	if inactive != 0 && !s.Active {
		s.InactiveSince = time.UnixMicro(inactive)
	}
	if delay != nil {
		d := time.Duration(*delay) * time.Microsecond
		s.Delay = &d
	}
	return s, nil
}

// usable returns a lostError for a slot from which nothing can be had any more.
func (s *Slot) usable(name string) error {
	switch {
	case !s.Exists:
		return lost(name, "is gone, dropped by somebody or by the platform")
	case s.WALStatus == "lost" && s.Invalidation != "":
		return lost(name, "was given up by the server ("+s.Invalidation+")")
	case s.WALStatus == "lost":
		return lost(name, "was given up by the server, which needed the room of its WAL")
	}
	return nil
}

func lost(slot, why string) error {
	return &lostError{"replication slot " + slot + " on the source " + why}
}

// warnings tell what may become of a slot.
func (s *Slot) warnings(name string) []string {
	if err := s.usable(name); err != nil {
		return []string{err.Error()}
	}
	var list []string
	if s.WALStatus == "unreserved" {
		list = append(list, "replication slot "+name+" is about to be given up by the source: its WAL is over max_slot_wal_keep_size")
	} else if s.SafeWALSize != nil && *s.SafeWALSize < 1<<30 && *s.SafeWALSize < s.Retained {
		list = append(list, fmt.Sprintf("the source gives replication slot %s up after %d MB more of WAL", name, *s.SafeWALSize>>20))
	}
	return list
}

// drift is how the tables of the source have changed since the follow was started.
type drift struct {
	// changed are differences by table.
	changed map[string][]string
	// missing are tables that nobody follows, each as a sentence.
	missing []string
}

func (d *drift) sorted() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for _, name := range slices.Sorted(maps.Keys(d.changed)) {
			if !yield(name, d.changed[name]) {
				return
			}
		}
	}
}

// newTablesQuery finds permanent tables in the schemas of those that are followed
// that were made since: their OIDs are not among the followed, and neither those
// of what they are partitions of. Tables that were left out from the beginning are
// older than the publication.
const newTablesQuery = `SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_publication p ON p.pubname = $1
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition AND n.nspname = ANY ($2)
  AND NOT c.oid = ANY ($3::int8[]::oid[])
  AND pg_catalog.age(c.xmin) < pg_catalog.age(p.xmin) AND pg_catalog.age(c.xmin) >= 0
ORDER BY 1, 2`

// readDrift compares the tables of the source with those of the record.
func readDrift(ctx context.Context, source *pgx.Conn, r *Record) (*drift, error) {
	d := &drift{changed: map[string][]string{}}
	oids := make([]int64, 0, len(r.Tables))
	var schemas []string
	for i := range r.Tables {
		oids = append(oids, int64(r.Tables[i].OID))
		schemas = append(schemas, r.Tables[i].Schema)
	}
	now, err := readByOID(ctx, source, oids)
	if err != nil {
		return nil, err
	}
	for i := range r.Tables {
		t := &r.Tables[i]
		if diffs := changes(t, now[t.OID]); len(diffs) > 0 {
			d.changed[t.String()] = diffs
		}
	}
	slices.Sort(schemas)
	rows, err := source.Query(ctx, newTablesQuery, r.Publication, slices.Compact(schemas), oids)
	if err != nil {
		return nil, fmt.Errorf("look for new tables on the source: %w", err)
	}
	var schema, name string
	_, err = pgx.ForEachRow(rows, []any{&schema, &name}, func() error {
		d.missing = append(d.missing, "table "+quote.Qualified(schema, name)+" was made or changed on the source after the follow was started, and is not followed")
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for new tables on the source: %w", err)
	}
	return d, nil
}

// readByOID reads tables as they are now.
func readByOID(ctx context.Context, source *pgx.Conn, oids []int64) (map[uint32]*Table, error) {
	rows, err := source.Query(ctx, `SELECT c.oid, n.nspname::text, c.relname::text, c.relreplident::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::int8[]::oid[])`, oids)
	if err != nil {
		return nil, fmt.Errorf("read the tables of the source: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Table, error) {
		var t Table
		err := row.Scan(&t.OID, &t.Schema, &t.Name, &t.Identity)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the tables of the source: %w", err)
	}
	v, err := version(source)
	if err != nil {
		return nil, err
	}
	if err := readColumns(ctx, source, list, v); err != nil {
		return nil, err
	}
	now := make(map[uint32]*Table, len(list))
	for i := range list {
		now[list[i].OID] = &list[i]
	}
	return now, nil
}

// changes are the differences of a table between the record and now.
func changes(was, is *Table) []string {
	if is == nil {
		return []string{"was dropped on the source"}
	}
	var diffs []string
	add := func(format string, args ...any) { diffs = append(diffs, fmt.Sprintf(format, args...)) }
	if is.Schema != was.Schema || is.Name != was.Name {
		add("was renamed to %s on the source", is)
	}
	if is.Identity != was.Identity {
		add("had its replica identity changed on the source")
	}
	for _, c := range was.Columns {
		i := slices.IndexFunc(is.Columns, func(n Column) bool { return n.Name == c.Name })
		switch {
		case i < 0:
			add("has lost column %s on the source", quote.Ident(c.Name))
		case is.Columns[i].Type != c.Type:
			add("has column %s as %s on the source, which was %s", quote.Ident(c.Name), is.Columns[i].Type, c.Type)
		case is.Columns[i].Key != c.Key:
			add("identifies its rows by other columns on the source: %s", quote.Ident(c.Name))
		}
	}
	for _, c := range is.Columns {
		if !slices.ContainsFunc(was.Columns, func(o Column) bool { return o.Name == c.Name }) {
			add("has a new column %s %s on the source", quote.Ident(c.Name), c.Type)
		}
	}
	return diffs
}
