package restore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/restore"
)

// namedSource is an archive of a table, its rows and a comment, all of them with
// names that somebody else has chosen.
type namedSource struct{ tag, schema, owner string }

func (s namedSource) Header() archive.Header {
	return archive.Header{ServerVersion: s.tag, DumpVersion: s.owner}
}
func (s namedSource) Manifest() *archive.Manifest { return nil }

func (s namedSource) Entries() []archive.Entry {
	return []archive.Entry{
		{ID: 1, Kind: "ENCODING", Tag: "ENCODING", Section: archive.SectionPreData, Create: "SET client_encoding = 'UTF8';\n"},
		{ID: 5, Kind: "SEARCHPATH", Tag: "SEARCHPATH", Section: archive.SectionPreData, Create: "SELECT pg_catalog.set_config('search_path', '', false);\n"},
		{ID: 2, Kind: "TABLE", Tag: s.tag, Namespace: s.schema, Owner: s.owner, Section: archive.SectionPreData, Create: "CREATE TABLE t (i int);\n"},
		{ID: 3, Kind: "TABLE DATA", Tag: s.tag, Namespace: s.schema, Owner: s.owner, Section: archive.SectionData, HasData: true, Copy: "COPY t (i) FROM stdin;\n", After: []int{2}},
		{ID: 4, Kind: "COMMENT", Tag: "TABLE " + s.tag, Namespace: s.schema, Owner: s.owner, Section: archive.SectionNone, Create: "COMMENT ON TABLE t IS 'c';\n", After: []int{2}},
	}
}

func (namedSource) Parts(*archive.Entry) ([]archive.Part, error) {
	return []archive.Part{{Rows: 1}}, nil
}

func (namedSource) Data(context.Context, *archive.Entry, archive.Part) (copyproto.Source, error) {
	return copyproto.Opener(func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("1\n")), nil }), nil
}

func (namedSource) LargeObjects(*archive.Entry) ([]archive.LargeObject, error) {
	return nil, errors.New("there are none")
}

func (namedSource) OpenLargeObject(context.Context, archive.LargeObject) (io.ReadCloser, error) {
	return nil, errors.New("there are none")
}

// FuzzScriptNames shows that names reach a script in comments only, and do not
// leave them: what psql executes is the same whatever objects are called.
func FuzzScriptNames(f *testing.F) {
	script := func(tb testing.TB, s namedSource) []string {
		tb.Helper()
		var out bytes.Buffer
		if err := restore.WriteScript(tb.Context(), &out, s, restore.Options{NoOwner: true}, "key"); err != nil {
			tb.Fatal(err)
		}
		return slices.DeleteFunc(strings.Split(out.String(), "\n"), func(line string) bool { return strings.HasPrefix(line, "--") })
	}
	want := script(f, namedSource{"t", "s", "o"})
	f.Add("t", "s", "o")
	f.Add("t\n\\! touch /tmp/x\n", "s\nDROP TABLE t;", "o\r\nSELECT 1;")
	f.Add("\\.\n", "\\unrestrict key", "--\n;")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, tag, schema, owner string) {
		if got := script(t, namedSource{tag, schema, owner}); !slices.Equal(got, want) {
			t.Errorf("names %q, %q, %q change the script:\n%s", tag, schema, owner, strings.Join(got, "\n"))
		}
	})
}
