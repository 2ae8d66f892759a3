package restore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/archive"
)

// createLargeObjects creates the large objects an entry lists and gives them to
// their owner.
func (r *run) createLargeObjects(ctx context.Context, w *worker, s *Step) error {
	oids := strings.Fields(s.SQL) // checked by the plan
	create := make([]string, len(oids))
	for i, oid := range oids {
		create[i] = createLargeObject(oid)
	}
	var owner []string
	if s.Owner != "" {
		for _, oid := range oids {
			owner = append(owner, largeObjectOwner(oid, s.Owner))
		}
	}
	if j := r.opts.Journal; j != nil && !w.tx { // all of them, and the note of it
		sql := "BEGIN;\n" + strings.Join(append(create, owner...), "\n") + "\n" + j.Record([]*Step{s})
		err := exec(ctx, w.pgconn(), sql)
		if err == nil {
			err = commit(ctx, w)
		}
		if err != nil && !w.lost() && w.pgconn().TxStatus() != 'I' {
			if rollback := exec(ctx, w.pgconn(), "ROLLBACK"); rollback != nil {
				w.abandon()
			}
		}
		if err != nil {
			return fmt.Errorf("create large objects: %w", err)
		}
		return nil
	}
	if err := r.bulk(ctx, w, create); err != nil {
		return fmt.Errorf("create large objects: %w", err)
	}
	if len(owner) == 0 {
		return nil
	}
	if err := r.bulk(ctx, w, owner); err != nil {
		return fmt.Errorf("set owner of large objects: %w", err)
	}
	return nil
}

// bulkSize is how many small statements share a message and a transaction.
const bulkSize = 100

// bulk runs statements that do not depend on each other, many in a transaction.
// Where one is refused, its companions are run again one by one. The error
// counts the refused and tells the first.
func (r *run) bulk(ctx context.Context, w *worker, statements []string) error {
	var again []string
	sent, received := 0, 0
	chunk := func(i int) []string {
		from := i * bulkSize
		if from >= len(statements) {
			return nil
		}
		return statements[from:min(from+bulkSize, len(statements))]
	}
	err := pipeline(ctx, w.pgconn(), maxFlight, func() (string, bool) {
		c := chunk(sent)
		sent++
		return strings.Join(c, "\n"), len(c) > 0
	}, func(_ string, _ int64, refused error) error {
		if refused != nil && w.tx {
			return refused // the transaction is lost with it
		}
		if refused != nil {
			again = append(again, chunk(received)...)
		}
		received++
		return nil
	})
	if _, lost := errors.AsType[*lostError](err); err != nil && !lost {
		return err
	}
	var first error
	failed, next := 0, 0
	if err == nil {
		err = pipeline(ctx, w.pgconn(), maxFlight, func() (string, bool) {
			if next == len(again) {
				return "", false
			}
			next++
			return again[next-1], true
		}, func(_ string, _ int64, refused error) error {
			if refused != nil {
				failed++
				if first == nil {
					first = refused
				}
			}
			return nil
		})
	}
	switch {
	case err != nil:
		w.abandon()
		return err
	case failed > 0:
		return fmt.Errorf("%d of %d failed, the first: %w", failed, len(statements), first)
	}
	return nil
}

const (
	// chunkBytes is how much of a large object goes into one statement.
	chunkBytes = 256 << 10
	// batchBytes and batchStatements limit what is sent before the results are read.
	batchBytes      = 4 << 20
	batchStatements = 256
)

const (
	oidOID   = 26
	int8OID  = 20
	byteaOID = 17
)

// loadLargeObjects writes the large objects of a BLOBS entry, up to the commit.
func (r *run) loadLargeObjects(ctx context.Context, w *worker, s *Step, c *counter) error {
	objects, err := r.src.LargeObjects(s.Entry)
	if err != nil {
		return err
	}
	if !w.tx {
		if err := exec(ctx, w.pgconn(), "BEGIN"); err != nil {
			return err
		}
	}
	b := &loBatch{p: w.pgconn().StartPipeline(ctx), c: c, chunk: make([]byte, chunkBytes)}
	for _, lo := range objects {
		if err = b.object(ctx, r.src, lo); err != nil {
			err = fmt.Errorf("large object %d: %w", lo.OID, err)
			break
		}
	}
	if err == nil {
		err = b.flush()
	}
	if closeErr := b.p.Close(); err == nil {
		err = closeErr
	}
	return err
}

// loBatch gathers writes to large objects.
type loBatch struct {
	p          *pgconn.Pipeline
	c          *counter
	chunk      []byte // for all of them: most are far smaller
	statements int
	bytes      int64
}

// object writes one large object.
func (b *loBatch) object(ctx context.Context, src Source, lo archive.LargeObject) (err error) {
	f, err := src.OpenLargeObject(ctx, lo)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	for offset := int64(0); ; {
		n, err := io.ReadFull(f, b.chunk)
		if n > 0 {
			b.put(lo.OID, offset, b.chunk[:n])
			offset += int64(n)
			if b.bytes >= batchBytes || b.statements >= batchStatements {
				if err := b.flush(); err != nil {
					return err
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// put queues one write. Its bytes are copied into the connection's buffer.
func (b *loBatch) put(oid uint32, offset int64, data []byte) {
	params := [][]byte{
		binary.BigEndian.AppendUint32(nil, oid), binary.BigEndian.AppendUint64(nil, uint64(offset)), data,
	}
	b.p.SendQueryParams("SELECT pg_catalog.lo_put($1, $2, $3)", params, []uint32{oidOID, int8OID, byteaOID}, []int16{1, 1, 1}, nil)
	b.statements++
	b.bytes += int64(len(data))
}

// flush sends what is queued and reads the results.
func (b *loBatch) flush() error {
	if err := b.p.Sync(); err != nil {
		return err
	}
	var first error
	for {
		result, err := b.p.GetResults()
		if err != nil {
			if first == nil {
				first = err
			}
			if _, refused := errors.AsType[*pgconn.PgError](err); !refused {
				return first
			}
			continue
		}
		switch result := result.(type) {
		case *pgconn.ResultReader:
			if _, err := result.Close(); err != nil && first == nil {
				first = err
			}
		case *pgconn.PipelineSync:
			if first == nil {
				b.c.add(0, b.bytes)
			}
			b.statements, b.bytes = 0, 0
			return first
		}
	}
}
