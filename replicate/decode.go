package replicate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The messages of pgoutput, protocol version 1. A transaction comes whole, when
// it has been committed: msgBegin, its changes, msgCommit.
type (
	msgBegin struct {
		lsn    LSN // of the commit record
		commit time.Time
		xid    uint32
	}
	msgCommit struct {
		flags  byte
		lsn    LSN // of the commit record
		end    LSN // where it ends: what has been applied once the transaction has
		commit time.Time
	}
	msgOrigin struct {
		lsn  LSN
		name string
	}
	// msgRelation describes a table before its first change, and again after its
	// definition has changed.
	msgRelation struct {
		oid          uint32
		schema, name string
		identity     Identity
		columns      []relationColumn
	}
	relationColumn struct {
		flags byte // 1: of the key
		name  string
		oid   uint32 // of the type
		mod   int32
	}
	msgType struct {
		oid          uint32
		schema, name string
	}
	msgInsert struct {
		relation uint32
		row      tuple
	}
	msgUpdate struct {
		relation uint32
		oldKind  byte  // K: the old key, O: the whole old row, 0: the key has not changed
		old      tuple // nil with oldKind 0
		row      tuple
	}
	msgDelete struct {
		relation uint32
		oldKind  byte // K or O
		old      tuple
	}
	msgTruncate struct {
		flags     byte
		relations []uint32
	}
	// msgMessage is what pg_logical_emit_message writes.
	msgMessage struct {
		flags  byte
		lsn    LSN
		prefix string
		text   []byte
	}
)

// The flags of msgTruncate.
const (
	truncateCascade  = 1
	truncateIdentity = 2 // RESTART IDENTITY
)

// A tuple is a row, or what is sent of it.
type tuple []value

// A value is a column's: NULL, unchanged and therefore not sent, or text.
type value struct {
	kind byte
	text []byte
}

const (
	valueNull      = 'n'
	valueUnchanged = 'u' // a value stored out of line that the update did not touch
	valueText      = 't'
)

// decode reads one message. The texts of its rows lie in b.
func decode(b []byte) (any, error) {
	if len(b) == 0 {
		return nil, errors.New("pgoutput: empty message")
	}
	d := decoder{rest: b[1:]}
	m := d.message(b[0])
	switch {
	case d.err != nil:
		return nil, fmt.Errorf("pgoutput: message %q of %d bytes: %w", b[0], len(b), d.err)
	case len(d.rest) > 0:
		return nil, fmt.Errorf("pgoutput: message %q of %d bytes: %d bytes too many", b[0], len(b), len(d.rest))
	}
	return m, nil
}

// A decoder takes values off the front of a message. After the first error all
// are zero.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) message(kind byte) any {
	switch kind {
	case 'B':
		return msgBegin{lsn: d.lsn(), commit: d.time(), xid: d.uint32()}
	case 'C':
		return msgCommit{flags: d.byte(), lsn: d.lsn(), end: d.lsn(), commit: d.time()}
	case 'O':
		return msgOrigin{lsn: d.lsn(), name: d.string()}
	case 'R':
		return d.relation()
	case 'Y':
		return msgType{oid: d.uint32(), schema: d.string(), name: d.string()}
	case 'I':
		m := msgInsert{relation: d.uint32()}
		d.expect('N')
		m.row = d.tuple()
		return m
	case 'U':
		m := msgUpdate{relation: d.uint32()}
		if k := d.byte(); k == 'K' || k == 'O' {
			m.oldKind, m.old = k, d.tuple()
			d.expect('N')
		} else if k != 'N' {
			d.fail(fmt.Errorf("part %q where K, O or N is expected", k))
		}
		m.row = d.tuple()
		return m
	case 'D':
		m := msgDelete{relation: d.uint32(), oldKind: d.byte()}
		if m.oldKind != 'K' && m.oldKind != 'O' {
			d.fail(fmt.Errorf("part %q where K or O is expected", m.oldKind))
		}
		m.old = d.tuple()
		return m
	case 'T':
		return d.truncate()
	case 'M':
		m := msgMessage{flags: d.byte(), lsn: d.lsn(), prefix: d.string()}
		m.text = d.take(int64(int32(d.uint32())))
		return m
	default:
		d.fail(errors.New("unknown kind"))
		return nil
	}
}

func (d *decoder) relation() any {
	m := msgRelation{oid: d.uint32(), schema: d.string(), name: d.string(), identity: Identity(d.take(1))}
	if m.schema == "" {
		m.schema = "pg_catalog"
	}
	n := d.count(int(d.uint16()), 1+1+4+4)
	m.columns = make([]relationColumn, n)
	for i := range m.columns {
		m.columns[i] = relationColumn{flags: d.byte(), name: d.string(), oid: d.uint32(), mod: int32(d.uint32())}
	}
	return m
}

func (d *decoder) truncate() any {
	n := d.count(int(d.uint32()), 4)
	m := msgTruncate{flags: d.byte(), relations: make([]uint32, n)}
	for i := range m.relations {
		m.relations[i] = d.uint32()
	}
	return m
}

func (d *decoder) tuple() tuple {
	n := d.count(int(d.uint16()), 1)
	t := make(tuple, n)
	for i := range t {
		t[i].kind = d.byte()
		switch t[i].kind {
		case valueNull, valueUnchanged:
		case valueText:
			t[i].text = d.take(int64(int32(d.uint32())))
		default:
			d.fail(fmt.Errorf("column %d is of kind %q", i+1, t[i].kind))
			return nil
		}
	}
	return t
}

// count checks that n things of at least size bytes can follow, before room is
// made for them.
func (d *decoder) count(n, size int) int {
	if d.err == nil && n > len(d.rest)/size {
		d.fail(fmt.Errorf("%d parts in %d bytes", n, len(d.rest)))
	}
	if d.err != nil {
		return 0
	}
	return n
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.rest = err, nil
	}
}

func (d *decoder) take(n int64) []byte {
	if d.err == nil && (n < 0 || n > int64(len(d.rest))) {
		d.fail(fmt.Errorf("%d bytes where %d are left", n, len(d.rest)))
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) expect(want byte) {
	if got := d.byte(); got != want {
		d.fail(fmt.Errorf("part %q where %q is expected", got, want))
	}
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) lsn() LSN { return LSN(d.uint64()) }

// epoch is where servers' timestamps begin, in microseconds after 1970.
const epoch = 946_684_800_000_000

func (d *decoder) time() time.Time { return time.UnixMicro(int64(d.uint64()) + epoch) }

func (d *decoder) string() string {
	i := bytes.IndexByte(d.rest, 0)
	if i < 0 {
		d.fail(errors.New("a text without an end"))
		return ""
	}
	s := string(d.rest[:i])
	d.rest = d.rest[i+1:]
	return s
}
