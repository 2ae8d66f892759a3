package replicate

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
	"time"
)

// encode is the inverse of decode.
func encode(m any) []byte {
	var b []byte
	text := func(s string) { b = append(append(b, s...), 0) }
	u16 := func(v int) { b = binary.BigEndian.AppendUint16(b, uint16(v)) }
	u32 := func(v uint32) { b = binary.BigEndian.AppendUint32(b, v) }
	u64 := func(v uint64) { b = binary.BigEndian.AppendUint64(b, v) }
	stamp := func(t time.Time) { u64(uint64(t.UnixMicro() - epoch)) }
	row := func(t tuple) {
		u16(len(t))
		for _, v := range t {
			b = append(b, v.kind)
			if v.kind == valueText {
				u32(uint32(len(v.text)))
				b = append(b, v.text...)
			}
		}
	}
	switch m := m.(type) {
	case msgBegin:
		b = append(b, 'B')
		u64(uint64(m.lsn))
		stamp(m.commit)
		u32(m.xid)
	case msgCommit:
		b = append(b, 'C', m.flags)
		u64(uint64(m.lsn))
		u64(uint64(m.end))
		stamp(m.commit)
	case msgOrigin:
		b = append(b, 'O')
		u64(uint64(m.lsn))
		text(m.name)
	case msgRelation:
		b = append(b, 'R')
		u32(m.oid)
		text(m.schema)
		text(m.name)
		b = append(b, m.identity...)
		u16(len(m.columns))
		for _, c := range m.columns {
			b = append(b, c.flags)
			text(c.name)
			u32(c.oid)
			u32(uint32(c.mod))
		}
	case msgType:
		b = append(b, 'Y')
		u32(m.oid)
		text(m.schema)
		text(m.name)
	case msgInsert:
		b = append(b, 'I')
		u32(m.relation)
		b = append(b, 'N')
		row(m.row)
	case msgUpdate:
		b = append(b, 'U')
		u32(m.relation)
		if m.oldKind != 0 {
			b = append(b, m.oldKind)
			row(m.old)
		}
		b = append(b, 'N')
		row(m.row)
	case msgDelete:
		b = append(b, 'D')
		u32(m.relation)
		b = append(b, m.oldKind)
		row(m.old)
	case msgTruncate:
		b = append(b, 'T')
		u32(uint32(len(m.relations)))
		b = append(b, m.flags)
		for _, r := range m.relations {
			u32(r)
		}
	case msgMessage:
		b = append(b, 'M', m.flags)
		u64(uint64(m.lsn))
		text(m.prefix)
		u32(uint32(len(m.text)))
		b = append(b, m.text...)
	}
	return b
}

var someTime = time.UnixMicro(1_700_000_000_123_456)

var sampleMessages = []any{
	msgBegin{lsn: 0x16B374D848, commit: someTime, xid: 1<<32 - 1},
	msgCommit{lsn: 7, end: 1<<64 - 1, commit: someTime},
	msgOrigin{lsn: 3, name: "upstream"},
	msgRelation{oid: 16384, schema: "public", name: "ö t", identity: IdentityIndex, columns: []relationColumn{{1, "id", 23, -1}, {0, "v", 1043, 14}}},
	msgRelation{oid: 1, schema: "s", name: "no columns", identity: IdentityNothing, columns: []relationColumn{}},
	msgType{oid: 99999, schema: "s", name: "mood"},
	msgInsert{relation: 16384, row: tuple{{valueText, []byte("1")}, {valueNull, nil}, {valueText, []byte{}}}},
	msgUpdate{relation: 16384, row: tuple{{valueText, []byte("1")}, {valueUnchanged, nil}}},
	msgUpdate{relation: 16384, oldKind: 'K', old: tuple{{valueText, []byte("0")}, {valueNull, nil}}, row: tuple{{valueText, []byte("1")}, {valueText, []byte("x\x00y")}}},
	msgUpdate{relation: 16384, oldKind: 'O', old: tuple{}, row: tuple{}},
	msgDelete{relation: 16384, oldKind: 'K', old: tuple{{valueText, []byte("0")}}},
	msgDelete{relation: 16384, oldKind: 'O', old: tuple{{valueNull, nil}}},
	msgTruncate{flags: truncateCascade | truncateIdentity, relations: []uint32{1, 2, 3}},
	msgTruncate{relations: []uint32{}},
	msgMessage{flags: 1, lsn: 8, prefix: "pghaul", text: []byte("beat")},
	msgMessage{prefix: "", text: []byte{}},
}

func TestDecode(t *testing.T) {
	for _, want := range sampleMessages {
		b := encode(want)
		got, err := decode(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%#v\nis read as %#v, %v", want, got, err)
		}
		for i := range b {
			if m, err := decode(b[:i]); err == nil {
				t.Errorf("the first %d of %d bytes of %T are read as %#v", i, len(b), want, m)
			}
		}
		if _, err := decode(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%T with a byte too many is read", want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{"", "empty"},
		{"Z", "unknown kind"},
		{"S\x00\x00\x00\x01\x01", "unknown kind"}, // a streamed transaction, which is never asked for
		{"I\x00\x00\x00\x01K\x00\x00", `'K' where 'N'`},
		{"U\x00\x00\x00\x01X\x00\x00", `'X' where`},
		{"U\x00\x00\x00\x01K\x00\x00O\x00\x00", `'O' where 'N'`},
		{"D\x00\x00\x00\x01N\x00\x00", `'N' where`},
		{"I\x00\x00\x00\x01N\x00\x01b\x00\x00\x00\x00", "column 1 is of kind 'b'"}, // binary, which is never asked for
		{"I\x00\x00\x00\x01N\xff\xffn", "65535 parts"},
		{"I\x00\x00\x00\x01N\x00\x01t\xff\xff\xff\xff", "-1 bytes"},
		{"I\x00\x00\x00\x01N\x00\x01t\x7f\xff\xff\xffabc", "2147483647 bytes where 3"},
		{"T\xff\xff\xff\xff\x00", "parts in"},
		{"M\x00\x00\x00\x00\x00\x00\x00\x00\x00p\x00\xff\xff\xff\xfe", "-2 bytes"},
		{"R\x00\x00\x00\x01abc", "without an end"},
		{"R\x00\x00\x00\x01\x00t\x00d\xff\xff", "65535 parts"},
	} {
		if m, err := decode([]byte(c.message)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q is read as %#v, %v; want an error with %q", c.message, m, err, c.want)
		}
	}
}

// A message that is read is written the same again: no byte is passed over.
func FuzzDecode(f *testing.F) {
	for _, m := range sampleMessages {
		f.Add(encode(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		// Tables of pg_catalog, whose schema is sent as nothing, are the exception.
		if r, ok := m.(msgRelation); ok && r.schema == "pg_catalog" {
			return
		}
		if again := encode(m); !bytes.Equal(again, b) {
			t.Errorf("%q is read as %#v, which is %q", b, m, again)
		}
	})
}
