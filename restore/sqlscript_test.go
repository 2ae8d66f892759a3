package restore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// statements is a script without comments, blank lines, the restrict key and
// the one setting that servers before 17 do not have.
func statements(script string) string {
	var kept strings.Builder
	for line := range strings.Lines(script) {
		bare := strings.TrimRight(line, "\n")
		if bare == "" || strings.HasPrefix(bare, "--") || strings.HasPrefix(bare, `\restrict `) || strings.HasPrefix(bare, `\unrestrict `) ||
			bare == "SET transaction_timeout = 0;" {
			continue
		}
		kept.WriteString(line)
	}
	return kept.String()
}

func script(tb testing.TB, src restore.Source, opts restore.Options) string {
	tb.Helper()
	var b bytes.Buffer
	if err := restore.WriteScript(tb.Context(), &b, src, opts, "key"); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// Scripts are statement by statement those of pg_restore.
func TestScriptLikePgRestore(t *testing.T) {
	s := pgtest.Start(t, 18)
	dir := dumpDir(t, s, selectable(t, s))
	src := open(t, dir)
	for name, tt := range map[string]struct {
		opts  restore.Options
		flags []string
	}{
		"all":              {restore.Options{}, nil},
		"clean":            {restore.Options{Clean: true}, []string{"-c"}},
		"clean if exists":  {restore.Options{Clean: true, IfExists: true}, []string{"-c", "--if-exists"}},
		"create":           {restore.Options{Create: true}, []string{"-C"}},
		"create clean":     {restore.Options{Create: true, Clean: true, IfExists: true}, []string{"-C", "-c", "--if-exists"}},
		"transaction":      {restore.Options{SingleTransaction: true}, []string{"-1"}},
		"no owner":         {restore.Options{NoOwner: true, NoPrivileges: true, NoTablespaces: true}, []string{"-O", "-x", "--no-tablespaces"}},
		"no access method": {restore.Options{NoTableAccessMethod: true, RowSecurity: true}, []string{"--no-table-access-method", "--enable-row-security"}},
		"selected":         {restore.Options{Tables: []string{"a", "v"}, Functions: []string{"double(integer)"}}, []string{"-t", "a", "-t", "v", "-P", "double(integer)"}},
		"data":             {restore.Options{DataOnly: true}, []string{"-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			want, exit := pgtest.Oracle(t).Restore(t, append(slices.Clone(tt.flags), "-f", "-", dir)...)
			if exit != 0 {
				t.Fatal(want)
			}
			if d := cmp.Diff(statements(want), statements(script(t, src, tt.opts))); d != "" {
				t.Errorf("-pg_restore +pghaul:\n%s", d)
			}
		})
	}
}

// A script that is loaded brings what a restore brings, triggers off or not.
func TestScriptLoads(t *testing.T) {
	s := pgtest.Start(t, 18)
	from := kinds(t, s)
	src := open(t, dumpDir(t, s, from))
	to := s.Database(t)
	opts := restore.Options{SchemaOnly: true, TransactionSize: 10}
	for _, opts := range []restore.Options{opts, {DataOnly: true, DisableTriggers: true, Superuser: s.Superuser}} {
		file := filepath.Join(pgtest.TempDir(t), "script.sql")
		if err := os.WriteFile(file, []byte(script(t, src, opts)), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, stderr, exit := pgtest.Oracle(t).Run(t, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull, "-f", file, s.DSN(to)); exit != 0 {
			t.Fatalf("psql exits with %d:\n%s", exit, stderr)
		}
	}
	s.Exec(t, to, "REFRESH MATERIALIZED VIEW app.mat; REFRESH MATERIALIZED VIEW app.mat2")
	s.Exec(t, to, "ALTER TABLE app.child DISABLE TRIGGER touch") // which ENABLE TRIGGER ALL enabled
	same(t, s, from, to)
}

// The script of a live database is pg_dump's.
func TestScriptLikePgDump(t *testing.T) {
	s := pgtest.Start(t, 18)
	files, err := filepath.Glob("../dump/testdata/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			db := subscribed(t, s)
			s.Exec(t, db, string(text))
			for _, tt := range []struct {
				opts  restore.Options
				flags []string
			}{
				{restore.Options{}, nil},
				{restore.Options{Clean: true, IfExists: true, Create: true}, []string{"-c", "--if-exists", "-C"}},
				{restore.Options{Clean: true, NoTablespaces: true, NoTableAccessMethod: true}, []string{"-c", "--no-tablespaces", "--no-table-access-method"}},
			} {
				var o dump.Options
				o.Select.SchemaOnly = true
				l, err := dump.Open(t.Context(), s.Config(t, db), o)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				want := pgtest.Oracle(t).Dump(t, append(slices.Clone(tt.flags), "-s", "-d", s.DSN(db))...)
				if d := cmp.Diff(statements(want), statements(script(t, l, tt.opts))); d != "" {
					t.Errorf("%q: -pg_dump +pghaul:\n%s", tt.flags, d)
				}
			}
		})
	}
}

// Names with line breaks stay in their comments, and in psql's connect command
// there are none.
func TestScriptNames(t *testing.T) {
	evil := "x\n\\! touch /tmp/owned\r\n; DROP TABLE t"
	table := pre(1, "TABLE", evil)
	table.Namespace, table.Owner, table.Create = evil, evil, "SELECT 1;\n"
	table.Drop = ""
	path := archive.Entry{ID: 3, Kind: "SEARCHPATH", Tag: "SEARCHPATH", Section: archive.SectionPreData, Create: "SELECT 3;\n"}
	database := archive.Entry{ID: 2, Kind: "DATABASE", Tag: evil, Section: archive.SectionPreData, Create: "SELECT 2;\n"}
	text := script(t, entries{path, table}, restore.Options{})
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, `\!`) || strings.HasPrefix(line, "; DROP") {
			t.Errorf("the name leaves its comment: %q", line)
		}
	}
	var b bytes.Buffer
	if err := restore.WriteScript(t.Context(), &b, entries{database}, restore.Options{Create: true}, "key"); err == nil || b.Len() > 0 {
		t.Errorf("err = %v; want the name refused before anything is written, not\n%s", err, b.String())
	}
	database.Tag = `a "b' \c=d`
	if want := `\connect -reuse-previous=on "dbname='a ""b\' \\c=d'"` + "\n"; !strings.Contains(script(t, entries{database}, restore.Options{Create: true}), want) {
		t.Errorf("no %s", want)
	}
}
