SET client_encoding = 'LATIN1';
SET default_tablespace = '';
SELECT pg_catalog.set_config('search_path', '', false);
SET default_table_access_method = heap;

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
