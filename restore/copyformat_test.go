package restore_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// longRows is a source whose second part has a row that is too long for text.
type longRows struct {
	entries []archive.Entry
	asked   chan string
}

func (s *longRows) Header() archive.Header {
	return archive.Header{ServerVersion: "11.1", DumpVersion: "pghaul"}
}
func (s *longRows) Entries() []archive.Entry    { return s.entries }
func (s *longRows) Manifest() *archive.Manifest { return nil }

func (s *longRows) Parts(*archive.Entry) ([]archive.Part, error) {
	return []archive.Part{{Number: 0, Rows: -1, Bytes: 1 << 20}, {Number: 1, Rows: -1, Bytes: 1 << 20}}, nil
}

func (s *longRows) LargeObjects(*archive.Entry) ([]archive.LargeObject, error) { return nil, nil }

func (s *longRows) OpenLargeObject(context.Context, archive.LargeObject) (io.ReadCloser, error) {
	return nil, nil
}

func (s *longRows) Data(_ context.Context, e *archive.Entry, p archive.Part) (copyproto.Source, error) {
	return longPart{s, e.Copy, p.Number, false}, nil
}

type longPart struct {
	s      *longRows
	copy   string
	number int
	strict bool
}

func (p longPart) Strict() copyproto.Source {
	p.strict = true
	return p
}

func (p longPart) CopyTo(_ context.Context, w io.Writer) (int64, error) {
	f := copyproto.FormatOf(p.copy)
	p.s.asked <- fmt.Sprintf("part %d %s %v", p.number, f, p.strict)
	if f == copyproto.Binary {
		_, err := w.Write([]byte("\x00\x01\x00\x00\x00\x04\x00\x00\x00\x07\x00\x01\x00\x00\x00\x04\x00\x00\x00\x08"))
		return 2, err
	}
	if _, err := io.WriteString(w, "1\n"); err != nil {
		return 0, err
	}
	if p.number == 1 {
		return 1, fmt.Errorf("row 2: %w", copyproto.ErrNeedsBinary)
	}
	return 1, nil
}

// A part with a row that is too long for text is loaded again, in the binary
// format; other parts and other versions do not matter to that.
func TestTooLongForText(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	src := &longRows{asked: make(chan string, 10), entries: []archive.Entry{
		{ID: 1, Kind: "TABLE", Tag: "t", Namespace: "public", Section: archive.SectionPreData, Create: "CREATE TABLE public.t (a int);\n", Drop: "DROP TABLE public.t;\n", Relkind: 'r'},
		{ID: 2, Kind: "TABLE DATA", Tag: "t", Namespace: "public", Section: archive.SectionData, HasData: true, Copy: "COPY public.t (a) FROM stdin;\n", After: []int{1}},
	}}
	r, err := restore.Run(t.Context(), s.Config(t, db), src, restore.Options{Jobs: 1})
	if err != nil || len(r.Failed) > 0 || r.Rows != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := s.Text(t, db, "SELECT string_agg(a::text, ' ' ORDER BY a) FROM t"); got != "1 7 8" {
		t.Errorf("loaded %s", got)
	}
	close(src.asked)
	asked := map[string]int{}
	for what := range src.asked {
		asked[what]++
	}
	if asked["part 0 text true"] != 1 || asked["part 1 text true"] != 1 || asked["part 1 binary false"] != 1 || len(asked) != 3 {
		t.Errorf("asked for %v", asked)
	}
}
