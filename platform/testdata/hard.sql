-- What a customer can do to a database at Azure, as its admin: roles whose names
-- need quotes, chains of memberships and of grants, objects of one role in the
-- schema of another.
CREATE ROLE "Team ""A""" NOLOGIN;
CREATE ROLE "o'neil@contoso.com" LOGIN;
CREATE ROLE nested LOGIN CREATEDB CONNECTION LIMIT 3;
CREATE ROLE readers NOLOGIN NOINHERIT;
GRANT "Team ""A""" TO nested;
GRANT nested TO "o'neil@contoso.com" WITH ADMIN OPTION;
GRANT readers TO nested, azadmin;
GRANT "Team ""A""" TO azadmin;
GRANT "o'neil@contoso.com" TO azadmin;
GRANT nested TO azadmin;
ALTER ROLE nested SET search_path = "Sales Dept", public;
ALTER ROLE nested SET work_mem = '64MB';

CREATE SCHEMA "Sales Dept";
GRANT CREATE ON DATABASE appdb TO "Team ""A""", nested;
ALTER SCHEMA "Sales Dept" OWNER TO "Team ""A""";
GRANT USAGE, CREATE ON SCHEMA "Sales Dept" TO nested WITH GRANT OPTION;

SET ROLE nested;
CREATE TABLE "Sales Dept"."Order" (id serial PRIMARY KEY, "Text ü" text COLLATE "C" NOT NULL, amount numeric CHECK (amount > 0));
CREATE TABLE "Sales Dept".line (order_id int REFERENCES "Sales Dept"."Order", note varchar(20) DEFAULT 'a;b', UNIQUE (note));
INSERT INTO "Sales Dept"."Order" ("Text ü", amount) SELECT 'x' || g, g FROM generate_series(1, 10) g;
ALTER TABLE "Sales Dept"."Order" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "p 1" ON "Sales Dept"."Order" AS RESTRICTIVE FOR UPDATE TO nested, azure_pg_admin, "o'neil@contoso.com", azadmin USING (true) WITH CHECK (amount < 5);
CREATE POLICY all_of_them ON "Sales Dept"."Order" USING (true);
GRANT SELECT ON "Sales Dept"."Order" TO "o'neil@contoso.com" WITH GRANT OPTION;
GRANT ALL ON "Sales Dept"."Order" TO azure_pg_admin WITH GRANT OPTION;
GRANT UPDATE ("Text ü", amount), INSERT (amount) ON "Sales Dept"."Order" TO readers, azure_pg_admin;
CREATE FUNCTION "Sales Dept".f(a int, OUT b text) LANGUAGE sql SECURITY DEFINER AS $$ SELECT 'f' $$;
REVOKE EXECUTE ON FUNCTION "Sales Dept".f(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION "Sales Dept".f(int) TO readers;
CREATE PROCEDURE "Sales Dept".p(a int DEFAULT 3) LANGUAGE plpgsql AS $$ BEGIN PERFORM cron.schedule('x', 'y', 'z'); END $$;
CREATE TYPE "Sales Dept".state AS ENUM ('new', 'it''s');
CREATE DOMAIN "Sales Dept".email AS text CHECK (VALUE LIKE '%@%');
CREATE AGGREGATE "Sales Dept".total(numeric) (SFUNC = pg_catalog.numeric_add, STYPE = numeric);
CREATE OPERATOR "Sales Dept".=== (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.int4eq);
CREATE VIEW "Sales Dept"."View" WITH (check_option = local) AS SELECT id, "Text ü" FROM "Sales Dept"."Order" WHERE id > 1;
COMMENT ON TABLE "Sales Dept"."Order" IS 'it''s; -- a comment';
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA "Sales Dept" GRANT SELECT, INSERT ON TABLES TO readers, azure_pg_admin;
ALTER DEFAULT PRIVILEGES FOR ROLE nested GRANT USAGE ON SCHEMAS TO "o'neil@contoso.com";
RESET ROLE;
SET ROLE "o'neil@contoso.com";
GRANT SELECT ON "Sales Dept"."Order" TO readers;
RESET ROLE;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON SEQUENCES TO readers;
SET ROLE "Team ""A""";
CREATE TABLE "Sales Dept".by_region (region text, n int) PARTITION BY RANGE (region);
CREATE TABLE "Sales Dept".by_region_a PARTITION OF "Sales Dept".by_region FOR VALUES FROM ('a') TO ('m');
CREATE MATERIALIZED VIEW "Sales Dept".mv AS SELECT 1 AS one;
REVOKE ALL ON "Sales Dept".by_region FROM "Team ""A""";
GRANT SELECT ON "Sales Dept".by_region TO "Team ""A""", PUBLIC;
RESET ROLE;
CREATE TABLE public.admins_own (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text);
CREATE STATISTICS public.admins_stat ON id, t FROM public.admins_own;
GRANT SELECT ON public.admins_own TO readers;
CREATE RULE r AS ON DELETE TO public.admins_own DO INSTEAD NOTHING;
GRANT EXECUTE ON FUNCTION public.gen_random_uuid() TO readers;

DO $$
BEGIN -- before 16 the admin of Azure may do so; the simulated one may not from there on
  IF current_setting('server_version_num')::int < 160000 THEN
    GRANT pg_read_all_data TO readers;
  END IF;
END $$;
