package pgddl_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgddl"
)

func TestDatabase(t *testing.T) {
	for _, sql := range []string{
		`CREATE DATABASE "App DB" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'en_US.utf8' ICU_LOCALE = 'en-US' ICU_RULES = '&a < g' TABLESPACE = "t s"`,
		`CREATE DATABASE d WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_COLLATE = 'C' LC_CTYPE = 'C.UTF-8'`, // before 15
		"CREATE DATABASE d WITH CONNECTION LIMIT = -1 IS_TEMPLATE = true",
		"CREATE DATABASE d",
	} {
		if d, err := pgddl.ParseDatabase(sql + ";\n"); err != nil || d.String() != sql {
			t.Errorf("%s is written as %v, %v", sql, d, err)
		}
	}
	d, err := pgddl.ParseDatabase(`CREATE DATABASE d WITH TEMPLATE = template0 LOCALE = 'x' TABLESPACE = "T"`)
	if err != nil || d.Option("locale") != "x" || d.Option("TABLESPACE") != "T" || d.Option("ENCODING") != "" {
		t.Errorf("read as %+v, %v", d, err)
	}
	refused(t, pgddl.ParseDatabase, "CREATE DATABASE d WITH", "CREATE DATABASE d WITH COLOUR = 'red'", "CREATE DATABASE d WITH ENCODING =", "CREATE DATABASE d WITH CONNECTION LIMIT = -'x'")
	for _, sql := range []string{`ALTER DATABASE "D" CONNECTION LIMIT = 5`, "ALTER DATABASE d IS_TEMPLATE = true"} {
		if o, err := pgddl.ParseDatabaseOption(sql + ";"); err != nil || o.String() != sql {
			t.Errorf("%s is written as %v, %v", sql, o, err)
		}
	}
	refused(t, pgddl.ParseDatabaseOption, "ALTER DATABASE d SET a TO 'b'", "ALTER DATABASE d OWNER TO x", "ALTER DATABASE d IS_TEMPLATE = true; x")
}

func TestSetting(t *testing.T) {
	for sql, want := range map[string]*pgddl.Setting{
		`ALTER DATABASE "D" SET search_path TO 'app', '"$user"', ''`:     {Database: "D", Name: "search_path", Value: `'app', '"$user"', ''`},
		`ALTER ROLE "R x" IN DATABASE d SET "auto_explain.level" TO 'a'`: {Role: "R x", Database: "d", Name: "auto_explain.level", Value: "'a'"},
		"ALTER ROLE r SET work_mem TO -5":                                {Role: "r", Name: "work_mem", Value: "-5"},
	} {
		got, err := pgddl.ParseSetting(sql)
		if err != nil || *got != *want || got.String() != sql {
			t.Errorf("%s: %+v, %v", sql, got, err)
		}
	}
	s, err := pgddl.ParseSetting(`ALTER ROLE r SET pg_stat_statements.track = 'a''b', x, "Y", -5;`)
	if err != nil || s.Name != "pg_stat_statements.track" || !cmp.Equal(s.Values(), []string{"a'b", "x", "Y", "-5"}) {
		t.Errorf("%+v, %v", s, err)
	}
	refused(t, pgddl.ParseSetting, "ALTER ROLE ALL SET a TO 'b'", "ALTER ROLE r SET a", "ALTER ROLE r SET a TO", "ALTER ROLE r RESET a", "ALTER DATABASE d SET TABLESPACE x", "ALTER ROLE r SET a FROM CURRENT")
}

func TestForeign(t *testing.T) {
	same(t, pgddl.ParseWrapper, map[string]*pgddl.Wrapper{
		"CREATE FOREIGN DATA WRAPPER w;": {Name: "w"},
		"CREATE FOREIGN DATA WRAPPER w HANDLER app.h VALIDATOR v OPTIONS (\n    debug 'true'\n);": {
			Name: "w", Handler: "app.h", Validator: "v", Options: []pgddl.Option{{Name: "debug", Value: "true", Literal: true}},
		},
	})
	same(t, pgddl.ParseServer, map[string]*pgddl.Server{
		"CREATE SERVER \"S\" TYPE 't' VERSION 'v' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (\n    host 'h',\n    \"user\" E'a\\\\b'\n);": {
			Name: "S", Type: "t", Version: "v", Wrapper: "postgres_fdw",
			Options: []pgddl.Option{{Name: "host", Value: "h", Literal: true}, {Name: "user", Value: `a\b`, Literal: true}},
		},
	})
	for _, sql := range []string{
		"CREATE USER MAPPING FOR \"a@b\" SERVER \"S\" OPTIONS (\n    password E'p\\\\''w',\n    \"user\" 'x'\n)",
		"CREATE USER MAPPING FOR public SERVER s",
	} {
		if u, err := pgddl.ParseUserMapping(sql + ";\n"); err != nil || u.String() != sql {
			t.Errorf("%s is written as %v, %v", sql, u, err)
		}
	}
	refused(t, pgddl.ParseUserMapping, "CREATE USER MAPPING FOR CURRENT_USER SERVER s", "CREATE USER MAPPING FOR x SERVER s OPTIONS (a)", "CREATE USER MAPPING FOR x")
	refused(t, pgddl.ParseServer, "CREATE SERVER s", "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS ()", "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (a 'b' c)")
	refused(t, pgddl.ParseWrapper, "CREATE FOREIGN DATA WRAPPER", "CREATE FOREIGN DATA WRAPPER w NO HANDLER")
}

func TestReplication(t *testing.T) {
	same(t, pgddl.ParsePublication, map[string]*pgddl.Publication{
		"CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert, update', publish_via_partition_root = true);": {
			Name: "p", AllTables: true, Options: []pgddl.Option{{Name: "publish", Value: "insert, update", Literal: true}, {Name: "publish_via_partition_root", Value: "true"}},
		},
	})
	same(t, pgddl.ParsePublicationMember, map[string]*pgddl.PublicationMember{
		`ALTER PUBLICATION p ADD TABLE ONLY app."T" (a, b) WHERE ((a > 5));`: {Publication: "p", Table: `app."T"`},
		`ALTER PUBLICATION p ADD TABLES IN SCHEMA "S";`:                      {Publication: "p", Schema: "S"},
	})
	same(t, pgddl.ParseSubscription, map[string]*pgddl.Subscription{
		"CREATE SUBSCRIPTION s CONNECTION 'host=x password=''y''' PUBLICATION a, \"B\" WITH (connect = false, slot_name = NONE, streaming = off);": {
			Name: "s", Connection: "host=x password='y'", Publications: []string{"a", "B"},
			Options: []pgddl.Option{{Name: "connect", Value: "false"}, {Name: "slot_name", Value: "NONE"}, {Name: "streaming", Value: "off"}},
		},
	})
	refused(t, pgddl.ParsePublication, "CREATE PUBLICATION p FOR TABLE t", "CREATE PUBLICATION p WITH", "CREATE PUBLICATION p WITH (publish =)")
	refused(t, pgddl.ParsePublicationMember, "ALTER PUBLICATION p SET (publish = '')", "ALTER PUBLICATION p ADD TABLE a, b")
	refused(t, pgddl.ParseSubscription, "CREATE SUBSCRIPTION s CONNECTION x PUBLICATION a", "ALTER SUBSCRIPTION s ENABLE")
}

func TestLabels(t *testing.T) {
	same(t, pgddl.ParseLabel, map[string]*pgddl.Label{
		`SECURITY LABEL FOR "pgaadauth" ON ROLE "x IS" IS 'aadauth';`: {Provider: "pgaadauth", On: `ROLE "x IS"`, Text: "aadauth"},
		`SECURITY LABEL FOR 'dummy' ON COLUMN a.b.c IS NULL`:          {Provider: "dummy", On: "COLUMN a.b.c"},
	})
	same(t, pgddl.ParseComment, map[string]*pgddl.Comment{
		"COMMENT ON FUNCTION app.f(\"is\" integer) IS 'it''s';": {On: `FUNCTION app.f("is" integer)`, Text: "it's"},
	})
	refused(t, pgddl.ParseLabel, "SECURITY LABEL ON TABLE t IS 'x'", "SECURITY LABEL FOR x ON IS 'x'", "SECURITY LABEL FOR x ON TABLE t")
	refused(t, pgddl.ParseComment, "COMMENT ON TABLE t", "COMMENT ON TABLE t IS 5", "COMMENT IS 'x'")
}

func TestCollation(t *testing.T) {
	for _, sql := range []string{
		`CREATE COLLATION app."ger" (provider = icu, deterministic = false, locale = 'de-u-co-phonebk', rules = '&a < g')`,
		`CREATE COLLATION c (provider = libc, locale = 'en_US.utf8')`,
		`CREATE COLLATION c (provider = libc, lc_collate = 'C', lc_ctype = 'en_US.utf8')`,
		`CREATE COLLATION c (provider = builtin, locale = 'C.UTF-8')`,
	} {
		if c, err := pgddl.ParseCollation(sql + ";\n"); err != nil || c.String() != sql {
			t.Errorf("%s is written as %v, %v", sql, c, err)
		}
	}
	refused(t, pgddl.ParseCollation, "CREATE COLLATION c FROM d", "CREATE COLLATION c (colour = 'red')", "CREATE COLLATION c", "CREATE COLLATION c (locale = 'x') x")
}

func TestType(t *testing.T) {
	same(t, pgddl.ParseType, map[string]*pgddl.Type{
		"CREATE TYPE app.t;": {Name: "app.t", Kind: pgddl.ShellType},
		"CREATE TYPE e AS ENUM (\n    'a',\n    'b''c'\n);": {Name: "e", Kind: pgddl.EnumType, Labels: []string{"a", "b'c"}},
		"CREATE TYPE e AS ENUM (\n);":                       {Name: "e", Kind: pgddl.EnumType},
		"CREATE TYPE r AS RANGE (\n    subtype = timestamp without time zone,\n    collation = pg_catalog.\"C\"\n);": {
			Name: "r", Kind: pgddl.RangeType, Options: []pgddl.Option{{Name: "subtype", Value: "timestamp without time zone"}, {Name: "collation", Value: `pg_catalog."C"`}},
		},
		"CREATE TYPE c AS (\n\ta integer,\n\t\"B\" text COLLATE pg_catalog.\"C\"\n);": {
			Name: "c", Kind: pgddl.CompositeType, Columns: []pgddl.Column{{Name: "a", Type: "integer"}, {Name: "B", Type: "text", Collation: `pg_catalog."C"`}},
		},
		"CREATE TYPE c AS (\n);": {Name: "c", Kind: pgddl.CompositeType},
		"CREATE TYPE b (\n    INTERNALLENGTH = variable,\n    INPUT = app.i,\n    DEFAULT = 'x',\n    PASSEDBYVALUE\n);": {
			Name: "b", Kind: pgddl.BaseType,
			Options: []pgddl.Option{{Name: "internallength", Value: "variable"}, {Name: "input", Value: "app.i"}, {Name: "default", Value: "x", Literal: true}, {Name: "passedbyvalue"}},
		},
		"CREATE DOMAIN d AS character varying(5) COLLATE app.\"c\" NOT NULL DEFAULT 'x'::character varying\n\tCONSTRAINT k CHECK ((VALUE <> ''::text));": {
			Name: "d", Kind: pgddl.DomainType, Type: "character varying(5)", Collation: `app."c"`,
		},
	})
	refused(t, pgddl.ParseType, "CREATE TYPE", "CREATE TYPE e AS ENUM ('a' 'b')", "CREATE TYPE e AS ENUM (a)", "CREATE DOMAIN d", "CREATE DOMAIN d AS", "CREATE TYPE t; SELECT 1")
}

func TestSystem(t *testing.T) {
	same(t, pgddl.ParseAccessMethod, map[string]*pgddl.AccessMethod{"CREATE ACCESS METHOD m TYPE INDEX HANDLER app.h;": {Name: "m", Type: "INDEX", Handler: "app.h"}})
	same(t, pgddl.ParseLanguage, map[string]*pgddl.Language{
		"CREATE OR REPLACE PROCEDURAL LANGUAGE plperl;":                               {Name: "plperl", OrReplace: true},
		"CREATE TRUSTED PROCEDURAL LANGUAGE l HANDLER app.h INLINE i VALIDATOR \"V\"": {Name: "l", Trusted: true, Handler: "app.h", Inline: "i", Validator: `"V"`},
	})
	same(t, pgddl.ParseCast, map[string]*pgddl.Cast{
		"CREATE CAST (timestamp without time zone AS app.t) WITH FUNCTION app.f(timestamp without time zone, integer) AS ASSIGNMENT;": {
			Source: "timestamp without time zone", Target: "app.t", Function: "app.f(timestamp without time zone, integer)", Context: "ASSIGNMENT",
		},
		"CREATE CAST (a AS numeric(5,2)) WITHOUT FUNCTION AS IMPLICIT": {Source: "a", Target: "numeric(5,2)", Context: "IMPLICIT"},
		"CREATE CAST (a AS b) WITH INOUT":                              {Source: "a", Target: "b", InOut: true},
	})
	same(t, pgddl.ParseOperatorClass, map[string]*pgddl.OperatorClass{
		"CREATE OPERATOR CLASS app.c\n    DEFAULT FOR TYPE app.t USING btree FAMILY app.f AS\n    OPERATOR 1 app.<(app.t,app.t) ,\n    FUNCTION 1 (app.t, app.t) app.cmp(app.t,app.t);\n": {
			Name: "app.c", Default: true, Type: "app.t", Method: "btree",
		},
		"CREATE OPERATOR FAMILY f USING gist;\nALTER OPERATOR FAMILY f USING gist ADD\n    OPERATOR 1 =(a,b);": {Family: true, Name: "f", Method: "gist"},
	})
	same(t, pgddl.ParseTextSearch, map[string]*pgddl.TextSearch{
		"CREATE TEXT SEARCH DICTIONARY app.d (\n    TEMPLATE = pg_catalog.ispell,\n    dictfile = 'x', stopwords = 'y' );\n": {
			Kind: "DICTIONARY", Name: "app.d", Options: []pgddl.Option{{Name: "template", Value: "pg_catalog.ispell"}, {Name: "dictfile", Value: "x", Literal: true}, {Name: "stopwords", Value: "y", Literal: true}},
		},
		"CREATE TEXT SEARCH CONFIGURATION c (\n    PARSER = pg_catalog.\"default\" );\n\nALTER TEXT SEARCH CONFIGURATION c\n    ADD MAPPING FOR asciiword WITH simple;": {
			Kind: "CONFIGURATION", Name: "c", Options: []pgddl.Option{{Name: "parser", Value: `pg_catalog."default"`}},
			More: []string{"ALTER TEXT SEARCH CONFIGURATION c\n    ADD MAPPING FOR asciiword WITH simple"},
		},
	})
	same(t, pgddl.ParseEventTrigger, map[string]*pgddl.EventTrigger{
		"CREATE EVENT TRIGGER \"E\" ON ddl_command_end\n         WHEN TAG IN ('CREATE TABLE', 'DROP TABLE')\n   EXECUTE FUNCTION app.f();\n\nALTER EVENT TRIGGER \"E\" DISABLE;": {
			Name: "E", Event: "ddl_command_end", Tags: []string{"CREATE TABLE", "DROP TABLE"}, Function: "app.f", More: []string{`ALTER EVENT TRIGGER "E" DISABLE`},
		},
		"CREATE EVENT TRIGGER e ON sql_drop EXECUTE PROCEDURE f()": {Name: "e", Event: "sql_drop", Function: "f"},
	})
	same(t, pgddl.ParseTablespace, map[string]*pgddl.Tablespace{"CREATE TABLESPACE t OWNER \"O\" LOCATION '/x';": {Name: "t", Owner: "O", Location: "/x"}})
	refused(t, pgddl.ParseAccessMethod, "CREATE ACCESS METHOD m TYPE x HANDLER h")
	refused(t, pgddl.ParseLanguage, "CREATE TRUSTED LANGUAGE", "CREATE LANGUAGE l SOMEHOW")
	refused(t, pgddl.ParseCast, "CREATE CAST (a) WITH INOUT", "CREATE CAST (a AS ) WITH INOUT", "CREATE CAST (a AS b)", "CREATE CAST (a AS b) WITH INOUT AS x")
	refused(t, pgddl.ParseOperatorClass, "CREATE OPERATOR CLASS c FOR TYPE t USING btree AS", "CREATE OPERATOR + (FUNCTION = f)")
	refused(t, pgddl.ParseTextSearch, "CREATE TEXT SEARCH THING t ()", "CREATE TEXT SEARCH PARSER p")
	refused(t, pgddl.ParseEventTrigger, "CREATE EVENT TRIGGER e ON x EXECUTE f()", "CREATE EVENT TRIGGER e ON x WHEN TAG IN () EXECUTE FUNCTION f()")
	refused(t, pgddl.ParseTablespace, "CREATE TABLESPACE t", "CREATE TABLESPACE t LOCATION x")
}
