CREATE SCHEMA "a.b
c";
CREATE TABLE "a.b
c"."t ""q"" .x" ("sel ect" int, "new
line" text, "Ünï" text);
INSERT INTO "a.b
c"."t ""q"" .x" VALUES (1, E'tab\there', 'ü'), (2, E'nl\nhere\r\n', E'back\\slash'), (3, E'\\.', '\N'), (4, E'\\N', ''), (5, NULL, E'\b\f\v\x01\x7f');
COMMENT ON TABLE "a.b
c"."t ""q"" .x" IS E'line one\nline two; DROP TABLE x; -- ''quoted''';
CREATE TABLE numbers (f4 float4, f8 float8, n numeric, i2 int2, i4 int4, i8 int8, m money, b bool, o oid);
INSERT INTO numbers VALUES
  ('NaN', 'NaN', 'NaN', -32768, -2147483648, -9223372036854775808, '-92233720368547758.08', true, 4294967295),
  ('Infinity', '-Infinity', 0, 32767, 2147483647, 9223372036854775807, '92233720368547758.07', false, 0),
  ('-0', '-0', '-0.000000000000000000000000000000001', 0, 0, 0, '0.01', NULL, NULL),
  (3.4028235e38, 2.2250738585072014e-308, 1e131071, 1, 1, 1, 1, true, 1),
  (1.17549435e-38, 0.1, 123456789012345678901234567890.123456789, NULL, NULL, NULL, NULL, NULL, NULL),
  (0.3::float8 - 0.1, 0.1::float8 + 0.2, 1e-16383, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE times (d date, t time, tz timetz, ts timestamp, tstz timestamptz, i interval);
INSERT INTO times VALUES
  ('4713-11-24 BC', '00:00', '00:00+15:59:59', '4713-11-24 00:00:00 BC', '4713-11-24 00:00:00+00 BC', '-178000000 years'),
  ('infinity', '24:00', '24:00-15:59:59', '-infinity', 'infinity', 'P1Y2M3DT4H5M6.000001S'),
  ('5874897-12-31', '23:59:59.999999', '12:00:00.123456-07:30', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '1 mon -1 day +00:00:00.000001'),
  ('0001-01-01', NULL, NULL, '0001-01-01 BC', '1883-11-18 12:03:58-04:56:02', '-00:00:00.000001');
CREATE TABLE words (c char(5), v varchar(3), t text, n name, bp bytea, j json, jb jsonb, x xml, u uuid, tsv tsvector, tsq tsquery, bt bit(5), vb varbit);
INSERT INTO words VALUES
  ('a', 'abc', repeat(E'1 MB \\ \t \n', 100000), 'a name', '\x00ff5c0a0d0900', '{"a": "\u00e9\\n", "a": 1}', '{"x": "\u00e9\t\"q\"\\", "e": null}', '<a b="1">&lt;</a>', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', $$'a\\b':1A 'it''s':2$$, $$'a b' & !'c'$$, B'10101', B''),
  ('', '', '', '', '', '[]', '""', 'text only', NULL, '', '', NULL, B'1'),
  (NULL, NULL, NULL, NULL, decode(repeat('00ff', 5000), 'hex'), 'null', 'null', NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE geo (p point, l line, s lseg, b box, pa path, po polygon, c circle, i inet, ci cidr, ma macaddr, m8 macaddr8, ls pg_lsn);
INSERT INTO geo VALUES ('(NaN,Infinity)', '{1,-1,0}', '[(0,0),(1,1)]', '(2,2),(1,1)', '[(0,0),(1,1)]', '((0,0),(1,1),(2,0))', '<(0,0),1>', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', 'FFFFFFFF/FFFFFFFF');
CREATE TABLE collected (a int[], b text[], c int[][], d numeric[], r int4range, nr numrange, tr tstzrange, rw words, ar words[]);
INSERT INTO collected VALUES
  ('{}', '{}', '{}', '{NaN}', 'empty', '(,)', '[2020-01-01 00:00+00,infinity)', NULL, '{}'),
  ('{1,NULL,3}', ARRAY['a,b', '"q"', E'\\', '{}', '', NULL, 'NULL', E'x\ny'], '[2:3][-1:0]={{1,2},{3,4}}', NULL, '[1,5)', '(1.5,1.6]', NULL, ROW('x','y',E'z\t','n',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL), NULL);
CREATE TABLE zero_columns ();
INSERT INTO zero_columns DEFAULT VALUES; INSERT INTO zero_columns DEFAULT VALUES; INSERT INTO zero_columns DEFAULT VALUES;
CREATE TABLE only_generated (g int GENERATED ALWAYS AS (1) STORED); INSERT INTO only_generated DEFAULT VALUES; --@since 12
CREATE TABLE gone (a int, b text, c int); INSERT INTO gone VALUES (1, 'x', 2); ALTER TABLE gone DROP COLUMN a; ALTER TABLE gone DROP COLUMN c; INSERT INTO gone VALUES ('y');
CREATE TABLE all_dropped (a int); INSERT INTO all_dropped VALUES (1), (2); ALTER TABLE all_dropped DROP COLUMN a;
CREATE TABLE fast (a int); INSERT INTO fast VALUES (1); ALTER TABLE fast ADD COLUMN b text DEFAULT 'missing value';
--@since 14
CREATE TABLE multi (r int4multirange, n numeric); INSERT INTO multi VALUES ('{[1,3),[5,9)}', 'Infinity'), ('{}', '-Infinity');
