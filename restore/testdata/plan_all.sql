SET client_encoding = 'LATIN1';
SET default_tablespace = '';
SELECT pg_catalog.set_config('search_path', '', false);
SET default_table_access_method = heap;

--
-- pre-data
--

-- SCHEMA s.s (entry 10)
CREATE SCHEMA s.s;
ALTER SCHEMA s.s OWNER TO o;

-- COMMENT SCHEMA s.s (entry 11)
COMMENT SCHEMA s;

-- TABLE s.t (entry 20)
CREATE TABLE s.t;
ALTER TABLE s.t OWNER TO o;

-- TABLE s.u (entry 21)
SET default_tablespace = "fast disk";
SET default_table_access_method = columnar;
CREATE TABLE s.u;
ALTER TABLE s.u OWNER TO o;
SET default_tablespace = '';
SET default_table_access_method = heap;

-- TABLE s.root (entry 30)
CREATE TABLE s.root;
ALTER TABLE s.root OWNER TO o;
ALTER TABLE s.root SET ACCESS METHOD columnar;

-- TABLE s.leaf (entry 31)
CREATE TABLE s.leaf;
ALTER TABLE s.leaf OWNER TO o;

-- TABLE ATTACH s.leaf (entry 32)
ALTER TABLE ONLY s.root ATTACH PARTITION s.leaf DEFAULT;

-- FUNCTION s.f(integer) (entry 33)
CREATE FUNCTION s.f(integer) RETURNS integer
    LANGUAGE sql
    AS 'select 1; select 2';
ALTER FUNCTION s.f(integer) OWNER TO o;

-- MATERIALIZED VIEW s.m (entry 34)
CREATE MATERIALIZED VIEW s.m;
ALTER MATERIALIZED VIEW s.m OWNER TO o;

--
-- data
--

-- TABLE DATA s.t (entry 40)
-- COPY s.t (a) FROM stdin
-- 400 bytes of x

-- TABLE DATA s.u (entry 41)
-- COPY s.u (a) FROM stdin
-- 410 bytes of xxx

-- TABLE DATA s.u (entry 41)
-- COPY s.u (a) FROM stdin
-- 1 rows, 1 bytes of xxx, part 1

-- TABLE DATA s.u (entry 41)
-- COPY s.u (a) FROM stdin
-- 2 rows, 2 bytes of xxx, part 2

-- TABLE DATA s.leaf (entry 42)
-- COPY s.leaf (a) FROM stdin
-- 420 bytes of x

-- SEQUENCE SET s.q (entry 43)
SELECT setval('s.q', 1);

-- SEQUENCE SET s.q2 (entry 44)
SELECT setval('s.q2', 1);

-- BLOB METADATA 7..8 (entry 45)
SELECT pg_catalog.lo_create('7');
SELECT pg_catalog.lo_create('8');
ALTER LARGE OBJECT 7 OWNER TO o;
ALTER LARGE OBJECT 8 OWNER TO o;

-- BLOBS 7..8 (entry 47)
-- the large objects listed in blobs_47.toc

--
-- post-data
--

-- CONSTRAINT s.t_pk (entry 50)
CREATE CONSTRAINT s.t_pk;

-- INDEX s.t_i (entry 51)
CREATE INDEX s.t_i;

-- COMMENT INDEX s.t_i (entry 52)
COMMENT INDEX t_i;

-- INDEX s.root_i (entry 53)
CREATE INDEX s.root_i;

-- INDEX s.leaf_i (entry 54)
CREATE INDEX s.leaf_i;

-- INDEX ATTACH s.leaf_i (entry 55)
CREATE INDEX ATTACH s.leaf_i;

-- FK CONSTRAINT s.u_fk (entry 58)
CREATE FK CONSTRAINT s.u_fk;

-- TRIGGER s.root trig (entry 59)
CREATE TRIGGER s.root trig;

--
-- privileges
--

-- ACL SCHEMA s.s (entry 12)
ACL SCHEMA s;

-- ACL LARGE OBJECTS 7..8 (entry 46)
REVOKE ALL ON LARGE OBJECT 7 FROM PUBLIC;
REVOKE ALL ON LARGE OBJECT 8 FROM PUBLIC;
GRANT ALL ON LARGE OBJECT 7 TO "a;b";
GRANT ALL ON LARGE OBJECT 8 TO "a;b";

-- DEFAULT ACL s.DEFAULT PRIVILEGES FOR TABLES (entry 61)
ALTER DEFAULT PRIVILEGES;

--
-- refresh
--

-- MATERIALIZED VIEW DATA s.m (entry 60)
REFRESH MATERIALIZED VIEW s.m;

-- EVENT TRIGGER s.e (entry 56)
CREATE EVENT TRIGGER s.e;

-- COMMENT EVENT TRIGGER s.e (entry 57)
COMMENT EVENT TRIGGER e;
