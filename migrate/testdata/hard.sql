-- A customer's database at Azure that is as hard to move as one can make it.
-- Run as the superuser, database by database; what the customer's admin or his
-- roles have made is made by them. "db=crm" stands for the database crm "Prod".

--@@ db=postgres roles, as the admin makes them
SET SESSION AUTHORIZATION azadmin;
CREATE ROLE "Öwner of Ünïcode" NOLOGIN;
CREATE ROLE "a ""quoted"" role" LOGIN PASSWORD 'Quoted-role-0001!' CONNECTION LIMIT 7 VALID UNTIL '2033-03-03 03:03:03+00';
CREATE ROLE "user" NOLOGIN NOINHERIT;
CREATE ROLE "public " NOLOGIN;
CREATE ROLE "PUBLIC" NOLOGIN;
CREATE ROLE "current_user" LOGIN PASSWORD 'Current-user-0001!' NOINHERIT;
CREATE ROLE "Dotted.Role.Name" NOLOGIN;
CREATE ROLE "semi;colon -- not a comment" NOLOGIN;
CREATE ROLE "back\slash $$ 'tick'" LOGIN PASSWORD 'Back-slash-0001!' CREATEDB CREATEROLE;
CREATE ROLE "63 bytes: é........................................... the end" NOLOGIN;
CREATE ROLE a NOLOGIN;
CREATE ROLE b NOLOGIN;
CREATE ROLE c NOLOGIN;
CREATE ROLE d LOGIN PASSWORD 'Role-d-0000-0001!' VALID UNTIL 'infinity';
CREATE ROLE reporting LOGIN PASSWORD 'Reporting-0001!' NOINHERIT;
CREATE ROLE second_admin LOGIN PASSWORD 'Second-admin-0001!' CREATEROLE CREATEDB;
CREATE ROLE monitor LOGIN PASSWORD 'Monitor-role-0001!';
GRANT azure_pg_admin TO second_admin;
RESET SESSION AUTHORIZATION;
SELECT pg_catalog.pgaadauth_create_principal_with_oid('d''Arcy #EXT#@Fabrikam.onmicrosoft.com', '11111111-0000-0000-0000-00000000abcd', 'user', true, true);
GRANT pg_monitor TO monitor;
GRANT pg_read_all_data TO reporting, azadmin;
GRANT pg_signal_backend TO "a ""quoted"" role" WITH ADMIN OPTION;
-- a diamond and a chain of administrators
GRANT a TO b WITH ADMIN OPTION;
GRANT a TO c;
GRANT b TO d;
GRANT c TO d;
GRANT d TO "Dotted.Role.Name" WITH ADMIN OPTION;
GRANT "Dotted.Role.Name" TO "63 bytes: é........................................... the end";
GRANT "Öwner of Ünïcode" TO "user", "public ", azadmin;
GRANT "user" TO "d'Arcy #EXT#@Fabrikam.onmicrosoft.com" WITH ADMIN OPTION;
GRANT "PUBLIC" TO "current_user", "semi;colon -- not a comment";
GRANT second_admin TO azadmin;
SET ROLE b;
GRANT a TO "user" WITH ADMIN OPTION;
SET ROLE "user";
GRANT a TO "PUBLIC";
RESET ROLE;
DO $$
BEGIN
  IF current_setting('server_version_num')::int >= 160000 THEN
    EXECUTE 'GRANT c TO reporting WITH INHERIT FALSE, SET FALSE';
    EXECUTE 'GRANT c TO monitor WITH INHERIT TRUE, SET FALSE';
    EXECUTE 'GRANT c TO "public " WITH INHERIT FALSE, SET TRUE, ADMIN TRUE';
    EXECUTE 'GRANT "Dotted.Role.Name" TO reporting WITH INHERIT TRUE, SET TRUE';
  END IF;
END $$;
ALTER ROLE d SET search_path = "Weird Schema", "$user", public, 'has''tick';
ALTER ROLE d SET "my.custom" = 'it''s "custom" \ value';
ALTER ROLE "a ""quoted"" role" SET statement_timeout = '90s';
ALTER ROLE "user" SET default_transaction_isolation = 'repeatable read';
ALTER ROLE "back\slash $$ 'tick'" SET DateStyle = 'SQL, DMY';
ALTER ROLE d SET default_tablespace = 'temptblspace';
COMMENT ON ROLE d IS 'a role''s comment';
--@@ db=postgres
CREATE DATABASE "crm ""Prod""" OWNER azadmin;
--@@ db=postgres settings in the database, and its privileges
ALTER ROLE d IN DATABASE "crm ""Prod""" SET search_path = '';
ALTER ROLE "user" IN DATABASE "crm ""Prod""" SET work_mem = '12MB';
ALTER DATABASE "crm ""Prod""" SET "app.tenant" = 'a, b';
ALTER DATABASE "crm ""Prod""" SET search_path = "Weird Schema", public;
ALTER DATABASE "crm ""Prod""" SET temp_tablespaces = 'temptblspace';
COMMENT ON DATABASE "crm ""Prod""" IS 'the customer''s';
REVOKE ALL ON DATABASE "crm ""Prod""" FROM PUBLIC;
GRANT CONNECT ON DATABASE "crm ""Prod""" TO a WITH GRANT OPTION;
GRANT CREATE ON DATABASE "crm ""Prod""" TO "Öwner of Ünïcode", b;
SET ROLE a;
GRANT CONNECT ON DATABASE "crm ""Prod""" TO "a ""quoted"" role" WITH GRANT OPTION;
RESET ROLE;
SET ROLE "a ""quoted"" role";
GRANT CONNECT ON DATABASE "crm ""Prod""" TO "semi;colon -- not a comment";
RESET ROLE;
DO $$
BEGIN
  IF current_setting('server_version_num')::int >= 150000 THEN
    EXECUTE 'GRANT SET ON PARAMETER log_min_duration_statement TO monitor WITH GRANT OPTION; GRANT SET, ALTER SYSTEM ON PARAMETER track_io_timing TO a, azure_pg_admin';
  END IF;
END $$;

--@@ db=crm extensions: in public, in a schema of the customer, untrusted ones
SET search_path = public;
GRANT CREATE ON SCHEMA public TO second_admin;
CREATE SCHEMA "Ext Schema";
ALTER SCHEMA "Ext Schema" OWNER TO "Öwner of Ünïcode";
GRANT USAGE ON SCHEMA "Ext Schema" TO PUBLIC;
CREATE EXTENSION citext WITH SCHEMA "Ext Schema";
CREATE EXTENSION hstore WITH SCHEMA "Ext Schema";
CREATE EXTENSION pg_trgm WITH SCHEMA "Ext Schema";
CREATE EXTENSION pgcrypto WITH SCHEMA public;
CREATE EXTENSION btree_gist WITH SCHEMA "Ext Schema";
CREATE EXTENSION pg_buffercache WITH SCHEMA public;
CREATE EXTENSION postgres_fdw WITH SCHEMA public;
COMMENT ON EXTENSION hstore IS 'changed by the customer';

--@@ db=crm schemas
GRANT USAGE ON SCHEMA public TO a WITH GRANT OPTION;
GRANT CREATE ON SCHEMA public TO b;
COMMENT ON SCHEMA public IS 'the customer''s public';
CREATE SCHEMA "Weird Schema";
ALTER SCHEMA "Weird Schema" OWNER TO "Öwner of Ünïcode";
CREATE SCHEMA "select";
ALTER SCHEMA "select" OWNER TO azure_pg_admin;
CREATE SCHEMA s;
ALTER SCHEMA s OWNER TO a;
COMMENT ON SCHEMA s IS $$a schema's "comment" \ $$;
GRANT USAGE ON SCHEMA "select" TO PUBLIC;
GRANT ALL ON SCHEMA "select" TO b, azadmin;
SET ROLE "Öwner of Ünïcode";
GRANT ALL ON SCHEMA "Weird Schema" TO a WITH GRANT OPTION;
GRANT USAGE ON SCHEMA "Weird Schema" TO azure_pg_admin WITH GRANT OPTION;
RESET ROLE;
SET ROLE a;
GRANT USAGE, CREATE ON SCHEMA "Weird Schema" TO b WITH GRANT OPTION;
GRANT USAGE ON SCHEMA s TO PUBLIC;
GRANT CREATE ON SCHEMA s TO b, c, d;
RESET ROLE;
SET ROLE b;
GRANT USAGE ON SCHEMA "Weird Schema" TO c, "public ", "PUBLIC", "user";
RESET ROLE;
SET ROLE azure_pg_admin;
GRANT USAGE ON SCHEMA "Weird Schema" TO reporting;
RESET ROLE;

--@@ db=crm default privileges of several roles
SET ROLE a;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT, INSERT ON TABLES TO "PUBLIC", PUBLIC, azure_pg_admin;
ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT EXECUTE ON FUNCTIONS TO c WITH GRANT OPTION;
RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE "Öwner of Ünïcode" GRANT ALL ON SEQUENCES TO "a ""quoted"" role";
ALTER DEFAULT PRIVILEGES FOR ROLE "Öwner of Ünïcode" REVOKE ALL ON TABLES FROM "Öwner of Ünïcode";
ALTER DEFAULT PRIVILEGES FOR ROLE azadmin IN SCHEMA public GRANT SELECT ON TABLES TO reporting;
ALTER DEFAULT PRIVILEGES FOR ROLE azure_pg_admin IN SCHEMA "select" GRANT UPDATE ON TABLES TO d;
ALTER DEFAULT PRIVILEGES FOR ROLE azure_pg_admin GRANT USAGE ON SCHEMAS TO d, azadmin;
ALTER DEFAULT PRIVILEGES FOR ROLE d IN SCHEMA "Weird Schema" GRANT SELECT ON TABLES TO azure_pg_admin;

--@@ db=crm types, domains and what they need
SET ROLE "Öwner of Ünïcode";
CREATE TYPE "Weird Schema"."Mood ü" AS ENUM ('so''so', '"quoted"', 'back\slash', 'sad');
CREATE TYPE "Weird Schema".pair AS (x int, "Y y" text COLLATE "C");
CREATE FUNCTION "Weird Schema".is_mail(t text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT t LIKE '%_@_%' $$;
CREATE DOMAIN "Weird Schema".mail AS text NOT NULL DEFAULT 'a@b' CONSTRAINT "is mail" CHECK ("Weird Schema".is_mail(VALUE));
CREATE TYPE "Weird Schema".span AS RANGE (subtype = float8);
GRANT USAGE ON TYPE "Weird Schema".pair TO a WITH GRANT OPTION;
REVOKE USAGE ON TYPE "Weird Schema"."Mood ü" FROM PUBLIC;
GRANT USAGE ON TYPE "Weird Schema"."Mood ü" TO a WITH GRANT OPTION;
GRANT USAGE ON DOMAIN "Weird Schema".mail TO b WITH GRANT OPTION;
COMMENT ON TYPE "Weird Schema".pair IS 'a pair';
COMMENT ON COLUMN "Weird Schema".pair."Y y" IS 'an attribute';
COMMENT ON DOMAIN "Weird Schema".mail IS 'a domain';
COMMENT ON CONSTRAINT "is mail" ON DOMAIN "Weird Schema".mail IS 'its check';
CREATE COLLATION "Weird Schema"."Deutsch" (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION "Weird Schema".nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
RESET ROLE;
SET ROLE a;
GRANT USAGE ON TYPE "Weird Schema".pair TO c;
GRANT USAGE ON TYPE "Weird Schema"."Mood ü" TO b WITH GRANT OPTION;
RESET ROLE;
SET ROLE b;
GRANT USAGE ON TYPE "Weird Schema"."Mood ü" TO "semi;colon -- not a comment", "PUBLIC", c;
GRANT USAGE ON DOMAIN "Weird Schema".mail TO c;
RESET ROLE;

--@@ db=crm functions that defaults, checks, generated columns, indexes and views need
SET ROLE b;
CREATE FUNCTION s.next_code() RETURNS text LANGUAGE plpgsql AS $fn$ BEGIN RETURN 'c' || nextval('s."Code seq"'); END $fn$;
CREATE FUNCTION s.positive(n numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT n > 0';
CREATE FUNCTION s.slug(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT pg_catalog.lower(pg_catalog.replace(t, ' ', '-')) $$;
CREATE SEQUENCE s."Code seq" AS int INCREMENT BY 5 MINVALUE -10 START 100 CACHE 3 CYCLE;
SELECT pg_catalog.nextval('s."Code seq"');
GRANT USAGE ON SEQUENCE s."Code seq" TO c WITH GRANT OPTION;
GRANT SELECT ON SEQUENCE s."Code seq" TO PUBLIC;
GRANT EXECUTE ON FUNCTION s.slug(text) TO c WITH GRANT OPTION;
REVOKE EXECUTE ON FUNCTION s.next_code() FROM PUBLIC;
RESET ROLE;
SET ROLE c;
GRANT USAGE ON SEQUENCE s."Code seq" TO d, azure_pg_admin WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION s.slug(text) TO d, "PUBLIC";
RESET ROLE;
SET ROLE azure_pg_admin;
GRANT USAGE ON SEQUENCE s."Code seq" TO reporting;
RESET ROLE;

--@@ db=crm tables of different roles in schemas of others
SET ROLE b;
CREATE TABLE "Weird Schema"."Order" (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 3) PRIMARY KEY,
  code text DEFAULT s.next_code() UNIQUE,
  "From" "Weird Schema".mail,
  mood "Weird Schema"."Mood ü" DEFAULT 'so''so',
  p "Weird Schema".pair,
  amount numeric(12,2) CONSTRAINT "amount > 0" CHECK (s.positive(amount)) NOT NULL,
  title text COLLATE "en-US-x-icu",
  name2 text COLLATE "Weird Schema"."Deutsch",
  nd text COLLATE "Weird Schema".nd,
  slug text GENERATED ALWAYS AS (s.slug('x' || amount::text)) STORED,
  tags "Ext Schema".hstore,
  who "Ext Schema".citext,
  secret bytea,
  sp "Weird Schema".span,
  "we""ird, col" int);
INSERT INTO "Weird Schema"."Order" (code, "From", mood, p, amount, title, name2, nd, tags, who, secret, sp, "we""ird, col")
  SELECT 'k' || g, 'u' || g || '@x.org', (enum_range(NULL::"Weird Schema"."Mood ü"))[1 + g % 4], ROW(g, E't\tb\\' || g)::"Weird Schema".pair, g + .5, 'Ä' || g, 'ü' || g, 'N' || g,
    ('a=>' || g)::"Ext Schema".hstore, 'Who' || g, public.pgp_sym_encrypt('s' || g, 'key'), "Weird Schema".span(g, g + 1), g FROM generate_series(1, 300) g;
CREATE INDEX "Idx ""quoted""" ON "Weird Schema"."Order" USING gin (title "Ext Schema".gin_trgm_ops);
CREATE INDEX order_expr ON "Weird Schema"."Order" (s.slug(title), amount DESC NULLS LAST) INCLUDE (mood) WHERE s.positive(amount);
CREATE INDEX order_coll ON "Weird Schema"."Order" (title COLLATE "de-x-icu", name2);
CREATE INDEX order_who ON "Weird Schema"."Order" (who);
ALTER TABLE "Weird Schema"."Order" ADD CONSTRAINT "no overlap" EXCLUDE USING gist ("we""ird, col" WITH =, (s.slug(code)) WITH =) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE "Weird Schema"."Order" CLUSTER ON "Order_pkey";
ALTER TABLE "Weird Schema"."Order" ALTER COLUMN title SET STATISTICS 500, ALTER COLUMN secret SET STORAGE EXTERNAL, ALTER COLUMN amount SET (n_distinct = -0.5);
ALTER TABLE "Weird Schema"."Order" SET (fillfactor = 80, autovacuum_enabled = off, toast.autovacuum_enabled = off);
CREATE STATISTICS "Weird Schema"."Stat 1" (mcv, dependencies) ON amount, title FROM "Weird Schema"."Order";
ALTER STATISTICS "Weird Schema"."Stat 1" SET STATISTICS 300;
COMMENT ON TABLE "Weird Schema"."Order" IS E'line one\nGRANT ALL ON ALL TABLES IN SCHEMA s TO PUBLIC;';
COMMENT ON COLUMN "Weird Schema"."Order"."we""ird, col" IS 'weird';
COMMENT ON INDEX "Weird Schema"."Idx ""quoted""" IS 'an index';
COMMENT ON CONSTRAINT "amount > 0" ON "Weird Schema"."Order" IS 'a check';
COMMENT ON STATISTICS "Weird Schema"."Stat 1" IS 'statistics';
GRANT SELECT, UPDATE ON "Weird Schema"."Order" TO a WITH GRANT OPTION;
GRANT SELECT (id, title), UPDATE (title), REFERENCES (id), INSERT (id) ON "Weird Schema"."Order" TO c WITH GRANT OPTION;
GRANT ALL ON "Weird Schema"."Order" TO azure_pg_admin WITH GRANT OPTION;
GRANT TRUNCATE ON "Weird Schema"."Order" TO "semi;colon -- not a comment";
RESET ROLE;
SET ROLE a;
GRANT SELECT ON "Weird Schema"."Order" TO c WITH GRANT OPTION;
GRANT UPDATE ON "Weird Schema"."Order" TO "user";
GRANT SELECT (code) ON "Weird Schema"."Order" TO "PUBLIC";
RESET ROLE;
SET ROLE c;
GRANT SELECT ON "Weird Schema"."Order" TO d, PUBLIC;
GRANT SELECT (id, title) ON "Weird Schema"."Order" TO d WITH GRANT OPTION;
GRANT UPDATE (title) ON "Weird Schema"."Order" TO d;
RESET ROLE;
SET ROLE d;
GRANT SELECT (id) ON "Weird Schema"."Order" TO "back\slash $$ 'tick'", "63 bytes: é........................................... the end";
RESET ROLE;
SET ROLE azure_pg_admin;
GRANT DELETE ON "Weird Schema"."Order" TO reporting WITH GRANT OPTION;
RESET ROLE;
SET ROLE reporting;
GRANT DELETE ON "Weird Schema"."Order" TO monitor;
RESET ROLE;

--@@ db=crm row-level security for several roles
SET ROLE b;
ALTER TABLE "Weird Schema"."Order" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "all of us" ON "Weird Schema"."Order" TO a, azure_pg_admin, "PUBLIC", "current_user", azadmin USING (amount > 0) WITH CHECK (true);
CREATE POLICY everybody ON "Weird Schema"."Order" FOR SELECT TO PUBLIC USING ("From" LIKE '%' || CURRENT_USER || '%' OR SESSION_USER <> 'azure_pg_admin');
CREATE POLICY platform_only ON "Weird Schema"."Order" FOR DELETE TO azure_pg_admin, replication USING (true);
CREATE POLICY "restrict; DROP TABLE x" ON "Weird Schema"."Order" AS RESTRICTIVE FOR UPDATE TO "user", "public " USING (pg_has_role(CURRENT_USER, 'a', 'MEMBER')) WITH CHECK (mood <> 'sad'::"Weird Schema"."Mood ü");
CREATE POLICY owners ON "Weird Schema"."Order" FOR INSERT TO CURRENT_USER, "63 bytes: é........................................... the end" WITH CHECK (EXISTS (SELECT FROM "Weird Schema"."Order" o WHERE o.id = "Order".id));
COMMENT ON POLICY everybody ON "Weird Schema"."Order" IS 'a policy''s comment';
COMMENT ON POLICY platform_only ON "Weird Schema"."Order" IS 'goes with it';
RESET ROLE;

--@@ db=crm partitions on two levels, attached by others, with keys and indexes
SET ROLE c;
CREATE TABLE s.event (id bigint NOT NULL, at date NOT NULL, kind text COLLATE "C" NOT NULL, ord bigint, note text DEFAULT 'n', PRIMARY KEY (id, at, kind)) PARTITION BY RANGE (at);
CREATE TABLE s.event_2025 PARTITION OF s.event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (kind);
CREATE TABLE s."event 2025 a" PARTITION OF s.event_2025 FOR VALUES IN ('a', 'it''s');
CREATE TABLE s.event_2025_def PARTITION OF s.event_2025 DEFAULT;
CREATE INDEX event_note ON s.event (note) WHERE note IS NOT NULL;
CREATE INDEX event_only ON ONLY s.event (ord);
CREATE TABLE s.event_2026 (note text DEFAULT 'other', ord bigint, kind text COLLATE "C" NOT NULL, at date NOT NULL, id bigint NOT NULL, PRIMARY KEY (id, at, kind));
ALTER TABLE s.event ATTACH PARTITION s.event_2026 FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
GRANT SELECT ON s.event TO d, PUBLIC;
RESET ROLE;
ALTER TABLE s.event_2026 OWNER TO d;
SET ROLE b;
GRANT REFERENCES, SELECT ON "Weird Schema"."Order" TO c, d;
RESET ROLE;
SET ROLE c;
ALTER TABLE s.event ADD CONSTRAINT "event → order" FOREIGN KEY (ord) REFERENCES "Weird Schema"."Order" ON DELETE CASCADE DEFERRABLE;
INSERT INTO s.event SELECT g, date '2025-06-01' + g, CASE WHEN g % 2 = 0 THEN 'a' ELSE 'z' END, 10 + 3 * (g % 100), 'n' || g FROM generate_series(1, 400) g;
RESET ROLE;

--@@ db=crm triggers, rules and functions with the rights of others
SET ROLE d;
CREATE TABLE "Weird Schema"."table" ("select" int DEFAULT 1, "from" text, kids int[], doc jsonb DEFAULT '{"a": "b''c"}', xid int, CONSTRAINT "table_pk" UNIQUE ("select"));
CREATE UNLOGGED TABLE s.scratch (k text PRIMARY KEY, v text) WITH (fillfactor = 50);
CREATE FUNCTION "Weird Schema".audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "Weird Schema", pg_temp SET work_mem = '8MB' COST 50 AS $fn$
BEGIN
  -- SECURITY DEFINER of the platform's role: azure_pg_admin
  RETURN NEW;
END $fn$;
CREATE TRIGGER "t 1" BEFORE INSERT OR UPDATE OF "select", "from" ON "Weird Schema"."table" FOR EACH ROW WHEN (NEW."select" > 0) EXECUTE FUNCTION "Weird Schema".audit('a''b', 'c\d');
CREATE TRIGGER t_disabled AFTER DELETE ON "Weird Schema"."table" REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION "Weird Schema".audit();
CREATE TRIGGER t_always AFTER INSERT ON "Weird Schema"."table" FOR EACH ROW EXECUTE FUNCTION "Weird Schema".audit();
CREATE TRIGGER t_replica AFTER INSERT ON "Weird Schema"."table" FOR EACH ROW EXECUTE FUNCTION "Weird Schema".audit();
CREATE CONSTRAINT TRIGGER t_constraint AFTER UPDATE ON "Weird Schema"."table" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "Weird Schema".audit();
ALTER TABLE "Weird Schema"."table" DISABLE TRIGGER t_disabled, ENABLE ALWAYS TRIGGER t_always, ENABLE REPLICA TRIGGER t_replica;
CREATE RULE "rule 1" AS ON UPDATE TO "Weird Schema"."table" WHERE NEW."select" < 0 DO INSTEAD NOTHING;
CREATE RULE r2 AS ON INSERT TO s.scratch DO ALSO INSERT INTO "Weird Schema"."table" ("from") VALUES (NEW.k);
ALTER TABLE s.scratch DISABLE RULE r2;
INSERT INTO "Weird Schema"."table" SELECT g, E'row\n' || g, ARRAY[g, NULL], jsonb_build_object('g', g) FROM generate_series(1, 50) g;
INSERT INTO s.scratch VALUES ('k', 'v');
COMMENT ON TRIGGER "t 1" ON "Weird Schema"."table" IS 'a trigger';
COMMENT ON RULE "rule 1" ON "Weird Schema"."table" IS 'a rule';
REVOKE ALL ON "Weird Schema"."table" FROM d;
GRANT SELECT ON "Weird Schema"."table" TO d;
ALTER TABLE "Weird Schema"."table" REPLICA IDENTITY FULL;
RESET ROLE;
-- rights of the platform's roles in functions of the customer
CREATE FUNCTION s.definer_platform() RETURNS name LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT current_user';
ALTER FUNCTION s.definer_platform() OWNER TO azure_pg_admin;
CREATE FUNCTION s.definer_super() RETURNS name LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user';
ALTER FUNCTION s.definer_super() OWNER TO azuresu;
CREATE FUNCTION s.definer_admin(VARIADIC x int[] DEFAULT '{1}') RETURNS name LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user';
ALTER FUNCTION s.definer_admin(int[]) OWNER TO azadmin;
GRANT EXECUTE ON FUNCTION s.definer_admin(int[]) TO c WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION s.definer_admin(int[]) TO a;
REVOKE EXECUTE ON FUNCTION s.definer_super() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION s.definer_super() TO azadmin, c;
CREATE FUNCTION s.leak(int) RETURNS boolean LANGUAGE sql IMMUTABLE LEAKPROOF AS 'SELECT $1 > 0';
ALTER FUNCTION s.leak(int) OWNER TO b;
SET ROLE b;
CREATE PROCEDURE s."Proc"(INOUT x int, y text DEFAULT 'a''b') LANGUAGE plpgsql AS $$ BEGIN x := x + 1; COMMIT; END $$;
CREATE AGGREGATE s.longest(text) (SFUNC = pg_catalog.textcat, STYPE = text, INITCOND = '');
CREATE OPERATOR s.%% (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.textlike);
COMMENT ON FUNCTION s.slug(text) IS 'a function';
COMMENT ON PROCEDURE s."Proc"(int, text) IS 'a procedure';
GRANT EXECUTE ON PROCEDURE s."Proc"(int, text) TO d WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION s.longest(text) TO d;
RESET ROLE;
SET ROLE d;
GRANT EXECUTE ON PROCEDURE s."Proc"(int, text) TO "current_user";
RESET ROLE;

--@@ db=crm what the SQL of newer versions brings
DO $do$
BEGIN
  SET LOCAL ROLE b;
  SET LOCAL search_path = s;
  CREATE FUNCTION s.atomic(n int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT count(*)::int + n FROM "Weird Schema"."table"; SELECT n; END;
  CREATE FUNCTION s.returns_rows() RETURNS SETOF "Weird Schema"."Order" LANGUAGE sql STABLE ROWS 10 AS 'SELECT * FROM "Weird Schema"."Order"';
  IF current_setting('server_version_num')::int >= 150000 THEN
    EXECUTE 'CREATE VIEW s.v_invoker WITH (security_invoker, security_barrier) AS SELECT id, s.slug(title) AS slug FROM "Weird Schema"."Order" WHERE s.positive(amount)';
    EXECUTE 'GRANT SELECT ON s.v_invoker TO d WITH GRANT OPTION';
    EXECUTE 'CREATE TABLE s.nnd (a int UNIQUE NULLS NOT DISTINCT, b int)';
    EXECUTE 'RESET ROLE; CREATE PUBLICATION "Pub ""1""" FOR TABLE "Weird Schema"."table" ("select", "from") WHERE ("select" > 3), s.nnd WITH (publish = ''insert'')';
  ELSE
    EXECUTE 'RESET ROLE; CREATE PUBLICATION "Pub ""1""" FOR TABLE s.event_2025_def WITH (publish = ''insert'', publish_via_partition_root)';
  END IF;
  IF current_setting('server_version_num')::int >= 170000 THEN
    EXECUTE 'GRANT MAINTAIN ON "Weird Schema"."Order" TO d WITH GRANT OPTION';
  END IF;
END $do$;

--@@ db=crm views and materialized views on one another, of others
SET ROLE a;
CREATE VIEW "Weird Schema"."V 1" WITH (security_barrier) AS SELECT o.id, o.title, e.note FROM "Weird Schema"."Order" o LEFT JOIN s.event e ON e.ord = o.id WHERE s.leak(o.id::int);
CREATE VIEW s.v2 AS SELECT id, count(*) AS n FROM "Weird Schema"."V 1" GROUP BY id;
CREATE MATERIALIZED VIEW "Weird Schema"."MV 1" AS SELECT kind, count(*) AS n FROM s.event GROUP BY kind;
CREATE UNIQUE INDEX mv1_kind ON "Weird Schema"."MV 1" (kind);
GRANT SELECT ON "Weird Schema"."MV 1" TO d WITH GRANT OPTION;
GRANT SELECT ON s.v2 TO PUBLIC;
RESET ROLE;
SET ROLE d;
CREATE MATERIALIZED VIEW s.mv2 WITH (fillfactor = 70) AS SELECT sum(n) AS all_of_them FROM "Weird Schema"."MV 1";
CREATE MATERIALIZED VIEW s.mv_empty AS SELECT 1 AS one WITH NO DATA;
COMMENT ON MATERIALIZED VIEW s.mv2 IS 'a matview of a matview';
GRANT SELECT ON "Weird Schema"."MV 1" TO reporting;
RESET ROLE;
ALTER VIEW s.v2 OWNER TO azure_pg_admin;
SET ROLE azadmin;
CREATE TABLE public.admins (id serial PRIMARY KEY, v varchar(5) DEFAULT 'x', f float8, ts timestamptz DEFAULT now()) TABLESPACE temptblspace;
INSERT INTO public.admins (v, f) VALUES ('a', 'NaN'), (NULL, '-Infinity'), ('', 1e-300), (E'\\N', 0.1);
ALTER SEQUENCE public.admins_id_seq OWNED BY NONE;
CREATE INDEX admins_v ON public.admins (v) TABLESPACE temptblspace;
GRANT SELECT, INSERT ON public.admins TO c WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE public.admins_id_seq TO c;
CREATE VIEW public.buffers AS SELECT count(*) AS n FROM public.pg_buffercache;
GRANT SELECT ON public.buffers TO monitor;
CREATE TABLE public.inh_parent (a int, b text DEFAULT 'p');
CREATE TABLE public.inh_child (b text DEFAULT 'c', c int) INHERITS (public.inh_parent);
INSERT INTO public.inh_child VALUES (1, 'x', 2);
CREATE TEXT SEARCH CONFIGURATION public."My Config" (COPY = pg_catalog.english);
CREATE TEXT SEARCH DICTIONARY public.dict (TEMPLATE = pg_catalog.simple, STOPWORDS = english);
ALTER TEXT SEARCH CONFIGURATION public."My Config" ALTER MAPPING FOR asciiword WITH public.dict, pg_catalog.english_stem;
RESET ROLE;
SET ROLE c;
GRANT SELECT ON public.admins TO d;
RESET ROLE;
CREATE TABLE "select"."left" (id int PRIMARY KEY, "order" int REFERENCES public.admins DEFERRABLE);
ALTER TABLE "select"."left" OWNER TO azure_pg_admin;
GRANT SELECT ON "select"."left" TO b WITH GRANT OPTION;
SET ROLE b;
GRANT SELECT ON "select"."left" TO c;
RESET ROLE;
INSERT INTO "select"."left" VALUES (1, 2);
CREATE TABLE public.of_second (id int PRIMARY KEY);
ALTER TABLE public.of_second OWNER TO second_admin;
CREATE SEQUENCE "Weird Schema".owned_later;
ALTER SEQUENCE "Weird Schema".owned_later OWNER TO d;
ALTER SEQUENCE "Weird Schema".owned_later OWNED BY "Weird Schema"."table".xid;
ALTER TABLE "Weird Schema"."table" ALTER COLUMN xid SET DEFAULT pg_catalog.nextval('"Weird Schema".owned_later');
CREATE VIEW public.of_entra AS SELECT 1 AS one;
ALTER VIEW public.of_entra OWNER TO "d'Arcy #EXT#@Fabrikam.onmicrosoft.com";

--@@ db=crm foreign servers, large objects
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO a WITH GRANT OPTION;
SET ROLE a;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO b;
CREATE SERVER "Srv 1" FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'old.postgres.database.azure.com', dbname 'it''s');
GRANT USAGE ON FOREIGN SERVER "Srv 1" TO b WITH GRANT OPTION;
RESET ROLE;
SET ROLE b;
GRANT USAGE ON FOREIGN SERVER "Srv 1" TO c;
CREATE USER MAPPING FOR b SERVER "Srv 1" OPTIONS (user 'u', password 'Fdw-pass-0001!');
CREATE USER MAPPING FOR PUBLIC SERVER "Srv 1" OPTIONS (user 'anybody');
CREATE FOREIGN TABLE s.ft (a int OPTIONS (column_name 'A'), b text) SERVER "Srv 1" OPTIONS (table_name 'x');
RESET ROLE;
SET ROLE a;
SELECT pg_catalog.lo_from_bytea(70001, '\x0001feff');
GRANT SELECT ON LARGE OBJECT 70001 TO b WITH GRANT OPTION;
GRANT ALL ON LARGE OBJECT 70001 TO azure_pg_admin;
COMMENT ON LARGE OBJECT 70001 IS 'a large object''s comment';
RESET ROLE;
SET ROLE b;
GRANT SELECT ON LARGE OBJECT 70001 TO "a ""quoted"" role", PUBLIC;
RESET ROLE;
SELECT pg_catalog.lo_from_bytea(70002, '');
ALTER LARGE OBJECT 70002 OWNER TO azure_pg_admin;
SELECT pg_catalog.lo_from_bytea(70003, pg_catalog.convert_to(pg_catalog.repeat('large', 3000), 'UTF8'));
ALTER LARGE OBJECT 70003 OWNER TO azadmin;
GRANT UPDATE ON LARGE OBJECT 70003 TO d WITH GRANT OPTION;
--@@ db=crm an event trigger, which only a superuser can have made
CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
ALTER FUNCTION public.on_ddl() OWNER TO azadmin;
CREATE EVENT TRIGGER "Evt 1" ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION public.on_ddl();
ALTER EVENT TRIGGER "Evt 1" DISABLE;
ALTER PUBLICATION "Pub ""1""" OWNER TO "Öwner of Ünïcode";
