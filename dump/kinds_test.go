package dump_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
)

// dropSubscriptions takes the subscriptions out of a database, which cannot be
// dropped with them, when the test ends.
func dropSubscriptions(t *testing.T, s *pgtest.Server, db string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, name := range []string{"sub1", `"Sub 2"`, "sub3"} {
			for _, sql := range []string{"ALTER SUBSCRIPTION " + name + " SET (slot_name = NONE)", "DROP SUBSCRIPTION " + name} {
				if err := s.Server.Exec(ctx, db, sql); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// subscribe makes subscriptions without a publisher.
func subscribe(t *testing.T, s *pgtest.Server, db string) {
	t.Helper()
	dropSubscriptions(t, s, db)
	more := ""
	if s.Major >= 14 {
		more += ", binary = true, streaming = true"
	}
	if s.Major >= 15 {
		more += ", disable_on_error = true, two_phase = true"
	}
	if s.Major >= 16 {
		more += ", streaming = parallel, password_required = false, origin = none, run_as_owner = true"
		more = strings.Replace(more, ", streaming = true", "", 1)
	}
	if s.Major >= 17 {
		more += ", failover = true"
	}
	s.Exec(t, db, `CREATE SUBSCRIPTION sub1 CONNECTION 'host=''h'' dbname=x password=secret' PUBLICATION a, "P b" WITH (connect = false, slot_name = 'a_slot')`)
	s.Exec(t, db, `CREATE SUBSCRIPTION "Sub 2" CONNECTION 'dbname=y' PUBLICATION a WITH (connect = false, slot_name = NONE)`)
	s.Exec(t, db, `CREATE SUBSCRIPTION sub3 CONNECTION 'dbname=z' PUBLICATION a WITH (connect = false, synchronous_commit = 'remote_apply'`+more+`)`)
	s.Exec(t, db, `COMMENT ON SUBSCRIPTION sub1 IS 'sub'`)
}

func TestSubscriptions(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		subscribe(t, s, db)
		compareWithPgDump(t, s, db, dump.Options{})
		if s.Major < 16 {
			return // pg_dump writes run_as_owner, which they do not know
		}
		copied := s.Database(t)
		dropSubscriptions(t, s, copied)
		restoreInto(t, s, copied, haul(t, s, db, dump.Options{}))
		sameContents(t, s, db, s, copied)
	})
}

// TestUnreadable dumps as a role that may read the tables but neither how
// subscriptions connect nor the options of another's user mapping: it must
// say so.
func TestUnreadable(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		role := s.Role(t, "LOGIN")
		db := s.Database(t)
		s.Exec(t, db, `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w;
CREATE USER MAPPING FOR PUBLIC SERVER srv OPTIONS (password 'secret'); CREATE USER MAPPING FOR "`+role+`" SERVER srv OPTIONS (password 'mine'); GRANT USAGE ON FOREIGN SERVER srv TO "`+role+`";`)
		subscribe(t, s, db)
		cfg := s.Config(t, db)
		cfg.User = role
		dir := filepath.Join(pgtest.TempDir(t), "d")
		report, err := dump.Run(t.Context(), cfg, dump.Options{Dir: dir, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		want := []archive.Skipped{
			{Kind: "SUBSCRIPTION", Name: `"Sub 2"`, Reason: "only a superuser can read its connection"},
			{Kind: "SUBSCRIPTION", Name: "sub1", Reason: "only a superuser can read its connection"},
			{Kind: "SUBSCRIPTION", Name: "sub3", Reason: "only a superuser can read its connection"},
		}
		slices.SortFunc(report.Skipped, func(a, b archive.Skipped) int { return strings.Compare(a.Name, b.Name) })
		if !slices.Equal(report.Skipped, want) {
			t.Errorf("skipped %v, want %v", report.Skipped, want)
		}
		if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "user mapping for public SERVER srv: its options cannot be read") {
			t.Errorf("warnings %q, want one about the user mapping for public", report.Warnings)
		}
		for _, e := range comparable(t, dir) {
			switch e.Key {
			case "USER MAPPING  USER MAPPING public SERVER srv":
				if strings.Contains(e.Create, "OPTIONS") {
					t.Errorf("unreadable options were read: %s", e.Create)
				}
			case "USER MAPPING  USER MAPPING " + role + " SERVER srv":
				if !strings.Contains(e.Create, "password 'mine'") {
					t.Errorf("readable options are missing: %s", e.Create)
				}
			}
		}
	})
}

// TestSecurityLabels writes labels straight into the catalog, since no label
// provider comes with PostgreSQL; pg_dump reads them all the same.
func TestSecurityLabels(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		if s.Major < 13 {
			t.Skip("until 12 the catalog can be written to only after a restart; the labels are read alike")
		}
		db := s.Database(t)
		s.Exec(t, db, `CREATE SCHEMA "L s"; CREATE TABLE "L s".t (a int, "B b" text); CREATE VIEW v AS SELECT 1 AS x; CREATE SEQUENCE sq; CREATE MATERIALIZED VIEW mv AS SELECT 1;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE p() LANGUAGE sql AS ''; CREATE AGGREGATE ag(int) (SFUNC = int4pl, STYPE = int);
CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS int; CREATE TYPE c AS (x int); CREATE PUBLICATION pub; CREATE LANGUAGE lan HANDLER plpgsql_call_handler;
CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER et ON sql_drop EXECUTE FUNCTION ev(); ALTER EVENT TRIGGER et DISABLE;
SELECT lo_from_bytea(200001, 'x'); COMMENT ON TABLE "L s".t IS 'before the label'; GRANT SELECT ON "L s".t TO PUBLIC; CREATE EXTENSION hstore;
SET allow_system_table_mods = on;
INSERT INTO pg_catalog.pg_seclabel (objoid, classoid, objsubid, provider, label)
  SELECT oid, tableoid, sub, provider, 'it''s ' || sub FROM (
    SELECT oid, tableoid, 0 FROM pg_class WHERE relname IN ('t', 'v', 'sq', 'mv') AND oid >= 16384
    UNION ALL SELECT '"L s".t'::regclass, 'pg_class'::regclass, 2 UNION ALL SELECT 'v'::regclass, 'pg_class'::regclass, 1
    UNION ALL SELECT oid, tableoid, 0 FROM pg_proc WHERE proname IN ('f', 'p', 'ag', 'akeys') AND oid >= 16384
    UNION ALL SELECT oid, tableoid, 0 FROM pg_type WHERE typname IN ('e', 'd', 'c') AND oid >= 16384
    UNION ALL SELECT oid, tableoid, 0 FROM pg_publication UNION ALL SELECT oid, tableoid, 0 FROM pg_event_trigger UNION ALL SELECT oid, tableoid, 0 FROM pg_namespace WHERE nspname = 'L s'
    UNION ALL SELECT oid, tableoid, 0 FROM pg_language WHERE lanname = 'lan'
    UNION ALL SELECT 200001, 'pg_largeobject'::regclass, 0) o(oid, tableoid, sub), (VALUES ('P 1')) p(provider);
INSERT INTO pg_catalog.pg_shseclabel (objoid, classoid, provider, label) SELECT oid, tableoid, 'p1', 'a database' FROM pg_database WHERE datname = current_database();
RESET allow_system_table_mods`)
		compareWithPgDump(t, s, db, dump.Options{})
	})
}

// TestOddEntries compares what pg_dump writes but nobody can restore to the letter:
// a language by its name alone, a default that comes back as an expression,
// and postfix operators.
func TestOddEntries(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, `CREATE LANGUAGE by_name HANDLER plpgsql_call_handler;
CREATE TYPE b; CREATE FUNCTION b_in(cstring) RETURNS b LANGUAGE internal IMMUTABLE STRICT AS 'int4in'; CREATE FUNCTION b_out(b) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE b (INPUT = b_in, OUTPUT = b_out, LIKE = int4, DEFAULT = 42); CREATE DOMAIN over_b AS b;`)
		if s.Major < 14 {
			s.Exec(t, db, `CREATE OPERATOR !! (FUNCTION = factorial, LEFTARG = bigint); COMMENT ON OPERATOR !! (bigint, NONE) IS 'postfix'`)
		}
		compareWithPgDump(t, s, db, dump.Options{})
	})
}

// TestSelectionOfEveryKind compares what each selection takes of every input.
func TestSelectionOfEveryKind(t *testing.T) {
	s := pgtest.Start(t, 18)
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no input: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".sql"), func(t *testing.T) {
			db := s.Database(t)
			loadSince(t, s, db, f)
			for _, tt := range []struct {
				sel  catalog.Selection
				args []string
			}{
				{catalog.Selection{Schemas: []string{`?" S"`, "publi?"}}, []string{"-n", `?" S"`, "-n", "publi?"}},
				{catalog.Selection{ExcludeSchemas: []string{"public"}}, []string{"-N", "public"}},
				{catalog.Selection{Tables: []string{"*.[apt]*"}}, []string{"-t", "*.[apt]*"}},
				{catalog.Selection{ExcludeTables: []string{"*.*t*"}}, []string{"-T", "*.*t*"}},
				{catalog.Selection{DataOnly: true}, []string{"-a"}},
			} {
				t.Run(strings.Join(tt.args, " "), func(t *testing.T) { compareWithPgDump(t, s, db, dump.Options{Select: tt.sel}, tt.args...) })
			}
			t.Run("-x --no-comments", func(t *testing.T) {
				compareWithPgDump(t, s, db, dump.Options{NoPrivileges: true, NoComments: true}, "-x", "--no-comments")
			})
		})
	}
}

// TestExtensions compares a database with every extension the server has that
// needs no preparation. Of their members only changed privileges are dumped,
// but all of them stand between other objects and the extension.
func TestExtensions(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, `DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT name FROM pg_available_extensions WHERE name IN ('bloom', 'btree_gin', 'btree_gist', 'citext', 'cube', 'dict_int', 'dict_xsyn', 'earthdistance', 'file_fdw',
    'hstore', 'intarray', 'isn', 'ltree', 'lo', 'pg_stat_statements', 'pg_trgm', 'postgres_fdw', 'seg', 'tablefunc', 'tsm_system_rows', 'unaccent', 'uuid-ossp', 'vector', 'postgis') ORDER BY name LOOP
    EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I', r.name);
  END LOOP; END $$;
CREATE TABLE uses (c citext PRIMARY KEY, h hstore, i int[], l ltree, n int, cu cube, EXCLUDE USING gist (n WITH =, cu WITH &&));
CREATE INDEX ON uses USING gin (h); CREATE INDEX ON uses USING gist (l); CREATE INDEX ON uses USING gin (i gin__int_ops); CREATE INDEX ON uses USING gin (c gin_trgm_ops); CREATE INDEX ON uses USING bloom (n);
CREATE FUNCTION takes(hstore, citext[]) RETURNS ltree LANGUAGE sql AS 'SELECT NULL::ltree'; CREATE CAST (ltree AS hstore) WITH INOUT;
ALTER OPERATOR FAMILY gist_hstore_ops USING gist ADD OPERATOR 20 = (hstore, hstore); GRANT SELECT ON pg_stat_statements TO pg_monitor;
CREATE TEXT SEARCH DICTIONARY un (TEMPLATE = unaccent, RULES = 'unaccent'); CREATE TEXT SEARCH CONFIGURATION uncfg (COPY = simple); ALTER TEXT SEARCH CONFIGURATION uncfg ALTER MAPPING FOR word WITH un, simple;
CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h'); CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user 'u');`)
		compareWithPgDump(t, s, db, dump.Options{})
	})
}

// TestUnwritable dumps views and a partition key that use functions which are
// gone from the catalogs: the error must name the object.
func TestUnwritable(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := s.Database(t)
		s.Exec(t, db, `CREATE FUNCTION lost() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE FUNCTION lost(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE VIEW a AS SELECT 1 AS x; CREATE VIEW "Z v" AS SELECT lost(); CREATE VIEW c AS SELECT 1 AS x;
CREATE TABLE pa (k int) PARTITION BY LIST ((k + 1)); CREATE TABLE pb (k int) PARTITION BY LIST (lost(k)); CREATE TABLE pc (k int) PARTITION BY LIST ((k + 2));
SET allow_system_table_mods = on; DELETE FROM pg_catalog.pg_proc WHERE proname = 'lost' AND pronargs = 0`)
		fails := func(name string) {
			t.Helper()
			_, err := dump.Run(t.Context(), s.Config(t, db), dump.Options{Dir: filepath.Join(pgtest.TempDir(t), "d"), NoSync: true})
			if err == nil || !strings.Contains(err.Error(), name+", whose definition the server cannot write") {
				t.Errorf("error %v, want one that names %s", err, name)
			}
		}
		fails(`public."Z v"`)
		s.Exec(t, db, `SET allow_system_table_mods = on; DELETE FROM pg_catalog.pg_proc WHERE proname = 'lost'; DELETE FROM pg_catalog.pg_class WHERE relname = 'Z v'`)
		fails("public.pb")
	})
}
