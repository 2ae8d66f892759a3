package replicate

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
)

func TestStart(t *testing.T) {
	for _, major := range pgtest.Sources(t) {
		t.Run("pg"+strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			e := newEnds(t, major, 18)
			ctx := t.Context()
			e.source.Exec(t, e.sourceDB, `CREATE SCHEMA "S x"; CREATE TABLE "S x"."T y" (a int, "B b" numeric(5,2), PRIMARY KEY ("B b", a));
CREATE TABLE log (line text); CREATE TABLE wide (a int, j json); ALTER TABLE wide REPLICA IDENTITY FULL;
CREATE TABLE uniq (a int NOT NULL, b text); CREATE UNIQUE INDEX uniq_a ON uniq (a); ALTER TABLE uniq REPLICA IDENTITY USING INDEX uniq_a;
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
CREATE TABLE parent (a int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (a)) INHERITS (parent);
INSERT INTO log VALUES ('before')`)
			o := e.options(t, "S x.T y", "wide", "uniq", "part", "parent")
			o.Tables = append(o.Tables, Table{Schema: "public", Name: "log", InsertsOnly: true, TargetSchema: "other"})

			for name, want := range map[string]string{"nowhere": "no table public.nowhere", "log": "no replica identity"} {
				bad := e.options(t, name)
				if f, err := Start(ctx, bad); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, %v", name, f, err)
				}
			}

			f, err := Start(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Stage != Copying || f.Consistent == 0 || f.Applied != f.Consistent || f.SourceDatabase != e.sourceDB {
				t.Errorf("%+v", f.Record)
			}
			// A row that comes after the slot is not in the snapshot.
			e.source.Exec(t, e.sourceDB, "INSERT INTO log VALUES ('after')")
			conn, err := pg.Connect(ctx, o.Source, pg.ReadData, pg.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer pg.Close(conn)
			if err := pg.Import(ctx, conn.PgConn(), f.Snapshot); err != nil {
				t.Fatal(err)
			}
			var n int
			if err := conn.QueryRow(ctx, "SELECT count(*) FROM public.log").Scan(&n); err != nil || n != 1 {
				t.Errorf("%d rows, %v", n, err)
			}
			if err := f.Alive(ctx); err != nil {
				t.Error(err)
			}

			got := map[string]string{}
			for i := range f.Tables {
				var columns []string
				for _, c := range f.Tables[i].Columns {
					text := c.Name + " " + c.Type
					if c.Key {
						text += " key"
					}
					columns = append(columns, text)
				}
				got[f.Tables[i].String()] = string(f.Tables[i].Identity) + ": " + strings.Join(columns, ", ") + ": " + f.Tables[i].Target()
			}
			want := map[string]string{
				`"S x"."T y"`: `d: a integer key, B b numeric(5,2) key: "S x"."T y"`, "public.wide": "f: a integer key, j json key: public.wide",
				"public.uniq": "i: a integer key, b text: public.uniq", "public.log": "d: line text: other.log", "public.parent": "d: a integer key: public.parent",
				"public.part_1": "d: id integer key: public.part_1", "public.part_2": "d: id integer key: public.part_2",
			}
			published := []string{"S x.T y", "public.parent", "public.part_1", "public.part_2", "public.uniq", "public.wide"}
			if major >= 13 {
				want["public.part"] = "d: id integer key: public.part"
			}
			for name, text := range want {
				if got[name] != text {
					t.Errorf("%s is %q, not %q", name, got[name], text)
				}
			}
			if len(got) != len(want) {
				t.Errorf("tables %v", got)
			}
			text := e.source.Text(t, e.sourceDB, "SELECT string_agg(schemaname || '.' || tablename, ',' ORDER BY schemaname::text COLLATE \"C\", tablename::text COLLATE \"C\") FROM pg_publication_tables WHERE pubname = '"+f.Publication+"'")
			if text != strings.Join(published, ",") {
				t.Errorf("published is %s", text)
			}
			if text := e.source.Text(t, e.sourceDB, "SELECT string_agg(tablename, ',') FROM pg_publication_tables WHERE pubname = '"+f.InsertPublication+"'"); text != "log" {
				t.Errorf("published are inserts of %s", text)
			}

			again := o
			if _, err := Start(ctx, again); err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("the same follow a second time: %v", err)
			}
			target := e.target.Conn(t, e.targetDB)
			if r, err := readRecord(ctx, target, f.ID); err != nil || r.Stage != Copying || r.Consistent != f.Consistent || r.Applied != f.Consistent || !slices.Equal(tableNames(r.Tables), tableNames(f.Tables)) {
				t.Errorf("%+v, %v", r, err)
			}
			if err := f.CopyDone(ctx); err != nil {
				t.Fatal(err)
			}
			if err := f.Alive(ctx); !errors.Is(err, errNoSnapshot) {
				t.Errorf("the snapshot after the copy: %v", err)
			}
			source := e.source.Conn(t, e.sourceDB)
			for range 2 {
				if err := f.undo(ctx, source, target); err != nil {
					t.Fatal(err)
				}
			}
			if left := e.source.Text(t, e.sourceDB, "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()) + (SELECT count(*) FROM pg_publication)"); left != "0" {
				t.Errorf("%s objects are left on the source", left)
			}
			if left := e.target.Text(t, e.targetDB, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul_follow'"); left != "0" {
				t.Error("the state is left on the target")
			}
		})
	}
}

func tableNames(list []Table) []string {
	var names []string
	for i := range list {
		names = append(names, list[i].String())
	}
	return names
}

func TestViaRoot(t *testing.T) {
	majors := pgtest.Versions(t)
	major := majors[len(majors)-1]
	e := newEnds(t, major, major)
	e.source.Exec(t, e.sourceDB, `CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id);
CREATE TABLE part_11 PARTITION OF part_1 DEFAULT`)
	o := e.options(t, "part_11", "part", "part_1")
	o.ViaRoot = true
	f, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if names := tableNames(f.Tables); !slices.Equal(names, []string{"public.part"}) {
		t.Errorf("tables %v", names)
	}
	if text := e.source.Text(t, e.sourceDB, "SELECT string_agg(tablename, ',') FROM pg_publication_tables"); text != "part" {
		t.Errorf("published is %s", text)
	}
}
