package dump_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// entry is an archive entry without what differs between two dumps of the same
// database: dump IDs stand for the entries they name.
type entry struct {
	Key, Kind                string
	Section                  archive.Section
	HasData                  bool
	Class, OID               uint32
	Create, Drop, Copy       string
	Tablespace, AccessMethod string
	Relkind                  byte
	Owner                    string
	After                    []string
}

func key(e archive.Entry) string { return e.Kind + " " + e.Namespace + " " + e.Tag }

func deref(s *string) string {
	if s == nil {
		return "none"
	}
	return "=" + *s
}

// comparable reads an archive's entries in order.
func comparable(t *testing.T, dir string) []entry {
	t.Helper()
	r, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	names, seen := map[int]string{}, map[string]int{}
	for _, e := range r.Entries() { // operators, for one, may share a tag
		k := key(e)
		seen[k]++
		if n := seen[k]; n > 1 {
			k = fmt.Sprintf("%s (%d)", k, n)
		}
		names[e.ID] = k
	}
	var out []entry
	for _, e := range r.Entries() {
		if err := checkDDL(e); err != nil {
			t.Errorf("%s: %v: %s", names[e.ID], err, e.Create)
		}
		x := entry{
			Key: names[e.ID], Kind: e.Kind, Section: e.Section, HasData: e.HasData, Class: e.Class, OID: e.OID,
			Create: e.Create, Drop: e.Drop, Copy: e.Copy,
			Tablespace: deref(e.Tablespace), AccessMethod: deref(e.AccessMethod), Relkind: e.Relkind, Owner: e.Owner,
		}
		for _, a := range e.After {
			if n := names[a]; n != "" && !slices.Contains(x.After, n) { // pg_dump repeats some and names absent ones
				x.After = append(x.After, n)
			}
		}
		slices.Sort(x.After)
		out = append(out, x)
	}
	return out
}

// compareWithPgDump dumps a database with pghaul and with pg_dump 18 and
// reports every entry in which they differ, and any difference in order.
func compareWithPgDump(t *testing.T, s *pgtest.Server, db string, opts dump.Options, args ...string) {
	t.Helper()
	compareConfig(t, s.Config(t, db), s.DSN(db), opts, args...)
}

// compareConfig compares the database that both source and dsn name, and
// returns how many entries pg_dump wrote.
func compareConfig(t *testing.T, source *pgx.ConnConfig, dsn string, opts dump.Options, args ...string) int {
	t.Helper()
	dir := pgtest.TempDir(t)
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	opts.Dir, opts.NoSync = ours, true
	report, err := dump.Run(t.Context(), source, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range report.Skipped {
		t.Errorf("skipped %s %s: %s", x.Kind, x.Name, x.Reason)
	}
	pgtest.Oracle(t).Dump(t, append([]string{"-Fd", "-f", theirs, "-d", dsn}, args...)...)
	got, want := comparable(t, ours), comparable(t, theirs)
	index := func(list []entry) map[string]entry {
		m := map[string]entry{}
		for _, e := range list {
			m[e.Key] = e
		}
		return m
	}
	g, w := index(got), index(want)
	compared.add(len(want))
	kinds := map[string]int{} // of the entries that differ
	for _, e := range want {
		if _, ok := g[e.Key]; !ok {
			compared.differs(e.Kind)
			t.Errorf("missing: %s\n%s", e.Key, e.Create)
			kinds[e.Kind]++
		} else if d := cmp.Diff(e, g[e.Key]); d != "" {
			compared.differs(e.Kind)
			t.Errorf("%s differs (-pg_dump +pghaul):\n%s", e.Key, d)
			kinds[e.Kind]++
		}
	}
	var order, ourOrder []string
	for _, e := range want {
		if _, ok := g[e.Key]; ok {
			order = append(order, e.Key)
		}
	}
	for _, e := range got {
		if _, ok := w[e.Key]; !ok {
			compared.differs(e.Kind)
			t.Errorf("pg_dump has no such entry: %s\n%s", e.Key, e.Create)
			kinds[e.Kind]++
		} else {
			ourOrder = append(ourOrder, e.Key)
		}
	}
	if d := cmp.Diff(order, ourOrder); d != "" {
		t.Errorf("order differs (-pg_dump +pghaul):\n%s", d)
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%d entries of kind %s differ", kinds[kind], kind)
	}
	return len(want)
}

// TestEntriesOfDSN compares any database, which PGHAUL_ORACLE_DSN names as a
// URL or in key=value form. Nothing may write to it meanwhile.
func TestEntriesOfDSN(t *testing.T) {
	dsn := os.Getenv("PGHAUL_ORACLE_DSN")
	if dsn == "" {
		t.Skip("PGHAUL_ORACLE_DSN names no database to compare")
	}
	source, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d entries compared", compareConfig(t, source, dsn, dump.Options{}))
}

// TestEntriesEqualPgDump compares entry by entry for every file of
// testdata/*.sql. A line "--@since N" in a file leaves what follows it to
// servers of that major and later, up to the next such line; at the end of a
// line it is about that line.
func TestEntriesEqualPgDump(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input: %v", err)
	}
	pgtest.EachSource(t, func(t *testing.T, s *pgtest.Server) {
		for _, f := range files {
			t.Run(strings.TrimSuffix(filepath.Base(f), ".sql"), func(t *testing.T) {
				db := s.Database(t)
				loadSince(t, s, db, f)
				compareWithPgDump(t, s, db, dump.Options{})
			})
		}
	})
}

func loadSince(t *testing.T, s *pgtest.Server, db, file string) {
	t.Helper()
	loadAs(t, s, db, file, s.Major)
}

// loadAs loads what a server of another major could hold, too.
func loadAs(t *testing.T, s *pgtest.Server, db, file string, major int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sql strings.Builder
	take := true
	for line := range strings.Lines(string(text)) {
		statement, condition, found := strings.Cut(line, "--@since ")
		var n int
		if found {
			if _, err := fmt.Sscan(condition, &n); err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
			if statement == "" {
				take = major >= n
				continue
			}
		}
		if take && major >= n {
			sql.WriteString(statement + "\n")
		}
	}
	s.Exec(t, db, sql.String())
}

// TestThirdParty compares the sample databases, where they are at hand.
func TestThirdParty(t *testing.T) {
	for _, name := range []string{"northwind.sql", "chinook.sql"} {
		t.Run(name, func(t *testing.T) {
			file := pgtest.Shared(t, name)
			s := pgtest.Start(t, 18)
			db := s.Database(t)
			s.Load(t, db, file)
			compareWithPgDump(t, s, db, dump.Options{})
		})
	}
}
