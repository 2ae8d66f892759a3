package pgddl_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgddl"
)

// same parses each text and compares what was read.
func same[T any](t *testing.T, parse func(string) (*T, error), cases map[string]*T) {
	t.Helper()
	for sql, want := range cases {
		got, err := parse(sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", sql, d)
		}
	}
}

// refused wants an ErrShape for each text.
func refused[T any](t *testing.T, parse func(string) (T, error), list ...string) {
	t.Helper()
	for _, sql := range list {
		if got, err := parse(sql); !errors.Is(err, pgddl.ErrShape) {
			t.Errorf("%s: %+v, %v; want ErrShape", sql, got, err)
		}
	}
}

func TestExtension(t *testing.T) {
	same(t, pgddl.ParseExtension, map[string]*pgddl.Extension{
		`CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;`: {Name: "uuid-ossp", Schema: "public", IfNotExists: true},
		"CREATE EXTENSION x": {Name: "x"},
		"CREATE EXTENSION x SCHEMA s VERSION '1.3' CASCADE":   {Name: "x", Schema: "s", Version: "1.3", Cascade: true},
		`CREATE EXTENSION IF NOT EXISTS x WITH VERSION "1.3"`: {Name: "x", Version: "1.3", IfNotExists: true},
	})
	for _, sql := range []string{`CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public`, "CREATE EXTENSION x WITH SCHEMA s VERSION '1' CASCADE", "CREATE EXTENSION x"} {
		if x, err := pgddl.ParseExtension(sql); err != nil || x.String() != sql {
			t.Errorf("%s is written as %v, %v", sql, x, err)
		}
	}
	refused(t, pgddl.ParseExtension, "CREATE EXTENSION", "CREATE EXTENSION x WITH", "CREATE EXTENSION x FROM unpackaged", "CREATE EXTENSION x; SELECT 1")
}

func TestFunction(t *testing.T) {
	same(t, pgddl.ParseFunction, map[string]*pgddl.Function{
		`CREATE FUNCTION app."F"(a integer DEFAULT 1, b text DEFAULT ')'::text) RETURNS TABLE(language text, b numeric(10,2))
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER LEAKPROOF COST 1000 ROWS 5 SUPPORT app.sup PARALLEL SAFE
    SET search_path TO 'app', ''
    SET "a.b" TO '1'
    AS $_$ BEGIN LEAKPROOF $1; END $_$;

ALTER FUNCTION app."F"(a integer, b text) DEPENDS ON EXTENSION x;`: {
			Name: `app."F"`, Args: "a integer DEFAULT 1, b text DEFAULT ')'::text", Returns: "TABLE(language text, b numeric(10,2))",
			Language: "plpgsql", SecurityDefiner: true, Leakproof: true, Settings: []string{"search_path TO 'app', ''", `"a.b" TO '1'`},
			Body: " BEGIN LEAKPROOF $1; END ", More: []string{`ALTER FUNCTION app."F"(a integer, b text) DEPENDS ON EXTENSION x`},
		},
		`CREATE PROCEDURE p() LANGUAGE "SQL" BEGIN ATOMIC INSERT INTO t VALUES (1); END`: {
			Procedure: true, Name: "p", Language: "SQL", Body: "BEGIN ATOMIC INSERT INTO t VALUES (1); END", Standard: true,
		},
		"CREATE FUNCTION f() RETURNS app.language LANGUAGE sql RETURN (1 + 2)": {
			Name: "f", Returns: "app.language", Language: "sql", Body: "RETURN (1 + 2)", Standard: true,
		},
		"CREATE OR REPLACE FUNCTION f(app.set) RETURNS internal LANGUAGE c WINDOW IMMUTABLE AS '$libdir/x', 'f'": {
			Name: "f", Args: "app.set", Returns: "internal", Language: "c", Library: "$libdir/x", Body: "f",
		},
		"CREATE FUNCTION f(hstore) RETURNS hstore LANGUAGE plperl TRANSFORM FOR TYPE public.hstore, FOR TYPE app.set STRICT AS 'x'": {
			Name: "f", Args: "hstore", Returns: "hstore", Language: "plperl", Body: "x",
		},
	})
	refused(t, pgddl.ParseFunction, "", "CREATE FUNCTION f", "CREATE FUNCTION f() RETURNS integer AS 'x' LANGUAGE sql",
		"CREATE FUNCTION f() LANGUAGE sql", "CREATE FUNCTION f() LANGUAGE sql MAYBE AS 'x'", "CREATE FUNCTION f() LANGUAGE sql SET x FROM CURRENT AS 'x'",
		"CREATE FUNCTION f() LANGUAGE sql AS 'x' STRICT", "CREATE FUNCTION f() LANGUAGE sql COST a AS 'x'", "CREATE FUNCTION f() LANGUAGE sql PARALLEL AS 'x'")
}

func TestWithoutLeakproof(t *testing.T) {
	for sql, want := range map[string]string{
		"CREATE FUNCTION leakproof() RETURNS text\n    LANGUAGE sql STABLE LEAKPROOF COST 1\n    AS $$leakproof LEAKPROOF$$;\nALTER x;": "CREATE FUNCTION leakproof() RETURNS text\n    LANGUAGE sql STABLE COST 1\n    AS $$leakproof LEAKPROOF$$;\nALTER x;",
		"CREATE FUNCTION f() RETURNS app.leakproof LANGUAGE sql NOT LEAKPROOF AS ' LEAKPROOF '":                                         "CREATE FUNCTION f() RETURNS app.leakproof LANGUAGE sql NOT LEAKPROOF AS ' LEAKPROOF '",
	} {
		if got, err := pgddl.WithoutLeakproof(sql); err != nil || got != want {
			t.Errorf("%s\ngives %v\n%s", sql, err, got)
		}
	}
	refused(t, pgddl.WithoutLeakproof, "CREATE AGGREGATE a(x) (SFUNC = f)", "")
}

func TestTable(t *testing.T) {
	same(t, pgddl.ParseTable, map[string]*pgddl.Table{
		`CREATE UNLOGGED TABLE app."T" (
    id bigint DEFAULT nextval('app.s'::regclass) CONSTRAINT "not n" NOT NULL,
    "NOT" timestamp(3) with time zone,
    name character varying(10) DEFAULT 'a COLLATE "b"'::character varying NOT NULL COLLATE pg_catalog."C",
    v numeric(10,2)[] GENERATED ALWAYS AS ((f(a, b) COLLATE "x")) STORED,
    generated app.generated,
    CONSTRAINT c CHECK ((id > 0)),
    NOT NULL other
)
INHERITS (app.p, q)
WITH (fillfactor='70', autovacuum_enabled=off);
ALTER TABLE ONLY app."T" ALTER COLUMN id SET STATISTICS 5;
`: {
			Unlogged: true, Name: `app."T"`,
			Columns: []pgddl.Column{
				{Name: "id", Type: "bigint"},
				{Name: "NOT", Type: "timestamp(3) with time zone"},
				{Name: "name", Type: "character varying(10)", Collation: `pg_catalog."C"`},
				{Name: "v", Type: "numeric(10,2)[]"},
				{Name: "generated", Type: "app.generated"},
			},
			Constraints: []string{"CONSTRAINT c CHECK ((id > 0))", "NOT NULL other"},
			Inherits:    []string{"app.p", "q"},
			More:        []string{`ALTER TABLE ONLY app."T" ALTER COLUMN id SET STATISTICS 5`},
		},
		"CREATE TABLE t (\n)\nPARTITION BY RANGE (a COLLATE \"C\", lower(b));": {Name: "t", Partition: `RANGE (a COLLATE "C", lower(b))`},
		"CREATE TABLE t OF app.typ": {Name: "t", OfType: "app.typ"},
		"CREATE TABLE t OF app.typ (\n    a DEFAULT 1,\n    b WITH OPTIONS NOT NULL\n)": {
			Name: "t", OfType: "app.typ", Columns: []pgddl.Column{{Name: "a"}, {Name: "b"}},
		},
		"CREATE FOREIGN TABLE f (\n    a integer\n)\nSERVER \"S\"\nOPTIONS (\n    schema_name 'x',\n    table_name 'y'\n);": {
			Foreign: true, Name: "f", Server: "S", Columns: []pgddl.Column{{Name: "a", Type: "integer"}},
		},
		// As pg_dump 10 makes a partition.
		"CREATE TABLE p1 PARTITION OF p (\n    a WITH OPTIONS NOT NULL\n)\nFOR VALUES FROM (1, MINVALUE) TO (10, MAXVALUE)\nPARTITION BY LIST (b);": {
			Name: "p1", PartitionOf: "p", Bound: "FOR VALUES FROM (1, MINVALUE) TO (10, MAXVALUE)", Partition: "LIST (b)", Columns: []pgddl.Column{{Name: "a"}},
		},
	})
	refused(t, pgddl.ParseTable, "CREATE TABLE t", "CREATE TABLE t AS SELECT 1", "CREATE TEMP TABLE t (a integer)", "CREATE TABLE t (a integer",
		"CREATE TABLE t (LIKE u)", "CREATE FOREIGN TABLE t (a integer)", "CREATE TABLE t (a integer) TABLESPACE x", "CREATE TABLE t (a integer,)")
}

func TestLogged(t *testing.T) {
	for sql, want := range map[string]string{
		"CREATE UNLOGGED TABLE unlogged (\n    unlogged text DEFAULT 'UNLOGGED'\n);\nALTER x;":                                                "CREATE TABLE unlogged (\n    unlogged text DEFAULT 'UNLOGGED'\n);\nALTER x;",
		"CREATE UNLOGGED SEQUENCE s\n    START WITH 1;":                                                                                       "CREATE SEQUENCE s\n    START WITH 1;",
		"ALTER TABLE t ALTER COLUMN c ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME app.unlogged\n    UNLOGGED\n    START WITH 1\n);": "ALTER TABLE t ALTER COLUMN c ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME app.unlogged\n    START WITH 1\n);",
		"ALTER TABLE t ALTER COLUMN c ADD GENERATED BY DEFAULT AS IDENTITY (\n    SEQUENCE NAME unlogged\n    START WITH 1\n);":               "ALTER TABLE t ALTER COLUMN c ADD GENERATED BY DEFAULT AS IDENTITY (\n    SEQUENCE NAME unlogged\n    START WITH 1\n);",
		"CREATE TABLE t (a integer);":                "CREATE TABLE t (a integer);",
		"ALTER TABLE unlogged ALTER unlogged SET x;": "ALTER TABLE unlogged ALTER unlogged SET x;",
	} {
		if got, err := pgddl.Logged(sql); err != nil || got != want {
			t.Errorf("%s\ngives %v\n%s", sql, err, got)
		}
	}
	refused(t, pgddl.Logged, "CREATE UNLOGGED TABLE 'x")
}

func TestCollations(t *testing.T) {
	const sql = `CREATE TABLE t (
    a text COLLATE pg_catalog."en_US.utf8", -- COLLATE "x"
    b text DEFAULT ('COLLATE "y"'::text COLLATE "C") COLLATE app.collate
);
CREATE TYPE r AS RANGE ( subtype = text, collation = pg_catalog."de_DE" );
CREATE INDEX i ON t USING btree (a COLLATE "en_US.utf8", ((b = collation)) ) WHERE (a.collate = $$COLLATE "z"$$);`
	names, err := pgddl.Collations(sql)
	want := []string{`pg_catalog."en_US.utf8"`, `"C"`, `pg_catalog."de_DE"`, `"en_US.utf8"`}
	if err == nil {
		t.Errorf("a reserved word is no collation, but these were found: %q", names)
	}
	fixed := `CREATE TABLE t (
    a text COLLATE pg_catalog."en_US.utf8", -- COLLATE "x"
    b text DEFAULT ('COLLATE "y"'::text COLLATE "C")
);
CREATE TYPE r AS RANGE ( subtype = text, collation = pg_catalog."de_DE" );
CREATE INDEX i ON t USING btree (a COLLATE "en_US.utf8", ((b = collation)) ) WHERE (a.collate = $$COLLATE "z"$$);`
	if names, err = pgddl.Collations(fixed); err != nil || !cmp.Equal(names, want) {
		t.Errorf("names are %q, %v", names, err)
	}
	got, err := pgddl.ReplaceCollation(fixed, func(name string) (string, bool) {
		return `pg_catalog."en-US-x-icu"`, name == `pg_catalog."en_US.utf8"` || name == `pg_catalog."de_DE"`
	})
	if replaced := `CREATE TABLE t (
    a text COLLATE pg_catalog."en-US-x-icu", -- COLLATE "x"
    b text DEFAULT ('COLLATE "y"'::text COLLATE "C")
);
CREATE TYPE r AS RANGE ( subtype = text, collation = pg_catalog."en-US-x-icu" );
CREATE INDEX i ON t USING btree (a COLLATE "en_US.utf8", ((b = collation)) ) WHERE (a.collate = $$COLLATE "z"$$);`; err != nil || got != replaced {
		t.Errorf("replaced: %v\n%s", err, got)
	}
}

func TestIndex(t *testing.T) {
	same(t, pgddl.ParseIndex, map[string]*pgddl.Index{
		`CREATE UNIQUE INDEX "I" ON ONLY app.t USING btree (a COLLATE "C" text_pattern_ops DESC NULLS LAST, ((b || ', '::text)), f(c, d)) INCLUDE (e) NULLS NOT DISTINCT WITH (fillfactor='70') WHERE ((a > 0) AND b);

ALTER TABLE app.t CLUSTER ON "I";`: {
			Unique: true, Name: "I", Only: true, Table: "app.t", Method: "btree",
			Columns: `a COLLATE "C" text_pattern_ops DESC NULLS LAST, ((b || ', '::text)), f(c, d)`,
			Keys:    []string{`a COLLATE "C" text_pattern_ops DESC NULLS LAST`, "((b || ', '::text))", "f(c, d)"},
			Include: "e", With: "fillfactor='70'", Where: "((a > 0) AND b)", More: []string{`ALTER TABLE app.t CLUSTER ON "I"`},
		},
		"CREATE INDEX i ON t USING diskann (v vector_cosine_ops) WITH (num_neighbors='50')": {
			Name: "i", Table: "t", Method: "diskann", Columns: "v vector_cosine_ops", Keys: []string{"v vector_cosine_ops"}, With: "num_neighbors='50'",
		},
	})
	refused(t, pgddl.ParseIndex, "CREATE INDEX ON t USING btree (a)", "CREATE INDEX i ON t (a)", "CREATE INDEX i ON t USING btree", "CREATE INDEX i ON t USING btree (a) WHERE", "CREATE INDEX i ON t USING btree (a) SOMEHOW")
}

func TestConstraint(t *testing.T) {
	same(t, pgddl.ParseConstraint, map[string]*pgddl.Constraint{
		"ALTER TABLE ONLY app.t\n    ADD CONSTRAINT \"t Pk\" PRIMARY KEY (id) INCLUDE (a) WITH (fillfactor='70') DEFERRABLE INITIALLY DEFERRED;\n\nALTER TABLE app.t CLUSTER ON \"t Pk\";": {
			Table: "app.t", Name: "t Pk", Kind: "PRIMARY KEY", Deferrable: true,
			Definition: "PRIMARY KEY (id) INCLUDE (a) WITH (fillfactor='70') DEFERRABLE INITIALLY DEFERRED", More: []string{`ALTER TABLE app.t CLUSTER ON "t Pk"`},
		},
		"ALTER TABLE t ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a, b WITHOUT OVERLAPS)": {Table: "t", Name: "u", Kind: "UNIQUE", Definition: "UNIQUE NULLS NOT DISTINCT (a, b WITHOUT OVERLAPS)"},
		"ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX \"I\"":                          {Table: "t", Name: "u", Kind: "UNIQUE", UsingIndex: "I", Definition: `UNIQUE USING INDEX "I"`},
		"ALTER FOREIGN TABLE t ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID":                 {Table: "t", Name: "c", Kind: "CHECK", NotValid: true, Definition: "CHECK ((a > 0)) NOT VALID"},
		"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a, PERIOD b) REFERENCES app.\"P\"(a, PERIOD b) MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL (a) NOT ENFORCED": {
			Table: "t", Name: "f", Kind: "FOREIGN KEY", NotEnforced: true, References: `app."P"`,
			Definition: `FOREIGN KEY (a, PERIOD b) REFERENCES app."P"(a, PERIOD b) MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL (a) NOT ENFORCED`,
		},
		"ALTER TABLE ONLY t ADD CONSTRAINT x EXCLUDE USING gist (a WITH =, during WITH &&) WHERE ((NOT gone))": {
			Table: "t", Name: "x", Kind: "EXCLUDE", Method: "gist", Definition: "EXCLUDE USING gist (a WITH =, during WITH &&) WHERE ((NOT gone))",
		},
		"ALTER TABLE t ADD CONSTRAINT n NOT NULL a NO INHERIT NOT VALID": {Table: "t", Name: "n", Kind: "NOT NULL", NotValid: true, Definition: "NOT NULL a NO INHERIT NOT VALID"},
		"ALTER DOMAIN d ADD CONSTRAINT c CHECK ((VALUE > 0)) NOT VALID":  {Domain: true, Table: "d", Name: "c", Kind: "CHECK", NotValid: true, Definition: "CHECK ((VALUE > 0)) NOT VALID"},
	})
	refused(t, pgddl.ParseConstraint, "ALTER TABLE t ADD PRIMARY KEY (a)", "ALTER TABLE t ADD CONSTRAINT c", "ALTER TABLE t ADD CONSTRAINT c CHECK (a) MAYBE",
		"ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a)", "ALTER TABLE t ADD CONSTRAINT c CHECK a > 0", "ALTER TABLE t DROP CONSTRAINT c")
}
