package restore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// Rows of large tables go over the wire in the binary format where that is known
// to be the same, and as text where not: tables whose types are not known, or
// with a value that is not written as servers write it.
func TestBinary(t *testing.T) {
	s := pgtest.Private(t, 18, pgtest.Options{})
	from := s.Database(t)
	const fill = " repeat('x', 60), g FROM generate_series(1, 6000) g"
	s.Exec(t, from, `CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN small AS int CHECK (value < 1000000);
		CREATE TABLE every (a int2, b small, c bigint, d float8, e numeric, f timestamptz, g mood, h mood[], i jsonb, j bytea, k text[], l uuid, m bool, filler text, "odd ""name" int);
		INSERT INTO every SELECT g, g, g, random(), random()::numeric, now() + g * interval '1 day', 'sad', '{happy,NULL}', '{"a": 1}', '\x00ff', ARRAY[g::text, null], gen_random_uuid(), g % 2 = 0,`+fill+`;
		INSERT INTO every DEFAULT VALUES;
		CREATE TABLE spans (i interval, filler text, id int); INSERT INTO spans SELECT interval '1 day' * g,`+fill+`;
		CREATE TABLE ancient (d date, filler text, id int); INSERT INTO ancient SELECT date '0044-03-15 BC' + g,`+fill+`;
		CREATE TABLE words (w text, filler text, id int); INSERT INTO words SELECT g,`+fill+`;
		ANALYZE;`)
	dir := dumpDir(t, s, from, "-Z", "none", "--no-statistics")
	s.LogStatements(t)
	to := s.Database(t)
	run(t, s, to, dir, restore.Options{Jobs: 2})
	same(t, s, from, to)
	if d := cmp.Diff([]string{"ancient binary", "ancient text", "every binary", "spans text", "words binary"}, loads(t, s, to)); d != "" {
		t.Errorf("loads (-want +got):\n%s", d)
	}

	// A target that does not take a row says so of the text.
	broken := s.Database(t)
	s.Exec(t, broken, "CREATE TYPE mood AS ENUM ('happy'); CREATE DOMAIN small AS int; CREATE TABLE words (w text CHECK (w <> '4711'), filler text, id int)")
	report, err := restore.Run(context.Background(), s.Config(t, broken), open(t, dir), restore.Options{Jobs: 1, DataOnly: true, Tables: []string{"words"}})
	if err != nil || len(report.Failed) != 1 || !strings.Contains(report.Failed[0].Error(), "words_w_check") || strings.Contains(report.Failed[0].SQL, "binary") {
		t.Errorf("failed: %v, %v", report.Failed, err)
	}
}

// loads lists how tables were loaded by COPY.
func loads(t *testing.T, s *pgtest.Server, db string) []string {
	t.Helper()
	var list []string
	for _, st := range s.Statements(t) {
		_, text, ok := strings.Cut(st.Text, "COPY public.")
		if !ok || st.Database != db {
			continue
		}
		format := "text"
		if strings.Contains(text, "FORMAT binary") {
			format = "binary"
		}
		name, _, _ := strings.Cut(text, " ")
		list = append(list, fmt.Sprintf("%s %s", name, format))
	}
	slices.Sort(list)
	return list
}
