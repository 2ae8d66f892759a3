package replicate

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options say what to follow and how. Source, Target and, to start, Tables must
// be set.
type Options struct {
	// Source and Target are the two ends. The source's address must lead to the
	// server itself: poolers do not pass replication on.
	Source, Target *pgx.ConnConfig
	// ID names the follow and all it makes ("pghaul_" + ID): lower case letters and
	// digits. "" makes one up at the start, and means the only one there is otherwise.
	ID string
	// Tables are those to follow. Partitioned tables are published as they are from
	// PostgreSQL 13 on, with partitions to come; from older servers their
	// partitions have to be listed, and partitioned tables are passed over.
	Tables []Table
	// Engine brings the changes; "" means EngineNative at the start. Otherwise it has no
	// meaning: the target knows.
	Engine Engine
	// ViaRoot publishes changes of partitions as those of the topmost table, for
	// targets that are partitioned in another way. It needs PostgreSQL 13.
	ViaRoot bool
	// BatchChanges is how many changes at most are sent to the target before their
	// results are waited for; 0 means 1000. Transactions may have more.
	BatchChanges int
	// BatchBytes is the same for the bytes of their values; 0 means 4 MiB.
	BatchBytes int
	// Heartbeat is how often a message is written to the source's log so that the
	// position of an idle database moves; 0 means 10 seconds, less than 0 never.
	Heartbeat time.Duration
	// Patience is how long the loss of a server is put up with; 0 means for ever.
	Patience time.Duration
	// Reach is the source as the server of the target reaches it, for EngineNative,
	// where that is another address than that of Source. A user of its own in it is
	// who the subscription connects as; else a role is made for that. nil means Source.
	Reach *pgx.ConnConfig
	// Logger hears of lost connections and warnings; nil discards.
	Logger *slog.Logger
}

// A Follow is one follow of a source by a target. It is not safe for use by
// several goroutines.
type Follow struct {
	// Record is what the target knew of the follow when it was last read.
	Record
	// Snapshot is what the rows must be copied from, after Start and until CopyDone.
	Snapshot string

	opts     Options
	log      *slog.Logger
	encoding string    // in which rows are brought over
	holder   *pgx.Conn // made the slot and holds the snapshot
	cutting  bool      // it is run by a cut-over
}

func (o *Options) batchChanges() int {
	if o.BatchChanges <= 0 {
		return 1000
	}
	return o.BatchChanges
}

func (o *Options) batchBytes() int {
	if o.BatchBytes <= 0 {
		return 4 << 20
	}
	return o.BatchBytes
}

func (o *Options) heartbeat() time.Duration {
	if o.Heartbeat == 0 {
		return 10 * time.Second
	}
	return o.Heartbeat
}
