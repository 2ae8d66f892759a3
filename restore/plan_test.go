package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/golden"
	"github.com/pghaul/pghaul/restore"
)

// entries is a Source made by hand. Each data entry has parts of 100, 99, ...
// rows, as many as its File says.
type entries []archive.Entry

func (s entries) Header() archive.Header      { return archive.Header{Version: archive.CurrentVersion} }
func (s entries) Entries() []archive.Entry    { return s }
func (s entries) Manifest() *archive.Manifest { return nil }

func (s entries) Parts(e *archive.Entry) ([]archive.Part, error) {
	parts := []archive.Part{{Rows: -1, Bytes: int64(10 * e.ID)}}
	for n := 1; n < len(e.File); n++ {
		parts = append(parts, archive.Part{Number: n, First: n, Frames: 1, Rows: int64(n), Bytes: int64(n)})
	}
	return parts, nil
}

var errNoData = errors.New("there is no data")

func (s entries) Data(context.Context, *archive.Entry, archive.Part) (copyproto.Source, error) {
	return nil, errNoData
}

func (s entries) LargeObjects(*archive.Entry) ([]archive.LargeObject, error) { return nil, errNoData }

func (s entries) OpenLargeObject(context.Context, archive.LargeObject) (io.ReadCloser, error) {
	return nil, errNoData
}

func pre(id int, kind, tag string, after ...int) archive.Entry {
	return archive.Entry{
		ID: id, Kind: kind, Tag: tag, Namespace: "s", Owner: "o", Section: archive.SectionPreData, After: after,
		Create: "CREATE " + kind + " s." + tag + ";\n", Drop: "DROP " + kind + " s." + tag + ";\n",
	}
}

func post(id int, kind, tag string, after ...int) archive.Entry {
	e := pre(id, kind, tag, after...)
	e.Section, e.Owner = archive.SectionPostData, ""
	switch {
	case kind == "INDEX ATTACH":
		e.Drop = ""
	case strings.HasSuffix(kind, "CONSTRAINT"):
		e.Drop = "ALTER TABLE ONLY s.t DROP CONSTRAINT " + tag + ";\n"
	}
	return e
}

func rows(id int, table string, tableID int) archive.Entry {
	return archive.Entry{
		ID: id, Kind: "TABLE DATA", Tag: table, Namespace: "s", Owner: "o", Section: archive.SectionData, After: []int{tableID},
		HasData: true, Copy: "COPY s." + table + " (a) FROM stdin;\n", File: "x",
	}
}

func satelliteOf(id int, kind, tag string, after ...int) archive.Entry {
	return archive.Entry{ID: id, Kind: kind, Tag: tag, Namespace: "s", Section: archive.SectionNone, After: after, Create: kind + " " + tag + ";\n"}
}

// world is a bit of everything a plan has to order.
func world() entries {
	tablespace, other, heap := "", "fast disk", "heap"
	columnar := "columnar"
	list := entries{
		{ID: 1, Kind: "ENCODING", Tag: "ENCODING", Section: archive.SectionPreData, Create: "SET client_encoding = 'LATIN1';\n"},
		{ID: 2, Kind: "STDSTRINGS", Tag: "STDSTRINGS", Section: archive.SectionPreData, Create: "SET standard_conforming_strings = 'on';\n"},
		{ID: 3, Kind: "SEARCHPATH", Tag: "SEARCHPATH", Section: archive.SectionPreData, Create: "SELECT pg_catalog.set_config('search_path', '', false);\n"},
		{ID: 4, Kind: "DATABASE", Tag: "db", Section: archive.SectionPreData, Create: "CREATE DATABASE db;\n", Drop: "DROP DATABASE db;\n", Owner: "o"},
		satelliteOf(5, "COMMENT", "DATABASE db", 4),
		pre(10, "SCHEMA", "s"),
		satelliteOf(11, "COMMENT", "SCHEMA s", 10),
		satelliteOf(12, "ACL", "SCHEMA s", 10),
		pre(20, "TABLE", "t", 10),
		pre(21, "TABLE", "u", 10),
		pre(30, "TABLE", "root", 10),
		pre(31, "TABLE", "leaf", 10),
		{ID: 32, Kind: "TABLE ATTACH", Tag: "leaf", Namespace: "s", Owner: "o", Section: archive.SectionPreData, After: []int{31, 30}, Create: "ALTER TABLE ONLY s.root ATTACH PARTITION s.leaf DEFAULT;\n"},
		pre(33, "FUNCTION", "f(integer)", 10),
		pre(34, "MATERIALIZED VIEW", "m", 20),
		rows(40, "t", 20),
		rows(41, "u", 21),
		rows(42, "leaf", 31),
		{ID: 43, Kind: "SEQUENCE SET", Tag: "q", Namespace: "s", Owner: "o", Section: archive.SectionData, Create: "SELECT setval('s.q', 1);\n"},
		{ID: 44, Kind: "SEQUENCE SET", Tag: "q2", Namespace: "s", Owner: "o", Section: archive.SectionData, Create: "SELECT setval('s.q2', 1);\n"},
		{ID: 45, Kind: "BLOB METADATA", Tag: "7..8", Owner: "o", Section: archive.SectionData, Create: "7\n8\n", Drop: "-- dummy"},
		{ID: 46, Kind: "ACL", Tag: "LARGE OBJECTS 7..8", Section: archive.SectionNone, After: []int{45}, Create: "REVOKE ALL ON LARGE OBJECT 7 FROM PUBLIC;\nGRANT ALL ON LARGE OBJECT 7 TO \"a;b\";\n"},
		{ID: 47, Kind: "BLOBS", Tag: "7..8", Section: archive.SectionData, After: []int{45}, HasData: true, File: "blobs_47.toc"},
		post(50, "CONSTRAINT", "t_pk", 20),
		post(51, "INDEX", "t_i", 20, 999),
		satelliteOf(52, "COMMENT", "INDEX t_i", 51),
		post(53, "INDEX", "root_i", 30),
		post(54, "INDEX", "leaf_i", 31),
		post(55, "INDEX ATTACH", "leaf_i", 54, 53),
		post(56, "EVENT TRIGGER", "e"),
		satelliteOf(57, "COMMENT", "EVENT TRIGGER e", 56),
		post(58, "FK CONSTRAINT", "u_fk", 21, 20, 50),
		post(59, "TRIGGER", "root trig", 30),
		{ID: 60, Kind: "MATERIALIZED VIEW DATA", Tag: "m", Namespace: "s", Section: archive.SectionPostData, After: []int{34}, Create: "REFRESH MATERIALIZED VIEW s.m;\n"},
		{ID: 61, Kind: "DEFAULT ACL", Tag: "DEFAULT PRIVILEGES FOR TABLES", Namespace: "s", Owner: "o", Section: archive.SectionPostData, Create: "ALTER DEFAULT PRIVILEGES;\n"},
	}
	for i := range list {
		switch e := &list[i]; e.ID {
		case 20:
			e.Tablespace, e.AccessMethod, e.Relkind = &tablespace, &heap, 'r'
		case 21:
			e.Tablespace, e.AccessMethod, e.Relkind = &other, &columnar, 'r'
		case 30:
			e.Tablespace, e.AccessMethod, e.Relkind = &tablespace, &columnar, 'p'
		case 33:
			e.Create = "CREATE FUNCTION s.f(integer) RETURNS integer\n    LANGUAGE sql\n    AS 'select 1; select 2';\n"
			e.Drop = "DROP FUNCTION s.f(integer);\n"
		case 41:
			e.File = "xxx" // three parts
		}
	}
	return list
}

func plan(tb testing.TB, src entries, opts restore.Options) *restore.Plan {
	tb.Helper()
	p, err := restore.NewPlan(src, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestPlanScript(t *testing.T) {
	for name, opts := range map[string]restore.Options{
		"all":      {},
		"clean":    {Clean: true, IfExists: true},
		"noowner":  {NoOwner: true, NoPrivileges: true, NoComments: true},
		"dataonly": {DataOnly: true},
		"schema":   {SchemaOnly: true},
		"postdata": {Sections: []archive.Section{archive.SectionPostData}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			n, err := plan(t, world(), opts).WriteTo(&b)
			if err != nil || n != int64(b.Len()) {
				t.Errorf("WriteTo = %d, %v, wrote %d", n, err, b.Len())
			}
			golden.Check(t, "plan_"+name+".sql", b.String())
		})
	}
}

// edges are the steps of a plan that run in parallel with what each waits for.
func edges(p *restore.Plan) []string {
	name := func(i int) string { return fmt.Sprint(p.Steps[i].Entry.ID) }
	var list []string
	for i, s := range p.Steps {
		if s.Stage != restore.StageData && s.Stage != restore.StagePostData && s.Stage != restore.StageRefresh {
			continue
		}
		line := fmt.Sprintf("%s %s %s:", s.Stage, name(i), s.Entry.Kind)
		for _, j := range s.After {
			line += " " + name(j)
		}
		if len(s.Locks) > 0 {
			line += fmt.Sprintf(" locks %v", s.Locks)
		}
		if len(s.Shares) > 0 {
			line += fmt.Sprintf(" shares %v", s.Shares)
		}
		list = append(list, line)
	}
	return list
}

func TestPlanEdges(t *testing.T) {
	want := []string{
		"data 40 TABLE DATA:",
		"data 41 TABLE DATA:", "data 41 TABLE DATA:", "data 41 TABLE DATA:",
		"data 42 TABLE DATA:",
		"data 43 SEQUENCE SET:", "data 44 SEQUENCE SET:",
		"data 45 BLOB METADATA:",
		"data 47 BLOBS: 45",
		"post-data 50 CONSTRAINT: 40 locks [20]",
		"post-data 51 INDEX: 40 shares [20]",
		"post-data 52 COMMENT: 51",
		"post-data 53 INDEX: 42 shares [30]", // a partitioned table's data is its partitions'
		"post-data 54 INDEX: 42 shares [31 30]",
		"post-data 55 INDEX ATTACH: 53 54",
		"post-data 58 FK CONSTRAINT: 40 41 41 41 50 locks [21 20]",
		"post-data 59 TRIGGER: 42 locks [30]",
		"refresh 60 MATERIALIZED VIEW DATA:",
		"refresh 56 EVENT TRIGGER: 60",
		"refresh 57 COMMENT: 60 56",
	}
	p := plan(t, world(), restore.Options{})
	if d := cmp.Diff(want, edges(p)); d != "" {
		t.Errorf("edges (-want +got):\n%s", d)
	}
	for i, s := range p.Steps {
		if slices.ContainsFunc(s.After, func(j int) bool { return j >= i }) {
			t.Errorf("step %d waits for a later one: %v", i, s.After)
		}
	}
}

// A trigger switched off on a partition two levels down names the copy on the
// level between as its dependency, which is no entry, so that nothing in the
// archive says that it comes after the trigger itself.
func TestPlanTriggersOfPartitions(t *testing.T) {
	attach := func(id int, tag string, child, parent int) archive.Entry {
		return archive.Entry{ID: id, Kind: "TABLE ATTACH", Tag: tag, Namespace: "s", Section: archive.SectionPreData, After: []int{child, parent}, Create: "ALTER TABLE ...;\n"}
	}
	src := entries{
		pre(30, "TABLE", "root"), pre(31, "TABLE", "middle"), pre(32, "TABLE", "leaf"), pre(33, "TABLE", "other"),
		attach(34, "middle", 31, 30), attach(35, "leaf", 32, 31),
		post(50, "TRIGGER", "other trig", 33),
		post(51, "TRIGGER", "root trig", 30),
		post(52, "TRIGGER", "leaf trig", 32, 998),
	}
	want := []string{
		"post-data 50 TRIGGER: locks [33]",
		"post-data 51 TRIGGER: locks [30]",
		"post-data 52 TRIGGER: 51 locks [32] shares [31 30]",
	}
	if d := cmp.Diff(want, edges(plan(t, src, restore.Options{}))); d != "" {
		t.Errorf("edges (-want +got):\n%s", d)
	}
}

// Rows that are loaded through a partition tree's root may be anywhere in it.
func TestPlanViaRoot(t *testing.T) {
	attach := func(id int, child, parent archive.Entry) archive.Entry {
		return archive.Entry{ID: id, Kind: "TABLE ATTACH", Tag: child.Tag, Namespace: "s", Section: archive.SectionPreData, After: []int{parent.ID, child.ID}, Create: "x"}
	}
	root, mid, a, b := pre(1, "TABLE", "root"), pre(2, "TABLE", "mid"), pre(3, "TABLE", "a"), pre(4, "TABLE", "b")
	dataA, dataB := rows(10, "a", 3), rows(11, "b", 4)
	dataA.Create = "-- load via partition root s.root\n"
	p := plan(t, entries{
		root, mid, a, b, attach(5, mid, root), attach(6, a, mid), attach(7, b, root), dataA, dataB,
		post(20, "INDEX", "b_i", 4), post(21, "INDEX", "mid_i", 2), post(22, "CONSTRAINT", "root_c", 1),
	}, restore.Options{})
	want := []string{
		"data 10 TABLE DATA:", "data 11 TABLE DATA:",
		"post-data 20 INDEX: 10 11 shares [4 1]",
		"post-data 21 INDEX: 10 shares [2 1]",
		"post-data 22 CONSTRAINT: 10 11 locks [1]",
	}
	if d := cmp.Diff(want, edges(p)); d != "" {
		t.Errorf("edges (-want +got):\n%s", d)
	}
	for _, s := range p.Steps {
		if s.Entry.ID == 10 && s.Truncate != "" {
			t.Error("a load through the root would empty what other loads brought")
		}
		if s.Entry.ID == 11 && s.Truncate == "" {
			t.Error("the other load is not set to empty its table")
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		src  entries
		opts restore.Options
		want string
	}{
		"both halves":         {nil, restore.Options{SchemaOnly: true, DataOnly: true}, "exclude each other"},
		"clean data":          {nil, restore.Options{Clean: true, DataOnly: true}, "data only"},
		"if-exists alone":     {nil, restore.Options{IfExists: true}, "needs clean"},
		"negative jobs":       {nil, restore.Options{Jobs: -1}, "jobs"},
		"one ID twice":        {entries{pre(1, "TABLE", "a"), pre(1, "TABLE", "b")}, restore.Options{}, "dump ID 1"},
		"no encoding":         {entries{{ID: 1, Kind: "ENCODING", Create: "SET"}}, restore.Options{}, "encoding"},
		"large object's name": {entries{{ID: 1, Kind: "BLOB METADATA", Create: "1); DROP TABLE t"}}, restore.Options{}, "large object"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := restore.NewPlan(tt.src, tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one about %q", err, tt.want)
			}
		})
	}
}
