package platform

import (
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
)

// entry makes an archive entry; fields are those that policies look at.
func entry(kind, schema, tag, owner, create string, after ...int) archive.Entry {
	e := archive.Entry{Kind: kind, Namespace: schema, Tag: tag, Owner: owner, Create: create, After: after}
	if !satellite(&e) {
		e.Drop = "DROP " + kind + " x;\n"
	}
	return e
}

// TestPolicy has a case for each row of the policy: what is found at Azure, and
// what becomes of it at Neon.
func TestPolicy(t *testing.T) {
	t.Parallel()
	table := entry("TABLE", "app", "t", "app_owner", "CREATE TABLE app.t (\n    a integer\n);\n")
	extension := func(name string) archive.Entry {
		return entry("EXTENSION", "", name, "", "CREATE EXTENSION IF NOT EXISTS "+name+" WITH SCHEMA public;\n")
	}
	temp := "temptblspace"
	inTablespace := table
	inTablespace.Tablespace = &temp
	super := func(in *Input) { in.Target.User.Superuser = true }
	plainSuper := func(in *Input) {
		in.Source.Platform, in.Source.Privileged = Plain, ""
		in.Target.Platform, in.Target.Privileged = Plain, ""
		in.Target.User.Superuser = true
	}
	cases := []struct {
		name    string
		before  []archive.Entry // with the IDs 1, 2, …
		entry   archive.Entry
		change  func(*Input)
		verdict Verdict
		owner   string // if not ""
		sql     string // if not ""; "-" for none
		says    string // part of the reason or a warning
	}{
		{name: "database", entry: entry("DATABASE", "", "appdb", "azadmin", "CREATE DATABASE appdb;\n"), verdict: Skip, says: `"neondb" is used`},
		{name: "owner of the customer", entry: table, verdict: Keep, owner: "app_owner", sql: "-"},
		{name: "owner admin", entry: entry("TABLE", "app", "t", "azadmin", "CREATE TABLE app.t ();\n"), verdict: Map, owner: "neondb_owner"},
		{name: "owner azuresu", entry: entry("TABLE", "app", "t", "azuresu", "CREATE TABLE app.t ();\n"), verdict: Map, owner: "neondb_owner", says: "azuresu"},
		{name: "owner azure_pg_admin", entry: entry("TABLE", "app", "t", "azure_pg_admin", "CREATE TABLE app.t ();\n"), verdict: Map, owner: "neondb_owner", says: "members of azure_pg_admin"},
		{name: "owner by the role map", entry: table, change: func(in *Input) { in.Rules.Roles = map[string]string{"app_owner": "new owner"} }, verdict: Map, owner: "new owner"},
		{name: "tablespace", entry: inTablespace, verdict: Map, says: "tablespace temptblspace"},
		{name: "owner of public", entry: entry("SCHEMA", "", "public", "azure_pg_admin", "-- *not* creating schema, since initdb creates it\n"), verdict: Map, says: "keeps the owner"},
		{name: "schema of the target's", entry: entry("SCHEMA", "", "neon", "app_owner", "CREATE SCHEMA neon;\n"), verdict: Block, says: "give it another"},

		{name: "grant to the platform", entry: entry("ACL", "app", "TABLE t", "app_owner", "GRANT ALL ON TABLE app.t TO azure_pg_admin;\n", 1), before: []archive.Entry{table}, verdict: Skip, says: "azure_pg_admin"},
		{
			name: "grants to both", before: []archive.Entry{table}, verdict: Map, says: "grants to azure_pg_admin are left out",
			entry: entry("ACL", "app", "TABLE t", "app_owner", "GRANT SELECT ON TABLE app.t TO azure_pg_admin;\nGRANT SELECT ON TABLE app.t TO app_rw;\nGRANT SELECT ON TABLE app.t TO azadmin;\n", 1),
			sql:   "GRANT SELECT ON TABLE app.t TO app_rw;\nGRANT SELECT ON TABLE app.t TO neondb_owner;\n",
		},
		{
			name: "grant to what becomes the owner", before: []archive.Entry{table}, verdict: Map,
			entry: entry("ACL", "app", "TABLE t", "azure_pg_admin", "REVOKE ALL ON TABLE app.t FROM azure_pg_admin;\nGRANT SELECT ON TABLE app.t TO azadmin;\nGRANT SELECT ON TABLE app.t TO app_rw;\n", 1),
			sql:   "GRANT SELECT ON TABLE app.t TO app_rw;\n",
		},
		{
			name: "what an owner took from himself", before: []archive.Entry{table}, verdict: Keep, sql: "-",
			entry: entry("ACL", "app", "TABLE t", "app_owner", "REVOKE ALL ON TABLE app.t FROM app_owner;\nGRANT SELECT ON TABLE app.t TO app_owner;\n", 1),
		},
		{
			name: "grants that become equal", before: []archive.Entry{table}, verdict: Map,
			change: func(in *Input) { in.Rules.Roles = map[string]string{"app_rw": "one", "App.Reader": "one"} },
			entry:  entry("ACL", "app", "TABLE t", "app_owner", "GRANT SELECT ON TABLE app.t TO app_rw;\nGRANT SELECT ON TABLE app.t TO \"App.Reader\";\n", 1),
			sql:    "GRANT SELECT ON TABLE app.t TO one;\n",
		},
		{
			name: "grantor", before: []archive.Entry{table}, verdict: Map,
			entry: entry("ACL", "app", "TABLE t", "app_owner", "GRANT SELECT ON TABLE app.t TO app_rw WITH GRANT OPTION;\nSET SESSION AUTHORIZATION app_rw;\nGRANT SELECT ON TABLE app.t TO \"App.Reader\";\nRESET SESSION AUTHORIZATION;\n", 1),
			sql:   "SET ROLE app_owner;\nGRANT SELECT ON TABLE app.t TO app_rw WITH GRANT OPTION;\nSET ROLE app_rw;\nGRANT SELECT ON TABLE app.t TO \"App.Reader\";\nRESET ROLE;\n",
		},
		{
			name: "grantor of the platform", before: []archive.Entry{table}, verdict: Map, says: "given by the owner",
			entry: entry("ACL", "app", "TABLE t", "app_owner", "SET SESSION AUTHORIZATION azure_pg_admin;\nGRANT SELECT ON TABLE app.t TO app_rw;\nRESET SESSION AUTHORIZATION;\n", 1),
			sql:   "GRANT SELECT ON TABLE app.t TO app_rw;\n",
		},
		{name: "privileges of the catalog", entry: entry("ACL", "pg_catalog", "FUNCTION pg_stat_reset()", "azuresu", "GRANT ALL ON FUNCTION pg_catalog.pg_stat_reset() TO azure_pg_admin;\n"), verdict: Skip},
		{name: "privileges of the catalog to a customer", entry: entry("ACL", "pg_catalog", "FUNCTION pg_stat_reset()", "azuresu", "GRANT ALL ON FUNCTION pg_catalog.pg_stat_reset() TO app_rw;\n"), verdict: Skip, says: "app_rw loses them"},
		{name: "privileges nobody can read", before: []archive.Entry{table}, entry: entry("ACL", "app", "TABLE t", "app_owner", "GRANT EVERYTHING;\n", 1), verdict: Block, says: "cannot read"},
		{
			name: "database privileges", entry: entry("ACL", "", "DATABASE appdb", "azadmin", "REVOKE ALL ON DATABASE appdb FROM PUBLIC;\nGRANT CONNECT ON DATABASE appdb TO app_rw;\n"), verdict: Map,
			sql: "REVOKE ALL ON DATABASE neondb FROM PUBLIC;\nGRANT CONNECT ON DATABASE neondb TO app_rw;\n",
		},
		{
			name: "public before 15", change: func(in *Input) { in.Source.Version = 140000 }, verdict: Warn, says: "everybody may create",
			entry: entry("ACL", "", "SCHEMA public", "azure_pg_admin", "REVOKE USAGE ON SCHEMA public FROM PUBLIC;\nGRANT ALL ON SCHEMA public TO PUBLIC;\n"),
		},
		{
			name: "public before 15, not wanted", change: func(in *Input) { in.Source.Version, in.Rules.NoPublicCreate = 140000, true }, verdict: Rewrite,
			entry: entry("ACL", "", "SCHEMA public", "azure_pg_admin", "REVOKE USAGE ON SCHEMA public FROM PUBLIC;\nGRANT ALL ON SCHEMA public TO PUBLIC;\n"),
			sql:   "REVOKE USAGE ON SCHEMA public FROM PUBLIC;\nGRANT USAGE ON SCHEMA public TO PUBLIC;\n",
		},
		{
			name: "default privileges", verdict: Map,
			entry: entry("DEFAULT ACL", "public", "DEFAULT PRIVILEGES FOR TABLES", "azure_pg_admin", "ALTER DEFAULT PRIVILEGES FOR ROLE azure_pg_admin IN SCHEMA public GRANT SELECT ON TABLES TO app_rw;\n"),
			sql:   "ALTER DEFAULT PRIVILEGES FOR ROLE neondb_owner IN SCHEMA public GRANT SELECT ON TABLES TO app_rw;\n",
		},
		{name: "default privileges for the platform", verdict: Skip, entry: entry("DEFAULT ACL", "app", "DEFAULT PRIVILEGES FOR TABLES", "app_owner", "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app GRANT SELECT ON TABLES TO azure_pg_admin;\n")},
		{name: "policy for the platform", before: []archive.Entry{table}, verdict: Skip, says: "not made one for everybody", entry: entry("POLICY", "app", "t p", "app_owner", "CREATE POLICY p ON app.t TO azure_pg_admin USING (true);\n", 1)},
		{
			name: "policy for several", before: []archive.Entry{table}, verdict: Map, says: "azure_pg_admin",
			entry: entry("POLICY", "app", "t p", "app_owner", "CREATE POLICY p ON app.t TO app_rw, azure_pg_admin, azadmin USING (true);\n", 1),
			sql:   "CREATE POLICY p ON app.t TO app_rw, neondb_owner USING (true);\n",
		},
		{name: "policy for everybody", before: []archive.Entry{table}, verdict: Keep, sql: "-", entry: entry("POLICY", "app", "t p", "app_owner", "CREATE POLICY p ON app.t USING (true);\n", 1)},

		{
			name: "SECURITY DEFINER", verdict: Map, says: "runs with the rights of neondb_owner",
			entry: entry("FUNCTION", "app", "f()", "azure_pg_admin", "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE sql SECURITY DEFINER\n    AS $$SELECT 1$$;\n"),
		},
		{
			name: "LEAKPROOF", verdict: Rewrite, says: "without LEAKPROOF",
			entry: entry("FUNCTION", "app", "f()", "app_owner", "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE sql LEAKPROOF\n    AS $$SELECT 1$$;\n"),
			sql:   "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE sql\n    AS $$SELECT 1$$;\n",
		},
		{name: "LEAKPROOF for a superuser", change: super, verdict: Keep, sql: "-", entry: entry("FUNCTION", "app", "f()", "app_owner", "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE sql LEAKPROOF\n    AS $$SELECT 1$$;\n")},
		{name: "C", verdict: Block, says: "language c", entry: entry("FUNCTION", "app", "f()", "app_owner", "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE c\n    AS '$libdir/x', 'f';\n")},
		{name: "function with a superuser's setting", verdict: Block, says: "log_min_duration_statement", entry: entry("FUNCTION", "app", "f()", "app_owner", "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE sql\n    SET log_min_duration_statement TO '0'\n    AS $$SELECT 1$$;\n")},
		{name: "Azure's functions in a body", verdict: Warn, says: "uses azure_ai", entry: entry("FUNCTION", "app", "f()", "app_owner", "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE plpgsql\n    AS $$BEGIN PERFORM azure_ai.set_setting('a', 'b'); END$$;\n")},
		{name: "cron in a body", verdict: Warn, says: "uses cron", entry: entry("FUNCTION", "app", "f()", "app_owner", "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE plpgsql\n    AS $$BEGIN PERFORM cron.schedule('a', 'b'); END$$;\n")},
		{name: "a name that only looks so", verdict: Keep, entry: entry("FUNCTION", "app", "f()", "app_owner", "CREATE FUNCTION app.f() RETURNS integer\n    LANGUAGE plpgsql\n    AS $$BEGIN PERFORM my_cron.schedule('a'), x.cron.y; END$$;\n")},
		{name: "host at Azure in a body", verdict: Warn, says: "firewall", entry: entry("VIEW", "app", "v", "app_owner", "CREATE VIEW app.v AS SELECT public.dblink('host=x.postgres.database.azure.com');\n")},
		{name: "unlogged", verdict: Warn, says: "unlogged", entry: entry("TABLE", "app", "u", "app_owner", "CREATE UNLOGGED TABLE app.u (\n    a integer\n);\n")},
		{
			name: "unlogged made logged", change: func(in *Input) { in.Rules.LogUnlogged = true }, verdict: Rewrite,
			entry: entry("TABLE", "app", "u", "app_owner", "CREATE UNLOGGED TABLE app.u (\n    a integer\n);\n"), sql: "CREATE TABLE app.u (\n    a integer\n);\n",
		},
		{
			name: "COLLATE", verdict: Rewrite, says: "en_US.utf8",
			entry: entry("TABLE", "app", "c", "app_owner", "CREATE TABLE app.c (\n    a text COLLATE pg_catalog.\"en_US.utf8\",\n    b text COLLATE pg_catalog.\"C\"\n);\n"),
			sql:   "CREATE TABLE app.c (\n    a text COLLATE pg_catalog.\"en-US-x-icu\",\n    b text COLLATE pg_catalog.\"C\"\n);\n",
		},
		{name: "COLLATE without an equal", verdict: Block, says: `collation "fr_FR.utf8"`, entry: entry("INDEX", "app", "i", "app_owner", "CREATE INDEX i ON app.t USING btree (a COLLATE \"fr_FR.utf8\");\n")},
		{
			name: "libc collation", verdict: Rewrite, says: "ICU", entry: entry("COLLATION", "app", "us", "app_owner", "CREATE COLLATION app.us (provider = libc, locale = 'en_US.utf8');\n"),
			sql: "CREATE COLLATION app.us (provider = icu, locale = 'en-US');\n",
		},

		{name: "platform extension", entry: extension("azure"), verdict: Skip, says: "belongs to Azure"},
		{name: "usable extension", entry: entry("EXTENSION", "", "pgcrypto", "", "CREATE EXTENSION pgcrypto WITH SCHEMA public VERSION '1.2';\n"), verdict: Keep, sql: "CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;\n"},
		{name: "extension that needs others", entry: extension("earthdistance"), verdict: Keep, sql: "CREATE EXTENSION IF NOT EXISTS earthdistance WITH SCHEMA public CASCADE;\n"},
		{name: "unusable extension", entry: extension("pageinspect"), verdict: Skip, says: "only a superuser"},
		{name: "missing extension", entry: extension("orafce"), verdict: Skip, says: "does not have it"},
		{name: "comment on an extension", before: []archive.Entry{extension("pgcrypto")}, entry: entry("COMMENT", "", "EXTENSION pgcrypto", "", "COMMENT ON EXTENSION pgcrypto IS 'x';\n", 1), verdict: Skip},
		{name: "needs a missing extension", before: []archive.Entry{extension("orafce")}, entry: entry("VIEW", "app", "v", "app_owner", "CREATE VIEW app.v AS SELECT 1;\n", 1), verdict: Block, says: "orafce"},
		{
			name: "needs a skipped extension", before: []archive.Entry{extension("orafce"), entry("VIEW", "app", "w", "app_owner", "CREATE VIEW app.w AS SELECT 1;\n", 1)}, verdict: Skip, says: "orafce",
			change: func(in *Input) { in.Rules.SkipExtensions = []string{"orafce"} }, entry: entry("VIEW", "app", "v", "app_owner", "CREATE VIEW app.v AS SELECT 1;\n", 2),
		},
		{name: "diskann", before: []archive.Entry{extension("pg_diskann")}, verdict: Skip, says: "pg_diskann", entry: entry("INDEX", "app", "i", "app_owner", "CREATE INDEX i ON app.t USING diskann (v public.vector_cosine_ops);\n", 1)},
		{name: "rows of pg_cron", before: []archive.Entry{extension("pg_cron")}, verdict: Skip, says: "pg_cron", entry: archive.Entry{Kind: "TABLE DATA", Namespace: "cron", Tag: "job", Owner: "azuresu", After: []int{1}, HasData: true}},
		{name: "privileges of pg_cron", before: []archive.Entry{extension("pg_cron")}, verdict: Skip, says: "pg_cron", entry: entry("ACL", "cron", "FUNCTION unschedule(job_id bigint)", "azuresu", "GRANT ALL ON FUNCTION cron.unschedule(job_id bigint) TO app_rw;\n", 77)},

		{name: "event trigger", verdict: Map, says: "cannot be changed", entry: entry("EVENT TRIGGER", "", "e", "app_owner", "CREATE EVENT TRIGGER e ON ddl_command_end\n   EXECUTE FUNCTION app.f();\n")},
		{name: "event trigger elsewhere", change: func(in *Input) { in.Target.Platform = Plain }, verdict: Block, entry: entry("EVENT TRIGGER", "", "e", "app_owner", "CREATE EVENT TRIGGER e ON ddl_command_end\n   EXECUTE FUNCTION app.f();\n")},
		{name: "publication", verdict: Keep, owner: "app_owner", entry: entry("PUBLICATION", "", "p", "app_owner", "CREATE PUBLICATION p WITH (publish = 'insert, update, delete, truncate');\n")},
		{name: "publication for all tables", verdict: Map, says: "owner", entry: entry("PUBLICATION", "", "p", "app_owner", "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert, update, delete, truncate');\n")},
		{name: "publication for all tables elsewhere", change: func(in *Input) { in.Target.Platform = Plain }, verdict: Block, entry: entry("PUBLICATION", "", "p", "app_owner", "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert, update, delete, truncate');\n")},
		{name: "publication of a migration", verdict: Skip, entry: entry("PUBLICATION", "", "pghaul_x", "app_owner", "CREATE PUBLICATION pghaul_x WITH (publish = 'insert');\n")},
		{name: "subscription", verdict: Skip, says: "--subscriptions", entry: entry("SUBSCRIPTION", "", "s", "app_owner", "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = false, slot_name = 's', streaming = off);\n")},
		{name: "subscription kept", change: func(in *Input) { in.Rules.Subscriptions = true }, verdict: Warn, entry: entry("SUBSCRIPTION", "", "s", "app_owner", "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = false, slot_name = 's', streaming = off);\n")},
		{name: "server at Azure", verdict: Warn, says: "firewall", entry: entry("SERVER", "", "s", "app_owner", "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (\n    host 'x.postgres.database.azure.com'\n);\n")},
		{
			name: "wrapper that may not be used", verdict: Block, says: "GRANT USAGE", change: func(in *Input) {
				in.Target.Extensions = []Extension{{Name: "postgres_fdw", Version: "1.1", Schema: "public"}}
			}, entry: entry("SERVER", "", "s", "app_owner", "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw;\n"),
		},
		{name: "user mapping", verdict: Warn, says: "password", entry: entry("USER MAPPING", "", "USER MAPPING app_rw SERVER s", "app_owner", "CREATE USER MAPPING FOR app_rw SERVER s;\n")},
		{name: "user mapping of the admin", verdict: Map, entry: entry("USER MAPPING", "", "USER MAPPING azadmin SERVER s", "app_owner", "CREATE USER MAPPING FOR azadmin SERVER s OPTIONS (\n    \"user\" 'u'\n);\n"), sql: "CREATE USER MAPPING FOR neondb_owner SERVER s OPTIONS (\n    \"user\" 'u'\n);\n"},
		{name: "user mapping of the platform", verdict: Skip, entry: entry("USER MAPPING", "", "USER MAPPING azure_pg_admin SERVER s", "app_owner", "CREATE USER MAPPING FOR azure_pg_admin SERVER s;\n")},
		{name: "large object", verdict: Map, owner: "neondb_owner", says: "large objects", entry: archive.Entry{Kind: "BLOB METADATA", Tag: "7", Owner: "azadmin", Create: "7\n", Drop: "-- x\n"}},
		{name: "security label", verdict: Skip, says: "provider pgaadauth", entry: entry("SECURITY LABEL", "", "TABLE t", "app_owner", "SECURITY LABEL FOR pgaadauth ON TABLE app.t IS 'x';\n")},
		{name: "base type", verdict: Block, says: "base types", entry: entry("TYPE", "app", "b", "app_owner", "CREATE TYPE app.b (\n    INTERNALLENGTH = 4,\n    INPUT = app.b_in,\n    OUTPUT = app.b_out,\n    ALIGNMENT = int4,\n    STORAGE = plain\n);\n")},
		{name: "enum", verdict: Keep, entry: entry("TYPE", "app", "e", "app_owner", "CREATE TYPE app.e AS ENUM (\n    'a'\n);\n")},
		{name: "operator class", verdict: Block, entry: entry("OPERATOR CLASS", "app", "o", "app_owner", "CREATE OPERATOR CLASS app.o FOR TYPE integer USING btree AS OPERATOR 1 < (integer,integer);\n")},
		{name: "operator family", verdict: Block, entry: entry("OPERATOR FAMILY", "app", "o", "app_owner", "CREATE OPERATOR FAMILY app.o USING btree;\n")},
		{name: "access method", verdict: Block, entry: entry("ACCESS METHOD", "", "m", "", "CREATE ACCESS METHOD m TYPE INDEX HANDLER bthandler;\n")},
		{name: "language", verdict: Block, entry: entry("PROCEDURAL LANGUAGE", "", "l", "app_owner", "CREATE PROCEDURAL LANGUAGE l;\n")},
		{name: "text search template", verdict: Block, entry: entry("TEXT SEARCH TEMPLATE", "app", "t", "", "CREATE TEXT SEARCH TEMPLATE app.t (LEXIZE = dsimple_lexize);\n")},
		{name: "text search dictionary with a file", verdict: Warn, says: "file", entry: entry("TEXT SEARCH DICTIONARY", "app", "d", "app_owner", "CREATE TEXT SEARCH DICTIONARY app.d (\n    TEMPLATE = pg_catalog.ispell,\n    dictfile = 'x' );\n")},
		{name: "cast of built-in types", verdict: Block, says: "built-in", entry: entry("CAST", "", "CAST (integer AS text)", "", "CREATE CAST (integer AS text) WITH INOUT AS ASSIGNMENT;\n")},
		{name: "cast of a type of one's own", verdict: Keep, entry: entry("CAST", "", "CAST (app.e AS text)", "", "CREATE CAST (app.e AS text) WITH INOUT AS ASSIGNMENT;\n")},
		{name: "wrapper", verdict: Block, entry: entry("FOREIGN DATA WRAPPER", "", "w", "app_owner", "CREATE FOREIGN DATA WRAPPER w;\n")},
		{name: "statistics", verdict: Skip, entry: entry("STATISTICS DATA", "app", "t", "", "SELECT * FROM pg_catalog.pg_restore_relation_stats();\n")},
		{name: "Query Store", verdict: Skip, entry: entry("VIEW", "query_store", "v", "azuresu", "CREATE VIEW query_store.v AS SELECT 1;\n")},

		{name: "superuser: base type", change: plainSuper, verdict: Keep, entry: entry("TYPE", "app", "b", "app_owner", "CREATE TYPE app.b (\n    INTERNALLENGTH = 4,\n    INPUT = app.b_in,\n    OUTPUT = app.b_out\n);\n")},
		{name: "superuser: catalog", change: plainSuper, verdict: Keep, entry: entry("ACL", "pg_catalog", "FUNCTION pg_stat_reset()", "azuresu", "GRANT ALL ON FUNCTION pg_catalog.pg_stat_reset() TO app_rw;\n")},
		{name: "superuser: grantor", change: plainSuper, before: []archive.Entry{table}, verdict: Keep, sql: "-", entry: entry("ACL", "app", "TABLE t", "app_owner", "SET SESSION AUTHORIZATION app_rw;\nGRANT SELECT ON TABLE app.t TO \"App.Reader\";\nRESET SESSION AUTHORIZATION;\n", 1)},
		{name: "superuser: admin stays himself", change: plainSuper, verdict: Keep, owner: "azadmin", entry: entry("TABLE", "app", "t", "azadmin", "CREATE TABLE app.t ();\n")},
		{name: "superuser: public", change: plainSuper, verdict: Keep, owner: "azuresu", entry: entry("SCHEMA", "", "public", "azuresu", "-- *not* creating schema\n")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := azureInput()
			if c.change != nil {
				c.change(&in)
			}
			in.Entries = append(append([]archive.Entry{}, c.before...), c.entry)
			for i := range in.Entries {
				in.Entries[i].ID = i + 1
			}
			p := mustPlan(t, in)
			it := p.Items[len(p.Items)-1]
			if it.Verdict != c.verdict {
				t.Errorf("verdict %s, want %s: %s", it.Verdict, c.verdict, it.Reason)
			}
			if c.owner != "" && it.Owner != c.owner {
				t.Errorf("owner %q, want %q", it.Owner, c.owner)
			}
			if c.sql == "-" && it.SQL != "" || c.sql != "" && c.sql != "-" && it.SQL != c.sql {
				t.Errorf("SQL\n%s\nwant\n%s", it.SQL, c.sql)
			}
			if said := it.Reason + "; " + strings.Join(it.Warnings, "; "); !strings.Contains(said, c.says) {
				t.Errorf("says %q, want %q", said, c.says)
			}
			if it.Verdict != Keep && it.Verdict != Warn && it.Reason == "" {
				t.Error("no reason")
			}
		})
	}
}
