package archive

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oldTOC writes a table of contents of an older version, with integers of any
// size, as pg_dump of that time did.
func oldTOC(v Version, intSize int, format byte, c Compression, toc []Entry) []byte {
	var out []byte
	integer := func(n int) {
		sign := byte(0)
		if n < 0 {
			sign, n = 1, -n
		}
		out = append(out, sign)
		for i := range intSize {
			out = append(out, byte(uint64(n)>>(8*i)))
		}
	}
	str := func(s string) { integer(len(s)); out = append(out, s...) }
	out = append(out, "PGDMP"...)
	out = append(out, v.Major, v.Minor, v.Revision, byte(intSize), 8, format)
	if v.Minor >= 15 {
		out = append(out, byte(slices.Index(compressionBytes[:], c)))
	} else if c == CompressNone {
		integer(0)
	} else {
		integer(-1)
	}
	for _, n := range []int{5, 4, 3, 2, 0, 124, 0} {
		integer(n)
	}
	str("db")
	str("9.6.1")
	str("9.6.2")
	integer(len(toc))
	for _, e := range toc {
		integer(e.ID)
		if e.HasData {
			integer(1)
		} else {
			integer(0)
		}
		str(strconv.Itoa(int(e.Class)))
		str(strconv.Itoa(int(e.OID)))
		str(e.Tag)
		str(e.Kind)
		integer(int(e.Section))
		str(e.Create)
		str(e.Drop)
		str(e.Copy)
		str(e.Namespace)
		if e.Tablespace == nil {
			integer(-1)
		} else {
			str(*e.Tablespace)
		}
		if v.Minor >= 14 {
			if e.AccessMethod == nil {
				integer(-1)
			} else {
				str(*e.AccessMethod)
			}
		}
		if v.Minor >= 16 {
			integer(int(e.Relkind))
		}
		str(e.Owner)
		str(strconv.FormatBool(e.WithOIDs))
		for _, id := range e.After {
			str(strconv.Itoa(id))
		}
		integer(-1)
		str(e.File)
	}
	return out
}

func sampleTOC() []Entry {
	heap, space, none := "heap", "fast", ""
	return []Entry{
		{ID: 2, Kind: "SCHEMA", Tag: "s\nt", Class: 2615, OID: 4294967295, Section: SectionPreData, Create: "CREATE SCHEMA s;\n", Owner: "o"},
		{
			ID: 1, Kind: "TABLE", Tag: "t", Namespace: "s", Section: SectionPreData, Create: "x", Drop: "y", Owner: "o",
			Tablespace: &space, AccessMethod: &heap, Relkind: 'p', WithOIDs: true, After: []int{2, 2, 99},
		},
		{
			ID: 70000, Kind: "TABLE DATA", HasData: true, Tag: "t", Section: SectionData, Copy: "COPY s.t FROM stdin;\n", Tablespace: &none,
			After: []int{1}, File: "70000.dat",
		},
		{ID: 9, Kind: "BLOBS", HasData: true, Tag: "BLOBS", Section: SectionData, File: "blobs_9.toc"},
	}
}

func TestReadVersions(t *testing.T) {
	tests := []struct {
		minor   byte
		intSize int
		format  byte
		c       Compression
	}{
		{12, 4, 3, CompressGzip},
		{13, 8, 3, CompressNone},
		{14, 4, 5, CompressGzip},
		{15, 5, 3, CompressLZ4},
		{16, 4, 3, CompressZstd},
	}
	for _, tt := range tests {
		v := Version{1, tt.minor, 0}
		t.Run(v.String(), func(t *testing.T) {
			h, got, err := parseTOC("toc.dat", oldTOC(v, tt.intSize, tt.format, tt.c, sampleTOC()))
			if err != nil {
				t.Fatal(err)
			}
			want := sampleTOC()
			for i := range want {
				if v.Minor < 14 {
					want[i].AccessMethod = nil
				}
				if v.Minor < 16 {
					want[i].Relkind = 0
				}
			}
			if v.Minor < 16 {
				want[3].File = "blobs.toc"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			wantHeader := Header{
				Version: v, Compression: tt.c, Created: time.Date(2024, 1, 2, 3, 4, 5, 0, time.Local), Database: "db",
				ServerVersion: "9.6.1", DumpVersion: "9.6.2", Format: FormatDirectory, IntSize: tt.intSize, OffSize: 8,
			}
			if diff := cmp.Diff(wantHeader, h); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTOCRoundTrip(t *testing.T) {
	h := Header{
		Version: CurrentVersion, Compression: CompressZstd, Created: time.Now().Truncate(time.Second), Database: "d\xffb",
		ServerVersion: "18.4", DumpVersion: "pghaul", Format: FormatDirectory, IntSize: 4, OffSize: 8,
	}
	text, err := formatTOC(h, 0, sampleTOC())
	if err != nil {
		t.Fatal(err)
	}
	gotHeader, got, err := parseTOC("toc.dat", text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, gotHeader); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(sampleTOC(), got); diff != "" {
		t.Error(diff)
	}
}

func TestTOCNulls(t *testing.T) {
	null, empty := []byte{1, 1, 0, 0, 0}, []byte{0, 0, 0, 0, 0}
	text, err := formatTOC(Header{Version: CurrentVersion}, 0, []Entry{{ID: 1, Section: SectionNone, AccessMethod: new(string)}})
	if err != nil {
		t.Fatal(err)
	}
	// Section, then Create, Drop, Copy, Namespace, Tablespace, AccessMethod,
	// Relkind, Owner, WithOIDs, the end of After, File.
	want := append([]byte{0, 1, 0, 0, 0}, bytes.Repeat(null, 5)...)
	want = append(append(append(want, empty...), 0, 0, 0, 0, 0), null...)
	want = append(append(append(want, 0, 5, 0, 0, 0), "false"...), null...)
	want = append(want, empty...)
	if !bytes.HasSuffix(text, want) {
		t.Errorf("entry = % x, want the end % x", text, want)
	}
}

func TestRefuseTOC(t *testing.T) {
	good, err := formatTOC(Header{Version: CurrentVersion}, 0, sampleTOC())
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	tests := []struct {
		name string
		in   []byte
		off  int64
	}{
		{"empty", nil, 0},
		{"magic", change(0, 'X'), 0},
		{"version 1.17", change(6, 17), 8},
		{"version 1.11", change(6, 11), 8},
		{"integer size", change(8, 9), 10},
		{"integer size 0", change(8, 0), 10},
		{"custom format", change(10, 1), -1},
		{"compression", change(11, 4), 12},
		{"sign", change(12, 2), 12},
		{"garbage after the end", append(bytes.Clone(good), 0), int64(len(good))},
		{"duplicate ID", oldTOC(CurrentVersion, 4, 3, "none", append(sampleTOC(), sampleTOC()...)), -1},
		{"ID 0", oldTOC(CurrentVersion, 4, 3, "none", []Entry{{Section: 2}}), -1},
		{"section 5", oldTOC(CurrentVersion, 4, 3, "none", []Entry{{ID: 1, Section: 5}}), -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := parseTOC("dir/toc.dat", tt.in)
			e, ok := errors.AsType[*CorruptError](err)
			if !ok || e.File != "dir/toc.dat" || tt.off >= 0 && e.Offset != tt.off {
				t.Errorf("err = %v, want a CorruptError at %d", err, tt.off)
			}
		})
	}
	for i := range good {
		if _, _, err := parseTOC("toc.dat", good[:i]); err == nil {
			t.Errorf("cut at %d: no error", i)
		}
	}
}

// What claims to be huge must not take the memory to match.
func TestHugeClaims(t *testing.T) {
	good, err := formatTOC(Header{Version: CurrentVersion}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	good = good[:len(good)-5]
	for _, claim := range [][]byte{{0, 0xff, 0xff, 0xff, 0x7f}, {0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f}} {
		in := append(bytes.Clone(good), claim...)
		if n := testing.AllocsPerRun(5, func() { _, _, err = parseTOC("toc.dat", in) }); err == nil || n > 50 {
			t.Errorf("err = %v after %v allocations", err, n)
		}
	}
}

func FuzzReadTOC(f *testing.F) {
	good, err := formatTOC(Header{Version: CurrentVersion}, 0, sampleTOC())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(oldTOC(Version{1, 12, 0}, 8, 3, "none", sampleTOC()))
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := bytes.Clone(good)
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, toc, err := parseTOC("toc.dat", in)
		if err != nil {
			if e, ok := errors.AsType[*CorruptError](err); !ok || e.Offset < 0 || e.Offset > int64(len(in)) {
				t.Fatalf("err = %#v", err)
			}
			return
		}
		// What was read can be written and read again.
		h.Version = CurrentVersion
		text, err := formatTOC(h, 0, toc)
		if err != nil {
			t.Fatal(err)
		}
		_, again, err := parseTOC("toc.dat", text)
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(toc, again) { // much faster than what tells the difference
			return
		}
		if diff := cmp.Diff(toc, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// BenchmarkTOC writes and reads a table of contents of 20,000 entries.
func BenchmarkTOC(b *testing.B) {
	space := ""
	toc := make([]Entry, 20_000)
	for i := range toc {
		name := "table_" + strconv.Itoa(i)
		toc[i] = Entry{
			ID: i + 1, Kind: "TABLE", Namespace: "public", Tag: name, Owner: "postgres", Section: SectionPreData, Relkind: 'r', Class: 1259, OID: uint32(16384 + i), Tablespace: &space,
			Create: "CREATE TABLE public." + name + " (\n    id integer NOT NULL,\n    v text\n);\n", Drop: "DROP TABLE public." + name + ";\n", After: []int{max(i, 1)},
		}
	}
	h := Header{Version: CurrentVersion, Compression: CompressNone, Created: time.Unix(1700000000, 0), Database: "db", ServerVersion: "18.0", DumpVersion: "18.0"}
	for b.Loop() {
		text, err := formatTOC(h, 0, toc)
		if err != nil {
			b.Fatal(err)
		}
		_, again, err := parseTOC("toc.dat", text)
		if err != nil || len(again) != len(toc) {
			b.Fatalf("%d entries, %v", len(again), err)
		}
		b.SetBytes(int64(len(text)))
	}
}
