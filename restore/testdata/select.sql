-- Something for every option that selects: names that are in two schemas,
-- and what belongs to them.
CREATE SCHEMA one;
CREATE SCHEMA two;
COMMENT ON SCHEMA one IS 'first';
GRANT USAGE ON SCHEMA one TO the_role;
ALTER DATABASE the_database SET work_mem = '5MB';
ALTER ROLE the_role IN DATABASE the_database SET work_mem = '6MB';
COMMENT ON DATABASE the_database IS 'of the test';
GRANT TEMPORARY ON DATABASE the_database TO the_role;

CREATE FUNCTION one.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
COMMENT ON FUNCTION one.double(int) IS 'doubles';
REVOKE ALL ON FUNCTION one.double(int) FROM PUBLIC;
CREATE FUNCTION two.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $1';
CREATE FUNCTION one.double(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $1';
CREATE AGGREGATE one.sum2(int) (SFUNC = int4pl, STYPE = int);
CREATE PROCEDURE two.act(int) LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE FUNCTION one.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := ''touched''; RETURN NEW; END';

CREATE TABLE one.a (id serial PRIMARY KEY, v text DEFAULT 'x', d int GENERATED ALWAYS AS (one.double(1)) STORED);
COMMENT ON TABLE one.a IS 'the a of one';
COMMENT ON COLUMN one.a.v IS 'its v';
GRANT SELECT ON one.a TO the_role;
GRANT UPDATE (v) ON one.a TO the_role;
CREATE TABLE two.a (id int, v text NOT NULL);
GRANT INSERT (v) ON two.a TO the_role;
CREATE TABLE one.b (a int REFERENCES one.a, CHECK (a > 0));
ALTER TABLE one.b OWNER TO the_role;
CREATE TABLE two.c (i int) PARTITION BY LIST (i);
CREATE TABLE two.c1 PARTITION OF two.c FOR VALUES IN (1);
INSERT INTO one.a (v) SELECT i::text FROM generate_series(1, 30) i;
INSERT INTO two.a SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO one.b SELECT generate_series(1, 10);
INSERT INTO two.c VALUES (1);
CREATE INDEX a_v ON one.a (v);
COMMENT ON INDEX one.a_v IS 'finds v';
CREATE INDEX a_v ON two.a (v);
CREATE TRIGGER touched BEFORE UPDATE ON one.a FOR EACH ROW EXECUTE FUNCTION one.touch();
COMMENT ON TRIGGER touched ON one.a IS 'touches';
CREATE RULE quiet AS ON DELETE TO two.a DO INSTEAD NOTHING;
CREATE STATISTICS one.st ON id, v FROM one.a;

CREATE VIEW one.v AS SELECT id FROM one.a;
CREATE MATERIALIZED VIEW two.m AS SELECT count(*) AS n FROM one.b;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nobody FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE one.f (i int) SERVER nobody;

ALTER TABLE one.a ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON one.a USING (id > 1);
COMMENT ON POLICY see ON one.a IS 'sees';
CREATE PUBLICATION pub FOR TABLE one.a, TABLES IN SCHEMA two;
COMMENT ON PUBLICATION pub IS 'publishes';
CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere' PUBLICATION pub WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION sub IS 'subscribes';
ALTER DEFAULT PRIVILEGES IN SCHEMA one GRANT SELECT ON TABLES TO the_role;

SELECT lo_from_bytea(100, 'large');
COMMENT ON LARGE OBJECT 100 IS 'a large object';
GRANT SELECT ON LARGE OBJECT 100 TO the_role;
ANALYZE;
