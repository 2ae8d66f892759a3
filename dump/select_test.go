package dump_test

import (
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

const selectInput = `
CREATE SCHEMA one; CREATE SCHEMA "Two"; CREATE SCHEMA three;
CREATE TYPE one.e AS ENUM ('a');
CREATE TABLE one.t (id serial PRIMARY KEY, e one.e DEFAULT 'a', g int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE "Two"."T" (id int PRIMARY KEY, r int REFERENCES one.t);
CREATE VIEW three.v AS SELECT * FROM one.t;
CREATE MATERIALIZED VIEW three.mv AS SELECT * FROM one.t;
CREATE SEQUENCE three.s;
CREATE TABLE plain (a int); CREATE TABLE plain_2 (a int); COMMENT ON TABLE plain IS 'p'; GRANT SELECT ON plain TO pg_monitor;
CREATE TABLE part (k int) PARTITION BY LIST (k); CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE EXTENSION hstore SCHEMA three; CREATE TABLE uses_ext (h three.hstore);
CREATE FUNCTION plain_fn() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT lo_from_bytea(500, 'x');
INSERT INTO one.t SELECT FROM generate_series(1, 500); CREATE INDEX ON one.t ((id % 7)); ANALYZE;
`

// TestSelectionEqualsPgDump compares what each selection takes and leaves.
func TestSelectionEqualsPgDump(t *testing.T) {
	s := pgtest.Start(t, 18)
	db := s.Database(t)
	s.Exec(t, db, selectInput)
	for _, tt := range []struct {
		name string
		opts dump.Options
		args []string
	}{
		{"a schema", dump.Options{Select: catalog.Selection{Schemas: []string{"one"}}}, []string{"-n", "one"}},
		{"a pattern of schemas", dump.Options{Select: catalog.Selection{Schemas: []string{"t*"}}}, []string{"-n", "t*"}},
		{"a quoted schema", dump.Options{Select: catalog.Selection{Schemas: []string{`"Two"`, "public"}}}, []string{"-n", `"Two"`, "-n", "public"}},
		{"without a schema", dump.Options{Select: catalog.Selection{ExcludeSchemas: []string{"(one|three)"}}}, []string{"-N", "(one|three)"}},
		{"a visible table", dump.Options{Select: catalog.Selection{Tables: []string{"plain"}}}, []string{"-t", "plain"}},
		{"tables everywhere", dump.Options{Select: catalog.Selection{Tables: []string{"*.t", "plain*"}}}, []string{"-t", "*.t", "-t", "plain*"}},
		{"a view, a sequence", dump.Options{Select: catalog.Selection{Tables: []string{"three.?", "three.mv"}}}, []string{"-t", "three.?", "-t", "three.mv"}},
		{"a partition", dump.Options{Select: catalog.Selection{Tables: []string{"part_1"}}}, []string{"-t", "part_1"}},
		{"without a table", dump.Options{Select: catalog.Selection{ExcludeTables: []string{"one.t", `"Two".*`}}}, []string{"-T", "one.t", "-T", `"Two".*`}},
		{"table and large objects", dump.Options{Select: catalog.Selection{Tables: []string{"plain"}, LargeObjects: true}}, []string{"-t", "plain", "-b"}},
		{"no large objects", dump.Options{Select: catalog.Selection{NoLargeObjects: true}}, []string{"-B"}},
		{"an extension", dump.Options{Select: catalog.Selection{Extensions: []string{"hstore"}}}, []string{"-e", "hstore"}},
		{"without an extension", dump.Options{Select: catalog.Selection{ExcludeExtensions: []string{"h*"}}}, []string{"--exclude-extension", "h*"}},
		{"without rows", dump.Options{Select: catalog.Selection{ExcludeTableData: []string{"plain*", "three.mv", "three.s"}}}, []string{"--exclude-table-data", "plain*", "--exclude-table-data", "three.mv", "--exclude-table-data", "three.s"}},
		{"definitions", dump.Options{Select: catalog.Selection{SchemaOnly: true}}, []string{"-s"}},
		{"rows", dump.Options{Select: catalog.Selection{DataOnly: true}}, []string{"-a"}},
		{"with children", dump.Options{Select: catalog.Selection{TablesAndChildren: []string{"part"}}}, []string{"--table-and-children", "part"}},
		{"without children", dump.Options{Select: catalog.Selection{ExcludeTablesAndChildren: []string{"part"}}}, []string{"--exclude-table-and-children", "part"}},
		{"without rows of children", dump.Options{Select: catalog.Selection{ExcludeTableDataAndChildren: []string{"part"}}}, []string{"--exclude-table-data-and-children", "part"}},
		{"positions", dump.Options{Select: catalog.Selection{SchemaOnly: true, SequenceData: true}}, []string{"--no-data", "--sequence-data"}},
		{"via the root", dump.Options{ViaRoot: true}, []string{"--load-via-partition-root"}},
		{"before the rows", dump.Options{Sections: []archive.Section{archive.SectionPreData}}, []string{"--section", "pre-data"}},
		{"rows and after", dump.Options{Sections: []archive.Section{archive.SectionData, archive.SectionPostData}}, []string{"--section", "data", "--section", "post-data"}},
		{"statistics", dump.Options{Select: catalog.Selection{Statistics: true}}, []string{"--statistics"}},
		{"statistics only", dump.Options{Select: catalog.Selection{StatisticsOnly: true}}, []string{"--statistics-only"}},
		{"no privileges, no comments", dump.Options{NoPrivileges: true, NoComments: true}, []string{"-x", "--no-comments"}},
	} {
		t.Run(tt.name, func(t *testing.T) { compareWithPgDump(t, s, db, tt.opts, tt.args...) })
	}
}
