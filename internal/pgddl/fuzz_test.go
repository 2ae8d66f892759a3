package pgddl_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pgddl"
)

// FuzzTokens wants tokens in order, with blanks and comments between, that are
// the same when they are read one by one.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{
		grants, "", "'it''s' E'\\'' $a$ $$ $a$ \"q\"\"q\" 1.5e3 a->>b -- c\n/* /* */ */;", "1..10 $1 ::text := @-1", "U&'x'", "e'\\u0041\\x41\\101'", "'a'\n'b'", "$é$x$é$",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		tokens, err := pgddl.Tokens(sql)
		if err != nil {
			if !errors.Is(err, pgddl.ErrShape) || tokens != nil {
				t.Errorf("%v with %d tokens", err, len(tokens))
			}
			return
		}
		end := 0
		for _, k := range tokens {
			if k.Start < end || k.End <= k.Start {
				t.Fatalf("%+v after the byte %d", k, end)
			}
			if gap, err := pgddl.Tokens(sql[end:k.Start]); err != nil || len(gap) > 0 {
				t.Errorf("between tokens there is %q", sql[end:k.Start])
			}
			end = k.End
			alone, err := pgddl.Tokens(sql[k.Start:k.End])
			if err != nil || len(alone) != 1 || alone[0].Kind != k.Kind || alone[0].Value != k.Value {
				t.Errorf("%+v is alone %+v, %v", k, alone, err)
			}
		}
		if _, err := pgddl.Split(sql); err != nil && !errors.Is(err, pgddl.ErrShape) {
			t.Error(err)
		}
	})
}

// FuzzACL wants what is written to be read as the same.
func FuzzACL(f *testing.F) {
	for _, s := range []string{
		grants, `GRANT SELECT("a,b"),UPDATE(c, d) ON TABLE "x""y".z TO "PUBLIC", PUBLIC WITH GRANT OPTION GRANTED BY q;`,
		"REVOKE GRANT OPTION FOR ALL ON FUNCTION f(a integer DEFAULT '('::text, VARIADIC b text[]) FROM a CASCADE;",
		"GRANT a, b TO c WITH ADMIN OPTION, INHERIT TRUE GRANTED BY d; REVOKE SET OPTION FOR a FROM b;",
		"GRANT ALTER SYSTEM ON PARAMETER a.b TO c; GRANT SELECT ON LARGE OBJECT 5 TO c; GRANT SELECT ON type TO c;",
		"SET SESSION AUTHORIZATION 'x';GRANT ALL ON FOREIGN SERVER s TO x;RESET SESSION AUTHORIZATION;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, def string) {
		items, err := pgddl.ParseACL(def)
		if err != nil {
			if !errors.Is(err, pgddl.ErrShape) {
				t.Error(err)
			}
			return
		}
		text := pgddl.FormatACL(items)
		again, err := pgddl.ParseACL(text)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", def, text, err)
		}
		if reflect.DeepEqual(items, again) { // much faster than what tells the difference
			return
		}
		if d := cmp.Diff(items, again); d != "" {
			t.Errorf("%q is written as %q (-first +second):\n%s", def, text, d)
		}
	})
}

// FuzzReplaceCollation wants names replaced by themselves to change nothing
// but their spelling, and the new names, and only them, to be found after.
func FuzzReplaceCollation(f *testing.F) {
	for _, s := range []string{
		`CREATE TABLE t (a text COLLATE pg_catalog."C", b text DEFAULT 'COLLATE x' COLLATE "en_US")`,
		"CREATE TYPE r AS RANGE (subtype = text, collation = app.c)", "SELECT a COLLATE x . \"Y\" -- COLLATE z\n, $$COLLATE z$$ COLLATE/**/b",
		"CREATE TABLE t (a.collate b)", "COLLATE", "COLLATE select",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		names, err := pgddl.Collations(sql)
		if err != nil {
			if !errors.Is(err, pgddl.ErrShape) {
				t.Error(err)
			}
			return
		}
		same, err := pgddl.ReplaceCollation(sql, func(string) (string, bool) { return "", false })
		if err != nil || same != sql {
			t.Errorf("%q without a change is %q, %v", sql, same, err)
		}
		const to = `pg_catalog."en-US-x-icu"`
		replaced, err := pgddl.ReplaceCollation(sql, func(string) (string, bool) { return to, true })
		if err != nil {
			t.Fatal(err)
		}
		found, err := pgddl.Collations(replaced)
		if err != nil || len(names) > 0 && !cmp.Equal(found, []string{to}) || len(names) == 0 && (len(found) > 0 || replaced != sql) {
			t.Errorf("%q replaced is %q with %q, %v", sql, replaced, found, err)
		}
	})
}

// FuzzStatements wants no parser to panic, and what can be written again to be
// read as the same.
func FuzzStatements(f *testing.F) {
	for _, s := range []string{
		"CREATE POLICY p ON s.t AS RESTRICTIVE FOR SELECT TO a, b USING (true) WITH CHECK (false)", "CREATE POLICY p ON t",
		"ALTER TABLE t OWNER TO x", "CREATE EXTENSION IF NOT EXISTS x WITH SCHEMA s VERSION '1' CASCADE",
		"ALTER DEFAULT PRIVILEGES FOR ROLE r IN SCHEMA s GRANT SELECT ON TABLES TO x", "ALTER ROLE r IN DATABASE d SET a.b TO 'c', d, -5",
		"CREATE DATABASE d WITH TEMPLATE = template0 CONNECTION LIMIT = -1 IS_TEMPLATE true ENCODING 'x'", "CREATE COLLATION c (provider = libc, locale = 'C', deterministic = false)",
		"CREATE USER MAPPING FOR public SERVER s OPTIONS (a E'\\\\')", "CREATE FUNCTION f(a integer) RETURNS x LANGUAGE c TRANSFORM FOR TYPE t SET a TO 'b' AS 'x', 'y'",
		"CREATE UNLOGGED TABLE t (a integer DEFAULT 1 COLLATE c, CONSTRAINT x CHECK (a)) PARTITION BY LIST (a)",
		"CREATE TABLE p PARTITION OF t FOR VALUES WITH (modulus 5, remainder 3)",
		"CREATE UNIQUE INDEX i ON ONLY t USING btree (a, f(b, c)) INCLUDE (d) WITH (x=y) WHERE (z)", "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES b(c) ON DELETE SET NULL (a) NOT VALID",
		"CREATE TYPE t AS RANGE (subtype = x)", "CREATE DOMAIN d AS text COLLATE c CHECK (true)", "CREATE SERVER s FOREIGN DATA WRAPPER w", "CREATE CAST (a AS b) WITH FUNCTION f(a)",
		"CREATE EVENT TRIGGER e ON x WHEN TAG IN ('a') EXECUTE FUNCTION f()", "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (a = b)",
		"SECURITY LABEL FOR x ON TABLE t IS 'y'", "CREATE TEXT SEARCH PARSER p (START = a)", "CREATE OPERATOR CLASS c FOR TYPE t USING m AS STORAGE t",
		"CREATE LANGUAGE l HANDLER h", "CREATE ACCESS METHOD m TYPE TABLE HANDLER h", "CREATE TABLESPACE t OWNER o LOCATION ''", "ALTER PUBLICATION p ADD TABLE ONLY t (a) WHERE (b)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		again(t, sql, pgddl.ParseGrant)
		again(t, sql, pgddl.ParseDefaultACL)
		again(t, sql, pgddl.ParsePolicy)
		again(t, sql, pgddl.ParseOwner)
		again(t, sql, pgddl.ParseExtension)
		again(t, sql, pgddl.ParseSetting)
		again(t, sql, pgddl.ParseDatabase)
		again(t, sql, pgddl.ParseDatabaseOption)
		again(t, sql, pgddl.ParseCollation)
		again(t, sql, pgddl.ParseUserMapping)
		reads(t, sql, pgddl.ParseFunction)
		reads(t, sql, pgddl.ParseTable)
		reads(t, sql, pgddl.ParseIndex)
		reads(t, sql, pgddl.ParseConstraint)
		reads(t, sql, pgddl.ParseType)
		reads(t, sql, pgddl.ParseServer)
		reads(t, sql, pgddl.ParseWrapper)
		reads(t, sql, pgddl.ParsePublication)
		reads(t, sql, pgddl.ParsePublicationMember)
		reads(t, sql, pgddl.ParseSubscription)
		reads(t, sql, pgddl.ParseLabel)
		reads(t, sql, pgddl.ParseComment)
		reads(t, sql, pgddl.ParseAccessMethod)
		reads(t, sql, pgddl.ParseLanguage)
		reads(t, sql, pgddl.ParseCast)
		reads(t, sql, pgddl.ParseOperatorClass)
		reads(t, sql, pgddl.ParseTextSearch)
		reads(t, sql, pgddl.ParseEventTrigger)
		reads(t, sql, pgddl.ParseTablespace)
		if out, err := pgddl.Logged(sql); err == nil && strings.Count(fold(out), "unlogged") > strings.Count(fold(sql), "unlogged") {
			t.Errorf("%q is logged %q", sql, out)
		}
		if out, err := pgddl.WithoutLeakproof(sql); err == nil {
			if x, err := pgddl.ParseFunction(out); err != nil || x.Leakproof {
				t.Errorf("%q without LEAKPROOF is %q: %+v, %v", sql, out, x, err)
			}
		}
	})
}

func fold(s string) string { return strings.ToLower(s) }

// reads parses and wants nothing but ErrShape to go wrong.
func reads[T any](t *testing.T, sql string, parse func(string) (*T, error)) *T {
	x, err := parse(sql)
	if (err == nil) == (x == nil) || err != nil && !errors.Is(err, pgddl.ErrShape) {
		t.Errorf("%T of %q: %v", x, sql, err)
	}
	return x
}

// again parses what was parsed and written.
func again[T any, P interface {
	*T
	String() string
}](t *testing.T, sql string, parse func(string) (P, error),
) {
	x := reads(t, sql, func(s string) (*T, error) { return parse(s) })
	if x == nil {
		return
	}
	text := P(x).String()
	y, err := parse(text)
	if err != nil {
		t.Fatalf("%q is written as %q: %v", sql, text, err)
	}
	if reflect.DeepEqual(x, (*T)(y)) {
		return
	}
	if d := cmp.Diff(x, (*T)(y)); d != "" {
		t.Errorf("%q is written as %q (-first +second):\n%s", sql, text, d)
	}
}
