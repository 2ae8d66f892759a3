package restore_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// selectable makes a database with something for every option that selects.
func selectable(tb testing.TB, s *pgtest.Server) (db string) {
	tb.Helper()
	sql, err := os.ReadFile("testdata/select.sql")
	if err != nil {
		tb.Fatal(err)
	}
	role := s.Role(tb, "")
	db = subscribed(tb, s)
	s.Exec(tb, db, strings.NewReplacer("the_database", db, "the_role", role).Replace(string(sql)))
	return db
}

// subscribed makes a database that may get a subscription, which keeps it from
// being dropped.
func subscribed(tb testing.TB, s *pgtest.Server) (db string) {
	tb.Helper()
	db = s.Database(tb)
	cfg := s.Config(tb, db)
	tb.Cleanup(func() {
		conn, err := pgx.ConnectConfig(context.Background(), cfg)
		if err != nil {
			tb.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), "DROP SUBSCRIPTION IF EXISTS sub"); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// selections are options with pg_restore's flags for the same.
var selections = map[string]struct {
	opts  restore.Options
	flags []string
}{
	"nothing":           {restore.Options{}, nil},
	"schema":            {restore.Options{Schemas: []string{"one"}}, []string{"-n", "one"}},
	"schemas":           {restore.Options{Schemas: []string{"one", "two"}}, []string{"-n", "one", "-n", "two"}},
	"exclude schema":    {restore.Options{ExcludeSchemas: []string{"one"}}, []string{"-N", "one"}},
	"table":             {restore.Options{Tables: []string{"a"}}, []string{"-t", "a"}},
	"table of schema":   {restore.Options{Tables: []string{"a"}, Schemas: []string{"two"}}, []string{"-t", "a", "-n", "two"}},
	"no pattern":        {restore.Options{Tables: []string{"a*", "A"}}, []string{"-t", "a*", "-t", "A"}},
	"view and sequence": {restore.Options{Tables: []string{"v", "m", "a_id_seq", "f"}}, []string{"-t", "v", "-t", "m", "-t", "a_id_seq", "-t", "f"}},
	"index":             {restore.Options{Indexes: []string{"a_v"}}, []string{"-I", "a_v"}},
	"function":          {restore.Options{Functions: []string{"double(integer)", "sum2(integer)", "act(integer)"}}, []string{"-P", "double(integer)", "-P", "sum2(integer)", "-P", "act(integer)"}},
	"trigger":           {restore.Options{Triggers: []string{"a touched"}}, []string{"-T", "a touched"}},
	"mixed":             {restore.Options{Tables: []string{"b"}, Indexes: []string{"a_v"}, ExcludeSchemas: []string{"two"}}, []string{"-t", "b", "-I", "a_v", "-N", "two"}},
	"no privileges":     {restore.Options{NoPrivileges: true}, []string{"-x"}},
	"no comments":       {restore.Options{NoComments: true}, []string{"--no-comments"}},
	"no policies":       {restore.Options{NoPolicies: true}, []string{"--no-policies"}},
	"no publications":   {restore.Options{NoPublications: true}, []string{"--no-publications"}},
	"no subscriptions":  {restore.Options{NoSubscriptions: true}, []string{"--no-subscriptions"}},
	"no labels":         {restore.Options{NoSecurityLabels: true}, []string{"--no-security-labels"}},
	"schema only":       {restore.Options{SchemaOnly: true}, []string{"-s"}},
	"data only":         {restore.Options{DataOnly: true}, []string{"-a"}},
	"statistics only":   {restore.Options{StatisticsOnly: true}, []string{"--statistics-only"}},
	"no schema":         {restore.Options{NoSchema: true}, []string{"--no-schema"}},
	"no data":           {restore.Options{NoData: true}, []string{"--no-data"}},
	"no statistics":     {restore.Options{NoStatistics: true}, []string{"--no-statistics"}},
	"neither":           {restore.Options{NoData: true, NoSchema: true}, []string{"--no-data", "--no-schema"}},
	"create":            {restore.Options{Create: true}, []string{"-C"}},
	"create schema":     {restore.Options{Create: true, Schemas: []string{"one"}}, []string{"-C", "-n", "one"}},
	"pre-data":          {restore.Options{Sections: []archive.Section{archive.SectionPreData}}, []string{"--section=pre-data"}},
	"data":              {restore.Options{Sections: []archive.Section{archive.SectionData}}, []string{"--section=data"}},
	"post-data":         {restore.Options{Sections: []archive.Section{archive.SectionPostData}, NoComments: true}, []string{"--section=post-data", "--no-comments"}},
}

// list is what pg_restore -l would print of the entries selected.
func list(tb testing.TB, dir string, opts restore.Options) string {
	tb.Helper()
	r, err := archive.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	entries, err := restore.Select(restore.FromArchive(r), opts)
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	if err := archive.WriteEntries(&b, r, entries); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestSelectLikePgRestore(t *testing.T) {
	s := pgtest.Start(t, 18)
	dir := dumpDir(t, s, selectable(t, s), "--statistics")
	for name, tt := range selections {
		t.Run(name, func(t *testing.T) {
			want, exit := pgtest.Oracle(t).Restore(t, append(slices.Clone(tt.flags), "-l", dir)...)
			if exit != 0 {
				t.Fatal(want)
			}
			if d := cmp.Diff(want, list(t, dir, tt.opts)); d != "" {
				t.Errorf("-pg_restore +pghaul:\n%s", d)
			}
		})
	}
}

func TestStrictNames(t *testing.T) {
	s := pgtest.Start(t, 18)
	src := open(t, dumpDir(t, s, selectable(t, s)))
	for want, opts := range map[string]restore.Options{
		`schema "none"`:          {Schemas: []string{"one", "none"}},
		`table "A"`:              {Tables: []string{"a", "A"}},
		`table "c"`:              {Tables: []string{"c"}, Schemas: []string{"one"}}, // it is in another schema
		`index "a_v2"`:           {Indexes: []string{"a_v2"}},
		`function "double(int)"`: {Functions: []string{"double(int)"}},
		`trigger "touched"`:      {Triggers: []string{"touched"}},
	} {
		opts.StrictNames = true
		if _, err := restore.Select(src, opts); err == nil || !strings.Contains(err.Error(), want+" not found") {
			t.Errorf("err = %v, want one about %s", err, want)
		}
		opts.StrictNames = false
		if _, err := restore.Select(src, opts); err != nil {
			t.Error(err)
		}
	}
	if _, err := restore.Select(src, restore.Options{StrictNames: true, Tables: []string{"a"}, ExcludeSchemas: []string{"none"}}); err != nil {
		t.Error(err) // what is left out need not be there
	}
}

// Restored by both, the databases are the same.
func TestSelectedRestores(t *testing.T) {
	s := pgtest.Start(t, 18)
	dir := dumpDir(t, s, selectable(t, s))
	reversed := filepath.Join(pgtest.TempDir(t), "list")
	var lines []string // schemas, tables and their rows, each the last first
	for _, kind := range []string{"ROWS", "TABLE", "SCHEMA"} {
		for line := range strings.Lines(list(t, dir, restore.Options{Schemas: []string{"one"}})) {
			words := strings.Fields(strings.Replace(line, "TABLE DATA", "ROWS", 1))
			if len(words) > 3 && words[0] != ";" && words[3] == kind {
				lines = append([]string{line}, lines...)
			}
		}
	}
	lines = append(lines, "; a comment\n", "99999999999999999999; too big\n", lines[0], "what\n")
	if err := os.WriteFile(reversed, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(reversed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ids, ignored, err := restore.ReadList(f, reversed)
	if err != nil || len(ignored) != 3 {
		t.Errorf("ReadList ignores %q, err %v", ignored, err)
	}
	for name, tt := range map[string]struct {
		opts  restore.Options
		flags []string
	}{
		"schemas and tables": {restore.Options{Tables: []string{"a", "c"}}, []string{"-t", "a", "-t", "c"}},
		"exclude":            {restore.Options{ExcludeSchemas: []string{"two"}, NoPolicies: true, NoPublications: true}, []string{"-N", "two", "--no-policies", "--no-publications"}},
		"list":               {restore.Options{List: ids}, []string{"-L", reversed}},
		"no owner":           {restore.Options{NoOwner: true, NoTablespaces: true, NoTableAccessMethod: true}, []string{"-O", "--no-tablespaces", "--no-table-access-method"}},
		"no data":            {restore.Options{NoData: true, NoSubscriptions: true}, []string{"--no-data", "--no-subscriptions"}},
		"transaction":        {restore.Options{SingleTransaction: true}, []string{"-1"}},
		"transactions":       {restore.Options{TransactionSize: 3}, []string{"--transaction-size=3"}},
	} {
		t.Run(name, func(t *testing.T) {
			want, got := subscribed(t, s), subscribed(t, s)
			for _, db := range []string{want, got} {
				if strings.HasPrefix(name, "schemas") || name == "list" {
					s.Exec(t, db, "CREATE SCHEMA one; CREATE SCHEMA two; CREATE SEQUENCE one.a_id_seq; CREATE FUNCTION one.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'")
				}
			}
			out, _ := pgtest.Oracle(t).Restore(t, append(slices.Clone(tt.flags), "-d", s.DSN(want), dir)...)
			t.Log(out)
			report, err := restore.Run(t.Context(), s.Config(t, got), open(t, dir), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(failures(report))
			same(t, s, want, got)
		})
	}
}
