CREATE EXTENSION btree_gist;
CREATE SCHEMA "Op S";
CREATE TYPE "Op S".pt AS (x int, y int);
CREATE FUNCTION "Op S".pt_lt("Op S".pt, "Op S".pt) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x < ($2).x';
CREATE FUNCTION "Op S".pt_ge("Op S".pt, "Op S".pt) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x >= ($2).x';
CREATE FUNCTION "Op S".pt_gt("Op S".pt, "Op S".pt) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x > ($2).x';
CREATE FUNCTION "Op S".pt_eq("Op S".pt, "Op S".pt) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x = ($2).x';
CREATE FUNCTION "Op S".pt_le("Op S".pt, "Op S".pt) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x <= ($2).x';
CREATE FUNCTION "Op S".pt_cmp("Op S".pt, "Op S".pt) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT sign(($1).x - ($2).x)::int';
CREATE FUNCTION "Op S".pt_int_eq("Op S".pt, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x = $2';
CREATE FUNCTION "Op S".pt_int_cmp("Op S".pt, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT sign(($1).x - $2)::int';
CREATE FUNCTION "Op S".neg("Op S".pt) RETURNS "Op S".pt LANGUAGE sql IMMUTABLE AS 'SELECT row(-($1).x, -($1).y)::"Op S".pt';
CREATE FUNCTION "Op S".pt_hash("Op S".pt) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x';
CREATE OPERATOR "Op S".<# (FUNCTION = "Op S".pt_lt, LEFTARG = "Op S".pt, RIGHTARG = "Op S".pt, COMMUTATOR = OPERATOR("Op S".>#), NEGATOR = OPERATOR(public.>=#), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR "Op S".># (FUNCTION = "Op S".pt_gt, LEFTARG = "Op S".pt, RIGHTARG = "Op S".pt, COMMUTATOR = OPERATOR("Op S".<#));
CREATE OPERATOR public.>=# (FUNCTION = "Op S".pt_ge, LEFTARG = "Op S".pt, RIGHTARG = "Op S".pt, COMMUTATOR = OPERATOR("Op S".<=#), NEGATOR = OPERATOR("Op S".<#));
CREATE OPERATOR "Op S".=# (FUNCTION = "Op S".pt_eq, LEFTARG = "Op S".pt, RIGHTARG = "Op S".pt, COMMUTATOR = OPERATOR("Op S".=#), HASHES, MERGES, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR "Op S".<=# (FUNCTION = "Op S".pt_le, LEFTARG = "Op S".pt, RIGHTARG = "Op S".pt, COMMUTATOR = OPERATOR(public.>=#));
CREATE OPERATOR "Op S".=# (FUNCTION = "Op S".pt_int_eq, LEFTARG = "Op S".pt, RIGHTARG = int, NEGATOR = OPERATOR("Op S".<>#)); -- the negator stays a shell
CREATE OPERATOR "Op S".!!# (FUNCTION = "Op S".neg, RIGHTARG = "Op S".pt);
CREATE OPERATOR "Op S".<# (FUNCTION = "Op S".neg, RIGHTARG = "Op S".pt);
COMMENT ON OPERATOR "Op S".<# ("Op S".pt, "Op S".pt) IS 'less'; COMMENT ON OPERATOR "Op S".!!# (NONE, "Op S".pt) IS 'not';
CREATE OPERATOR CLASS "Op S".pt_ops DEFAULT FOR TYPE "Op S".pt USING btree AS
  OPERATOR 1 "Op S".<#, OPERATOR 2 "Op S".<=#, OPERATOR 3 "Op S".=#, OPERATOR 4 public.>=#, OPERATOR 5 "Op S".>#, FUNCTION 1 "Op S".pt_cmp("Op S".pt, "Op S".pt);
CREATE OPERATOR FAMILY "Op S"."Fam" USING btree;
CREATE OPERATOR FAMILY public.empty_fam USING gist;
CREATE OPERATOR CLASS "Op S"."Cl" FOR TYPE "Op S".pt USING btree FAMILY "Op S"."Fam" AS OPERATOR 3 "Op S".=#, FUNCTION 1 "Op S".pt_cmp("Op S".pt, "Op S".pt);
ALTER OPERATOR FAMILY "Op S"."Fam" USING btree ADD OPERATOR 3 "Op S".=# ("Op S".pt, int), FUNCTION 1 ("Op S".pt, int) "Op S".pt_int_cmp("Op S".pt, int), OPERATOR 1 "Op S".<# ("Op S".pt, "Op S".pt);
CREATE OPERATOR CLASS "Op S".pt_ops FOR TYPE "Op S".pt USING hash AS OPERATOR 1 "Op S".=#, FUNCTION 1 "Op S".pt_hash("Op S".pt);
CREATE OPERATOR CLASS public.storage_ops FOR TYPE int USING gist AS STORAGE bigint;
CREATE OPERATOR CLASS public.empty_ops FOR TYPE "Op S".pt USING gist FAMILY public.empty_fam AS STORAGE "Op S".pt;
CREATE OPERATOR CLASS public.near_ops FOR TYPE point USING gist AS OPERATOR 15 <-> (point, point) FOR ORDER BY float_ops, OPERATOR 1 << (point, point);
COMMENT ON OPERATOR CLASS "Op S".pt_ops USING btree IS 'class'; COMMENT ON OPERATOR FAMILY "Op S"."Fam" USING btree IS 'family';
CREATE TABLE "Op S".t (p "Op S".pt PRIMARY KEY);
CREATE INDEX t_x ON "Op S".t (p "Op S"."Cl"); CREATE INDEX t_h ON "Op S".t USING hash (p "Op S".pt_ops);
CREATE VIEW "Op S".ord AS SELECT p FROM "Op S".t ORDER BY p USING OPERATOR("Op S".<#);
CREATE AGGREGATE "Op S".least(int) (SFUNC = int4smaller, STYPE = int, SORTOP = <);
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; --@since 12
CREATE ACCESS METHOD "G 2" TYPE INDEX HANDLER gisthandler;
CREATE OPERATOR CLASS public.g2 FOR TYPE int USING "G 2" AS STORAGE int;
COMMENT ON ACCESS METHOD heap2 IS 'as heap'; --@since 12
CREATE TABLE am_t (a int) USING heap2; CREATE TABLE am_t2 (a int); --@since 12
CREATE MATERIALIZED VIEW am_m USING heap2 AS SELECT 1 AS x; --@since 12
ALTER OPERATOR FAMILY gist_int4_ops USING gist ADD OPERATOR 9 < (int, bigint);
CREATE OPERATOR FAMILY public.loose USING btree;
ALTER OPERATOR FAMILY public.loose USING btree ADD FUNCTION 1 (int, bigint) btint48cmp(int, bigint), OPERATOR 2 <= (bigint, int), OPERATOR 5 > (int, bigint), OPERATOR 1 < (int, bigint), FUNCTION 1 (bigint, int) btint84cmp(bigint, int);
--@since 18
CREATE ACCESS METHOD "B 2" TYPE INDEX HANDLER bthandler;
CREATE OPERATOR CLASS public.b2_int DEFAULT FOR TYPE int USING "B 2" AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
CREATE INDEX b2 ON am_t2 USING "B 2" (a);
