SET client_encoding = 'LATIN1';
SET default_tablespace = '';
SELECT pg_catalog.set_config('search_path', '', false);
SET default_table_access_method = heap;

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
-- privileges
--

-- ACL LARGE OBJECTS 7..8 (entry 46)
REVOKE ALL ON LARGE OBJECT 7 FROM PUBLIC;
REVOKE ALL ON LARGE OBJECT 8 FROM PUBLIC;
GRANT ALL ON LARGE OBJECT 7 TO "a;b";
GRANT ALL ON LARGE OBJECT 8 TO "a;b";
